# SPDX-License-Identifier: MIT
"""Messages in shared memory: received without a copy, and to be sent without one."""
from types import TracebackType
from typing import Any, Optional, Type

from ._constants import Status
from ._sides import Buffer
from .errors import StaleError


class Borrowed:
    """A received message where it lies.

    `data` is a read-only memoryview. It, and whatever is made from it (slices, numpy arrays), stays valid as long as something refers to it,
    also after the flow, the channel, or this object is closed. Until all of them are gone the message counts against the space in which its
    channel can receive. Leaving a with block, or release(), drops `data`; else it goes with this object. May be released by any thread.
    """

    __slots__ = ("_buffer", "_data", "__weakref__")

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._data: Optional[memoryview] = memoryview(buffer)  # type: ignore[arg-type]

    @property
    def data(self) -> memoryview:
        """The bytes. Raises StaleError when released."""
        data = self._data
        if data is None:
            raise StaleError("the message was released", Status.EBADTOKEN)
        return data

    @property
    def tag(self) -> int:
        """The number that its sender gave, 0 to 2**64 - 1."""
        return self._buffer.tag

    @property
    def flow(self) -> Any:
        """The flow that it came on."""
        return self._buffer.flow

    def release(self) -> None:
        """Gives the message back, as soon as no view of it is left. Releasing again does nothing."""
        self._data = None
        self._buffer.release()

    def __len__(self) -> int:
        return self._buffer.length

    def __enter__(self) -> "Borrowed":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.release()


class Reserved:
    """Space for one message of a flow, to be written through `data` and then committed.

    `data` is a writable memoryview of what was reserved. commit() ends it: what was sent cannot be written any more. While something else made
    from it (a slice that is kept, a numpy array) is alive, commit() and abandon() raise BufferError. Leaving a with block without commit()
    abandons the buffer, and so does losing the last reference.
    """

    __slots__ = ("_buffer", "_data", "__weakref__")

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._data: Optional[memoryview] = None

    @property
    def data(self) -> memoryview:
        """The bytes to write. Raises BufferError when committed or abandoned."""
        if self._data is None:
            self._data = memoryview(self._buffer)  # type: ignore[arg-type]
        return self._data

    @property
    def flow(self) -> Any:
        """The flow that it is for."""
        return self._buffer.flow

    def _drop_view(self) -> None:
        if self._data is not None:
            self._data.release()
            self._data = None

    def try_commit(self, length: Optional[int] = None, tag: int = 0) -> bool:
        """Sends the first `length` bytes (None: all) with `tag`. False: the ring is full, call again. Raises as send."""
        self._drop_view()
        return self._buffer.commit(len(self) if length is None else length, tag)

    def commit(self, length: Optional[int] = None, tag: int = 0, timeout: Optional[float] = None) -> None:
        """Sends the first `length` bytes (None: all) with `tag`; waits for room in the ring at most `timeout` seconds (None: for ever)."""
        self.flow._until(lambda: self.try_commit(length, tag) or None, timeout)

    def abandon(self) -> None:
        """Gives the buffer back unsent. After commit or abandon it does nothing."""
        self._drop_view()
        self._buffer.release()

    def __len__(self) -> int:
        return self._buffer.length

    def __enter__(self) -> "Reserved":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        try:
            self.abandon()
        except BufferError:
            if kind is None:
                raise


def borrowed(buffer: Optional[Buffer]) -> Optional[Borrowed]:
    return None if buffer is None else Borrowed(buffer)


def reserved(buffer: Optional[Buffer]) -> Optional[Reserved]:
    return None if buffer is None else Reserved(buffer)
