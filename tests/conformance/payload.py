# SPDX-License-Identifier: MIT
"""Payloads that follow from a seed, and what a receiver of them must answer (README.md)."""
import functools
import zlib

TABLE_BYTES = 65521


def make_table():
    x, mask, table = 0x9E3779B97F4A7C15, (1 << 64) - 1, bytearray()
    for _ in range(TABLE_BYTES):
        x ^= x << 13 & mask
        x ^= x >> 7
        x ^= x << 17 & mask
        table.append(x >> 56)
    return bytes(table)


PATTERN = memoryview(make_table() * (8 * 1024 * 1024 // TABLE_BYTES + 3))


def payload(seed, length):
    start = 31 * seed % TABLE_BYTES
    return PATTERN[start:start + length]


@functools.lru_cache(4096)
def crc(seed, length):
    return zlib.crc32(payload(seed, length))


def message(seed, length, tag=0):
    """What `receive` answers."""
    return {"length": length, "tag": str(tag), "crc": crc(seed, length)}


@functools.lru_cache(1024)
def _stream(seed, tag, count, lengths):
    total, value = 0, 0
    for k in range(count):
        length = lengths[k % len(lengths)]
        value = zlib.crc32(((tag + k) % (1 << 64)).to_bytes(8, "little"), value)
        value = zlib.crc32(payload(seed + k, length), value)
        total += length
    return {"count": count, "bytes": total, "crc": value}


def stream(seed, count, lengths, tag=0):
    """What `receive_stream` answers."""
    return _stream(seed, tag, count, tuple(lengths))
