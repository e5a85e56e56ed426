/* SPDX-License-Identifier: MIT */
/* Makes packets that an engine should not get: right in part, or not at all. All draw from `prng`. */
#ifndef MACHNET_TESTS_INTEGRATION_ATTACK_PACKETS_H
#define MACHNET_TESTS_INTEGRATION_ATTACK_PACKETS_H

#include "attack_channel.h"
#include "wire/wire.h"

enum { PACKET_MAX = 9200 };

struct packet {
    size_t length;
    bool to_second;                /* relay: the second target was to have it */
    uint8_t bytes[PACKET_MAX];
};

static struct prng prng;

/* What is longer than any packet may be goes as it is. */
static inline void seal(struct packet *packet, size_t length)
{
    packet->length = length + WIRE_TRAILER_BYTES <= WIRE_PACKET_MAX ? wire_packet_seal(packet->bytes, length) : length;
}

static inline struct wire_handshake handshake_of(uint16_t port)
{
    return (struct wire_handshake){
        .present = 1u << WIRE_TLV_SOURCE_CID | 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_VERSION_RANGE | 1u << WIRE_TLV_EPOCH |
                   1u << WIRE_TLV_PORTS | 1u << WIRE_TLV_LIMITS,
        .version_min = WIRE_VERSION,
        .version_max = WIRE_VERSION,
        .source_cid = prng_next(&prng) | 1,
        .nonce = prng_next(&prng),
        .epoch = prng_next(&prng) | 1,
        .source_port = (uint16_t)prng_between(&prng, 1, 65535),
        .destination_port = port,
        .credit_bytes = prng_next(&prng) >> prng_below(&prng, 64),
        .credit_messages = (uint32_t)prng_next(&prng),
        .max_udp_payload = prng_chance(&prng, 500000) ? 1400 : (uint32_t)prng_next(&prng),
    };
}

static inline void make_init(struct packet *packet, uint16_t port)
{
    const struct wire_header header = {.version = WIRE_VERSION, .type = WIRE_INIT, .packet_number = prng_between(&prng, 1, 9)};
    const struct wire_handshake handshake = handshake_of(port);
    packet->length = wire_handshake_encode(packet->bytes, sizeof packet->bytes, &header, &handshake, WIRE_INIT_MIN);
}

/* An answer to an INIT that was never sent. */
static inline void make_answer(struct packet *packet)
{
    const struct wire_header header = {.version = WIRE_VERSION, .type = (uint8_t)prng_between(&prng, WIRE_ACCEPT, WIRE_VERSIONS),
                                       .packet_number = 1, .dcid = prng_next(&prng) >> prng_below(&prng, 64)};
    struct wire_handshake handshake = handshake_of(1);
    handshake.present |= 1u << WIRE_TLV_COOKIE | 1u << WIRE_TLV_REASON;
    handshake.cookie_length = (uint16_t)prng_between(&prng, 1, WIRE_COOKIE_MAX);
    packet->length = wire_handshake_encode(packet->bytes, sizeof packet->bytes, &header, &handshake, 0);
}

static inline void fill_frame(struct wire_frame *frame, const uint8_t *payload)
{
    static const uint8_t types[] = {WIRE_FRAME_PING, WIRE_FRAME_ACK, WIRE_FRAME_CREDIT, WIRE_FRAME_GRANT, WIRE_FRAME_FIN,
                                    WIRE_FRAME_RESET, WIRE_FRAME_BLOCKED, WIRE_FRAME_DATA, WIRE_FRAME_DATA | WIRE_DATA_FRAGMENT};
    uint32_t small = (uint32_t)prng_below(&prng, 300), any = (uint32_t)(prng_next(&prng) >> prng_below(&prng, 64));
    *frame = (struct wire_frame){.type = types[prng_below(&prng, sizeof types)]};
    switch (frame->type) {
    case WIRE_FRAME_ACK:
        frame->ack.largest = any;
        frame->ack.first = (uint16_t)prng_next(&prng);
        frame->ack.messages = small;
        frame->ack.count = (uint16_t)prng_below(&prng, WIRE_ACK_RANGES_MAX + 1);
        for (int i = 0; i < frame->ack.count; i++)
            frame->ack.ranges[i] = (struct wire_ack_range){(uint16_t)prng_between(&prng, 1, 100), (uint16_t)prng_between(&prng, 1, 65535)};
        break;
    case WIRE_FRAME_CREDIT:
        frame->credit.bytes = prng_next(&prng);
        frame->credit.messages = any;
        break;
    case WIRE_FRAME_GRANT:
        frame->grant.message = small;
        frame->grant.bytes = any;
        break;
    case WIRE_FRAME_FIN:
        frame->fin.messages = prng_chance(&prng, 500000) ? small : any;
        break;
    case WIRE_FRAME_BLOCKED:
        frame->blocked.bytes = prng_next(&prng);
        frame->blocked.message = any;
        break;
    case WIRE_FRAME_DATA:
    case WIRE_FRAME_DATA | WIRE_DATA_FRAGMENT:
        frame->data.payload = payload;
        frame->data.message = prng_chance(&prng, 900000) ? (uint32_t)prng_below(&prng, 20) : any;
        frame->data.length = small;
        frame->data.total = frame->type & WIRE_DATA_FRAGMENT ? any : small;
        frame->data.offset = frame->type & WIRE_DATA_FRAGMENT ? (uint32_t)prng_next(&prng) >> prng_below(&prng, 32) : 0;
        break;
    default:
        break;
    }
}

/* Frames with any values, for the flow `dcid`. */
static inline void make_flow(struct packet *packet, uint64_t dcid, uint64_t number)
{
    static const uint8_t payload[512];
    const struct wire_header header = {.version = WIRE_VERSION, .type = WIRE_FLOW, .packet_number = number, .dcid = dcid};
    size_t at = WIRE_HEADER_BYTES;
    wire_header_encode(packet->bytes, &header);
    for (uint64_t i = prng_between(&prng, 1, 4); i > 0; i--) {
        struct wire_frame frame;
        fill_frame(&frame, payload);
        at += wire_frame_encode(packet->bytes + at, 1200 - at, &frame);
        if (frame.type & WIRE_FRAME_DATA && at + frame.data.length < 1200) {
            memcpy(packet->bytes + at, payload, frame.data.length);
            at += frame.data.length;
        }
    }
    while (at < WIRE_FLOW_MIN)
        packet->bytes[at++] = WIRE_FRAME_PADDING;
    seal(packet, at);
}

static inline void make_small(struct packet *packet)
{
    const struct wire_probe probe = {.nonce = prng_next(&prng), .epoch = prng_next(&prng), .result = (uint8_t)prng_below(&prng, 4)};
    if (prng_chance(&prng, 300000))
        packet->length = wire_reset_encode(packet->bytes, prng_next(&prng) >> prng_below(&prng, 64), prng_below(&prng, 100000), 6);
    else
        packet->length = wire_probe_encode(packet->bytes, prng_chance(&prng, 500000) ? WIRE_PROBE : WIRE_PROBE_REPLY, &probe);
}

static inline void make_random(struct packet *packet)
{
    packet->length = prng_below(&prng, prng_chance(&prng, 100000) ? PACKET_MAX : 300);
    prng_fill(&prng, packet->bytes, packet->length);
    if (packet->length > WIRE_PACKET_MIN && prng_chance(&prng, 500000)) {
        packet->bytes[0] = (uint8_t)(WIRE_VERSION << 4 | prng_below(&prng, 16));
        seal(packet, packet->length - WIRE_TRAILER_BYTES);
    }
}

/* Changes, cuts or lengthens; `sealed`: the checksum is right again. */
static inline void mutate(struct packet *packet, bool sealed)
{
    for (uint64_t i = prng_between(&prng, 1, 4); i > 0 && packet->length > 0; i--)
        packet->bytes[prng_below(&prng, packet->length)] ^= (uint8_t)prng_between(&prng, 1, 255);
    if (prng_chance(&prng, 100000))
        packet->length = prng_below(&prng, packet->length + 1);
    if (sealed && packet->length >= WIRE_PACKET_MIN)
        seal(packet, packet->length - WIRE_TRAILER_BYTES);
}

#endif /* MACHNET_TESTS_INTEGRATION_ATTACK_PACKETS_H */
