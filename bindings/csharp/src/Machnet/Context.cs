// SPDX-License-Identifier: MIT
using System.Text;
using Machnet.Interop;

namespace Machnet;

/// <summary>The engine of this machine, from which channels are opened. Safe to use from any thread.</summary>
public sealed unsafe class Context : IDisposable
{
    private readonly ContextHandle _handle;

    private Context(ContextHandle handle) => _handle = handle;

    /// <summary>Finds the engine and agrees on versions with it. EngineException if there is none, or none that fits.</summary>
    public static Context Open(ContextOptions? options = null)
    {
        Library.Ensure();
        using OptionSet set = Options.SetOf(options);
        NativeContext* context;
        NativeError error = default;
        int status = Native.machnet_context_open(Native.MACHNET_ABI_VERSION, set.Pointer, &context, &error);
        return status < 0 ? throw Unattached(status, error) : new Context(new ContextHandle(context));
    }

    /// <summary>Attaches to the engine: maps the shared memory. May take a round trip to the engine process (below 1 ms, at most 5 s a step).</summary>
    public Channel OpenChannel(ChannelOptions? options = null)
    {
        using OptionSet set = Options.SetOf(options);
        bool taken = false;
        try
        {
            _handle.DangerousAddRef(ref taken);
            NativeChannel* channel;
            NativeError error = default;
            int status = Native.machnet_channel_open((NativeContext*)_handle.DangerousGetHandle(), set.Pointer, &channel, &error);
            return status < 0 ? throw Unattached(status, error) : new Channel(new ChannelHandle(channel));
        }
        finally
        {
            if (taken)
                _handle.DangerousRelease();
        }
    }

    /// <summary>What the engine says of itself, as JSON: the same that `machnet status --json` prints.</summary>
    public string GetStatus()
    {
        bool taken = false;
        try
        {
            _handle.DangerousAddRef(ref taken);
            ulong length = 4096;
            for (; ; )
            {
                byte[] text = new byte[length + 1];
                NativeError error = default;
                int status;
                fixed (byte* bytes = text)
                    status = Native.machnet_context_status((NativeContext*)_handle.DangerousGetHandle(), bytes, (ulong)text.Length, &length, &error);
                if (status >= 0)
                    return Encoding.UTF8.GetString(text, 0, (int)length);
                if (status != (int)StatusCode.MessageTooLong)
                    throw Unattached(status, error);
                length = checked(length * 2);
            }
        }
        finally
        {
            if (taken)
                _handle.DangerousRelease();
        }
    }

    /// <summary>Gives the context up. Its channels stay valid.</summary>
    public void Dispose() => _handle.Dispose();

    /// <summary>Without an engine everything that fails is the engine's.</summary>
    private static MachnetException Unattached(int status, in NativeError error)
    {
        MachnetException problem = MachnetException.Of(status, error);
        return problem.Code is StatusCode.Version or StatusCode.Quota or StatusCode.EngineGone or StatusCode.Protocol
            ? new EngineException(problem.Code, problem.Message, problem.OsError)
            : problem;
    }
}

/// <summary>The library that this program uses.</summary>
public static unsafe class MachnetLibrary
{
    /// <summary>Its version, such as "0.1.0".</summary>
    public static string Version
    {
        get
        {
            Library.Ensure();
            return Library.Text(Native.machnet_version_string());
        }
    }

    /// <summary>Its ABI's version.</summary>
    public static Version AbiVersion => VersionOf(Native.machnet_abi_version());

    /// <summary>The ABI's version that this binding was built for.</summary>
    public static Version BuiltForAbiVersion => VersionOf(Native.MACHNET_ABI_VERSION);

    /// <summary>Bytes of the longest message: 8 MiB.</summary>
    public const int MaxMessageLength = Native.MACHNET_MESSAGE_MAX;

    /// <summary>Whether it has a feature, such as "zero-copy".</summary>
    public static bool HasFeature(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        Library.Ensure();
        fixed (byte* text = Library.Utf8(name, nameof(name)))
            return Native.machnet_has_feature(text) != 0;
    }

    /// <summary>The name of a status in C, such as "MACHNET_EAGAIN".</summary>
    public static string NameOf(StatusCode code)
    {
        Library.Ensure();
        return Library.Text(Native.machnet_status_name((int)code));
    }

    private static Version VersionOf(uint abi) => new((int)(abi >> 16), (int)(abi & 0xffff));
}
