// SPDX-License-Identifier: MIT
using System.Buffers;
using Machnet.Interop;

namespace Machnet;

/// <summary>
/// Space in shared memory for one message, to be written and then sent with <see cref="Commit"/>, or given up with <see cref="Dispose"/>. From any thread.
/// </summary>
public sealed unsafe class SendBuffer : IDisposable
{
    private readonly Flow _flow;

    internal SendBuffer(Flow flow, BufferHandle handle)
    {
        _flow = flow;
        Handle = handle;
    }

    internal BufferHandle Handle { get; }

    /// <summary>Bytes reserved.</summary>
    public int Length => Handle.Length;

    /// <summary>Lends the bytes to <paramref name="writer"/>. They hold anything at first.</summary>
    public void Write<TState>(TState state, SpanAction<byte, TState> writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        Handle.Enter();
        try
        {
            writer(new Span<byte>(Handle.Data, Length), state);
        }
        finally
        {
            Handle.DangerousRelease();
        }
    }

    /// <summary>Sends the first <paramref name="length"/> bytes with a tag. False: no space in the ring now; the buffer stays reserved.</summary>
    /// <exception cref="FlowEndedException">The flow has ended; the buffer stays reserved.</exception>
    public bool TryCommit(int length, ulong tag = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length);
        int status;
        long told = _flow.Channel.SpacesTold;
        Handle.Enter();
        try
        {
            _flow.Channel.EnterSend();
            try
            {
                status = Native.machnet_send_commit(_flow.Channel.Pointer, Handle.Token, (ulong)length, tag, 0);
                if (status == 0)
                    Handle.Forget();
            }
            finally
            {
                _flow.Channel.LeaveSend();
            }
        }
        finally
        {
            Handle.DangerousRelease();
        }
        ObjectDisposedException.ThrowIf(status == (int)StatusCode.BadToken, this); // another thread has committed it
        if (status == (int)StatusCode.Again)
            _flow.Channel.Refused(_flow.Record, told);
        else if (status != 0)
            throw MachnetException.OfFlow(status);
        return status == 0;
    }

    /// <summary>Sends the first <paramref name="length"/> bytes with a tag, and waits for space in the ring if there is none.</summary>
    public void Commit(int length, ulong tag = 0, TimeSpan? timeout = null)
    {
        if (TryCommit(length, tag))
            return;
        using var waiting = new Channel.Waiting(_flow.Channel, _flow.Record.Writable, timeout);
        while (!TryCommit(length, tag))
            waiting.Next();
        _flow.Channel.TookEvent(_flow.Record, EventType.SendSpace);
    }

    /// <summary>Gives the space back, unless it was committed.</summary>
    public void Dispose() => Handle.Dispose();
}
