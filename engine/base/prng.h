/* SPDX-License-Identifier: MIT */
/*
 * A small, fast generator of pseudo-random numbers: xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom
 * number generators", 2021), seeded through splitmix64. Its state is the caller's; the same seed gives the same numbers on
 * every machine. Not for secrets.
 */
#ifndef MACHNET_ENGINE_BASE_PRNG_H
#define MACHNET_ENGINE_BASE_PRNG_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct prng {
    uint64_t state[4];
};

/* One step of splitmix64: advances *state and returns a number that depends on all its bits. */
static inline uint64_t prng_splitmix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline void prng_init(struct prng *prng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        prng->state[i] = prng_splitmix(&seed);
    }
}

static inline uint64_t prng_rotate(uint64_t value, int bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static inline uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t result = prng_rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = prng_rotate(s[3], 45);
    return result;
}

/* A number in [0, bound); 0 if bound is 0. The bias is below bound / 2^64. */
static inline uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)prng_next(prng) * bound) >> 64);
}

/* A number in [low, high]; low <= high, not the whole range of uint64_t. */
static inline uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high)
{
    return low + prng_below(prng, high - low + 1);
}

/* True `ppm` times in a million. Draws a number whatever `ppm` is. */
static inline bool prng_chance(struct prng *prng, uint32_t ppm)
{
    return prng_below(prng, 1000000) < ppm;
}

/* Fills bytes[0 .. length), each number giving eight of them, lowest first. */
static inline void prng_fill(struct prng *prng, uint8_t *bytes, size_t length)
{
    while (length > 0) {
        uint64_t value = htole64(prng_next(prng));
        size_t part = length < sizeof value ? length : sizeof value;
        memcpy(bytes, &value, part);
        bytes += part;
        length -= part;
    }
}

#endif /* MACHNET_ENGINE_BASE_PRNG_H */
