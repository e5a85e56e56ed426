/* SPDX-License-Identifier: MIT */
#include "base/siphash.h"

#include <endian.h>
#include <string.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

/* By value: the words are to stay in registers, which is most of the speed. */
static inline struct state round_of(struct state s)
{
    s.v0 += s.v1;
    s.v2 += s.v3;
    s.v1 = rotate(s.v1, 13) ^ s.v0;
    s.v3 = rotate(s.v3, 16) ^ s.v2;
    s.v0 = rotate(s.v0, 32);
    s.v2 += s.v1;
    s.v0 += s.v3;
    s.v1 = rotate(s.v1, 17) ^ s.v2;
    s.v3 = rotate(s.v3, 21) ^ s.v0;
    s.v2 = rotate(s.v2, 32);
    return s;
}

static inline uint64_t load(const uint8_t *bytes, size_t count)
{
    uint64_t word = 0;
    memcpy(&word, bytes, count);
    return le64toh(word);
}

static inline struct state absorb(struct state s, uint64_t word, int rounds)
{
    s.v3 ^= word;
    for (int i = 0; i < rounds; i++) {
        s = round_of(s);
    }
    s.v0 ^= word;
    return s;
}

static inline uint64_t hash(const struct siphash_key *key, const uint8_t *bytes, size_t length, int rounds,
                            int last_rounds)
{
    struct state s = {key->k0 ^ UINT64_C(0x736f6d6570736575), key->k1 ^ UINT64_C(0x646f72616e646f6d),
                      key->k0 ^ UINT64_C(0x6c7967656e657261), key->k1 ^ UINT64_C(0x7465646279746573)};
    size_t left = length;
    for (; left >= 8; left -= 8, bytes += 8) {
        s = absorb(s, load(bytes, 8), rounds);
    }
    uint64_t rest = left == 4 ? load(bytes, 4) : load(bytes, left);
    s = absorb(s, (uint64_t)length << 56 | rest, rounds);
    s.v2 ^= 0xff;
    for (int i = 0; i < last_rounds; i++) {
        s = round_of(s);
    }
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t siphash(const struct siphash_key *key, const void *data, size_t length)
{
    return hash(key, data, length, 2, 4);
}

uint64_t siphash_place(const struct siphash_key *key, const void *data, size_t length)
{
    return hash(key, data, length, 1, 3);
}
