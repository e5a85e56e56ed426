/* SPDX-License-Identifier: MIT */
/* The vectors of "Verifying the RSS hash calculation" (Microsoft, Windows driver documentation). */
#include <criterion/criterion.h>

#include "switch/toeplitz.h"

static const uint8_t key[TOEPLITZ_KEY_BYTES] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static const struct {
    uint8_t tuple[12];
    uint32_t addresses, addresses_and_ports;
} vectors[] = {
    {{66, 9, 149, 187, 161, 142, 100, 80, 2794 >> 8, 2794 & 255, 1766 >> 8, 1766 & 255}, 0x323e8fc2, 0x51ccc178},
    {{199, 92, 111, 2, 65, 69, 140, 83, 14230 >> 8, 14230 & 255, 4739 >> 8, 4739 & 255}, 0xd718262a, 0xc626b0ea},
    {{24, 19, 198, 95, 12, 22, 207, 184, 12898 >> 8, 12898 & 255, 38024 >> 8, 38024 & 255}, 0xd2d0a5de, 0x5c2b394a},
};

Test(switch_toeplitz, hash__known_vectors)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        cr_expect_eq(toeplitz_hash(key, vectors[i].tuple, 8), vectors[i].addresses);
        cr_expect_eq(toeplitz_hash(key, vectors[i].tuple, 12), vectors[i].addresses_and_ports);
    }
}
