# SPDX-License-Identifier: MIT
"""Machnet: low-latency messages between ordinary programs on ordinary VMs.

    with machnet.Context() as context, context.open_channel() as channel:
        with channel.open_flow("10.0.0.2:7000") as flow:
            flow.send(b"hello, world")
            print(flow.receive().data)

machnet.aio is the same for asyncio. README.md of bindings/python tells of errors, threads and messages without a copy.
"""
from . import errors
from ._constants import ABI_VERSION, MESSAGE_MAX, EventType, FlowState, Poll, Status, Wait
from ._library import c_string as _c_string
from ._library import lib as _lib
from ._library import text as _text
from ._sides import Message
from .address import Address
from .buffers import Borrowed, Reserved
from .channel import Channel, Flow, Listener
from .context import Context
from .errors import MachnetError
from .events import Event, FlowInfo
from .options import Options

__version__ = _text(_lib.machnet_version_string())


def has_feature(name: str) -> bool:
    """Whether the library has a feature ("packed", "zero-copy", "ipv6", ...)."""
    return bool(_lib.machnet_has_feature(_c_string(name)))


__all__ = [
    "ABI_VERSION", "MESSAGE_MAX", "Address", "Borrowed", "Channel", "Context", "Event", "EventType", "Flow", "FlowInfo", "FlowState",
    "Listener", "MachnetError", "Message", "Options", "Poll", "Reserved", "Status", "Wait", "errors", "has_feature",
]
