# SPDX-License-Identifier: MIT
"""Machnet for asyncio.

    async with aio.open_channel(context) as channel:
        async with await channel.open_flow("10.0.0.2:7000") as flow:
            await flow.send(b"hello, world")
            async for message in flow:
                ...

No thread: the event loop watches the channel's descriptor. A receive call awaits readiness and only then takes, and does not
suspend after it took: a cancelled one has lost no message. Channels belong to the loop in which they were opened. Opening and closing channels
and listeners block for a round trip to the engine process (typically below 1 ms).
"""
import asyncio
from types import TracebackType
from typing import AsyncIterator, Callable, Dict, List, Optional, Sequence, Tuple, Type, TypeVar, Union

from . import errors
from ._constants import MESSAGE_MAX, Status, Wait
from ._shared import ChannelShared, FlowShared, ListenerShared
from ._sides import Message
from ._tasks import Waiters, Watch
from ._types import Buffer, Sendable, SendableAnywhere
from .address import Address, AddressLike
from .buffers import Borrowed, Reserved
from .context import Context
from .events import Event
from .options import Options

T = TypeVar("T")
TURN = 256  # calls that did not need to wait, after which other tasks of the loop get a turn


class Flow(FlowShared):
    """A reliable, ordered, bidirectional sequence of messages between two channels.

    When the flow has ended, receive calls give what came before, then raise why (FlowEndedError); sends raise it at once. `async for` ends when the
    peer has closed the flow. A flow lives until it is closed, or its channel is.
    """

    __slots__ = ("_told",)

    def __init__(self, sides: object, token: int, channel: "Channel", listener: Optional["Listener"]) -> None:
        super().__init__(sides, token, channel, listener)  # type: ignore[arg-type]
        self._told = Waiters(channel._watch)  # of its opening, its end, its space

    async def send(self, data: Buffer, tag: int = 0) -> None:
        """Sends one message: a copy of `data` (bytes-like, 0 to MESSAGE_MAX bytes), with a tag of 0 to 2**64 - 1. Waits for space.

        When it is cancelled nothing was sent.
        """
        await self._channel._turn()
        while not self.try_send(data, tag):
            await self._space()

    async def send_many(self, messages: Sequence[Sendable]) -> None:
        """Sends messages, each bytes-like, (data, tag) or a Message; waits for space as often as need be.

        When it raises or is cancelled, some may have gone out, in order; try_send_many counts them.
        """
        await self._channel._turn()
        sent = self.try_send_many(messages)
        while sent < len(messages):
            await self._space()
            sent += self.try_send_many(messages, sent)

    async def receive(self, *, limit: int = MESSAGE_MAX) -> Message:
        """The next message. One longer than `limit` bytes stays, and MessageSizeError has its length."""
        await self._channel._turn()
        while True:
            message = self.try_receive(limit)
            if message is not None:
                return message
            await self._channel._readable(self)

    async def receive_many(self, max: int = 32) -> List[Message]:  # pylint: disable=redefined-builtin
        """At least one message, and up to `max` (at most 256) of what is there."""
        await self._channel._turn()
        while True:
            messages = self.try_receive_many(max)
            if messages:
                return messages
            await self._channel._readable(self)

    async def receive_into(self, buffer: Buffer) -> Tuple[int, int]:
        """The next message into a writable buffer: its length and tag. One longer than the buffer stays, and MessageSizeError has its length."""
        await self._channel._turn()
        while True:
            received = self.try_receive_into(buffer)
            if received is not None:
                return received
            await self._channel._readable(self)

    async def borrow(self) -> Borrowed:
        """The next message without a copy."""
        await self._channel._turn()
        while True:
            message = self.try_borrow()
            if message is not None:
                return message
            await self._channel._readable(self)

    async def reserve(self, length: int) -> Reserved:
        """Space for a message of `length` bytes, to be written and committed. Waits for space.

        Reserved.commit does not wait here: it raises AgainError when the ring to the engine is full; flow.commit waits.
        """
        await self._channel._turn()
        while True:
            buffer = self.try_reserve(length)
            if buffer is not None:
                return buffer
            await self._space()

    async def commit(self, buffer: Reserved, length: Optional[int] = None, tag: int = 0) -> None:
        """Sends the first `length` bytes (None: all) of a reserved buffer; waits for room in the ring to the engine."""
        while not buffer.try_commit(length, tag):
            await asyncio.sleep(0.0005)

    async def wait_open(self) -> None:
        """Until a flow of start_flow is open. Raises FlowEndedError: why it could not be opened."""
        while self._opening() is None:
            self._channel._check()
            await self._told.wait()

    async def wait_closed(self) -> Union[Status, int]:
        """Until the flow has ended: why. Status.OK after our own close: then the peer's engine has all messages."""
        while True:
            status = self._ending()
            if status is not None:
                return status
            self._channel._check()
            await self._told.wait()

    def _until(self, attempt: Callable[[], Optional[T]], timeout: Optional[float]) -> T:
        """For Reserved.commit, which waits in programs with threads: here it raises AgainError."""
        value = attempt()
        if value is None:
            raise errors.from_status(Status.EAGAIN)
        return value

    async def _space(self) -> None:
        """Until a flow that was refused space can try again. A refusal that is followed by space is always told."""
        self._channel._look()
        while self._refused and self._end is None and not self._closed and not self._channel.gone:
            await self._told.wait()

    async def close(self, *, abort: bool = False) -> None:
        """Closes the flow: unread messages are dropped, messages sent before are still delivered while the channel lives (wait_closed).

        `abort` drops what was not acknowledged, and the peer gets FlowResetError. Closing again does nothing.
        """
        while not self.try_close(abort=abort):
            await asyncio.sleep(0.0005)  # the ring to the engine is full

    async def __aiter__(self) -> AsyncIterator[Message]:
        while True:
            try:
                message = await self.receive()
            except errors.FlowClosedError:
                return
            yield message

    async def __aenter__(self) -> "Flow":
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        traceback: Optional[TracebackType]) -> None:
        await self.close()


class Listener(ListenerShared[Flow]):
    """Accepts flows at one address: accept(), or `async for`. It lives until it is closed, or its channel is."""

    __slots__ = ("_told",)

    def __init__(self, channel: "Channel", token: int, address: Address) -> None:
        super().__init__(channel, token, address)
        self._told = Waiters(channel._watch)

    async def accept(self) -> Flow:
        """The next flow that was accepted."""
        while True:
            flow = self._next()
            if flow is not None:
                return flow
            self._channel._check()
            await self._told.wait()

    def __aiter__(self) -> "Listener":
        return self

    async def __anext__(self) -> Flow:
        try:
            return await self.accept()
        except errors.StaleError:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> "Listener":
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        traceback: Optional[TracebackType]) -> None:
        self.close()


class Channel(ChannelShared[Flow, Listener]):
    """A channel to the engine, in the running event loop. See machnet.Channel; closing it ends all waits with ShutdownError."""

    def __init__(self, context: Context, options: Optional[Options] = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._turns = TURN
        self._receivers: Dict[Flow, Waiters] = {}
        self._watch = Watch(self, self._loop)
        self._any_receivers, self._event_waiters = Waiters(self._watch), Waiters(self._watch)
        self.gone: Optional[errors.MachnetError] = None  # why the channel is gone
        super().__init__(context, options)
        self._watch.open(self.fileno())

    def _make_flow(self, token: int, listener: Optional[Listener]) -> Flow:
        return Flow(self._sides, token, self, listener)

    def _make_listener(self, token: int, address: Address) -> Listener:
        return Listener(self, token, address)

    # ---- Waking tasks

    def _told(self, who: Union[None, Flow, Listener]) -> None:
        if who is not None:
            who._told.wake()
        if isinstance(who, Flow) and (who._end is not None or who._closed):
            self._wake_receivers(who)
        self._event_waiters.wake()

    def _wake_receivers(self, flow: Flow) -> None:
        waiters = self._receivers.get(flow)
        if waiters is not None:
            waiters.wake()

    def _look(self) -> None:
        """Hands on what came, and wakes who waits for it."""
        try:
            while self._take_events():
                pass
            for flow in self._sides.ready(self._receivers) if self._receivers else ():
                self._wake_receivers(flow)
            if self._any_receivers and self._sides.look(Wait.RECEIVE):
                self._any_receivers.wake()
        except errors.LowMemoryError:
            self._loop.call_later(0.01, self._look)
        except errors.MachnetError as problem:
            self._lose(problem)

    def _lose(self, problem: errors.MachnetError) -> None:
        if self.gone is None:
            self.gone = problem
        self._watch.close()
        for flow in list(self._flows.values()):
            flow._told.wake()
            self._wake_receivers(flow)
        for listener in list(self._listeners.values()):
            listener._told.wake()
        self._any_receivers.wake()
        self._event_waiters.wake()

    def _check(self) -> None:
        """Raises if nothing will be told any more."""
        if self.gone is not None:
            raise errors.from_status(self.gone.code)

    async def _turn(self) -> None:
        self._turns -= 1
        if self._turns <= 0:
            self._turns = TURN
            await asyncio.sleep(0)

    async def _readable(self, flow: Flow) -> None:
        """Until the flow may have a message or have ended."""
        self._check()
        waiters = self._receivers.get(flow)
        if waiters is None:
            waiters = self._receivers[flow] = Waiters(self._watch)
        try:
            await waiters.wait()
        finally:
            if not waiters and self._receivers.get(flow) is waiters:
                del self._receivers[flow]

    # ---- Flows

    async def start_flow(self, remote: AddressLike, *, local: Optional[AddressLike] = None, options: Optional[Options] = None) -> Flow:
        """Opens a flow without waiting until it is open: messages may be sent at once. See Flow.wait_open."""
        while True:
            flow = self.try_start_flow(remote, local=local, options=options)
            if flow is not None:
                return flow
            await asyncio.sleep(0.001)  # the engine is answering others

    async def open_flow(self, remote: AddressLike, *, local: Optional[AddressLike] = None, options: Optional[Options] = None) -> Flow:
        """Opens a flow, and waits until it is open. When it raises or is cancelled there is no flow.

        Raises FlowEndedError (FlowRefusedError, UnreachableError, ...), ChannelGoneError.
        """
        flow = await self.start_flow(remote, local=local, options=options)
        try:
            await flow.wait_open()
        except BaseException:
            self._drop(flow)
            raise
        return flow

    def _abort_dropped(self) -> None:
        super()._abort_dropped()
        if self._dropped:
            self._loop.call_later(0.001, self._look)

    # ---- Messages of any flow

    async def send_many(self, messages: Sequence[SendableAnywhere]) -> None:
        """Sends messages of several flows, each (flow, data, tag) or a Message that has its flow. As Flow.send_many."""
        await self._turn()
        sent = self.try_send_many(messages)
        while sent < len(messages):
            first = messages[sent]
            flow: Flow = first.flow if isinstance(first, Message) else first[0]
            await flow._space()
            sent += self.try_send_many(messages, sent)

    async def receive(self, *, limit: int = MESSAGE_MAX) -> Message:
        """The next message of any flow, in turn; Message.flow says which. As Flow.receive; ends of flows are told by events alone."""
        await self._turn()
        while True:
            message = self.try_receive(limit)
            if message is not None:
                return message
            await self._any_receivers.wait()

    async def receive_many(self, max: int = 32) -> List[Message]:  # pylint: disable=redefined-builtin
        """At least one message, and up to `max` (at most 256) of what is there, of any flows."""
        await self._turn()
        while True:
            messages = self.try_receive_many(max)
            if messages:
                return messages
            await self._any_receivers.wait()

    async def borrow(self) -> Borrowed:
        """The next message of any flow without a copy."""
        await self._turn()
        while True:
            message = self.try_borrow()
            if message is not None:
                return message
            await self._any_receivers.wait()

    async def events(self) -> List[Event]:
        """At least one event since the last call. The first call begins to keep them."""
        while True:
            events = self.try_events()
            if events:
                return events
            self._check()
            await self._event_waiters.wait()

    # ---- The end

    def shutdown(self) -> None:
        """Detaches from the engine: flows are aborted, all waits end, all calls raise ShutdownError."""
        super().shutdown()
        self._lose(errors.from_status(Status.ESHUTDOWN))

    def close(self) -> None:
        """Detaches from the engine: flows are aborted, and what they have not delivered is lost (Flow.wait_closed). Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        self._lose(errors.from_status(Status.ESHUTDOWN))
        self._close_sides()

    async def __aenter__(self) -> "Channel":
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        traceback: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        super().__del__()
        if hasattr(self, "_watch"):
            self._watch.lose()

    def __repr__(self) -> str:
        return "<aio.Channel, %s>" % ("closed" if self._closed else "%d flows" % len(self._flows))


def open_channel(context: Context, options: Optional[Options] = None) -> Channel:
    """A channel in the running event loop. May block for a round trip to the engine process. Raises AttachError."""
    return Channel(context, options)
