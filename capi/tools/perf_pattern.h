/* SPDX-License-Identifier: MIT */
/*
 * Payloads that can be checked: words of 8 bytes in an arithmetic progression whose start depends on the message's seed. Every byte is
 * compared, so a wrong, moved or foreign byte is found; both functions run at about the speed of memory.
 */
#ifndef MACHNET_TOOLS_PERF_PATTERN_H
#define MACHNET_TOOLS_PERF_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

/* splitmix64's output function (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014). */
uint64_t perf_mix(uint64_t value);

void perf_pattern_fill(void *data, uint64_t length, uint64_t seed);
bool perf_pattern_check(const void *data, uint64_t length, uint64_t seed);

#endif /* MACHNET_TOOLS_PERF_PATTERN_H */
