/* SPDX-License-Identifier: MIT */
/* Beside test_wire_vectors.c: what is checked for all values of something, and numbers. */
#include <criterion/criterion.h>

#include <string.h>

#include "wire/wire.h"

#define CID UINT64_C(0x0401a29f3c77d1e5)

static size_t make_ping(uint8_t *packet)
{
    struct wire_header header = {.version = WIRE_VERSION, .type = WIRE_FLOW, .packet_number = 7, .dcid = CID};

    wire_header_encode(packet, &header);
    size_t length = WIRE_HEADER_BYTES + wire_frame_encode(packet + WIRE_HEADER_BYTES, WIRE_PING_BYTES,
                                                          &(struct wire_frame){.type = WIRE_FRAME_PING});

    return wire_packet_seal(packet, length);
}

static int decode(const uint8_t *packet, size_t length)
{
    struct wire_header header;
    size_t body_length;

    return wire_packet_decode(packet, length, &header, &body_length);
}

Test(wire_packet, header__keeps_every_field)
{
    for (uint8_t type = 0; type < 16; type++) {
        uint8_t packet[64] = {0};
        struct wire_header in = {.version = WIRE_VERSION,
                                 .type = type,
                                 .flags = (uint8_t)(type & 0x0f),
                                 .packet_number = WIRE_PACKET_NUMBER_MAX - type,
                                 .dcid = UINT64_MAX - type};
        struct wire_header out;
        size_t body_length;

        wire_header_encode(packet, &in);
        (void)wire_packet_decode(packet, wire_packet_seal(packet, 60), &out, &body_length);
        cr_expect_eq(out.version, in.version);
        cr_expect_eq(out.type, in.type);
        cr_expect_eq(out.flags, in.flags);
        cr_expect_eq(out.packet_number, in.packet_number);
        cr_expect_eq(out.dcid, in.dcid);
    }
}

Test(wire_packet, wire_packet_decode__types_that_are_not_assigned)
{
    for (uint8_t type = 0; type < 16; type++) {
        uint8_t packet[WIRE_INIT_MIN] = {0};
        struct wire_header header = {.version = WIRE_VERSION, .type = type, .dcid = CID};

        wire_header_encode(packet, &header);
        int result = decode(packet, wire_packet_seal(packet, sizeof(packet) - WIRE_TRAILER_BYTES));

        cr_expect_eq(result == WIRE_ETYPE, type < WIRE_INIT || type > WIRE_PROBE_REPLY, "type %u", type);
    }
}

Test(wire_packet, wire_packet_decode__every_version_but_ours_fills_in_the_header)
{
    for (uint8_t version = 0; version < 16; version++) {
        uint8_t packet[64];
        size_t length = make_ping(packet);
        struct wire_header header = {.version = 0xff};
        size_t body_length;

        packet[0] = (uint8_t)(version << 4 | WIRE_FLOW);
        int result = wire_packet_decode(packet, length, &header, &body_length);

        cr_expect_eq(result, version == WIRE_VERSION ? WIRE_OK : WIRE_EVERSION);
        cr_expect_eq(header.version, version);
        cr_expect_eq(header.dcid, CID);
    }
}

Test(wire_packet, wire_packet_decode__every_bit_is_under_the_checksum)
{
    uint8_t packet[64];
    size_t length = make_ping(packet);

    for (size_t bit = 0; bit < 8 * length; bit++) {
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int result = decode(packet, length);

        /* The version and the critical flags are looked at first: they say how to check the rest. */
        int expected = bit >= 4 && bit < 8 ? WIRE_EVERSION : bit >= 12 && bit < 16 ? WIRE_EFLAGS : WIRE_ECHECKSUM;

        cr_expect_eq(result, expected, "bit %zu: %d", bit, result);
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_expect_eq(decode(packet, length), WIRE_OK);
}

Test(wire_packet, wire_packet_decode__every_flag)
{
    for (unsigned flags = 0; flags < 256; flags++) {
        uint8_t packet[64];
        size_t length = make_ping(packet);

        packet[1] = (uint8_t)flags;
        wire_packet_seal(packet, length - WIRE_TRAILER_BYTES);
        cr_expect_eq(decode(packet, length), flags < 0x10 ? WIRE_OK : WIRE_EFLAGS);
    }
}

Test(wire_packet, wire_packet_decode__every_cut_is_rejected)
{
    uint8_t packet[64];
    size_t length = make_ping(packet);

    for (size_t cut = 0; cut < length; cut++) {
        cr_expect_eq(decode(packet, cut), cut < WIRE_PACKET_MIN ? WIRE_ESHORT : WIRE_ECHECKSUM);
    }
}

Test(wire_packet, wire_packet_decode__longest)
{
    static uint8_t packet[WIRE_PACKET_MAX + 1];

    make_ping(packet);
    memset(packet + WIRE_HEADER_BYTES, WIRE_FRAME_PADDING, WIRE_PACKET_MAX - WIRE_HEADER_BYTES);
    wire_packet_seal(packet, WIRE_PACKET_MAX - WIRE_TRAILER_BYTES);
    cr_expect_eq(decode(packet, WIRE_PACKET_MAX), WIRE_OK);
    cr_expect_eq(decode(packet, WIRE_PACKET_MAX + 1), WIRE_EMALFORMED);
}

Test(wire_packet, wire_expand32__nearest)
{
    static const struct {
        uint32_t low;
        uint64_t expected, full;
    } cases[] = {
        {0, 0, 0},
        {5, 3, 5},
        {3, 5, 3},
        {0xffffffff, 0, 0xffffffff}, /* there is nothing below 0 */
        {0x80000001, 0, 0x80000001},
        {0, 0xffffffff, 0x100000000},
        {0xffffffff, 0x100000000, 0xffffffff},
        {0x00000001, 0x1fffffffe, 0x200000001},
        {0x80000000, 0x100000000, 0x80000000}, /* a tie: the lower */
        {0x7fffffff, 0x100000000, 0x17fffffff},
        {0x90abcdef, 0x1234567890abcdf0, 0x1234567890abcdef},
        {0xfffffff0, WIRE_PACKET_NUMBER_MAX, WIRE_PACKET_NUMBER_MAX - 15},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect_eq(wire_expand32(cases[i].low, cases[i].expected), cases[i].full, "case %zu", i);
    }
}
