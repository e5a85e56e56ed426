/* SPDX-License-Identifier: MIT */
/*
 * The Internet checksum (RFC 1071): the 16-bit one's complement sum of big-endian words. A *sum* is what was added up so far, in host
 * order; its complement is what stands in a header.
 */
#ifndef MACHNET_ENGINE_WIRE_CHECKSUM_H
#define MACHNET_ENGINE_WIRE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Adds `length` bytes to `sum` (0 to begin). An odd last byte counts as if a zero followed: only the last part may be odd. */
uint16_t checksum_add(uint16_t sum, const uint8_t *data, size_t length);

/* Adds one word. */
static inline uint16_t checksum_add_word(uint16_t sum, uint16_t word)
{
    uint32_t total = (uint32_t)sum + word;
    return (uint16_t)(total + (total >> 16));
}

#endif /* MACHNET_ENGINE_WIRE_CHECKSUM_H */
