// SPDX-License-Identifier: MIT
using Xunit;

namespace Machnet.Tests;

/// <summary>The ring to an engine that takes nothing off it is full.</summary>
public sealed class StoppedEngineTests : IDisposable
{
    private static readonly string[] s_patience = ["--dead-peer-ms", "60000"];
    private readonly Pair _pair = new(one: new Engine(2, null, s_patience), two: new Engine(3, null, s_patience));

    public void Dispose() => _pair.Dispose();

    private void StopAndFill(Flow flow)
    {
        _pair.One.Stop();
        for (int sent = 0; flow.TrySend([]); sent++)
            Assert.True(sent < 100_000, "the ring is never full");
    }

    [Fact]
    public async Task A_flow_is_not_waited_for_longer_than_it_may_take()
    {
        (Flow filler, _) = _pair.Open();
        Address to = _pair.Listener.LocalAddress;
        StopAndFill(filler);
        var options = new FlowOptions { OpenTimeout = TimeSpan.FromMilliseconds(50) };
        MachnetTimeoutException problem = await Assert.ThrowsAsync<MachnetTimeoutException>(
            () => Threads.Start(() => _pair.Client.StartFlow(to, options: options)).WaitAsync(Pair.Long));
        Assert.Contains("machnetd", problem.Message);
        await Assert.ThrowsAsync<MachnetTimeoutException>(
            () => Threads.Start(() => _pair.Client.OpenFlow(to, options: Pair.Patient, timeout: TimeSpan.FromMilliseconds(50))).WaitAsync(Pair.Long));
        await Assert.ThrowsAsync<MachnetTimeoutException>(() => Threads.Start(() => _pair.Client.StartFlow(to)).WaitAsync(Pair.Long)); // not for ever
        using var cancel = new CancellationTokenSource();
        Task<Flow> opening = await Threads.Start( // which comes back at once
            () => _pair.Client.OpenFlowAsync(to, options: Pair.Patient, cancellationToken: cancel.Token).AsTask()).WaitAsync(Pair.Long);
        Assert.False(opening.IsCompleted);
        cancel.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => opening.WaitAsync(Pair.Long));

        opening = _pair.Client.OpenFlowAsync(to, options: Pair.Patient).AsTask();
        _pair.One.Resume();
        Assert.NotNull(await opening.WaitAsync(Pair.Long));
    }

    [Fact]
    public void A_wait_ends_with_its_flow_though_the_engine_does_not_answer()
    {
        (Flow here, _) = _pair.Open();
        Task<Message> receive = Threads.Start(() => here.Receive(Pair.Longer));
        Thread.Sleep(50); // it is asleep in the library by now
        _pair.One.Stop();
        here.Dispose();
        Threads.EndsBy<ObjectDisposedException>(receive);
        _pair.One.Resume();
    }

    [Theory]
    [InlineData(true, StatusCode.Reset)]
    [InlineData(false, StatusCode.Closed)]
    public void A_close_that_the_ring_has_no_room_for_is_told_later_and_unchanged(bool abort, StatusCode end)
    {
        (Flow here, Flow there) = _pair.Open();
        (Flow filler, _) = _pair.Open();
        StopAndFill(filler);
        if (abort)
            here.Abort();
        else
            here.Dispose();
        Assert.False(filler.TrySend([]), "the ring was not full");
        _pair.One.Resume();
        Assert.Equal(end, there.WaitClosed(Pair.Long)); // no further call on the channel
        Assert.Equal(StatusCode.Ok, here.WaitClosed(Pair.Long));
    }
}
