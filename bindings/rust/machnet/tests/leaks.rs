// SPDX-License-Identifier: MIT
//! What is dropped leaves nothing behind. One test only: it counts what belongs to the whole process.

mod support;

use std::fs;

use support::{connect, Engine, LONG};

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").unwrap().matches("memfd:machnet").count()
}

#[test]
fn dropped_objects_leave_nothing() {
    let engine = Engine::start();
    let before = (descriptors(), mappings());
    for _ in 0..10 {
        let context = engine.context();
        context.status().unwrap();
        let (one, two) = (engine.channel(), engine.channel());
        let (busy, _) = connect(&one, &two, engine.address(0));
        let (flow, accepted) = connect(&one, &two, engine.address(0));
        one.send(busy, b"unread", 0).unwrap();
        one.send(flow, b"borrowed", 0).unwrap();
        let descriptor = two.handle().descriptor().unwrap();
        let message = two.receive_timeout(accepted, LONG).unwrap();
        two.receive_timeout(accepted, std::time::Duration::from_millis(5)).unwrap_err(); // beside the busy one
        let reserved = one.sender().try_reserve(flow, 100).unwrap();
        drop((one, two, descriptor));
        assert!(mappings() > before.1 && &message[..] == b"borrowed");
        drop((message, reserved));
    }
    assert_eq!((descriptors(), mappings()), before);
}
