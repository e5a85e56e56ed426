// SPDX-License-Identifier: MIT
using System.Buffers;
using Machnet.Interop;

namespace Machnet;

/// <summary>
/// A received message where it lies, in shared memory. Until it is disposed of (or collected) it counts against the space in which the channel can
/// receive; its bytes stay readable also when its flow or channel is closed. From any thread.
/// </summary>
/// <remarks>
/// <see cref="Read{TState,TResult}"/> lends the bytes for the time of a call, during which nobody can take them away: a Dispose on another thread takes effect at
/// its end. A Span or Memory without such an end is had from <see cref="MessageMarshal"/>.
/// </remarks>
public sealed unsafe class BorrowedMessage : IDisposable
{
    internal BorrowedMessage(MessageInfo info, BufferHandle handle)
    {
        Info = info;
        Handle = handle;
    }

    internal BufferHandle Handle { get; }

    /// <summary>Flow, tag and length.</summary>
    public MessageInfo Info { get; }

    /// <summary>The flow it came on.</summary>
    public Flow Flow => Info.Flow;

    /// <summary>What the sender gave.</summary>
    public ulong Tag => Info.Tag;

    /// <summary>Bytes.</summary>
    public int Length => Info.Length;

    /// <summary>Lends the bytes to <paramref name="reader"/>, without a copy, and returns what it returns.</summary>
    public TResult Read<TState, TResult>(TState state, SpanReader<TState, TResult> reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        Handle.Enter();
        try
        {
            return reader(new ReadOnlySpan<byte>(Handle.Data, Length), state);
        }
        finally
        {
            Handle.DangerousRelease();
        }
    }

    /// <summary>Lends the bytes to <paramref name="reader"/>, without a copy.</summary>
    public void Read<TState>(TState state, ReadOnlySpanAction<byte, TState> reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        Read((state, reader), static (bytes, both) =>
        {
            both.reader(bytes, both.state);
            return 0;
        });
    }

    /// <summary>Copies the bytes to the start of a buffer that is at least as long.</summary>
    public void CopyTo(Span<byte> destination)
    {
        Handle.Enter();
        try
        {
            new ReadOnlySpan<byte>(Handle.Data, Length).CopyTo(destination);
        }
        finally
        {
            Handle.DangerousRelease();
        }
    }

    /// <summary>A copy of the bytes.</summary>
    public byte[] ToArray()
    {
        byte[] bytes = GC.AllocateUninitializedArray<byte>(Length);
        CopyTo(bytes);
        return bytes;
    }

    /// <summary>A copy of the message.</summary>
    public Message ToMessage() => new(Info, ToArray());

    /// <summary>Gives the message back.</summary>
    public void Dispose() => Handle.Dispose();
}

/// <summary>Looks at borrowed bytes, and returns something of them.</summary>
public delegate TResult SpanReader<in TState, out TResult>(ReadOnlySpan<byte> bytes, TState state);
