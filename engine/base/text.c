/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The length of the character that begins with this byte; 0: none does. */
static size_t length_of(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* How many bytes there are of the character of `length` that begins here, before its end or another's beginning. */
static size_t count_bytes(const uint8_t *at, size_t length)
{
    size_t count = 1;
    while (count < length && (at[count] & 0xc0) == 0x80)
        count++;
    return count;
}

/* Of a whole one; false: it is written longer than needed, half of a pair, or beyond the last one. */
static bool decode(const uint8_t *at, size_t length, uint32_t *character)
{
    static const uint32_t first[] = {[1] = 0, [2] = 0x80, [3] = 0x800, [4] = 0x10000};
    uint32_t value = length == 1 ? at[0] : at[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++)
        value = value << 6 | (at[i] & 0x3f);
    *character = value;
    return value >= first[length] && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
}

static bool is_printable(uint32_t character)
{
    static const struct {
        uint32_t first, last;
    } unprintable[] = {
        {0, 0x1f}, {0x7f, 0x9f}, {0x61c, 0x61c}, {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069},
    };
    for (size_t i = 0; i < sizeof unprintable / sizeof unprintable[0]; i++) {
        if (character >= unprintable[i].first && character <= unprintable[i].last)
            return false;
    }
    return true;
}

void text_copy_printable(char *to, size_t capacity, const char *from)
{
    const uint8_t *at = (const uint8_t *)from;
    while (*at != 0) {
        uint32_t character;
        size_t length = length_of(*at), there = length > 0 ? count_bytes(at, length) : 0;
        if (there < length && at[there] == 0)
            break;
        bool whole = length > 0 && there == length && decode(at, length, &character);
        bool good = whole && is_printable(character);
        size_t bytes = good ? length : 1;
        if (bytes >= capacity)
            break;
        memcpy(to, good ? (const char *)at : "?", bytes);
        to += bytes;
        capacity -= bytes;
        at += whole ? length : 1;
    }
    *to = '\0';
}
