// SPDX-License-Identifier: MIT
using Xunit;

namespace Machnet.Tests;

public sealed class AsyncTests : IDisposable
{
    private readonly Pair _pair = new();

    public void Dispose() => _pair.Dispose();

    private async Task<(Flow Here, Flow There)> Open()
    {
        Flow here = await _pair.Client.OpenFlowAsync(_pair.Listener.LocalAddress, options: Pair.Patient).AsTask().WaitAsync(Pair.Long);
        return (here, await _pair.Listener.AcceptAsync().AsTask().WaitAsync(Pair.Long));
    }

    [Fact]
    public async Task An_echo_of_many_messages()
    {
        const int Count = 20_000;
        (Flow here, Flow there) = await Open();
        async Task Echo()
        {
            await foreach (Message message in there.ReadAllAsync())
                await there.SendAsync(message.Memory, message.Tag);
        }
        async Task Send()
        {
            for (int i = 0; i < Count; i++)
                await here.SendAsync(new byte[i % 100], (ulong)i);
        }
        Task echo = Echo(), send = Send();
        for (int i = 0; i < Count; i++)
        {
            Message message = await here.ReceiveAsync().AsTask().WaitAsync(Pair.Long);
            Assert.Equal((ulong)i, message.Tag);
            Assert.Equal(i % 100, message.Length);
        }
        await send;
        Assert.Equal(StatusCode.Ok, await here.CloseAsync().AsTask().WaitAsync(Pair.Long));
        await echo.WaitAsync(Pair.Long); // ends with the flow
    }

    [Fact]
    public async Task A_thousand_cancelled_waits_lose_nothing()
    {
        const int Count = 200;
        (Flow here, Flow there) = await Open();
        Task sender = Threads.Start(() =>
        {
            for (int i = 0; i < Count; i++)
            {
                here.Send([], (ulong)i);
                Thread.SpinWait(20_000);
            }
        });
        int cancelled = 0;
        ulong next = 0;
        long end = Environment.TickCount64 + (long)Pair.Longer.TotalMilliseconds;
        for (int i = 0; next < Count || cancelled < 1000; i++)
        {
            Assert.True(Environment.TickCount64 < end, $"{next} messages, {cancelled} cancelled waits");
            using var cancel = new CancellationTokenSource();
            ValueTask<Message> wait = there.ReceiveAsync(cancel.Token);
            Thread.SpinWait(i % 100 * 20);
            cancel.Cancel();
            try
            {
                Assert.Equal(next, (await wait).Tag);
                next++;
            }
            catch (OperationCanceledException)
            {
                cancelled++;
            }
        }
        await sender;
        using var last = new CancellationTokenSource();
        Task<Message> lastWait = there.ReceiveAsync(last.Token).AsTask();
        last.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => lastWait);
        Assert.False(there.Record.Readable.HasWaiters); // nor do they leave anything
    }

    [Fact]
    public async Task Many_waiters_at_once_and_none_is_missed()
    {
        var flows = new List<(Flow Here, Flow There)>();
        for (int i = 0; i < 100; i++)
            flows.Add(await Open());
        Task<Message>[] waits = [.. flows.Select(static both => both.There.ReceiveAsync().AsTask())];
        Assert.All(waits, static one => Assert.False(one.IsCompleted));
        foreach ((Flow here, _) in Enumerable.Reverse(flows))
            await here.SendAsync("x"u8.ToArray());
        Message[] got = await Task.WhenAll(waits).WaitAsync(Pair.Long);
        Assert.Equal(flows.Select(static both => both.There), got.Select(static one => one.Flow));
    }

    [Fact]
    public async Task Sends_wait_for_space()
    {
        (Flow here, Flow there) = await Open();
        Task send = Task.Run(async () =>
        {
            for (int i = 0; i < 100; i++)
                await here.SendAsync(new byte[4 << 20], (ulong)i);
        });
        for (int i = 0; i < 100; i++)
        {
            using BorrowedMessage message = await there.BorrowAsync().AsTask().WaitAsync(Pair.Long);
            Assert.Equal((ulong)i, message.Tag);
        }
        await send;
    }

    [Fact]
    public async Task Ends_reach_all_who_wait()
    {
        (Flow here, Flow there) = await Open();
        Task<Message> receive = there.ReceiveAsync().AsTask(), any = _pair.Server.ReceiveAsync().AsTask();
        Task<StatusCode> closed = there.WaitClosedAsync().AsTask();
        Task<Flow> accept = _pair.Listener.AcceptAsync().AsTask();
        here.Abort();
        Assert.Equal(StatusCode.Reset, await closed.WaitAsync(Pair.Long));
        Assert.Equal(StatusCode.Reset, (await Assert.ThrowsAsync<FlowEndedException>(() => receive.WaitAsync(Pair.Long))).Code);
        await _pair.Server.DisposeAsync();
        await Assert.ThrowsAnyAsync<Exception>(() => any.WaitAsync(Pair.Long));
        await Assert.ThrowsAnyAsync<Exception>(() => accept.WaitAsync(Pair.Long));
        Assert.True(any.IsFaulted && accept.IsFaulted);
        Assert.Equal(StatusCode.Refused, (await Assert.ThrowsAsync<FlowEndedException>(() =>
            _pair.Client.OpenFlowAsync(_pair.Two.At(1), options: Pair.Patient).AsTask().WaitAsync(Pair.Long))).Code);
    }

    [Fact]
    public async Task A_wait_survives_that_nothing_else_refers_to_it()
    {
        (Flow here, Flow there) = await Open();
        Task<int> wait = Forgotten(there);
        there = null!;
        for (int i = 0; i < 5; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        await here.SendAsync(new byte[5]);
        Assert.Equal(5, await wait.WaitAsync(Pair.Long));
    }

    private static async Task<int> Forgotten(Flow flow) => (await flow.ReceiveAsync()).Length;

    [Fact]
    public async Task Batches()
    {
        (Flow here, Flow there) = await Open();
        MessageBatch batch = _pair.Client.CreateBatch(), got = _pair.Server.CreateBatch();
        for (int i = 0; i < 32; i++)
            Assert.True(batch.TryAdd(here, BitConverter.GetBytes(i), (ulong)i));
        ValueTask<int> wait = there.ReceiveAsync(got);
        Assert.Equal(32, await _pair.Client.SendAsync(batch));
        for (int next = 0, count = await wait; ; count = await there.ReceiveAsync(got))
        {
            for (int i = 0; i < count; i++)
                Assert.Equal((ulong)next++, got.Tag(i));
            if (next == 32)
                break;
        }
    }
}
