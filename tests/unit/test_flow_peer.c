/* SPDX-License-Identifier: MIT */
/* Engines that die, pause, restart. */
#include <criterion/criterion.h>

#include "support/flow_expect.h"
#include "support/flow_pair.h"

Test(transport_timeout, a_dead_peer_ends_its_flows)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *idle = pair_connect(&pair);
    struct pair_flow *busy = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    pair.fate = drop_all;
    pair_send(busy, 100000);
    pair_run(&pair, 9900 * PAIR_MS);
    cr_assert_eq(idle->ended + busy->ended, 0);
    pair_run(&pair, 200 * PAIR_MS);
    expect_end(idle, TRANSPORT_PEER_DEAD);
    expect_end(busy, TRANSPORT_PEER_DEAD);
    cr_assert_eq(busy->sent_failed, 1);
    cr_assert_eq(transport_counters(pair.a.transport)->peers_dead, 1);
    pair_fini(&pair);
}

Test(transport_timeout, a_pause_of_our_own_kills_nobody)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair_run(&pair, 50 * PAIR_MS);
    pair.now += 60000 * PAIR_MS;
    pair_run(&pair, 1000 * PAIR_MS);
    cr_assert_eq(flow->ended, 0);
    cr_assert_eq(pair.b.flows[0].ended, 0);
    pair_fini(&pair);
}

static void restart_b(struct pair *pair)
{
    pair_stop(&pair->b);
    pair->b.config.epoch++;
    pair->b.config.seed += 1000;
    pair_start(&pair->b);
}

Test(transport_receive, a_restarted_peer_is_noticed_by_probing)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    restart_b(&pair);
    pair_run(&pair, 2700 * PAIR_MS);
    expect_end(flow, TRANSPORT_PEER_RESTARTED);
    pair_fini(&pair);
}

Test(transport_receive, a_restarted_peer_is_noticed_by_sending)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    struct pair_flow *idle = pair_open(&pair.a, PAIR_PORT); /* it learns of it by the other's question */
    pair_run(&pair, 10 * PAIR_MS);
    restart_b(&pair);
    pair_send(flow, 10);
    pair_run(&pair, 4 * pair.delay);
    expect_end(flow, TRANSPORT_PEER_RESTARTED);
    expect_end(idle, TRANSPORT_PEER_RESTARTED);
    cr_assert_eq(flow->sent_failed, 1);
    pair_fini(&pair);
}

static enum pair_fate drop_first_probes(struct pair *pair, uint64_t index, const struct pair_side *from,
                                        const uint8_t *packet, size_t length)
{
    (void)index, (void)length;
    if (from != &pair->a || (packet[0] & 0xf) != WIRE_PROBE || pair->argument == 0)
        return PAIR_PASS;
    pair->argument--;
    return PAIR_DROP;
}

Test(transport_receive, a_restarted_peer_is_asked_again)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    restart_b(&pair);
    pair.fate = drop_first_probes;
    pair.argument = 2;
    pair_send(flow, 10);
    pair_run(&pair, 200 * PAIR_MS);
    cr_assert_eq(pair.argument, 0);
    expect_end(flow, TRANSPORT_PEER_RESTARTED);
    pair_fini(&pair);
}

Test(transport_receive, a_peer_that_resets_and_does_not_say_who_it_is_has_reset)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    restart_b(&pair);
    pair.fate = drop_first_probes;
    pair.argument = UINT64_MAX;
    pair_send(flow, 10);
    pair_run(&pair, 100 * PAIR_MS);
    cr_assert_eq(flow->ended, 0);
    cr_assert_leq(UINT64_MAX - pair.argument, 6, "%llu probes", (unsigned long long)(UINT64_MAX - pair.argument));
    pair_run(&pair, 900 * PAIR_MS);
    expect_end(flow, TRANSPORT_RESET);
    cr_assert_eq(flow->sent_failed, 1);
    pair_fini(&pair);
}

/* The peer has taken us for dead and forgotten one flow, and another is new: it is the same engine as before. */
Test(transport_receive, a_peer_that_forgot_a_flow_has_not_restarted)
{
    struct pair pair;
    pair_init(&pair);
    pair_stop(&pair.b);
    pair.b.config.dead_peer_ns = 100 * PAIR_MS;
    pair_start(&pair.b);
    struct pair_flow *forgotten = pair_connect(&pair);
    pair.fate = drop_all;
    pair_run(&pair, 500 * PAIR_MS);
    expect_end(&pair.b.flows[0], TRANSPORT_PEER_DEAD);
    pair_close(&pair.b.flows[0], false);
    pair_run(&pair, 2000 * PAIR_MS);
    pair.fate = NULL;
    struct pair_flow *fresh = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    cr_assert_eq(fresh->established, 1);
    cr_assert_eq(forgotten->ended, 0);
    pair_send(forgotten, 10);
    pair_run(&pair, 10 * PAIR_MS);
    expect_end(forgotten, TRANSPORT_RESET);
    cr_assert_eq(fresh->ended, 0);
    pair_fini(&pair);
}

Test(transport_receive, a_restarted_peer_is_noticed_when_it_opens)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    restart_b(&pair);
    pair_open(&pair.b, PAIR_PORT);
    pair_run(&pair, 3 * pair.delay);
    expect_end(flow, TRANSPORT_PEER_RESTARTED);
    cr_assert_eq(transport_counters(pair.a.transport)->peers_restarted, 1);
    pair_run(&pair, 10 * PAIR_MS);
    cr_assert_eq(pair.a.accepted_count, 1);
    cr_assert_eq(pair.a.flows[1].ended, 0);
    pair_fini(&pair);
}

Test(transport_receive, also_if_another_of_its_workers_opens)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair.a.path.local.port++;
    struct pair_flow *of_other_port = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    cr_assert_eq(of_other_port->established, 1);
    pair.a.path.local.port--;
    restart_b(&pair);
    pair.b.path.local.port++;
    pair_open(&pair.b, PAIR_PORT);
    pair_run(&pair, 3 * pair.delay);
    expect_end(flow, TRANSPORT_PEER_RESTARTED);
    expect_end(of_other_port, TRANSPORT_PEER_RESTARTED);
    pair_run(&pair, 10 * PAIR_MS);
    cr_assert_eq(pair.a.flows[2].ended, 0);
    pair_fini(&pair);
}

Test(transport_receive, a_restarted_peer_is_noticed_when_we_open)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    restart_b(&pair);
    struct pair_flow *fresh = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    expect_end(flow, TRANSPORT_PEER_RESTARTED);
    cr_assert_eq(fresh->established, 1);
    cr_assert_eq(fresh->ended, 0);
    pair_fini(&pair);
}

/* ---- What one worker tells the others ---- */

static enum pair_fate count_probes(struct pair *pair, uint64_t index, const struct pair_side *from,
                                   const uint8_t *packet, size_t length)
{
    (void)index, (void)length;
    pair->argument += from == &pair->a && (packet[0] & 0xf) == WIRE_PROBE;
    return PAIR_PASS;
}

static uint32_t claims_of(struct pair_side *side, struct transport_claim *last)
{
    uint32_t count = 0;
    while (transport_take_claim(side->transport, last))
        count++;
    return count;
}

Test(transport_take_claim, each_epoch_once)
{
    struct pair pair;
    struct transport_claim claim;
    pair_init(&pair);
    for (int i = 0; i < 3; i++) {
        struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
        pair_run(&pair, 10 * PAIR_MS);
        cr_assert_eq(flow->established, 1);
        cr_assert_eq(claims_of(&pair.a, &claim), i == 0);
        cr_assert_eq(claims_of(&pair.b, &claim), i == 0);
        pair_close(flow, true);
        pair_run(&pair, 200 * PAIR_MS);
    }
    cr_assert_eq(claim.epoch, pair.a.config.epoch);
    cr_assert(endpoint_equal(&claim.remote, &pair.a.path.local));
    cr_assert(endpoint_equal(&claim.local, &pair.b.path.local));
    pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    restart_b(&pair);
    pair_run(&pair, 2700 * PAIR_MS); /* a PROBE finds out */
    cr_assert_eq(claims_of(&pair.a, &claim), 1);
    cr_assert_eq(claim.epoch, pair.b.config.epoch);
    pair_fini(&pair);
}

static size_t init_of(uint8_t *packet, uint64_t epoch, uint16_t port)
{
    struct wire_header header = {.version = WIRE_VERSION, .type = WIRE_INIT, .packet_number = 1};
    struct wire_handshake init = {
        .present = 1u << WIRE_TLV_SOURCE_CID | 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_VERSION_RANGE |
                   1u << WIRE_TLV_EPOCH | 1u << WIRE_TLV_PORTS | 1u << WIRE_TLV_LIMITS,
        .version_min = WIRE_VERSION,
        .version_max = WIRE_VERSION,
        .source_cid = epoch,
        .nonce = epoch,
        .epoch = epoch,
        .source_port = 1,
        .destination_port = port,
        .credit_bytes = 65536,
        .credit_messages = 16,
        .max_udp_payload = WIRE_PAYLOAD_MIN_MTU,
    };
    return wire_handshake_encode(packet, WIRE_PACKET_MAX, &header, &init, WIRE_INIT_MIN);
}

Test(transport_take_claim, of_inits_of_anybody_so_many_and_no_more)
{
    enum { FORGED = 10000 };
    struct pair pair;
    struct transport_claim claim;
    uint8_t packet[WIRE_PACKET_MAX];
    uint32_t told = 0;
    pair_init(&pair);
    for (uint32_t i = 0; i < FORGED; i++) {
        struct endpoint from = pair.b.path.local;
        from.ip[14] = (uint8_t)(i >> 8);
        from.ip[15] = (uint8_t)i;
        pair_inject(&pair.a, &from, packet, init_of(packet, 5000 + i, PAIR_PORT + 1));
        if (i % 100 == 0)
            pair.now += PAIR_MS;
        told += i % 7 == 0 ? claims_of(&pair.a, &claim) : 0; /* or they wait where there is not room for all */
    }
    cr_assert_gt(told, 0);
    cr_assert_leq(told, FORGED / 100 + 16);
    pair_run(&pair, 100 * PAIR_MS);
    while (transport_take_claim(pair.a.transport, &claim))
        continue;
    pair_connect(&pair);
    cr_assert_eq(claims_of(&pair.a, &claim), 1, "of a handshake that is complete they hear all the same");
    pair_fini(&pair);
}

Test(transport_claimed, a_true_one_is_noticed_in_a_round_trip)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    restart_b(&pair);
    struct transport_claim claim = {pair.a.path.local, pair.a.path.remote, pair.b.config.epoch};
    claim.local.port++; /* of another worker */
    claim.remote.port++;
    transport_claimed(pair.a.transport, &claim, pair.now);
    cr_assert_eq(flow->ended, 0, "a claim is no proof");
    pair_run(&pair, 3 * pair.delay);
    expect_end(flow, TRANSPORT_PEER_RESTARTED);
    pair_fini(&pair);
}

Test(transport_claimed, false_ones_cost_a_probe_in_a_round_trip)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair.fate = count_probes;
    struct transport_claim claim = {pair.a.path.local, pair.a.path.remote, 0};
    for (uint64_t i = 0; i < 2000; i++) {
        claim.epoch = 5000 + i;
        transport_claimed(pair.a.transport, &claim, pair.now);
        if (i % 20 == 19)
            pair_run(&pair, 2 * pair.delay);
        cr_assert_eq(flow->ended, 0);
    }
    cr_assert_gt(pair.argument, 0);
    cr_assert_leq(pair.argument, 2000 / 20);
    claim.remote.ip[15]++;
    pair.argument = 0;
    transport_claimed(pair.a.transport, &claim, pair.now);
    pair_run(&pair, 200 * PAIR_MS);
    cr_assert_eq(pair.argument, 0, "nobody is known there");
    pair_fini(&pair);
}
