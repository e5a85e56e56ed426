# SPDX-License-Identifier: MIT
"""Any thread may make any call: nothing breaks, nothing is lost."""
import threading

import pytest
from machnet import errors


def run(*functions):
    problems = []

    def guard(function):
        try:
            function()
        except BaseException as problem:  # pylint: disable=broad-except
            problems.append(problem)
    threads = [threading.Thread(target=guard, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert problems == []


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
