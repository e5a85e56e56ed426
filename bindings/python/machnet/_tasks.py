# SPDX-License-Identifier: MIT
"""How tasks of asyncio wait for news."""
import asyncio
import contextlib
import os
import select
import weakref
from collections import deque
from typing import Any, Deque, Optional, Set


class Watch:
    """What the event loop holds of a channel: not the channel itself, so that it can be lost, unless tasks wait for it."""

    __slots__ = ("_channel", "_loop", "_process", "_edges", "waiting")

    def __init__(self, channel: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._channel = weakref.ref(channel)
        self._loop = loop
        self._process = os.getpid()
        self._edges: Optional[select.epoll] = None
        self.waiting: Set["asyncio.Future[None]"] = set()

    def open(self, descriptor: int) -> None:
        """Edge-triggered: the descriptor stays readable while messages lie there that no task waits for."""
        edges = select.epoll()
        edges.register(descriptor, select.EPOLLIN | select.EPOLLET)
        self._loop.add_reader(edges.fileno(), self._readable)
        self._edges = edges

    def _readable(self) -> None:
        if self._edges is not None:
            self._edges.poll(0)
        channel = self._channel()
        if channel is not None:
            channel._look()

    def close(self) -> None:
        edges, self._edges = self._edges, None
        if edges is not None and os.getpid() == self._process:  # what a loop watches is shared with children of fork
            self._loop.remove_reader(edges.fileno())
            edges.close()

    def lose(self) -> None:
        """As close, on any thread."""
        if self._edges is not None and os.getpid() == self._process:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.close)


class Waiters:
    """Tasks that wait for the same thing. All are woken: each tries again, so a cancelled one takes nothing along."""

    __slots__ = ("_futures", "_watch")

    def __init__(self, watch: Watch) -> None:
        self._futures: Deque["asyncio.Future[None]"] = deque()
        self._watch = watch

    async def wait(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        self._watch.waiting.add(future)
        try:
            await future
        finally:
            self._watch.waiting.discard(future)
            with contextlib.suppress(ValueError):  # it was woken
                self._futures.remove(future)

    def wake(self) -> None:
        while self._futures:
            future = self._futures.popleft()
            if not future.done():
                future.set_result(None)

    def __len__(self) -> int:
        return len(self._futures)
