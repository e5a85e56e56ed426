// SPDX-License-Identifier: MIT
using Machnet.Interop;

namespace Machnet;

/// <summary>How calls wait for the engine.</summary>
public enum PollMode
{
    /// <summary>Poll for <see cref="ChannelOptions.Spin"/>, then sleep.</summary>
    Adaptive = machnet_poll.MACHNET_POLL_ADAPTIVE,
    /// <summary>Poll until the call returns.</summary>
    Spin = machnet_poll.MACHNET_POLL_SPIN,
    /// <summary>Sleep at once.</summary>
    Sleep = machnet_poll.MACHNET_POLL_SLEEP,
}

/// <summary>What all options have: null means the library's default.</summary>
public abstract class Options
{
    private protected Options() { }

    /// <summary>Options by number that this binding has no name for yet. Those that the library does not know either fail (NotSupported).</summary>
    public IDictionary<int, ulong> Other { get; } = new Dictionary<int, ulong>();

    private protected abstract void Fill(OptionSet set);

    /// <summary>A native set of these options, or an empty one. To be disposed of.</summary>
    internal static OptionSet SetOf(Options? options)
    {
        var set = new OptionSet();
        try
        {
            options?.Fill(set);
            foreach (KeyValuePair<int, ulong> other in options?.Other ?? (IEnumerable<KeyValuePair<int, ulong>>)[])
                set.Add((machnet_option)other.Key, other.Value);
        }
        catch
        {
            set.Dispose();
            throw;
        }
        return set;
    }
}

/// <summary>Options of <see cref="Context.Open"/>.</summary>
public sealed class ContextOptions : Options
{
    /// <summary>The engine's socket. Default: $MACHNET_SOCKET, else /run/machnet/machnet.sock, else $XDG_RUNTIME_DIR/machnet.sock.</summary>
    public string? SocketPath { get; set; }

    private protected override void Fill(OptionSet set) => set.Add(machnet_option.MACHNET_OPTION_SOCKET_PATH, SocketPath);
}

/// <summary>Options of <see cref="Context.OpenChannel"/>.</summary>
public sealed class ChannelOptions : Options
{
    /// <summary>At most 31 bytes, shown by `machnet status`. Default: the program's name.</summary>
    public string? Name { get; set; }

    /// <summary>Most bytes of the send arena. Default 64 MiB.</summary>
    public long? SendBytes { get; set; }

    /// <summary>Most bytes of the receive arena. Default 64 MiB, at least 16 MiB.</summary>
    public long? ReceiveBytes { get; set; }

    /// <summary>How long an adaptive wait polls before it sleeps, if that pays. Default 250 µs.</summary>
    public TimeSpan? Spin { get; set; }

    /// <summary>How calls wait. Default: adaptive.</summary>
    public PollMode? Poll { get; set; }

    private protected override void Fill(OptionSet set)
    {
        set.Add(machnet_option.MACHNET_OPTION_NAME, Name);
        set.Add(machnet_option.MACHNET_OPTION_SEND_BYTES, SendBytes);
        set.Add(machnet_option.MACHNET_OPTION_RECEIVE_BYTES, ReceiveBytes);
        set.Add(machnet_option.MACHNET_OPTION_SPIN_NS, Spin);
        set.Add(machnet_option.MACHNET_OPTION_POLL, (long?)Poll);
    }
}

/// <summary>Options of opening a flow.</summary>
public sealed class FlowOptions : Options
{
    /// <summary>The peer must answer within it. Default 3 s, at least 1 ms.</summary>
    public TimeSpan? OpenTimeout { get; set; }

    private protected override void Fill(OptionSet set) => set.Add(machnet_option.MACHNET_OPTION_OPEN_TIMEOUT_NS, OpenTimeout);
}

internal sealed unsafe class OptionSet : IDisposable
{
    private NativeOptions* _options;

    internal OptionSet()
    {
        NativeOptions* made;
        int status = Native.machnet_options_new(&made);
        if (status < 0)
            throw MachnetException.Of(status);
        _options = made;
    }

    internal NativeOptions* Pointer => _options;

    internal void Add(machnet_option key, string? value)
    {
        if (value == null)
            return;
        fixed (byte* text = Library.Utf8(value, key.ToString()))
            Check(key, Native.machnet_options_set_str(_options, (uint)key, text));
    }

    internal void Add(machnet_option key, long? value)
    {
        if (value == null)
            return;
        ArgumentOutOfRangeException.ThrowIfNegative(value.Value, key.ToString());
        Add(key, (ulong)value.Value);
    }

    internal void Add(machnet_option key, TimeSpan? value)
    {
        if (value != null)
            Add(key, checked(value.Value.Ticks * TimeSpan.NanosecondsPerTick));
    }

    internal void Add(machnet_option key, ulong value) => Check(key, Native.machnet_options_set_u64(_options, (uint)key, value));

    private static void Check(machnet_option key, int status)
    {
        if (status == (int)StatusCode.Invalid)
            throw new ArgumentOutOfRangeException(key.ToString(), "The value is out of the option's range.");
        if (status < 0)
            throw MachnetException.Of(status, $"Option {key}: {MachnetException.TextOf((StatusCode)status)}.");
    }

    public void Dispose()
    {
        Native.machnet_options_free(_options);
        _options = null;
    }
}
