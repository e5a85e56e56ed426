// SPDX-License-Identifier: MIT
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Machnet.Interop;

namespace Machnet;

/* Receiving, from one flow or (null) from any. */
public sealed unsafe partial class Channel
{
    private const int SmallMessage = 2048;

    /// <summary>Takes the next message of any flow into the caller's buffer; false: there is none now.</summary>
    /// <exception cref="MessageTooLongException">It is longer than the buffer; it stays.</exception>
    public bool TryReceive(Span<byte> buffer, out MessageInfo info) => TryReceive(null, buffer, out info);

    /// <summary>The same, and waits for it.</summary>
    public MessageInfo Receive(Span<byte> buffer, TimeSpan? timeout = null) => Receive(null, buffer, timeout);

    /// <summary>Takes the next message of any flow; false: there is none now.</summary>
    public bool TryReceive([NotNullWhen(true)] out Message? message) => TryReceive(null, out message);

    /// <summary>The same, and waits for it.</summary>
    public Message Receive(TimeSpan? timeout = null) => Receive((Flow?)null, timeout);

    /// <summary>The same, asynchronously. A cancelled wait has taken nothing.</summary>
    public ValueTask<Message> ReceiveAsync(CancellationToken cancellationToken = default) => ReceiveAsync((Flow?)null, cancellationToken);

    /// <summary>Takes the next message of any flow where it lies; false: there is none now.</summary>
    public bool TryBorrow([NotNullWhen(true)] out BorrowedMessage? message) => TryBorrow(null, out message);

    /// <summary>The same, and waits for it.</summary>
    public BorrowedMessage Borrow(TimeSpan? timeout = null) => Borrow(null, timeout);

    /// <summary>The same, asynchronously. A cancelled wait has taken nothing.</summary>
    public ValueTask<BorrowedMessage> BorrowAsync(CancellationToken cancellationToken = default) => BorrowAsync(null, cancellationToken);

    /// <summary>Takes as many messages of all flows as are there and fit into the batch, in place of what it held; 0: there is none now.</summary>
    public int TryReceive(MessageBatch batch) => TryReceive(null, batch);

    /// <summary>The same, and waits for the first one.</summary>
    public int Receive(MessageBatch batch, TimeSpan? timeout = null) => Receive(null, batch, timeout);

    /// <summary>The same, asynchronously. A cancelled wait has taken nothing.</summary>
    public ValueTask<int> ReceiveAsync(MessageBatch batch, CancellationToken cancellationToken = default) =>
        ReceiveAsync(null, batch, cancellationToken);

    // ---- One attempt ----

    private int Copy(Flow? flow, Span<byte> buffer, out NativeMessage message)
    {
        EnterReceive();
        try
        {
            fixed (NativeMessage* native = &message)
            fixed (byte* bytes = buffer)
                return Native.machnet_recv_copy(_channel, TokenOf(flow), bytes, (ulong)buffer.Length, native, 0);
        }
        finally
        {
            LeaveReceive();
        }
    }

    internal bool TryReceive(Flow? flow, Span<byte> buffer, out MessageInfo info)
    {
        for (; ; )
        {
            int status = Copy(flow, buffer, out NativeMessage native);
            if (status == (int)StatusCode.MessageTooLong)
                FailTooLong(native.length);
            if (!Received(flow, status))
            {
                info = default;
                return false;
            }
            Flow? from = flow ?? FlowOf(native.flow);
            if (from == null) // the program has closed or lost the flow
                continue;
            info = new MessageInfo(from, native.tag, (int)native.length);
            return true;
        }
    }

    [SkipLocalsInit]
    internal bool TryReceive(Flow? flow, [NotNullWhen(true)] out Message? message)
    {
        Span<byte> small = stackalloc byte[SmallMessage];
        message = null;
        for (; ; )
        {
            int status = Copy(flow, small, out NativeMessage native);
            if (status == (int)StatusCode.MessageTooLong)
            {
                if (!TryBorrow(flow, out BorrowedMessage? large))
                    continue; // another thread has taken it
                using (large)
                    message = large.ToMessage();
                return true;
            }
            if (!Received(flow, status))
                return false;
            if ((flow ?? FlowOf(native.flow)) is { } from) // else the program has closed or lost it
            {
                message = new Message(new MessageInfo(from, native.tag, (int)native.length), small[..(int)native.length].ToArray());
                return true;
            }
        }
    }

    internal bool TryBorrow(Flow? flow, [NotNullWhen(true)] out BorrowedMessage? message)
    {
        NativeView view;
        for (; ; )
        {
            int status;
            EnterReceive();
            try
            {
                status = Native.machnet_recv_borrow(_channel, TokenOf(flow), &view, 0);
            }
            finally
            {
                LeaveReceive();
            }
            message = null;
            if (!Received(flow, status))
                return false;
            var handle = new BufferHandle(_channel, view);
            Flow? from = flow ?? FlowOf(view.flow);
            if (from != null)
            {
                message = new BorrowedMessage(new MessageInfo(from, view.tag, handle.Length), handle);
                return true;
            }
            handle.Dispose();
        }
    }

    internal int TryReceive(Flow? flow, MessageBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        batch.CheckOf(this);
        batch.Clear();
        int status;
        EnterReceive();
        try
        {
            status = batch.Receive(_channel, TokenOf(flow), _receiveRecords);
        }
        finally
        {
            LeaveReceive();
        }
        if (status > 0)
            return status;
        if (status == (int)StatusCode.MessageTooLong)
            FailTooLong(_receiveRecords.FirstLength);
        _ = Received(flow, status);
        return 0;
    }

    private static ulong TokenOf(Flow? flow) => flow == null ? Native.MACHNET_ANY_FLOW : flow.Record.Token;

    /// <summary>False: nothing is there. Throws for what else is negative.</summary>
    private static bool Received(Flow? flow, int status)
    {
        if (status >= 0)
            return true;
        ObjectDisposedException.ThrowIf(flow is { Record.Closed: true }, flow!);
        return status is (int)StatusCode.Again or (int)StatusCode.LowMemory ? false : throw MachnetException.OfFlow(status);
    }

    [DoesNotReturn]
    private static void FailTooLong(ulong length) =>
        throw new MessageTooLongException(length, $"The next message has {length} bytes, more than the buffer. It stays.");

    // ---- With a wait ----

    internal MessageInfo Receive(Flow? flow, Span<byte> buffer, TimeSpan? timeout)
    {
        if (TryReceive(flow, buffer, out MessageInfo info))
            return info;
        using Waiting waiting = WaitForMessage(flow, timeout);
        while (!TryReceive(flow, buffer, out info))
            waiting.Next();
        return info;
    }

    internal Message Receive(Flow? flow, TimeSpan? timeout)
    {
        if (TryReceive(flow, out Message? message))
            return message;
        using Waiting waiting = WaitForMessage(flow, timeout);
        while (!TryReceive(flow, out message))
            waiting.Next();
        return message;
    }

    internal BorrowedMessage Borrow(Flow? flow, TimeSpan? timeout)
    {
        if (TryBorrow(flow, out BorrowedMessage? message))
            return message;
        using Waiting waiting = WaitForMessage(flow, timeout);
        while (!TryBorrow(flow, out message))
            waiting.Next();
        return message;
    }

    internal int Receive(Flow? flow, MessageBatch batch, TimeSpan? timeout)
    {
        int count = TryReceive(flow, batch);
        if (count > 0)
            return count;
        using Waiting waiting = WaitForMessage(flow, timeout);
        while ((count = TryReceive(flow, batch)) == 0)
            waiting.Next();
        return count;
    }

    private Waiting WaitForMessage(Flow? flow, TimeSpan? timeout) =>
        flow == null ? new Waiting(this, _anyMessage, timeout) : new Waiting(this, flow.Record.Readable, timeout, flow.Record);

    private ValueTask MessageAsync(Flow? flow, Func<bool> attempt, CancellationToken cancellationToken) =>
        WhenAsync(flow == null ? _anyMessage : flow.Record.Readable, attempt, cancellationToken, flow?.Record);
}
