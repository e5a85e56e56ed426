// SPDX-License-Identifier: MIT
using System.Runtime.CompilerServices;
using Machnet.Interop;
using Xunit;

namespace Machnet.Tests;

/// <summary>Who gets a flow that was accepted, and what becomes of one that nobody wants.</summary>
public sealed class ListenerTests : IDisposable
{
    private readonly Pair _pair = new();

    public void Dispose() => _pair.Dispose();

    [Fact]
    public void Flows_that_nobody_accepts_are_closed()
    {
        Listener listener = _pair.Server.Listen(_pair.Two.At(0));
        Flow queued = _pair.Client.OpenFlow(listener.LocalAddress, options: Pair.Patient);
        _pair.Server.Wait(WaitFor.Event, Pair.Long);
        listener.Dispose();
        Assert.Equal(StatusCode.Closed, queued.WaitClosed(Pair.Long));
    }

    [Fact]
    public void Flows_that_are_told_after_their_listener_was_disposed_of_are_closed()
    {
        Listener listener = _pair.Server.Listen(_pair.Two.At(0));
        Assert.Throws<AddressException>(() => _pair.Server.Listen(listener.LocalAddress)); // nothing waits for this one's flows
        Flow flow = _pair.Client.OpenFlow(listener.LocalAddress, options: Pair.Patient);
        UntilAccepted(_pair.Server);
        listener.Dispose();
        Assert.False(_pair.Server.TryTakeEvent(out _));
        Assert.Equal(StatusCode.Closed, flow.WaitClosed(Pair.Long));
        Threads.Until(() => !_pair.Server.TryTakeEvent(out _) && _pair.Server.KnownFlows == 0, "not forgotten");
    }

    /// <summary>The library has the event, and the binding has not seen it.</summary>
    private static unsafe void UntilAccepted(Channel channel)
    {
        channel.EnterReceive();
        int held = Native.machnet_channel_wait(channel.Pointer, (uint)machnet_wait.MACHNET_WAIT_EVENT, (long)Pair.Long.TotalNanoseconds);
        channel.LeaveReceive();
        Assert.Equal((int)machnet_wait.MACHNET_WAIT_EVENT, held);
    }

    [Fact]
    public void Flows_that_come_while_their_listener_is_being_opened_reach_it()
    {
        using var done = new CancellationTokenSource();
        Task looker = Threads.Start(() => // so that they are told before Listen has returned
        {
            while (!done.IsCancellationRequested)
                _pair.Server.TryTakeEvent(out _);
        });
        for (int port = 7100; port < 7130; port++)
        {
            Address address = _pair.Two.At(port);
            using var listening = new CancellationTokenSource();
            Task<int> knocker = Threads.Start(() => Knock(address, listening.Token));
            Listener listener = _pair.Server.Listen(address);
            listening.Cancel();
            for (int left = knocker.GetAwaiter().GetResult(); left > 0; left--)
                listener.Accept(Pair.Long).Dispose();
            listener.Dispose();
        }
        done.Cancel();
        Assert.True(looker.Wait(Pair.Long));
    }

    /// <summary>Opens flows, though they are refused, until there is a listener; returns how many it got.</summary>
    private int Knock(Address address, CancellationToken listening)
    {
        int opened = 0;
        for (bool last = false; !last;)
        {
            last = listening.IsCancellationRequested;
            Flow[] flows = [.. Enumerable.Range(0, 8).Select(_ => _pair.Client.StartFlow(address, options: Pair.Patient))];
            foreach (Flow flow in flows)
            {
                try
                {
                    flow.WaitOpen(Pair.Long);
                    opened++;
                }
                catch (FlowEndedException refused) when (refused.Code == StatusCode.Refused)
                {
                    flow.Dispose();
                }
            }
        }
        return opened;
    }

    [Fact]
    public void A_lost_listener_is_closed()
    {
        Address address = _pair.Two.At(7200);
        LoseListener(_pair.Server, address);
        Threads.UntilCollected(() =>
        {
            try
            {
                _pair.Server.Listen(address).Dispose();
                return true;
            }
            catch (AddressException)
            {
                return false;
            }
        });
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LoseListener(Channel channel, Address address) => channel.Listen(address);
}
