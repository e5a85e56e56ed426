// SPDX-License-Identifier: MIT
using System.Net.Sockets;
using Xunit;

namespace Machnet.Tests;

/// <summary>Programs that get no engine, or nothing of it, are told so by an EngineException.</summary>
public sealed class AttachTests
{
    [Fact]
    public void No_engine()
    {
        EngineException problem = Assert.Throws<EngineException>(() => Context.Open(new ContextOptions { SocketPath = "/tmp/no-engine-here" }));
        Assert.Equal(StatusCode.NoEngine, problem.Code);
        Assert.Contains("/tmp/no-engine-here", problem.Message);
    }

    [Fact]
    public void An_engine_that_has_no_more_room_and_then_is_killed()
    {
        using var engine = new Engine(2, null, "--quota-channels", "1");
        using Context context = Context.Open(new ContextOptions { SocketPath = engine.Socket });
        using Channel channel = context.OpenChannel();
        EngineException problem = Assert.Throws<EngineException>(() => context.OpenChannel());
        Assert.Equal(StatusCode.Quota, problem.Code);
        Assert.Contains("--quota-channels", problem.Message);
        engine.Kill();
        Assert.Equal(StatusCode.EngineGone, Assert.Throws<EngineException>(context.GetStatus).Code);
        Assert.Equal(StatusCode.NoEngine, Assert.Throws<EngineException>(() => context.OpenChannel()).Code);
    }

    /// <summary>An engine of another release, or what is none at all, as far as the first answer.</summary>
    [Theory]
    [InlineData(2, StatusCode.Version, StatusCode.Version)]
    [InlineData(2, StatusCode.AccessDenied, StatusCode.AccessDenied)]
    [InlineData(1, StatusCode.Ok, StatusCode.Protocol)] // its own question is no answer
    public void An_engine_that_does_not_fit(byte type, StatusCode answer, StatusCode told)
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("machnet-test-");
        string path = Path.Combine(directory.FullName, "machnet.sock");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        Task engine = Threads.Start(() =>
        {
            using Socket client = listener.Accept();
            byte[] message = new byte[1024];
            int length = client.Receive(message);
            message[4] = type; // 2: the reply to this first message
            BitConverter.TryWriteBytes(message.AsSpan(12), (int)answer);
            client.Send(message, length, SocketFlags.None);
        });
        Assert.Equal(told, Assert.Throws<EngineException>(() => Context.Open(new ContextOptions { SocketPath = path })).Code);
        Assert.True(engine.Wait(Pair.Long));
        directory.Delete(true);
    }
}
