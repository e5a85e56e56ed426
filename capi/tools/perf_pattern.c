/* SPDX-License-Identifier: MIT */
#include "perf_pattern.h"

#include <string.h>

#define STEP \
    UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio: neighbouring words differ in about half of their bits */

/* Two words at once: what is measured shall not be the pattern. */
typedef uint64_t pair __attribute__((vector_size(16)));
#define PAIR(a, b) ((pair){a, b})

uint64_t perf_mix(uint64_t value)
{
    value *= STEP;
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static inline pair load(const uint8_t *from)
{
    pair words;
    memcpy(&words, from, sizeof words);
    return words;
}

void perf_pattern_fill(void *data, uint64_t length, uint64_t seed)
{
    uint8_t *to = data;
    const uint64_t first = perf_mix(seed);
    const pair step = PAIR(2 * STEP, 2 * STEP);
    pair words = PAIR(first, first + STEP);
    for (; length >= sizeof words; to += sizeof words, length -= sizeof words, words += step)
        memcpy(to, &words, sizeof words);
    if (length > 0)
        memcpy(to, &words, length);
}

bool perf_pattern_check(const void *data, uint64_t length, uint64_t seed)
{
    const uint8_t *from = data;
    const uint64_t first = perf_mix(seed);
    const pair step = PAIR(2 * STEP, 2 * STEP);
    pair words = PAIR(first, first + STEP), wrong = PAIR(0, 0);
    for (; length >= sizeof words; from += sizeof words, length -= sizeof words, words += step)
        wrong |= load(from) ^ words;
    return (wrong[0] | wrong[1]) == 0 && (length == 0 || memcmp(from, &words, length) == 0);
}
