/* SPDX-License-Identifier: MIT */
/* What a sender keeps and says is bounded, and what goes out first: packets that are remembered, their pieces, gaps in a message, RESETs,
 * turns, large messages before others. */
#include <criterion/criterion.h>
#include <string.h>

#include "flow/flow.h"
#include "support/flow_expect.h"
#include "support/flow_pair.h"
#include "support/flow_watch.h"

enum { MESSAGE_LONG = 1 << 20 };

#define US UINT64_C(1000)

/* ---- Packets sent, and their pieces ---- */

/* A packet is lost, and within the time for which it is remembered more follow than are to be remembered with it. */
Test(records_trim, a_lost_packet_keeps_no_more_than_so_many_records)
{
    enum { PACKETS = 4000, REMEMBERED_MAX = 2048 };
    struct pair pair;
    uint64_t most = 0;
    pair_init(&pair);
    pair.fate = watch;
    watch_lose(0, 0, 1);
    pair.delay = 200 * US;
    pair_stop(&pair.a);
    pair.a.config.host_noise_ns = 2 * PAIR_MS; /* nothing is paced, and one loss takes nothing of the window */
    pair_start(&pair.a);
    struct pair_flow *flow = pair_connect(&pair);
    send_all(flow, 2000, WATCH_FULL);
    pair_run(&pair, 100 * PAIR_MS);
    watch_lose(0, 1, 1);
    for (uint32_t i = 0; i < PACKETS; i++) {
        pair_send(flow, 10);
        pair_run(&pair, US);
        most = max_u64(most, deque_count(&flow->flow->tx.records));
    }
    cr_assert_geq(sent_count, PACKETS * 9 / 10, "%u packets for %u messages", sent_count, PACKETS);
    cr_assert(most >= REMEMBERED_MAX && most <= REMEMBERED_MAX + 1, "%llu records", (unsigned long long)most);
    pair_run(&pair, 100 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    cr_assert_eq(deque_count(&flow->flow->tx.records), 0);
    pair_fini(&pair);
}

/* Packets in flight whose pieces, all of a message that is acknowledged, leave no room in the table. */
static void fill_pieces(struct flow *flow, uint64_t now)
{
    struct sender *tx = &flow->tx;
    struct pool *pool = &flow->transport->pool;
    for (int i = 0; i < 2; i++) {
        const uint32_t count = (PIECES_MAX - (uint32_t)deque_count(&tx->pieces)) / (2 - (uint32_t)i);
        cr_assert(deque_reserve(&tx->pieces, pool, count, sizeof(struct piece)));
        cr_assert(deque_reserve(&tx->records, pool, 1, sizeof(struct record)));
        *(struct record *)deque_push(&tx->records, sizeof(struct record)) =
            (struct record){.time = now,
                            .first_piece = (uint32_t)deque_end(&tx->pieces),
                            .piece_count = (uint16_t)count,
                            .flags = RECORD_LIVE};
        for (uint32_t k = 0; k < count; k++) {
            *(struct piece *)deque_push(&tx->pieces, sizeof(struct piece)) =
                (struct piece){.message = (uint32_t)tx->messages.base - 1, .count = 1};
        }
        tx->in_flight++;
        tx->last_sent = tx->probe_from = now;
    }
    flow_timer(flow);
}

Test(packet_add_new, a_full_table_of_pieces_holds_messages_back_until_packets_are_through)
{
    struct pair pair;
    pair_init(&pair);
    pair.fate = watch;
    watch_lose(0, 0, 1);
    struct pair_flow *flow = pair_connect(&pair);
    send_all(flow, 20, WATCH_FULL);
    pair_run(&pair, 10 * PAIR_MS);
    fill_pieces(flow->flow, pair.now);
    watch_lose(0, 0, 1);
    send_all(flow, 20, 10);
    pair_run(&pair, 0);
    cr_assert_eq(deque_count(&flow->flow->tx.pieces), PIECES_MAX);
    cr_assert_eq(sent_count, 0, "no room for what the packet would hold");
    pair_run(&pair, 50 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    cr_assert_eq(deque_count(&flow->flow->tx.pieces), 0);
    pair_fini(&pair);
}

/* ---- Gaps in a message ---- */

Test(incoming_place, a_message_with_more_gaps_than_are_kept_comes_all_the_same)
{
    struct pair pair;
    struct pair_flow *flow = watch_wide(&pair, 50 * US, 512);
    const uint64_t before = transport_counters(pair.a.transport)->packets_retransmitted;
    pair_send(flow, MESSAGE_LONG);
    watch_lose(20, 420, 2);
    uint32_t most = 0;
    for (int i = 0; i < 20000; i++) {
        const struct flow *receiver = pair.b.flows[0].flow;
        pair_run(&pair, 5 * US);
        if (deque_count(&receiver->rx.messages) > 0 && INCOMING(receiver, receiver->rx.messages.base)->ranges) {
            const uint32_t count = INCOMING(receiver, receiver->rx.messages.base)->ranges->count;
            most = count > most ? count : most;
        }
    }
    cr_assert_eq(most, BYTE_RANGES_MAX, "%u gaps: the bound was not reached", most);
    cr_assert_gt(transport_counters(pair.a.transport)->packets_retransmitted - before, 200,
                 "what had no room was not acknowledged, and came again");
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

/* ---- RESETs ---- */

static uint8_t of_ended[WIRE_PACKET_MAX];
static size_t of_ended_length;

static enum pair_fate keep_data(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                                size_t length)
{
    (void)index;
    if (from == &pair->a && (packet[0] & 15) == WIRE_FLOW) {
        memcpy(of_ended, packet, length);
        of_ended_length = length;
    }
    return PAIR_PASS;
}

static uint64_t storm(struct pair *pair, uint32_t packets)
{
    const uint64_t before = transport_counters(pair->b.transport)->resets_sent;
    for (uint32_t i = 0; i < packets; i++) {
        pair_inject(&pair->b, &pair->a.path.local, of_ended, of_ended_length);
    }
    return transport_counters(pair->b.transport)->resets_sent - before;
}

Test(reply_reset, a_storm_to_a_flow_that_ended_gets_a_burst_of_resets_and_then_a_thousand_a_second)
{
    enum { BURST = 100, PER_SECOND = 1000 };
    struct pair pair;
    pair_init(&pair);
    pair.fate = keep_data;
    struct pair_flow *flow = pair_connect(&pair);
    pair_send(flow, 100);
    pair_close(flow, false);
    pair_run(&pair, 10 * PAIR_MS);
    pair_close(&pair.b.flows[0], false);
    expect_nothing_left(&pair);
    cr_assert_eq(storm(&pair, 5000), BURST);
    uint64_t resets = 0;
    for (int i = 0; i < 1000; i++) {
        pair_run(&pair, PAIR_MS);
        resets += storm(&pair, 20);
    }
    cr_assert(resets >= PER_SECOND - 1 && resets <= PER_SECOND + 1, "%llu RESETs", (unsigned long long)resets);
    struct pair_flow *next = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, PAIR_MS);
    cr_assert_eq(next->established, 1, "others are answered");
    pair_fini(&pair);
}

/* ---- Turns ---- */

Test(transport_transmit, a_flow_with_much_to_send_has_a_turn_of_so_many_bytes)
{
    enum { WINDOW = 256, MESSAGES = 200 };
    struct pair pair;
    struct pair_flow *first = watch_wide(&pair, 50 * US, WINDOW);
    struct pair_flow *second = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, PAIR_MS);
    for (int i = 0; i < 12; i++) {
        send_all(second, WINDOW / 2, WATCH_FULL);
        pair_run(&pair, 10 * PAIR_MS);
    }
    cr_assert_geq(congestion_window(&first->flow->tx.congestion), MESSAGES);
    cr_assert_geq(congestion_window(&second->flow->tx.congestion), MESSAGES);
    watch_lose(0, 0, 1);
    send_all(first, MESSAGES, WATCH_FULL);
    send_all(second, MESSAGES, WATCH_FULL);
    pair_run(&pair, 0);
    cr_assert_geq(sent_count, 2 * MESSAGES);
    uint32_t turn = 0, left[2] = {MESSAGES, MESSAGES};
    for (uint32_t i = 0; i < sent_count && left[0] > 0 && left[1] > 0; i++) {
        turn = (i > 0 && sent[i].dcid == sent[i - 1].dcid ? turn : 0) + sent[i].length;
        cr_assert_leq(turn, 2 * TURN_BYTES, "packet %u: %u bytes of one flow while the other waits", i, turn);
        left[sent[i].dcid == second->flow->remote_cid]--;
    }
    pair_run(&pair, 20 * PAIR_MS);
    cr_assert_eq(first->sent_ok, first->sent);
    cr_assert_eq(second->sent_ok, second->sent);
    pair_fini(&pair);
}

/* ---- What goes first ---- */

/* The packets from the one with the first bytes that need a grant to the one with the last; *begin: the first of them. */
static uint32_t others_during(uint32_t message, uint32_t *begin)
{
    uint32_t first = WATCH_MAX, last = 0, others = 0;
    for (uint32_t i = 0; i < sent_count; i++) {
        if (sent[i].messages > 0 && sent[i].first == message && sent[i].offset >= LARGE_CHARGE) {
            first = i < first ? i : first;
            last = i;
        }
    }
    cr_assert_gt(last, first + 100);
    for (uint32_t i = first; i < last; i++) {
        others += sent[i].messages > 0 && sent[i].first != message;
    }
    *begin = first;
    return others;
}

Test(packet_add_held, a_large_message_that_was_granted_goes_before_new_ones)
{
    struct pair pair;
    struct pair_flow *flow = watch_wide(&pair, 50 * US, 64);
    const uint32_t large = flow->sent;
    uint32_t begin;
    watch_lose(0, 0, 1);
    pair_send(flow, MESSAGE_LONG);
    pair_run(&pair, 200 * US);
    send_all(flow, 20, WATCH_FULL);
    pair_run(&pair, 100 * PAIR_MS);
    cr_assert_eq(others_during(large, &begin), 0);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

Test(packet_add_held, a_large_message_goes_before_later_ones_that_were_lost)
{
    struct pair pair;
    struct pair_flow *flow = watch_wide(&pair, 50 * US, 64);
    const uint32_t large = flow->sent;
    uint32_t begin;
    pair_send(flow, MESSAGE_LONG);
    send_all(flow, 20, WATCH_FULL);
    watch_lose(2, 20, 1); /* later ones, sent before the grant has come */
    pair_run(&pair, 100 * PAIR_MS);
    cr_assert_eq(others_during(large, &begin), 0);
    cr_assert_lt(begin, sent_count - 20);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}
