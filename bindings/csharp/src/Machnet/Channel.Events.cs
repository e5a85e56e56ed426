// SPDX-License-Identifier: MIT
using Machnet.Interop;

namespace Machnet;

/* Flows by token, and the library's events, which are handed to those whom they concern. */
public sealed unsafe partial class Channel
{
    private const int EventsAtOnce = 32;
    private readonly Dictionary<ulong, FlowRecord> _flows = []; // also the lock of everything in this file
    private readonly Dictionary<ulong, WeakReference<Listener>> _listeners = [];
    private readonly List<(ulong Listener, Flow Flow)> _unclaimed = []; // accepted while listeners are being opened
    private readonly LinkedList<(FlowRecord Flow, EventType Type)> _events = new(); // that nobody has taken, the oldest first
    private readonly HashSet<FlowRecord> _readers = []; // whose messages somebody waits for
    private readonly HashSet<FlowRecord> _ends = []; // not closed here, and not told by a Wait yet
    private readonly Queue<FlowRecord> _closes = new(); // that could not be told to the engine yet
    private int _listening, _closesWaiting, _spaceNotes; // the last: events of the type in _events
    private long _spacesTold;
    private volatile int _gone; // status

    private Flow AddFlow(ulong token)
    {
        var record = new FlowRecord(this, token);
        var flow = new Flow(record);
        record.Flow = flow;
        lock (_flows)
            _flows[token] = record;
        return flow;
    }

    /// <summary>Flows that have not ended and been closed here.</summary>
    internal int KnownFlows
    {
        get
        {
            lock (_flows)
                return _flows.Count;
        }
    }

    /// <summary>The flow of a message, or null if the program has closed or lost it.</summary>
    internal Flow? FlowOf(ulong token)
    {
        lock (_flows)
            return _flows.TryGetValue(token, out FlowRecord? record) && !record.Closed ? record.Flow : null;
    }

    /// <summary>Takes all events. Receive side.</summary>
    private void Dispatch()
    {
        NativeEvent* events = stackalloc NativeEvent[EventsAtOnce];
        int count;
        bool any = false;
        while ((count = Native.machnet_channel_events(_channel, events, EventsAtOnce, 0)) > 0)
        {
            for (int i = 0; i < count; i++)
                Tell(events[i]);
            any = true;
        }
        if (count != (int)StatusCode.Again && count != (int)StatusCode.LowMemory)
        {
            _gone = count;
            ReleaseEveryone();
        }
        if (Volatile.Read(ref _closesWaiting) > 0)
            TellCloses();
        ReleaseReaders();
        if (any) // else who waits for anything would wake itself by its own look
            _anything.Release();
    }

    private void Tell(in NativeEvent happened)
    {
        if (happened.type == (uint)machnet_event_type.MACHNET_EVENT_ACCEPTED)
        {
            Accept(happened.listener, AddFlow(happened.flow));
            return;
        }
        FlowRecord? record;
        lock (_flows)
        {
            if (!_flows.TryGetValue(happened.flow, out record))
                return;
            if (happened.type == (uint)machnet_event_type.MACHNET_EVENT_CLOSED)
            {
                record.End((StatusCode)happened.status);
                if (record.Closed) // else it is forgotten when it is closed
                    _flows.Remove(happened.flow);
                else
                    _ends.Add(record);
            }
            if (happened.type == (uint)machnet_event_type.MACHNET_EVENT_SEND_SPACE)
            {
                record.SpaceTold = _spacesTold + 1;
                Volatile.Write(ref _spacesTold, record.SpaceTold);
            }
            Note(record, (EventType)happened.type);
        }
        switch ((machnet_event_type)happened.type)
        {
            case machnet_event_type.MACHNET_EVENT_ESTABLISHED:
                record.Opened = true;
                record.Changed.Release();
                break;
            case machnet_event_type.MACHNET_EVENT_CLOSED:
                record.ReleaseAll();
                break;
            case machnet_event_type.MACHNET_EVENT_SEND_SPACE:
                record.Writable.Release();
                break;
            case machnet_event_type.MACHNET_EVENT_RECEIVE_STALLED:
                record.StalledBytes = (long)happened.value;
                break;
        }
    }

    /// <summary>Keeps an event for TryTakeEvent: one of a type for each flow that is open here. Under the lock.</summary>
    private void Note(FlowRecord record, EventType type)
    {
        if (record.Closed || !Enum.IsDefined(type))
            return;
        LinkedListNode<(FlowRecord, EventType)> note = record.Notes[(int)type] ??= new((record, type));
        if (note.List != null)
            return;
        _events.AddLast(note);
        if (type == EventType.SendSpace)
            _spaceNotes++;
    }

    private void Drop(LinkedListNode<(FlowRecord, EventType Type)> note)
    {
        _events.Remove(note);
        if (note.Value.Type == EventType.SendSpace)
            _spaceNotes--;
    }

    /// <summary>Somebody has learned of it in another way. True if it was there.</summary>
    internal bool TookEvent(FlowRecord record, EventType type)
    {
        lock (_flows)
        {
            if (record.Notes[(int)type] is not { List: not null } note)
                return false;
            Drop(note);
            return true;
        }
    }

    /// <summary>How often the library has told of space so far: to be asked before one tries to send, for <see cref="Refused"/>.</summary>
    internal long SpacesTold => Volatile.Read(ref _spacesTold);

    /// <summary>There was no space. The library will tell when there is, and what it told before the attempt counts no more.</summary>
    internal void Refused(FlowRecord record, long toldBefore)
    {
        lock (_flows)
        {
            record.RefusedAt = Math.Max(record.RefusedAt, toldBefore);
            if (record.IsBlocked)
                TookEvent(record, EventType.SendSpace);
        }
    }

    /// <summary>True unless the library has told of no space since a send was refused; its event is taken then.</summary>
    internal bool TookSpace(FlowRecord record)
    {
        lock (_flows)
        {
            if (!record.IsBlocked)
                TookEvent(record, EventType.SendSpace);
            return !record.IsBlocked;
        }
    }

    /// <summary>
    /// Takes the next event that nobody has taken by a call of its own (accept, wait for open, for the end, for space), if there is one. One of a
    /// type is kept for each flow, none for flows that this program has closed. Programs that need none may leave them.
    /// </summary>
    public bool TryTakeEvent(out Event happened)
    {
        EnterReceive();
        try
        {
            Dispatch();
        }
        finally
        {
            LeaveReceive();
        }
        lock (_flows)
        {
            while (_events.First is { Value: var (record, type) } first)
            {
                Drop(first);
                if (record.Flow is not { } flow) // the program has lost it
                    continue;
                happened = new Event(type, flow, type == EventType.Closed ? record.EndStatus : StatusCode.Ok,
                    type == EventType.ReceiveStalled ? record.StalledBytes : 0);
                return true;
            }
        }
        happened = default;
        return false;
    }

    /// <summary>What holds of that which the library has told, to whichever wait; an end is told once.</summary>
    private WaitFor HeldOfWhatWasTold(WaitFor what)
    {
        WaitFor held = WaitFor.None;
        lock (_flows)
        {
            if ((what & WaitFor.Receive) != 0 && _ends.Count > 0)
            {
                held |= WaitFor.Receive;
                _ends.Clear();
            }
            if ((what & WaitFor.Event) != 0 && _events.Count > 0)
                held |= WaitFor.Event;
            if ((what & WaitFor.Send) != 0 && _spaceNotes > 0)
                held |= WaitFor.Send;
        }
        return held;
    }

    // ---- Listeners ----

    private void Accept(ulong token, Flow flow)
    {
        Listener? listener = null;
        lock (_flows)
        {
            flow.Record.Opened = true;
            if (_listeners.TryGetValue(token, out WeakReference<Listener>? known))
                known.TryGetTarget(out listener);
            else if (_listening > 0)
            {
                _unclaimed.Add((token, flow));
                return;
            }
            Note(flow.Record, EventType.Accepted);
        }
        if (listener?.Add(flow) != true)
            flow.Dispose(); // nobody is there to take it
    }

    /// <summary>The end of a Listen: `listener` is known now (null: there is none).</summary>
    private void AdoptAccepted(Listener? listener)
    {
        (ulong Listener, Flow Flow)[] unclaimed;
        lock (_flows)
        {
            _listening--;
            if (listener != null)
                _listeners[listener.Token] = new WeakReference<Listener>(listener);
            unclaimed = [.. _unclaimed];
            _unclaimed.Clear();
        }
        foreach ((ulong token, Flow flow) in unclaimed)
            Accept(token, flow); // if it is not of this one, it may be of the next
    }

    internal void Forget(Listener listener)
    {
        lock (_flows)
            _listeners.Remove(listener.Token);
    }

    // ---- Closing flows ----

    /// <summary>Closes a flow; the engine is told at once, or, if the ring is full, soon. Never blocks.</summary>
    internal void Close(FlowRecord record, bool abort)
    {
        lock (_flows)
        {
            foreach (LinkedListNode<(FlowRecord, EventType)>? note in record.Notes)
            {
                if (note?.List != null)
                    Drop(note);
            }
            if (record.Ended)
                _flows.Remove(record.Token);
            _readers.Remove(record);
            _ends.Remove(record);
        }
        record.Aborted = abort;
        bool later = false;
        Monitor.Enter(_sendLock);
        try
        {
            if (!IsClosed)
            {
                if (TellClose(record) == (int)StatusCode.Again)
                {
                    lock (_flows)
                        _closes.Enqueue(record);
                    later = Interlocked.Increment(ref _closesWaiting) == 1;
                }
                Recall();
            }
        }
        finally
        {
            Monitor.Exit(_sendLock);
        }
        if (later)
            _ = TellClosesSoonAsync();
        record.ReleaseAll();
    }

    private int TellClose(FlowRecord record) => Native.machnet_flow_close(
        _channel, record.Token, record.Aborted ? (uint)machnet_close_flags.MACHNET_CLOSE_ABORT : 0);

    private void TellCloses()
    {
        lock (_sendLock)
        {
            while (!IsClosed)
            {
                FlowRecord? record;
                lock (_flows)
                {
                    if (!_closes.TryPeek(out record))
                        return;
                }
                if (TellClose(record) == (int)StatusCode.Again)
                    return;
                lock (_flows)
                    _closes.Dequeue();
                Interlocked.Decrement(ref _closesWaiting);
            }
        }
    }
}
