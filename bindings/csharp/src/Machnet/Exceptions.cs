// SPDX-License-Identifier: MIT
using Machnet.Interop;

namespace Machnet;

/// <summary>A call of Machnet failed; <see cref="Code"/> says why. The classes below it say what is lost.</summary>
public class MachnetException : IOException
{
    /// <summary>Makes one.</summary>
    public MachnetException(StatusCode code, string message, int osError = 0) : base(message)
    {
        Code = code;
        OsError = osError;
    }

    /// <summary>Why.</summary>
    public StatusCode Code { get; }

    /// <summary>errno of the system call that failed, or 0.</summary>
    public int OsError { get; }

    internal static unsafe string TextOf(StatusCode code) => Library.Text(Native.machnet_status_text((int)code));

    /// <summary>The exception for a status. Never inlined: callers stay small.</summary>
    internal static MachnetException Of(int status, string? message = null, int osError = 0)
    {
        StatusCode code = (StatusCode)status;
        message ??= $"{TextOf(code)}.{AdviceOn(code)}";
        return code switch
        {
            StatusCode.TimedOut => new MachnetTimeoutException(message),
            StatusCode.NoEngine or StatusCode.AccessDenied or StatusCode.Forked => new EngineException(code, message, osError),
            StatusCode.EngineGone or StatusCode.ShutDown or StatusCode.Protocol => new ChannelGoneException(code, message),
            StatusCode.Closed or StatusCode.Reset or StatusCode.Refused or StatusCode.Unreachable or StatusCode.PeerDead or
                StatusCode.PeerRestarted or StatusCode.PeerProtocol or StatusCode.PeerMessageTooLong => new FlowEndedException(code, message),
            StatusCode.AddressInUse or StatusCode.AddressNotAvailable => new AddressException(code, message),
            _ => new MachnetException(code, message, osError),
        };
    }

    /// <summary>What to do next, for statuses of which the library says only what they are.</summary>
    private static string AdviceOn(StatusCode code) => code switch
    {
        StatusCode.TimedOut => " Nothing is lost: call again, or give it more time.",
        StatusCode.Closed or StatusCode.Reset or StatusCode.PeerDead or StatusCode.PeerRestarted or StatusCode.PeerProtocol =>
            " Open a new flow, if there is more to say.",
        StatusCode.Refused => " Start the program that listens there, or correct the address or port.",
        StatusCode.Unreachable => " Look whether machnetd runs there and gets the packets, then open the flow again.",
        StatusCode.AddressNotAvailable => " Choose one of its own, or of their family: machnet status shows them.",
        StatusCode.Quota => " Close what is not needed, or raise the limit of the engine that has no room: machnet status shows this machine's.",
        StatusCode.PeerMessageTooLong => " Send shorter messages on a new flow, or give the peer's channel more ReceiveBytes.",
        StatusCode.EngineGone or StatusCode.Protocol => " Open a new context and channel, once machnetd runs again.",
        StatusCode.ShutDown => " Open a new one.",
        _ => "",
    };

    /// <summary>The exception for a status of a call on a flow: why it ended, also where the same status of other calls means something else.</summary>
    internal static MachnetException OfFlow(int status)
    {
        MachnetException problem = Of(status);
        return problem.Code is StatusCode.Version or StatusCode.Quota or StatusCode.NoMemory or StatusCode.AddressNotAvailable
            ? new FlowEndedException(problem.Code, problem.Message)
            : problem;
    }

    /// <summary>The exception for a status and what a control call said of it.</summary>
    internal static unsafe MachnetException Of(int status, in NativeError error)
    {
        Bytes232 text = error.message;
        string message = Library.Text((byte*)&text);
        return Of(status, message.Length > 0 ? message : null, error.os_error);
    }
}

/// <summary>There is no engine that this program could use: none answers, it refuses, or its version or the library's does not fit.</summary>
public sealed class EngineException : MachnetException
{
    internal EngineException(StatusCode code, string message, int osError = 0) : base(code, message, osError) { }
}

/// <summary>The channel and all its flows are gone. Open a new one.</summary>
public sealed class ChannelGoneException : MachnetException
{
    internal ChannelGoneException(StatusCode code, string message) : base(code, message) { }
}

/// <summary>The flow has ended, or could not be opened; the channel lives.</summary>
public sealed class FlowEndedException : MachnetException
{
    internal FlowEndedException(StatusCode code, string message) : base(code, message) { }
}

/// <summary>A local address cannot be had.</summary>
public sealed class AddressException : MachnetException
{
    internal AddressException(StatusCode code, string message) : base(code, message) { }
}

/// <summary>The time given is over; nothing is lost.</summary>
public sealed class MachnetTimeoutException : MachnetException
{
    internal MachnetTimeoutException(string message) : base(StatusCode.TimedOut, message) { }
}

/// <summary>The message is longer than the caller's buffer, in which case it stays, or than any message may be.</summary>
public sealed class MessageTooLongException : MachnetException
{
    internal MessageTooLongException(ulong length, string message) : base(StatusCode.MessageTooLong, message) => Length = checked((long)length);

    /// <summary>Bytes of the message.</summary>
    public long Length { get; }
}
