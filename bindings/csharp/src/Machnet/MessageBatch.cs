// SPDX-License-Identifier: MIT
using System.Runtime.InteropServices;
using Machnet.Interop;

namespace Machnet;

/// <summary>
/// Many messages for one call, which is several times faster than one at a time when they are small. One thread at a time; a batch that two threads
/// use at once holds nonsense, but nothing worse happens.
/// </summary>
public sealed unsafe class MessageBatch
{
    private readonly Channel _channel;
    private readonly NativeRecord[] _records;
    private readonly byte[] _arena; // pinned
    private int _count, _used;

    internal MessageBatch(Channel channel, int messages, int bytes)
    {
        _channel = channel;
        _records = new NativeRecord[messages];
        _arena = GC.AllocateUninitializedArray<byte>(bytes, pinned: true);
    }

    /// <summary>Messages in it.</summary>
    public int Count => _count;

    /// <summary>Most messages that it can hold.</summary>
    public int Capacity => _records.Length;

    /// <summary>Most bytes that it can hold; each message is rounded up to 8.</summary>
    public int ByteCapacity => _arena.Length;

    /// <summary>The bytes of a message, until the batch is used again.</summary>
    public ReadOnlySpan<byte> this[int index]
    {
        get
        {
            ref readonly NativeRecord record = ref At(index);
            return _arena.AsSpan((int)record.offset, (int)record.length);
        }
    }

    /// <summary>The tag of a message.</summary>
    public ulong Tag(int index) => At(index).tag;

    /// <summary>The flow of a message; null: the program has closed or lost it.</summary>
    public Flow? Flow(int index) => _channel.FlowOf(At(index).flow);

    /// <summary>Adds a message to be sent on a flow of the batch's channel; false: there is no room.</summary>
    public bool TryAdd(Flow flow, ReadOnlySpan<byte> data, ulong tag = 0)
    {
        ArgumentNullException.ThrowIfNull(flow);
        if (flow.Channel != _channel)
            throw new ArgumentException("The flow is of another channel than the batch.", nameof(flow));
        int count = _count, used = _used;
        if (count >= _records.Length || data.Length > _arena.Length - used)
            return false;
        data.CopyTo(_arena.AsSpan(used));
        _records[count] = new NativeRecord { flow = flow.Record.Token, tag = tag, offset = (ulong)used, length = (ulong)data.Length };
        _used = Math.Min((used + data.Length + 7) & ~7, _arena.Length);
        _count = count + 1;
        return true;
    }

    /// <summary>Empties it.</summary>
    public void Clear() => _count = _used = 0;

    private ref readonly NativeRecord At(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)_count, nameof(index));
        return ref _records[index];
    }

    /// <summary>
    /// Sends from `first` on. Send side. The library gets records that no other thread can change; what happens to the bytes meanwhile harms nobody.
    /// </summary>
    internal int Send(NativeChannel* channel, int first, RecordArray records)
    {
        int count = Math.Min(Math.Min(_count, _records.Length) - first, RecordArray.Length);
        _records.AsSpan(first, count).CopyTo(records.Span);
        int status = Native.machnet_send_packed(channel, records.Pointer, (uint)count,
            Marshal.UnsafeAddrOfPinnedArrayElement(_arena, 0).ToPointer(), (ulong)_arena.Length, 0);
        GC.KeepAlive(this);
        return status;
    }

    internal void CheckOf(Channel channel)
    {
        if (channel != _channel)
            throw new ArgumentException("The batch is of another channel.");
    }

    internal ulong FlowToken(int index) => At(index).flow;

    /// <summary>Receive side.</summary>
    internal int Receive(NativeChannel* channel, ulong flow, RecordArray records)
    {
        int most = Math.Min(_records.Length, RecordArray.Length);
        int status = Native.machnet_recv_packed(channel, flow, records.Pointer, (uint)most,
            Marshal.UnsafeAddrOfPinnedArrayElement(_arena, 0).ToPointer(), (ulong)_arena.Length, 0);
        if (status > 0)
        {
            records.Span[..status].CopyTo(_records);
            ref readonly NativeRecord last = ref _records[status - 1];
            _used = (int)Math.Min((last.offset + last.length + 7) & ~7ul, (ulong)_arena.Length);
            _count = status;
        }
        return status;
    }
}

/// <summary>Records for the library, in memory that is reached by one side of a channel only.</summary>
internal sealed unsafe class RecordArray
{
    internal const int Length = 256;
    private readonly NativeRecord[] _records = GC.AllocateArray<NativeRecord>(Length, pinned: true);

    internal Span<NativeRecord> Span => _records;

    internal NativeRecord* Pointer => (NativeRecord*)Marshal.UnsafeAddrOfPinnedArrayElement(_records, 0);

    internal ulong FirstLength => _records[0].length;
}
