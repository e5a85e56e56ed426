// SPDX-License-Identifier: MIT
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Machnet.Interop;

/// <summary>Finds libmachnet.so.1, and refuses one of another version.</summary>
internal static unsafe class Library
{
    internal const string FileName = "libmachnet.so.1";
    private const string Variable = "MACHNET_LIBRARY";
    private static int s_checked;

    [ModuleInitializer]
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Usage", "CA2255", Justification = "The resolver must be there before the first call.")]
    internal static void Register() => NativeLibrary.SetDllImportResolver(typeof(Library).Assembly, Resolve);

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? search)
    {
        if (name == Epoll.Libc)
            return NativeLibrary.GetMainProgramHandle();
        if (name != "machnet")
            return 0;
        string? named = Environment.GetEnvironmentVariable(Variable);
        if (!string.IsNullOrEmpty(named))
        {
            return NativeLibrary.TryLoad(named, out nint chosen)
                ? chosen
                : throw new DllNotFoundException(
                    $"{Variable} names {named}, which cannot be loaded. Set it to the path of a {FileName}, or unset it to have the library searched for.");
        }
        string beside = Path.Combine(AppContext.BaseDirectory, "runtimes", RuntimeInformation.RuntimeIdentifier, "native", FileName);
        string portable = Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native", FileName);
        foreach (string path in (string[])[beside, portable])
        {
            if (File.Exists(path) && NativeLibrary.TryLoad(path, out nint found))
                return found;
        }
        // What a package brought, else the system's.
        if (NativeLibrary.TryLoad(FileName, assembly, search, out nint handle) || NativeLibrary.TryLoad(FileName, out handle))
            return handle;
        throw new DllNotFoundException(
            $"{FileName} was not found: install Machnet, or set {Variable} to the path of the library.");
    }

    /// <summary>Must come before the first use of anything else of the library.</summary>
    internal static void Ensure()
    {
        if (Volatile.Read(ref s_checked) != 0)
            return;
        uint loaded = Native.machnet_abi_version();
        if (!Accepts(Native.MACHNET_ABI_VERSION, loaded))
            throw new EngineException(StatusCode.Version, RefusalText(Native.MACHNET_ABI_VERSION, loaded));
        Volatile.Write(ref s_checked, 1);
    }

    /// <summary>Whether a binding built for ABI <paramref name="built"/> works with a library of ABI <paramref name="loaded"/>.</summary>
    internal static bool Accepts(uint built, uint loaded)
    {
        uint major = built >> 16, minor = built & 0xffff;
        return loaded >> 16 == major && (major == 0 ? (loaded & 0xffff) == minor : (loaded & 0xffff) >= minor);
    }

    internal static string RefusalText(uint built, uint loaded) =>
        $"This Machnet binding was built for ABI {built >> 16}.{built & 0xffff}, but the loaded {FileName} has ABI " +
        $"{loaded >> 16}.{loaded & 0xffff}. Install versions that fit together" +
        (built >> 16 == 0 ? " (while the major version is 0, both must be the same)." : " (same major version, the library's minor not lower).");

    internal static string Text(byte* text) => text == null ? "" : Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));

    /// <summary>UTF-8 with a NUL. A NUL inside would cut the text in silence.</summary>
    internal static byte[] Utf8(string text, string parameter)
    {
        if (text.Contains('\0'))
            throw new ArgumentException("A text has a NUL character.", parameter);
        byte[] bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
        Encoding.UTF8.GetBytes(text, bytes);
        return bytes;
    }
}
