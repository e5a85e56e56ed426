// SPDX-License-Identifier: MIT
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;

namespace Machnet.Conformance;

/* Contexts, channels, listeners, flows. */
internal sealed partial class Agent
{
    private PosixSignalRegistration? _signal;

    private JsonObject OpenContext(Request request) =>
        Add(request, "context", Context.Open(new ContextOptions { SocketPath = request.Text("socket") }), null);

    private JsonObject OpenChannel(Request request)
    {
        var options = new ChannelOptions { Name = request.TextOr("name") };
        if (request.Has("send_bytes"))
            options.SendBytes = request.Long("send_bytes");
        if (request.Has("receive_bytes"))
            options.ReceiveBytes = request.Long("receive_bytes");
        if (request.Has("spin_ns"))
            options.Spin = TimeSpan.FromTicks(request.Long("spin_ns") / TimeSpan.NanosecondsPerTick);
        if (request.Has("poll"))
            options.Poll = Enum.Parse<PollMode>(request.Text("poll"), ignoreCase: true);
        if (request.Has("option"))
            options.Other[request.Int("option")] = 1;
        return Add(request, "channel", Get<Context>(request, "context").OpenChannel(options), "context");
    }

    private JsonObject Stats(Request request)
    {
        var stats = new JsonObject();
        foreach ((string name, long value) in Get<Channel>(request, "channel").GetStats())
            stats[name] = value;
        return new JsonObject { ["stats"] = stats };
    }

    private JsonObject Wait(Request request)
    {
        Channel channel = Get<Channel>(request, "channel");
        WaitFor what = request.Has("for")
            ? request.Texts("for").Aggregate(WaitFor.None, static (all, one) => all | Enum.Parse<WaitFor>(one, ignoreCase: true))
            : WaitFor.Receive | WaitFor.Event;
        var later = new List<Task>();
        foreach ((string field, Action action) in ((string, Action)[])[("wake_after_ms", channel.Wake), ("shutdown_after_ms", channel.Shutdown)])
        {
            if (request.Has(field))
                later.Add(Task.Delay(request.Int(field)).ContinueWith(_ => action(), TaskScheduler.Default));
        }
        try
        {
            WaitFor held = channel.Wait(what, request.Time());
            var ready = new JsonArray();
            foreach (WaitFor one in (WaitFor[])[WaitFor.Receive, WaitFor.Event, WaitFor.Send])
            {
                if ((held & one) != 0)
                    ready.Add(one.ToString().ToLowerInvariant());
            }
            return new JsonObject { ["ready"] = ready };
        }
        finally
        {
            Task.WaitAll([.. later]);
        }
    }

    private JsonObject Listen(Request request)
    {
        Listener listener = Get<Channel>(request, "channel").Listen(Address.Parse(request.Text("address")));
        return Add(request, "listener", listener, "channel", new JsonObject { ["address"] = listener.LocalAddress.ToString() });
    }

    private JsonObject Accept(Request request) =>
        Add(request, "flow", Get<Listener>(request, "listener").Accept(request.Time()), "listener");

    private JsonObject StartFlow(Request request) => Open(request, static (channel, remote, local, options) =>
        channel.StartFlow(remote, local, options));

    private JsonObject OpenFlow(Request request) => Open(request, (channel, remote, local, options) =>
        channel.OpenFlow(remote, local, options, request.Time()));

    private JsonObject Open(Request request, Func<Channel, Address, Address?, FlowOptions, Flow> open)
    {
        var options = new FlowOptions();
        if (request.Has("open_timeout_ms"))
            options.OpenTimeout = TimeSpan.FromMilliseconds(request.Int("open_timeout_ms"));
        Address? local = request.Has("local") ? Address.Parse(request.Text("local")) : null;
        Flow flow = open(Get<Channel>(request, "channel"), Address.Parse(request.Text("remote")), local, options);
        return Add(request, "flow", flow, "channel");
    }

    private JsonObject WaitStalled(Request request)
    {
        Channel channel = Get<Channel>(request, "channel");
        var deadline = new Deadline(request.Time());
        List<Event> passed = _passed.GetOrCreateValue(channel);
        for (; ; )
        {
            int at = passed.FindIndex(static one => one.Type == EventType.ReceiveStalled);
            if (at >= 0)
            {
                Event stalled = passed[at];
                passed.RemoveAt(at);
                return new JsonObject { ["flow"] = NameOf(stalled.Flow), ["value"] = stalled.Value };
            }
            if (channel.TryTakeEvent(out Event happened))
                passed.Add(happened);
            else
                channel.Wait(WaitFor.Event, deadline.Left);
        }
    }

    private JsonObject Events(Request request)
    {
        Channel channel = Get<Channel>(request, "channel");
        List<Event> passed = _passed.GetOrCreateValue(channel);
        while (channel.TryTakeEvent(out Event happened))
            passed.Add(happened);
        var events = new JsonArray();
        foreach (Event one in passed)
        {
            string type = one.Type switch
            {
                EventType.SendSpace => "SEND_SPACE",
                EventType.ReceiveStalled => "RECEIVE_STALLED",
                _ => one.Type.ToString().ToUpperInvariant(),
            };
            events.Add(new JsonObject { ["type"] = type, ["flow"] = NameOf(one.Flow), ["status"] = MachnetLibrary.NameOf(one.Status) });
        }
        passed.Clear();
        return new JsonObject { ["events"] = events };
    }

    private JsonObject Addresses(Request request)
    {
        Flow flow = Get<Flow>(request, "flow");
        return new JsonObject { ["local"] = flow.LocalAddress.ToString(), ["remote"] = flow.RemoteAddress.ToString() };
    }

    private JsonObject Info(Request request)
    {
        FlowInfo info = Get<Flow>(request, "flow").GetInfo();
        return new JsonObject
        {
            ["state"] = info.State.ToString().ToUpperInvariant(),
            ["status"] = MachnetLibrary.NameOf(info.Status),
            ["messages_sent"] = info.MessagesSent,
            ["messages_acknowledged"] = info.MessagesAcknowledged,
            ["messages_received"] = info.MessagesReceived,
            ["messages_queued"] = info.MessagesQueued,
            ["bytes_unacknowledged"] = info.BytesUnacknowledged,
        };
    }

    private JsonObject CloseFlow(Request request)
    {
        Flow flow = Get<Flow>(request, "flow");
        return Do(request.Flag("abort") ? flow.Abort : flow.Dispose);
    }

    private JsonObject HandleSignal()
    {
        const int User1 = 10;
        _signal ??= PosixSignalRegistration.Create((PosixSignal)User1, static context => context.Cancel = true);
        return [];
    }
}
