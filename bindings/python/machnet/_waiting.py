# SPDX-License-Identifier: MIT
"""How threads wait on one channel.

A wait is a loop: take and hand on events, try, sleep. Nothing of it is in the library but the trying, which holds the interpreter's lock; so any
number of threads may wait. One of them at a time, the leader, sleeps on the channel's descriptor; the others each on a lock (an exception of a
signal handler may break threading.Condition). Two rules make that no news is lost:

- `generation` grows whenever events were handed on or a leader woke. Who read it before trying, and finds it changed, tries again.
- Who hands events on while a leader sleeps wakes it by a pipe: the descriptor alone would not, since taking events makes it quiet.

The descriptor is watched edge-triggered: it stays readable while messages lie there that nobody of those who wait wants.
"""
import contextlib
import os
import select
import threading
import time
from typing import TYPE_CHECKING, Callable, List, Optional, TypeVar

from . import errors
from ._constants import Poll, Status

if TYPE_CHECKING:
    from .channel import Channel

T = TypeVar("T")
RING_SECONDS = 0.001  # until there may be room in the ring to the engine again
MOST_SECONDS = 86400.0  # of one sleep: epoll takes no more than some weeks


class Sleeper:
    """The generation, and who sleeps. `lock` is that under which events are handed on."""

    def __init__(self, lock: "threading._RLock", fileno: Callable[[], int]) -> None:
        self._fileno = fileno
        self._lock = lock
        self._gates: List[threading.Lock] = []  # one for each that sleeps without leading: closed until there is news
        self._leader = False
        self._epoll: Optional[select.epoll] = None
        self._pipe = (-1, -1)
        self._closing = False
        self.generation = 0

    def news(self) -> None:
        """Something was handed on."""
        with self._lock:
            self._open_gates()
            if self._leader:
                with contextlib.suppress(BlockingIOError):  # full: it is told already
                    os.write(self._pipe[1], b"!")

    def sleep(self, generation: int, seconds: Optional[float]) -> None:
        """Until there may be news since the generation was read, or the time is over."""
        leads, gate = False, threading.Lock()
        try:
            with self._lock:
                if self.generation != generation or self._closing:
                    return
                if not self._leader:
                    if self._epoll is None:
                        self._open()
                    leads = self._leader = True
                else:
                    gate.acquire()
                    self._gates.append(gate)
            if leads:
                self._lead(seconds)
            else:
                gate.acquire(timeout=-1 if seconds is None else seconds)
        finally:
            if leads:
                self._resign()
            elif gate.locked():
                self._leave(gate)

    def _open_gates(self) -> None:
        self.generation += 1
        for gate in self._gates:
            with contextlib.suppress(RuntimeError):  # it is open
                gate.release()

    def _leave(self, gate: threading.Lock) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._gates.remove(gate)

    def _resign(self) -> None:
        with self._lock:
            self._leader = False
            self._open_gates()
            if self._closing:
                self._dispose()

    def _open(self) -> None:
        channel = self._fileno()
        self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(channel, select.EPOLLIN | select.EPOLLET)
        self._epoll.register(self._pipe[0], select.EPOLLIN)

    def _lead(self, seconds: Optional[float]) -> None:
        assert self._epoll is not None
        for descriptor, _ in self._epoll.poll(seconds):
            if descriptor == self._pipe[0]:
                with contextlib.suppress(BlockingIOError):
                    os.read(descriptor, 4096)

    def close(self) -> None:
        """Once the channel is gone. Whoever leads is woken, and takes the descriptors along; that may be the thread that calls this, in a
        signal handler."""
        with self._lock:
            self._closing = True
            self.news()
            if not self._leader:
                self._dispose()

    def _dispose(self) -> None:
        if self._epoll is not None:
            self._epoll.close()
            os.close(self._pipe[0])
            os.close(self._pipe[1])
            self._epoll = None

    def __del__(self) -> None:
        self._dispose()


def wait(channel: "Channel", attempt: Callable[[], Optional[T]], timeout: Optional[float], sleeper: Sleeper) -> T:
    """The first value of attempt() that is not None. Raises AgainError (timeout 0) or TimedOutError."""
    deadline = None if timeout is None else time.monotonic() + timeout
    polls_until = time.monotonic_ns() + channel._spin_ns
    while True:
        generation, gone = sleeper.generation, None
        try:
            channel._take_events()
        except errors.ChannelGoneError as problem:
            gone = problem  # what came before can still be received
        value = attempt()
        if value is not None:
            return value
        if gone is not None:
            raise gone
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise errors.from_status(Status.ETIMEDOUT if timeout else Status.EAGAIN)
        if channel._poll == Poll.SPIN or channel._poll == Poll.ADAPTIVE and time.monotonic_ns() < polls_until:
            os.sched_yield()
            time.sleep(0)  # others may have the interpreter
        else:
            most = RING_SECONDS if channel._dropped else MOST_SECONDS
            sleeper.sleep(generation, most if left is None else min(left, most))
