# SPDX-License-Identifier: MIT
"""Channels, listeners and flows for programs with threads. All calls may be made by any thread; calls on one side of a channel take turns."""
import time
from types import TracebackType
from typing import TYPE_CHECKING, Callable, Iterator, List, Optional, Sequence, Tuple, Type, TypeVar, Union

from . import _waiting, errors
from ._constants import MESSAGE_MAX, Poll, Status, Wait
from ._shared import ChannelShared, FlowShared, ListenerShared
from ._sides import Message
from ._types import Buffer, Sendable, SendableAnywhere
from .address import Address, AddressLike
from .buffers import Borrowed, Reserved
from .events import Event
from .options import Options

if TYPE_CHECKING:
    from .context import Context

T = TypeVar("T")
SPIN_NS = 50_000  # these waits do not learn whether polling pays, as the library's do: so they poll less


class Flow(FlowShared):
    """A reliable, ordered, bidirectional sequence of messages between two channels.

    `timeout` is in seconds: None waits for ever; 0 does not wait, and raises AgainError; else TimedOutError when it is over. When the flow has
    ended, receive calls give what came before, then raise why (FlowEndedError); sends raise it at once. Iterating ends when the peer
    has closed the flow. A flow lives until it is closed, or its channel is.
    """

    __slots__ = ()

    def _until(self, attempt: Callable[[], Optional[T]], timeout: Optional[float]) -> T:
        until: T = self._channel._until(attempt, timeout)
        return until

    def send(self, data: Buffer, tag: int = 0, timeout: Optional[float] = None) -> None:
        """Sends one message: a copy of `data` (bytes-like, 0 to MESSAGE_MAX bytes), with a tag of 0 to 2**64 - 1. Waits for space."""
        if not self.try_send(data, tag):
            self._until(lambda: self.try_send(data, tag) or None, timeout)

    def send_many(self, messages: Sequence[Sendable], timeout: Optional[float] = None) -> None:
        """Sends messages, each bytes-like, (data, tag) or a Message; waits for space as often as need be.

        When it raises, some may have gone out, in order; try_send_many counts them.
        """
        sent = self.try_send_many(messages)
        if sent < len(messages):
            self._channel._send_rest(self.try_send_many, messages, sent, timeout)

    def receive(self, timeout: Optional[float] = None, *, limit: int = MESSAGE_MAX) -> Message:
        """The next message. One longer than `limit` bytes stays, and MessageSizeError has its length."""
        message = self.try_receive(limit)
        if message is None:
            message = self._until(lambda: self.try_receive(limit), timeout)
        return message

    def receive_many(self, max: int = 32, timeout: Optional[float] = None) -> List[Message]:  # pylint: disable=redefined-builtin
        """At least one message, and up to `max` (at most 256) of what is there."""
        return self.try_receive_many(max) or self._until(lambda: self.try_receive_many(max) or None, timeout)

    def receive_into(self, buffer: Buffer, timeout: Optional[float] = None) -> Tuple[int, int]:
        """The next message into a writable buffer: its length and tag. One longer than the buffer stays, and MessageSizeError has its length."""
        return self.try_receive_into(buffer) or self._until(lambda: self.try_receive_into(buffer), timeout)

    def borrow(self, timeout: Optional[float] = None) -> Borrowed:
        """The next message without a copy."""
        return self._until(self.try_borrow, timeout)

    def reserve(self, length: int, timeout: Optional[float] = None) -> Reserved:
        """Space for a message of `length` bytes, to be written and committed. Waits for space."""
        return self._until(lambda: self.try_reserve(length), timeout)

    def wait_open(self, timeout: Optional[float] = None) -> None:
        """Until a flow of start_flow is open. Raises FlowEndedError: why it could not be opened."""
        self._until(self._opening, timeout)

    def wait_closed(self, timeout: Optional[float] = None) -> Union[Status, int]:
        """Until the flow has ended: why. Status.OK after our own close: then the peer's engine has all messages."""
        return self._until(self._ending, timeout)

    def wait_space(self, timeout: Optional[float] = None) -> None:
        """Until a flow whose try_send answered False can send again."""
        def attempt() -> Optional[bool]:
            self._opening()  # raises if it has ended
            return None if self._refused else True
        self._until(attempt, timeout)

    def close(self, *, abort: bool = False) -> None:
        """Closes the flow: unread messages are dropped, messages sent before are still delivered while the channel lives (wait_closed).

        `abort` drops what was not acknowledged, and the peer gets FlowResetError. Closing again does nothing.
        """
        while not self.try_close(abort=abort):
            time.sleep(0.0005)  # the ring to the engine is full

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        try:
            return self.receive()
        except errors.FlowClosedError:
            raise StopIteration from None

    def __enter__(self) -> "Flow":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()


class Listener(ListenerShared[Flow]):
    """Accepts flows at one address: accept(), or iterate. It lives until it is closed, or its channel is."""

    __slots__ = ()

    def accept(self, timeout: Optional[float] = None) -> Flow:
        """The next flow that was accepted. `timeout` in seconds: None waits for ever; 0 does not wait, and raises AgainError."""
        flow: Flow = self._channel._until(self._next, timeout)
        return flow

    def close(self) -> None:
        super().close()
        while self._channel._dropped:
            time.sleep(0.0005)  # the ring to the engine is full
            self._channel._abort_dropped()

    close.__doc__ = ListenerShared.close.__doc__

    def __iter__(self) -> Iterator[Flow]:
        return self

    def __next__(self) -> Flow:
        try:
            return self.accept()
        except errors.StaleError:
            raise StopIteration from None

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()


class Channel(ChannelShared[Flow, Listener]):
    """A channel to the engine: a shared memory through which messages go.

    When it is closed, its flows are aborted and what they have not delivered is lost: wait for Flow.wait_closed() before. Borrowed messages
    stay valid.
    """

    def __init__(self, context: "Context", options: Optional[Options] = None) -> None:
        self._woken = False
        self._sleeper: Optional[_waiting.Sleeper] = None
        super().__init__(context, options)
        chosen = options or Options()
        self._poll = Poll.ADAPTIVE if chosen.poll is None else chosen.poll
        self._spin_ns = SPIN_NS if chosen.spin_ns is None else chosen.spin_ns
        self._sleeper = _waiting.Sleeper(self._lock, self.fileno)

    def _make_flow(self, token: int, listener: Optional[Listener]) -> Flow:
        return Flow(self._sides, token, self, listener)

    def _make_listener(self, token: int, address: Address) -> Listener:
        return Listener(self, token, address)

    def _told(self, who: object) -> None:
        if self._sleeper is not None:
            self._sleeper.news()

    def _until(self, attempt: Callable[[], Optional[T]], timeout: Optional[float]) -> T:
        value = attempt()
        if value is not None:
            return value
        assert self._sleeper is not None
        return _waiting.wait(self, attempt, timeout, self._sleeper)

    # ---- Flows

    def start_flow(self, remote: AddressLike, *, local: Optional[AddressLike] = None, options: Optional[Options] = None,
                   timeout: Optional[float] = None) -> Flow:
        """Opens a flow without waiting until it is open: messages may be sent at once. See Flow.wait_open."""
        while True:
            flow = self.try_start_flow(remote, local=local, options=options)
            if flow is not None:
                return flow
            if timeout is not None and timeout <= 0:
                raise errors.from_status(Status.EAGAIN)
            timeout = None if timeout is None else timeout - 0.001
            time.sleep(0.001)  # the engine is answering others

    def open_flow(self, remote: AddressLike, *, local: Optional[AddressLike] = None, options: Optional[Options] = None,
                  timeout: Optional[float] = None) -> Flow:
        """Opens a flow, and waits until it is open: at most `timeout` seconds, and Options.open_timeout_ns. When it raises there is no flow.

        Raises FlowEndedError (FlowRefusedError, UnreachableError, ...), TimedOutError, ChannelGoneError.
        """
        flow = self.start_flow(remote, local=local, options=options, timeout=timeout)
        try:
            flow.wait_open(timeout)
        except BaseException:
            flow.close(abort=True)
            raise
        return flow

    # ---- Messages of any flow

    def _send_rest(self, send: Callable[[Sequence[T], int], int], messages: Sequence[T], sent: int, timeout: Optional[float]) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while sent < len(messages):
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            sent += self._until(lambda: send(messages, sent) or None, left)  # pylint: disable=cell-var-from-loop

    def send_many(self, messages: Sequence[SendableAnywhere], timeout: Optional[float] = None) -> None:
        """Sends messages of several flows, each (flow, data, tag) or a Message that has its flow. As Flow.send_many."""
        sent = self.try_send_many(messages)
        if sent < len(messages):
            self._send_rest(self.try_send_many, messages, sent, timeout)

    def receive(self, timeout: Optional[float] = None, *, limit: int = MESSAGE_MAX) -> Message:
        """The next message of any flow, in turn; Message.flow says which. As Flow.receive; ends of flows are told by events alone."""
        return self._until(lambda: self.try_receive(limit), timeout)

    def receive_many(self, max: int = 32, timeout: Optional[float] = None) -> List[Message]:  # pylint: disable=redefined-builtin
        """At least one message, and up to `max` (at most 256) of what is there, of any flows."""
        return self._until(lambda: self.try_receive_many(max) or None, timeout)

    def borrow(self, timeout: Optional[float] = None) -> Borrowed:
        """The next message of any flow without a copy."""
        return self._until(self.try_borrow, timeout)

    # ---- Waiting

    def events(self, timeout: Optional[float] = None) -> List[Event]:
        """At least one event since the last call. The first call begins to keep them."""
        return self._until(lambda: self.try_events() or None, timeout)

    def wait(self, mask: Wait = Wait.RECEIVE | Wait.EVENT, timeout: Optional[float] = None) -> Wait:
        """Waits until something of the mask holds: which. Wait(0): wake() was called.

        RECEIVE: a message can be received, or a flow has ended. EVENT: try_events has something. SEND: a flow that had no space can send.
        """
        return self._until(lambda: self._look(mask), timeout)

    def _look(self, mask: Wait) -> Optional[Wait]:
        if self._woken:
            self._woken = False
            return Wait(0)
        others = int(mask) & ~Wait.EVENT.value
        held = Wait(self._sides.look(others)) if others or not mask else Wait(0)
        if mask & Wait.EVENT:
            if self._events is None:
                self._keep_events()
                self._take_events()
            if self._events:
                held |= Wait.EVENT
        return held or None

    def wake(self) -> None:
        """Makes the present or else the next wait() return. Any thread, and signal handlers."""
        self._sides.wake()
        self._woken = True
        self._told(None)

    def close(self) -> None:
        """Detaches from the engine: flows are aborted, waits of other threads end with ShutdownError. Closing again does nothing."""
        if self._closed:
            return
        self._close_sides()
        if self._sleeper is not None:
            self._sleeper.close()

    def _after_fork(self) -> None:
        super()._after_fork()
        self._sleeper = _waiting.Sleeper(self._lock, self.fileno)

    def __enter__(self) -> "Channel":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<Channel, %s>" % ("closed" if self._closed else "%d flows" % len(self._flows))
