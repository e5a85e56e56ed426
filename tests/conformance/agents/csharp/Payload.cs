// SPDX-License-Identifier: MIT
using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Machnet.Conformance;

/// <summary>The bytes that follow from a seed.</summary>
internal static class Payload
{
    private static readonly byte[] s_table = Table();

    private static byte[] Table()
    {
        byte[] table = new byte[65521];
        ulong x = 0x9E3779B97F4A7C15;
        for (int i = 0; i < table.Length; i++)
        {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            table[i] = (byte)(x >> 56);
        }
        return table;
    }

    internal static void Fill(Span<byte> bytes, ulong seed)
    {
        int at = (int)(31 * (UInt128)seed % (UInt128)s_table.Length);
        for (int done = 0; done < bytes.Length; at = 0)
        {
            int count = Math.Min(bytes.Length - done, s_table.Length - at);
            s_table.AsSpan(at, count).CopyTo(bytes[done..]);
            done += count;
        }
    }

    internal static byte[] Of(ulong seed, int length)
    {
        byte[] bytes = new byte[length];
        Fill(bytes, seed);
        return bytes;
    }
}

/// <summary>CRC-32 as in zlib, eight bytes at a time.</summary>
internal static class Crc
{
    private static readonly uint[][] s_tables = Tables();

    private static uint[][] Tables()
    {
        var tables = new uint[8][];
        for (int k = 0; k < 8; k++)
        {
            tables[k] = new uint[256];
            for (uint i = 0; i < 256; i++)
            {
                uint crc = k == 0 ? i : tables[k - 1][i];
                for (int bit = 0; k == 0 && bit < 8; bit++)
                    crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320);
                tables[k][i] = k == 0 ? crc : (crc >> 8) ^ tables[0][crc & 0xff];
            }
        }
        return tables;
    }

    internal static uint Add(uint before, ReadOnlySpan<byte> bytes)
    {
        uint crc = ~before;
        uint[][] t = s_tables;
        for (; bytes.Length >= 8; bytes = bytes[8..])
        {
            ulong word = BinaryPrimitives.ReadUInt64LittleEndian(bytes) ^ crc;
            crc = t[7][word & 0xff] ^ t[6][word >> 8 & 0xff] ^ t[5][word >> 16 & 0xff] ^ t[4][word >> 24 & 0xff] ^
                t[3][word >> 32 & 0xff] ^ t[2][word >> 40 & 0xff] ^ t[1][word >> 48 & 0xff] ^ t[0][word >> 56];
        }
        foreach (byte one in bytes)
            crc = (crc >> 8) ^ t[0][(crc ^ one) & 0xff];
        return ~crc;
    }
}

/// <summary>A stream to send.</summary>
internal sealed class Stream(Request request)
{
    private readonly ulong _seed = (ulong)request.Long("seed"), _tag = request.Tag;
    private readonly int[] _lengths = request.Ints("lengths");

    internal int Count { get; } = request.Int("count");

    internal int Length(int k) => _lengths[k % _lengths.Length];

    internal ulong Tag(int k) => unchecked(_tag + (ulong)k);

    internal byte[] Bytes(int k) => Payload.Of(_seed + (ulong)k, Length(k));
}

/// <summary>What was received of a stream.</summary>
internal sealed class Received
{
    private long _bytes;
    private uint _crc;

    internal int Count { get; private set; }

    internal void Add(ulong tag, ReadOnlySpan<byte> bytes)
    {
        Span<byte> head = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(head, tag);
        _crc = Crc.Add(Crc.Add(_crc, head), bytes);
        _bytes += bytes.Length;
        Count++;
    }

    internal void Add(BorrowedMessage message) => message.Read(this, (bytes, all) => all.Add(message.Tag, bytes));

    internal JsonObject Result() => new() { ["count"] = Count, ["bytes"] = _bytes, ["crc"] = _crc };

    internal static string TagText(ulong tag) => tag.ToString(CultureInfo.InvariantCulture);
}
