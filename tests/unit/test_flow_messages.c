/* SPDX-License-Identifier: MIT */
/* Messages from one transport to another, over links that do all that links may do. */
#include <criterion/criterion.h>

#include "base/prng.h"
#include "support/flow_expect.h"
#include "support/flow_pair.h"

static void expect_all_and_open(const struct pair_flow *from, const struct pair_flow *to)
{
    expect_all(from, to);
    cr_assert_eq(from->ended, 0);
}

Test(transport_send, many_small_messages_share_packets)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    uint64_t before = pair.packets;
    for (uint32_t i = 0; i < 500; i++) {
        pair_send(flow, i % 64);
    }
    pair_run(&pair, 20 * PAIR_MS);
    expect_all_and_open(flow, &pair.b.flows[0]);
    cr_assert_lt(pair.packets - before, 40, "%llu packets", (unsigned long long)(pair.packets - before));
    pair_fini(&pair);
}

Test(transport_send, before_the_flow_is_established)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    for (uint32_t i = 0; i < 20; i++) {
        pair_send(flow, 100);
    }
    pair_run(&pair, 20 * PAIR_MS);
    expect_all_and_open(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

Test(transport_send, every_edge_of_sizes)
{
    static const uint32_t edges[] = {0,    64,   1184, 1192, 1200,  1408,  1416,   1424,         1432,
                                     1440, 2832, 2848, 2864, 16384, 65536, 131072, (8 << 20) - 1};
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        for (uint32_t d = 0; d < 3; d++) {
            pair_send(flow, edges[i] == 0 ? d : edges[i] + d - 1);
            pair_run(&pair, PAIR_MS);
        }
    }
    pair_run(&pair, 2000 * PAIR_MS);
    expect_all_and_open(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

Test(transport_send, fragment_edges_back_to_back)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    for (uint32_t length = 1300; length < 1500; length++) {
        pair_send(flow, length);
    }
    pair_run(&pair, 200 * PAIR_MS);
    expect_all_and_open(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

static enum pair_fate full_packets_are_equal(struct pair *pair, uint64_t index, const struct pair_side *from,
                                             const uint8_t *packet, size_t length)
{
    (void)index, (void)packet;
    pair->argument += from == &pair->a && length == 1472 - 12;
    return PAIR_PASS;
}

Test(transport_transmit, bulk_packets_are_equally_long_and_acks_few)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair_send(flow, 60000);
    pair_run(&pair, 50 * PAIR_MS);
    pair.fate = full_packets_are_equal;
    uint64_t before = pair.packets;
    pair_send(flow, 1440000);
    pair_run(&pair, 100 * PAIR_MS);
    expect_all_and_open(flow, &pair.b.flows[0]);
    cr_assert_geq(pair.argument, 1000);
    cr_assert_lt(pair.packets - before, 1012 + 1012 / 4, "%llu", (unsigned long long)(pair.packets - before));
    pair_fini(&pair);
}

Test(transport_send, both_directions)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    for (uint32_t i = 0; i < 300; i++) {
        pair_send(flow, i * 97 % 5000);
        pair_send(&pair.b.flows[0], i * 89 % 7000);
    }
    pair_run(&pair, 500 * PAIR_MS);
    expect_all_and_open(flow, &pair.b.flows[0]);
    expect_all_and_open(&pair.b.flows[0], flow);
    pair_fini(&pair);
}

static enum pair_fate drop_number(struct pair *pair, uint64_t index, const struct pair_side *from,
                                  const uint8_t *packet, size_t length)
{
    (void)from, (void)packet, (void)length;
    return index == pair->argument ? PAIR_DROP : PAIR_PASS;
}

static enum pair_fate corrupt_number(struct pair *pair, uint64_t index, const struct pair_side *from,
                                     const uint8_t *packet, size_t length)
{
    (void)from, (void)packet, (void)length;
    return index == pair->argument ? PAIR_CORRUPT : PAIR_PASS;
}

static enum pair_fate delay_number(struct pair *pair, uint64_t index, const struct pair_side *from,
                                   const uint8_t *packet, size_t length)
{
    (void)from, (void)packet, (void)length;
    return index == pair->argument ? PAIR_DELAY : PAIR_PASS;
}

static enum pair_fate duplicate_all(struct pair *pair, uint64_t index, const struct pair_side *from,
                                    const uint8_t *packet, size_t length)
{
    (void)pair, (void)index, (void)from, (void)packet, (void)length;
    return PAIR_DUPLICATE;
}

/* A small exchange with everything in it: returns how many packets it took. */
static uint64_t exchange(uint64_t victim, enum pair_fate (*fate)(struct pair *, uint64_t, const struct pair_side *,
                                                                 const uint8_t *, size_t))
{
    struct pair pair;
    pair_init(&pair);
    pair.fate = fate;
    pair.argument = victim;
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    for (uint32_t i = 0; i < 6; i++) {
        pair_send(flow, i * 900);
    }
    pair_send(flow, 100000);
    pair_send(flow, 10);
    pair_run(&pair, 300 * PAIR_MS);
    cr_assert_eq(pair.b.accepted_count, 1, "packet %llu", (unsigned long long)victim);
    struct pair_flow *other = &pair.b.flows[0];
    pair_send(other, 3000);
    pair_run(&pair, 300 * PAIR_MS);
    expect_all_and_open(flow, other);
    expect_all_and_open(other, flow);
    pair_close(flow, false);
    pair_run(&pair, 2500 * PAIR_MS);
    cr_assert_eq(flow->ended, 1);
    cr_assert_eq(flow->status, TRANSPORT_OK);
    cr_assert_eq(other->ended, 1);
    cr_assert_eq(other->status, TRANSPORT_CLOSED, "packet %llu: %d", (unsigned long long)victim, other->status);
    pair_close(other, false);
    pair_settle(&pair);
    cr_assert_eq(transport_flows(pair.a.transport, 0, NULL, NULL), 0, "packet %llu", (unsigned long long)victim);
    cr_assert_eq(transport_flows(pair.b.transport, 0, NULL, NULL), 0, "packet %llu", (unsigned long long)victim);
    uint64_t packets = pair.packets;
    pair_fini(&pair);
    return packets;
}

Test(transport_receive, each_single_packet_lost)
{
    uint64_t packets = exchange(UINT64_MAX, drop_number);
    cr_assert_gt(packets, 80);
    for (uint64_t k = 0; k < packets + 3; k++) {
        exchange(k, drop_number);
    }
}

Test(transport_receive, each_single_packet_corrupted)
{
    uint64_t packets = exchange(UINT64_MAX, corrupt_number);
    for (uint64_t k = 0; k < packets; k += 3) {
        exchange(k, corrupt_number);
    }
}

Test(transport_receive, each_single_packet_delayed)
{
    uint64_t packets = exchange(UINT64_MAX, delay_number);
    for (uint64_t k = 0; k < packets; k++) {
        exchange(k, delay_number);
    }
}

Test(transport_receive, everything_twice)
{
    exchange(0, duplicate_all);
}

static enum pair_fate bad_link(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                               size_t length)
{
    struct prng prng;
    (void)from, (void)packet, (void)length;
    prng_init(&prng, pair->argument * 1000003 + index);
    uint64_t dice = prng_below(&prng, 100);
    return dice < 10   ? PAIR_DROP
           : dice < 15 ? PAIR_DUPLICATE
           : dice < 30 ? PAIR_DELAY
           : dice < 33 ? PAIR_CORRUPT
                       : PAIR_PASS;
}

Test(transport_receive, bad_links_of_many_seeds)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct pair pair;
        struct prng prng;
        pair_init(&pair);
        prng_init(&prng, seed);
        pair.fate = bad_link;
        pair.argument = seed;
        struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
        pair_run(&pair, 1500 * PAIR_MS);
        cr_assert_eq(pair.b.accepted_count, 1, "seed %llu", (unsigned long long)seed);
        struct pair_flow *other = &pair.b.flows[0];
        for (uint32_t i = 0; i < 60; i++) {
            pair_send(flow, (uint32_t)prng_below(&prng, i % 10 == 0 ? 200000 : 4000));
            pair_send(other, (uint32_t)prng_below(&prng, i % 15 == 0 ? 100000 : 300));
            pair_run(&pair, prng_below(&prng, PAIR_MS));
        }
        pair_run(&pair, 8000 * PAIR_MS);
        expect_all_and_open(flow, other);
        expect_all_and_open(other, flow);
        pair_fini(&pair);
    }
}

static enum pair_fate black_hole(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                                 size_t length)
{
    (void)pair, (void)index, (void)from, (void)packet;
    return length > 1300 ? PAIR_DROP : PAIR_PASS;
}

Test(transport_send, through_a_black_hole_for_big_packets)
{
    struct pair pair;
    pair_init(&pair);
    pair.fate = black_hole;
    struct pair_flow *flow = pair_connect(&pair);
    for (uint32_t i = 0; i < 30; i++) {
        pair_send(flow, 10000);
    }
    pair_run(&pair, 2000 * PAIR_MS);
    expect_all_and_open(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

Test(transport_path_too_long, cuts_anew)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair.fate = black_hole;
    pair_send(flow, 60000);
    pair_run(&pair, PAIR_MS / 2);
    transport_path_too_long(pair.a.transport, &pair.a.path, 1290, pair.now);
    pair_run(&pair, 20 * PAIR_MS);
    expect_all_and_open(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

Test(transport_send, within_one_engine)
{
    struct pair pair;
    pair_init(&pair);
    pair.a.path.remote = pair.a.path.local;
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 5 * PAIR_MS);
    struct pair_flow *other = &pair.a.flows[1];
    cr_assert_eq(pair.a.accepted_count, 1);
    for (uint32_t i = 0; i < 50; i++) {
        pair_send(flow, i * 5000);
        pair_send(other, i * 100);
    }
    pair_run(&pair, 200 * PAIR_MS);
    expect_all_and_open(flow, other);
    expect_all_and_open(other, flow);
    pair_close(flow, false);
    pair_run(&pair, 50 * PAIR_MS);
    cr_assert_eq(other->status, TRANSPORT_CLOSED);
    pair_close(other, false);
    pair_settle(&pair);
    cr_assert_eq(transport_flows(pair.a.transport, 0, NULL, NULL), 0);
    pair_fini(&pair);
}

Test(transport_flow_info, says_what_happened)
{
    struct pair pair;
    struct transport_flow_info info;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair_send(flow, 5000);
    pair_run(&pair, 20 * PAIR_MS);
    transport_flow_info(flow->flow, &info);
    cr_assert_str_eq(info.state, "open");
    cr_assert_eq(info.messages_sent, 1);
    cr_assert_eq(info.bytes_sent, 5000);
    cr_assert_eq(info.queued_bytes, 0);
    cr_assert_eq(info.in_flight_packets, 0);
    cr_assert_eq(info.packets_lost, 0);
    cr_assert(info.srtt_ns >= 100000 && info.srtt_ns < 120000, "%llu", (unsigned long long)info.srtt_ns);
    cr_assert_eq(info.remote.port, PAIR_PORT);
    cr_assert_eq(info.owner, &pair.a.owner);
    pair_fini(&pair);
}

Test(transport_transmit, acknowledgements_travel_with_answers)
{
    enum { ROUNDS = 50 };
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *client = pair_connect(&pair), *server = &pair.b.flows[0];
    pair_run(&pair, 20 * PAIR_MS);
    const uint64_t before = pair.packets;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        pair_send(client, 64);
        pair_run(&pair, pair.delay + 1000);
        pair_send(server, 64);
        pair_run(&pair, pair.delay + 1000);
    }
    cr_assert_eq(client->received, ROUNDS);
    /* Besides, a CREDIT now and then. */
    cr_assert_leq(pair.packets - before, 2 * ROUNDS + ROUNDS / 10, "%llu", (unsigned long long)(pair.packets - before));
    pair_fini(&pair);
}

/* How long b may sleep after a message has come, over a link with this round trip. */
static uint64_t sleep_after_a_message(uint64_t round_trip)
{
    struct pair pair;
    pair_init(&pair);
    pair.delay = round_trip / 2;
    struct pair_flow *flow = pair_connect(&pair);
    for (uint32_t i = 0; i < 5; i++) {
        pair_send(flow, 100);
        pair_run(&pair, 10 * PAIR_MS);
    }
    const uint64_t packets = transport_counters(pair.b.transport)->packets_sent;
    pair_send(flow, 100);
    pair_run(&pair, pair.delay + 2000);
    cr_assert_eq(pair.b.flows[0].received, 6);
    cr_assert_eq(transport_counters(pair.b.transport)->packets_sent, packets, "the ACK waits");
    const uint64_t until = transport_sleep_until(pair.b.transport, pair.now);
    if (until == pair.now) {
        cr_assert(transport_wants_transmit(pair.b.transport));
    }
    const uint64_t pause = until - pair.now;
    pair_settle(&pair);
    pair_fini(&pair);
    return pause;
}

Test(transport_sleep_until, acknowledges_first_what_would_soon_be_acknowledged)
{
    cr_assert_eq(sleep_after_a_message(80000), 0);
    const uint64_t pause = sleep_after_a_message(400000);
    cr_assert(pause > 90000 && pause <= 100000, "%llu ns", (unsigned long long)pause);
}
