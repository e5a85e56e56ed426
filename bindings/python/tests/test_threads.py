# SPDX-License-Identifier: MIT
"""Any thread may make any call: nothing breaks, nothing is lost."""
import contextlib
import sys
import threading

import machnet
import pytest
from common import Waits, fill, run
from machnet import errors


def test_both_sides_at_once(flows):
    count = 5000

    def echo():
        for _ in range(count):
            message = flows[1].receive(20)
            flows[1].send(message.data, message.tag)

    def send():
        for tag in range(count):
            flows[0].send(b"x" * (tag % 3000), tag)

    def check():
        for tag in range(count):
            message = flows[0].receive(20)
            assert (message.tag, len(message)) == (tag, tag % 3000)
    run(echo, send, check)


def test_many_threads_on_each_side(flows):
    each, threads = 500, 4
    seen, lock = [], threading.Lock()

    def send(number):
        for i in range(each):
            flows[0].send(b"x" * 5000, number * each + i)

    def receive():
        for _ in range(each):
            message = flows[1].receive(20)
            with lock:
                seen.append(message.tag)
    run(*[lambda number=number: send(number) for number in range(threads)], *[receive] * threads)
    assert sorted(seen) == list(range(each * threads))


def test_threads_wait_on_flows_of_their_own(channels, where):
    """Each of these waits while the messages of others come, and one lies unread."""
    with channels[1].open_listener(where) as listener:
        pairs = []
        for _ in range(6):
            flow = channels[0].open_flow(where, timeout=5)
            pairs.append((flow, listener.accept(5)))
    pairs[0][0].send(b"nobody reads this")

    def ping(flow):
        for tag in range(200):
            flow.send(b"ping", tag)
            assert flow.receive(20).tag == tag

    def pong(flow):
        for message in flow:
            flow.send(message.data, message.tag)

    def play(flow):
        ping(flow)
        flow.close()
    run(*[lambda flow=flow: play(flow) for flow, _ in pairs[1:]], *[lambda flow=flow: pong(flow) for _, flow in pairs[1:]])


def test_closing_under_others(contexts, where):
    for _ in range(10):
        channel = contexts[1].open_channel()
        listener = channel.open_listener(where)
        flow = channel.open_flow(where, timeout=5)
        accepted = listener.accept(5)
        begun = threading.Barrier(4)

        def until_gone(call):
            begun.wait()
            with pytest.raises((errors.ChannelGoneError, errors.StaleError)):
                while True:
                    call()
        run(lambda: until_gone(lambda: flow.send(b"x" * 100)), lambda: until_gone(lambda: accepted.receive()),
            lambda: until_gone(channel.stats), lambda: (begun.wait(), channel.close()))


def test_who_sleeps_is_told_of_events_that_others_took(channels, flows, where):
    """One thread sleeps for what the other, which is always faster, takes off the channel."""
    done, seen = threading.Event(), []

    def take():
        while not done.is_set():
            with pytest.raises(BlockingIOError):
                flows[1].receive(0)

    def accept():
        try:
            with channels[1].open_listener(where) as listener:
                listening.set()
                for _ in range(50):
                    seen.append(listener.accept(2))
        finally:
            done.set()

    def dial():
        listening.wait()
        for number in range(50):
            channels[0].open_flow(where, timeout=5)
            while len(seen) <= number and not done.is_set():
                done.wait(0.001)
    listening = threading.Event()
    run(take, accept, dial)
    assert len(seen) == 50


def test_all_who_wait_for_space_are_told(flows):
    sent = fill(flows[0])
    waits = Waits(*[lambda: flows[0].wait_space(20)] * 4)
    for _ in range(sent):
        flows[1].receive(10)
    assert waits.end() == [None] * 4
    flows[0].wait_space(0)  # it has space since


def test_a_flow_is_given_by_accept_or_told_by_an_event(channels, where):
    one, two = channels
    listener, count, accepted, told, twice = two.open_listener(where), 300, [], [], []
    two.try_events()
    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def all_seen():  # what accept() gave an event may tell of, too
        return len({*accepted, *told}) >= count

    def accept():
        while not all_seen():
            before = set(told)
            with contextlib.suppress(BlockingIOError):
                accepted.append(listener.accept(0))
                twice.extend({accepted[-1]} & before)

    def take():
        while not all_seen():
            told.extend(event.flow for event in two.try_events() if event.type == machnet.EventType.ACCEPTED)

    def dial():
        for _ in range(count):
            one.open_flow(where, timeout=5)
    try:
        run(accept, take, dial)
    finally:
        sys.setswitchinterval(old)
    assert len({*accepted, *told}) == count and not twice
    assert len(set(accepted)) == len(accepted) and len(set(told)) == len(told)
