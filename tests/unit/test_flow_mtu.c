/* SPDX-License-Identifier: MIT */
/* How long packets are: paths that carry more or less than the interfaces, and that change. */
#include <criterion/criterion.h>

#include "base/prng.h"
#include "support/flow_expect.h"
#include "support/flow_pair.h"

enum {
    TRAILER_ROOM = 12, /* a packet is so much shorter than it may be, for the trailer of a later version */
    NEAR = 16,         /* a search need not come nearer */
};

/* The link passes packets of up to `argument` bytes. */
static enum pair_fate narrow(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                             size_t length)
{
    (void)index, (void)from, (void)packet;
    return length > pair->argument ? PAIR_DROP : PAIR_PASS;
}

static void jumbo_init(struct pair *pair)
{
    pair_init(pair);
    pair->a.path.max_udp_payload = WIRE_PACKET_MAX;
    pair->b.path.max_udp_payload = WIRE_PACKET_MAX;
}

static struct transport_flow_info info_of(const struct pair_flow *flow)
{
    struct transport_flow_info info;
    transport_flow_info(flow->flow, &info);
    return info;
}

static const struct transport_counters *counters(const struct pair_flow *flow)
{
    return transport_counters(flow->side->transport);
}

/* A message of `bytes` every millisecond. */
static void traffic(struct pair_flow *flow, uint32_t milliseconds, uint32_t bytes)
{
    for (uint32_t i = 0; i < milliseconds; i++) {
        pair_send(flow, bytes);
        pair_run(flow->side->pair, PAIR_MS);
    }
}

static void expect_arrived(struct pair_flow *flow, const struct pair_flow *other)
{
    pair_run(flow->side->pair, 2000 * PAIR_MS);
    cr_assert_eq(flow->ended, 0);
    cr_assert_eq(flow->sent_ok, flow->sent, "%u of %u", flow->sent_ok, flow->sent);
    cr_assert_eq(other->received, flow->sent);
}

static void expect_payload(const struct pair_flow *flow, uint32_t low, uint32_t high)
{
    const uint32_t payload = info_of(flow).max_udp_payload;
    cr_assert(low <= payload && payload <= high, "%u, not from %u to %u", payload, low, high);
}

Test(mtu, jumbo_packets_where_they_pass)
{
    struct pair pair;
    jumbo_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    expect_payload(flow, 1472, 1472);
    pair_send(flow, 800000);
    pair_run(&pair, 5 * PAIR_MS);
    expect_payload(flow, WIRE_PACKET_MAX, WIRE_PACKET_MAX);
    cr_assert_lt(info_of(flow).packets_sent, 800000 / 8900 + 64 + 16);
    cr_assert_eq(counters(flow)->mtu_probes, 1);
    expect_arrived(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

static enum pair_fate not_longer(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                                 size_t length)
{
    (void)index, (void)from, (void)packet;
    cr_assert_leq(length, pair->argument);
    return PAIR_PASS;
}

Test(mtu, never_longer_than_the_interface_or_the_peer_allows)
{
    for (int i = 0; i < 2; i++) {
        struct pair pair;
        jumbo_init(&pair);
        if (i == 0) {
            pair.a.path.max_udp_payload = 3000;
        } else {
            pair_stop(&pair.b);
            pair.b.config.max_udp_payload = 3000;
            pair_start(&pair.b);
        }
        pair.argument = 3000;
        pair.fate = not_longer;
        struct pair_flow *flow = pair_connect(&pair);
        traffic(flow, 100, 50000);
        expect_payload(flow, 3000, 3000);
        expect_arrived(flow, &pair.b.flows[0]);
        pair_fini(&pair);
    }
}

Test(mtu, a_narrow_path_is_found_out_without_losing_messages)
{
    static const uint32_t widths[] = {1460, 1500, 2000, 4000, 7777, 8900};
    for (uint32_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        struct pair pair;
        jumbo_init(&pair);
        pair.argument = widths[i];
        pair.fate = narrow;
        struct pair_flow *flow = pair_connect(&pair);
        const uint32_t window = info_of(flow).window_packets;
        traffic(flow, 40, 50000);
        expect_payload(flow, widths[i] + TRAILER_ROOM - NEAR, widths[i] + TRAILER_ROOM);
        cr_assert_geq(counters(flow)->mtu_probes, 3);
        cr_assert_eq(info_of(flow).packets_lost, 0, "a lost probe is no lost packet");
        cr_assert_eq(info_of(flow).packets_retransmitted, 0);
        cr_assert_eq(counters(flow)->probe_timeouts, 0, "nobody waits for a probe");
        cr_assert_geq(info_of(flow).window_packets, window, "nor is it a sign of congestion");
        expect_arrived(flow, &pair.b.flows[0]);
        pair_fini(&pair);
    }
}

Test(mtu, a_search_that_found_nothing_is_repeated_less_and_less_often)
{
    struct pair pair;
    jumbo_init(&pair);
    pair.argument = 1460;
    pair.fate = narrow;
    struct pair_flow *flow = pair_connect(&pair);
    traffic(flow, 200, 20000);
    const uint64_t before = counters(flow)->mtu_probes;
    traffic(flow, 1600, 20000);
    const uint64_t after = counters(flow)->mtu_probes;
    cr_assert_gt(after, before);
    cr_assert_leq(after - before, 4 * 30, "%llu probes", (unsigned long long)(after - before));
    pair.argument = WIRE_PACKET_MAX;
    traffic(flow, 3300, 20000);
    expect_payload(flow, WIRE_PACKET_MAX, WIRE_PACKET_MAX);
    expect_arrived(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

/* How long messages of `bytes` do not arrive after the link has become narrow; ns. */
static uint64_t black_hole(uint64_t width, uint32_t bytes, bool answers)
{
    struct pair pair;
    jumbo_init(&pair);
    pair.argument = UINT64_MAX;
    pair.fate = narrow;
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    traffic(flow, 20, 50000);
    expect_payload(flow, WIRE_PACKET_MAX, WIRE_PACKET_MAX);
    pair.argument = width;
    const uint64_t from = pair.now;
    pair_send(flow, bytes);
    for (uint32_t i = 0; i < 1000 && flow->sent_ok < flow->sent; i++) {
        if (answers) {
            pair_send(other, 10); /* a sign of life, and it acknowledges */
        }
        pair_run(&pair, PAIR_MS / 4);
    }
    cr_assert_eq(flow->sent_ok, flow->sent);
    const uint64_t took = pair.now - from;
    traffic(flow, 40, 50000);
    cr_assert_gt(counters(flow)->black_holes, 0);
    expect_payload(flow, (uint32_t)width + TRAILER_ROOM - NEAR, (uint32_t)width + TRAILER_ROOM);
    const uint64_t lost = info_of(flow).packets_lost;
    traffic(flow, 200, 50000);
    cr_assert_eq(info_of(flow).packets_lost, lost, "it falls into it once");
    pair.argument = UINT64_MAX;
    traffic(flow, 500, 50000);
    expect_payload(flow, WIRE_PACKET_MAX, WIRE_PACKET_MAX);
    expect_arrived(flow, other);
    pair_fini(&pair);
    return took;
}

Test(mtu, a_black_hole_is_survived_and_left_again)
{
    cr_assert_leq(black_hole(1300, 400000, false), 40 * PAIR_MS);
    cr_assert_leq(black_hole(4000, 400000, false), 40 * PAIR_MS);
    cr_assert_leq(black_hole(1300, 8000, false), 40 * PAIR_MS, "one packet at a time");
}

Test(mtu, a_black_hole_of_which_small_packets_tell_nothing)
{
    cr_assert_leq(black_hole(1300, 400000, true), 40 * PAIR_MS);
    cr_assert_leq(black_hole(1300, 8000, true), 40 * PAIR_MS);
}

Test(mtu, silence_and_bursts_of_losses_leave_nobody_on_small_packets)
{
    for (uint32_t bytes = 7000; bytes <= 700000; bytes *= 10) {
        struct pair pair;
        jumbo_init(&pair);
        struct pair_flow *flow = pair_connect(&pair);
        traffic(flow, 20, 50000);
        for (uint32_t i = 0; i < 20; i++) {
            pair_send(flow, bytes);
            pair_run(&pair, PAIR_MS / 20);
            pair.fate = drop_all;
            pair_run(&pair, 20 * PAIR_MS);
            pair.fate = NULL;
            pair_run(&pair, 30 * PAIR_MS);
            traffic(flow, 2, 50000);
            expect_payload(flow, WIRE_PACKET_MAX, WIRE_PACKET_MAX);
        }
        expect_arrived(flow, &pair.b.flows[0]);
        pair_fini(&pair);
    }
}

/* One packet of `argument` is lost. */
static enum pair_fate lossy(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                            size_t length)
{
    (void)from, (void)packet, (void)length;
    uint64_t state = index;
    return prng_splitmix(&state) % pair->argument == 0 ? PAIR_DROP : PAIR_PASS;
}

Test(mtu, random_loss_is_no_black_hole)
{
    struct pair pair;
    jumbo_init(&pair);
    pair.argument = 20;
    pair.fate = lossy;
    struct pair_flow *flow = pair_connect(&pair);
    traffic(flow, 400, 50000);
    cr_assert_gt(info_of(flow).packets_lost, 100);
    cr_assert_eq(counters(flow)->black_holes, 0);
    expect_payload(flow, WIRE_PACKET_MAX, WIRE_PACKET_MAX);
    expect_arrived(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

static uint32_t probes_of_a_new_flow(struct pair *pair, struct pair_flow *other)
{
    const uint64_t before = counters(other)->mtu_probes;
    struct pair_flow *flow = pair_open(&pair->a, PAIR_PORT);
    pair_run(pair, 5 * PAIR_MS);
    cr_assert_eq(flow->established, 1);
    expect_payload(flow, WIRE_PACKET_MAX, WIRE_PACKET_MAX);
    pair_send(flow, 60000);
    pair_run(pair, 5 * PAIR_MS);
    cr_assert_eq(flow->sent_ok, 1);
    cr_assert_leq(info_of(flow).packets_sent, 12);
    pair_close(flow, false);
    pair_run(pair, 20 * PAIR_MS);
    return (uint32_t)(counters(other)->mtu_probes - before);
}

Test(mtu, new_flows_begin_with_what_is_known)
{
    struct pair pair;
    jumbo_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    traffic(flow, 5, 50000);
    cr_assert_eq(probes_of_a_new_flow(&pair, flow), 0, "beside another");
    pair_close(flow, false);
    pair_run(&pair, 1500 * PAIR_MS);
    cr_assert_eq(flows_of(&pair.a), 0);
    cr_assert_eq(probes_of_a_new_flow(&pair, flow), 0, "after the last has gone");
    pair_fini(&pair);
}

Test(mtu, a_forged_notice_is_believed_for_a_while)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    traffic(flow, 5, 50000);
    for (uint32_t i = 0; i < 20; i++) {
        transport_path_too_long(pair.a.transport, &pair.a.path, 68, pair.now);
        expect_payload(flow, 1232, 1232);
        traffic(flow, 55, 50000);
        expect_payload(flow, 1472, 1472);
    }
    expect_arrived(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

Test(mtu, a_prober_may_end)
{
    struct pair pair;
    jumbo_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *prober = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 5 * PAIR_MS);
    pair_send(prober, 50000);
    pair_run(&pair, 1);
    cr_assert_eq(counters(flow)->mtu_probes, 1);
    pair_close(prober, true);
    pair_run(&pair, 300 * PAIR_MS);
    traffic(flow, 5, 50000);
    expect_payload(flow, WIRE_PACKET_MAX, WIRE_PACKET_MAX);
    pair_run(&pair, 100 * PAIR_MS);
    pair_fini(&pair);
}
