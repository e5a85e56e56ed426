# SPDX-License-Identifier: MIT
"""How tasks of asyncio wait for news."""
import asyncio
import contextlib
from collections import deque
from typing import Deque


class Waiters:
    """Tasks that wait for the same thing. All are woken: each tries again, so a cancelled one takes nothing along."""

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: Deque["asyncio.Future[None]"] = deque()

    async def wait(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        try:
            await future
        finally:
            with contextlib.suppress(ValueError):  # it was woken
                self._futures.remove(future)

    def wake(self) -> None:
        while self._futures:
            future = self._futures.popleft()
            if not future.done():
                future.set_result(None)

    def __len__(self) -> int:
        return len(self._futures)
