// SPDX-License-Identifier: MIT
using System.Globalization;
using System.Text.Json.Nodes;

namespace Machnet.Conformance;

/// <summary>A fault of the agent or the driver.</summary>
internal sealed class FaultException(string message) : Exception(message);

/// <summary>What the language cannot say.</summary>
internal sealed class ImpossibleException(string why) : Exception(why);

/// <summary>One request, with its defaults.</summary>
internal sealed class Request(JsonObject json)
{
    internal int Id => Int("id");

    internal string Op => Text("op");

    internal bool Has(string field) => json[field] != null;

    internal string Text(string field) => TextOr(field) ?? throw new FaultException($"no {field}");

    internal string? TextOr(string field) => json[field]?.GetValue<string>();

    internal int Int(string field, int? absent = null) =>
        json[field]?.GetValue<int>() ?? absent ?? throw new FaultException($"no {field}");

    internal long Long(string field) => json[field]?.GetValue<long>() ?? throw new FaultException($"no {field}");

    internal bool Flag(string field) => json[field]?.GetValue<bool>() ?? false;

    internal ulong Tag => ulong.Parse(TextOr("tag") ?? "0", CultureInfo.InvariantCulture);

    internal IEnumerable<string> Texts(string field) => json[field]?.AsArray().Select(static one => one!.GetValue<string>()) ?? [];

    internal int[] Ints(string field) => [.. json[field]!.AsArray().Select(static one => one!.GetValue<int>())];

    internal IEnumerable<Request> Requests(string field) => json[field]!.AsArray().Select(static one => new Request(one!.AsObject()));

    internal bool Immediate => Has("timeout_ms") && Int("timeout_ms") == 0;

    /// <summary>How long the call may wait.</summary>
    internal TimeSpan Time(int absent = 5000)
    {
        int milliseconds = Int("timeout_ms", absent);
        return milliseconds < 0 ? Timeout.InfiniteTimeSpan : TimeSpan.FromMilliseconds(milliseconds);
    }
}

/// <summary>The time of a request that calls more than once.</summary>
internal sealed class Deadline(TimeSpan time)
{
    private readonly long _end = time < TimeSpan.Zero ? long.MaxValue : Environment.TickCount64 + (long)time.TotalMilliseconds;

    internal TimeSpan Left => _end == long.MaxValue
        ? Timeout.InfiniteTimeSpan
        : TimeSpan.FromMilliseconds(Math.Max(0, _end - Environment.TickCount64));

    internal bool Over => _end <= Environment.TickCount64;
}
