/* SPDX-License-Identifier: MIT */
/*
 * An attacker off the path (PROTOCOL.md, section 12), as strong as one can be: knows both endpoints, workers, indexes of flows, packet numbers and
 * when to send; does not see our packets, so what is random in them is guessed. MACHNET_BLIND_PACKETS says how many packets are forged
 * (1,000,000); by 10^8 of them, which take 11 s of processor time, nobody is reset and nothing gets in.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "support/flow_check.h"
#include "support/flow_expect.h"
#include "support/flow_pair.h"

enum { BATCHES = 2000, PACKET_BYTES_MAX = 512 };

#define KNOWN_OF_CID UINT64_C(0xffffff0000000000) /* worker and index */

struct attack {
    struct pair pair;
    struct prng prng;
    struct wire_header
        last[2];      /* newest FLOW packets of A and of B: the attacker gets their numbers and what is not random */
    bool mute;        /* nothing of B arrives */
    uint64_t opening; /* cid of A's open in progress, without what is random */
    uint64_t forged;
};

static struct attack attack;

static enum pair_fate observe(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                              size_t length)
{
    struct wire_header header;
    size_t body_length;
    struct wire_handshake handshake;
    (void)index;
    cr_assert_eq(wire_packet_decode(packet, length, &header, &body_length), WIRE_OK);
    header.dcid &= KNOWN_OF_CID;
    if (header.type == WIRE_FLOW) {
        attack.last[from == &pair->b] = header;
    } else if (header.type == WIRE_INIT &&
               wire_handshake_decode(WIRE_INIT, packet + WIRE_HEADER_BYTES, body_length, &handshake) == WIRE_OK) {
        attack.opening = handshake.source_cid & KNOWN_OF_CID;
    }
    return from == &pair->b && attack.mute ? PAIR_DROP : PAIR_PASS;
}

static uint64_t guess(uint64_t known)
{
    return known | (prng_next(&attack.prng) & ~KNOWN_OF_CID);
}

/* Frames that would do harm, in packets that would be the next. */
static size_t forge_flow(uint8_t *packet, const struct wire_header *last)
{
    static const uint8_t payload[8] = "forged";
    struct wire_frame frame;
    memset(&frame, 0, sizeof frame);
    switch (prng_below(&attack.prng, 4)) {
    case 0:
        frame.type = WIRE_FRAME_RESET;
        break;
    case 1:
        frame.type = WIRE_FRAME_FIN;
        frame.fin.messages = attack.pair.a.flows[0].sent;
        break;
    case 2:
        frame.type = WIRE_FRAME_ACK;
        frame.ack.largest = (uint32_t)last->packet_number;
        break;
    default:
        frame.type = WIRE_FRAME_DATA;
        frame.data.message = attack.pair.a.flows[0].sent;
        frame.data.length = frame.data.total = sizeof payload;
        break;
    }
    struct wire_header header = *last;
    header.dcid = guess(last->dcid);
    header.packet_number += prng_below(&attack.prng, 3);
    wire_header_encode(packet, &header);
    size_t length = WIRE_HEADER_BYTES + wire_frame_encode(packet + WIRE_HEADER_BYTES, 64, &frame);
    if (frame.type == WIRE_FRAME_DATA) {
        memcpy(packet + length, payload, sizeof payload);
        length += sizeof payload;
    }
    return wire_packet_seal(packet, length);
}

static size_t forge_handshake(uint8_t *packet, uint8_t type)
{
    struct wire_header header = {.version = WIRE_VERSION, .type = type, .packet_number = 1};
    struct wire_handshake handshake = {
        .present = 1u << WIRE_TLV_SOURCE_CID | 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_VERSION_RANGE |
                   1u << WIRE_TLV_EPOCH | 1u << WIRE_TLV_PORTS | 1u << WIRE_TLV_LIMITS | 1u << WIRE_TLV_REASON |
                   1u << WIRE_TLV_COOKIE,
        .version_min = type == WIRE_VERSIONS ? 2 : 1,
        .version_max = type == WIRE_VERSIONS ? 3 : 1,
        .source_cid = guess(UINT64_C(1) << 40),
        .nonce = prng_next(&attack.prng),
        .epoch = prng_next(&attack.prng),
        .source_port = 50000,
        .destination_port = PAIR_PORT,
        .credit_bytes = 1 << 20,
        .credit_messages = 256,
        .max_udp_payload = 1472,
        .reason = WIRE_REASON_NO_LISTENER,
        .cookie_length = 8,
    };
    prng_fill(&attack.prng, handshake.cookie, 8);
    if (type != WIRE_INIT) {
        header.dcid = guess(attack.opening) | 1;
    }
    return wire_handshake_encode(packet, PACKET_BYTES_MAX, &header, &handshake, type == WIRE_INIT ? WIRE_INIT_MIN : 0);
}

static size_t forge_probe(uint8_t *packet, uint8_t type)
{
    struct wire_probe probe = {.nonce = prng_next(&attack.prng),
                               .epoch = prng_next(&attack.prng),
                               .own_epoch = prng_next(&attack.prng),
                               .result =
                                   (uint8_t)prng_between(&attack.prng, WIRE_PROBE_OTHER_EPOCH, WIRE_PROBE_NO_FLOWS)};
    return wire_probe_encode(packet, type, &probe);
}

/* A packet in the name of the other side. */
static void forge(void)
{
    uint8_t packet[PACKET_BYTES_MAX];
    const bool to_b = prng_chance(&attack.prng, 500000);
    struct pair_side *to = to_b ? &attack.pair.b : &attack.pair.a;
    const struct wire_header *to_them = &attack.last[!to_b], *from_them = &attack.last[to_b];
    size_t length;
    switch (prng_below(&attack.prng, 16)) {
    case 0:
        length = forge_handshake(packet, WIRE_INIT);
        break;
    case 1:
        length = forge_handshake(packet, (uint8_t)prng_between(&attack.prng, WIRE_ACCEPT, WIRE_VERSIONS));
        break;
    case 2:
    case 3:
        length = forge_probe(packet, WIRE_PROBE_REPLY);
        break;
    case 4:
        length = forge_probe(packet, WIRE_PROBE);
        break;
    case 5:
    case 6:
    case 7: /* of a packet in flight: what `to` sent */
        length = wire_reset_encode(packet, guess(from_them->dcid), from_them->packet_number, WIRE_REASON_UNKNOWN_FLOW);
        break;
    default:
        length = forge_flow(packet, to_them);
        break;
    }
    attack.forged++;
    pair_inject(to, to_b ? &attack.pair.a.path.local : &attack.pair.b.path.local, packet, length);
}

static void forge_many(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        forge();
    }
}

static uint64_t packets_wanted(void)
{
    const char *text = getenv("MACHNET_BLIND_PACKETS");
    uint64_t count = text ? strtoull(text, NULL, 10) : 1000000;
    return count < 2 * BATCHES ? 2 * BATCHES : count;
}

/* Messages under way in both directions, while forged packets come. */
static void attack_traffic(uint64_t packets)
{
    struct pair *pair = &attack.pair;
    for (uint32_t batch = 0; batch < BATCHES; batch++) {
        pair_send(&pair->a.flows[0], 100);
        pair_send(&pair->b.flows[0], 3000);
        pair_run(pair, pair->delay / 2);
        forge_many(packets / BATCHES);
        pair_run(pair, 10 * pair->delay);
    }
}

/* Nothing of B arrives: A opens in vain, and asks whether B lives. */
static void attack_silence(uint64_t packets)
{
    enum { STEPS = 350 }; /* of 10 ms each: B is asked after 2.5 s, and would be dead after 10 s */
    struct pair *pair = &attack.pair;
    struct pair_flow *flow = NULL;
    attack.mute = true;
    for (uint32_t step = 0; step < STEPS; step++) {
        if (!flow || (flow->ended && !flow->closed)) {
            if (flow) {
                cr_assert_eq(flow->status, TRANSPORT_UNREACHABLE);
                pair_close(flow, false);
            }
            flow = pair_open(&pair->a, PAIR_PORT);
        }
        pair_run(pair, 10 * PAIR_MS);
        forge_many(packets / STEPS);
    }
    attack.mute = false;
    pair_run(pair, 100 * PAIR_MS);
}

Test(transport_receive, a_blind_attacker_gets_nothing_in_and_nobody_out, .timeout = 0)
{
    struct pair *pair = &attack.pair;
    const uint64_t packets = packets_wanted();
    pair_init(pair);
    prng_init(&attack.prng, 1);
    pair->fate = observe;
    struct pair_flow *flow = pair_connect(pair);
    attack_traffic(packets / 2);
    cr_assert_eq(pair->a.flow_count, 1);
    cr_assert_eq(pair->b.flow_count, 1, "a forged open came through");
    attack_silence(packets / 2);
    pair_send(flow, 500);
    pair_send(&pair->b.flows[0], 500);
    pair_run(pair, 1000 * PAIR_MS);
    cr_assert_eq(flow->ended + pair->b.flows[0].ended, 0, "somebody was reset");
    cr_assert_eq(pair->b.flows[0].received, BATCHES + 1); /* the pair has looked at each byte */
    cr_assert_eq(flow->received, BATCHES + 1);
    cr_assert_eq(flow->sent_ok, BATCHES + 1);
    cr_assert_gt(attack.forged, packets * 9 / 10);
    flow_check(pair->a.transport);
    flow_check(pair->b.transport);
    pair_fini(pair);
}
