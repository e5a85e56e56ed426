/* SPDX-License-Identifier: MIT */
/* What asks a silent receiver, or one that has room again, holds what it needs first, alone: it has room for that first. */
#include <criterion/criterion.h>

#include "flow/flow.h"
#include "support/flow_expect.h"
#include "support/flow_pair.h"
#include "support/flow_watch.h"

enum { LONG = 1 << 20 };

#define US UINT64_C(1000)

/* All that is in flight is to be sent again, the last first, one packet at a time. */
static void lose_backwards(struct flow *flow, uint64_t now)
{
    struct sender *tx = &flow->tx;
    for (uint64_t n = deque_end(&tx->records); n > tx->records.base; n--) {
        cr_assert(record_lose(flow, n - 1));
    }
    cr_assert_eq(tx->in_flight, 0);
    congestion_timed_out(&tx->congestion, now);
    flow_activate(flow);
}

Test(ask_with_first, at_each_timeout_the_first_message_goes_alone)
{
    struct pair pair;
    struct pair_flow *flow = watch_wide(&pair, 500 * US, 64);
    const uint32_t first = flow->sent;
    watch_lose(0, UINT64_MAX, 1);
    send_all(flow, 40, 10);
    pair_run(&pair, 100 * PAIR_MS);
    cr_assert_geq(flow->flow->tx.backoff, 3);
    cr_assert_eq(sent[0].messages, 40);
    /* The packet, a tail-loss probe, a timeout and, since the window has room, twice all others; more timeouts. */
    for (uint32_t i = 2; i < sent_count; i++) {
        const bool others = i == 3 || i == 4;
        cr_assert_eq(sent[i].first, others ? first + 1 : first, "packet %u", i);
        cr_assert_eq(sent[i].messages, others ? 39 : 1, "packet %u: %u messages", i, sent[i].messages);
    }
    cr_assert_gt(sent_count, 6);
    watch_lose(0, 0, 1);
    pair_run(&pair, 500 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

/* The first message, an empty one, waits behind all others; it is lost again and again, and what waits becomes no more. */
Test(ask_with_first, what_waits_to_be_sent_again_goes_round)
{
    enum { MESSAGES = 20 };
    struct pair pair;
    struct pair_flow *flow = watch_wide(&pair, 500 * US, 64);
    const struct sender *tx = &flow->flow->tx;
    const uint32_t first = flow->sent;
    watch_lose(0, UINT64_MAX, 1);
    pair_send(flow, 0);
    send_all(flow, MESSAGES - 1, WATCH_FULL);
    pair_run(&pair, 100 * US);
    lose_backwards(flow->flow, pair.now);
    sent_count = 0;
    pair_run(&pair, 2000 * PAIR_MS);
    cr_assert_geq(tx->backoff, 8);
    cr_assert_eq(sent[0].first, first + MESSAGES - 1, "the last that was sent");
    for (uint32_t i = sent_count - tx->backoff; i < sent_count; i++) {
        cr_assert(sent[i].first == first && sent[i].messages == 1, "packet %u: message %u", i, sent[i].first - first);
    }
    cr_assert_leq(deque_count(&tx->again), MESSAGES);
    watch_lose(0, 0, 1);
    pair_run(&pair, 500 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

/* Silence has narrowed the window, and as much is out, so that new messages wait: they could share the packet. */
Test(ask_with_first, also_when_the_receiver_has_room_again)
{
    struct pair pair;
    struct pair_flow *flow = watch_wide(&pair, 500 * US, 64);
    const uint32_t first = flow->sent;
    watch_lose(0, UINT64_MAX, 1);
    send_all(flow, 40, 800);
    pair_run(&pair, 50 * PAIR_MS);
    send_all(flow, 5, 10);
    watch_lose(0, 0, 1);
    pair.b.memory_left = pair.b.reserve_left = 0;
    pair_run(&pair, 200 * PAIR_MS);
    cr_assert_eq(flow->sent_ok, first);
    pair.b.memory_left = 1 << 20;
    sent_count = 0;
    transport_memory_available(pair.b.transport, &pair.b.owner, pair.now);
    pair_run(&pair, 5 * PAIR_MS);
    cr_assert(sent[0].first == first && sent[0].messages == 1, "%u messages", sent[0].messages);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

/* The receiver keeps no more gaps, and what fills the first of them waits behind hundreds of pieces that would make one. */
Test(ask_with_first, what_fills_the_first_gap_goes_before_what_would_make_another)
{
    struct pair pair;
    struct pair_flow *flow = watch_wide(&pair, 500 * US, 1024);
    const struct deque *again = &flow->flow->tx.again;
    const struct flow *receiver = pair.b.flows[0].flow;
    pair_send(flow, LONG);
    pair_run(&pair, 600 * US); /* its first packet; the grant is under way */
    watch_lose(0, UINT64_MAX, 2);
    pair_run(&pair, 1000 * US); /* every other one of the others; the ACKs are under way */
    cr_assert_eq(INCOMING(receiver, receiver->rx.messages.base)->ranges->count, BYTE_RANGES_MAX);
    watch_lose(0, 0, 1);
    lose_backwards(flow->flow, pair.now);
    cr_assert_gt(deque_count(again), 500, "%llu pieces", (unsigned long long)deque_count(again));
    pair_run(&pair, 1000 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}
