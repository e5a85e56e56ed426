# SPDX-License-Identifier: MIT
"""The bytes of a payload, from its seed, and the sums of messages."""
import zlib

SIZE = 65521


def make_table():
    x, table = 0x9E3779B97F4A7C15, bytearray()
    for _ in range(SIZE):
        x ^= x << 13 & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 7
        x ^= x << 17 & 0xFFFFFFFFFFFFFFFF
        table.append(x >> 56)
    return bytes(table)


TABLE = make_table()


def payload(seed, length):
    start = 31 * seed % SIZE
    return (TABLE[start:] + TABLE * ((length - SIZE + start) // SIZE + 1))[:length] if length > SIZE - start else TABLE[start:start + length]


class Stream:
    """The messages that a request names."""

    def __init__(self, request):
        self.count, self.lengths = request["count"], request.get("lengths", [0])
        self.seed, self.tag = request.get("seed", 0), int(request.get("tag", "0"))

    def message(self, k):
        return payload(self.seed + k, self.lengths[k % len(self.lengths)]), (self.tag + k) % 2**64


class Sum:
    """What who receives a stream answers."""

    def __init__(self):
        self.count = self.bytes = self.crc = 0

    def add(self, tag, data):
        self.crc = zlib.crc32(data, zlib.crc32(tag.to_bytes(8, "little"), self.crc))
        self.bytes += len(data)
        self.count += 1

    def answer(self):
        return {"count": self.count, "bytes": self.bytes, "crc": self.crc}
