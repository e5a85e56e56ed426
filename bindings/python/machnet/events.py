# SPDX-License-Identifier: MIT
"""What happened on a channel, and what is known of it."""
from typing import Any, NamedTuple, Optional, Union

from ._constants import EventType, FlowState, Status


class Event(NamedTuple):
    """One thing that happened.

    type      an EventType, or an int if it is newer than this package
    status    for CLOSED: why the flow ended; Status.OK after our own close
    flow      the Flow, or None
    listener  the Listener, or None
    value     for RECEIVE_STALLED: bytes that this program holds borrowed or unread
    """

    type: Union[EventType, int]
    status: Union[Status, int]
    flow: Optional[Any]
    listener: Optional[Any]
    value: int


class FlowInfo(NamedTuple):
    """What the library knows of a flow.

    status                  why it ended, or Status.OK
    messages_sent           given to send or commit
    messages_acknowledged   held by the peer's engine
    messages_received       taken by receive calls
    messages_queued         waiting here to be received
    bytes_unacknowledged
    """

    state: FlowState
    status: Union[Status, int]
    messages_sent: int
    messages_acknowledged: int
    messages_received: int
    messages_queued: int
    bytes_unacknowledged: int


def known_type(number: int) -> Union[EventType, int]:
    try:
        return EventType(number)
    except ValueError:
        return number
