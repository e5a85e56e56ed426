// SPDX-License-Identifier: MIT
using System.Runtime.InteropServices;

namespace Machnet.Interop;

internal sealed unsafe class ContextHandle : SafeHandle
{
    internal ContextHandle(NativeContext* context) : base(0, true) => SetHandle((nint)context);

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        Native.machnet_context_unref((NativeContext*)handle);
        return true;
    }
}

/// <summary>One reference to a channel.</summary>
internal sealed unsafe class ChannelHandle : SafeHandle
{
    internal ChannelHandle(NativeChannel* channel) : base(0, true) => SetHandle((nint)channel);

    public override bool IsInvalid => handle == 0;

    /// <summary>For use between DangerousAddRef and DangerousRelease only.</summary>
    internal NativeChannel* Pointer => (NativeChannel*)handle;

    protected override bool ReleaseHandle()
    {
        Native.machnet_channel_unref((NativeChannel*)handle);
        return true;
    }
}

/// <summary>
/// A borrowed message or reserved buffer: released once, when disposed of or collected, but not while somebody is inside its bytes. The buffer
/// itself keeps the channel's memory.
/// </summary>
internal sealed unsafe class BufferHandle : SafeHandle
{
    private readonly NativeChannel* _channel;
    private readonly byte* _data;
    internal readonly int Length;
    private int _gone;             // committed: nothing is left to release
    private volatile bool _closed; // disposed of, though somebody may be inside still

    internal BufferHandle(NativeChannel* channel, in NativeView view) : base(0, true)
    {
        _channel = channel;
        _data = (byte*)view.data;
        Length = checked((int)view.length);
        SetHandle((nint)view.buffer);
    }

    public override bool IsInvalid => handle == 0;

    internal ulong Token => (ulong)handle;

    internal bool IsDisposed => _closed;

    /// <summary>Goes inside; to be left by DangerousRelease.</summary>
    internal void Enter()
    {
        ObjectDisposedException.ThrowIf(_closed, typeof(BorrowedMessage));
        bool taken = false;
        DangerousAddRef(ref taken);
    }

    protected override void Dispose(bool disposing)
    {
        _closed = true;
        base.Dispose(disposing);
    }

    /// <summary>The bytes. They must not be touched after DangerousRelease of a reference that the caller took before.</summary>
    internal byte* Data => _data;

    /// <summary>It was committed: the token is stale.</summary>
    internal void Forget()
    {
        Volatile.Write(ref _gone, 1);
        Dispose();
    }

    protected override bool ReleaseHandle()
    {
        if (Volatile.Read(ref _gone) == 0)
            Native.machnet_buffer_release(_channel, Token);
        return true;
    }
}
