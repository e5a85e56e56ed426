# SPDX-License-Identifier: MIT
"""What channels, listeners and flows are in both worlds, threads (channel.py) and asyncio (aio.py): everything that does not wait.

Events are taken from the library and handed on in one place, _ChannelShared._take_events: flows learn that they are open, have space or have
ended, listeners get what they accepted. The channel keeps all flows that are open by their tokens, since messages and events name them so; a flow
leaves the table when it was closed *and* its end was told.

An exception of a signal handler may come anywhere. So an event is handed on by one call (_sides.settle) that takes it off and changes all tables;
what is not settled stays, and the next call goes on with it.
"""
import contextlib
import os
import threading
import warnings
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Generic, List, Optional, Sequence, Set, Tuple, TypeVar, Union

from . import address as address_module
from . import errors
from . import options as options_module
from ._constants import MESSAGE_MAX, CloseFlags, EventType, FlowState, Status
from ._library import check, ffi, lib, text
from ._sides import FlowBase, Message, Sides, settle
from ._types import SendableAnywhere, Taken
from .address import Address, AddressLike
from .buffers import Borrowed, Reserved, borrowed, reserved
from .events import Event, FlowInfo, known_type
from .options import Options

if TYPE_CHECKING:
    from .context import Context

FlowT = TypeVar("FlowT", bound="FlowShared")
ListenerT = TypeVar("ListenerT", bound="ListenerShared[Any]")


class FlowShared(FlowBase):
    """A reliable, ordered, bidirectional sequence of messages between two channels."""

    __slots__ = ("_channel", "_listener", "_opened", "_end", "_closed", "__weakref__")

    def __init__(self, sides: Sides, token: int, channel: Any, listener: Optional[Any]) -> None:
        self._channel = channel
        self._listener = listener
        self._opened = listener is not None
        self._end: Optional[int] = None  # status of its end, once it was told
        self._closed = False

    @property
    def channel(self) -> Any:
        """The channel that it is of."""
        return self._channel

    @property
    def listener(self) -> Optional[Any]:
        """The listener that accepted it, or None."""
        return self._listener

    def addresses(self) -> Tuple[Address, Address]:
        """Both ends, local and remote. Raises AgainError while it is not open."""
        local, remote = ffi.new("machnet_address *"), ffi.new("machnet_address *")
        check(lib.machnet_flow_addresses(self._channel._held(), self.token, local, remote))
        return address_module.unpack(local), address_module.unpack(remote)

    def info(self) -> FlowInfo:
        """What the library knows of it; numbers of other threads may be a moment old."""
        info = ffi.new("machnet_flow_info *")
        check(lib.machnet_flow_info_get(self._channel._held(), self.token, info))
        return FlowInfo(FlowState(info.state), errors.known(info.status), info.messages_sent, info.messages_acknowledged,
                        info.messages_received, info.messages_queued, info.bytes_unacknowledged)

    def try_borrow(self) -> Optional[Borrowed]:
        """The next message without a copy, or None if there is none now."""
        return borrowed(self._borrow())

    def try_reserve(self, length: int) -> Optional[Reserved]:
        """Space for a message of `length` bytes, or None if there is none now."""
        return reserved(self._reserve(length))

    def try_close(self, *, abort: bool = False) -> bool:
        """As close, without waiting. False: the ring to the engine is full, call again."""
        if not self._closed:
            try:
                if not self._try_close(CloseFlags.ABORT if abort else 0):
                    return False
            except errors.StaleError:
                pass  # it is closed; an exception of a signal handler came before that was noted
            except (errors.ChannelGoneError, errors.ForkedError):
                self._end = Status.ESHUTDOWN if self._end is None else self._end
            self._closed = True
        if self._end is not None:
            self._channel._flows.pop(self.token, None)
        self._channel._told(self)
        return True

    def _opening(self) -> Optional[bool]:
        """True: it is open. None: not yet. Raises why not."""
        if self._closed:
            raise errors.from_status(Status.EBADTOKEN)
        if self._end is not None:
            raise errors.from_status(self._end or Status.ECLOSED, of_flow=True)
        return self._opened or None

    def _ending(self) -> Optional[Union[Status, int]]:
        """Why it ended, if it has."""
        if self._end is None and self._channel.closed:
            raise errors.from_status(Status.ESHUTDOWN)
        return None if self._end is None else errors.known(self._end)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self._end is not None else "open" if self._opened else "opening"
        return "<%s %#x, %s>" % (type(self).__name__, self.token, state)


class ListenerShared(Generic[FlowT]):
    """Accepts flows at one address."""

    __slots__ = ("_channel", "token", "address", "_accepted", "_closed", "__weakref__")

    def __init__(self, channel: Any, token: int, address: Address) -> None:
        self._channel = channel
        self.token = token
        self.address = address  # with the port that was chosen
        self._accepted: Deque[FlowT] = deque()
        self._closed = False

    @property
    def channel(self) -> Any:
        """The channel that it is of."""
        return self._channel

    def _next(self) -> Optional[FlowT]:
        with self._channel._lock:
            if self._accepted:
                return self._accepted.popleft()
        if self._closed or self._channel.closed:
            raise errors.StaleError("the listener is closed", Status.EBADTOKEN)
        return None

    def close(self) -> None:
        """Stops accepting; flows that accept() gave live on, others are refused. May block for a round trip to the engine process.

        Raises TimedOutError when the engine does not answer: call again.
        """
        if not self._closed:
            error = ffi.new("machnet_error *")
            try:
                check(lib.machnet_listener_close(self._channel._held(), self.token, 0, error), error)
            except (errors.ChannelGoneError, errors.ForkedError, errors.StaleError):
                pass  # it is closed
            self._closed = True
        self._channel._listeners.pop(self.token, None)
        with self._channel._lock:
            while self._accepted:
                self._channel._drop(self._accepted[0])
                self._accepted.popleft()
        self._channel._told(self)

    def __repr__(self) -> str:
        return "<%s %s%s>" % (type(self).__name__, self.address, ", closed" if self._closed else "")


class ChannelShared(Generic[FlowT, ListenerT]):
    """A channel to the engine."""

    def __init__(self, context: "Context", options: Optional[Options] = None) -> None:
        self._closed = True
        self._process = os.getpid()
        self._lock = threading.RLock()  # events are taken and handed on as one; a finaliser may come in between
        self._taken: List[Taken] = []  # and not handed on yet
        self._flows: Dict[int, FlowT] = {}
        self._dropped: Set[FlowT] = set()  # to be aborted, when there is room in the ring to the engine
        self._listeners: Dict[int, ListenerT] = {}
        self._events: Optional[List[Event]] = None  # for try_events, from its first call on
        self._sides = context._attach(options)
        self._closed = False
        _open_channels.add(self)
        self._take_events()  # from now on the library tells of a flow before it gives its messages

    def _make_flow(self, token: int, listener: Optional[ListenerT]) -> FlowT:
        raise NotImplementedError

    def _make_listener(self, token: int, address: Address) -> ListenerT:
        raise NotImplementedError

    def _told(self, who: Optional[Any]) -> None:
        """Something happened to a flow or a listener (None: to the channel)."""
        raise NotImplementedError

    def _held(self) -> Any:
        """The machnet_channel *, with a reference of its own: for calls that any thread may make."""
        return ffi.gc(ffi.cast("machnet_channel *", self._sides.hold()), lib.machnet_channel_unref)

    # ---- What happened

    def _take_events(self) -> bool:
        """Takes the events that came and hands them on. Whether there were any. Raises ChannelGoneError when there were none, and come no more."""
        if os.getpid() != self._process:
            raise errors.from_status(Status.EFORKED)
        with self._lock:
            some = self._hand_on()
            try:
                while self._sides.events(self._taken) > 0:
                    some = self._hand_on()
            except errors.MachnetError:
                if not some:  # else the next call says it
                    raise
            if self._dropped:
                self._abort_dropped()
            return some

    def _hand_on(self) -> bool:
        some = False
        while (event := next(iter(self._taken), None)) is not None:
            some = True
            self._hand_on_one(event)
        return some

    def _hand_on_one(self, event: Taken) -> None:
        kind, status, token, listener_token, value = event
        flow, listener = self._flows.get(token), self._listeners.get(listener_token)
        calls: List[Tuple[Callable[..., object], Tuple[object, ...]]] = []
        if kind == EventType.ACCEPTED and flow is None:
            flow = self._make_flow(token, listener)
            calls.append((self._flows.__setitem__, (token, flow)))
            calls.append((self._dropped.add if listener is None else listener._accepted.append, (flow,)))
        elif flow is None:
            pass  # of a flow that is long closed
        elif kind == EventType.ESTABLISHED:
            flow._opened = True
        elif kind == EventType.CLOSED:
            flow._end = status
            if flow._closed:
                calls.append((self._flows.pop, (token, None)))
        elif kind == EventType.SEND_SPACE:
            flow._refused = False
        if self._events is not None:
            calls.append((self._events.append, (Event(known_type(kind), errors.known(status), flow, listener, value),)))
        try:
            settle(self._taken, event, calls)
        finally:
            self._told(listener if kind == EventType.ACCEPTED else flow)

    def _drop(self, flow: FlowT) -> None:
        """Aborts a flow that nobody is to get."""
        self._dropped.add(flow)
        self._abort_dropped()

    def _abort_dropped(self) -> None:
        """Those for which the ring is full stay, for the next call."""
        for flow in list(self._dropped):
            if flow.try_close(abort=True):
                self._dropped.discard(flow)

    def _keep_events(self) -> List[Event]:
        if self._events is None:
            self._events = []
        return self._events

    def try_events(self) -> List[Event]:
        """Events that came since the last call; the first call begins to keep them. Flows told as ACCEPTED here are not given by accept()."""
        with self._lock:
            self._keep_events()
            try:
                self._take_events()
            except errors.ChannelGoneError as problem:
                if not self._events or problem.code == Status.ESHUTDOWN:
                    raise
            events = self._keep_events()
            for event in events:
                if event.type == EventType.ACCEPTED and event.listener is not None:
                    with contextlib.suppress(ValueError):  # accept() gave it
                        event.listener._accepted.remove(event.flow)
            self._events = []
        return events

    # ---- Listeners, flows

    def open_listener(self, local: AddressLike) -> ListenerT:
        """Accepts flows at a port of one address of the engine, or of all (":7000"). Port 0: the engine chooses; .address has it.

        May block for a round trip to the engine process. Raises AddressError, QuotaError, ChannelGoneError.
        """
        channel, error, token = self._held(), ffi.new("machnet_error *"), ffi.new("uint64_t *")
        packed = address_module.pack(local)
        try:
            with self._lock:  # nobody hands on what it accepts before it is known
                check(lib.machnet_listener_open(channel, packed, ffi.NULL, token, error), error)
                check(lib.machnet_listener_address(channel, token[0], packed))
                listener = self._make_listener(token[0], address_module.unpack(packed))
                self._listeners[token[0]] = listener
            return listener
        except BaseException:
            if token[0] != 0:
                self._listeners.pop(token[0], None)
                lib.machnet_listener_close(channel, token[0], 0, ffi.NULL)
            raise

    def try_start_flow(self, remote: AddressLike, *, local: Optional[AddressLike] = None,
                       options: Optional[Options] = None) -> Optional[FlowT]:
        """As start_flow, without waiting. None: too many requests are under way, call again."""
        packed = options_module.pack(options)
        flow = self._make_flow(0, None)
        try:
            opened = flow._open(self._flows, None if local is None else address_module.pack_bytes(local),
                                address_module.pack_bytes(remote), int(ffi.cast("uintptr_t", packed)))
            return flow if opened else None
        except BaseException:
            if flow.token != 0:
                self._drop(flow)
            raise

    # ---- Messages of any flow

    def _some_news(self) -> bool:
        """Whether another try is worth while."""
        try:
            return self._take_events()
        except errors.ChannelGoneError:
            return True  # it gives what came before, then raises

    def try_send_many(self, messages: Sequence[SendableAnywhere], start: int = 0) -> int:
        """Sends messages[start:], each (flow, data, tag) or a Message with its flow, without waiting. How many went out; 0: no space now."""
        return self._sides.send_many(messages, start)

    def try_receive(self, limit: int = MESSAGE_MAX) -> Optional[Message]:
        """The next message of any flow, in turn, or None if there is none now."""
        message = self._sides.receive(self._flows, limit)
        if message is None and self._some_news():  # the first messages of a flow wait for the news of it
            message = self._sides.receive(self._flows, limit)
        return message

    def try_receive_many(self, max: int = 32) -> List[Message]:  # pylint: disable=redefined-builtin
        """Up to `max` messages (at most 256) that are there, of any flows, as a list, which may be empty."""
        messages = self._sides.receive_many(self._flows, max)
        if not messages and self._some_news():
            messages = self._sides.receive_many(self._flows, max)
        return messages

    def try_borrow(self) -> Optional[Borrowed]:
        """The next message of any flow without a copy, or None if there is none now."""
        buffer = self._sides.borrow(self._flows)
        if buffer is None and self._some_news():
            buffer = self._sides.borrow(self._flows)
        return borrowed(buffer)

    # ---- The channel itself

    def stats(self) -> Dict[str, int]:
        """Counters by name. They only grow, unless the name ends in "_now"."""
        channel = self._held()
        count = check(lib.machnet_channel_stats(channel, ffi.new("uint64_t[]", 1), 1))
        values = ffi.new("uint64_t[]", count)
        check(lib.machnet_channel_stats(channel, values, count))
        return {text(lib.machnet_stat_name(i)): values[i] for i in range(count)}

    def fileno(self) -> int:
        """A descriptor for poll and epoll, readable while messages or events may be waiting. Only poll it: the channel owns it.

        Call try_receive and try_events until there is nothing, then poll.
        """
        return check(lib.machnet_channel_fd(self._held()))

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    def shutdown(self) -> None:
        """Detaches from the engine: flows are aborted, all waits end, all calls raise ShutdownError. Any thread."""
        self._sides.shutdown()

    def _close_sides(self) -> None:
        self._closed = True
        self._sides.close()
        for listener in list(self._listeners.values()):
            listener._closed = True
        self._flows.clear()
        self._listeners.clear()

    def _after_fork(self) -> None:
        """In the child, where no thread is that could give the lock back. Calls raise ForkedError."""
        self._lock = threading.RLock()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn("unclosed %r" % self, ResourceWarning, source=self)


_open_channels: "weakref.WeakSet[ChannelShared[Any, Any]]" = weakref.WeakSet()


def _after_fork() -> None:
    for channel in list(_open_channels):
        channel._after_fork()


os.register_at_fork(after_in_child=_after_fork)
