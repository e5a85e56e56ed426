// SPDX-License-Identifier: MIT
#![allow(non_snake_case)] // function__case
//! How things begin and end, also those that should not.

mod support;

use std::time::Duration;

use machnet::{Address, Channel, Context, ErrorKind, Event, FlowState, FlowToken, Options, Wait};
use support::{closed, kind, Engine, Pair, LONG};

#[test]
fn no_engine_is_an_error_that_says_where() {
    let options = Options::new().socket_path("/nonexistent/machnet.sock");
    let error = Context::open_with(&options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoEngine);
    assert!(error.to_string().contains("/nonexistent/machnet.sock"), "{error}");
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn options_of_other_calls_are_refused_by_name() {
    let engine = Engine::start();
    let context = engine.context();
    let error = Channel::open_with(&context, &engine.options()).unwrap_err();
    assert_eq!((error.kind(), error.option()), (ErrorKind::NotSupported, Some(1)));
    let error = Channel::open_with(&context, &Options::new().set_u64(999, 1)).unwrap_err();
    assert_eq!((error.kind(), error.option()), (ErrorKind::NotSupported, Some(999)));
    let channel = Channel::open(&context).unwrap();
    let error = channel.handle().listen_with(engine.address(0), &Options::new().name("x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSupported);
}

#[test]
fn listeners_have_addresses_and_close_once() {
    let engine = Engine::start();
    let (one, two) = (engine.channel(), engine.channel());
    let listener = one.listen(engine.address(0)).unwrap();
    let address = listener.address().unwrap();
    assert!(address.port() >= 49152 && address.ip() == engine.address(0).ip());
    assert_eq!(kind(two.listen(address)), ErrorKind::AddressInUse);
    assert_eq!(kind(one.listen(Address::new([203, 0, 113, 9], 7000))), ErrorKind::AddressNotAvailable);
    listener.close().unwrap();
    assert_eq!(kind(listener.close()), ErrorKind::BadToken);
    assert_eq!(kind(listener.address()), ErrorKind::BadToken);
    assert_eq!(kind(two.connect(address)), ErrorKind::Refused);
}

#[test]
fn flows_that_cannot_be_opened_say_why() {
    let engine = Engine::start();
    let channel = engine.channel();
    assert_eq!(kind(channel.connect(engine.address(9))), ErrorKind::Refused);
    let nobody = Engine::start().address(9); // whose engine ends here
    let short = Options::new().open_timeout(Duration::from_millis(50));
    assert_eq!(kind(channel.connect_with(nobody, Address::ANY, &short, None)), ErrorKind::Unreachable);
    let long = Options::new().open_timeout(LONG);
    let timeout = Some(Duration::from_millis(30));
    assert_eq!(kind(channel.connect_with(nobody, Address::ANY, &long, timeout)), ErrorKind::TimedOut);
    let elsewhere = Address::new([203, 0, 113, 9], 0);
    assert_eq!(
        kind(channel.connect_with(engine.address(9), elsewhere, &Options::new(), None)),
        ErrorKind::AddressNotAvailable
    );
}

#[test]
fn open_flow__returns_at_once_and_is_told_later() {
    let engine = Engine::start();
    let (one, two) = (engine.channel(), engine.channel());
    let listener = two.listen(engine.address(0)).unwrap();
    let flow = one.sender().open_flow(listener.address().unwrap()).unwrap();
    one.sender().try_send(flow, b"early", 1).unwrap();
    assert_eq!(one.event_timeout(LONG).unwrap(), Event::Established { flow });
    assert_eq!(one.flow(flow).addresses().unwrap().1, listener.address().unwrap());
    assert_eq!(&two.receive_timeout(None, LONG).unwrap()[..], b"early");
    let refused = one.sender().open_flow(engine.address(9)).unwrap();
    assert_eq!(closed(&one, refused), Err(ErrorKind::Refused));
    one.flow(refused).close().unwrap();
}

#[test]
fn tokens_that_name_nothing_are_refused() {
    let pair = Pair::new();
    let flow = pair.one.flow(pair.flow);
    flow.close().unwrap();
    let stale = flow;
    assert_eq!(kind(stale.close()), ErrorKind::BadToken);
    assert_eq!(kind(stale.abort()), ErrorKind::BadToken);
    assert_eq!(kind(stale.send(b"x", 0)), ErrorKind::BadToken);
    assert_eq!(kind(stale.try_receive()), ErrorKind::BadToken);
    assert_eq!(kind(stale.receive()), ErrorKind::BadToken);
    assert_eq!(kind(stale.try_receive_into(&mut [0; 8])), ErrorKind::BadToken);
    assert_eq!(kind(stale.info()), ErrorKind::BadToken);
    assert_eq!(kind(stale.addresses()), ErrorKind::BadToken);
    let mut batch = machnet::Batch::with_capacity(1, 8);
    batch.push(pair.flow, b"x", 0);
    assert_eq!(kind(pair.one.sender().try_send_batch(&mut batch)), ErrorKind::BadToken);
    assert_eq!(batch.len(), 1);
    for number in [1, 0xffff_ffff, u64::MAX, 1 << 32] {
        let invented = pair.two.flow(FlowToken::from_raw(number).unwrap());
        assert_eq!(kind(invented.send(b"x", 0)), ErrorKind::BadToken, "{number:#x}");
    }
    assert_eq!(FlowToken::from_raw(0), None);
}

#[test]
fn after_shutdown_every_call_says_so() {
    let pair = Pair::new();
    pair.one.send(pair.flow, b"kept", 1).unwrap();
    let borrowed = pair.two.receive_timeout(None, LONG).unwrap();
    let reserved = pair.two.sender().try_reserve(pair.accepted, 8).unwrap();
    let two = &pair.two;
    two.shutdown().unwrap();
    two.shutdown().unwrap();
    let flow = two.flow(pair.accepted);
    assert_eq!(kind(flow.send(b"x", 0)), ErrorKind::Shutdown);
    assert_eq!(kind(flow.receive()), ErrorKind::Shutdown);
    assert_eq!(kind(flow.try_receive_into(&mut [0; 8])), ErrorKind::Shutdown);
    assert_eq!(kind(flow.close()), ErrorKind::Shutdown);
    assert_eq!(kind(two.event()), ErrorKind::Shutdown);
    assert_eq!(kind(two.receiver().wait(Wait::EVENT, None)), ErrorKind::Shutdown);
    assert_eq!(kind(two.sender().try_reserve(pair.accepted, 1)), ErrorKind::Shutdown);
    assert_eq!(kind(two.listen(pair.engines[1].address(0))), ErrorKind::Shutdown);
    assert_eq!(kind(two.connect(pair.engines[0].address(1))), ErrorKind::Shutdown);
    assert_eq!(kind(two.handle().descriptor()), ErrorKind::Shutdown);
    let failed = two.sender().commit(reserved, 0).unwrap_err();
    assert!(failed.error().is_channel_gone());
    assert_eq!(&borrowed[..], b"kept");
    assert_eq!(closed(&pair.one, pair.flow), Err(ErrorKind::Reset));
}

#[test]
fn dropping_a_channel_shuts_it_down_whatever_is_left_of_it() {
    let pair = Pair::new();
    let handle = pair.two.handle().clone();
    let descriptor = handle.descriptor().unwrap();
    let listener = pair.two.listen(pair.engines[1].address(0)).unwrap();
    let (sender, receiver) = pair.two.split();
    drop(receiver);
    sender.try_send(pair.accepted, b"half of it lives", 0).unwrap();
    assert_eq!(&pair.one.receive_timeout(None, LONG).unwrap()[..], b"half of it lives");
    drop(sender);
    assert_eq!(closed(&pair.one, pair.flow), Err(ErrorKind::Reset));
    assert_eq!(kind(handle.listen(pair.engines[1].address(0))), ErrorKind::Shutdown);
    assert_eq!(kind(listener.close()), ErrorKind::Shutdown);
    handle.shutdown().unwrap();
    handle.wake().unwrap();
    drop((handle, descriptor));
}

#[test]
fn halves_of_one_channel_go_together_again() {
    let engine = Engine::start();
    let (sender, receiver) = engine.channel().split();
    let (other_sender, other_receiver) = engine.channel().split();
    let (sender, other_receiver) = sender.unsplit(other_receiver).unwrap_err();
    let channel = sender.unsplit(receiver).unwrap();
    other_sender.unsplit(other_receiver).unwrap();
    channel.listen(engine.address(0)).unwrap();
}

#[test]
fn an_aborted_flow_is_reset() {
    let pair = Pair::new();
    pair.two.flow(pair.accepted).abort().unwrap();
    assert_eq!(closed(&pair.one, pair.flow), Err(ErrorKind::Reset));
    assert_eq!(kind(pair.one.send(pair.flow, b"x", 0)), ErrorKind::Reset);
    assert_eq!(pair.one.flow(pair.flow).info().unwrap().state, FlowState::Ended);
}

#[test]
fn an_engine_that_ends_takes_the_channel_and_a_new_one_serves_again() {
    let Pair { one, two, flow, accepted, engines } = Pair::new();
    one.send(flow, b"delivered", 1).unwrap();
    let kept = two.receive_timeout(accepted, LONG).unwrap();
    one.send(flow, b"waiting", 2).unwrap();
    two.receiver().wait(Wait::RECEIVE, Some(LONG)).unwrap();
    let [first, second] = engines;
    let second = second.restart();
    // What was delivered can still be taken.
    assert_eq!(&two.receive_timeout(None, LONG).unwrap()[..], b"waiting");
    let error = two.receive(None).unwrap_err();
    assert!(error.kind() == ErrorKind::EngineGone && error.is_channel_gone());
    assert_eq!(kind(two.send(accepted, b"x", 0)), ErrorKind::EngineGone);
    assert_eq!(&kept[..], b"delivered");
    let two = second.channel();
    let (flow, accepted) = support::connect(&one, &two, second.address(0));
    one.send(flow, b"again", 3).unwrap();
    assert_eq!(&two.receive_timeout(accepted, LONG).unwrap()[..], b"again");
    drop(first);
}
