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

    internal Engine(int host, string? ip = null)
    {
        Ip = ip ?? $"{s_net}.{host}";
        Socket = Path.Combine(_directory.FullName, "machnet.sock");
        _process = Start(host);
    }

    internal string Ip { get; }

    internal string Socket { get; }

    internal Address At(int port) => new(System.Net.IPAddress.Parse(Ip), port);

    private Process Start(int host)
    {
        string[] port = Ip.Contains(':') ? ["--udp-port", (20000 + (Environment.ProcessId % 10000) + host).ToString(CultureInfo.InvariantCulture)] : [];
        var start = new ProcessStartInfo(Path.Combine(Build, "bin", "machnetd"), ["--socket", Socket, "--ip", Ip, .. port]) { RedirectStandardError = true };
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
    internal static readonly TimeSpan Long = TimeSpan.FromSeconds(20);
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

    internal (Flow Here, Flow There) Open()
    {
        Flow here = Client.OpenFlow(Listener.LocalAddress, timeout: Long);
        return (here, Listener.Accept(Long));
    }

    /// <summary>From here on the server's threads wait by its pump.</summary>
    internal void StartPump()
    {
        using var cancel = new CancellationTokenSource();
        Task<Message> wait = Server.ReceiveAsync(cancel.Token).AsTask();
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

internal static class Payload
{
    internal static byte[] Of(int seed, int length)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
