/* SPDX-License-Identifier: MIT */
#include "crc32c.h"

#include <endian.h>
#include <string.h>

/*
 * tables[k][b] is the register that byte b leaves behind after k more zero bytes. A CRC is linear
 * over GF(2), so each entry is the XOR of the entries of its single bits, and those eight numbers
 * per table are all there is to know.
 */
#define BIT(b, i, word) ((((b) >> (i)) & 1u) * (word))
#define ENTRY(b, w0, w1, w2, w3, w4, w5, w6, w7)                                     \
    (BIT(b, 0, w0) ^ BIT(b, 1, w1) ^ BIT(b, 2, w2) ^ BIT(b, 3, w3) ^ BIT(b, 4, w4) ^ \
     BIT(b, 5, w5) ^ BIT(b, 6, w6) ^ BIT(b, 7, w7))
#define ENTRIES_4(b, ...)                                                                \
    ENTRY((b), __VA_ARGS__), ENTRY((b) + 1u, __VA_ARGS__), ENTRY((b) + 2u, __VA_ARGS__), \
        ENTRY((b) + 3u, __VA_ARGS__)
#define ENTRIES_16(b, ...)                                         \
    ENTRIES_4((b), __VA_ARGS__), ENTRIES_4((b) + 4u, __VA_ARGS__), \
        ENTRIES_4((b) + 8u, __VA_ARGS__), ENTRIES_4((b) + 12u, __VA_ARGS__)
#define ENTRIES_64(b, ...)                                            \
    ENTRIES_16((b), __VA_ARGS__), ENTRIES_16((b) + 16u, __VA_ARGS__), \
        ENTRIES_16((b) + 32u, __VA_ARGS__), ENTRIES_16((b) + 48u, __VA_ARGS__)
#define TABLE(...)                                                                                \
    {                                                                                             \
        ENTRIES_64(0u, __VA_ARGS__), ENTRIES_64(64u, __VA_ARGS__), ENTRIES_64(128u, __VA_ARGS__), \
            ENTRIES_64(192u, __VA_ARGS__)                                                         \
    }

/* clang-format off */
static const uint32_t tables[8][256] = {
    TABLE(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, 0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u),
    TABLE(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u, 0x3fc5f181u, 0x7f8be302u, 0xff17c604u, 0xfbc3faf9u),
    TABLE(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u, 0x70a27d8au, 0xe144fb14u, 0xc76580d9u, 0x8b277743u),
    TABLE(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u, 0xe964b13du, 0xd725148bu, 0xaba65fe7u, 0x52a0c93fu),
    TABLE(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u, 0x8f2261d3u, 0x1ba8b557u, 0x37516aaeu, 0x6ea2d55cu),
    TABLE(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu, 0xc00c303eu, 0x85f4168du, 0x0e045bebu, 0x1c08b7d6u),
    TABLE(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u, 0x9c5bfaa6u, 0x3d5b83bdu, 0x7ab7077au, 0xf56e0ef4u),
    TABLE(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau, 0x847609b4u, 0x0d006599u, 0x1a00cb32u, 0x34019664u),
};
/* clang-format on */

static uint32_t eight_bytes(uint32_t crc, const uint8_t *data)
{
    uint64_t word;

    memcpy(&word, data, sizeof(word));
    word = le64toh(word) ^ crc;
    return tables[7][word & 0xff] ^ tables[6][(word >> 8) & 0xff] ^ tables[5][(word >> 16) & 0xff] ^
           tables[4][(word >> 24) & 0xff] ^ tables[3][(word >> 32) & 0xff] ^
           tables[2][(word >> 40) & 0xff] ^ tables[1][(word >> 48) & 0xff] ^ tables[0][word >> 56];
}

uint32_t crc32c_portable(uint32_t crc, const uint8_t *data, size_t length)
{
    for (; length >= 8; data += 8, length -= 8) {
        crc = eight_bytes(crc, data);
    }
    for (; length > 0; data++, length--) {
        crc = (crc >> 8) ^ tables[0][(crc ^ *data) & 0xff];
    }
    return crc;
}
