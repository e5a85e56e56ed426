// SPDX-License-Identifier: MIT
using System.Text.Json.Nodes;

namespace Machnet.Conformance;

/* Messages, one at a time and in streams. */
internal sealed partial class Agent
{
    private const int BatchBytes = 256 * 1024;

    private JsonObject Describe(Flow? flow, ulong tag, ReadOnlySpan<byte> bytes) => new()
    {
        ["flow"] = NameOf(flow),
        ["length"] = bytes.Length,
        ["tag"] = Received.TagText(tag),
        ["crc"] = Crc.Add(0, bytes),
    };

    private JsonObject Describe(Message message) => Describe(message.Flow, message.Tag, message.Span);

    private JsonObject Describe(BorrowedMessage message) =>
        message.Read(this, (bytes, agent) => agent.Describe(message.Flow, message.Tag, bytes));

    /// <summary>The flow to receive from, or null and the channel.</summary>
    private (Flow? Flow, Channel Channel) Source(Request request)
    {
        Flow? flow = request.Has("flow") ? Get<Flow>(request, "flow") : null;
        return (flow, flow?.Channel ?? Get<Channel>(request, "channel"));
    }

    // ---- Sending ----

    private JsonObject Send(Request request) => Do(() => Get<Flow>(request, "flow").Send(
        Payload.Of((ulong)request.Long("seed"), request.Int("length")), request.Tag, request.Time()));

    private JsonObject SendBatch(Request request)
    {
        Flow flow = Get<Flow>(request, "flow");
        Request[] messages = [.. request.Requests("messages")];
        long bytes = messages.Sum(static one => one.Long("length") + 8);
        MessageBatch batch = flow.Channel.CreateBatch(Math.Max(messages.Length, 1), (int)Math.Max(bytes, 8));
        foreach (Request one in messages)
        {
            Flow to = one.Has("flow") ? Get<Flow>(one, "flow") : flow;
            if (!batch.TryAdd(to, Payload.Of((ulong)one.Long("seed"), one.Int("length")), one.Tag))
                throw new FaultException("the batch is too small");
        }
        int sent = Send(flow.Channel, batch, request.Immediate ? null : new Deadline(request.Time()));
        return new JsonObject { ["count"] = sent };
    }

    /// <summary>Sends all, or as many as the time allows (null: one call).</summary>
    private static int Send(Channel channel, MessageBatch batch, Deadline? deadline)
    {
        int sent = channel.TrySend(batch);
        while (sent < batch.Count && deadline is { Over: false })
        {
            Thread.Sleep(1);
            sent += channel.TrySend(batch, sent);
        }
        return sent > 0 ? sent : throw new MachnetException(deadline == null ? StatusCode.Again : StatusCode.TimedOut, "nothing was sent");
    }

    private JsonObject SendStream(Request request, Deadline deadline)
    {
        Flow flow = Get<Flow>(request, "flow");
        var stream = new Stream(request);
        int step = request.Flag("zero_copy") ? 1 : request.Int("batch", 1);
        for (int k = 0; k < stream.Count; k += step)
        {
            if (step > 1)
                SendBatch(flow, stream, k, Math.Min(step, stream.Count - k), deadline);
            else if (request.Flag("zero_copy"))
                SendReserved(flow, stream, k, deadline);
            else
                flow.Send(stream.Bytes(k), stream.Tag(k), deadline.Left);
            if (request.Has("interval_us"))
                Thread.Sleep(TimeSpan.FromMicroseconds(request.Int("interval_us")));
        }
        return new JsonObject { ["count"] = stream.Count };
    }

    private static void SendBatch(Flow flow, Stream stream, int first, int count, Deadline deadline)
    {
        long bytes = Enumerable.Range(first, count).Sum(k => stream.Length(k) + 8L);
        MessageBatch batch = flow.Channel.CreateBatch(count, (int)bytes);
        for (int k = first; k < first + count; k++)
        {
            if (!batch.TryAdd(flow, stream.Bytes(k), stream.Tag(k)))
                throw new FaultException("the batch is too small");
        }
        flow.Channel.Send(batch, deadline.Left);
    }

    private static void SendReserved(Flow flow, Stream stream, int k, Deadline deadline)
    {
        using SendBuffer buffer = flow.Reserve(stream.Length(k), deadline.Left);
        buffer.Write(stream.Bytes(k), static (bytes, all) => all.CopyTo(bytes));
        buffer.Commit(stream.Length(k), stream.Tag(k), deadline.Left);
    }

    private JsonObject Fill(Request request)
    {
        Flow flow = Get<Flow>(request, "flow");
        ulong seed = (ulong)request.Long("seed"), count = 0;
        int length = request.Int("length");
        while (count < 100_000 && flow.TrySend(Payload.Of(seed + count, length), count))
            count++;
        return new JsonObject { ["count"] = count };
    }

    private JsonObject Reserve(Request request)
    {
        SendBuffer buffer = Get<Flow>(request, "flow").Reserve(request.Int("length"), request.Time());
        return Add(request, "buffer", buffer, "flow", new JsonObject { ["length"] = buffer.Length });
    }

    private JsonObject Commit(Request request)
    {
        SendBuffer buffer = Get<SendBuffer>(request, "buffer");
        int length = request.Int("length");
        ulong seed = (ulong)request.Long("seed");
        buffer.Write(seed, (bytes, state) => Payload.Fill(bytes[..Math.Min(length, bytes.Length)], state));
        return Do(() => buffer.Commit(length, request.Tag, request.Time()));
    }

    // ---- Receiving ----

    private JsonObject Receive(Request request)
    {
        (Flow? flow, Channel channel) = Source(request);
        if (!request.Has("capacity"))
            return Describe(flow == null ? channel.Receive(request.Time()) : flow.Receive(request.Time()));
        byte[] buffer = new byte[request.Int("capacity")];
        MessageInfo info = flow == null ? channel.Receive(buffer, request.Time()) : flow.Receive(buffer, request.Time());
        return Describe(info.Flow, info.Tag, buffer.AsSpan(0, info.Length));
    }

    /// <summary>One batch, large enough for at least the next message.</summary>
    private static MessageBatch Take(Flow? flow, Channel channel, int most, TimeSpan time)
    {
        int bytes = BatchBytes;
        for (; ; )
        {
            try
            {
                MessageBatch batch = channel.CreateBatch(most, bytes);
                _ = flow == null ? channel.Receive(batch, time) : flow.Receive(batch, time);
                return batch;
            }
            catch (MessageTooLongException problem)
            {
                bytes = (int)problem.Length + 8;
            }
        }
    }

    private JsonObject ReceiveBatch(Request request)
    {
        (Flow? flow, Channel channel) = Source(request);
        MessageBatch batch = Take(flow, channel, request.Int("max"), request.Time());
        var messages = new JsonArray();
        for (int i = 0; i < batch.Count; i++)
            messages.Add(Describe(batch.Flow(i), batch.Tag(i), batch[i]));
        return new JsonObject { ["messages"] = messages };
    }

    private JsonObject ReceiveStream(Request request)
    {
        (Flow? flow, Channel channel) = Source(request);
        var deadline = new Deadline(request.Time(20000));
        var received = new Received();
        int count = request.Int("count"), step = request.Int("batch", 1);
        while (received.Count < count)
        {
            if (request.Flag("zero_copy"))
            {
                using BorrowedMessage message = flow == null ? channel.Borrow(deadline.Left) : flow.Borrow(deadline.Left);
                received.Add(message);
            }
            else if (step > 1)
            {
                MessageBatch batch = Take(flow, channel, Math.Min(step, count - received.Count), deadline.Left);
                for (int i = 0; i < batch.Count; i++)
                    received.Add(batch.Tag(i), batch[i]);
            }
            else
            {
                Message message = flow == null ? channel.Receive(deadline.Left) : flow.Receive(deadline.Left);
                received.Add(message.Tag, message.Span);
            }
        }
        return received.Result();
    }

    private JsonObject Borrow(Request request)
    {
        (Flow? flow, Channel channel) = Source(request);
        BorrowedMessage message = flow == null ? channel.Borrow(request.Time()) : flow.Borrow(request.Time());
        return Add(request, "message", message, flow == null ? "channel" : "flow", Describe(message));
    }

    private JsonObject Release(Request request)
    {
        BorrowedMessage message = Get<BorrowedMessage>(request, "message");
        return Do(request.Flag("thread") ? () => Run(message.Dispose).Join() : message.Dispose);
    }

    private static Thread Run(Action action)
    {
        var thread = new Thread(() => action());
        thread.Start();
        return thread;
    }

    private JsonObject Echo(Request request)
    {
        Flow flow = Get<Flow>(request, "flow");
        var deadline = new Deadline(request.Time(20000));
        int count = request.Int("count");
        for (int i = 0; i < count; i++)
        {
            Message message = flow.Receive(deadline.Left);
            flow.Send(message.Span, message.Tag, deadline.Left);
        }
        return new JsonObject { ["count"] = count };
    }
}
