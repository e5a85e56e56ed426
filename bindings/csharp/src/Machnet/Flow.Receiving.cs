// SPDX-License-Identifier: MIT
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Machnet;

public sealed partial class Flow
{
    /// <summary>Takes the next message into the caller's buffer; false: there is none now.</summary>
    /// <exception cref="MessageTooLongException">It is longer than the buffer; it stays.</exception>
    public bool TryReceive(Span<byte> buffer, out MessageInfo info) => Channel.TryReceive(this, buffer, out info);

    /// <summary>Takes the next message into the caller's buffer, and waits for it.</summary>
    /// <exception cref="MessageTooLongException">It is longer than the buffer; it stays.</exception>
    public MessageInfo Receive(Span<byte> buffer, TimeSpan? timeout = null) => Channel.Receive(this, buffer, timeout);

    /// <summary>Takes the next message; false: there is none now.</summary>
    public bool TryReceive([NotNullWhen(true)] out Message? message) => Channel.TryReceive(this, out message);

    /// <summary>Takes the next message, and waits for it.</summary>
    public Message Receive(TimeSpan? timeout = null) => Channel.Receive(this, timeout);

    /// <summary>The same, asynchronously. A cancelled wait has taken nothing.</summary>
    public ValueTask<Message> ReceiveAsync(CancellationToken cancellationToken = default) => Channel.ReceiveAsync(this, cancellationToken);

    /// <summary>Takes the next message where it lies; false: there is none now.</summary>
    public bool TryBorrow([NotNullWhen(true)] out BorrowedMessage? message) => Channel.TryBorrow(this, out message);

    /// <summary>Takes the next message where it lies, and waits for it.</summary>
    public BorrowedMessage Borrow(TimeSpan? timeout = null) => Channel.Borrow(this, timeout);

    /// <summary>The same, asynchronously. A cancelled wait has taken nothing.</summary>
    public ValueTask<BorrowedMessage> BorrowAsync(CancellationToken cancellationToken = default) => Channel.BorrowAsync(this, cancellationToken);

    /// <summary>Takes as many messages as are there and fit into the batch, in place of what it held; 0: there is none now.</summary>
    public int TryReceive(MessageBatch batch) => Channel.TryReceive(this, batch);

    /// <summary>The same, and waits for the first one.</summary>
    public int Receive(MessageBatch batch, TimeSpan? timeout = null) => Channel.Receive(this, batch, timeout);

    /// <summary>The same, asynchronously. A cancelled wait has taken nothing.</summary>
    public ValueTask<int> ReceiveAsync(MessageBatch batch, CancellationToken cancellationToken = default) =>
        Channel.ReceiveAsync(this, batch, cancellationToken);

    /// <summary>All messages, until the peer closes the flow. FlowEndedException: it ended in another way.</summary>
    public async IAsyncEnumerable<Message> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        for (; ; )
        {
            Message message;
            try
            {
                message = await ReceiveAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (FlowEndedException end) when (end.Code == StatusCode.Closed)
            {
                yield break;
            }
            yield return message;
        }
    }
}
