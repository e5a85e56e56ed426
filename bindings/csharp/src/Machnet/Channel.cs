// SPDX-License-Identifier: MIT
using Machnet.Interop;

namespace Machnet;

/// <summary>
/// A shared memory between this program and the engine, with flows and listeners. All members may be used from any thread at any time: sends take
/// turns with sends, receives with receives.
/// </summary>
/// <remarks>
/// Waiting calls without Async wait in the caller, by the library's own polling and sleeping. The first Async call that has to wait starts one
/// thread for the channel, which sleeps on the channel's descriptor for all waiters (.NET has no public way to wait for one); from then on all wait by it.
/// </remarks>
public sealed unsafe partial class Channel : IDisposable, IAsyncDisposable
{
    /// <summary>For an engine that takes no requests, where the program gives no time: what the library has for an answer of the engine process.</summary>
    private static readonly TimeSpan s_requestPatience = TimeSpan.FromSeconds(5);
    private readonly ChannelHandle _handle;
    private readonly NativeChannel* _channel; // valid while _handle is: on a side (EnterSend, EnterReceive) or by Use
    private int _closed;

    internal Channel(ChannelHandle handle)
    {
        _handle = handle;
        _channel = handle.Pointer;
        EnterReceive();
        try
        {
            Dispatch(); // from here on every flow's ACCEPTED comes before its messages
        }
        finally
        {
            LeaveReceive();
        }
    }

    /// <summary>A lost channel is closed.</summary>
    ~Channel() => Close(false);

    /// <summary>Detaches from the engine: its flows are aborted, its listeners closed, all waits end. Borrowed messages stay readable.</summary>
    public void Dispose()
    {
        Close(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>The same, off this thread.</summary>
    public ValueTask DisposeAsync() => new(Task.Run(Dispose));

    /// <summary>
    /// The first step of closing: the engine lets go of the channel, all waits end, all calls fail with ShutDown. The object is there still.
    /// </summary>
    public void Shutdown()
    {
        using Use use = new(this);
        Check(Native.machnet_channel_shutdown(_channel));
    }

    private void Close(bool join)
    {
        if (_handle == null || Interlocked.Exchange(ref _closed, 1) != 0)
            return;
        _ = Native.machnet_channel_shutdown(_channel); // the engine lets go of it, though calls of other threads may hold it a while
        _ = Native.machnet_channel_wake(_channel);     // the pump may have had the news of an end before
        Monitor.Enter(_sendLock); // whoever was inside has left
        Monitor.Exit(_sendLock);
        Monitor.Enter(_receiveLock);
        Monitor.Exit(_receiveLock);
        _pump?.Stop(join);
        ReleaseEveryone();
        _handle.Dispose();
    }

    private bool IsClosed => Volatile.Read(ref _closed) != 0;

    /// <summary>Makes the present or else the next <see cref="Wait"/> return <see cref="WaitFor.None"/>.</summary>
    public void Wake()
    {
        using Use use = new(this);
        Volatile.Write(ref _woken, 1);
        Check(Native.machnet_channel_wake(_channel));
        _anything.Release();
    }

    /// <summary>The counters of the library for this channel, by name; they only grow, unless the name ends in "_now".</summary>
    public IReadOnlyDictionary<string, long> GetStats()
    {
        using Use use = new(this);
        ulong* values = stackalloc ulong[128];
        int count = Check(Native.machnet_channel_stats(_channel, values, 128));
        var stats = new Dictionary<string, long>(count);
        for (int i = 0; i < Math.Min(count, 128); i++)
            stats[Library.Text(Native.machnet_stat_name((uint)i))] = (long)values[i];
        return stats;
    }

    /// <summary>Accepts flows at a local address; port 0: the engine chooses. May take a round trip to the engine process.</summary>
    public Listener Listen(Address local)
    {
        using Use use = new(this);
        NativeAddress address = local.ToNative();
        NativeError error = default;
        ulong token;
        lock (_flows)
            _listening++; // flows may be accepted before we know the token
        int status = Native.machnet_listener_open(_channel, &address, null, &token, &error);
        Listener? listener = status < 0 ? null : new Listener(this, token);
        AdoptAccepted(listener);
        return listener ?? throw MachnetException.Of(status, error);
    }

    /// <summary>
    /// Begins to open a flow and returns at once. Messages may be sent on it; they go out when it is open. <see cref="Flow.WaitOpen"/> waits for that.
    /// </summary>
    /// <exception cref="MachnetTimeoutException">
    /// The engine has taken no requests for <see cref="FlowOptions.OpenTimeout"/>, or for 5 s where that is not given; there is no flow.
    /// </exception>
    public Flow StartFlow(Address remote, Address? local = null, FlowOptions? options = null) =>
        StartFlow(remote, local, options, RequestDeadline(options));

    /// <summary>Opens a flow and waits until it is open.</summary>
    /// <param name="remote">Where a listener accepts.</param>
    /// <param name="local">This side's address; null: any.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="timeout">Null: until <see cref="FlowOptions.OpenTimeout"/> ends it.</param>
    /// <exception cref="FlowEndedException">It could not be opened.</exception>
    public Flow OpenFlow(Address remote, Address? local = null, FlowOptions? options = null, TimeSpan? timeout = null)
    {
        long deadline = Clock.Deadline(timeout), start = RequestDeadline(options);
        Flow flow = StartFlow(remote, local, options, deadline < 0 ? start : Math.Min(deadline, start));
        try
        {
            flow.WaitOpen(deadline < 0 ? null : Clock.Left(deadline));
            return flow;
        }
        catch
        {
            flow.Dispose();
            throw;
        }
    }

    private static long RequestDeadline(FlowOptions? options) => Clock.Deadline(options?.OpenTimeout ?? s_requestPatience);

    private Flow StartFlow(Address remote, Address? local, FlowOptions? options, long deadline)
    {
        for (var spin = new SpinWait(); ; spin.SpinOnce())
        {
            if (TryStartFlow(remote, local, options) is { } flow)
                return flow;
            ThrowIfLate(deadline);
        }
    }

    private static void ThrowIfLate(long deadline)
    {
        if (Clock.LeftNanoseconds(deadline) == 0)
            throw MachnetException.Of((int)StatusCode.TimedOut,
                "No flow could be opened in time: the engine takes no requests. Look whether machnetd is stopped, then try again.");
    }

    /// <summary>Null: too many requests are under way, which an engine that runs takes within microseconds.</summary>
    private Flow? TryStartFlow(Address remote, Address? local, FlowOptions? options)
    {
        using OptionSet set = Options.SetOf(options);
        NativeAddress to = remote.ToNative(), from = local.GetValueOrDefault().ToNative();
        NativeError error = default;
        ulong token;
        EnterSend();
        try
        {
            lock (_flows) // its events must not be taken before the flow is known
            {
                int status = Native.machnet_flow_open(_channel, local == null ? null : &from, &to, set.Pointer, 0, &token, &error);
                if (status >= 0)
                    return AddFlow(token);
                return status == (int)StatusCode.Again ? null : throw MachnetException.Of(status, error);
            }
        }
        finally
        {
            LeaveSend();
        }
    }

    internal static int Check(int status) => status < 0 ? throw MachnetException.Of(status) : status;

    /// <summary>For calls of any thread: the channel is not freed before Dispose.</summary>
    internal readonly ref struct Use
    {
        private readonly Channel _owner;

        internal Use(Channel owner)
        {
            ObjectDisposedException.ThrowIf(owner.IsClosed, owner);
            bool taken = false;
            owner._handle.DangerousAddRef(ref taken);
            _owner = owner;
        }

        internal NativeChannel* Pointer => _owner._channel;

        public void Dispose() => _owner._handle.DangerousRelease();
    }
}
