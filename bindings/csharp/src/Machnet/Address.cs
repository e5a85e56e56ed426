// SPDX-License-Identifier: MIT
using System.Diagnostics.CodeAnalysis;
using System.Net;
using Machnet.Interop;

namespace Machnet;

/// <summary>An IP address and a flow port: "10.0.0.2:7000", "[fd00::2]:7000", or ":7000" for any address of the engine.</summary>
public readonly struct Address : IEquatable<Address>, IParsable<Address>
{
    private readonly UInt128 _ip; // in network order, IPv4 as ::ffff:a.b.c.d

    /// <summary>An address and port (0: the engine chooses). <see cref="IPAddress.Any"/> and <see cref="IPAddress.IPv6Any"/>: any address.</summary>
    public Address(IPAddress ip, int port)
    {
        ArgumentNullException.ThrowIfNull(ip);
        ArgumentOutOfRangeException.ThrowIfNegative(port);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(port, ushort.MaxValue);
        bool any = ip.Equals(IPAddress.Any) || ip.Equals(IPAddress.IPv6Any);
        Span<byte> bytes = stackalloc byte[16];
        _ = ip.MapToIPv6().TryWriteBytes(bytes, out _);
        _ip = any ? UInt128.Zero : System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(bytes);
        Port = port;
    }

    /// <summary>The same.</summary>
    public Address(IPEndPoint endPoint) : this((endPoint ?? throw new ArgumentNullException(nameof(endPoint))).Address, endPoint.Port) { }

    internal Address(in NativeAddress native)
    {
        Bytes16 ip = native.ip;
        _ip = System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(ip);
        Port = native.port;
    }

    /// <summary>The IP address; an IPv4 address as such, any address as <see cref="IPAddress.IPv6Any"/>.</summary>
    public IPAddress Ip
    {
        get
        {
            Span<byte> bytes = stackalloc byte[16];
            System.Buffers.Binary.BinaryPrimitives.WriteUInt128BigEndian(bytes, _ip);
            var ip = new IPAddress(bytes);
            return ip.IsIPv4MappedToIPv6 ? ip.MapToIPv4() : ip;
        }
    }

    /// <summary>The flow port, 0 to 65535.</summary>
    public int Port { get; }

    /// <summary>The same address with another port.</summary>
    public Address WithPort(int port) => new(Ip, port);

    internal NativeAddress ToNative()
    {
        Bytes16 ip = default;
        System.Buffers.Binary.BinaryPrimitives.WriteUInt128BigEndian(ip, _ip);
        return new NativeAddress { ip = ip, port = (ushort)Port };
    }

    /// <summary>Reads an address. FormatException: it is none.</summary>
    public static Address Parse(string s, IFormatProvider? provider = null) =>
        TryParse(s ?? throw new ArgumentNullException(nameof(s)), provider, out Address address)
            ? address
            : throw new FormatException($"'{s}' is not an address: write IP:PORT, [IPv6]:PORT or :PORT.");

    /// <summary>Reads an address, if it is one.</summary>
    public static bool TryParse([NotNullWhen(true)] string? s, out Address result) => TryParse(s, null, out result);

    /// <summary>The same; the provider is not used.</summary>
    public static unsafe bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out Address result)
    {
        result = default;
        if (s == null || s.Contains('\0'))
            return false;
        Library.Ensure();
        NativeAddress native;
        fixed (byte* text = Library.Utf8(s, nameof(s)))
        {
            if (Native.machnet_address_parse(text, &native) != 0)
                return false;
        }
        result = new Address(native);
        return true;
    }

    /// <inheritdoc/>
    public override unsafe string ToString()
    {
        Library.Ensure();
        byte* text = stackalloc byte[Native.MACHNET_ADDRESS_TEXT_MAX];
        NativeAddress native = ToNative();
        int status = Native.machnet_address_format(&native, text, Native.MACHNET_ADDRESS_TEXT_MAX);
        return status == 0 ? Library.Text(text) : throw MachnetException.Of(status);
    }

    /// <inheritdoc/>
    public bool Equals(Address other) => _ip == other._ip && Port == other.Port;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Address other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(_ip, Port);

    /// <summary>Equality.</summary>
    public static bool operator ==(Address left, Address right) => left.Equals(right);

    /// <summary>Inequality.</summary>
    public static bool operator !=(Address left, Address right) => !left.Equals(right);
}
