// SPDX-License-Identifier: MIT
namespace Machnet;

/// <summary>A received message: a copy of its own, which stays as it is for as long as it is referenced.</summary>
public sealed class Message
{
    internal Message(MessageInfo info, byte[] bytes)
    {
        Info = info;
        Memory = bytes;
    }

    /// <summary>Flow, tag and length.</summary>
    public MessageInfo Info { get; }

    /// <summary>The flow it came on.</summary>
    public Flow Flow => Info.Flow;

    /// <summary>What the sender gave.</summary>
    public ulong Tag => Info.Tag;

    /// <summary>Bytes.</summary>
    public int Length => Info.Length;

    /// <summary>The bytes.</summary>
    public ReadOnlyMemory<byte> Memory { get; }

    /// <summary>The bytes.</summary>
    public ReadOnlySpan<byte> Span => Memory.Span;
}
