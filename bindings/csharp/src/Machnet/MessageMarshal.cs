// SPDX-License-Identifier: MIT
using System.Buffers;
using System.Runtime.InteropServices;
using Machnet.Interop;

namespace Machnet;

/// <summary>
/// Shared memory as Span and Memory, for those who can say themselves when it is no longer used. As with <see cref="MemoryMarshal"/> and
/// <see cref="CollectionsMarshal"/> the compiler cannot check that; <see cref="BorrowedMessage.Read{TState,TResult}"/> and
/// <see cref="SendBuffer.Write"/> need no such care.
/// </summary>
public static unsafe class MessageMarshal
{
    /// <summary>The bytes of a borrowed message, until its Dispose: after it they are another message's, or none's. Keep the message referenced.</summary>
    public static ReadOnlySpan<byte> AsSpan(BorrowedMessage message) => SpanOf((message ?? throw new ArgumentNullException(nameof(message))).Handle);

    /// <summary>
    /// The bytes of a borrowed message as Memory, which owns the message from here on: as long as it is referenced or pinned the bytes stay; after Dispose of
    /// the message its Span throws ObjectDisposedException. A Span that was had before is as of <see cref="AsSpan(BorrowedMessage)"/>.
    /// </summary>
    public static ReadOnlyMemory<byte> AsMemory(BorrowedMessage message) =>
        new BufferMemory((message ?? throw new ArgumentNullException(nameof(message))).Handle).Memory;

    /// <summary>The bytes of a reserved buffer, until its Commit or Dispose.</summary>
    public static Span<byte> AsSpan(SendBuffer buffer) => SpanOf((buffer ?? throw new ArgumentNullException(nameof(buffer))).Handle);

    /// <summary>The bytes of a reserved buffer as Memory, whose Span throws after Commit or Dispose.</summary>
    public static Memory<byte> AsMemory(SendBuffer buffer) =>
        new BufferMemory((buffer ?? throw new ArgumentNullException(nameof(buffer))).Handle).Memory;

    private static Span<byte> SpanOf(BufferHandle handle)
    {
        ObjectDisposedException.ThrowIf(handle.IsDisposed, typeof(BorrowedMessage));
        return new Span<byte>(handle.Data, handle.Length);
    }

    private sealed class BufferMemory(BufferHandle handle) : MemoryManager<byte>
    {
        public override Span<byte> GetSpan() => SpanOf(handle);

        public override MemoryHandle Pin(int elementIndex = 0)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(elementIndex);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(elementIndex, handle.Length);
            handle.Enter(); // a Dispose meanwhile takes effect at Unpin
            return new MemoryHandle(handle.Data + elementIndex, default, new PinOnce(handle));
        }

        public override void Unpin()
        {
            // who has pinned disposes of the MemoryHandle
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                handle.Dispose();
        }
    }

    /// <summary>One pin. A MemoryHandle is a struct: of each pin there may be copies that are all disposed of.</summary>
    private sealed class PinOnce(BufferHandle handle) : IPinnable
    {
        private BufferHandle? _handle = handle;

        public MemoryHandle Pin(int elementIndex) => throw new NotSupportedException();

        public void Unpin() => Interlocked.Exchange(ref _handle, null)?.DangerousRelease();
    }
}
