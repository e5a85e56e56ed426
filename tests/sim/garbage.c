/* SPDX-License-Identifier: MIT */
#include "garbage.h"

#include <string.h>

#include "wire/wire.h"
#include "world.h"

void garbage_init(struct garbage *garbage, uint64_t seed)
{
    prng_init(&garbage->prng, seed);
    garbage->seen_count = 0;
}

void garbage_observe(struct garbage *garbage, const struct nic_packet *packet)
{
    uint64_t slot = prng_below(&garbage->prng, GARBAGE_SEEN);
    if (garbage->seen_count < GARBAGE_SEEN) {
        slot = garbage->seen_count++;
    }
    garbage->seen[slot].from = packet->local;
    garbage->seen[slot].to = packet->remote;
    garbage->seen[slot].length = packet->length;
    memcpy(garbage->seen[slot].data, packet->data, packet->length);
}

static uint32_t flip_bits(struct prng *prng, uint8_t *packet, uint32_t begin, uint32_t end)
{
    for (uint64_t n = prng_between(prng, 1, 16); n > 0 && end > begin; n--) {
        uint64_t at = prng_between(prng, begin, end - 1);
        packet[at] = (uint8_t)(packet[at] ^ (1u << prng_below(prng, 8)));
    }
    return end;
}

/* An INIT begins with its source cid and its nonce, 8 bytes each behind 4 bytes of type and length. */
enum { INIT_NONCE = WIRE_HEADER_BYTES + 16, NONCE_BYTES = 8 };

/* Changes what it likes and makes the checksum fit. A connection id is guessed, since an attacker off the path knows none; an INIT
 * needs none, but the nonce by which its answer is known. */
static uint32_t forge(struct prng *prng, uint8_t *packet, uint32_t length)
{
    if (length < WIRE_PACKET_MIN) {
        return length;
    }
    uint32_t end = length - WIRE_TRAILER_BYTES;
    flip_bits(prng, packet, WIRE_HEADER_BYTES, end);
    if (prng_chance(prng, 500000)) {
        packet[0] =
            (uint8_t)(prng_chance(prng, 900000) ? WIRE_VERSION << 4 | prng_below(prng, 16) : prng_below(prng, 256));
    }
    if ((packet[0] & 15) != WIRE_INIT) {
        prng_fill(prng, packet + 8, 8);
    } else if (end >= INIT_NONCE + NONCE_BYTES) {
        prng_fill(prng, packet + INIT_NONCE, NONCE_BYTES);
    }
    return (uint32_t)wire_packet_seal(packet, end);
}

static uint32_t mutate(struct prng *prng, uint8_t *packet, uint32_t length)
{
    switch (prng_below(prng, 4)) {
    case 0:
        return flip_bits(prng, packet, 0, length);
    case 1:
        return (uint32_t)prng_below(prng, length + 1);
    case 2:
        return forge(prng, packet, length);
    default:
        return length; /* a repetition, however late */
    }
}

/* A RESET for a flow that exists, but without the proof: the number of a packet in flight. Returns its length, 0 if none is known. */
static uint32_t blind_reset(struct garbage *garbage, uint8_t *packet, struct endpoint *from, struct endpoint *to)
{
    uint64_t slot = prng_below(&garbage->prng, GARBAGE_SEEN);
    struct wire_header header;
    size_t body_length;
    if (slot >= garbage->seen_count ||
        wire_packet_decode(garbage->seen[slot].data, garbage->seen[slot].length, &header, &body_length) != WIRE_OK ||
        header.type != WIRE_FLOW) {
        return 0;
    }
    *from = garbage->seen[slot].to;
    *to = garbage->seen[slot].from;
    uint64_t number = prng_between(&garbage->prng, 1 << 20, WIRE_PACKET_NUMBER_MAX);
    return (uint32_t)wire_reset_encode(packet, header.dcid, number, WIRE_REASON_UNKNOWN_FLOW);
}

/* Whoever can repeat the answer to an INIT in time has seen the INIT, and an engine believes where it comes from. */
static bool is_answer(const uint8_t *packet, uint32_t length)
{
    return length > 0 && (packet[0] & 15) >= WIRE_ACCEPT && (packet[0] & 15) <= WIRE_VERSIONS;
}

static void forge_source(struct prng *prng, struct endpoint *from)
{
    if (prng_chance(prng, 300000)) {
        from->ip[15] = (uint8_t)(100 + prng_below(prng, 100));
    }
    if (prng_chance(prng, 200000)) {
        from->port = (uint16_t)prng_below(prng, 65536);
    }
}

void garbage_act(struct garbage *garbage, struct world *world)
{
    struct prng *prng = &garbage->prng;
    uint8_t packet[NIC_MEM_PAYLOAD_MAX];
    struct endpoint from = world->nodes[prng_below(prng, world->node_count)].udp;
    struct endpoint to = world->nodes[prng_below(prng, world->node_count)].udp;
    uint32_t length = 0;
    if (prng_chance(prng, 100000)) {
        length = blind_reset(garbage, packet, &from, &to);
    } else if (garbage->seen_count == 0 || prng_chance(prng, 200000)) {
        length = (uint32_t)prng_below(prng, 1500);
        prng_fill(prng, packet, length);
        packet[0] = (uint8_t)(WIRE_VERSION << 4 | prng_below(prng, 16));
        if (length >= WIRE_PACKET_MIN && prng_chance(prng, 500000)) {
            length = (uint32_t)wire_packet_seal(packet, length - WIRE_TRAILER_BYTES);
        }
    } else {
        uint64_t slot = prng_below(prng, garbage->seen_count);
        from = garbage->seen[slot].from;
        to = garbage->seen[slot].to;
        length = garbage->seen[slot].length;
        memcpy(packet, garbage->seen[slot].data, length);
        length = mutate(prng, packet, length);
    }
    if (!is_answer(packet, length)) {
        forge_source(prng, &from);
    }
    nic_mem_inject(world->network, &from, &to, packet, length);
}
