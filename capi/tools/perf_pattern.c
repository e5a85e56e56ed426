/* SPDX-License-Identifier: MIT */
#include "perf_pattern.h"

#include <string.h>

#define STEP \
    UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio: neighbouring words differ in about half of their bits */

enum { BLOCK = 32 }; /* four words at once: what is measured shall not be the pattern */

uint64_t perf_mix(uint64_t value)
{
    value *= STEP;
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

void perf_pattern_fill(void *data, uint64_t length, uint64_t seed)
{
    uint8_t *to = data;
    uint64_t word = perf_mix(seed), whole = length & ~UINT64_C(7), i = 0;
    for (; i + BLOCK <= length; i += BLOCK, word += 4 * STEP) {
        const uint64_t words[4] = {word, word + STEP, word + 2 * STEP, word + 3 * STEP};
        memcpy(to + i, words, BLOCK);
    }
    for (; i < whole; i += 8, word += STEP)
        memcpy(to + i, &word, 8);
    if (whole < length)
        memcpy(to + whole, &word, length - whole);
}

bool perf_pattern_check(const void *data, uint64_t length, uint64_t seed)
{
    const uint8_t *from = data;
    uint64_t word = perf_mix(seed), whole = length & ~UINT64_C(7), wrong = 0, got, i = 0;
    for (; i + BLOCK <= length; i += BLOCK, word += 4 * STEP) {
        uint64_t words[4];
        memcpy(words, from + i, BLOCK);
        wrong |= (words[0] ^ word) | (words[1] ^ (word + STEP)) | (words[2] ^ (word + 2 * STEP)) |
                 (words[3] ^ (word + 3 * STEP));
    }
    for (; i < whole; i += 8, word += STEP) {
        memcpy(&got, from + i, 8);
        wrong |= got ^ word;
    }
    return wrong == 0 && (whole == length || memcmp(from + whole, &word, length - whole) == 0);
}
