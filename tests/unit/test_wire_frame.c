/* SPDX-License-Identifier: MIT */
/* Beside test_wire_vectors.c: what is checked for all types, cuts and capacities. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "wire/wire.h"

static struct wire_frame frame_of(uint8_t type)
{
    struct wire_frame frame = {.type = type};

    if (type == WIRE_FRAME_ACK) {
        frame.ack.count = WIRE_ACK_RANGES_MAX;
        for (int i = 0; i < WIRE_ACK_RANGES_MAX; i++) {
            frame.ack.ranges[i] = (struct wire_ack_range){1, UINT16_MAX};
        }
    } else if (type >= WIRE_FRAME_DATA) {
        frame.data.length = UINT16_MAX;
        frame.data.total = UINT16_MAX;
    }
    return frame;
}

static const struct {
    uint8_t type;
    size_t bytes;
} sizes[] = {
    {WIRE_FRAME_PING, 4},
    {WIRE_FRAME_ACK, 16 + 4 * 32},
    {WIRE_FRAME_CREDIT, 16},
    {WIRE_FRAME_GRANT, 12},
    {WIRE_FRAME_FIN, 8},
    {WIRE_FRAME_RESET, 4},
    {WIRE_FRAME_BLOCKED, 16},
    {WIRE_FRAME_DATA, 8},
    {WIRE_FRAME_DATA | WIRE_DATA_FRAGMENT, 16},
    {WIRE_FRAME_DATA | WIRE_DATA_TAG, 16},
    {WIRE_FRAME_DATA | WIRE_DATA_FRAGMENT | WIRE_DATA_TAG, 24},
};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

Test(wire_frame, encode__writes_its_bytes_and_no_more)
{
    for (size_t i = 0; i < SIZES; i++) {
        struct wire_frame frame = frame_of(sizes[i].type);
        uint8_t out[256];

        cr_expect_eq(wire_frame_bytes(&frame), sizes[i].bytes, "type %u", frame.type);
        for (size_t capacity = 0; capacity < sizes[i].bytes; capacity++) {
            memset(out, 0x5a, sizeof(out));
            cr_expect_eq(wire_frame_encode(out, capacity, &frame), 0);
            cr_expect_eq(out[capacity], 0x5a);
        }
        cr_expect_eq(wire_frame_encode(out, sizes[i].bytes, &frame), sizes[i].bytes);
        cr_expect_eq(out[sizes[i].bytes], 0x5a, "type %u", frame.type);
    }
}

Test(wire_frame, decode__rejects_every_cut)
{
    static uint8_t whole[256 + UINT16_MAX];

    for (size_t i = 0; i < SIZES; i++) {
        struct wire_frame frame = frame_of(sizes[i].type);
        size_t payload = frame.type >= WIRE_FRAME_DATA ? frame.data.length : 0;
        size_t length = wire_frame_encode(whole, sizeof(whole), &frame) + payload;
        size_t at = 0;

        for (size_t cut = 1; cut < length; cut += 1 + cut / 16) {
            uint8_t *body = malloc(cut); /* of just this size, for the address sanitizer */

            cr_assert_not_null(body);
            memcpy(body, whole, cut);
            at = 0;
            cr_expect_eq(wire_frame_decode(body, cut, &at, &frame), WIRE_ESHORT, "type %u, %zu of %zu bytes",
                         sizes[i].type, cut, length);
            cr_expect_eq(at, 0);
            free(body);
        }
        at = 0;
        cr_expect_eq(wire_frame_decode(whole, length, &at, &frame), WIRE_OK);
        cr_expect_eq(at, length);
        cr_expect_eq(wire_frame_decode(whole, length, &at, &frame), WIRE_END);
    }
}

Test(wire_frame, decode__every_first_byte)
{
    for (unsigned type = 0; type < 256; type++) {
        /* As a skippable frame 4 bytes long, as DATA or an ACK without anything. */
        uint8_t body[32] = {(uint8_t)type, 0, 0, 0};
        bool skippable = type >= 0x80;
        struct wire_frame frame;
        size_t at = 0;

        body[3] = skippable ? 4 : 0;
        int result = wire_frame_decode(body, sizeof(body), &at, &frame);

        if (type == WIRE_FRAME_PADDING || skippable) {
            cr_expect_eq(result, WIRE_END, "type %u", type); /* the rest is PADDING */
            cr_expect_eq(at, sizeof(body));
        } else if (type <= WIRE_FRAME_BLOCKED || (type >= 0x40 && type <= 0x43)) {
            cr_expect_eq(result, WIRE_OK, "type %u", type);
            cr_expect_eq(frame.type, type);
        } else {
            cr_expect_eq(result, WIRE_ECRITICAL, "type %u", type);
        }
    }
}

Test(wire_frame, data__payload_lies_inside_the_packet)
{
    uint8_t body[64] = {0};
    struct wire_frame in = {.type = WIRE_FRAME_DATA | WIRE_DATA_TAG, .data = {.tag = 9, .message = 4, .length = 10}};
    size_t bytes = wire_frame_encode(body, sizeof(body), &in);
    struct wire_frame out;
    size_t at = 0;

    cr_assert_eq(wire_frame_decode(body, bytes + 10, &at, &out), WIRE_OK);
    cr_expect_eq(out.data.payload, body + bytes);
    cr_expect_eq(out.data.tag, 9);
    cr_expect_eq(out.data.total, 10);
    cr_expect_eq(out.data.offset, 0);
}

Test(wire_whole_encode, is_what_wire_frame_encode_makes)
{
    const uint32_t lengths[] = {0, 1, 64, 1200, UINT16_MAX};

    for (size_t i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
        uint64_t tag = i % 2 == 0 ? 0 : UINT64_C(0x0102030405060708);
        struct wire_frame frame = {
            .type = (uint8_t)(WIRE_FRAME_DATA | (tag != 0 ? WIRE_DATA_TAG : 0)),
            .data = {.tag = tag, .message = 0xfedcba98, .length = lengths[i / 2], .total = lengths[i / 2]},
        };
        uint8_t expected[WIRE_DATA_BYTES + WIRE_TAG_BYTES], out[WIRE_DATA_BYTES + WIRE_TAG_BYTES];
        size_t bytes = wire_frame_encode(expected, sizeof(expected), &frame);

        cr_assert_eq(wire_whole_bytes(tag), bytes);
        cr_assert_eq(wire_whole_encode(out, 0xfedcba98, lengths[i / 2], tag), bytes);
        cr_assert_eq(memcmp(out, expected, bytes), 0);
    }
}
