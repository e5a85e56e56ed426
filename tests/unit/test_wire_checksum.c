/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "base/prng.h"
#include "wire/checksum.h"

/* As RFC 1071, section 1 says it. */
static uint16_t reference(uint16_t sum, const uint8_t *data, size_t length)
{
    uint32_t total = sum;
    for (size_t i = 0; i < length; i++)
        total += (uint32_t)data[i] << (i % 2 == 0 ? 8 : 0);
    while (total >> 16 != 0)
        total = (total & 0xffff) + (total >> 16);
    return (uint16_t)total;
}

Test(checksum, add__the_example_of_the_rfc)
{
    static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    cr_assert_eq(checksum_add(0, data, sizeof data), 0xddf2);
}

Test(checksum, add__is_the_reference_at_every_length_and_alignment)
{
    enum { LONGEST = 300 };
    uint8_t bytes[8 + LONGEST];
    struct prng prng;
    prng_init(&prng, 1);
    for (size_t length = 0; length <= LONGEST; length++) {
        for (size_t at = 0; at < 8; at++) {
            prng_fill(&prng, bytes, sizeof bytes);
            uint16_t sum = (uint16_t)prng_next(&prng);
            cr_assert_eq(checksum_add(sum, bytes + at, length), reference(sum, bytes + at, length), "%zu bytes at %zu",
                         length, at);
        }
    }
}

Test(checksum, add__carries_of_all_ones_are_not_lost)
{
    uint8_t bytes[9001];
    for (int zeros = 0; zeros < 3; zeros++) {
        memset(bytes, 0xff, sizeof bytes);
        memset(bytes + 100, 0, (size_t)zeros);
        for (size_t length = 8990; length <= sizeof bytes; length++)
            cr_assert_eq(checksum_add(0xffff, bytes, length), reference(0xffff, bytes, length));
    }
}

Test(checksum, add__in_parts)
{
    uint8_t bytes[1000];
    struct prng prng;
    prng_init(&prng, 2);
    prng_fill(&prng, bytes, sizeof bytes);
    for (size_t cut = 0; cut < sizeof bytes; cut += 2)
        cr_assert_eq(checksum_add(checksum_add(0, bytes, cut), bytes + cut, sizeof bytes - cut),
                     checksum_add(0, bytes, sizeof bytes));
}

Test(checksum, add_word__is_adding_its_bytes)
{
    for (uint32_t sum = 0; sum <= 0xffff; sum += 0x0fff) {
        for (uint32_t word = 0; word <= 0xffff; word++) {
            const uint8_t bytes[2] = {(uint8_t)(word >> 8), (uint8_t)word};
            cr_assert_eq(checksum_add_word((uint16_t)sum, (uint16_t)word), reference((uint16_t)sum, bytes, 2));
        }
    }
}
