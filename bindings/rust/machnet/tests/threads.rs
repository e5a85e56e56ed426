// SPDX-License-Identifier: MIT
//! Two sides in two threads, waits that others end, descriptors, signals and fork.

mod support;

use std::os::unix::io::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use machnet::{ErrorKind, Event, Message, Wait};
use support::{connect, kind, pattern, until, Engine, Pair, LONG};

mod libc {
    use std::os::raw::{c_int, c_short, c_ulong};

    #[repr(C)]
    pub struct PollFd {
        pub fd: c_int,
        pub events: c_short,
        pub revents: c_short,
    }

    pub const POLLIN: c_short = 1;
    pub const SIGUSR1: c_int = 10;

    extern "C" {
        pub fn poll(fds: *mut PollFd, count: c_ulong, timeout_ms: c_int) -> c_int;
        pub fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
        pub fn siginterrupt(number: c_int, flag: c_int) -> c_int;
        pub fn pthread_self() -> c_ulong;
        pub fn pthread_kill(thread: c_ulong, number: c_int) -> c_int;
        pub fn fork() -> c_int;
        pub fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
        pub fn _exit(status: c_int) -> !;
    }
}

fn readable(fd: &impl AsRawFd, timeout_ms: i32) -> bool {
    let mut fds = [libc::PollFd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    // SAFETY: one entry, valid to be written.
    let count = unsafe { libc::poll(fds.as_mut_ptr(), 1, timeout_ms) };
    assert!(count >= 0);
    count == 1
}

#[test]
fn one_thread_sends_one_receives_one_releases() {
    const COUNT: u64 = 20_000;
    let pair = Pair::new();
    let (flow, accepted) = (pair.flow, pair.accepted);
    let (sender, receiver) = pair.one.split();
    let (to_releaser, released) = mpsc::sync_channel::<Message>(64);
    let (space, waits_for_space) = mpsc::channel();
    let echo = thread::spawn(move || {
        for _ in 0..COUNT {
            let message = pair.two.receive_timeout(accepted, LONG).unwrap();
            pair.two.send(accepted, &message, message.tag()).unwrap();
        }
        pair.two
    });
    let sending = thread::spawn(move || {
        for tag in 0..COUNT {
            let bytes = pattern(tag, tag as usize % 300);
            while let Err(error) = sender.try_send(flow, &bytes, tag) {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                waits_for_space.recv_timeout(LONG).unwrap();
            }
        }
        sender
    });
    let releasing = thread::spawn(move || {
        for (message, tag) in released.iter().zip(0..) {
            assert_eq!((message.tag(), message.to_vec()), (tag, pattern(tag, tag as usize % 300)));
        }
    });
    let mut events = Vec::new();
    let mut received = 0;
    while received < COUNT {
        while let Some(message) = receiver.try_receive(flow).unwrap() {
            to_releaser.send(message).unwrap();
            received += 1;
        }
        receiver.try_events(&mut events).unwrap();
        for event in events.drain(..) {
            assert_eq!(event, Event::SendSpace { flow });
            let _ = space.send(()); // it may have sent the last one
        }
        if received < COUNT {
            receiver.wait(Wait::RECEIVE | Wait::EVENT, Some(LONG)).unwrap();
        }
    }
    drop(to_releaser);
    releasing.join().unwrap();
    let sender = sending.join().unwrap();
    echo.join().unwrap();
    sender.unsplit(receiver).unwrap();
}

#[test]
fn a_wake_ends_the_present_or_else_the_next_wait() {
    let engine = Engine::start();
    let channel = engine.channel();
    let handle = channel.handle().clone();
    handle.wake().unwrap();
    assert_eq!(channel.receiver().wait(Wait::RECEIVE, None).unwrap(), Wait::NONE);
    for _ in 0..3 {
        let waker = handle.clone();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            waker.wake().unwrap();
        });
        assert_eq!(kind(channel.receive(None)), ErrorKind::Interrupted);
        thread.join().unwrap();
    }
    // A wake that comes while the wait returns may end the next one, too.
    let _ = channel.receiver().wait(Wait::RECEIVE, Some(Duration::ZERO));
    let start = Instant::now();
    assert_eq!(kind(channel.receive_timeout(None, Duration::from_millis(30))), ErrorKind::TimedOut);
    assert_eq!(kind(channel.event_timeout(Duration::ZERO)), ErrorKind::TimedOut);
    assert!(start.elapsed() >= Duration::from_millis(30));
}

#[test]
fn a_shutdown_ends_waits_of_another_thread() {
    let engine = Engine::start();
    let channel = engine.channel();
    let handle = channel.handle().clone();
    let thread = thread::spawn(move || kind(channel.receive(None)));
    thread::sleep(Duration::from_millis(20));
    handle.shutdown().unwrap();
    assert_eq!(thread.join().unwrap(), ErrorKind::Shutdown);
}

/// A thousand waits that are cancelled at any moment lose nothing: what a wait would have returned is there afterwards.
#[test]
fn cancelled_waits_lose_no_message() {
    const COUNT: u64 = 1000;
    let Pair { one, two, flow, accepted, engines: _engines } = Pair::new();
    let waker = two.handle().clone();
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let stop = done.clone();
    let waking = thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            waker.wake().unwrap();
            thread::sleep(Duration::from_micros(37));
        }
    });
    let sending = thread::spawn(move || {
        for tag in 0..COUNT {
            one.send(flow, b"not lost", tag).unwrap();
            thread::sleep(Duration::from_micros(100));
        }
        one
    });
    let (mut received, mut cancelled) = (0, 0);
    let start = Instant::now();
    while received < COUNT || cancelled < 1000 {
        assert!(start.elapsed() < 3 * LONG, "{received} received, {cancelled} cancelled");
        match two.receive_timeout(accepted, Duration::from_millis(100)) {
            Ok(message) => {
                assert_eq!(message.tag(), received);
                received += 1;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => cancelled += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
    }
    done.store(true, Ordering::Relaxed);
    waking.join().unwrap();
    sending.join().unwrap();
}

#[test]
fn a_descriptor_is_readable_while_something_waits() {
    let pair = Pair::new();
    let receiver = pair.two.receiver();
    let descriptor = pair.two.handle().descriptor().unwrap();
    let drain = || {
        let mut count = 0;
        while receiver.try_receive(None).unwrap().is_some() {
            count += 1;
        }
        while receiver.try_event().unwrap().is_some() {
            count += 1;
        }
        count
    };
    assert!(readable(&descriptor, 0), "the first poll returns at once");
    assert_eq!(drain(), 0);
    assert!(!readable(&descriptor, 20));
    pair.one.send(pair.flow, b"one", 0).unwrap();
    assert!(readable(&descriptor, LONG.as_millis() as i32));
    assert_eq!(drain(), 1);
    assert!(!readable(&descriptor, 20));
    pair.two.handle().wake().unwrap();
    assert!(readable(&descriptor, LONG.as_millis() as i32));
    drain();
    assert!(!readable(&descriptor, 20));
    drop(pair.two);
    assert!(readable(&descriptor, LONG.as_millis() as i32), "it stays open, and readable after the end");
}

/// How often this thread has slept so far.
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

/// While another flow's messages lie there a wait for one flow neither fails nor eats the processor.
#[test]
fn a_wait_for_one_flow_beside_others() {
    let engine = Engine::start();
    let (one, two) = (engine.channel(), engine.channel());
    let (busy, _) = connect(&one, &two, engine.address(0));
    let (quiet, quiet_accepted) = connect(&one, &two, engine.address(0));
    one.send(busy, b"unread", 0).unwrap();
    two.receiver().wait(Wait::RECEIVE, Some(LONG)).unwrap();
    let sending = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        one.send(quiet, b"at last", 1).unwrap();
        one
    });
    assert_eq!(two.receive_timeout(quiet_accepted, LONG).unwrap().tag(), 1);
    assert_eq!(kind(two.receive_timeout(quiet_accepted, Duration::from_millis(20))), ErrorKind::TimedOut);
    let one = sending.join().unwrap();
    let before = sleeps();
    assert_eq!(kind(two.receive_timeout(quiet_accepted, Duration::from_millis(100))), ErrorKind::TimedOut);
    assert!(sleeps() - before < 50, "it slept {} times", sleeps() - before);
    let waker = two.handle().clone();
    let waking = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        waker.wake().unwrap();
    });
    assert_eq!(kind(two.receive_timeout(quiet_accepted, LONG)), ErrorKind::Interrupted);
    waking.join().unwrap();
    one.flow(quiet).abort().unwrap();
    assert_eq!(kind(two.receive_timeout(quiet_accepted, LONG)), ErrorKind::Reset);
    assert_eq!(two.receive_timeout(None, LONG).unwrap().tag(), 0);
}

static HANDLED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(_: i32) {
    HANDLED.store(true, Ordering::Relaxed);
}

#[test]
fn a_signal_ends_a_wait_but_not_a_receive() {
    let pair = Pair::new();
    // SAFETY: the handler only stores.
    unsafe {
        libc::signal(libc::SIGUSR1, on_signal);
        libc::siginterrupt(libc::SIGUSR1, 1);
    }
    let (tell, told) = mpsc::channel();
    let waiting = thread::spawn(move || {
        // SAFETY: it has no preconditions.
        tell.send(unsafe { libc::pthread_self() }).unwrap();
        let wait = pair.two.receiver().wait(Wait::RECEIVE, Some(LONG));
        tell.send(0).unwrap();
        (wait.map_err(|error| error.kind()), pair.two.receive_timeout(None, LONG).map(|message| message.tag()))
    });
    let thread = told.recv().unwrap();
    // SAFETY: the thread lives: it waits, or is about to.
    let interrupt = || unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
    until("the wait ends", || {
        interrupt();
        told.recv_timeout(Duration::from_millis(20)).is_ok()
    });
    assert!(HANDLED.load(Ordering::Relaxed));
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(20)); // it is in the receive by now
        interrupt();
    }
    pair.one.send(pair.flow, b"x", 9).unwrap();
    assert_eq!(waiting.join().unwrap(), (Err(ErrorKind::Interrupted), Ok(9)));
}

/// What a child does with what it inherited; its exit status says which step failed.
fn in_child(pair: Pair, message: Message) -> i32 {
    let steps = [
        pair.two.send(pair.accepted, b"x", 0),
        pair.two.receive(None).map(drop),
        pair.two.shutdown(),
        pair.two.handle().wake(),
        pair.two.sender().try_reserve(pair.accepted, 1).map(drop),
        pair.two.handle().stats().map(drop),
        pair.two.handle().clone().descriptor().map(drop),
    ];
    for (number, step) in steps.into_iter().enumerate() {
        if step.map_err(|error| error.kind()) != Err(ErrorKind::Forked) {
            return 10 + number as i32;
        }
    }
    if &message[..] != b"before" {
        return 2;
    }
    drop((message, pair.one, pair.two));
    let channel = pair.engines[0].channel();
    let code = i32::from(channel.listen(pair.engines[0].address(0)).is_err());
    std::mem::forget(pair.engines); // the parent ends them
    code
}

#[test]
fn a_child_is_told_and_the_parent_goes_on() {
    let pair = Pair::new();
    pair.one.send(pair.flow, b"before", 1).unwrap();
    let message = pair.two.receive_timeout(None, LONG).unwrap();
    // SAFETY: the child uses what was made before the fork and needs no other thread.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = in_child(pair, message);
        // SAFETY: the child ends without the parent's cleaning up.
        unsafe { libc::_exit(code) };
    }
    let mut status = -1;
    // SAFETY: the child is ours; the status is valid to be written.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!(status, 0, "the child ended with {}", status >> 8);
    assert_eq!(&message[..], b"before");
    pair.one.send(pair.flow, b"after", 2).unwrap();
    assert_eq!(&pair.two.receive_timeout(None, LONG).unwrap()[..], b"after");
}
