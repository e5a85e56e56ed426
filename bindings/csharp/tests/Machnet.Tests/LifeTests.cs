// SPDX-License-Identifier: MIT
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Xunit;

namespace Machnet.Tests;

public sealed class LifeTests
{
    [Fact]
    public void Options()
    {
        using var engine = new Engine(2);
        using Context context = Context.Open(new ContextOptions { SocketPath = engine.Socket });
        using (Channel channel = context.OpenChannel(new ChannelOptions { Name = "tester", Poll = PollMode.Sleep, Spin = TimeSpan.Zero }))
        {
            Assert.Contains("tester", context.GetStatus());
            Assert.Equal(0, channel.GetStats()["flows_now"]);
            Assert.Equal(StatusCode.AddressNotAvailable, Assert.Throws<AddressException>(() => channel.Listen(Address.Parse("127.0.0.1:1"))).Code);
            using Listener first = channel.Listen(engine.At(7000));
            Assert.Equal(StatusCode.AddressInUse, Assert.Throws<AddressException>(() => channel.Listen(engine.At(7000))).Code);
        }
        Assert.Equal(StatusCode.NotSupported,
            Assert.Throws<MachnetException>(() => context.OpenChannel(new ChannelOptions { Other = { [4711] = 1 } })).Code);
        Assert.ThrowsAny<ArgumentException>(() => context.OpenChannel(new ChannelOptions { Name = new string('x', 32) }));
        Assert.ThrowsAny<ArgumentException>(() => context.OpenChannel(new ChannelOptions { Name = "a\0b" }));
        Assert.ThrowsAny<ArgumentException>(() => context.OpenChannel(new ChannelOptions { SendBytes = -1 }));
    }

    [Fact]
    public async Task Every_use_after_close_is_refused()
    {
        using var pair = new Pair();
        (Flow here, Flow there) = pair.Open();
        SendBuffer buffer = here.Reserve(10), late = here.Reserve(10);
        there.Send("x"u8);
        BorrowedMessage message = here.Borrow(Pair.Long);
        MessageBatch batch = pair.Client.CreateBatch();
        batch.TryAdd(here, "x"u8);
        message.Dispose();
        message.Dispose();
        buffer.Dispose();
        buffer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => message.ToArray());
        Assert.Throws<ObjectDisposedException>(() => message.Read(0, static (bytes, _) => bytes.Length));
        Assert.Throws<ObjectDisposedException>(() => buffer.Write(0, static (_, _) => { }));
        Assert.Throws<ObjectDisposedException>(() => buffer.TryCommit(1));
        late.Commit(10);
        Assert.Throws<ObjectDisposedException>(() => late.Commit(10));

        void FlowIsClosed()
        {
            Assert.Throws<ObjectDisposedException>(() => here.TrySend("x"u8));
            Assert.Throws<ObjectDisposedException>(() => here.TryReserve(1, out _));
            Assert.Throws<ObjectDisposedException>(() => here.TryReceive(out Message? _));
            Assert.Throws<ObjectDisposedException>(() => here.TryReceive(new byte[1], out _));
            Assert.Throws<ObjectDisposedException>(() => here.TryBorrow(out _));
            Assert.Throws<ObjectDisposedException>(() => here.TryReceive(batch));
            Assert.Throws<ObjectDisposedException>(() => here.GetInfo());
            Assert.Throws<ObjectDisposedException>(() => here.LocalAddress);
            Assert.Throws<ObjectDisposedException>(() => here.WaitOpen());
            Assert.Throws<ObjectDisposedException>(() => here.WaitSendSpace());
        }

        here.Dispose();
        here.Dispose();
        Assert.Throws<ObjectDisposedException>(() => pair.Client.TrySend(batch));
        FlowIsClosed();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => here.ReceiveAsync().AsTask());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => here.SendAsync(new byte[1]).AsTask());

        Listener listener = pair.Client.Listen(pair.One.At(0));
        listener.Dispose();
        listener.Dispose();
        Assert.Throws<ObjectDisposedException>(() => listener.Accept());
        Assert.Throws<ObjectDisposedException>(() => listener.LocalAddress);

        pair.Client.Dispose();
        pair.Client.Dispose();
        FlowIsClosed();
        Assert.Throws<ObjectDisposedException>(() => pair.Client.GetStats());
        Assert.Throws<ObjectDisposedException>(() => pair.Client.Listen(pair.One.At(0)));
        Assert.Throws<ObjectDisposedException>(() => pair.Client.OpenFlow(pair.Two.At(1)));
        Assert.Throws<ObjectDisposedException>(() => pair.Client.TryReceive(out Message? _));
        Assert.Throws<ObjectDisposedException>(() => pair.Client.Wait(WaitFor.Receive));
        Assert.Throws<ObjectDisposedException>(() => pair.Client.TryTakeEvent(out _));
        Assert.Throws<ObjectDisposedException>(pair.Client.Wake);
        Assert.Throws<ObjectDisposedException>(pair.Client.Shutdown);
    }

    [Fact]
    public void A_borrowed_message_outlives_its_channel_and_context()
    {
        byte[] sent = Payload.Of(1, 3_000_000);
        BorrowedMessage message;
        ReadOnlyMemory<byte> memory;
        using (var pair = new Pair())
        {
            (Flow here, Flow there) = pair.Open();
            here.Send(sent, 9, Pair.Long);
            message = there.Borrow(Pair.Long);
            memory = MessageMarshal.AsMemory(message);
        }
        Assert.Equal(sent, message.ToArray());
        using (memory.Pin())
        {
            message.Dispose(); // takes effect when nobody has it pinned
            Assert.Throws<ObjectDisposedException>(() => memory.Span.Length);
        }
        Assert.Throws<ObjectDisposedException>(() => message.ToArray());
    }

    [Fact]
    public void A_pin_that_is_given_up_twice_takes_nothing_from_others()
    {
        using var pair = new Pair();
        (Flow here, Flow there) = pair.Open();
        here.Send(new byte[64]);
        BorrowedMessage message = there.Borrow(Pair.Long);
        ReadOnlyMemory<byte> memory = MessageMarshal.AsMemory(message);
        System.Buffers.MemoryHandle pin = memory.Pin(), copy = pin;
        pin.Dispose();
        copy.Dispose();
        using (memory.Pin())
        {
            copy.Dispose();
            message.Dispose();
            Assert.Equal(1, pair.Server.GetStats()["buffers_borrowed_now"]);
        }
        Assert.Equal(0, pair.Server.GetStats()["buffers_borrowed_now"]);
    }

    [Fact]
    public void A_read_under_way_holds_off_a_dispose_on_another_thread()
    {
        using var pair = new Pair();
        (Flow here, Flow there) = pair.Open();
        here.Send(new byte[64], 0);
        BorrowedMessage message = there.Borrow(Pair.Long);
        message.Read(pair, (bytes, state) =>
        {
            Task.Run(message.Dispose).Wait();
            Assert.Equal(1, state.Server.GetStats()["buffers_borrowed_now"]);
            Assert.Equal(64, bytes.Length);
        });
        Assert.Equal(0, pair.Server.GetStats()["buffers_borrowed_now"]);
    }

    [Fact]
    public void Lost_messages_flows_and_channels_are_given_back()
    {
        using var pair = new Pair();
        (Flow here, Flow there) = pair.Open();
        for (int i = 0; i < 300; i++)
            here.Send(BitConverter.GetBytes(i), (ulong)i);
        var kept = new List<BorrowedMessage>();
        LoseMessages(there, kept);
        Threads.UntilCollected(() => pair.Server.GetStats()["buffers_borrowed_now"] == kept.Count);
        for (int i = 0; i < kept.Count; i++)
            Assert.Equal(i * 16, BitConverter.ToInt32(kept[i].ToArray()));

        WeakReference lost = LoseFlow(pair);
        Threads.UntilCollected(() =>
        {
            pair.Client.TryTakeEvent(out _); // the engine's answer to the close
            return !lost.IsAlive && pair.Client.GetStats()["flows_now"] == 1;
        });
        GC.KeepAlive(here);
        using Context context = Context.Open(new ContextOptions { SocketPath = pair.One.Socket });
        LoseChannel(context, false);
        LoseChannel(context, true);
        Threads.UntilCollected(() => !context.GetStatus().Contains("lost-channel"));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LoseMessages(Flow flow, List<BorrowedMessage> kept)
    {
        for (int i = 0; i < 300; i++)
        {
            BorrowedMessage message = flow.Borrow(Pair.Long);
            if (i % 16 == 0)
                kept.Add(message);
            if (i % 64 == 0)
                GC.Collect();
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference LoseFlow(Pair pair) => new(pair.Client.OpenFlow(pair.Listener.LocalAddress, options: Pair.Patient));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LoseChannel(Context context, bool pumped)
    {
        Channel channel = context.OpenChannel(new ChannelOptions { Name = "lost-channel" });
        if (pumped)
            Pair.StartPump(channel);
    }

    [Fact]
    public void Flows_that_both_sides_close_at_once_are_forgotten()
    {
        using var pair = new Pair();
        Pair.StartPump(pair.Server);
        for (int i = 0; i < 300; i++)
        {
            (Flow here, Flow there) = pair.Open();
            here.Dispose();
            Assert.True(SpinWait.SpinUntil(() => there.Record.Ended, Pair.Long), "the end is not told");
            there.Dispose();
        }
        Threads.Until(() =>
        {
            pair.Client.TryTakeEvent(out _);
            return pair.Server.KnownFlows == 0 && pair.Client.KnownFlows == 0;
        }, "not forgotten");
    }

    [Fact]
    public void The_engine_is_killed_and_another_started()
    {
        using var pair = new Pair();
        (Flow here, Flow there) = pair.Open();
        Task<Message> waiting = Threads.Start(() => there.Receive());
        Thread.Sleep(50);
        pair.Two.Kill();
        Assert.Equal(StatusCode.EngineGone, Assert.Throws<ChannelGoneException>(() => waiting.GetAwaiter().GetResult()).Code);
        Assert.Equal(StatusCode.EngineGone, Assert.Throws<ChannelGoneException>(() => there.Send("x"u8)).Code);
        Assert.Equal(StatusCode.EngineGone, Assert.Throws<ChannelGoneException>(() => pair.Listener.Accept()).Code);
        Assert.ThrowsAny<EngineException>(() => pair.OpenChannelOnTwo());
        there.Dispose();
        using var again = new Engine(3);
        using Context context = Context.Open(new ContextOptions { SocketPath = again.Socket });
        using Channel channel = context.OpenChannel();
        using Listener listener = channel.Listen(again.At(7000));
        using Flow flow = pair.Client.OpenFlow(again.At(7000), options: Pair.Patient);
        Assert.NotNull(listener.Accept(Pair.Long));
    }

    [Fact]
    public void A_channel_is_closed_under_threads_that_use_it()
    {
        using var pair = new Pair();
        for (int round = 0; round < 8; round++)
        {
            Channel channel = pair.OpenChannelOnTwo();
            Flow flow = channel.StartFlow(pair.Two.At(1));
            using var inside = new CountdownEvent(2);
            Action[] uses = [() => flow.TrySend(new byte[100]), () => channel.TryReceive(out Message? _)];
            Task[] threads = [.. uses.Select(use => Threads.Start(() =>
            {
                for (bool first = true; ; first = false)
                {
                    try
                    {
                        use();
                    }
                    catch (MachnetException)
                    {
                    }
                    if (first)
                        inside.Signal();
                }
            }))];
            Assert.True(inside.Wait(Pair.Long));
            channel.Dispose();
            foreach (Task thread in threads)
                Threads.EndsBy<ObjectDisposedException>(thread);
        }
    }

    [Fact]
    public void Shutdown_wake_and_timeouts_end_waits()
    {
        using var pair = new Pair();
        (_, Flow there) = pair.Open();
        Assert.Throws<MachnetTimeoutException>(() => there.Receive(TimeSpan.FromMilliseconds(20)));
        Assert.Throws<MachnetTimeoutException>(() => pair.Server.Wait(WaitFor.Receive, TimeSpan.Zero));
        Assert.Throws<MachnetTimeoutException>(() => pair.Listener.Accept(TimeSpan.FromMilliseconds(20)));
        Assert.Throws<ArgumentOutOfRangeException>(() => there.Receive(TimeSpan.FromSeconds(-5)));
        pair.Server.Wake();
        Assert.Equal(WaitFor.None, pair.Server.Wait(WaitFor.Receive, Pair.Long));
        Task<WaitFor> waiting = Threads.Start(() => pair.Server.Wait(WaitFor.Receive));
        Thread.Sleep(30);
        pair.Server.Wake();
        Assert.True(waiting.Wait(Pair.Long));
        Task<Message> receive = Threads.Start(() => there.Receive()), other = Threads.Start(() => pair.Server.Receive());
        Thread.Sleep(30);
        pair.Server.Shutdown();
        pair.Server.Shutdown();
        Assert.Equal(StatusCode.ShutDown, Assert.Throws<ChannelGoneException>(() => receive.GetAwaiter().GetResult()).Code);
        Assert.Equal(StatusCode.ShutDown, Assert.Throws<ChannelGoneException>(() => other.GetAwaiter().GetResult()).Code);
    }

    [Fact]
    public void Nothing_is_left_open()
    {
        static string? Target(string descriptor)
        {
            try { return File.ResolveLinkTarget(descriptor, false)?.FullName; }
            catch (FileNotFoundException) { return null; } // closed by another thread since it was listed
        }
        static int Descriptors() => Directory.GetFiles("/proc/self/fd").Count( // without the pipes of earlier tests' engines
            static one => Target(one) is { } target && (target.Contains("[event") || target.Contains("memfd:")));
        static int Mappings() => File.ReadLines("/proc/self/maps").Count(static line => line.Contains("memfd:machnet"));
        const int Channels = 40;
        using var engine = new Engine(2);
        using Context context = Context.Open(new ContextOptions { SocketPath = engine.Socket });
        context.OpenChannel().Dispose();
        GC.Collect(); // what earlier tests dropped is closed now, most of it
        GC.WaitForPendingFinalizers();
        (int descriptors, int mappings) = (Descriptors(), Mappings());
        for (int i = 0; i < Channels; i++)
        {
            using Channel channel = context.OpenChannel();
            if (i % 2 == 0)
                Pair.StartPump(channel);
        }
        // What half of the channels leave is seen, though the run-time and earlier tests' threads may open and close a few meanwhile.
        Assert.True(Descriptors() - descriptors < Channels / 4, $"{Descriptors()} descriptors, {descriptors} before");
        Assert.True(Mappings() - mappings < Channels / 4, $"{Mappings()} mappings, {mappings} before");
    }
}
