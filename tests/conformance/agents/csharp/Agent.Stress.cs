// SPDX-License-Identifier: MIT
using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;

namespace Machnet.Conformance;

/* What cannot be done from outside. */
internal sealed partial class Agent
{
    private JsonObject Exchange(Request request)
    {
        Flow flow = Get<Flow>(request, "flow");
        var deadline = new Deadline(request.Time(20000));
        int count = request.Int("count");
        var received = new Received();
        Task sender = Task.Factory.StartNew(() => SendStream(request, deadline), TaskCreationOptions.LongRunning);
        if (request.Flag("zero_copy"))
        {
            using var given = new BlockingCollection<BorrowedMessage>(256);
            Thread releaser = Run(() =>
            {
                foreach (BorrowedMessage message in given.GetConsumingEnumerable())
                    message.Dispose();
            });
            try
            {
                while (received.Count < count)
                {
                    BorrowedMessage message = flow.Borrow(deadline.Left);
                    received.Add(message);
                    given.Add(message);
                }
            }
            finally
            {
                given.CompleteAdding();
                releaser.Join();
            }
        }
        else
        {
            while (received.Count < count)
            {
                Message message = flow.Receive(deadline.Left);
                received.Add(message.Tag, message.Span);
            }
        }
        sender.GetAwaiter().GetResult();
        return received.Result();
    }

    private JsonObject CancelWaits(Request request) => CancelWaitsAsync(request).GetAwaiter().GetResult();

    private async Task<JsonObject> CancelWaitsAsync(Request request)
    {
        Flow flow = Get<Flow>(request, "flow");
        var deadline = new Deadline(request.Time(20000));
        int waits = request.Int("waits"), count = request.Int("count"), cancelled = 0;
        var received = new Received();
        for (int i = 0; received.Count < count || cancelled < waits; i++)
        {
            if (deadline.Over)
                throw new MachnetException(StatusCode.TimedOut, $"{received.Count} messages, {cancelled} cancelled");
            using var cancel = new CancellationTokenSource();
            Task<Message> wait = flow.ReceiveAsync(cancel.Token).AsTask();
            long end = System.Diagnostics.Stopwatch.GetTimestamp() + (System.Diagnostics.Stopwatch.Frequency * (i % 200) / 1_000_000);
            while (System.Diagnostics.Stopwatch.GetTimestamp() < end)
                Thread.SpinWait(10);
            cancel.Cancel();
            try
            {
                Message message = await wait;
                received.Add(message.Tag, message.Span);
            }
            catch (OperationCanceledException)
            {
                cancelled++;
            }
        }
        JsonObject result = received.Result();
        result["cancelled"] = cancelled;
        return result;
    }

    private JsonObject CollectorStress(Request request)
    {
        Flow flow = Get<Flow>(request, "flow");
        var deadline = new Deadline(request.Time(20000));
        var received = new Received();
        var kept = new Queue<(BorrowedMessage Message, uint Crc)>();
        bool intact = true;
        for (int i = 0; i < request.Int("count"); i++)
        {
            TakeOne(flow, deadline, received, i % 16 == 0 ? kept : null);
            if (kept.Count > 64)
                intact &= IsIntact(kept.Dequeue());
            if (i % 64 == 0)
                Collect();
        }
        while (kept.TryDequeue(out (BorrowedMessage Message, uint Crc) one))
            intact &= IsIntact(one);
        JsonObject result = received.Result();
        result["intact"] = intact;
        return result;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void TakeOne(Flow flow, Deadline deadline, Received received, Queue<(BorrowedMessage, uint)>? kept)
    {
        BorrowedMessage message = flow.Borrow(deadline.Left);
        received.Add(message);
        kept?.Enqueue((message, CrcOf(message)));
    }

    private static bool IsIntact((BorrowedMessage Message, uint Crc) kept) => CrcOf(kept.Message) == kept.Crc;

    private static uint CrcOf(BorrowedMessage message) => message.Read(0u, static (bytes, crc) => Crc.Add(crc, bytes));
}
