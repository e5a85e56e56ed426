/* SPDX-License-Identifier: MIT */
/* When a packet is acknowledged that nothing is wrong with: held for messages to go with, or at once where none ever come. */
#include <criterion/criterion.h>

#include "flow/state.h"
#include "support/flow_expect.h"
#include "support/flow_pair.h"

#define US UINT64_C(1000)

/* What b has sent since `begin`, and which of a's packets since then is late. */
static struct {
    uint32_t packets, acks;
    uint64_t acked_at;         /* the first ACK */
    uint32_t from_a, late_one; /* counted from 1; 0: none is */
} answer;

static enum pair_fate watch_b(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                              size_t length)
{
    (void)index;
    if (from == &pair->b) {
        answer.packets++;
        if (packet_holds(packet, length, WIRE_FRAME_ACK) && answer.acks++ == 0) {
            answer.acked_at = pair->now;
        }
        return PAIR_PASS;
    }
    return ++answer.from_a == answer.late_one ? PAIR_DELAY : PAIR_PASS;
}

static void begin(struct pair *pair)
{
    pair_run(pair, PAIR_MS);
    memset(&answer, 0, sizeof answer);
}

/* A message, and its answer `pause_ns` after it has come. */
static void exchange(struct pair *pair, struct pair_flow *flow, uint64_t pause_ns)
{
    begin(pair);
    pair_send(flow, 64);
    pair_run(pair, pair->delay + pause_ns);
    pair_send(&pair->b.flows[0], 64);
    pair_run(pair, PAIR_MS);
}

/* A flow from a to b of which b has held `alone` ACKs in vain. */
static struct pair_flow *connect(struct pair *pair, uint32_t alone)
{
    pair_init(pair);
    pair->fate = watch_b;
    struct pair_flow *flow = pair_connect(pair);
    for (uint32_t i = 0; i < 20; i++) { /* the path's packet size is probed meanwhile */
        exchange(pair, flow, 5 * US);
    }
    for (uint32_t i = 0; i < alone; i++) {
        begin(pair);
        pair_send(flow, 64);
    }
    begin(pair);
    return flow;
}

/* Sends a lone message. Returns how long b held the ACK, in ns. */
static uint64_t held(struct pair *pair, struct pair_flow *flow)
{
    begin(pair);
    const uint64_t arrives = pair->now + pair->delay;
    pair_send(flow, 64);
    pair_run(pair, PAIR_MS);
    cr_assert_eq(answer.acks, 1);
    return answer.acked_at - arrives;
}

static void end(struct pair *pair, struct pair_flow *flow)
{
    pair_close(flow, false);
    pair_run(pair, 20 * PAIR_MS);
    pair_close(&pair->b.flows[0], false);
    expect_nothing_left(pair);
    pair_fini(pair);
}

Test(number_record, lone_packets_are_acknowledged_at_once_when_nothing_ever_came_to_go_with)
{
    struct pair pair;
    struct pair_flow *flow = connect(&pair, 0);
    for (uint32_t i = 0; i < ACKS_ALONE; i++) {
        cr_assert_geq(held(&pair, flow), 10 * US, "message %u", i);
    }
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_leq(held(&pair, flow), US, "message %u", i);
    }
    end(&pair, flow);
}

Test(number_record, an_answer_soon_after_makes_the_next_ack_wait_again)
{
    struct pair pair;
    struct pair_flow *flow = connect(&pair, ACKS_ALONE);
    for (uint32_t i = 0; i < 5; i++) {
        exchange(&pair, flow, 5 * US);
        cr_assert_eq(answer.acks, 1, "exchange %u: %u of %u", i, answer.acks, answer.packets);
        cr_assert_eq(answer.packets, i == 0 ? 2 : 1, "exchange %u", i);
    }
    end(&pair, flow);
}

Test(number_record, an_answer_that_comes_late_does_not)
{
    struct pair pair;
    struct pair_flow *flow = connect(&pair, ACKS_ALONE);
    for (uint32_t i = 0; i < 5; i++) {
        exchange(&pair, flow, 950 * US);
        cr_assert_leq(held(&pair, flow), US, "exchange %u", i);
    }
    end(&pair, flow);
}

/* Whose packets follow each other is acknowledged for several at a time, whatever was before. */
Test(number_record, of_packets_close_behind_each_other_only_the_first_is_acknowledged_at_once)
{
    struct pair pair;
    struct pair_flow *flow = connect(&pair, 2 * ACKS_ALONE);
    const uint32_t before = pair.b.flows[0].received;
    begin(&pair);
    for (uint32_t i = 0; i < 6; i++) {
        pair_send(flow, 64);
        pair_run(&pair, US);
    }
    pair_run(&pair, PAIR_MS);
    cr_assert_eq(pair.b.flows[0].received, before + 6);
    cr_assert_eq(answer.acks, 2);
    end(&pair, flow);
}

/* The end of a message that has begun may be lost: what shows that is an ACK that was held, and for all that had come. */
Test(number_record, part_of_a_message_is_not_alone)
{
    struct pair pair;
    struct pair_flow *flow = connect(&pair, ACKS_ALONE);
    begin(&pair);
    answer.late_one = 2;
    pair.late = 3 * US;
    const uint32_t before = pair.b.flows[0].received;
    pair_send(flow, 2000);
    pair_run(&pair, PAIR_MS);
    cr_assert_eq(answer.from_a, 2);
    cr_assert_eq(pair.b.flows[0].received, before + 1);
    cr_assert_eq(answer.acks, 1);
    end(&pair, flow);
}

Test(number_record, acks_of_longer_messages_are_not_held_in_vain)
{
    struct pair pair;
    struct pair_flow *flow = connect(&pair, 0);
    for (uint32_t i = 0; i < 4 * ACKS_ALONE; i++) {
        begin(&pair);
        answer.late_one = 3;
        pair.late = 40 * US; /* longer than an ACK is held */
        pair_send(flow, 3500);
        pair_run(&pair, PAIR_MS);
    }
    cr_assert_geq(held(&pair, flow), 10 * US);
    end(&pair, flow);
}
