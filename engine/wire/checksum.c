/* SPDX-License-Identifier: MIT */
#include "wire/checksum.h"

#include <endian.h>
#include <string.h>

/* Two lanes: every machine we run on has vectors of this width. */
typedef uint64_t lanes __attribute__((vector_size(16)));

static lanes load(const uint8_t *from)
{
    lanes value;
    memcpy(&value, from, sizeof value);
    return value;
}

/*
 * One's complement sums do not care how wide the words are that are added, nor about their byte order (RFC 1071, section 2): so the words
 * are 32 bits wide and in the machine's order, added in lanes of 64 bits that cannot overflow, and only the result is turned.
 */
uint16_t checksum_add(uint16_t sum, const uint8_t *data, size_t length)
{
    const lanes low_words = {UINT32_MAX, UINT32_MAX};
    lanes low = {0}, high = {0};
    for (; length >= 2 * sizeof(lanes); data += 2 * sizeof(lanes), length -= 2 * sizeof(lanes)) {
        const lanes first = load(data), second = load(data + sizeof(lanes));
        low += (first & low_words) + (second & low_words);
        high += (first >> 32) + (second >> 32);
    }
    if (length > 0) {
        uint8_t rest[2 * sizeof(lanes)] = {0};
        memcpy(rest, data, length);
        const lanes first = load(rest), second = load(rest + sizeof(lanes));
        low += (first & low_words) + (second & low_words);
        high += (first >> 32) + (second >> 32);
    }
    low += high;
    uint64_t total = low[0] + low[1];
    total = (total & UINT32_MAX) + (total >> 32);
    total = (total & UINT16_MAX) + ((total >> 16) & UINT16_MAX) + (total >> 32);
    total = (total & UINT16_MAX) + (total >> 16);
    total = (total & UINT16_MAX) + (total >> 16);
    return checksum_add_word(sum, be16toh((uint16_t)total));
}
