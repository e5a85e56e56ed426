/* SPDX-License-Identifier: MIT */
/* A peer that knows the checksum and breaks every other rule: flows may end, the transport goes on, nothing leaks. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/prng.h"
#include "support/flow_pair.h"

/* Changes a few bytes behind the dcid, mostly of the first frames, and sets the checksum right. */
static void tamper(struct prng *prng, uint8_t *packet, size_t length)
{
    size_t first = WIRE_HEADER_BYTES, body = length - WIRE_PACKET_MIN;
    uint64_t changes = 1 + prng_below(prng, 3);
    for (uint64_t i = 0; i < changes; i++) {
        size_t at = first + prng_below(prng, prng_chance(prng, 700000) && body > 48 ? 48 : body);
        uint64_t flip = prng_chance(prng, 500000) ? prng_next(prng) : UINT64_C(1) << prng_below(prng, 8);
        packet[at] = (uint8_t)(packet[at] ^ flip);
    }
    if (prng_chance(prng, 100000)) {
        packet[7] = (uint8_t)prng_next(prng); /* low byte of the packet number */
    }
    wire_packet_seal(packet, length - WIRE_TRAILER_BYTES);
}

static enum pair_fate hostile(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                              size_t length)
{
    struct prng prng;
    uint8_t copy[WIRE_PACKET_MAX];
    prng_init(&prng, pair->argument * 1000003 + index);
    if (prng_chance(&prng, 200000) && length > WIRE_PACKET_MIN) {
        memcpy(copy, packet, length);
        tamper(&prng, copy, length);
        pair_inject(from == &pair->a ? &pair->b : &pair->a, &from->path.local, copy, length);
    }
    return prng_chance(&prng, 50000) ? PAIR_DROP : PAIR_PASS;
}

static void talk(struct pair *pair, struct prng *prng)
{
    struct pair_flow *flow = pair_open(&pair->a, PAIR_PORT);
    for (uint32_t i = 0; i < 40; i++) {
        pair_send(flow, (uint32_t)prng_below(prng, i % 8 == 0 ? 300000 : 3000));
        if (pair->b.flow_count > 0 && !pair->b.flows[pair->b.flow_count - 1].closed) {
            pair_send(&pair->b.flows[pair->b.flow_count - 1], (uint32_t)prng_below(prng, 3000));
        }
        pair_run(pair, prng_below(prng, PAIR_MS));
    }
    pair_close(flow, prng_chance(prng, 300000));
    pair_run(pair, 20 * PAIR_MS);
}

Test(transport_receive, hostile_peers_of_many_seeds)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct pair pair;
        struct prng prng;
        pair_init(&pair);
        prng_init(&prng, seed);
        pair.fate = hostile;
        pair.argument = seed;
        pair.unchecked = true;
        for (int i = 0; i < 4; i++) {
            talk(&pair, &prng);
        }
        pair.fate = NULL;
        uint32_t before = pair.b.accepted_count;
        struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
        pair_send(flow, 1000);
        pair_run(&pair, 100 * PAIR_MS);
        cr_assert_eq(pair.b.accepted_count, before + 1, "seed %llu: no life after", (unsigned long long)seed);
        cr_assert_eq(pair.b.flows[pair.b.flow_count - 1].received, 1);
        pair_fini(&pair);
    }
}

/* ---- A peer that says again and again that it has room ---- */

static struct wire_header newest_of_b;

static enum pair_fate mute_b(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                             size_t length)
{
    size_t body_length;
    struct wire_header header;
    (void)index;
    if (from == &pair->b && wire_packet_decode(packet, length, &header, &body_length) == WIRE_OK && header.type == WIRE_FLOW)
        newest_of_b = header;
    return from == &pair->b && pair->now >= pair->argument ? PAIR_DROP : PAIR_PASS;
}

static void inject_credit(struct pair *pair)
{
    uint8_t packet[64];
    struct wire_frame frame = {.type = WIRE_FRAME_CREDIT};
    newest_of_b.packet_number++;
    wire_header_encode(packet, &newest_of_b);
    const size_t length = WIRE_HEADER_BYTES + wire_frame_encode(packet + WIRE_HEADER_BYTES, 32, &frame);
    pair_inject(&pair->a, &pair->b.path.local, packet, wire_packet_seal(packet, length));
}

Test(transport_receive, credits_again_and_again_make_no_storm)
{
    enum { CREDITS = 5000, APART_US = 10 };
    struct pair pair;
    pair_init(&pair);
    pair.fate = mute_b;
    pair.argument = UINT64_MAX;
    struct pair_flow *flow = pair_connect(&pair);
    for (int i = 0; i < 50; i++)
        pair_send(flow, 1000);
    pair_run(&pair, 10 * PAIR_MS);
    pair.argument = pair.now;
    for (int i = 0; i < 20; i++)
        pair_send(flow, 1000);
    pair_run(&pair, 2 * PAIR_MS);
    const uint64_t before = transport_counters(pair.a.transport)->packets_retransmitted;
    for (int i = 0; i < CREDITS; i++) {
        inject_credit(&pair);
        pair_run(&pair, APART_US * PAIR_MS / 1000);
    }
    const uint64_t again = transport_counters(pair.a.transport)->packets_retransmitted - before;
    cr_assert_lt(again, 150, "%llu packets in 50 ms", (unsigned long long)again);
    pair.fate = NULL;
    pair_close(flow, true);
    pair_settle(&pair);
    pair_fini(&pair);
}
