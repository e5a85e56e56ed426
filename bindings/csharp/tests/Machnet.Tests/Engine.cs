// SPDX-License-Identifier: MIT
using System.Diagnostics;
using System.Globalization;
using Xunit;

[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace Machnet.Tests;

/// <summary>A real machnetd, with a socket in a directory of its own, on a loopback address of this process.</summary>
internal sealed class Engine : IDisposable
{
    private static readonly string s_net = $"127.{1 + (Environment.ProcessId % 250)}.{1 + (Environment.ProcessId / 250 % 250)}";
    private readonly Process _process;
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("machnet-test-");

    internal static string Build => Environment.GetEnvironmentVariable("MACHNET_BUILD") ??
        throw new InvalidOperationException("Set MACHNET_BUILD to a build of Machnet (test.sh does).");

    internal Engine(int host, string? ip = null, params string[] options)
    {
        Ip = ip ?? $"{s_net}.{host}";
        Socket = Path.Combine(_directory.FullName, "machnet.sock");
        _process = Start(host, options);
    }

    internal string Ip { get; }

    internal string Socket { get; }

    internal Address At(int port) => new(System.Net.IPAddress.Parse(Ip), port);

    private Process Start(int host, string[] options)
    {
        string[] port = Ip.Contains(':') ? ["--udp-port", (20000 + (Environment.ProcessId % 10000) + host).ToString(CultureInfo.InvariantCulture)] : [];
        var start = new ProcessStartInfo(Path.Combine(Build, "bin", "machnetd"), ["--socket", Socket, "--ip", Ip, .. port, .. options])
        {
            RedirectStandardError = true,
        };
        Process process = Process.Start(start)!;
        string log = "";
        while (process.StandardError.ReadLine() is { } line)
        {
            if (line.Contains("ready"))
            {
                new Thread(() => process.StandardError.ReadToEnd()) { IsBackground = true }.Start();
                return process;
            }
            log += line + "\n";
        }
        throw new InvalidOperationException($"machnetd does not start: {log}");
    }

    /// <summary>Stops it in the middle of what it does; its channels stay as they are until <see cref="Resume"/>.</summary>
    internal void Stop()
    {
        Assert.Equal(0, Signal(_process.Id, 19));
        foreach (string task in Directory.GetDirectories($"/proc/{_process.Id}/task"))
            Assert.True(SpinWait.SpinUntil(() => File.ReadAllText(Path.Combine(task, "stat")).Contains(") T "), 10_000));
    }

    internal void Resume() => Assert.Equal(0, Signal(_process.Id, 18));

    [System.Runtime.InteropServices.DllImport("libc", EntryPoint = "kill")]
    private static extern int Signal(int process, int signal);

    internal void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            Kill();
        _process.Dispose();
        _directory.Delete(true);
    }
}

/// <summary>Two channels on two engines, with flows between them.</summary>
internal sealed class Pair : IDisposable
{
    /// <summary>For what comes in a moment, also where others have all processors; and for what a test must not wait for.</summary>
    internal static readonly TimeSpan Long = TimeSpan.FromSeconds(20), Longer = 3 * Long;

    internal readonly Engine One, Two;
    internal readonly Channel Client, Server;
    internal readonly Listener Listener;
    private readonly Context _one, _two;

    internal Pair(ChannelOptions? client = null, ChannelOptions? server = null, Engine? one = null, Engine? two = null)
    {
        One = one ?? new Engine(2);
        Two = two ?? new Engine(3);
        _one = Context.Open(new ContextOptions { SocketPath = One.Socket });
        _two = Context.Open(new ContextOptions { SocketPath = Two.Socket });
        Client = _one.OpenChannel(client);
        Server = _two.OpenChannel(server);
        Listener = Server.Listen(Two.At(0));
    }

    internal static FlowOptions Patient => new() { OpenTimeout = Long };

    internal (Flow Here, Flow There) Open() => (Client.OpenFlow(Listener.LocalAddress, options: Patient), Listener.Accept(Long));

    /// <summary>From here on the channel's threads wait by its pump.</summary>
    internal static void StartPump(Channel channel)
    {
        using var cancel = new CancellationTokenSource();
        Task<Message> wait = channel.ReceiveAsync(cancel.Token).AsTask();
        cancel.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => wait.GetAwaiter().GetResult());
    }

    internal Channel OpenChannelOnTwo() => _two.OpenChannel();

    public void Dispose()
    {
        Client.Dispose();
        Server.Dispose();
        _one.Dispose();
        _two.Dispose();
        One.Dispose();
        Two.Dispose();
    }
}

internal static class Threads
{
    /// <summary>On a thread of its own, at once.</summary>
    internal static Task<T> Start<T>(Func<T> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    internal static Task Start(Action work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>The work ends in time, and by this.</summary>
    internal static TException EndsBy<TException>(Task work) where TException : Exception =>
        Assert.IsType<TException>(Assert.Throws<AggregateException>(() => work.Wait(Pair.Long)).InnerException);

    /// <summary>Those of this process that have this name: /proc/self/task/ID.</summary>
    internal static IEnumerable<string> Named(string name)
    {
        static string? NameOf(string thread)
        {
            try { return File.ReadAllText(thread + "/comm").TrimEnd(); }
            catch (IOException) { return null; } // it has ended since it was listed
        }
        return Directory.GetDirectories("/proc/self/task").Where(one => NameOf(one) == name);
    }

    /// <summary>Of a thread: /proc/.../task/ID.</summary>
    internal static TimeSpan ProcessorTimeOf(string thread)
    {
        string text = File.ReadAllText(thread + "/stat");
        string[] fields = text[(text.LastIndexOf(')') + 2)..].Split(' '); // from the third on; the 14th and 15th are utime and stime
        return TimeSpan.FromMilliseconds(10 * (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)));
    }

    /// <summary>Looks again and again.</summary>
    internal static void Until(Func<bool> holds, string otherwise)
    {
        for (long end = Environment.TickCount64 + (long)Pair.Long.TotalMilliseconds; !holds(); Thread.Sleep(1))
            Assert.True(Environment.TickCount64 < end, otherwise);
    }

    /// <summary>The same, of what the collector does.</summary>
    internal static void UntilCollected(Func<bool> holds) => Until(() =>
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return holds();
    }, "not given back");
}

internal static class Payload
{
    internal static byte[] Of(int seed, int length)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
