# SPDX-License-Identifier: MIT
"""The rules by which threads sleep on a channel (_waiting.py), one by one: each makes that no news is lost."""
import contextlib
import os
import random
import signal
import threading
import time

import machnet
import pytest
from common import Waits
from machnet._waiting import Sleeper


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def sleeper(pipe):
    sleeper = Sleeper(threading.RLock(), lambda: pipe[0])
    yield sleeper
    sleeper.close()


def asleep(sleeper, seconds=10):
    """Threads that sleep: a leader, and one that follows."""
    generation = sleeper.generation
    threads = [threading.Thread(target=sleeper.sleep, args=(generation, seconds)) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    return threads


def all_wake(threads):
    for thread in threads:
        thread.join(2)
        assert not thread.is_alive()


def test_news_wakes_the_leader_though_the_descriptor_is_quiet(sleeper):
    threads = asleep(sleeper)
    sleeper.news()
    all_wake(threads)


def test_the_descriptor_wakes_all(sleeper, pipe):
    threads = asleep(sleeper)
    os.write(pipe[1], b"x")
    all_wake(threads)


def test_news_since_the_generation_was_read(sleeper):
    generation = sleeper.generation
    sleeper.news()
    start = time.monotonic()
    sleeper.sleep(generation, 5)
    assert time.monotonic() - start < 1


def test_a_readable_descriptor_is_no_news_twice(sleeper, pipe):
    os.write(pipe[1], b"x")
    sleeper.sleep(sleeper.generation, 5)
    start = time.monotonic()
    sleeper.sleep(sleeper.generation, 0.2)
    assert time.monotonic() - start >= 0.2


def test_close_wakes_all_and_leaves_no_descriptor(sleeper):
    before = len(os.listdir("/proc/self/fd"))
    threads = asleep(sleeper)
    assert len(os.listdir("/proc/self/fd")) == before + 3
    sleeper.close()
    all_wake(threads)
    assert len(os.listdir("/proc/self/fd")) == before
    sleeper.sleep(sleeper.generation, 5)  # nobody sleeps any more


def test_a_wait_for_events_loses_none(channels, where):
    with channels[1].open_listener(where):
        channels[0].open_flow(where, timeout=5)
        while not channels[1]._sides.look(machnet.Wait.EVENT):
            pass
        assert channels[1].wait(machnet.Wait.EVENT, 5) == machnet.Wait.EVENT
        assert [event.type for event in channels[1].try_events()] == [machnet.EventType.ACCEPTED]
    for wrong in (1 << 32 | 1, 1 << 40, 8):
        with pytest.raises(ValueError):
            channels[1].wait(wrong, 0)
    with pytest.raises(TimeoutError):
        channels[1].wait(timeout=0.01)


def test_times_that_are_longer_than_any_sleep(flows):
    for timeout in (1e15, float("inf")):
        threading.Timer(0.05, flows[0].send, (b"x",)).start()
        assert flows[1].receive(timeout).data == b"x"


class Interrupt(Exception):
    pass


@pytest.mark.parametrize("poll", [machnet.Poll.SLEEP, machnet.Poll.ADAPTIVE])
def test_exceptions_of_signal_handlers_in_waits_break_nothing(contexts, where, poll):
    """Such a wait ends anywhere: when it is to sleep, asleep, just awake."""
    def handler(*_):
        raise Interrupt
    with contexts[1].open_channel(machnet.Options(poll=poll)) as channel, channel.open_listener(where) as listener:
        flow = channel.open_flow(where, timeout=5)
        accepted = listener.accept(5)
        waits = Waits(lambda: accepted.receive(30))  # another one that sleeps
        old = signal.signal(signal.SIGALRM, handler)
        count, end = 0, time.monotonic() + 3
        try:
            while time.monotonic() < end:
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 3e-4))
                    while True:
                        with contextlib.suppress(TimeoutError):
                            flow.receive(0.0001)
                        channel.wake()
                except Interrupt:
                    count += 1
        finally:
            with contextlib.suppress(Interrupt):
                signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        assert count > 100
        flow.send(b"to who sleeps")
        assert waits.end() == [None]
        waits = Waits(lambda: flow.receive(10))
        accepted.send(b"x")
        assert waits.end() == [None]
