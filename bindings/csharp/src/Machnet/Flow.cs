// SPDX-License-Identifier: MIT
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Machnet.Interop;

namespace Machnet;

/// <summary>A reliable, ordered, bidirectional sequence of messages between two channels. All members may be used from any thread.</summary>
/// <remarks>
/// Send... copies and, without Try, waits for space; Receive... takes the next message, and waits for it. A null timeout waits for ever. When the flow
/// has ended, messages that came before are received first; then all calls throw <see cref="FlowEndedException"/>, whose Code says why.
/// </remarks>
public sealed unsafe partial class Flow : IDisposable, IAsyncDisposable
{
    internal readonly FlowRecord Record;

    internal Flow(FlowRecord record) => Record = record;

    /// <summary>A lost flow is closed.</summary>
    ~Flow() => Close(false);

    /// <summary>Its channel.</summary>
    public Channel Channel => Record.Channel;

    /// <summary>This side's address. MachnetException (Again): the flow is not open yet.</summary>
    public Address LocalAddress => Addresses().Local;

    /// <summary>The peer's address. MachnetException (Again): the flow is not open yet.</summary>
    public Address RemoteAddress => Addresses().Remote;

    /// <summary>Closes the flow: messages sent before are still delivered, unread ones are dropped. Never blocks.</summary>
    public void Dispose()
    {
        Close(false);
        GC.SuppressFinalize(this);
    }

    /// <summary>The same. It does not wait for the end: see <see cref="CloseAsync"/>.</summary>
    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Closes the flow and drops what was not acknowledged; the peer gets <see cref="StatusCode.Reset"/>.</summary>
    public void Abort()
    {
        Close(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>The state and counters of the flow.</summary>
    public FlowInfo GetInfo()
    {
        using Channel.Use use = Enter();
        NativeFlowInfo info;
        Check(Native.machnet_flow_info_get(use.Pointer, Record.Token, &info));
        return new FlowInfo(
            (FlowState)info.state, (StatusCode)info.status, (long)info.messages_sent, (long)info.messages_acknowledged,
            (long)info.messages_received, (long)info.messages_queued, (long)info.bytes_unacknowledged);
    }

    private (Address Local, Address Remote) Addresses()
    {
        using Channel.Use use = Enter();
        NativeAddress local, remote;
        Check(Native.machnet_flow_addresses(use.Pointer, Record.Token, &local, &remote));
        return (new Address(local), new Address(remote));
    }

    private void Close(bool abort)
    {
        if (Record.BeginClose())
            Channel.Close(Record, abort);
    }

    private Channel.Use Enter()
    {
        ObjectDisposedException.ThrowIf(Record.Closed, this);
        return new Channel.Use(Channel);
    }

    private int Check(int status)
    {
        ObjectDisposedException.ThrowIf(status == (int)StatusCode.BadToken && Record.Closed, this);
        return status < 0 ? throw MachnetException.OfFlow(status) : status;
    }

    // ---- Opening and ending ----

    /// <summary>Waits until a flow that was started is open. FlowEndedException: why it could not be opened.</summary>
    public void WaitOpen(TimeSpan? timeout = null)
    {
        using var waiting = new Channel.Waiting(Channel, Record.Changed, timeout);
        while (!TryOpened())
            waiting.Next();
    }

    /// <summary>The same, asynchronously.</summary>
    public ValueTask WaitOpenAsync(CancellationToken cancellationToken = default) =>
        Channel.WhenAsync(Record.Changed, TryOpened, cancellationToken);

    /// <summary>Waits until the flow has ended, and returns why: <see cref="StatusCode.Ok"/> after our own close. Also after Dispose.</summary>
    public StatusCode WaitClosed(TimeSpan? timeout = null)
    {
        using var waiting = new Channel.Waiting(Channel, Record.Changed, timeout);
        while (!TryEnded())
            waiting.Next();
        return Record.EndStatus;
    }

    private bool TryOpened()
    {
        ObjectDisposedException.ThrowIf(Record.Closed, this);
        if (Record.Opened)
            Channel.TookEvent(Record, EventType.Established);
        else if (Record.Ended)
        {
            Channel.TookEvent(Record, EventType.Closed);
            throw MachnetException.OfFlow((int)Record.EndStatus);
        }
        else
            Channel.ThrowIfGone();
        return Record.Opened;
    }

    private bool TryEnded()
    {
        if (Record.Ended)
            Channel.TookEvent(Record, EventType.Closed);
        else
            Channel.ThrowIfGone();
        return Record.Ended;
    }

    // ---- Sending ----

    /// <summary>Sends a message of up to 8 MiB with a tag of the caller's; false: no space now.</summary>
    public bool TrySend(ReadOnlySpan<byte> data, ulong tag = 0)
    {
        int status;
        long told = Channel.SpacesTold;
        Channel.EnterSend();
        try
        {
            fixed (byte* bytes = data)
                status = Native.machnet_send_copy(Channel.Pointer, Record.Token, bytes, (ulong)data.Length, tag, 0);
        }
        finally
        {
            Channel.LeaveSend();
        }
        return status == 0 || (status == (int)StatusCode.Again ? Refused(told) : FailSend(status, data.Length));
    }

    /// <summary>Sends a message, and waits for space if there is none.</summary>
    public void Send(ReadOnlySpan<byte> data, ulong tag = 0, TimeSpan? timeout = null)
    {
        if (TrySend(data, tag))
            return;
        using var waiting = new Channel.Waiting(Channel, Record.Writable, timeout);
        while (!TrySend(data, tag))
            waiting.Next();
        Channel.TookEvent(Record, EventType.SendSpace);
    }

    /// <summary>The same, asynchronously. Cancelled: it was not sent.</summary>
    public ValueTask SendAsync(ReadOnlyMemory<byte> data, ulong tag = 0, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
            return ValueTask.FromCanceled(cancellationToken);
        return TrySend(data.Span, tag)
            ? ValueTask.CompletedTask
            : TookSpaceAsync(Channel.WhenAsync(Record.Writable, () => TrySend(data.Span, tag), cancellationToken));
    }

    /// <summary>Reserves space for a message that is written where it lies; false: no space now.</summary>
    public bool TryReserve(int length, [NotNullWhen(true)] out SendBuffer? buffer)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        NativeView view;
        int status;
        long told = Channel.SpacesTold;
        Channel.EnterSend();
        try
        {
            status = Native.machnet_send_reserve(Channel.Pointer, Record.Token, (ulong)length, &view, 0);
        }
        finally
        {
            Channel.LeaveSend();
        }
        buffer = status == 0 ? new SendBuffer(this, new BufferHandle(Channel.Pointer, view)) : null;
        return status == 0 || (status == (int)StatusCode.Again ? Refused(told) : FailSend(status, length));
    }

    /// <summary>Reserves space for a message, and waits for it if there is none.</summary>
    public SendBuffer Reserve(int length, TimeSpan? timeout = null)
    {
        if (TryReserve(length, out SendBuffer? buffer))
            return buffer;
        using var waiting = new Channel.Waiting(Channel, Record.Writable, timeout);
        while (!TryReserve(length, out buffer))
            waiting.Next();
        Channel.TookEvent(Record, EventType.SendSpace);
        return buffer;
    }

    /// <summary>Waits until a flow that had no space for a message (TrySend was false) has some: then try again. It does not wait if none was refused.</summary>
    public void WaitSendSpace(TimeSpan? timeout = null)
    {
        using var waiting = new Channel.Waiting(Channel, Record.Writable, timeout);
        while (!TrySpace())
            waiting.Next();
    }

    /// <summary>The same, asynchronously.</summary>
    public ValueTask WaitSendSpaceAsync(CancellationToken cancellationToken = default) =>
        Channel.WhenAsync(Record.Writable, TrySpace, cancellationToken);

    private bool TrySpace()
    {
        ObjectDisposedException.ThrowIf(Record.Closed, this);
        if (Record.Ended)
            throw MachnetException.OfFlow((int)Record.EndStatus);
        Channel.ThrowIfGone();
        return Channel.TookSpace(Record);
    }

    private bool Refused(long toldBefore)
    {
        ObjectDisposedException.ThrowIf(Record.Closed, this);
        Channel.Refused(Record, toldBefore);
        return false;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool FailSend(int status, int length)
    {
        if (status == (int)StatusCode.MessageTooLong)
            throw new MessageTooLongException((ulong)length, $"A message of {length} bytes is longer than any may be on this channel.");
        Check(status);
        return false;
    }
}
