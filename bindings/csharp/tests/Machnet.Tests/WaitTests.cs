// SPDX-License-Identifier: MIT
using System.Reflection;
using Xunit;

namespace Machnet.Tests;

/// <summary>Several threads that wait on one channel, and what they owe each other.</summary>
public sealed class WaitTests : IDisposable
{
    private readonly Pair _pair = new();

    public void Dispose() => _pair.Dispose();

    private static Task<T> OnThread<T>(Func<T> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

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
                waits[i] = OnThread(() => there.Receive(Pair.Long));
                Thread.Sleep(3); // it leads, or sleeps behind the others
            }
            _pair.Server.EnterReceive();
            flows[0].Here.Send([]);
            flows[1].Here.Send([]);
            Thread.Sleep(20);
            _pair.Server.LeaveReceive(); // the first gets its message and calls the second to lead, which finds one, too
            Assert.True(Task.WaitAll(waits[..2], Pair.Long));
            flows[2].Here.Send([]);
            Assert.True(waits[2].Wait(TimeSpan.FromSeconds(5)), $"round {round}: nobody looks for the third");
        }
    }

    [Fact]
    public void Nobody_falls_asleep_on_the_receive_side_while_another_asks_for_it()
    {
        const BindingFlags Private = BindingFlags.NonPublic | BindingFlags.Instance;
        (Flow here, Flow there) = _pair.Open();
        object side = typeof(Channel).GetField("_receiveLock", Private)!.GetValue(_pair.Server)!;
        FieldInfo contenders = typeof(Channel).GetField("_contenders", Private)!;
        contenders.SetValue(_pair.Server, 1); // one whose wake a third thread's look has taken
        Task<Message> wait = OnThread(() => there.Receive(Pair.Long));
        Thread.Sleep(50);
        Assert.True(Monitor.TryEnter(side, 5000), "the side is not left");
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
            _pair.StartPump();
        else
        {
            (_, Flow other) = _pair.Open();
            leader = OnThread(() => other.Receive());
            Thread.Sleep(30);
        }
        Task<WaitFor> wait = OnThread(() => _pair.Server.Wait(WaitFor.Receive, Pair.Long));
        Thread.Sleep(30);
        _pair.Server.Wake();
        Assert.True(wait.Wait(TimeSpan.FromSeconds(5)), "not woken");
        Assert.Equal(WaitFor.None, wait.Result);

        while (_pair.Server.TryTakeEvent(out _))
        {
        }
        wait = OnThread(() => _pair.Server.Wait(WaitFor.Receive | WaitFor.Event, Pair.Long));
        Thread.Sleep(30);
        (Flow more, _) = (_pair.Client.OpenFlow(_pair.Listener.LocalAddress), 0);
        Assert.True(wait.Wait(TimeSpan.FromSeconds(5)), "not told of the event");
        Assert.Equal(WaitFor.Event, wait.Result);
        GC.KeepAlive((here, there, more));
        _pair.Server.Shutdown();
        Assert.True(leader == null || Assert.Throws<AggregateException>(() => leader.Wait(Pair.Long)).InnerException is ChannelGoneException);
    }
}
