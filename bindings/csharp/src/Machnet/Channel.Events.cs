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
    private readonly Queue<(FlowRecord Flow, EventType Type)> _events = new(); // with stale ones: Pending says what counts
    private readonly HashSet<FlowRecord> _readers = []; // whose messages somebody waits for
    private readonly Queue<FlowRecord> _closes = new(); // that could not be told to the engine yet
    private int _listening, _closesWaiting;
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
        while ((count = Native.machnet_channel_events(_channel, events, EventsAtOnce, 0)) > 0)
        {
            for (int i = 0; i < count; i++)
                Tell(events[i]);
        }
        if (count != (int)StatusCode.Again && count != (int)StatusCode.LowMemory)
        {
            _gone = count;
            ReleaseEveryone();
        }
        if (Volatile.Read(ref _closesWaiting) > 0)
            TellCloses();
        ReleaseReaders();
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
        int bit = 1 << (int)type;
        if (record.Closed || !Enum.IsDefined(type) || (record.Pending & bit) != 0)
            return;
        record.Pending |= bit;
        _events.Enqueue((record, type));
        if (_events.Count > 64 + (4 * _flows.Count))
            DropStaleEvents();
    }

    private void DropStaleEvents()
    {
        for (int left = _events.Count; left > 0; left--)
        {
            (FlowRecord flow, EventType type) = _events.Dequeue();
            if (!flow.Closed && (flow.Pending & (1 << (int)type)) != 0)
                _events.Enqueue((flow, type));
        }
    }

    /// <summary>Somebody has learned of it in another way. True if it was there.</summary>
    internal bool TookEvent(FlowRecord record, EventType type)
    {
        lock (_flows)
        {
            int before = record.Pending;
            record.Pending &= ~(1 << (int)type);
            return before != record.Pending;
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
            while (_events.TryDequeue(out (FlowRecord Record, EventType Type) next))
            {
                int bit = 1 << (int)next.Type;
                Flow? flow = next.Record.Flow;
                if ((next.Record.Pending & bit) == 0 || next.Record.Closed || flow == null)
                    continue;
                next.Record.Pending &= ~bit;
                happened = new Event(next.Type, flow, next.Type == EventType.Closed ? next.Record.EndStatus : StatusCode.Ok,
                    next.Type == EventType.ReceiveStalled ? next.Record.StalledBytes : 0);
                return true;
            }
        }
        happened = default;
        return false;
    }

    private bool HasEvents()
    {
        lock (_flows)
        {
            DropStaleEvents();
            return _events.Count > 0;
        }
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
            if (listener != null)
                Note(flow.Record, EventType.Accepted);
        }
        if (listener?.Add(flow) != true)
            flow.Dispose(); // nobody is there to take it
    }

    /// <summary>The end of a Listen: `listener` is known now (null: there is none).</summary>
    private void AdoptAccepted(Listener? listener)
    {
        List<(ulong Listener, Flow Flow)> mine;
        lock (_flows)
        {
            _listening--;
            if (listener != null)
                _listeners[listener.Token] = new WeakReference<Listener>(listener);
            mine = _unclaimed.FindAll(one => one.Listener == listener?.Token || _listening == 0);
            _unclaimed.RemoveAll(mine.Contains);
        }
        foreach ((ulong token, Flow flow) in mine)
            Accept(token, flow);
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
            record.Pending = 0;
            if (record.Ended)
                _flows.Remove(record.Token);
            _readers.Remove(record);
        }
        record.Aborted = abort;
        bool later = false;
        Monitor.Enter(_sendLock);
        try
        {
            if (!_closed && TellClose(record) == (int)StatusCode.Again)
            {
                lock (_flows)
                    _closes.Enqueue(record);
                later = Interlocked.Increment(ref _closesWaiting) == 1;
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
            while (!_closed)
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
