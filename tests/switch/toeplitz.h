/* SPDX-License-Identifier: MIT */
/* The hash by which NICs spread packets over their queues (Toeplitz; Microsoft, "RSS hashing functions"): who does not know the key cannot tell where a
 * packet goes. */
#ifndef MACHNET_TESTS_SWITCH_TOEPLITZ_H
#define MACHNET_TESTS_SWITCH_TOEPLITZ_H

#include <stddef.h>
#include <stdint.h>

enum { TOEPLITZ_KEY_BYTES = 40 };

/* length <= TOEPLITZ_KEY_BYTES - 4. For each bit of the input that is set: the 32 bits of the key from there on. */
static inline uint32_t toeplitz_hash(const uint8_t key[TOEPLITZ_KEY_BYTES], const uint8_t *input, size_t length)
{
    uint32_t hash = 0;
    uint32_t window = (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 | key[3];
    for (size_t i = 0; i < length; i++) {
        for (int bit = 7; bit >= 0; bit--) {
            if (input[i] >> bit & 1)
                hash ^= window;
            window = window << 1 | (key[i + 4] >> bit & 1);
        }
    }
    return hash;
}

#endif /* MACHNET_TESTS_SWITCH_TOEPLITZ_H */
