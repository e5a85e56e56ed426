// SPDX-License-Identifier: MIT
using System.Runtime.CompilerServices;
using Machnet.Interop;

namespace Machnet;

/// <summary>
/// The thread that sleeps on a channel's descriptor for all who wait. It keeps the native channel, and the Channel itself only while somebody waits
/// asynchronously: a Channel that the program has lost is collected, and its finaliser ends the pump.
/// </summary>
internal sealed class Pump
{
    private readonly WeakReference<Channel> _channel;
    private readonly ChannelHandle _handle;
    private readonly Epoll _epoll;
    private readonly Thread _thread;
    private Channel? _held;
    private int _holds;

    internal Pump(Channel channel, int descriptor)
    {
        _channel = new WeakReference<Channel>(channel);
        _handle = channel.Handle;
        _epoll = new Epoll(descriptor);
        _thread = new Thread(Run, 256 * 1024) { IsBackground = true, Name = "machnet" };
    }

    internal void Start()
    {
        bool taken = false;
        _handle.DangerousAddRef(ref taken);
        try
        {
            _thread.Start();
        }
        catch // no memory for its stack
        {
            _handle.DangerousRelease();
            throw;
        }
    }

    /// <summary>Somebody waits.</summary>
    internal void Hold(Channel channel)
    {
        lock (_epoll)
        {
            _holds++;
            _held = channel;
        }
    }

    internal void LetGo()
    {
        lock (_epoll)
        {
            if (--_holds == 0)
                _held = null;
        }
    }

    /// <summary>The channel is closed and was woken: the thread ends by itself.</summary>
    internal void Stop(bool join)
    {
        if (join && Thread.CurrentThread != _thread)
            _thread.Join();
    }

    private void Run()
    {
        do
            _epoll.Wait();
        while (Tell());
        _epoll.Dispose();
        _handle.DangerousRelease();
    }

    [MethodImpl(MethodImplOptions.NoInlining)] // so that the thread has no reference to the channel while it sleeps
    private bool Tell() => _channel.TryGetTarget(out Channel? channel) && channel.OnNews();
}
