// SPDX-License-Identifier: MIT
//! Starts real engines for the tests: those of the build that `MACHNET_BUILD` names.
#![allow(dead_code)] // no test file uses all of it

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use machnet::{Address, Channel, Context, Error, ErrorKind, Event, FlowToken, Options};

/// Longer than anything here takes, also where others have all processors.
pub const LONG: Duration = Duration::from_secs(20);

static ENGINES: AtomicU32 = AtomicU32::new(0);

/// A `machnetd` with a socket in a directory of its own, on a loopback address of its own.
pub struct Engine {
    child: Child,
    directory: PathBuf,
    ip: IpAddr,
}

pub fn program(name: &str) -> PathBuf {
    let build = env::var_os("MACHNET_BUILD").expect("MACHNET_BUILD must name a build of Machnet: run test.sh");
    PathBuf::from(build).join("bin").join(name)
}

impl Engine {
    pub fn start() -> Engine {
        let number = ENGINES.fetch_add(1, Ordering::Relaxed);
        let id = process::id();
        // Test processes use networks of their own, apart from those of tests/integration.
        let ip = [127, 100 + (id % 100) as u8, (id / 100 % 250) as u8, 2 + number as u8];
        Engine::start_with(ip.into(), &[])
    }

    pub fn start_with(ip: IpAddr, flags: &[&str]) -> Engine {
        let number = ENGINES.fetch_add(1, Ordering::Relaxed);
        let directory = env::temp_dir().join(format!("machnet-rust-{}-{number}", process::id()));
        fs::create_dir(&directory).unwrap();
        Engine::start_in(directory, ip, flags)
    }

    fn start_in(directory: PathBuf, ip: IpAddr, flags: &[&str]) -> Engine {
        let mut child = Command::new(program("machnetd"))
            .arg("--socket")
            .arg(directory.join("machnet.sock"))
            .arg("--ip")
            .arg(ip.to_string())
            .args(flags)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("machnetd starts");
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = log.by_ref().map_while(|line| line.ok()).any(|line| line.contains("ready"));
        assert!(ready, "machnetd ended with {:?}", child.wait());
        thread::spawn(move || log.for_each(drop)); // until it ends
        Engine { child, directory, ip }
    }

    /// Kills it and starts another one in its place.
    pub fn restart(mut self) -> Engine {
        self.kill();
        let directory = std::mem::take(&mut self.directory);
        let ip = self.ip;
        drop(self);
        Engine::start_in(directory, ip, &[])
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn address(&self, port: u16) -> Address {
        Address::new(self.ip, port)
    }

    pub fn options(&self) -> Options {
        Options::new().socket_path(self.directory.join("machnet.sock"))
    }

    pub fn context(&self) -> Context {
        Context::open_with(&self.options()).unwrap()
    }

    pub fn channel(&self) -> Channel {
        Channel::open(&self.context()).unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.directory.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// Two channels, each on an engine of its own, with a flow between them. The engines come last, so that they are dropped last.
pub struct Pair {
    pub one: Channel,
    pub two: Channel,
    /// The flow as `one` knows it, which opened it.
    pub flow: FlowToken,
    /// The flow as `two` knows it, which accepted it.
    pub accepted: FlowToken,
    pub engines: [Engine; 2],
}

impl Pair {
    pub fn new() -> Pair {
        Pair::with(&Options::new(), &Options::new())
    }

    pub fn with(one: &Options, two: &Options) -> Pair {
        let engines = [Engine::start(), Engine::start()];
        let one = Channel::open_with(&engines[0].context(), one).unwrap();
        let two = Channel::open_with(&engines[1].context(), two).unwrap();
        let (flow, accepted) = connect(&one, &two, engines[1].address(0));
        Pair { one, two, flow, accepted, engines }
    }
}

/// Opens a flow from `one` to `two`, which listens at `address`. Both ends are told.
pub fn connect(one: &Channel, two: &Channel, address: Address) -> (FlowToken, FlowToken) {
    let listener = two.listen(address).unwrap();
    let patient = Options::new().open_timeout(LONG);
    let flow = one.connect_with(listener.address().unwrap(), Address::ANY, &patient, None).unwrap().token();
    let accepted = match two.event_timeout(LONG).unwrap() {
        Event::Accepted { flow, listener: by } if by == listener.token() => flow,
        other => panic!("{other:?}"),
    };
    (flow, accepted)
}

/// The next event, which must be the end of this flow; others of other kinds are passed over. Why it ended.
pub fn closed(channel: &Channel, wanted: FlowToken) -> Result<(), ErrorKind> {
    loop {
        match channel.event_timeout(LONG).unwrap() {
            Event::Closed { flow, reason } if flow == wanted => return reason.map_err(|error| error.kind()),
            _ => continue,
        }
    }
}

/// The kind of the error that this must have ended with.
#[track_caller]
pub fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.expect_err("an error").kind()
}

/// `length` bytes that tell messages of different seeds apart.
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    (0..length).map(next).collect()
}

pub fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
