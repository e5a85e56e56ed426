// SPDX-License-Identifier: MIT
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;

namespace Machnet.Conformance;

/// <summary>The objects by name, and what answers a request.</summary>
internal sealed partial class Agent
{
    private sealed record Named(string Kind, IDisposable Object, string? Parent);

    private readonly Dictionary<string, Named> _objects = [];
    private readonly ConditionalWeakTable<Flow, string> _names = [];
    private readonly ConditionalWeakTable<Channel, List<Event>> _passed = []; // events taken on the way to another
    private readonly Dictionary<string, Func<Request, JsonObject>> _operations;

    internal Agent() => _operations = new Dictionary<string, Func<Request, JsonObject>>
    {
        ["hello"] = _ => new JsonObject { ["language"] = "csharp", ["library"] = MachnetLibrary.Version },
        ["reset"] = request => Reset([.. request.Texts("keep")]),
        ["lose"] = Lose,
        ["collect"] = _ => Collect(),
        ["open_context"] = OpenContext,
        ["status"] = request => new JsonObject { ["status"] = JsonNode.Parse(Get<Context>(request, "context").GetStatus()) },
        ["close_context"] = request => Close(request, "context"),
        ["open_channel"] = OpenChannel,
        ["shutdown"] = request => Do(Get<Channel>(request, "channel").Shutdown),
        ["close_channel"] = request => Close(request, "channel"),
        ["stats"] = Stats,
        ["wake"] = request => Do(Get<Channel>(request, "channel").Wake),
        ["wait"] = Wait,
        ["listen"] = Listen,
        ["accept"] = Accept,
        ["close_listener"] = request => Close(request, "listener"),
        ["open_flow"] = OpenFlow,
        ["start_flow"] = StartFlow,
        ["wait_open"] = request => Do(() => Get<Flow>(request, "flow").WaitOpen(request.Time())),
        ["wait_closed"] = request => Status(Get<Flow>(request, "flow").WaitClosed(request.Time())),
        ["wait_send_space"] = request => Do(() => Get<Flow>(request, "flow").WaitSendSpace(request.Time())),
        ["wait_stalled"] = WaitStalled,
        ["events"] = Events,
        ["addresses"] = Addresses,
        ["info"] = Info,
        ["close_flow"] = CloseFlow,
        ["send"] = Send,
        ["send_batch"] = SendBatch,
        ["send_stream"] = request => SendStream(request, new Deadline(request.Time(20000))),
        ["fill"] = Fill,
        ["receive"] = Receive,
        ["receive_batch"] = ReceiveBatch,
        ["receive_stream"] = ReceiveStream,
        ["borrow"] = Borrow,
        ["check"] = request => Describe(Get<BorrowedMessage>(request, "message")),
        ["release"] = Release,
        ["reserve"] = Reserve,
        ["commit"] = Commit,
        ["abandon"] = request => Do(Get<SendBuffer>(request, "buffer").Dispose),
        ["echo"] = Echo,
        ["exchange"] = Exchange,
        ["cancel_waits"] = CancelWaits,
        ["gc_stress"] = CollectorStress,
        ["fork"] = _ => throw new ImpossibleException("the .NET run-time does not survive a fork without exec"),
        ["handle_signal"] = _ => HandleSignal(),
        ["raw"] = _ => throw new ImpossibleException("tokens are objects that nobody can forge"),
    };

    internal JsonObject Answer(Request request)
    {
        try
        {
            return _operations.TryGetValue(request.Op, out Func<Request, JsonObject>? run)
                ? new JsonObject { ["ok"] = run(request) }
                : throw new FaultException($"no operation {request.Op}");
        }
        catch (ImpossibleException why)
        {
            return new JsonObject { ["na"] = why.Message };
        }
        catch (MessageTooLongException problem)
        {
            return Failed(MachnetLibrary.NameOf(problem.Code), problem, problem.Length);
        }
        catch (MachnetException problem)
        {
            bool looked = problem.Code == StatusCode.TimedOut && request.Immediate;
            return Failed(MachnetLibrary.NameOf(looked ? StatusCode.Again : problem.Code), problem);
        }
        catch (ObjectDisposedException problem)
        {
            return Failed("CLOSED", problem);
        }
        catch (ArgumentException problem)
        {
            return Failed(MachnetLibrary.NameOf(StatusCode.Invalid), problem);
        }
        catch (FormatException problem)
        {
            return Failed(MachnetLibrary.NameOf(StatusCode.Invalid), problem);
        }
        catch (Exception problem)
        {
            return Failed("AGENT", problem is FaultException ? problem : new FaultException(problem.ToString()));
        }
    }

    private static JsonObject Failed(string status, Exception problem, long? length = null)
    {
        var error = new JsonObject { ["status"] = status, ["message"] = problem.Message };
        if (length != null)
            error["length"] = length;
        return new JsonObject { ["error"] = error };
    }

    private static JsonObject Do(Action action)
    {
        action();
        return [];
    }

    private static JsonObject Status(StatusCode status) => new() { ["status"] = MachnetLibrary.NameOf(status) };

    // ---- Objects ----

    private T Get<T>(Request request, string kind) where T : class => (T)Find(request.Text(kind)).Object;

    private Named Find(string name) => _objects.TryGetValue(name, out Named? named) ? named : throw new FaultException($"no object {name}");

    private JsonObject Add(Request request, string kind, IDisposable made, string? parentKind, JsonObject? result = null)
    {
        string name = request.Text(kind);
        _objects[name] = new Named(kind, made, parentKind == null ? null : request.Text(parentKind));
        if (made is Flow flow)
            _names.AddOrUpdate(flow, name);
        return result ?? [];
    }

    private string? NameOf(Flow? flow) => flow != null && _names.TryGetValue(flow, out string? name) ? name : null;

    private JsonObject Close(Request request, string kind) => Do(Get<IDisposable>(request, kind).Dispose);

    internal JsonObject Reset(IEnumerable<string> keep)
    {
        var kept = new HashSet<string>();
        foreach (string name in keep)
        {
            for (string? one = name; one != null && kept.Add(one);)
                one = _objects.TryGetValue(one, out Named? named) ? named.Parent : null;
        }
        foreach (string kind in (string[])["message", "buffer", "flow", "listener", "channel", "context"])
        {
            foreach ((string name, Named named) in _objects.Where(one => one.Value.Kind == kind && !kept.Contains(one.Key)).ToArray())
            {
                named.Object.Dispose();
                _objects.Remove(name);
            }
        }
        return Collect();
    }

    private JsonObject Lose(Request request)
    {
        foreach (string name in request.Texts("names"))
            _objects.Remove(name);
        return Collect();
    }

    private static JsonObject Collect()
    {
        for (int i = 0; i < 3; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        return [];
    }
}
