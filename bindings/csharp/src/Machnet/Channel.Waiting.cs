// SPDX-License-Identifier: MIT
using Machnet.Interop;

namespace Machnet;

/*
 * Waiting. Of all threads that wait in calls without Async one at a time, the leader, waits in the library; it takes the events for all. The others
 * sleep on a Signal, and one of them becomes the leader when it leaves. Once the pump runs (Pump.cs), all sleep on Signals.
 *
 * The library's wait returns at once while any flow has a message that nobody takes. A leader that is told of messages in vain starts the pump,
 * whose descriptor tells of each news once.
 */
public sealed unsafe partial class Channel
{
    private const int VainMost = 3;
    private readonly Signal _followers = new(), _anyMessage = new(), _anything = new();
    private readonly object _pumpLock = new();
    private int _leader, _woken, _recalls;
    private volatile Pump? _pump;

    internal Signal AnyMessage => _anyMessage;

    /// <summary>A call's wait, from its first failed attempt to its end. Use: while (!attempt) waiting.Next().</summary>
    internal ref struct Waiting
    {
        private readonly Channel _channel;
        private readonly FlowRecord? _reader; // whose messages are waited for
        private readonly Signal _signal;
        private readonly Signal? _also;
        private readonly long _deadline;
        private TaskCompletionSource? _parked;
        private bool _leads, _late;
        private int _vain, _recalls; // the latter as of before the last look

        internal Waiting(Channel channel, Signal signal, TimeSpan? timeout, FlowRecord? reader = null, Signal? also = null)
        {
            _channel = channel;
            _signal = signal;
            _also = also;
            _reader = reader;
            _deadline = Clock.Deadline(timeout);
            _recalls = Volatile.Read(ref channel._recalls);
            if (reader != null)
                channel.AddReader(reader);
        }

        /// <summary>Waits until it is worth while to look again, or the time is over; then, after one more look, throws.</summary>
        internal void Next()
        {
            if (_late)
                throw MachnetException.Of((int)StatusCode.TimedOut);
            if (_channel._pump == null && (_leads || _channel.TryLead()))
            {
                _leads = true;
                Unpark();
                bool forMessages = _reader != null || _signal == _channel._anyMessage || _also != null;
                _late = !_channel.Lead(_deadline, forMessages, _signal == _channel._anything, ref _vain, ref _recalls);
            }
            else
            {
                StopLeading();
                _late = !Follow();
            }
        }

        private bool Follow()
        {
            if (_parked == null)
            {
                _parked = _signal.Add();
                _also?.Add(_parked);
                if (_channel._pump == null)
                    _channel.Join(_parked);
                return true; // look again: what came before is not told
            }
            TimeSpan left = Clock.Left(_deadline);
            bool told = _parked.Task.Wait(left);
            Unpark();
            return told;
        }

        private void Unpark()
        {
            if (_parked == null)
                return;
            _signal.Remove(_parked);
            _also?.Remove(_parked);
            _channel._followers.Remove(_parked);
            _parked = null;
        }

        private void StopLeading()
        {
            if (_leads)
                _channel.StopLeading();
            _leads = false;
        }

        public void Dispose()
        {
            Unpark();
            if (_reader != null)
                _channel.RemoveReader(_reader);
            if (_leads)
                StopLeading();
            else
                _channel.HandOn(); // it may have been called to lead, and found what it waited for
        }
    }

    private bool TryLead() => Interlocked.CompareExchange(ref _leader, 1, 0) == 0;

    private void StopLeading()
    {
        Volatile.Write(ref _leader, 0);
        Interlocked.MemoryBarrier();
        _followers.ReleaseOne();
    }

    private void HandOn()
    {
        if (_pump == null && Volatile.Read(ref _leader) == 0)
            _followers.ReleaseOne();
    }

    /// <summary>One more who sleeps while another leads, which must know what to wait for.</summary>
    private void Join(TaskCompletionSource parked)
    {
        _followers.Add(parked);
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _leader) == 0)
            _followers.ReleaseOne();
        else
        {
            using Use use = new(this);
            _ = Native.machnet_channel_wake(_channel);
        }
    }

    /// <summary>
    /// Something was closed here, of which the library tells nobody, or late: the leader looks again. The caller holds the channel.
    /// </summary>
    internal void Recall()
    {
        Interlocked.Increment(ref _recalls);
        if (Volatile.Read(ref _leader) != 0)
            _ = Native.machnet_channel_wake(_channel);
    }

    /// <summary>Waits in the library, and takes events for all. False: the time is over.</summary>
    private bool Lead(long deadline, bool forMessages, bool forWakes, ref int vain, ref int recalls)
    {
        uint mask = (uint)(machnet_wait.MACHNET_WAIT_EVENT | machnet_wait.MACHNET_WAIT_SEND);
        int status;
        EnterReceive();
        try
        {
            // Looked at inside: from here on only this thread can take the wake that tells of a change. One that came before may have been
            // taken by another thread's look.
            int recalled = Volatile.Read(ref _recalls);
            bool changed = recalled != recalls || (forWakes && Volatile.Read(ref _woken) != 0);
            bool waits = _pump == null && Volatile.Read(ref _contenders) == 0 && !changed;
            recalls = recalled;
            if (forMessages || HasReaders())
                mask |= (uint)machnet_wait.MACHNET_WAIT_RECEIVE;
            status = waits ? Native.machnet_channel_wait(_channel, mask, Clock.LeftNanoseconds(deadline)) : 0;
            if (waits && status != (int)StatusCode.TimedOut)
                Dispatch();
        }
        finally
        {
            LeaveReceive();
        }
        vain = status > 0 && (status & (int)machnet_wait.MACHNET_WAIT_RECEIVE) != 0 ? vain + 1 : 0;
        if (vain > VainMost || status == (int)StatusCode.System)
            StartPump();
        for (var spin = new SpinWait(); Volatile.Read(ref _contenders) > 0;)
            spin.SpinOnce();
        return status != (int)StatusCode.TimedOut;
    }

    // ---- Those who wait for messages ----

    private void AddReader(FlowRecord record)
    {
        lock (_flows)
        {
            record.Readers++;
            _readers.Add(record);
        }
    }

    private void RemoveReader(FlowRecord record)
    {
        lock (_flows)
        {
            if (--record.Readers == 0)
                _readers.Remove(record);
        }
    }

    private bool HasReaders()
    {
        lock (_flows)
            return _readers.Count > 0 || _anyMessage.HasWaiters;
    }

    /// <summary>Releases those whose flow has a message, or none ever again. Receive side.</summary>
    private void ReleaseReaders()
    {
        lock (_flows)
        {
            foreach (FlowRecord record in _readers)
            {
                NativeFlowInfo info;
                if (Native.machnet_flow_info_get(_channel, record.Token, &info) < 0 || info.messages_queued > 0 ||
                    info.state == (uint)machnet_flow_state.MACHNET_FLOW_ENDED)
                    record.Readable.Release();
            }
        }
        if (_anyMessage.HasWaiters &&
            Native.machnet_channel_wait(_channel, (uint)machnet_wait.MACHNET_WAIT_RECEIVE, 0) != (int)StatusCode.TimedOut)
            _anyMessage.Release();
    }

    private void ReleaseEveryone()
    {
        FlowRecord[] all;
        lock (_flows)
            all = [.. _flows.Values];
        foreach (FlowRecord record in all)
            record.ReleaseAll();
        foreach (Listener listener in Listeners())
            listener.Accepted.Release();
        _anyMessage.Release();
        _anything.Release();
    }

    private List<Listener> Listeners()
    {
        var found = new List<Listener>();
        lock (_flows)
        {
            foreach (WeakReference<Listener> one in _listeners.Values)
            {
                if (one.TryGetTarget(out Listener? listener))
                    found.Add(listener);
            }
        }
        return found;
    }

    // ---- Async ----

    /// <summary>
    /// The start of an async wait: the waiter is there before the caller looks again. It only tells that looking is worth while, so that a cancelled
    /// wait loses nothing.
    /// </summary>
    internal TaskCompletionSource BeginAsync(Signal signal, FlowRecord? reader)
    {
        TaskCompletionSource waiter = signal.Add();
        try
        {
            if (reader != null)
                AddReader(reader);
            StartPump().Hold(this);
        }
        catch
        {
            signal.Remove(waiter);
            if (reader != null)
                RemoveReader(reader);
            throw;
        }
        return waiter;
    }

    internal void EndAsync(TaskCompletionSource waiter, Signal signal, FlowRecord? reader)
    {
        signal.Remove(waiter);
        if (reader != null)
            RemoveReader(reader);
        _pump?.LetGo();
    }

    private Pump StartPump()
    {
        lock (_pumpLock)
        {
            if (_pump != null)
                return _pump;
            using Use use = new(this);
            int descriptor = Native.machnet_channel_fd(_channel);
            if (descriptor < 0)
                throw MachnetException.Of(descriptor);
            var pump = new Pump(this, descriptor);
            _pump = pump;
            try
            {
                pump.Start();
            }
            catch
            {
                _pump = null;
                throw;
            }
            _ = Native.machnet_channel_wake(_channel); // the leader follows from here on
            return pump;
        }
    }

    /// <summary>What the pump does whenever there is news. False: it ends.</summary>
    internal bool OnNews()
    {
        if (IsClosed)
            return false;
        try
        {
            EnterReceive();
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
        try
        {
            Dispatch();
        }
        finally
        {
            LeaveReceive();
        }
        return true;
    }

    // ---- A wait of the program itself ----

    /// <summary>Waits until something of <paramref name="what"/> holds, and returns what does; <see cref="WaitFor.None"/> after a wake.</summary>
    /// <param name="what">One or more.</param>
    /// <param name="timeout">Null: for ever; zero: only looks.</param>
    /// <exception cref="MachnetTimeoutException">The time is over.</exception>
    public WaitFor Wait(WaitFor what, TimeSpan? timeout = null)
    {
        if (what == WaitFor.None || (what & ~(WaitFor.Receive | WaitFor.Event | WaitFor.Send)) != 0)
            throw new ArgumentOutOfRangeException(nameof(what));
        using var waiting = new Waiting(this, _anything, timeout, also: (what & WaitFor.Receive) != 0 ? _anyMessage : null);
        for (; ; )
        {
            WaitFor held = Look(what);
            if (held != WaitFor.None || Interlocked.Exchange(ref _woken, 0) != 0)
                return held;
            waiting.Next();
        }
    }

    private WaitFor Look(WaitFor what)
    {
        uint mask = (uint)(what & WaitFor.Receive) | (uint)machnet_wait.MACHNET_WAIT_EVENT;
        int status;
        EnterReceive();
        try
        {
            status = Native.machnet_channel_wait(_channel, mask, 0);
            Dispatch();
        }
        finally
        {
            LeaveReceive();
        }
        if (status < 0 && status != (int)StatusCode.TimedOut && status != (int)StatusCode.LowMemory)
            throw MachnetException.Of(status);
        WaitFor held = status > 0 ? (WaitFor)status & what & WaitFor.Receive : WaitFor.None;
        return held | HeldOfWhatWasTold(what);
    }
}
