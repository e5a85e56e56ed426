// SPDX-License-Identifier: MIT
namespace Machnet;

/// <summary>
/// What the channel knows of a flow. The channel has it from its opening to its end and close; the Flow of the program points to it, not the other
/// way round, so that a flow that the program has lost is collected, and closed.
/// </summary>
internal sealed class FlowRecord(Channel channel, ulong token)
{
    internal readonly Channel Channel = channel;
    internal readonly ulong Token = token;
    internal readonly Signal Readable = new(), Writable = new(), Changed = new(); // Changed: opened or ended
    private readonly WeakReference<Flow> _flow = new(null!);
    private int _closed;
    private volatile bool _opened, _ended;
    private StatusCode _endStatus;

    /// <summary>By type: the event in the channel's list, if nobody has taken it, or one that was there. Under the channel's lock of flows.</summary>
    internal readonly LinkedListNode<(FlowRecord, EventType)>?[] Notes = new LinkedListNode<(FlowRecord, EventType)>?[(int)EventType.ListenerClosed + 1];
    internal int Readers; // who wait for its messages: the same lock
    internal long StalledBytes;
    internal long SpaceTold, RefusedAt = -1; // by the channel's count: when space was told, and as of when a send was refused. The same lock
    internal bool Aborted; // written once, before the close is told

    internal bool Opened
    {
        get => _opened;
        set => _opened = value;
    }

    internal bool Ended => _ended;

    internal bool IsBlocked => RefusedAt >= SpaceTold;

    internal StatusCode EndStatus => _endStatus;

    /// <summary>This side has closed it, or is about to.</summary>
    internal bool Closed => Volatile.Read(ref _closed) != 0;

    /// <summary>The Flow, or null if the program has lost it.</summary>
    internal Flow? Flow
    {
        get => _flow.TryGetTarget(out Flow? flow) ? flow : null;
        set => _flow.SetTarget(value!);
    }

    /// <summary>True for the first who calls it.</summary>
    internal bool BeginClose() => Interlocked.Exchange(ref _closed, 1) == 0;

    internal void End(StatusCode status)
    {
        _endStatus = status;
        _ended = true;
    }

    internal void ReleaseAll()
    {
        Readable.Release();
        Writable.Release();
        Changed.Release();
    }
}
