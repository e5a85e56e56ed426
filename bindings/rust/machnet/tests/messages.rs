// SPDX-License-Identifier: MIT
#![allow(non_snake_case)] // function__case
//! Messages of all sizes and ways, there and back.

mod support;

use std::thread;
use std::time::Duration;

use machnet::{Batch, Channel, ErrorKind, Event, FlowState, Options, Wait, MESSAGE_MAX};
use support::{closed, kind, pattern, until, Engine, Pair, LONG};

#[test]
fn flow_sends_and_receives_every_size() {
    let pair = Pair::new();
    let (there, back) = (pair.one.flow(pair.flow), pair.two.flow(pair.accepted));
    for (tag, length) in [0, 1, 63, 64, 1400, 65_536, 65_537, 1 << 20, MESSAGE_MAX].into_iter().enumerate() {
        let tag = u64::MAX - tag as u64;
        let bytes = pattern(tag, length);
        there.send(&bytes, tag).unwrap();
        let message = back.receive_timeout(LONG).unwrap();
        assert!(message.bytes() == bytes && message.tag() == tag && message.flow() == back.token(), "{length}");
        back.send(&message, message.tag()).unwrap();
        drop(message);
        assert!(there.receive_timeout(LONG).unwrap().to_vec() == bytes, "{length} back");
    }
    assert_eq!(kind(there.try_send(&vec![0; MESSAGE_MAX + 1], 0)), ErrorKind::MessageSize);
    assert!(there.try_receive().unwrap().is_none());
}

#[test]
fn receive_into__what_does_not_fit_stays() {
    let pair = Pair::new();
    pair.one.send(pair.flow, &pattern(1, 100), 7).unwrap();
    assert!(pair.two.receiver().wait(Wait::RECEIVE, Some(LONG)).unwrap().contains(Wait::RECEIVE));
    let mut buffer = [0; 200];
    let back = pair.two.flow(pair.accepted);
    let error = back.try_receive_into(&mut buffer[..99]).unwrap_err();
    let info = error.message_info().unwrap();
    assert_eq!((error.kind(), info.length, info.tag, info.flow), (ErrorKind::MessageSize, 100, 7, pair.accepted));
    let mut batch = Batch::with_capacity(4, 99);
    let error = pair.two.receiver().try_receive_batch(None, &mut batch).unwrap_err();
    assert_eq!(error.message_info(), Some(info));
    assert!(batch.is_empty());
    batch.reserve_bytes(info.length);
    assert_eq!(pair.two.receiver().try_receive_batch(None, &mut batch).unwrap(), 1);
    assert_eq!(batch.iter().next().unwrap().bytes(), pattern(1, 100));
    pair.one.send(pair.flow, b"fits", 8).unwrap();
    until("the message", || pair.two.receiver().wait(Wait::RECEIVE, Some(Duration::ZERO)).is_ok());
    let info = back.try_receive_into(&mut buffer).unwrap().unwrap();
    assert_eq!((&buffer[..info.length], info.tag), (&b"fits"[..], 8));
}

#[test]
fn batches_go_there_and_back() {
    let pair = Pair::new();
    let mut batch = Batch::with_capacity(32, 1 << 16);
    let mut next = 0;
    let mut returned = 0;
    while returned < 2000 {
        while next < 2000 && batch.len() < 32 {
            batch.push(pair.flow, &pattern(next, next as usize % 700), next);
            next += 1;
        }
        pair.one.send_batch(&mut batch).unwrap();
        let mut echo = Batch::with_capacity(16, 1 << 14);
        while next - returned > 500 || (next == 2000 && returned < 2000) {
            if pair.two.receiver().try_receive_batch(None, &mut echo).unwrap() > 0 {
                pair.two.send_batch(&mut echo).unwrap();
                assert!(echo.is_empty());
            }
            if pair.one.receiver().try_receive_batch(pair.flow, &mut batch).unwrap() == 0 {
                continue;
            }
            for message in &batch {
                assert_eq!((message.tag(), message.flow()), (returned, pair.flow));
                assert_eq!(message.to_vec(), pattern(returned, returned as usize % 700));
                returned += 1;
            }
            batch.clear();
        }
    }
}

#[test]
fn reserved_messages_are_committed_or_abandoned() {
    let pair = Pair::new();
    let sender = pair.one.sender();
    let mut reserved = sender.try_reserve(pair.flow, 1000).unwrap();
    assert_eq!((reserved.len(), reserved.flow()), (1000, pair.flow));
    reserved.copy_from_slice(&pattern(3, 1000));
    reserved.truncate(600);
    reserved.truncate(800);
    sender.commit(reserved, 5).unwrap();
    let message = pair.two.receive_timeout(None, LONG).unwrap();
    assert!(message.tag() == 5 && *message == pattern(3, 600)[..]);
    drop(pair.one.flow(pair.flow).reserve(1 << 20).unwrap()); // the arena grows for it
    assert_eq!(kind(pair.one.reserve_timeout(pair.flow, MESSAGE_MAX + 1, LONG)), ErrorKind::MessageSize);

    // Written by another thread, and given to another channel by mistake.
    let mut reserved = sender.try_reserve(pair.flow, 3).unwrap();
    let reserved = thread::spawn(move || {
        reserved.copy_from_slice(b"abc");
        reserved
    })
    .join()
    .unwrap();
    let failed = pair.two.sender().commit(reserved, 0).unwrap_err();
    assert_eq!(failed.error().kind(), ErrorKind::InvalidInput);
    sender.commit(failed.into_reservation(), 6).unwrap();
    assert_eq!(&pair.two.receive_timeout(None, LONG).unwrap()[..], b"abc");

    let reserved = sender.try_reserve(pair.flow, 0).unwrap();
    sender.close_flow(pair.flow).unwrap();
    let failed = sender.commit(reserved, 0).unwrap_err();
    assert_eq!(machnet::Error::from(failed).kind(), ErrorKind::Closed);
    assert_eq!(kind(sender.try_reserve(pair.flow, 1)), ErrorKind::BadToken);
}

#[test]
fn borrowed_messages_outlive_everything() {
    let pair = Pair::new();
    let all: Vec<Vec<u8>> = (0..50).map(|i| pattern(i, 2000 * i as usize)).collect();
    for bytes in &all {
        pair.one.send(pair.flow, bytes, 0).unwrap();
    }
    let messages: Vec<_> = all.iter().map(|_| pair.two.receive_timeout(None, LONG).unwrap()).collect();
    assert!(pair.two.handle().stats().unwrap().get("borrowed_now").map_or(true, |count| count == 50));
    pair.two.flow(pair.accepted).close().unwrap();
    drop(pair); // channels and engines
    let third = thread::spawn(move || {
        for (message, bytes) in messages.iter().zip(&all) {
            assert!(message.bytes() == *bytes);
        }
    });
    third.join().unwrap();
}

#[test]
fn space_comes_back_when_borrowed_messages_are_dropped() {
    let pair = Pair::with(&Options::new(), &Options::new().receive_bytes(16 << 20));
    let bytes = vec![1; 1 << 20];
    let mut held = Vec::new();
    let mut sent = 0;
    // Until the receiver is full of what it holds, and the engines and the send arena of what it cannot take.
    let stalled = loop {
        while pair.one.flow(pair.flow).try_send(&bytes, sent).is_ok() {
            sent += 1;
        }
        while let Some(message) = pair.two.receiver().try_receive(None).unwrap() {
            held.push(message);
        }
        match pair.two.event_timeout(Duration::from_millis(5)) {
            Ok(Event::ReceiveStalled { flow, bytes }) => break (flow, bytes),
            Ok(_) => continue,
            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
    };
    assert!(stalled.0 == pair.accepted && stalled.1 >= 1 << 20, "{stalled:?}");
    let before = held.len() as u64;
    drop(held);
    for i in before..sent {
        assert_eq!(pair.two.receive_timeout(None, LONG).unwrap().tag(), i);
    }
}

#[test]
fn send__waits_for_space_and_ends_with_the_flow() {
    let pair = Pair::with(&Options::new().send_bytes(4 << 20), &Options::new());
    let Pair { one, two, flow, accepted, engines } = pair;
    let bytes = vec![2; 60_000];
    let mut sent = 0;
    let full = Duration::from_millis(500); // it grows first
    let error = loop {
        match one.send_timeout(flow, &bytes, sent, full) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        for tag in 0..2 * sent {
            assert_eq!(two.receive_timeout(None, LONG).unwrap().tag(), tag);
        }
        two
    });
    for tag in sent..2 * sent {
        one.send(flow, &bytes, tag).unwrap();
    }
    let two = reader.join().unwrap();
    // It fills again; a sender that waits is told of the end.
    let ender = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        two.flow(accepted).abort().unwrap();
        two
    });
    let end = loop {
        if let Err(error) = one.send(flow, &bytes, 0) {
            break error;
        }
    };
    assert_eq!(end.kind(), ErrorKind::Reset);
    ender.join().unwrap();
    drop(engines);
}

#[test]
fn send_batch__waits_for_space() {
    let pair = Pair::with(&Options::new().send_bytes(4 << 20), &Options::new());
    let Pair { one, two, flow, engines: _engines, .. } = pair;
    let bytes = vec![4; 60_000];
    let mut sent = 0;
    while one.send_timeout(flow, &bytes, sent, Duration::from_millis(500)).is_ok() {
        sent += 1;
    }
    let mut batch = Batch::with_capacity(100, 0);
    (0..100).for_each(|tag| batch.push(flow, &bytes, sent + tag));
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        for tag in 0..sent + 100 {
            assert_eq!(two.receive_timeout(None, LONG).unwrap().tag(), tag);
        }
    });
    one.send_batch(&mut batch).unwrap();
    assert!(batch.is_empty());
    reader.join().unwrap();
}

#[test]
fn send_space_is_an_event() {
    let pair = Pair::with(&Options::new().send_bytes(4 << 20), &Options::new());
    let (sender, receiver) = pair.one.split();
    let bytes = vec![3; 60_000];
    let mut sent = 0;
    while sender.try_send(pair.flow, &bytes, 0).is_ok() {
        sent += 1;
    }
    for _ in 0..sent {
        pair.two.receive_timeout(None, LONG).unwrap();
    }
    assert_eq!(receiver.event_timeout(LONG).unwrap(), Event::SendSpace { flow: pair.flow });
    sender.try_send(pair.flow, &bytes, 0).unwrap();
}

#[test]
fn a_close_delivers_what_was_sent() {
    let pair = Pair::new();
    let there = pair.one.flow(pair.flow);
    for tag in 0..100 {
        there.send(b"last words", tag).unwrap();
    }
    there.close().unwrap();
    assert_eq!(closed(&pair.one, pair.flow), Ok(()));
    assert_eq!(closed(&pair.two, pair.accepted), Err(ErrorKind::Closed));
    let back = pair.two.flow(pair.accepted);
    let info = back.info().unwrap();
    assert_eq!((info.state, info.messages_queued), (FlowState::Ended, 100));
    assert_eq!(info.reason.unwrap_err().kind(), ErrorKind::Closed);
    for tag in 0..100 {
        assert_eq!(back.receive().unwrap().tag(), tag);
    }
    assert_eq!(kind(back.receive()), ErrorKind::Closed);
    back.close().unwrap();
}

#[test]
fn ipv6() {
    let engine = Engine::start_with("::1".parse().unwrap(), &["--udp-port", &udp_port()]);
    let (one, two) = (engine.channel(), engine.channel());
    let (flow, accepted) = support::connect(&one, &two, engine.address(0));
    one.send(flow, b"six", 6).unwrap();
    let message = two.receive_timeout(accepted, LONG).unwrap();
    assert_eq!((&message[..], message.tag()), (&b"six"[..], 6));
    let (local, remote) = two.flow(accepted).addresses().unwrap();
    assert!(local.ip().is_ipv6() && remote.ip() == local.ip() && local.to_string().starts_with("[::1]:"));
}

/// A UDP port of this machine that was free a moment ago.
fn udp_port() -> String {
    let socket = std::net::UdpSocket::bind("[::1]:0").unwrap();
    socket.local_addr().unwrap().port().to_string()
}

#[test]
fn stats_and_status_tell_what_went() {
    let pair = Pair::with(&Options::new().name("rust-test"), &Options::new());
    pair.one.send(pair.flow, &[0; 500], 0).unwrap();
    pair.two.receive_timeout(None, LONG).unwrap();
    let stats = pair.one.handle().stats().unwrap();
    assert!(stats.iter().count() > 5, "{stats:?}");
    assert_eq!(stats.get("messages_sent"), Some(1), "{:?}", stats.iter().collect::<Vec<_>>());
    assert_eq!(stats.get("no such counter"), None);
    let info = pair.one.flow(pair.flow).info().unwrap();
    assert_eq!((info.state, info.messages_sent, info.listener), (FlowState::Open, 1, None));
    assert!(pair.two.flow(pair.accepted).info().unwrap().listener.is_some());
    let status = pair.engines[0].context().status().unwrap();
    assert!(status.starts_with('{') && status.contains("rust-test"), "{status}");
    let channel: &Channel = &pair.one;
    assert!(format!("{channel:?}").starts_with("Channel"));
}
