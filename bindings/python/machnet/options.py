# SPDX-License-Identifier: MIT
"""Options of contexts, channels and flows."""
import os
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Union

from . import errors
from ._constants import Option, Poll, Status
from ._library import c_string, check, ffi, lib


@dataclass(frozen=True)
class Options:
    """What is None keeps its default. A call answers NotSupportedError if an option is set that it has no use for.

    socket_path      of a context: the engine's socket. Default: $MACHNET_SOCKET, else /run/machnet/machnet.sock, else
                     $XDG_RUNTIME_DIR/machnet.sock
    name             of a channel: at most 31 bytes, shown by `machnet status`. Default: the program's name
    send_bytes       of a channel: most bytes of the send arena. Default 64 MiB; grows on demand
    receive_bytes    of a channel: most bytes of the receive arena. Default 64 MiB, at least 16 MiB; grows on demand
    poll             of a channel: how calls wait: Poll.ADAPTIVE (the default: poll for spin_ns, then sleep), Poll.SPIN, Poll.SLEEP
    spin_ns          of a channel: how long an adaptive wait polls before it sleeps. Default here 50,000 ns
    open_timeout_ns  of a flow: the peer must answer within it. Default 3 s, at least 1 ms
    more             options that this package does not know, by number
    """

    socket_path: Union[None, str, "os.PathLike[str]"] = None
    name: Optional[str] = None
    send_bytes: Optional[int] = None
    receive_bytes: Optional[int] = None
    poll: Optional[Poll] = None
    spin_ns: Optional[int] = None
    open_timeout_ns: Optional[int] = None
    more: Mapping[int, Union[int, str]] = field(default_factory=dict)


_FIELDS = {
    "socket_path": Option.SOCKET_PATH,
    "name": Option.NAME,
    "send_bytes": Option.SEND_BYTES,
    "receive_bytes": Option.RECEIVE_BYTES,
    "poll": Option.POLL,
    "spin_ns": Option.SPIN_NS,
    "open_timeout_ns": Option.OPEN_TIMEOUT_NS,
}


def _name(number: Any) -> str:
    return next((name for name, key in _FIELDS.items() if key == number), "more[%r]" % (number,))


def _set(packed: Any, number: int, value: Any) -> None:
    try:
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if isinstance(value, str):
            check(lib.machnet_options_set_str(packed, number, c_string(value)))
        elif value is not None:
            check(lib.machnet_options_set_u64(packed, number, value))
    except errors.NotSupportedError as problem:
        raise errors.from_status(problem.code, "This library does not know Options.%s: leave it out, or install a newer release" % _name(number)) from None
    except TypeError:
        raise TypeError("Options.%s cannot be %r: see help(machnet.Options)" % (_name(number), value)) from None
    except (errors.ArgumentError, OverflowError):
        raise errors.from_status(Status.EINVAL, "Options.%s cannot be %r: see help(machnet.Options)" % (_name(number), value)) from None


def pack(options: Optional[Options]) -> Any:
    """A machnet_options * that frees itself, or NULL."""
    if options is None:
        return ffi.NULL
    if not isinstance(options, Options):
        raise TypeError("options are machnet.Options(...), not %r (a socket is given as socket_path=...)" % (options,))
    pointer = ffi.new("machnet_options **")
    check(lib.machnet_options_new(pointer))
    packed = ffi.gc(pointer[0], lib.machnet_options_free)
    for name, key in _FIELDS.items():
        _set(packed, key, getattr(options, name))
    for number, value in options.more.items():
        _set(packed, number, value)
    return packed
