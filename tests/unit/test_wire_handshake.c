/* SPDX-License-Identifier: MIT */
/* Beside test_wire_vectors.c: lengths, limits, versions. */
#include <criterion/criterion.h>

#include <string.h>

#include "wire/wire.h"

#define CID UINT64_C(0x0401a29f3c77d1e5)
#define NONCE UINT64_C(0x5b1e2c3d4f60718a)

static uint32_t all_tlvs(void)
{
    uint32_t bits = 0;

    for (int tlv = WIRE_TLV_VERSION_RANGE; tlv <= WIRE_TLV_REASON; tlv++) {
        bits |= UINT32_C(1) << tlv;
    }
    return bits | UINT32_C(1) << WIRE_TLV_MAX_MESSAGE;
}

/* Every TLV there is, each as long as it can be. */
static struct wire_handshake largest(void)
{
    struct wire_handshake handshake = {
        .present = all_tlvs(),
        .version_min = 1,
        .version_max = 15,
        .source_cid = CID,
        .epoch = 3,
        .nonce = NONCE,
        .source_port = 5,
        .destination_port = 6,
        .credit_bytes = UINT64_MAX - 7,
        .credit_messages = UINT32_MAX - 8,
        .max_udp_payload = UINT32_MAX - 9,
        .max_message = UINT32_MAX - 11,
        .worker_port_count = WIRE_WORKER_PORTS_MAX,
        .cookie_length = WIRE_COOKIE_MAX,
        .reason = UINT16_MAX - 10,
    };

    for (int i = 0; i < WIRE_WORKER_PORTS_MAX; i++) {
        handshake.worker_ports[i] = (uint16_t)(31700 + i);
    }
    memset(handshake.cookie, 0xcc, sizeof(handshake.cookie));
    return handshake;
}

static struct wire_header header_of(uint8_t type)
{
    return (struct wire_header){.version = WIRE_VERSION, .type = type, .dcid = type == WIRE_INIT ? 0 : CID};
}

static int decode(const uint8_t *packet, size_t length, struct wire_handshake *handshake)
{
    struct wire_header header;
    size_t body_length;
    int result = wire_packet_decode(packet, length, &header, &body_length);

    return result != WIRE_OK ? result
                             : wire_handshake_decode(header.type, packet + WIRE_HEADER_BYTES, body_length, handshake);
}

Test(wire_handshake, largest__keeps_every_field)
{
    struct wire_handshake in = largest();

    for (int type = WIRE_INIT; type <= WIRE_VERSIONS; type++) {
        uint8_t packet[1024], again[1024];
        struct wire_header header = header_of((uint8_t)type);
        struct wire_handshake out;
        size_t length = wire_handshake_encode(packet, sizeof(packet), &header, &in, 0);

        cr_assert_eq(decode(packet, length, &out), WIRE_OK, "type %d", type);
        cr_expect_eq(out.present, in.present);
        cr_expect_eq(wire_handshake_encode(again, sizeof(again), &header, &out, 0), length);
        cr_expect_arr_eq(again, packet, length, "type %d", type);
    }
}

Test(wire_handshake, encode__pads_to_the_length_asked_for)
{
    struct wire_header header = header_of(WIRE_INIT);
    struct wire_handshake in = largest();
    struct wire_handshake out;
    uint8_t packet[1024];
    size_t bare = wire_handshake_encode(packet, sizeof(packet), &header, &in, 0);

    cr_assert_gt(bare, WIRE_INIT_MIN);
    for (size_t asked = bare - 4; asked < bare + 40; asked++) {
        size_t length = wire_handshake_encode(packet, sizeof(packet), &header, &in, asked);
        size_t expected = asked <= bare ? bare : asked < bare + 4 ? bare + 4 : asked;

        cr_expect_eq(length, expected, "asked for %zu: %zu", asked, length);
        cr_expect_eq(decode(packet, length, &out), WIRE_OK);
    }
}

Test(wire_handshake, encode__never_beyond_the_capacity)
{
    struct wire_header header = header_of(WIRE_ACCEPT);
    struct wire_handshake in = largest();
    uint8_t packet[1024];
    size_t length = wire_handshake_encode(packet, sizeof(packet), &header, &in, 0);

    for (size_t capacity = 0; capacity < length; capacity++) {
        memset(packet, 0x5a, sizeof(packet));
        cr_expect_eq(wire_handshake_encode(packet, capacity, &header, &in, 0), 0);
        cr_expect_eq(packet[capacity], 0x5a);
    }
    cr_expect_eq(wire_handshake_encode(packet, length, &header, &in, 0), length);
    cr_expect_eq(wire_handshake_encode(packet, length, &header, &in, length + 1), 0);
}

Test(wire_handshake, accept__is_never_longer_than_an_init)
{
    struct wire_header header = header_of(WIRE_ACCEPT);
    struct wire_handshake accept = largest();
    uint8_t packet[WIRE_INIT_MIN];

    /* COOKIE is for RETRY and INIT, REASON for REFUSE. */
    accept.present &= ~(UINT32_C(1) << WIRE_TLV_COOKIE | UINT32_C(1) << WIRE_TLV_REASON);
    cr_expect_neq(wire_handshake_encode(packet, sizeof(packet), &header, &accept, 0), 0);
}

Test(wire_handshake, decode__needs_what_the_type_needs)
{
    static const uint32_t required[] = {
        [WIRE_INIT] = 1u << WIRE_TLV_SOURCE_CID | 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_VERSION_RANGE |
                      1u << WIRE_TLV_EPOCH | 1u << WIRE_TLV_PORTS | 1u << WIRE_TLV_LIMITS,
        [WIRE_ACCEPT] = 1u << WIRE_TLV_SOURCE_CID | 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_VERSION_RANGE |
                        1u << WIRE_TLV_EPOCH | 1u << WIRE_TLV_LIMITS,
        [WIRE_REFUSE] = 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_REASON,
        [WIRE_RETRY] = 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_COOKIE,
        [WIRE_VERSIONS] = 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_VERSION_RANGE,
    };

    for (int type = WIRE_INIT; type <= WIRE_VERSIONS; type++) {
        for (int tlv = WIRE_TLV_VERSION_RANGE; tlv <= WIRE_TLV_REASON; tlv++) {
            struct wire_header header = header_of((uint8_t)type);
            struct wire_handshake handshake = largest();
            uint8_t packet[1024];

            handshake.present &= ~(1u << tlv);
            size_t length = wire_handshake_encode(packet, sizeof(packet), &header, &handshake, WIRE_INIT_MIN);
            bool needed = (required[type] >> tlv & 1) != 0;

            cr_expect_eq(decode(packet, length, &handshake), needed ? WIRE_EMALFORMED : WIRE_OK,
                         "type %d without TLV %d", type, tlv);
        }
    }
}

Test(wire_handshake, init_prefix__is_found_in_every_version)
{
    for (uint8_t version = 0; version < 16; version++) {
        struct wire_header header = header_of(WIRE_INIT);
        struct wire_handshake init = largest();
        uint8_t packet[1024];
        uint64_t source_cid = 0, nonce = 0;

        header.version = version;
        size_t length = wire_handshake_encode(packet, sizeof(packet), &header, &init, WIRE_INIT_MIN);

        cr_expect_eq(wire_init_prefix_decode(packet, length, &source_cid, &nonce), WIRE_OK);
        cr_expect_eq(source_cid, CID);
        cr_expect_eq(nonce, NONCE);
        cr_expect_eq(wire_init_prefix_decode(packet, WIRE_INIT_MIN - 1, &source_cid, &nonce), WIRE_ESHORT);
        packet[WIRE_HEADER_BYTES + 1] ^= 1;
        cr_expect_eq(wire_init_prefix_decode(packet, length, &source_cid, &nonce), WIRE_EMALFORMED);
        packet[WIRE_HEADER_BYTES + 1] ^= 1;
        packet[15] = 1;
        cr_expect_eq(wire_init_prefix_decode(packet, length, &source_cid, &nonce), WIRE_EMALFORMED);
        packet[15] = 0;
        packet[0] ^= 3;
        cr_expect_eq(wire_init_prefix_decode(packet, length, &source_cid, &nonce), WIRE_ETYPE);
    }
}

/* A client of version 2 reads the answer of an engine that knows version 1 alone. */
Test(wire_handshake, versions__has_the_same_bytes_in_every_version)
{
    struct wire_header header = header_of(WIRE_VERSIONS);
    struct wire_handshake versions = {.present = 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_VERSION_RANGE,
                                      .version_min = 1,
                                      .version_max = 1,
                                      .nonce = NONCE};
    uint8_t packet[64];
    static const uint8_t body[] = {0x00, 0x04, 0x00, 0x08, 0x5b, 0x1e, 0x2c, 0x3d, 0x4f,
                                   0x60, 0x71, 0x8a, 0x00, 0x01, 0x00, 0x02, 0x01, 0x01};

    header.version = 2;
    cr_expect_eq(wire_handshake_encode(packet, sizeof(packet), &header, &versions, 0), 38);
    cr_expect_eq(packet[0], 0x25);
    cr_expect_eq(memcmp(packet + WIRE_HEADER_BYTES, body, sizeof(body)), 0);
}
