/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "wire/crc32c.h"
#include "wire/wire.h"

enum { BUFFER_BYTES = 16384 };

/* RFC 3720, appendix B.4. */
static const struct {
    uint8_t first, step; /* of 32 bytes: first, first + step, ... */
    uint32_t crc;
} rfc3720[] = {
    {0x00, 0, 0x8a9136aa},
    {0xff, 0, 0x62a8ab43},
    {0x00, 1, 0x46dd794e},
    {0x1f, 0xff, 0x113fdb5c},
};
static const uint8_t rfc3720_read_command[48] = {
    0x01, 0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02,
};

/* The definition, one bit at a time. */
static uint32_t bitwise(uint32_t crc, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
        }
    }
    return crc;
}

static void fill(uint8_t *buffer, size_t length)
{
    srand(1);
    for (size_t i = 0; i < length; i++) {
        buffer[i] = (uint8_t)(rand() >> 8);
    }
}

Test(wire_crc32c, wire_crc32c__rfc3720)
{
    for (size_t i = 0; i < sizeof(rfc3720) / sizeof(rfc3720[0]); i++) {
        uint8_t data[32];

        for (size_t k = 0; k < sizeof(data); k++) {
            data[k] = (uint8_t)(rfc3720[i].first + k * rfc3720[i].step);
        }
        cr_expect_eq(wire_crc32c(0, data, sizeof(data)), rfc3720[i].crc, "vector %zu", i);
        cr_expect_eq(~crc32c_portable(~0u, data, sizeof(data)), rfc3720[i].crc, "vector %zu", i);
    }
    cr_expect_eq(wire_crc32c(0, rfc3720_read_command, sizeof(rfc3720_read_command)), 0xd9963a56);
    cr_expect_eq(wire_crc32c(0, (const uint8_t *)"123456789", 9), 0xe3069283);
    cr_expect_eq(wire_crc32c(0, (const uint8_t *)"", 0), 0);
}

Test(wire_crc32c, wire_crc32c__goes_on_from_an_earlier_result)
{
    static uint8_t buffer[BUFFER_BYTES];
    uint32_t whole;

    fill(buffer, sizeof(buffer));
    whole = wire_crc32c(0, buffer, sizeof(buffer));
    for (size_t cut = 0; cut <= sizeof(buffer); cut += 61) {
        uint32_t crc = wire_crc32c(0, buffer, cut);

        cr_assert_eq(wire_crc32c(crc, buffer + cut, sizeof(buffer) - cut), whole, "cut %zu", cut);
    }
}

static void compare(crc32c_function *tested, const char *name)
{
    static uint8_t buffer[BUFFER_BYTES + 16];

    fill(buffer, sizeof(buffer));
    for (size_t length = 0; length <= 900; length++) {
        const uint8_t *data = buffer + length % 16;

        cr_assert_eq(tested(~0u, data, length), bitwise(~0u, data, length), "%s: %zu bytes", name, length);
    }
    for (int i = 0; i < 500; i++) {
        const uint8_t *data = buffer + rand() % 16;
        size_t length = (size_t)rand() % BUFFER_BYTES;
        uint32_t crc = (uint32_t)rand();

        cr_assert_eq(tested(crc, data, length), bitwise(crc, data, length), "%s: %zu bytes at alignment %zu", name,
                     length, (size_t)(data - buffer));
    }
}

Test(wire_crc32c, portable__is_the_definition)
{
    compare(crc32c_portable, "portable");
}

Test(wire_crc32c, hardware__is_the_definition)
{
    if (crc32c_hardware() == NULL) {
        cr_skip("this processor has no CRC32C instruction");
    }
    compare(crc32c_hardware(), "hardware");
}
