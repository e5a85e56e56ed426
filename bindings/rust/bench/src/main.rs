// SPDX-License-Identifier: MIT
//! What a message of 64 bytes costs through this binding, over the echo of `tests/bench/bindings/echo.h` in this process: the time of sending
//! and receiving, with the clock stopped while the echo has its turn. Prints one line of JSON, in ns per message: medians of chunks.
//! With `--remote ADDRESS`: round trips to `tests/bench/bindings/server.c` through the engine of `MACHNET_SOCKET`.

use std::ffi::CStr;
use std::os::raw::c_char;
use std::time::{Duration, Instant};

use machnet::{Address, Batch, Channel, Context, Event, FlowToken, Options, Result, Wait};

#[link(name = "machnet_echo")]
extern "C" {
    fn machnet_echo_start(socket_path: *mut c_char, capacity: u64) -> i32;
    fn machnet_echo_turn() -> u64;
    fn machnet_echo_stop();
}

const LENGTH: usize = 64;
const BATCH: usize = 32;
const SINGLES: usize = 256;
const CHUNK: usize = 64;
const WARM_UP: Duration = Duration::from_millis(50);
const MEASURE: Duration = Duration::from_millis(300);

/// Returns what it took, and how many messages that were.
type Run = fn(&mut Bench) -> Result<(Duration, usize)>;

struct Bench {
    channel: Channel,
    flow: FlowToken,
    batch: Batch,
    incoming: Batch,
    payload: [u8; LENGTH],
}

fn start_echo() -> String {
    let mut path = [0; 108];
    // SAFETY: the path is as long as said; one channel is served, on this thread.
    let status = unsafe { machnet_echo_start(path.as_mut_ptr(), path.len() as u64) };
    assert!(status >= 0, "the echo does not start: {status}");
    // SAFETY: the call has written a NUL-terminated text.
    unsafe { CStr::from_ptr(path.as_ptr()) }.to_string_lossy().into_owned()
}

fn turn(expected: usize) {
    // SAFETY: the echo has been started, on this thread.
    let echoed = unsafe { machnet_echo_turn() };
    assert_eq!(echoed as usize, expected, "echoed");
}

impl Bench {
    fn open() -> Result<Bench> {
        let context = Context::open_with(&Options::new().socket_path(start_echo()))?;
        let channel = Channel::open(&context)?;
        let flow = channel.sender().open_flow(Address::new([127, 0, 0, 1], 7000))?;
        turn(0);
        assert_eq!(channel.receiver().try_event()?, Some(Event::Established { flow }));
        Ok(Bench::new(channel, flow))
    }

    fn open_remote(address: Address) -> Result<Bench> {
        let channel = Channel::open(&Context::open()?)?;
        let flow = channel.connect(address)?.token();
        Ok(Bench::new(channel, flow))
    }

    fn new(channel: Channel, flow: FlowToken) -> Bench {
        let batch = || Batch::with_capacity(BATCH, BATCH * LENGTH);
        Bench { channel, flow, batch: batch(), incoming: batch(), payload: [b'm'; LENGTH] }
    }

    /// Fills a batch, sends it and receives another. Returns what that took, and how many messages that were.
    fn run_batch(&mut self) -> Result<(Duration, usize)> {
        let start = Instant::now();
        for tag in 0..BATCH as u64 {
            self.batch.push(self.flow, &self.payload, tag);
        }
        assert_eq!(self.channel.sender().try_send_batch(&mut self.batch)?, BATCH);
        let sending = start.elapsed();
        turn(BATCH);
        let start = Instant::now();
        assert_eq!(self.channel.receiver().try_receive_batch(self.flow, &mut self.incoming)?, BATCH);
        for (message, tag) in self.incoming.iter().zip(0..) {
            assert!(message.tag() == tag && message.len() == LENGTH);
        }
        Ok((sending + start.elapsed(), BATCH))
    }

    fn run_singles(&mut self) -> Result<(Duration, usize)> {
        let mut buffer = [0; LENGTH];
        let start = Instant::now();
        for tag in 0..SINGLES as u64 {
            self.channel.sender().try_send(self.flow, &self.payload, tag)?;
        }
        let sending = start.elapsed();
        turn(SINGLES);
        let start = Instant::now();
        for tag in 0..SINGLES as u64 {
            let message = self.channel.receiver().try_receive_into(self.flow, &mut buffer)?.expect("a message");
            assert_eq!(message.tag, tag);
        }
        Ok((sending + start.elapsed(), SINGLES))
    }

    /// Fills a batch, sends it through the engine and receives until all of it is back.
    fn run_remote_batch(&mut self) -> Result<(Duration, usize)> {
        let start = Instant::now();
        for tag in 0..BATCH as u64 {
            self.batch.push(self.flow, &self.payload, tag);
        }
        self.channel.send_batch(&mut self.batch)?;
        let mut got = 0;
        while got < BATCH {
            match self.channel.receiver().try_receive_batch(self.flow, &mut self.incoming)? {
                0 => {
                    self.channel.receiver().wait(Wait::RECEIVE, None)?;
                }
                more => got += more,
            }
        }
        Ok((start.elapsed(), got))
    }

    fn run_round_trip(&mut self) -> Result<(Duration, usize)> {
        let start = Instant::now();
        self.channel.send(self.flow, &self.payload, 0)?;
        assert_eq!(self.channel.receive(self.flow)?.len(), LENGTH);
        Ok((start.elapsed(), 1))
    }

    /// The median over chunks of `CHUNK` runs, in ns for each message.
    fn measure(&mut self, run: Run) -> Result<f64> {
        let mut chunks = Vec::new();
        let start = Instant::now();
        while chunks.is_empty() || start.elapsed() < WARM_UP + MEASURE {
            let warm = start.elapsed() >= WARM_UP;
            let (mut time, mut messages) = (Duration::ZERO, 0);
            for _ in 0..CHUNK {
                let (taken, count) = run(self)?;
                time += taken;
                messages += count;
            }
            if warm {
                chunks.push(time.as_nanos() as f64 / messages as f64);
            }
        }
        chunks.sort_by(f64::total_cmp);
        Ok(chunks[chunks.len() / 2])
    }
}

fn report(mut bench: Bench, batch: Run, single: Run) -> Result<()> {
    let (batch, single) = (bench.measure(batch)?, bench.measure(single)?);
    println!("{{\"language\": \"rust\", \"batch_ns\": {batch:.1}, \"single_ns\": {single:.1}}}");
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            report(Bench::open()?, Bench::run_batch, Bench::run_singles)?;
            // SAFETY: the echo has been started, and its channel is gone.
            unsafe { machnet_echo_stop() };
        }
        ["--remote", address] => {
            report(Bench::open_remote(address.parse()?)?, Bench::run_remote_batch, Bench::run_round_trip)?
        }
        _ => {
            eprintln!("usage: machnet-bench [--remote ADDRESS]");
            std::process::exit(2);
        }
    }
    Ok(())
}
