// SPDX-License-Identifier: MIT
using Xunit;

namespace Machnet.Tests;

/// <summary>In whatever order and among whatever other threads things are closed.</summary>
public sealed class ClosingTests : IDisposable
{
    private readonly Pair _pair = new();

    public void Dispose() => _pair.Dispose();

    [Fact]
    public void Things_may_be_closed_in_any_order()
    {
        static int Mappings() => File.ReadLines("/proc/self/maps").Count(static line => line.Contains("memfd:machnet"));
        int mappings = Mappings();
        for (int seed = 0; seed < 20; seed++)
        {
            Context context = Context.Open(new ContextOptions { SocketPath = _pair.Two.Socket });
            Channel channel = context.OpenChannel();
            if (seed % 2 == 0)
                Pair.StartPump(channel);
            Listener listener = channel.Listen(_pair.Two.At(0));
            Flow here = _pair.Client.OpenFlow(listener.LocalAddress, options: Pair.Patient), there = listener.Accept(Pair.Long);
            SendBuffer buffer = there.Reserve(100, Pair.Long);
            here.Send("kept"u8);
            BorrowedMessage message = there.Borrow(Pair.Long);
            IDisposable[] things = [context, channel, listener, there, buffer, message];
            new Random(seed).Shuffle(things);
            foreach (IDisposable thing in things)
            {
                if (thing == message)
                    Assert.Equal("kept"u8, message.ToArray());
                thing.Dispose();
            }
            Assert.NotEqual(StatusCode.Ok, here.WaitClosed(Pair.Long)); // it was the peer who ended it
            here.Dispose();
        }
        Assert.True(Mappings() <= mappings, $"{Mappings()} mappings, {mappings} before");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Dispose_ends_the_waits_of_other_threads(bool pumped)
    {
        (_, Flow there) = _pair.Open();
        if (pumped)
            Pair.StartPump(_pair.Server);
        Task receive = Threads.Start(() => there.Receive(Pair.Longer)), accept = Threads.Start(() => _pair.Listener.Accept(Pair.Longer)),
            any = Threads.Start(() => _pair.Server.Receive(Pair.Longer)), wait = Threads.Start(() => _pair.Server.Wait(WaitFor.Send, Pair.Longer));
        Threads.Until(() => ((Signal[])[there.Record.Readable, _pair.Listener.Accepted, _pair.Server.AnyMessage]).Count(
            static one => one.HasWaiters) >= (pumped ? 3 : 2), "they don't wait"); // the others lead, or sleep on what is not seen
        there.Dispose();
        Threads.EndsBy<ObjectDisposedException>(receive);
        _pair.Listener.Dispose();
        Threads.EndsBy<ObjectDisposedException>(accept);
        Assert.False(any.IsCompleted || wait.IsCompleted);
        _pair.Server.Dispose();
        Threads.EndsBy<ObjectDisposedException>(any);
        Threads.EndsBy<ObjectDisposedException>(wait);
    }

    [Fact]
    public void Dispose_of_a_listener_ends_the_wait_of_a_thread_that_is_alone()
    {
        Task accept = Threads.Start(() => _pair.Listener.Accept(Pair.Longer));
        Thread.Sleep(50); // it is asleep in the library by now
        _pair.Listener.Dispose();
        Threads.EndsBy<ObjectDisposedException>(accept);
    }

    [Fact]
    public void A_channel_that_was_shut_down_is_disposed_of_though_its_pump_sleeps_for_ever()
    {
        Pair.StartPump(_pair.Server);
        _pair.Server.Shutdown();
        Threads.Until(() => Record.Exception(_pair.Server.ThrowIfGone) != null, "the pump has no news of the end");
        Assert.True(Threads.Start(_pair.Server.Dispose).Wait(Pair.Long));
    }

    [Fact]
    public void The_engine_lets_go_of_a_disposed_channel_though_another_thread_is_in_a_call()
    {
        (Flow here, _) = _pair.Open();
        using (new Channel.Use(_pair.Server))
        {
            _pair.Server.Dispose();
            Assert.Equal(StatusCode.Reset, here.WaitClosed(Pair.Long));
        }
    }
}
