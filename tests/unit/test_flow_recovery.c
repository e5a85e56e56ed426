/* SPDX-License-Identifier: MIT */
/* When packets are found to be lost, when they are not, and how soon what was lost goes out again. The link's round trip is 100 us. */
#include <criterion/criterion.h>

#include "support/flow_expect.h"
#include "support/flow_pair.h"

enum { FULL = 1400, SENT_MAX = 8192 };

#define US UINT64_C(1000)
#define RTT (100 * US)

/* What a has sent, and which of its packets, counted from `mark` on, meet which fate. */
static struct {
    uint64_t at[SENT_MAX];
    uint32_t count, mark;
    uint64_t drop, delay; /* bit n: the nth after the mark */
    bool drop_all;
} line;

static enum pair_fate watch(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                            size_t length)
{
    (void)index, (void)length;
    if (from != &pair->a || (packet[0] & 0xf) != WIRE_FLOW) {
        return PAIR_PASS;
    }
    const uint32_t n = line.count - line.mark;
    cr_assert_lt(line.count, SENT_MAX);
    line.at[line.count++] = pair->now;
    if (line.drop_all || (n < 64 && line.drop >> n & 1)) {
        return PAIR_DROP;
    }
    return n < 64 && line.delay >> n & 1 ? PAIR_DELAY : PAIR_PASS;
}

/* A flow whose round trip is known, and nothing under way. */
static struct pair_flow *measured(struct pair *pair)
{
    pair_init(pair);
    pair_stop(&pair->a);
    pair->a.config.algorithm = CONGESTION_AIMD;
    pair_start(&pair->a);
    memset(&line, 0, sizeof line);
    pair->fate = watch;
    struct pair_flow *flow = pair_connect(pair);
    for (uint32_t i = 0; i < 30; i++) {
        pair_send(flow, 100);
        pair_run(pair, PAIR_MS);
    }
    return flow;
}

static const struct transport_counters *counters(const struct pair *pair)
{
    return transport_counters(pair->a.transport);
}

/* From now on these of a's packets are lost, those late. */
static void meet(uint64_t drop, uint64_t delay)
{
    line.mark = line.count;
    line.drop = drop;
    line.delay = delay;
}

/* When the nth packet after the mark went out, since `start`. */
static uint64_t sent(uint32_t n, uint64_t start)
{
    cr_assert_lt(line.mark + n, line.count, "%u packets", line.count - line.mark);
    return line.at[line.mark + n] - start;
}

static void send_packets(struct pair_flow *flow, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        pair_send(flow, FULL);
    }
}

/* The packet that follows is lost too: until that is known it may be behind. */
Test(recovery, lost_when_one_sent_later_has_arrived_and_an_eighth_of_a_round_trip_is_over)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    const uint64_t start = pair.now;
    meet(1 << 0 | 1 << 2, 0);
    send_packets(flow, 3);
    pair_run(&pair, 5 * PAIR_MS);
    const uint64_t again = sent(3, start);
    cr_assert(again >= RTT + RTT / 8 && again <= RTT + RTT / 8 + 10 * US, "%llu", (unsigned long long)again);
    expect_all(flow, &pair.b.flows[0]);
    cr_assert_eq(counters(&pair)->probe_timeouts, 0);
    pair_fini(&pair);
}

/* Nobody will come who could overtake it, too. */
Test(recovery, lost_when_all_that_was_sent_later_has_arrived)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    const uint64_t start = pair.now;
    meet(1, 0);
    send_packets(flow, 2);
    pair_run(&pair, 5 * PAIR_MS);
    const uint64_t again = sent(2, start);
    cr_assert(again >= RTT && again <= RTT + 10 * US, "%llu", (unsigned long long)again);
    expect_all(flow, &pair.b.flows[0]);
    cr_assert_eq(counters(&pair)->tail_probes + counters(&pair)->probe_timeouts, 0);
    pair_fini(&pair);
}

/* When a packet goes out again of which four later ones have arrived. */
static uint64_t overtaken(struct pair *pair, struct pair_flow *flow)
{
    const uint64_t start = pair->now;
    meet(1, 0);
    send_packets(flow, 5);
    pair_run(pair, 5 * PAIR_MS);
    return sent(5, start);
}

Test(recovery, three_later_ones_are_enough_until_packets_were_seen_to_overtake)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    const uint64_t before = overtaken(&pair, flow);
    cr_assert_leq(before, RTT, "%llu", (unsigned long long)before);
    pair.late = 10 * US;
    meet(0, 1 << 0 | 1 << 2);
    send_packets(flow, 3);
    pair_run(&pair, 5 * PAIR_MS);
    const uint64_t after = overtaken(&pair, flow);
    cr_assert(after >= RTT + 24 * US && after <= RTT + 35 * US, "%llu", (unsigned long long)after);
    expect_all(flow, &pair.b.flows[0]);
    cr_assert_eq(counters(&pair)->spurious_losses, 0);
    pair_fini(&pair);
}

/* How many losses turn out to be none while the first of five packets comes late, `rounds` times. */
static uint64_t spurious(struct pair *pair, struct pair_flow *flow, uint32_t rounds)
{
    const uint64_t before = counters(pair)->spurious_losses;
    pair->late = 60 * US;
    for (uint32_t i = 0; i < rounds; i++) {
        meet(0, 1);
        send_packets(flow, 5);
        pair_run(pair, 5 * PAIR_MS);
    }
    return counters(pair)->spurious_losses - before;
}

Test(recovery, window_widens_with_spurious_losses_and_narrows_after_sixteen_recoveries)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    const uint64_t first = spurious(&pair, flow, 1), second = spurious(&pair, flow, 10);
    cr_assert_eq(first, 1, "%llu", (unsigned long long)first);
    cr_assert(second >= 1 && second <= 2, "%llu", (unsigned long long)second);
    cr_assert_eq(spurious(&pair, flow, 20), 0);
    for (uint32_t i = 0; i < 16; i++) {
        overtaken(&pair, flow);
    }
    cr_assert_eq(spurious(&pair, flow, 1), 1);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

Test(recovery, tail_loss_is_probed_after_two_round_trips)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    for (uint32_t packets = 1; packets <= 12; packets += 11) {
        const uint64_t start = pair.now, probes = counters(&pair)->tail_probes;
        const uint32_t received = pair.b.flows[0].received;
        meet(UINT64_C(1) << (packets - 1), 0);
        send_packets(flow, packets);
        pair_run(&pair, 2 * RTT + 80 * US);
        cr_assert_eq(pair.b.flows[0].received, received + packets, "the probe brings what was lost");
        const uint64_t probe = sent(packets, start);
        /* Of packets that were sent together, those that have arrived tell when the last should have. */
        const uint64_t due = packets == 1 ? 2 * RTT : RTT + RTT / 4;
        cr_assert(probe >= due && probe < due + 30 * US, "%llu", (unsigned long long)probe);
        pair_run(&pair, 5 * PAIR_MS);
        cr_assert_eq(counters(&pair)->tail_probes - probes, 1);
        cr_assert_eq(line.count - line.mark, packets + 1, "nothing was sent again but once");
        expect_all(flow, &pair.b.flows[0]);
    }
    cr_assert_eq(counters(&pair)->probe_timeouts, 0);
    cr_assert_eq(counters(&pair)->packets_lost, 2);
    pair_fini(&pair);
}

/* The ACK of the eighth packet goes at once, and tells nothing of the ninth; what it says an eighth of a round trip later does. */
Test(recovery, end_of_a_message_that_does_not_come_is_missed_by_the_receiver)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    const uint64_t start = pair.now;
    meet(UINT64_C(1) << 8, 0);
    pair_send(flow, 8 * 1424 + 700);
    pair_run(&pair, 5 * PAIR_MS);
    const uint64_t again = sent(9, start);
    cr_assert(again >= RTT + RTT / 8 && again < RTT + RTT / 8 + 10 * US, "%llu", (unsigned long long)again);
    cr_assert_eq(line.count - line.mark, 11, "nothing was sent again but the end, and that twice");
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

/* The last three packets of a message, and what goes out first in their place: nobody waits for a timeout. */
Test(recovery, few_that_are_missed_at_the_end_go_out_together)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    const uint64_t start = pair.now;
    meet(7 << 3 | 1 << 8, 0);
    pair_send(flow, 5 * 1424 + 700);
    pair_run(&pair, 2 * RTT);
    cr_assert_eq(pair.b.flows[0].received, flow->sent);
    cr_assert_eq(sent(6, start), sent(8, start));
    cr_assert_leq(sent(6, start), RTT + RTT / 4 + 10 * US, "%llu", (unsigned long long)sent(6, start));
    pair_run(&pair, 5 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    cr_assert_eq(counters(&pair)->tail_probes + counters(&pair)->probe_timeouts, 0);
    cr_assert_eq(line.count - line.mark, 10, "three were sent again, and the last of them twice");
    pair_fini(&pair);
}

/* The sender's host, or the receiver's, paused in the middle of a message: what comes late is not sent again as a whole. */
Test(recovery, many_that_are_missed_at_the_end_are_asked_for_by_one_probe)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    pair.late = 80 * US;
    meet(0, UINT64_C(0xf) << 8);
    pair_send(flow, 11 * 1424 + 700);
    pair_run(&pair, 5 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    cr_assert_eq(counters(&pair)->tail_probes, 1);
    cr_assert_eq(counters(&pair)->packets_lost, 0);
    cr_assert_eq(line.count - line.mark, 13, "%u", line.count - line.mark);
    pair_fini(&pair);
}

/* Nobody ran for a while in the middle of a message of three packets, so that the last went out, or came, late. */
Test(recovery, few_that_are_missed_after_a_stall_are_asked_for_by_one_probe)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    pair.late = 51 * PAIR_MS;
    meet(0, 1 << 2);
    pair_send(flow, 2 * 1424 + 700);
    pair_run(&pair, 20 * US);
    pair.now += 50 * PAIR_MS;
    pair_run(&pair, 5 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    cr_assert_eq(counters(&pair)->tail_probes, 1);
    cr_assert_eq(line.count - line.mark, 4, "%u", line.count - line.mark);
    pair_fini(&pair);
}

Test(recovery, timeouts_begin_at_200_us_double_and_end_at_200_ms)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    meet(0, 0);
    line.drop_all = true;
    pair_send(flow, 100);
    pair_run(&pair, 3000 * PAIR_MS);
    uint64_t expected = 200 * US;
    for (uint32_t n = 2; n < 20; n++) {
        const uint64_t pause = sent(n, 0) - sent(n - 1, 0);
        cr_assert(pause >= expected && pause <= expected + 10 * US, "%u: %llu", n, (unsigned long long)pause);
        expected = expected < 100 * PAIR_MS ? 2 * expected : 200 * PAIR_MS;
    }
    line.drop_all = false;
    pair_run(&pair, 210 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

Test(recovery, first_packet_of_a_flow_is_missed_by_the_round_trip_of_the_handshake)
{
    struct pair pair;
    pair_init(&pair);
    memset(&line, 0, sizeof line);
    pair.fate = watch;
    line.drop = 1;
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    pair_send(flow, 100);
    pair_run(&pair, PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

/* Of the 47 packets of a message the first 42 come late, when the window has let some of them out again. */
Test(recovery, what_waits_to_be_sent_again_is_not_when_it_has_arrived_after_all)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    struct transport_flow_info info;
    const uint64_t again = counters(&pair)->packets_retransmitted;
    pair.late = 40 * US;
    meet(0, (UINT64_C(1) << 42) - 1);
    pair_send(flow, 65536);
    pair_run(&pair, 20 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    cr_assert_eq(counters(&pair)->spurious_losses, 42, "%llu", (unsigned long long)counters(&pair)->spurious_losses);
    cr_assert_leq(counters(&pair)->packets_retransmitted - again, 36, "%llu",
                  (unsigned long long)(counters(&pair)->packets_retransmitted - again));
    transport_flow_info(flow->flow, &info);
    cr_assert_geq(info.window_packets, 64, "the loss was answered, and there was none");
    cr_assert_eq(info.in_flight_packets, 0);
    pair_fini(&pair);
}

/* Neither the packet nor what is sent for it in its place arrives. */
Test(recovery, what_is_sent_again_at_the_end_is_sent_twice)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    meet(1 << 4 | 1 << 12, 0);
    send_packets(flow, 12);
    pair_run(&pair, RTT + RTT / 2 + 30 * US);
    cr_assert_eq(pair.b.flows[0].received, flow->sent);
    pair_run(&pair, 5 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    cr_assert_eq(counters(&pair)->tail_probes + counters(&pair)->probe_timeouts, 0);
    pair_fini(&pair);
}

Test(recovery, our_own_stall_is_not_the_networks_silence)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    struct transport_flow_info before, after;
    transport_flow_info(flow->flow, &before);
    for (uint32_t i = 0; i < 10; i++) {
        send_packets(flow, 3);
        pair_run(&pair, 20 * US);
        pair.now += 50 * PAIR_MS; /* nobody ran */
        pair_run(&pair, 5 * PAIR_MS);
        expect_all(flow, &pair.b.flows[0]);
    }
    cr_assert_eq(counters(&pair)->tail_probes + counters(&pair)->probe_timeouts, 0);
    cr_assert_eq(counters(&pair)->packets_retransmitted, 0);
    transport_flow_info(flow->flow, &after);
    cr_assert_eq(after.window_packets, before.window_packets);
    pair_fini(&pair);
}

/* A loop that is always late is excused once, not for ever. */
Test(recovery, a_slow_loop_asks_too)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    meet(1, 0);
    send_packets(flow, 1);
    for (uint32_t i = 0; i < 5; i++) {
        pair_run(&pair, 0);
        pair.now += 2 * PAIR_MS;
    }
    pair_run(&pair, PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

/* Of the 47 packets of a message every other one of the first 42 comes late, the others never. */
Test(recovery, of_what_waits_to_be_sent_again_only_what_has_not_arrived_is)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    const uint64_t again = counters(&pair)->packets_retransmitted, lost = UINT64_C(0x15555555555);
    pair.late = 40 * US;
    meet(lost, lost << 1);
    pair_send(flow, 65536);
    while (flow->sent_ok < flow->sent && pair.now < 10000 * PAIR_MS) {
        pair_run(&pair, 10 * US);
        cr_assert_leq(flow->sent_ok, pair.b.flows[0].received, "acknowledged before it came");
    }
    expect_all(flow, &pair.b.flows[0]);
    const uint64_t sent_again = counters(&pair)->packets_retransmitted - again;
    cr_assert(sent_again >= 21 && sent_again < 42, "%llu", (unsigned long long)sent_again);
    pair_fini(&pair);
}

/* The round trip is longer by far than the timeout, and both sides hear something of the other all the time. */
Test(recovery, late_acknowledgement_of_what_was_given_up_counts)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair), *other = &pair.b.flows[0];
    pair.delay = 40 * PAIR_MS;
    const uint64_t before = pair.packets;
    pair_close(flow, false);
    pair_close(other, false);
    pair_run(&pair, 100 * PAIR_MS);
    cr_assert_eq(flow->ended, 1);
    cr_assert_eq(other->ended, 1);
    cr_assert_eq(flow->status, TRANSPORT_OK);
    pair_settle(&pair);
    cr_assert_leq(pair.packets - before, 130, "%llu", (unsigned long long)(pair.packets - before));
    pair_fini(&pair);
}

/* Two sides that do not close, whose round trip has grown: it is measured again. */
Test(recovery, grown_round_trip_is_measured)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    struct transport_flow_info info;
    pair.delay = 20 * PAIR_MS;
    for (uint32_t i = 0; i < 40; i++) {
        pair_send(flow, 100);
        pair_run(&pair, 60 * PAIR_MS);
    }
    pair_run(&pair, 500 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    transport_flow_info(flow->flow, &info);
    cr_assert_gt(info.srtt_ns, 20 * PAIR_MS, "%llu", (unsigned long long)info.srtt_ns);
    pair_fini(&pair);
}

/* Each packet is answered by an ACK that says nothing new. */
Test(recovery, receiver_without_memory_is_asked_ever_more_rarely_and_says_when_it_has_some)
{
    struct pair pair;
    struct pair_flow *flow = measured(&pair);
    pair.b.memory_left = pair.b.reserve_left = 0;
    meet(0, 0);
    pair_send(flow, 300);
    pair_run(&pair, 1000 * PAIR_MS);
    cr_assert_eq(flow->sent_ok, flow->sent - 1);
    cr_assert_leq(line.count - line.mark, 20, "%u", line.count - line.mark);
    pair.b.memory_left = 1 << 20;
    transport_memory_available(pair.b.transport, &pair.b.owner, pair.now);
    pair_run(&pair, 3 * RTT);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}
