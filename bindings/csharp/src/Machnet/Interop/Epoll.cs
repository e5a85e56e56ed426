// SPDX-License-Identifier: MIT
using System.Runtime.InteropServices;

namespace Machnet.Interop;

/// <summary>An epoll descriptor that watches one other, edge-triggered. .NET has none of its own that takes a foreign descriptor.</summary>
internal sealed unsafe class Epoll : IDisposable
{
    internal const string Libc = "libc";
    private const int ControlAdd = 1, CloseOnExec = 0x80000;
    private const uint In = 1, EdgeTriggered = 1u << 31;
    private int _descriptor;

    internal Epoll(int watched)
    {
        _descriptor = Create(CloseOnExec);
        if (_descriptor < 0)
            throw Failure("epoll_create1");
        // struct epoll_event: its first member is `events`; its size depends on the architecture, its data we don't use.
        ulong* added = stackalloc ulong[2] { In | EdgeTriggered, 0 };
        if (Control(_descriptor, ControlAdd, watched, added) < 0)
        {
            MachnetException failure = Failure("epoll_ctl");
            Dispose();
            throw failure;
        }
    }

    /// <summary>Sleeps until something new has happened, or a signal was handled.</summary>
    internal void Wait()
    {
        ulong* got = stackalloc ulong[2];
        _ = Wait(_descriptor, got, 1, -1);
    }

    public void Dispose()
    {
        int descriptor = Interlocked.Exchange(ref _descriptor, -1);
        if (descriptor >= 0)
            _ = Close(descriptor);
    }

    private static MachnetException Failure(string call)
    {
        int error = Marshal.GetLastSystemError();
        return new MachnetException(StatusCode.System, $"{call} failed: {Marshal.GetPInvokeErrorMessage(error)}.", error);
    }

    [DllImport(Libc, EntryPoint = "epoll_create1")]
    private static extern int Create(int flags);

    [DllImport(Libc, EntryPoint = "epoll_ctl")]
    private static extern int Control(int epoll, int operation, int descriptor, ulong* change);

    [DllImport(Libc, EntryPoint = "epoll_wait")]
    private static extern int Wait(int epoll, ulong* events, int max, int timeoutMilliseconds);

    [DllImport(Libc, EntryPoint = "close")]
    private static extern int Close(int descriptor);
}
