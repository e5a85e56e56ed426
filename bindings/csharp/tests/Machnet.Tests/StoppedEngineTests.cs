// SPDX-License-Identifier: MIT
using Xunit;

namespace Machnet.Tests;

/// <summary>The ring to an engine that takes nothing off it is full.</summary>
public sealed class StoppedEngineTests : IDisposable
{
    private readonly Pair _pair = new();

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
            () => Task.Run(() => _pair.Client.StartFlow(to, options: options)).WaitAsync(Pair.Long));
        Assert.Contains("machnetd", problem.Message);
        await Assert.ThrowsAsync<MachnetTimeoutException>(
            () => Task.Run(() => _pair.Client.OpenFlow(to, timeout: TimeSpan.FromMilliseconds(50))).WaitAsync(Pair.Long));
        using var cancel = new CancellationTokenSource();
        Task<Flow> opening = await Task.Factory.StartNew( // which comes back at once
            () => _pair.Client.OpenFlowAsync(to, cancellationToken: cancel.Token).AsTask(),
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).WaitAsync(Pair.Long);
        Assert.False(opening.IsCompleted);
        cancel.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => opening.WaitAsync(Pair.Long));

        opening = _pair.Client.OpenFlowAsync(to).AsTask();
        _pair.One.Resume();
        Assert.NotNull(await opening.WaitAsync(Pair.Long));
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
