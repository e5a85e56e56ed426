// SPDX-License-Identifier: MIT
// What a 64-byte message costs, there and back, against an in-process echo of the channel's rings: see tests/bench/README.md.
// With --remote ADDRESS: through the engine of MACHNET_SOCKET, to tests/bench/bindings/server.c.
using System.Diagnostics;
using System.Runtime.InteropServices;
using Machnet;

const int Batch = 32, Singles = 256;
if (args is ["--remote", string address])
    return Remote(Address.Parse(address));
if (args.Length > 0)
{
    Console.Error.WriteLine("usage: bench [--remote ADDRESS]");
    return 2;
}
byte[] path = new byte[256];
int status = Echo.Start(ref path[0], (ulong)path.Length);
if (status < 0)
{
    Console.Error.WriteLine($"bench: the echo does not start ({status})");
    return 1;
}
string socket = System.Text.Encoding.UTF8.GetString(path, 0, Array.IndexOf(path, (byte)0));
using (Context context = Context.Open(new ContextOptions { SocketPath = socket }))
using (Channel channel = context.OpenChannel())
using (Flow flow = channel.StartFlow(Address.Parse("10.0.0.1:7000")))
{
    Echo.Turn();
    flow.WaitOpen(TimeSpan.FromSeconds(5));
    Report(Measure(Batch, new BatchRound(channel, flow).Run), Measure(Singles, new SingleRound(flow).Run));
}
Echo.Stop();
return 0;

static int Remote(Address address)
{
    using Context context = Context.Open();
    using Channel channel = context.OpenChannel();
    using Flow flow = channel.OpenFlow(address);
    var round = new RemoteRound(channel, flow);
    Report(Measure(Batch, round.RunBatch), Measure(1, round.RunSingle));
    return 0;
}

static void Report(double batch, double single) =>
    Console.WriteLine(FormattableString.Invariant($"{{\"language\": \"csharp\", \"batch_ns\": {batch:f1}, \"single_ns\": {single:f1}}}"));

// Nanoseconds a message, the median of chunks of about 5 ms, after a second in which the run-time compiles what is hot.
static double Measure(int messages, Func<long> round)
{
    long frequency = Stopwatch.Frequency;
    for (long end = Stopwatch.GetTimestamp() + frequency; Stopwatch.GetTimestamp() < end;)
        round();
    var chunks = new List<double>();
    for (long end = Stopwatch.GetTimestamp() + (frequency / 2); Stopwatch.GetTimestamp() < end;)
    {
        long taken = 0;
        int rounds = 0;
        for (; taken < frequency / 200; rounds++)
            taken += round();
        chunks.Add(taken * (1e9 / frequency) / ((double)rounds * messages));
    }
    chunks.Sort();
    return chunks[chunks.Count / 2];
}

/// <summary>32 messages in one call, the echo's turn (not timed), 32 messages in one call.</summary>
internal sealed class BatchRound(Channel channel, Flow flow)
{
    private const int Messages = 32, Bytes = 64;
    private readonly MessageBatch _batch = channel.CreateBatch(Messages);
    private readonly MessageBatch _answer = channel.CreateBatch(Messages);
    private readonly byte[] _data = new byte[Bytes];

    public long Run()
    {
        long start = Stopwatch.GetTimestamp();
        _batch.Clear();
        for (int i = 0; i < Messages; i++)
            _batch.TryAdd(flow, _data, (ulong)i);
        int sent = channel.TrySend(_batch);
        long taken = Stopwatch.GetTimestamp() - start;
        Echo.Turn();
        start = Stopwatch.GetTimestamp();
        int received = flow.TryReceive(_answer);
        int bytes = 0;
        for (int i = 0; i < received; i++)
            bytes += _answer[i].Length;
        taken += Stopwatch.GetTimestamp() - start;
        return sent == Messages && bytes == Messages * Bytes ? taken : throw new InvalidOperationException($"{sent} sent, {received} came back");
    }
}

/// <summary>256 sends, the echo's turn (not timed), 256 receives.</summary>
internal sealed class SingleRound(Flow flow)
{
    private const int Messages = 256, Bytes = 64;
    private readonly byte[] _data = new byte[Bytes], _buffer = new byte[2048];

    public long Run()
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Messages; i++)
            flow.Send(_data, (ulong)i);
        long taken = Stopwatch.GetTimestamp() - start;
        Echo.Turn();
        start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Messages; i++)
        {
            if (flow.Receive(_buffer, TimeSpan.Zero) is not { Length: Bytes })
                throw new InvalidOperationException("another message came back");
        }
        return taken + Stopwatch.GetTimestamp() - start;
    }
}

/// <summary>Through engines: 32 messages in one call, received until all are back; or one, and its answer.</summary>
internal sealed class RemoteRound(Channel channel, Flow flow)
{
    private const int Messages = 32, Bytes = 64;
    private readonly MessageBatch _batch = channel.CreateBatch(Messages);
    private readonly MessageBatch _answer = channel.CreateBatch(Messages);
    private readonly byte[] _data = new byte[Bytes], _buffer = new byte[2048];

    public long RunBatch()
    {
        long start = Stopwatch.GetTimestamp();
        _batch.Clear();
        for (int i = 0; i < Messages; i++)
            _batch.TryAdd(flow, _data, (ulong)i);
        channel.Send(_batch);
        for (int received = 0; received < Messages;)
            received += flow.Receive(_answer);
        return Stopwatch.GetTimestamp() - start;
    }

    public long RunSingle()
    {
        long start = Stopwatch.GetTimestamp();
        flow.Send(_data);
        if (flow.Receive(_buffer) is not { Length: Bytes })
            throw new InvalidOperationException("another message came back");
        return Stopwatch.GetTimestamp() - start;
    }
}

internal static partial class Echo
{
    private const string Name = "machnet_echo";

    static Echo() => NativeLibrary.SetDllImportResolver(typeof(Echo).Assembly, static (name, _, _) =>
        name == Name ? NativeLibrary.Load(Path.Combine(Environment.GetEnvironmentVariable("MACHNET_BUILD")!, "lib", "libmachnet_echo.so")) : 0);

    [LibraryImport(Name, EntryPoint = "machnet_echo_start")]
    internal static partial int Start(ref byte path, ulong capacity);

    [LibraryImport(Name, EntryPoint = "machnet_echo_turn")]
    internal static partial ulong Turn();

    [LibraryImport(Name, EntryPoint = "machnet_echo_stop")]
    internal static partial void Stop();
}
