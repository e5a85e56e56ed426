# SPDX-License-Identifier: MIT
"""The way to the engine."""
import dataclasses
import json
import os
from types import TracebackType
from typing import Any, Dict, Optional, Type, Union

from . import errors
from . import options as options_module
from ._constants import ABI_VERSION, Status
from ._library import check, ffi, lib
from ._sides import Sides
from .channel import Channel
from .options import Options


class Context:
    """Finds the engine and agrees on versions with it; channels are opened from it, and outlive it.

    socket_path is short for Options(socket_path=...). Raises AttachError. May be used by several threads at once.
    """

    def __init__(self, options: Optional[Options] = None, *, socket_path: Union[None, str, "os.PathLike[str]"] = None) -> None:
        self._handle: Any = None
        if socket_path is not None:
            options = dataclasses.replace(options or Options(), socket_path=socket_path)
        error, pointer = ffi.new("machnet_error *"), ffi.new("machnet_context **")
        check(lib.machnet_context_open(ABI_VERSION, options_module.pack(options), pointer, error), error)
        self._handle = ffi.gc(pointer[0], lib.machnet_context_unref)

    def _open_handle(self) -> Any:
        """Who holds it keeps the context, also while another thread closes this object."""
        handle = self._handle
        if handle is None:
            raise errors.StaleError("the context is closed", Status.EINVAL)
        return handle

    def open_channel(self, options: Optional[Options] = None) -> Channel:
        """A channel of one's own to the engine. May block for a round trip to the engine process. Raises AttachError."""
        return Channel(self, options)

    def _attach(self, options: Optional[Options]) -> Sides:
        handle = self._open_handle()
        error, pointer = ffi.new("machnet_error *"), ffi.new("machnet_channel **")
        check(lib.machnet_channel_open(handle, options_module.pack(options), pointer, error), error)
        return Sides(int(ffi.cast("uintptr_t", pointer[0])))

    def status(self) -> Dict[str, Any]:
        """What the engine says of itself: the same that `machnet status --json` prints."""
        handle = self._open_handle()
        error, length = ffi.new("machnet_error *"), ffi.new("uint64_t *", 1 << 16)
        result = Status.EMSGSIZE.value
        while result == Status.EMSGSIZE:
            capacity = 2 * length[0]  # it may have grown meanwhile
            buffer = ffi.new("char[]", capacity)
            result = lib.machnet_context_status(handle, buffer, capacity, length, error)
        check(result, error)
        answer: Dict[str, Any] = json.loads(ffi.buffer(buffer, length[0])[:])
        return answer

    def close(self) -> None:
        """Gives the context back. Its channels live on. Closing again does nothing."""
        self._handle = None

    def __enter__(self) -> "Context":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()
