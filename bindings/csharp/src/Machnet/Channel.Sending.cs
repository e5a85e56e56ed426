// SPDX-License-Identifier: MIT
using Machnet.Interop;

namespace Machnet;

/* Batches; what is sent one at a time is in Flow.cs. */
public sealed unsafe partial class Channel
{
    private readonly RecordArray _sendRecords = new(), _receiveRecords = new();

    /// <summary>A batch for this channel: at most so many messages, and bytes (each message is rounded up to 8).</summary>
    public MessageBatch CreateBatch(int messages = 32, int bytes = 64 * 1024)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(messages);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        return new MessageBatch(this, messages, bytes);
    }

    /// <summary>
    /// Sends the messages of a batch from the <paramref name="first"/> on, in order, and returns how many went out: fewer if there is no space for
    /// the next one or it cannot go; 0: no space for the first.
    /// </summary>
    /// <exception cref="FlowEndedException">The flow of the first has ended.</exception>
    public int TrySend(MessageBatch batch, int first = 0)
    {
        CheckBatch(batch, first);
        int sent = 0, status = 1;
        long told = 0;
        while (first + sent < batch.Count && status > 0)
        {
            told = SpacesTold;
            EnterSend();
            try
            {
                status = batch.Send(_channel, first + sent, _sendRecords);
            }
            finally
            {
                LeaveSend();
            }
            if (status > 0)
                sent += status;
        }
        if (status == (int)StatusCode.Again && RecordOf(batch, first + sent) is { } record)
            Refused(record, told);
        if (sent > 0 || status >= 0 || status == (int)StatusCode.Again)
            return sent;
        ObjectDisposedException.ThrowIf(status == (int)StatusCode.BadToken, typeof(Flow));
        throw MachnetException.OfFlow(status);
    }

    /// <summary>Sends all messages of a batch, and waits for space where there is none. Returns how many: all, unless it throws.</summary>
    public int Send(MessageBatch batch, TimeSpan? timeout = null)
    {
        int sent = TrySend(batch);
        long deadline = sent < batch.Count ? Clock.Deadline(timeout) : -1;
        while (sent < batch.Count)
        {
            FlowRecord? record = RecordOf(batch, sent);
            using var waiting = new Waiting(this, record?.Writable ?? _anything, deadline < 0 ? null : Clock.Left(deadline));
            int more;
            while ((more = TrySend(batch, sent)) == 0)
                waiting.Next();
            if (record != null)
                TookEvent(record, EventType.SendSpace);
            sent += more;
        }
        return sent;
    }

    private void CheckBatch(MessageBatch batch, int first)
    {
        ArgumentNullException.ThrowIfNull(batch);
        batch.CheckOf(this);
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, batch.Count);
    }

    private FlowRecord? RecordOf(MessageBatch batch, int index)
    {
        lock (_flows)
            return _flows.GetValueOrDefault(batch.FlowToken(index));
    }

    internal void ThrowIfGone()
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        if (_gone < 0)
            throw MachnetException.Of(_gone);
    }
}
