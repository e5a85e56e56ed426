// SPDX-License-Identifier: MIT
using System.Diagnostics.CodeAnalysis;
using Machnet.Interop;

namespace Machnet;

/// <summary>Accepts flows at one address. All members may be used from any thread.</summary>
public sealed unsafe partial class Listener : IDisposable, IAsyncDisposable
{
    internal readonly Signal Accepted = new();
    private readonly Queue<Flow> _flows = new(); // also the lock
    private int _closed;

    internal Listener(Channel channel, ulong token)
    {
        Channel = channel;
        Token = token;
    }

    /// <summary>A lost listener is closed.</summary>
    ~Listener()
    {
        // Closing asks the engine, which a finaliser must not wait for.
        if (Volatile.Read(ref _closed) == 0)
            ThreadPool.UnsafeQueueUserWorkItem(static lost => lost.CloseLost(), this, false);
    }

    internal ulong Token { get; }

    /// <summary>Its channel.</summary>
    public Channel Channel { get; }

    /// <summary>Where it accepts, with the port that was chosen.</summary>
    public Address LocalAddress
    {
        get
        {
            ObjectDisposedException.ThrowIf(Volatile.Read(ref _closed) != 0, this);
            using Channel.Use use = new(Channel);
            NativeAddress local;
            Channel.Check(Native.machnet_listener_address(use.Pointer, Token, &local));
            return new Address(local);
        }
    }

    /// <summary>The next flow that was accepted; false: there is none now.</summary>
    public bool TryAccept([NotNullWhen(true)] out Flow? flow)
    {
        if (!Take(out flow) && Channel.OnNews())
            Take(out flow);
        if (flow == null)
            Channel.ThrowIfGone();
        return flow != null;
    }

    /// <summary>The next flow that was accepted, and waits for it.</summary>
    public Flow Accept(TimeSpan? timeout = null)
    {
        if (TryAccept(out Flow? flow))
            return flow;
        using var waiting = new Channel.Waiting(Channel, Accepted, timeout);
        while (!TryAccept(out flow))
            waiting.Next();
        return flow;
    }

    /// <summary>
    /// Stops accepting; flows that were taken live on, others are closed. Asks the engine (below 1 ms, at most 5 s); if it is gone, that is fine.
    /// </summary>
    public void Dispose()
    {
        GC.SuppressFinalize(this);
        if (Interlocked.Exchange(ref _closed, 1) != 0)
            return;
        try
        {
            using Channel.Use use = new(Channel);
            NativeError error;
            _ = Native.machnet_listener_close(use.Pointer, Token, 0, &error); // the channel is gone: so is the listener
            Channel.Recall();
        }
        catch (ObjectDisposedException)
        {
            // the channel was closed, and the listener with it
        }
        Channel.Forget(this);
        Flow[] left;
        lock (_flows)
        {
            left = [.. _flows];
            _flows.Clear();
        }
        foreach (Flow flow in left)
            flow.Dispose();
        Accepted.Release();
    }

    /// <summary>The same, off this thread.</summary>
    public ValueTask DisposeAsync() => new(Task.Run(Dispose));

    private void CloseLost() => Dispose();

    /// <summary>False: it is closed.</summary>
    internal bool Add(Flow flow)
    {
        lock (_flows)
        {
            if (_closed != 0)
                return false;
            _flows.Enqueue(flow);
        }
        Accepted.Release();
        return true;
    }

    private bool Take(out Flow? flow)
    {
        lock (_flows)
        {
            ObjectDisposedException.ThrowIf(_closed != 0, this);
            if (!_flows.TryDequeue(out flow))
                return false;
        }
        Channel.TookEvent(flow.Record, EventType.Accepted);
        return true;
    }
}
