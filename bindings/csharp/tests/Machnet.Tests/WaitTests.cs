// SPDX-License-Identifier: MIT
using System.Reflection;
using Xunit;

namespace Machnet.Tests;

/// <summary>Several threads that wait on one channel, and what they owe each other.</summary>
public sealed class WaitTests : IDisposable
{
    private readonly Pair _pair = new();

    public void Dispose() => _pair.Dispose();

    private const BindingFlags Private = BindingFlags.NonPublic | BindingFlags.Instance;

    /// <summary>Somebody waits in the library, or soon will.</summary>
    private void UntilLed() => Threads.Until(() => typeof(Channel).GetField("_leader", Private)!.GetValue(_pair.Server) is 1, "nobody leads");

    private static void UntilParked(Signal signal) => Threads.Until(() => signal.HasWaiters, "nobody sleeps");

    [Fact]
    public void Who_stops_waiting_leaves_the_others_with_somebody_who_looks()
    {
        (Flow Here, Flow There)[] flows = [_pair.Open(), _pair.Open(), _pair.Open()];
        for (int round = 0; round < 10; round++)
        {
            var waits = new Task<Message>[3];
            for (int i = 0; i < 3; i++)
            {
                Flow there = flows[i].There;
                waits[i] = Threads.Start(() => there.Receive(Pair.Longer));
                if (i == 0)
                    UntilLed();
                else
                    UntilParked(there.Record.Readable);
            }
            _pair.Server.EnterReceive();
            flows[0].Here.Send([]);
            flows[1].Here.Send([]);
            Thread.Sleep(20);
            _pair.Server.LeaveReceive(); // the first gets its message and calls the second to lead, which finds one, too
            Assert.True(Task.WaitAll(waits[..2], Pair.Long));
            flows[2].Here.Send([]);
            Assert.True(waits[2].Wait(Pair.Long), $"round {round}: nobody looks for the third");
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_wait_for_messages_is_told_of_an_end_once(bool pumped)
    {
        (Flow here, Flow there) = _pair.Open();
        if (pumped)
            Pair.StartPump(_pair.Server);
        Task<WaitFor> wait = Threads.Start(() => _pair.Server.Wait(WaitFor.Receive, Pair.Longer));
        if (pumped)
            UntilParked(_pair.Server.AnyMessage);
        else
            UntilLed();
        here.Dispose();
        Assert.True(wait.Wait(Pair.Long), "not told of the end");
        Assert.Equal(WaitFor.Receive, wait.Result);
        Assert.Throws<FlowEndedException>(() => there.TryReceive(out Message? _));
        Threads.EndsBy<MachnetTimeoutException>(Threads.Start(() => _pair.Server.Wait(WaitFor.Receive, TimeSpan.FromMilliseconds(20))));
    }

    [Fact]
    public void Nobody_falls_asleep_on_the_receive_side_while_another_asks_for_it()
    {
        (Flow here, Flow there) = _pair.Open();
        object side = typeof(Channel).GetField("_receiveLock", Private)!.GetValue(_pair.Server)!;
        FieldInfo contenders = typeof(Channel).GetField("_contenders", Private)!;
        contenders.SetValue(_pair.Server, 1); // one whose wake a third thread's look has taken
        Task<Message> wait = Threads.Start(() => there.Receive(Pair.Longer));
        UntilLed();
        Thread.Sleep(50); // it is asleep by now, if it may
        Assert.True(Monitor.TryEnter(side, Pair.Long), "the side is not left");
        Monitor.Exit(side);
        contenders.SetValue(_pair.Server, 0);
        here.Send([]);
        Assert.True(wait.Wait(Pair.Long));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_wait_for_messages_behind_another_waiter_is_told_of_wakes_and_events(bool pumped)
    {
        (Flow here, Flow there) = _pair.Open();
        while (_pair.Server.TryTakeEvent(out _))
        {
        }
        Task<Message>? leader = null;
        if (pumped)
            Pair.StartPump(_pair.Server);
        else
        {
            (_, Flow other) = _pair.Open();
            leader = Threads.Start(() => other.Receive());
            UntilLed();
        }
        Task<WaitFor> wait = Threads.Start(() => _pair.Server.Wait(WaitFor.Receive, Pair.Longer));
        UntilParked(_pair.Server.AnyMessage);
        _pair.Server.Wake();
        Assert.True(wait.Wait(Pair.Long), "not woken");
        Assert.Equal(WaitFor.None, wait.Result);

        while (_pair.Server.TryTakeEvent(out _))
        {
        }
        wait = Threads.Start(() => _pair.Server.Wait(WaitFor.Receive | WaitFor.Event, Pair.Longer));
        UntilParked(_pair.Server.AnyMessage);
        Flow more = _pair.Client.OpenFlow(_pair.Listener.LocalAddress, options: Pair.Patient);
        Assert.True(wait.Wait(Pair.Long), "not told of the event");
        Assert.Equal(WaitFor.Event, wait.Result);
        GC.KeepAlive((here, there, more));
        _pair.Server.Shutdown();
        if (leader != null)
            Threads.EndsBy<ChannelGoneException>(leader);
    }
}
