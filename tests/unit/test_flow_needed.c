/* SPDX-License-Identifier: MIT */
/* What asks a silent receiver, or one that has room again, holds what it needs first, alone: it has room for that first. */
#include <criterion/criterion.h>

#include "flow/flow.h"
#include "support/flow_expect.h"
#include "support/flow_pair.h"

enum { FULL = 1400, LONG = 1 << 20, SENT_MAX = 8192 };

#define US UINT64_C(1000)

/* The first DATA frame of each packet of a, and how many there are in it. */
static struct {
    uint32_t message, offset, count;
} sent[SENT_MAX];
static uint32_t sent_count, lost_to; /* of those below that every other one is lost */
static bool deaf;                    /* all are */

static void note(const uint8_t *packet, size_t length)
{
    struct wire_header header;
    struct wire_frame frame;
    size_t body, at = 0;
    cr_assert_lt(sent_count, SENT_MAX);
    cr_assert_eq(wire_packet_decode(packet, length, &header, &body), WIRE_OK);
    sent[sent_count].count = 0;
    while (wire_frame_decode(packet + WIRE_HEADER_BYTES, body, &at, &frame) == WIRE_OK) {
        if ((frame.type & WIRE_FRAME_DATA) && sent[sent_count].count++ == 0) {
            sent[sent_count].message = frame.data.message;
            sent[sent_count].offset = frame.data.offset;
        }
    }
    sent_count++;
}

static enum pair_fate watch(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                            size_t length)
{
    (void)index;
    if (from != &pair->a || (packet[0] & 15) != WIRE_FLOW) {
        return PAIR_PASS;
    }
    const uint32_t n = sent_count;
    note(packet, length);
    return deaf || (n < lost_to && n % 2 == 0) ? PAIR_DROP : PAIR_PASS;
}

static void send_all(struct pair_flow *flow, uint32_t count, uint32_t length)
{
    for (uint32_t i = 0; i < count; i++) {
        pair_send(flow, length);
    }
}

/* A flow whose window holds `packets`, and nothing under way. */
static struct pair_flow *wide(struct pair *pair, uint32_t packets)
{
    pair_init(pair);
    pair->delay = 500 * US;
    pair_stop(&pair->a);
    pair->a.config.algorithm = CONGESTION_AIMD;
    pair->a.config.window_packets = packets;
    pair_start(&pair->a);
    pair->fate = watch;
    lost_to = 0;
    deaf = false;
    struct pair_flow *flow = pair_connect(pair);
    for (int i = 0; i < 12 && congestion_window(&flow->flow->tx.congestion) < packets; i++) {
        send_all(flow, packets / 2, FULL);
        pair_run(pair, 10 * PAIR_MS);
        sent_count = 0;
    }
    return flow;
}

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

static void expect_all(const struct pair *pair, const struct pair_flow *flow)
{
    cr_assert_eq(flow->sent_ok, flow->sent, "%u of %u acknowledged", flow->sent_ok, flow->sent);
    cr_assert_eq(pair->b.flows[0].received, flow->sent);
}

Test(ask_with_first, at_each_timeout_the_first_message_goes_alone)
{
    struct pair pair;
    struct pair_flow *flow = wide(&pair, 64);
    const uint32_t first = flow->sent;
    sent_count = 0;
    deaf = true;
    send_all(flow, 40, 10);
    pair_run(&pair, 100 * PAIR_MS);
    cr_assert_geq(flow->flow->tx.backoff, 3);
    cr_assert_eq(sent[0].count, 40);
    /* The packet, a tail-loss probe, a timeout and, since the window has room, twice all others; more timeouts. */
    for (uint32_t i = 2; i < sent_count; i++) {
        const bool others = i == 3 || i == 4;
        cr_assert_eq(sent[i].message, others ? first + 1 : first, "packet %u", i);
        cr_assert_eq(sent[i].count, others ? 39 : 1, "packet %u: %u messages", i, sent[i].count);
    }
    cr_assert_gt(sent_count, 6);
    deaf = false;
    pair_run(&pair, 500 * PAIR_MS);
    expect_all(&pair, flow);
    pair_fini(&pair);
}

/* The first message, an empty one, waits behind all others; it is lost again and again, and what waits becomes no more. */
Test(ask_with_first, what_waits_to_be_sent_again_goes_round)
{
    enum { MESSAGES = 20 };
    struct pair pair;
    struct pair_flow *flow = wide(&pair, 64);
    const struct sender *tx = &flow->flow->tx;
    const uint32_t first = flow->sent;
    deaf = true;
    pair_send(flow, 0);
    send_all(flow, MESSAGES - 1, FULL);
    pair_run(&pair, 100 * US);
    lose_backwards(flow->flow, pair.now);
    sent_count = 0;
    pair_run(&pair, 2000 * PAIR_MS);
    cr_assert_geq(tx->backoff, 8);
    cr_assert_eq(sent[0].message, first + MESSAGES - 1, "the last that was sent");
    for (uint32_t i = sent_count - tx->backoff; i < sent_count; i++) {
        cr_assert(sent[i].message == first && sent[i].count == 1, "packet %u: message %u", i, sent[i].message - first);
    }
    cr_assert_leq(deque_count(&tx->again), MESSAGES);
    deaf = false;
    pair_run(&pair, 500 * PAIR_MS);
    expect_all(&pair, flow);
    pair_fini(&pair);
}

/* Silence has narrowed the window, and as much is out, so that new messages wait: they could share the packet. */
Test(ask_with_first, also_when_the_receiver_has_room_again)
{
    struct pair pair;
    struct pair_flow *flow = wide(&pair, 64);
    const uint32_t first = flow->sent;
    deaf = true;
    send_all(flow, 40, 800);
    pair_run(&pair, 50 * PAIR_MS);
    send_all(flow, 5, 10);
    deaf = false;
    pair.b.memory_left = pair.b.reserve_left = 0;
    pair_run(&pair, 200 * PAIR_MS);
    cr_assert_eq(flow->sent_ok, first);
    pair.b.memory_left = 1 << 20;
    sent_count = 0;
    transport_memory_available(pair.b.transport, &pair.b.owner, pair.now);
    pair_run(&pair, 5 * PAIR_MS);
    cr_assert(sent[0].message == first && sent[0].count == 1, "%u messages", sent[0].count);
    expect_all(&pair, flow);
    pair_fini(&pair);
}

/* The receiver keeps no more gaps, and what fills the first of them waits behind hundreds of pieces that would make one. */
Test(ask_with_first, what_fills_the_first_gap_goes_before_what_would_make_another)
{
    struct pair pair;
    struct pair_flow *flow = wide(&pair, 1024);
    const struct deque *again = &flow->flow->tx.again;
    const struct flow *receiver = pair.b.flows[0].flow;
    pair_send(flow, LONG);
    pair_run(&pair, 600 * US); /* its first packet; the grant is under way */
    lost_to = SENT_MAX;
    pair_run(&pair, 1000 * US); /* every other one of the others; the ACKs are under way */
    cr_assert_eq(INCOMING(receiver, receiver->rx.messages.base)->ranges->count, BYTE_RANGES_MAX);
    lost_to = 0;
    lose_backwards(flow->flow, pair.now);
    cr_assert_gt(deque_count(again), 500, "%llu pieces", (unsigned long long)deque_count(again));
    pair_run(&pair, 1000 * PAIR_MS);
    expect_all(&pair, flow);
    pair_fini(&pair);
}
