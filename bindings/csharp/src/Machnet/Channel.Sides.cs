// SPDX-License-Identifier: MIT
using Machnet.Interop;

namespace Machnet;

/*
 * The two sides of a channel, each of which the library lets one thread use at a time. Lock order: _receiveLock or _sendLock, then _flows; and
 * receive before send. Leave comes after the native call and uses `this`: it also keeps the channel from being collected during the call.
 */
public sealed unsafe partial class Channel
{
    private readonly object _sendLock = new(), _receiveLock = new();
    private int _contenders; // for the receive side

    internal NativeChannel* Pointer => _channel;

    internal ChannelHandle Handle => _handle;

    internal void EnterSend()
    {
        Monitor.Enter(_sendLock);
        if (IsClosed)
            FailClosed(_sendLock);
    }

    internal void LeaveSend() => Monitor.Exit(_sendLock);

    internal void EnterReceive()
    {
        if (!Monitor.TryEnter(_receiveLock))
            EnterReceiveSlowly();
        if (IsClosed)
            FailClosed(_receiveLock);
    }

    internal void LeaveReceive() => Monitor.Exit(_receiveLock);

    /// <summary>The side's owner may be asleep in the library: it is woken, and steps back while there are contenders.</summary>
    private void EnterReceiveSlowly()
    {
        Interlocked.Increment(ref _contenders);
        try
        {
            using (Use use = new(this))
                _ = Native.machnet_channel_wake(_channel);
            Monitor.Enter(_receiveLock);
        }
        finally
        {
            Interlocked.Decrement(ref _contenders);
        }
    }

    private void FailClosed(object side)
    {
        Monitor.Exit(side);
        throw new ObjectDisposedException(nameof(Channel));
    }
}
