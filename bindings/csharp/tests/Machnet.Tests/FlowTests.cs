// SPDX-License-Identifier: MIT
using System.Text;
using Xunit;

namespace Machnet.Tests;

public sealed class FlowTests : IDisposable
{
    private readonly Pair _pair = new();

    public void Dispose() => _pair.Dispose();

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(64)]
    [InlineData(2048)]
    [InlineData(2049)]
    [InlineData(65536)]
    [InlineData(65537)]
    [InlineData(1 << 20)]
    [InlineData(8 << 20)]
    public void Messages_of_every_size_with_their_tags(int length)
    {
        (Flow here, Flow there) = _pair.Open();
        byte[] sent = Payload.Of(length, length);
        here.Send(sent, ulong.MaxValue - (ulong)length, Pair.Long);
        Message got = there.Receive(Pair.Long);
        Assert.Equal(ulong.MaxValue - (ulong)length, got.Tag);
        Assert.Same(there, got.Flow);
        Assert.True(got.Span.SequenceEqual(sent));
        using (SendBuffer buffer = there.Reserve(length, Pair.Long))
        {
            buffer.Write(sent, static (bytes, all) => all.CopyTo(bytes));
            buffer.Commit(length, 7, Pair.Long);
        }
        using BorrowedMessage back = here.Borrow(Pair.Long);
        Assert.True(back.Read(sent, static (bytes, all) => bytes.SequenceEqual(all)));
        Assert.Equal(7ul, back.Tag);
    }

    [Fact]
    public void A_message_that_is_too_long_for_the_buffer_stays()
    {
        (Flow here, Flow there) = _pair.Open();
        here.Send(new byte[100], 5);
        byte[] buffer = new byte[99];
        MessageTooLongException problem = Assert.Throws<MessageTooLongException>(() => there.Receive(buffer, Pair.Long));
        Assert.Equal(100, problem.Length);
        Assert.Equal(StatusCode.MessageTooLong, problem.Code);
        Assert.Equal(new MessageInfo(there, 5, 100), there.Receive(new byte[100], Pair.Long));
        Assert.Throws<MessageTooLongException>(() => here.Send(new byte[MachnetLibrary.MaxMessageLength + 1]));
        Assert.Throws<MessageTooLongException>(() => here.TryReserve(MachnetLibrary.MaxMessageLength + 1, out _));
    }

    [Fact]
    public void Batches_go_out_whole_and_come_in_order()
    {
        (Flow here, Flow there) = _pair.Open();
        MessageBatch batch = _pair.Client.CreateBatch(500, 100_000), got = _pair.Server.CreateBatch(7);
        for (int i = 0; i < 500; i++)
            Assert.True(batch.TryAdd(here, Payload.Of(i, i % 150), (ulong)i));
        Assert.False(batch.TryAdd(here, [], 0));
        Assert.Equal(500, _pair.Client.Send(batch, Pair.Long));
        for (int next = 0; next < 500;)
        {
            int count = there.Receive(got, Pair.Long);
            Assert.InRange(count, 1, 7);
            for (int i = 0; i < count; i++, next++)
            {
                Assert.Equal((ulong)next, got.Tag(i));
                Assert.Same(there, got.Flow(i));
                Assert.True(got[i].SequenceEqual(Payload.Of(next, next % 150)));
            }
            Assert.Throws<ArgumentOutOfRangeException>(() => got.Tag(count));
        }
        Assert.Equal(0, there.TryReceive(got));
        here.Send("first"u8, 1);
        Assert.Equal(1, there.Receive(got, Pair.Long));
        Assert.True(got.TryAdd(there, "second"u8)); // behind what was received, which may be sent on
        Assert.Equal("first", Encoding.UTF8.GetString(got[0]));
        Assert.Equal("second", Encoding.UTF8.GetString(got[1]));
        Assert.Throws<ArgumentException>(() => _pair.Server.CreateBatch().TryAdd(here, []));
        Assert.Throws<ArgumentException>(() => _pair.Server.TrySend(batch));
    }

    [Fact]
    public void Any_flow_gives_the_flow_of_each_message()
    {
        var flows = new (Flow Here, Flow There)[10];
        for (int i = 0; i < flows.Length; i++)
            flows[i] = _pair.Open();
        foreach ((Flow here, _) in flows)
            here.Send("x"u8);
        var seen = new HashSet<Flow>();
        while (seen.Count < flows.Length)
            seen.Add(_pair.Server.Receive(Pair.Long).Flow);
        Assert.Equal(flows.Select(static both => both.There).ToHashSet(), seen);
    }

    [Fact]
    public void A_wait_on_one_flow_sleeps_though_another_has_unread_messages()
    {
        (Flow a, Flow thereA) = _pair.Open();
        (_, Flow thereB) = _pair.Open();
        a.Send("unread"u8);
        _pair.Server.Wait(WaitFor.Receive, Pair.Long);
        TimeSpan spent = Threads.Start(() =>
        {
            Assert.Throws<MachnetTimeoutException>(() => thereB.Receive(TimeSpan.FromSeconds(3)));
            return Threads.ProcessorTimeOf("/proc/thread-self");
        }).GetAwaiter().GetResult();
        spent += Threads.ProcessorTimeOf(Threads.Named("machnet").Single()); // the pump
        Assert.True(spent < TimeSpan.FromSeconds(0.5), $"{spent} of processor time");
        Assert.Equal("unread", Encoding.UTF8.GetString(thereA.Receive(TimeSpan.Zero).Span));
    }

    [Fact]
    public void Close_delivers_what_was_sent_and_tells_both_sides()
    {
        (Flow here, Flow there) = _pair.Open();
        for (int i = 0; i < 100; i++)
            here.Send(new byte[1000], (ulong)i);
        here.Dispose();
        Assert.Equal(StatusCode.Ok, here.WaitClosed(Pair.Long));
        Assert.Equal(StatusCode.Closed, there.WaitClosed(Pair.Long));
        for (int i = 0; i < 100; i++)
            Assert.Equal((ulong)i, there.Receive(Pair.Long).Tag);
        Assert.Equal(StatusCode.Closed, Assert.Throws<FlowEndedException>(() => there.Receive(Pair.Long)).Code);
        Assert.Equal(StatusCode.Closed, Assert.Throws<FlowEndedException>(() => there.Send([])).Code);
        Assert.Equal(FlowState.Ended, there.GetInfo().State);
    }

    [Fact]
    public void Abort_resets_the_peer()
    {
        (Flow here, Flow there) = _pair.Open();
        here.Abort();
        here.Abort();
        Assert.Equal(StatusCode.Reset, there.WaitClosed(Pair.Long));
        Assert.Equal(StatusCode.Reset, Assert.Throws<FlowEndedException>(() => there.Receive(Pair.Long)).Code);
    }

    [Fact]
    public void A_refused_flow_says_so()
    {
        FlowEndedException refused = Assert.Throws<FlowEndedException>(() => _pair.Client.OpenFlow(_pair.Two.At(1), options: Pair.Patient));
        Assert.Equal(StatusCode.Refused, refused.Code);
        Assert.Contains("Start the program that listens", refused.Message);
        Flow flow = _pair.Client.StartFlow(_pair.Two.At(1), options: Pair.Patient);
        Assert.Equal(StatusCode.Refused, flow.WaitClosed(Pair.Long));
        var nobody = new FlowOptions { OpenTimeout = TimeSpan.FromMilliseconds(50) };
        Address nowhere = Address.Parse("127.0.0.250:7000");
        Assert.Equal(StatusCode.AddressNotAvailable,
            Assert.Throws<FlowEndedException>(() => _pair.Client.OpenFlow(Address.Parse("[fd00::1]:7000"))).Code);
        Assert.Equal(StatusCode.Unreachable, Assert.Throws<FlowEndedException>(() => _pair.Client.OpenFlow(nowhere, options: nobody)).Code);
        Assert.Throws<MachnetTimeoutException>(
            () => _pair.Client.OpenFlow(nowhere, options: Pair.Patient, timeout: TimeSpan.FromMilliseconds(20)));
    }

    [Fact]
    public void Backpressure_until_send_space()
    {
        (Flow here, Flow there) = _pair.Open();
        int sent = 0;
        byte[] data = new byte[10_000];
        Assert.Throws<MachnetTimeoutException>(() =>
        {
            for (; sent < 100_000; sent++)
                here.Send(data, (ulong)sent, TimeSpan.FromMilliseconds(500)); // memory on its way is space, too
        });
        Task<int> reader = Threads.Start(() =>
        {
            int got = 0;
            while (there.Receive(Pair.Long).Tag != ulong.MaxValue)
                got++;
            return got;
        });
        here.WaitSendSpace(Pair.Long);
        here.Send(data, ulong.MaxValue, Pair.Long);
        Assert.True(reader.Wait(Pair.Long));
        Assert.Equal(sent, reader.Result);
    }

    [Fact]
    public void Two_threads_wait_at_once_on_one_channel()
    {
        (Flow a, Flow thereA) = _pair.Open();
        (Flow b, Flow thereB) = _pair.Open();
        Flow[] sides = [thereA, thereB];
        Task<ulong>[] readers = [.. sides.Select(flow => Threads.Start(() =>
        {
            ulong sum = 0;
            for (int i = 0; i < 2000; i++)
                sum += flow.Receive(Pair.Long).Tag;
            return sum;
        }))];
        for (int i = 0; i < 2000; i++)
        {
            a.Send([], (ulong)i, Pair.Long);
            b.Send([], (ulong)i, Pair.Long);
            if (i % 100 == 0)
                Thread.Sleep(1);
        }
        Assert.True(Task.WaitAll(readers, Pair.Long));
        Assert.All(readers, static one => Assert.Equal(1999ul * 1000, one.Result));
    }

    [Fact]
    public void Sends_of_all_kinds_take_turns()
    {
        const int Rounds = 2_000, InBatch = 8;
        (Flow Here, Flow There)[] flows = [_pair.Open(), _pair.Open(), _pair.Open(), _pair.Open()];
        using var begin = new Barrier(flows.Length);
        Task[] senders = [.. flows.Select((both, kind) => Threads.Start(() =>
        {
            MessageBatch batch = _pair.Client.CreateBatch();
            begin.SignalAndWait(Pair.Long);
            for (ulong tag = 0; tag < Rounds * InBatch; tag += InBatch)
            {
                batch.Clear();
                for (ulong i = tag; i < tag + InBatch; i++)
                {
                    if (kind == 0)
                        both.Here.Send(BitConverter.GetBytes(i), i, Pair.Long);
                    else if (kind == 1)
                        Assert.True(batch.TryAdd(both.Here, BitConverter.GetBytes(i), i));
                    else
                    {
                        using SendBuffer buffer = both.Here.Reserve(8, Pair.Long);
                        buffer.Write(i, static (bytes, number) => BitConverter.TryWriteBytes(bytes, number));
                        buffer.Commit(8, i, Pair.Long);
                    }
                }
                if (kind == 1)
                    _pair.Client.Send(batch, Pair.Long);
                if (kind == 3)
                    _pair.Client.StartFlow(_pair.Two.At(1)).Dispose();
            }
        }))];
        var next = flows.ToDictionary(static both => both.There, static _ => 0ul);
        for (int left = flows.Length * Rounds * InBatch; left > 0; left--)
        {
            Message got = _pair.Server.Receive(Pair.Long);
            Assert.Equal(next[got.Flow]++, got.Tag);
            Assert.Equal(got.Tag, BitConverter.ToUInt64(got.Span));
        }
        Assert.True(Task.WaitAll(senders, Pair.Long));
    }

    [Fact]
    public void One_event_of_a_type_is_kept_for_each_flow_and_none_of_closed_ones()
    {
        Flow closed = _pair.Client.StartFlow(_pair.Listener.LocalAddress, options: Pair.Patient);
        Flow peer = _pair.Listener.Accept(Pair.Long);
        Assert.Equal(WaitFor.Event, _pair.Client.Wait(WaitFor.Event, Pair.Long)); // it is open
        closed.Dispose();
        Threads.Until(() =>
        {
            Assert.False(_pair.Client.TryTakeEvent(out _));
            return _pair.Client.KnownFlows == 0;
        }, "its end is not told");
        peer.Dispose();

        (Flow here, Flow there) = _pair.Open();
        byte[] data = new byte[4 << 20];
        for (int round = 0; round < 2; round++)
        {
            int sent = 0;
            while (here.TrySend(data))
                Assert.True(++sent < 1000);
            for (; sent > 0; sent--)
                there.Receive(Pair.Long);
            Assert.Equal(WaitFor.Send, _pair.Client.Wait(WaitFor.Send, Pair.Long));
        }
        Assert.True(_pair.Client.TryTakeEvent(out Event happened));
        Assert.Equal(new Event(EventType.SendSpace, here, StatusCode.Ok, 0), happened);
        Assert.False(_pair.Client.TryTakeEvent(out _));
    }

    [Fact]
    public void Space_is_told_to_all_who_were_refused_and_only_while_it_is_there()
    {
        (Flow here, Flow there) = _pair.Open();
        byte[] data = new byte[4 << 20];
        int sent = 0;
        bool isFull = false;
        for (int round = 0; !isFull; round++) // memory on its way is space, too
        {
            Assert.True(round < 100);
            while (here.TrySend(data))
                Assert.True(++sent < 1000);
            try
            {
                Assert.Equal(WaitFor.Send, _pair.Client.Wait(WaitFor.Send, TimeSpan.FromMilliseconds(300)));
            }
            catch (MachnetTimeoutException)
            {
                isFull = true;
            }
        }
        for (; sent > 0; sent--)
            there.Receive(Pair.Long);
        for (int waiter = 0; waiter < 3; waiter++)
            here.WaitSendSpace(Pair.Long);
        Assert.False(_pair.Client.TryTakeEvent(out Event happened) && happened.Type == EventType.SendSpace);
    }

    [Fact]
    public void Send_and_receive_threads_and_releases_from_a_third()
    {
        const int Count = 20_000;
        (Flow here, Flow there) = _pair.Open();
        using var given = new System.Collections.Concurrent.BlockingCollection<BorrowedMessage>(100);
        Task echo = Threads.Start(() =>
        {
            for (int i = 0; i < Count; i++)
            {
                Message got = there.Receive(Pair.Long);
                there.Send(got.Span, got.Tag, Pair.Long);
            }
        });
        Task sender = Threads.Start(() =>
        {
            for (int i = 0; i < Count; i++)
                here.Send(BitConverter.GetBytes(i), (ulong)i, Pair.Long);
        });
        Task releaser = Threads.Start(() =>
        {
            int next = 0;
            foreach (BorrowedMessage message in given.GetConsumingEnumerable())
            {
                Assert.Equal(next++, message.Read(0, static (bytes, _) => BitConverter.ToInt32(bytes)));
                message.Dispose();
            }
            Assert.Equal(Count, next);
        });
        for (int i = 0; i < Count; i++)
            given.Add(here.Borrow(Pair.Long));
        given.CompleteAdding();
        Assert.True(Task.WaitAll([echo, sender, releaser], Pair.Long));
        Assert.Equal(0, _pair.Client.GetStats()["buffers_borrowed_now"]);
    }

    [Fact]
    public void Receive_stalled_is_an_event()
    {
        (Flow here, Flow there) = _pair.Open();
        var held = new List<BorrowedMessage>();
        Task sender = Threads.Start(() =>
        {
            for (int i = 0; i < 16; i++)
                here.Send(new byte[8 << 20], 0, Pair.Long);
        });
        Event happened = default;
        Threads.Until(() =>
        {
            if (there.TryBorrow(out BorrowedMessage? message))
                held.Add(message);
            return _pair.Server.TryTakeEvent(out happened) && happened.Type == EventType.ReceiveStalled;
        }, "no ReceiveStalled");
        Assert.Same(there, happened.Flow);
        Assert.True(happened.Value > 0);
        held.ForEach(static one => one.Dispose());
        for (int i = held.Count; i < 16; i++)
            there.Borrow(Pair.Long).Dispose();
        Assert.True(sender.Wait(Pair.Long));
    }

    [Fact]
    public void Ipv6()
    {
        using var engine = new Engine(12, "::1");
        using Context context = Context.Open(new ContextOptions { SocketPath = engine.Socket });
        using Channel channel = context.OpenChannel(), other = context.OpenChannel();
        using Listener listener = other.Listen(engine.At(0));
        Flow here = channel.OpenFlow(listener.LocalAddress, options: Pair.Patient), there = listener.Accept(Pair.Long);
        here.Send("six"u8);
        Assert.Equal("six", Encoding.UTF8.GetString(there.Receive(Pair.Long).Span));
        Assert.Equal(System.Net.IPAddress.IPv6Loopback, here.RemoteAddress.Ip);
    }
}
