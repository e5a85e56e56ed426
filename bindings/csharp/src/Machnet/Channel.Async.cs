// SPDX-License-Identifier: MIT
using System.Runtime.CompilerServices;

namespace Machnet;

/* C# lets nothing wait in a part that has pointers. */
public sealed partial class Channel
{
    /// <summary>The same, asynchronously. Cancelled: there is no flow.</summary>
    public async ValueTask<Flow> OpenFlowAsync(
        Address remote, Address? local = null, FlowOptions? options = null, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        long deadline = RequestDeadline(options);
        Flow? flow;
        while ((flow = TryStartFlow(remote, local, options)) == null)
        {
            ThrowIfLate(deadline);
            await Task.Delay(1, cancellationToken).ConfigureAwait(false);
        }
        try
        {
            await flow.WaitOpenAsync(cancellationToken).ConfigureAwait(false);
            return flow;
        }
        catch
        {
            flow.Dispose();
            throw;
        }
    }

    /// <summary>All messages of all flows, for as long as the channel lives. Ends of flows are not told here.</summary>
    public async IAsyncEnumerable<Message> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        for (; ; )
            yield return await ReceiveAsync(cancellationToken).ConfigureAwait(false);
    }

    internal async ValueTask<Message> ReceiveAsync(Flow? flow, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (TryReceive(flow, out Message? message))
            return message;
        await MessageAsync(flow, () => TryReceive(flow, out message), cancellationToken).ConfigureAwait(false);
        return message!;
    }

    internal async ValueTask<BorrowedMessage> BorrowAsync(Flow? flow, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (TryBorrow(flow, out BorrowedMessage? message))
            return message;
        await MessageAsync(flow, () => TryBorrow(flow, out message), cancellationToken).ConfigureAwait(false);
        return message!;
    }

    internal async ValueTask<int> ReceiveAsync(Flow? flow, MessageBatch batch, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        int count = TryReceive(flow, batch);
        if (count == 0)
            await MessageAsync(flow, () => (count = TryReceive(flow, batch)) > 0, cancellationToken).ConfigureAwait(false);
        return count;
    }

    /// <summary>Tries again whenever the signal says so, until the attempt succeeds or throws. Cancellation never follows a success.</summary>
    internal async ValueTask WhenAsync(Signal signal, Func<bool> attempt, CancellationToken cancellationToken, FlowRecord? reader = null)
    {
        for (; ; )
        {
            cancellationToken.ThrowIfCancellationRequested();
            TaskCompletionSource waiter = BeginAsync(signal, reader);
            try
            {
                if (attempt())
                    return;
                await waiter.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                EndAsync(waiter, signal, reader);
            }
        }
    }

    /// <summary>The same, asynchronously. Cancelled: some may have been sent.</summary>
    public async ValueTask<int> SendAsync(MessageBatch batch, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        int sent = TrySend(batch);
        while (sent < batch.Count)
        {
            int more = 0;
            FlowRecord? record = RecordOf(batch, sent);
            await WhenAsync(record?.Writable ?? _anything, () => (more = TrySend(batch, sent)) > 0, cancellationToken).ConfigureAwait(false);
            if (record != null)
                TookEvent(record, EventType.SendSpace);
            sent += more;
        }
        return sent;
    }

    /// <summary>The engine takes requests off the ring all the time, and tells nobody: a program that makes no more calls must not be needed.</summary>
    private async Task TellClosesSoonAsync()
    {
        while (Volatile.Read(ref _closesWaiting) > 0 && !IsClosed)
        {
            await Task.Delay(1).ConfigureAwait(false);
            TellCloses();
        }
    }
}
