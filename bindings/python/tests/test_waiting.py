# SPDX-License-Identifier: MIT
"""The rules by which threads sleep on a channel (_waiting.py), one by one: each makes that no news is lost."""
import os
import threading
import time

import pytest
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
