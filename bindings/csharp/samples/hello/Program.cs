// SPDX-License-Identifier: MIT
// `hello listen 127.0.0.3:7000` answers one message, `hello 127.0.0.3:7000` asks, each by the engine of its MACHNET_SOCKET.
using System.Text;
using Machnet;

try
{
    if (args.Length is < 1 or > 2 || !Address.TryParse(args[^1], out Address address))
    {
        Console.Error.WriteLine("usage: hello [listen] ADDRESS:PORT");
        return 2;
    }
    using Context context = Context.Open();
    using Channel channel = context.OpenChannel();
    if (args.Length == 2) // listen
    {
        using Listener listener = channel.Listen(address);
        using Flow flow = listener.Accept();
        Print(flow.Receive());
        flow.Send("hello, too"u8);
        flow.WaitClosed(); // the other side has everything, or is gone
    }
    else
    {
        using Flow flow = channel.OpenFlow(address);
        flow.Send("hello, world"u8);
        Print(flow.Receive());
        flow.Dispose();
        flow.WaitClosed();
    }
    return 0;
}
catch (MachnetException problem)
{
    Console.Error.WriteLine($"hello: {problem.Message}");
    return 1;
}

static void Print(Message message) => Console.WriteLine($"received: {Encoding.UTF8.GetString(message.Span)}");
