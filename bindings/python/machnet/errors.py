# SPDX-License-Identifier: MIT
"""What can go wrong, by what is lost.

MachnetError                      .code is the Status
├── AgainError                    nothing there, or no space now (BlockingIOError)
├── TimedOutError                 the time given is over (TimeoutError)
├── ArgumentError                 an argument is out of range (ValueError)
├── NotSupportedError             the library does not know the option, or the call has no use for it
├── StaleError                    the flow, listener or buffer was closed (ValueError)
├── MessageSizeError              longer than the buffer, or than any message may be; .length (ValueError)
├── ForkedError                   this process is a child of the one that opened the object (RuntimeError)
├── OutOfMemoryError              (MemoryError)
│   └── LowMemoryError            nothing is lost: free some, call again
├── SystemCallError               .errno (OSError)
├── AddressError                  (OSError)
│   ├── AddressInUseError         another listener has the address
│   └── AddressNotAvailableError  the engine does not own the address
├── AttachError                   there is no context or channel
│   ├── NoEngineError             no engine answers on the socket (ConnectionRefusedError)
│   ├── AccessError               this user may not use the engine (PermissionError)
│   ├── QuotaError                a limit of the engine for this user is reached
│   └── VersionError              two sides have no version in common
├── ChannelGoneError              the channel and all its flows are lost (ConnectionError)
│   ├── EngineGoneError           the engine ended, or gave the channel up
│   ├── ShutdownError             the channel was closed by this program
│   └── ProtocolError             a side broke the rules of the shared memory
└── FlowEndedError                the flow is lost, the channel lives (ConnectionError)
    ├── FlowClosedError           the peer closed it, after its last message (EOFError)
    ├── FlowResetError            the flow was aborted (ConnectionResetError)
    ├── FlowRefusedError          nothing listens there (ConnectionRefusedError)
    ├── UnreachableError          the peer's engine does not answer
    ├── PeerDeadError             the peer's engine was not heard for too long
    ├── PeerRestartedError        the peer's engine has restarted
    ├── PeerProtocolError         the peer's engine broke the rules of the wire
    └── PeerMessageSizeError      a message is longer than the peer can ever take
"""
from typing import Any, Callable, Dict, Tuple, Type, Union

from ._constants import Status


class MachnetError(Exception):
    """What all exceptions of this package are.

    code      the Status, or an int if it is newer than this package
    os_error  errno of the system call that failed, or 0
    length    bytes of the message, for MessageSizeError
    """

    def __init__(self, message: str, code: int, os_error: int = 0, length: int = 0) -> None:
        super().__init__(message)
        self.code = known(code)
        self.os_error = os_error
        self.length = length

    def __reduce__(self) -> Tuple[Any, ...]:
        return type(self), (str(self), int(self.code), self.os_error, self.length)


class AgainError(MachnetError, BlockingIOError):
    """Nothing is there, or there is no space now."""


class TimedOutError(MachnetError, TimeoutError):
    """The time given is over."""


class ArgumentError(MachnetError, ValueError):
    """An argument is out of its documented range."""


class NotSupportedError(MachnetError):
    """The library does not know the option, or the call has no use for it."""


class StaleError(MachnetError, ValueError):
    """The flow, listener or buffer was closed."""


class MessageSizeError(MachnetError, ValueError):
    """The message is longer than the buffer or limit, or than any message may be. It has `length` bytes."""


class ForkedError(MachnetError, RuntimeError):
    """This process is a child of the one that opened the object: it needs a context of its own."""


class OutOfMemoryError(MachnetError, MemoryError):
    """Memory, descriptors or address space are exhausted."""


class LowMemoryError(OutOfMemoryError):
    """This process has no memory to note a new flow. Nothing is lost: free some, call again."""


class SystemCallError(MachnetError, OSError):
    """A system call failed; `os_error` is its errno."""


class AddressError(MachnetError, OSError):
    """No listener, because of its address."""


class AddressInUseError(AddressError):
    """Another listener has this address."""


class AddressNotAvailableError(AddressError):
    """The engine does not own this address."""


class AttachError(MachnetError):
    """The engine cannot be used."""


class NoEngineError(AttachError, ConnectionRefusedError):
    """No engine answers on the socket."""


class AccessError(AttachError, PermissionError):
    """The engine's socket may not be used by this user."""


class QuotaError(AttachError):
    """A limit of the engine for this user is reached."""


class VersionError(AttachError):
    """Library and binding, or library and engine, have no version in common."""


class ChannelGoneError(MachnetError, ConnectionError):
    """The channel is gone, and all its flows with it."""


class EngineGoneError(ChannelGoneError):
    """The engine ended, or gave the channel up."""


class ShutdownError(ChannelGoneError):
    """The channel was closed by this program."""


class ProtocolError(ChannelGoneError):
    """One side broke the rules of the shared memory."""


class FlowEndedError(MachnetError, ConnectionError):
    """The flow has ended or could not be opened. Its channel lives."""


class FlowClosedError(FlowEndedError, EOFError):
    """The peer closed the flow, after its last message."""


class FlowResetError(FlowEndedError, ConnectionResetError):
    """The flow was aborted: by the peer, or because the peer's application died."""


class FlowRefusedError(FlowEndedError, ConnectionRefusedError):
    """Nothing listens there, or the peer will not take the flow."""


class UnreachableError(FlowEndedError):
    """No answer from the peer's engine within the time for opening a flow."""


class PeerDeadError(FlowEndedError):
    """The peer's engine was not heard for the dead-peer time."""


class PeerRestartedError(FlowEndedError):
    """The peer's engine has restarted and forgotten the flow."""


class PeerProtocolError(FlowEndedError):
    """The peer's engine broke the rules of the wire."""


class PeerMessageSizeError(FlowEndedError):
    """A message that was sent is longer than the peer can ever take."""


_CLASSES: Dict[int, Type[MachnetError]] = {
    Status.EAGAIN: AgainError,
    Status.EINVAL: ArgumentError,
    Status.ENOMEM: OutOfMemoryError,
    Status.ENOTSUP: NotSupportedError,
    Status.EVERSION: VersionError,
    Status.EFORKED: ForkedError,
    Status.ETIMEDOUT: TimedOutError,
    Status.ENOENGINE: NoEngineError,
    Status.EENGINEGONE: EngineGoneError,
    Status.EACCES: AccessError,
    Status.EQUOTA: QuotaError,
    Status.ESHUTDOWN: ShutdownError,
    Status.EPROTOCOL: ProtocolError,
    Status.EBADTOKEN: StaleError,
    Status.EMSGSIZE: MessageSizeError,
    Status.EADDRINUSE: AddressInUseError,
    Status.EADDRNOTAVAIL: AddressNotAvailableError,
    Status.EREFUSED: FlowRefusedError,
    Status.EUNREACHABLE: UnreachableError,
    Status.ECLOSED: FlowClosedError,
    Status.ERESET: FlowResetError,
    Status.EPEERDEAD: PeerDeadError,
    Status.EPEERRESTARTED: PeerRestartedError,
    Status.ESYSTEM: SystemCallError,
    Status.EPEERPROTOCOL: PeerProtocolError,
    Status.ELOWMEMORY: LowMemoryError,
    Status.EPEERMSGSIZE: PeerMessageSizeError,
}

# Statuses that are also reasons for which a flow ends.
_ENDS = {Status.EVERSION, Status.EADDRNOTAVAIL, Status.EQUOTA, Status.ENOMEM}

# What to do next, where the library's words for a status do not say it.
_NEXT: Dict[int, str] = {
    Status.EINVAL: "see the documentation of the call",
    Status.EFORKED: "open a Context in this process",
    Status.ETIMEDOUT: "try again, or give more time",
    Status.EENGINEGONE: "open a new Context when machnetd runs again",
    Status.ESHUTDOWN: "open a new channel",
    Status.EPROTOCOL: "open a new channel, and see the log of machnetd",
    Status.EBADTOKEN: "what was closed is not used any more: open another one",
    Status.EMSGSIZE: "receive it with a greater limit or buffer, or send less at once",
    Status.EADDRNOTAVAIL: "choose one of its own (machnet status)",
    Status.EREFUSED: "check the address, and start the program that listens first",
    Status.EUNREACHABLE: "check the address, that machnetd runs there, and that nothing blocks its UDP port",
    Status.ECLOSED: "open a new flow for more",
    Status.ERESET: "open a new flow",
    Status.EPEERDEAD: "open a new flow when it runs again",
    Status.EPEERRESTARTED: "open a new flow",
    Status.EPEERPROTOCOL: "open a new flow, and see the log of machnetd",
    Status.EPEERMSGSIZE: "open a new flow, and send less at once",
    Status.EQUOTA: "close some, or raise the limit of the engine",
}

# The library's own words; set once it is loaded.
status_text: Callable[[int], str] = str
status_name: Callable[[int], str] = str


def known(code: int) -> Union[Status, int]:
    """A Status, or the number if it is newer than this package."""
    try:
        return Status(code)
    except ValueError:
        return code


def from_status(status: int, message: str = "", *, os_error: int = 0, length: int = 0, of_flow: bool = False) -> MachnetError:
    """The exception for a status. `of_flow`: a flow answered it, so that statuses which end flows mean that."""
    kind = _CLASSES.get(status, MachnetError)
    if of_flow and status in _ENDS:
        kind = FlowEndedError
    words = message or status_text(status)
    if kind is MessageSizeError and length and not message:
        words = "%s: it has %d bytes" % (words, length)
    if not message and status in _NEXT:
        words = "%s; %s" % (words, _NEXT[status])
    return kind("%s (%s)" % (words, status_name(status)), status, os_error, length)
