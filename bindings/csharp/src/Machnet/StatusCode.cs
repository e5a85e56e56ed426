// SPDX-License-Identifier: MIT
using Machnet.Interop;

namespace Machnet;

/// <summary>Why a call failed or a flow ended: the numbers of <c>enum machnet_status</c>.</summary>
public enum StatusCode
{
    /// <summary>Success.</summary>
    Ok = machnet_status.MACHNET_OK,
    /// <summary>Nothing there, or no space now.</summary>
    Again = machnet_status.MACHNET_EAGAIN,
    /// <summary>An argument is out of range.</summary>
    Invalid = machnet_status.MACHNET_EINVAL,
    /// <summary>Memory, descriptors or address space are exhausted.</summary>
    NoMemory = machnet_status.MACHNET_ENOMEM,
    /// <summary>The library does not know the option, or the call has no use for it.</summary>
    NotSupported = machnet_status.MACHNET_ENOTSUP,
    /// <summary>Two of binding, library and engines have no version in common.</summary>
    Version = machnet_status.MACHNET_EVERSION,
    /// <summary>This process is a child of the one that opened the object.</summary>
    Forked = machnet_status.MACHNET_EFORKED,
    /// <summary>A signal was handled during a wait. The binding waits on; it is not seen.</summary>
    Interrupted = machnet_status.MACHNET_EINTR,
    /// <summary>The time given is over.</summary>
    TimedOut = machnet_status.MACHNET_ETIMEDOUT,
    /// <summary>No engine answers on the socket.</summary>
    NoEngine = machnet_status.MACHNET_ENOENGINE,
    /// <summary>The engine ended, or gave the channel up.</summary>
    EngineGone = machnet_status.MACHNET_EENGINEGONE,
    /// <summary>This user may not use the engine's socket.</summary>
    AccessDenied = machnet_status.MACHNET_EACCES,
    /// <summary>A limit of the engine for this user is reached.</summary>
    Quota = machnet_status.MACHNET_EQUOTA,
    /// <summary>This program has shut the channel down.</summary>
    ShutDown = machnet_status.MACHNET_ESHUTDOWN,
    /// <summary>The rules of the shared memory were broken: the channel is gone.</summary>
    Protocol = machnet_status.MACHNET_EPROTOCOL,
    /// <summary>The flow or listener is none of this channel (any more).</summary>
    BadToken = machnet_status.MACHNET_EBADTOKEN,
    /// <summary>The message is longer than the buffer, or than any message may be.</summary>
    MessageTooLong = machnet_status.MACHNET_EMSGSIZE,
    /// <summary>Another listener has this address.</summary>
    AddressInUse = machnet_status.MACHNET_EADDRINUSE,
    /// <summary>The engine does not own this address.</summary>
    AddressNotAvailable = machnet_status.MACHNET_EADDRNOTAVAIL,
    /// <summary>Nothing listens at the peer's address, or the peer will not take the flow.</summary>
    Refused = machnet_status.MACHNET_EREFUSED,
    /// <summary>The peer's engine did not answer in time.</summary>
    Unreachable = machnet_status.MACHNET_EUNREACHABLE,
    /// <summary>The peer closed the flow after its last message, or this side did.</summary>
    Closed = machnet_status.MACHNET_ECLOSED,
    /// <summary>The flow was aborted, or the peer's program died.</summary>
    Reset = machnet_status.MACHNET_ERESET,
    /// <summary>The peer's engine was not heard for the dead-peer time.</summary>
    PeerDead = machnet_status.MACHNET_EPEERDEAD,
    /// <summary>The peer's engine has restarted and forgotten the flow.</summary>
    PeerRestarted = machnet_status.MACHNET_EPEERRESTARTED,
    /// <summary>A system call failed: see <see cref="MachnetException.OsError"/>.</summary>
    System = machnet_status.MACHNET_ESYSTEM,
    /// <summary>The peer's engine broke the rules of the wire: the flow is ended.</summary>
    PeerProtocol = machnet_status.MACHNET_EPEERPROTOCOL,
    /// <summary>No memory to note a new flow; nothing is lost.</summary>
    LowMemory = machnet_status.MACHNET_ELOWMEMORY,
    /// <summary>A message that was sent is longer than the peer can ever take: the flow is ended.</summary>
    PeerMessageTooLong = machnet_status.MACHNET_EPEERMSGSIZE,
}
