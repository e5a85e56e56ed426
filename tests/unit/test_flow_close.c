/* SPDX-License-Identifier: MIT */
/* How flows end: by either side, by both, in order and otherwise. */
#include <criterion/criterion.h>

#include "support/flow_expect.h"
#include "support/flow_pair.h"

Test(transport_close, by_the_client_then_the_server)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair_send(flow, 100000);
    pair_send(flow, 50);
    pair_close(flow, false);
    pair_run(&pair, 50 * PAIR_MS);
    cr_assert_eq(other->received, 2);
    cr_assert_eq(flow->sent_ok, 2);
    expect_end(other, TRANSPORT_CLOSED);
    expect_end(flow, TRANSPORT_OK);
    pair_close(other, false);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

static enum pair_fate lose_acknowledgements_of_b(struct pair *pair, uint64_t index, const struct pair_side *from,
                                                 const uint8_t *packet, size_t length)
{
    (void)index;
    bool acknowledges = length > WIRE_HEADER_BYTES && (packet[0] & 0xf) == WIRE_FLOW && packet[WIRE_HEADER_BYTES] == WIRE_FRAME_ACK;
    return from == &pair->b && acknowledges && pair->now < pair->argument ? PAIR_DROP : PAIR_PASS;
}

Test(transport_close, who_has_all_stays_to_say_so)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair.fate = lose_acknowledgements_of_b;
    pair.argument = pair.now + 100 * PAIR_MS;
    pair_send(flow, 50);
    pair_close(flow, false);
    pair_run(&pair, 5 * PAIR_MS);
    expect_end(other, TRANSPORT_CLOSED);
    pair_close(other, false);
    pair_run(&pair, 1000 * PAIR_MS);
    expect_end(flow, TRANSPORT_OK);
    cr_assert_eq(flow->sent_ok, 1);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

/* And what A repeats. `argument` counts B's FINs. */
static enum pair_fate lose_all_but_the_second_fin_of_b(struct pair *pair, uint64_t index, const struct pair_side *from,
                                                       const uint8_t *packet, size_t length)
{
    (void)index;
    if (from != &pair->b) {
        return pair->argument == 0 ? PAIR_PASS : PAIR_DROP;
    }
    return packet_holds(packet, length, WIRE_FRAME_FIN) && ++pair->argument == 2 ? PAIR_PASS : PAIR_DROP;
}

Test(transport_close, a_repeated_fin_tells_what_has_arrived)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair.fate = lose_all_but_the_second_fin_of_b;
    pair.argument = 0;
    pair_send(flow, 50);
    pair_close(flow, false);
    pair_run(&pair, PAIR_MS / 2);
    expect_end(other, TRANSPORT_CLOSED);
    pair_close(other, false);
    pair_run(&pair, 3000 * PAIR_MS);
    cr_assert_geq(pair.argument, 2);
    expect_end(flow, TRANSPORT_OK);
    cr_assert_eq(flow->sent_ok, 1);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

/* Both ask each other again and again meanwhile, so that each hears from the other all the time. */
Test(transport_close, on_a_path_that_has_become_slow)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    for (int i = 0; i < 20; i++) {
        pair_send(flow, 50);
        pair_send(other, 50);
        pair_run(&pair, 5 * PAIR_MS);
    }
    const uint64_t packets = pair.packets;
    pair.delay = 100 * PAIR_MS;
    pair_close(flow, true);
    pair_close(other, true);
    pair_run(&pair, 4000 * PAIR_MS);
    expect_nothing_left(&pair);
    cr_assert_lt(pair.packets - packets, 300, "%llu packets", (unsigned long long)(pair.packets - packets));
    pair_fini(&pair);
}

Test(transport_close, by_the_server_while_the_client_sends)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    for (uint32_t i = 0; i < 100; i++) {
        pair_send(flow, 30000);
    }
    pair_run(&pair, PAIR_MS / 10);
    pair_close(other, false);
    pair_run(&pair, 50 * PAIR_MS);
    expect_end(other, TRANSPORT_OK);
    expect_end(flow, TRANSPORT_CLOSED);
    cr_assert_eq(flow->sent_ok + flow->sent_failed, 100);
    pair_close(flow, false);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

Test(transport_close, by_both_at_once)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair_send(flow, 5000);
    pair_send(other, 200000);
    pair_close(flow, false);
    pair_close(other, false);
    pair_run(&pair, 50 * PAIR_MS);
    expect_end(flow, TRANSPORT_OK);
    expect_end(other, TRANSPORT_OK);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

Test(transport_close, before_the_flow_is_established)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    pair_send(flow, 5000);
    pair_close(flow, false);
    pair_run(&pair, 50 * PAIR_MS);
    expect_end(flow, TRANSPORT_OK);
    cr_assert_eq(pair.b.flows[0].received, 1);
    expect_end(&pair.b.flows[0], TRANSPORT_CLOSED);
    pair_close(&pair.b.flows[0], false);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

Test(transport_close, abort_resets_the_peer)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair_send(flow, 1000000);
    pair_send(other, 1000000);
    pair_run(&pair, PAIR_MS / 5);
    pair_close(flow, true);
    expect_end(flow, TRANSPORT_ABORTED);
    cr_assert_eq(flow->sent_failed, 1);
    pair_run(&pair, pair.delay);
    expect_end(other, TRANSPORT_RESET);
    cr_assert_eq(other->sent_failed, 1);
    pair_close(other, false);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

static enum pair_fate drop_argument(struct pair *pair, uint64_t index, const struct pair_side *from,
                                    const uint8_t *packet, size_t length)
{
    (void)from, (void)packet, (void)length;
    return index == pair->argument ? PAIR_DROP : PAIR_PASS;
}

Test(transport_close, abort_is_repeated_when_lost)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair_run(&pair, 50 * PAIR_MS);
    pair.fate = drop_argument;
    pair.argument = pair.packets;
    pair_close(flow, true);
    pair_run(&pair, 30 * PAIR_MS);
    expect_end(other, TRANSPORT_RESET);
    pair_close(other, false);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

Test(transport_close, abort_while_opening)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    pair_send(flow, 10);
    pair_run(&pair, pair.delay);
    pair_close(flow, true);
    expect_end(flow, TRANSPORT_ABORTED);
    pair_run(&pair, 4000 * PAIR_MS);
    cr_assert_eq(pair.b.accepted_count, 0);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

Test(transport_send, fails_after_the_end)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair_close(&pair.b.flows[0], false);
    pair_run(&pair, 10 * PAIR_MS);
    expect_end(flow, TRANSPORT_CLOSED);
    uint32_t sent = flow->sent;
    pair_send(flow, 10);
    cr_assert_eq(flow->sent, sent);
    pair_fini(&pair);
}

Test(transport_owner_close, leaves_nothing)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    pair_send(flow, 1000000);
    pair_send(&pair.b.flows[0], 1000000);
    pair_run(&pair, PAIR_MS);
    pair_open(&pair.a, PAIR_PORT);
    transport_owner_close(pair.a.transport, &pair.a.owner, WIRE_REASON_APPLICATION_DIED, pair.now);
    cr_assert_eq(pair.a.owner.flow_count, 0);
    cr_assert_eq(pair.a.extents - pair.a.lent_count, 0);
    pair_run(&pair, 10 * PAIR_MS);
    expect_end(&pair.b.flows[0], TRANSPORT_RESET);
    expect_end(&pair.b.flows[1], TRANSPORT_RESET);
    pair_settle(&pair);
    cr_assert_eq(flows_of(&pair.a), 0);
    struct pair_flow *late = pair_open(&pair.b, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    expect_end(late, TRANSPORT_REFUSED);
    pair_fini(&pair);
}

Test(transport_shutdown, resets_all)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair_send(flow, 1000000);
    pair_run(&pair, PAIR_MS);
    transport_shutdown(pair.a.transport, pair.now);
    expect_end(flow, TRANSPORT_RESET);
    cr_assert(transport_wants_transmit(pair.a.transport));
    pair_run(&pair, pair.delay);
    expect_end(&pair.b.flows[0], TRANSPORT_RESET);
    pair_fini(&pair);
}

Test(transport_owner_resume, nothing_is_lost_for_want_of_room)
{
    struct pair pair;
    pair_init(&pair);
    pair.a.no_room = pair.b.no_room = true;
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    for (uint32_t i = 0; i < 10; i++) {
        pair_send(flow, i * 1000);
    }
    pair_close(flow, false);
    pair_run(&pair, 500 * PAIR_MS);
    cr_assert_eq(flow->sent_ok, 10);
    cr_assert_eq(flow->established + flow->ended + (int)pair.b.accepted_count, 0);
    pair.a.no_room = pair.b.no_room = false;
    pair_run(&pair, 2000 * PAIR_MS);
    cr_assert_eq(pair.b.flows[0].received, 10);
    expect_end(flow, TRANSPORT_OK);
    expect_end(&pair.b.flows[0], TRANSPORT_CLOSED);
    pair_close(&pair.b.flows[0], false);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

/* A's FLOW packets are lost from `argument` on; B is alive and says so, to A's peer and on the flow. */
static enum pair_fate lose_flow_packets_of_a(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                                             size_t length)
{
    (void)index;
    return from == &pair->a && length > 0 && (packet[0] & 0xf) == WIRE_FLOW && pair->now >= pair->argument ? PAIR_DROP : PAIR_PASS;
}

Test(transport_close, is_not_kept_for_ever_by_a_peer_that_acknowledges_nothing)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair_run(&pair, 10 * PAIR_MS);
    pair.fate = lose_flow_packets_of_a;
    pair.argument = pair.now;
    pair_send(flow, 50);
    pair_close(flow, false);
    for (int second = 0; second < 12 && !flow->ended; second++) {
        if (second % 4 == 3)
            pair_send(other, 10); /* its sender, who hears nothing, gives up later than A */
        pair_run(&pair, 1000 * PAIR_MS);
    }
    cr_assert_eq(other->ended, 0, "B still waits for A");
    expect_end(flow, TRANSPORT_PEER_DEAD);
    pair.fate = NULL;
    pair_run(&pair, 1000 * PAIR_MS);
    pair_close(other, false);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}
