/* SPDX-License-Identifier: MIT */
/* What one application, one peer or one stranger can take from the others: nothing that they need. */
#include <criterion/criterion.h>
#include <string.h>

#include "support/flow_expect.h"
#include "support/flow_pair.h"

/* An INIT; `n` makes each another one. */
static void forge_init_from(struct pair *pair, uint32_t n, const struct endpoint *from)
{
    uint8_t packet[WIRE_INIT_MIN];
    struct wire_header header = {.version = WIRE_VERSION, .type = WIRE_INIT, .packet_number = 1};
    struct wire_handshake init = {
        .present = 1u << WIRE_TLV_SOURCE_CID | 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_VERSION_RANGE |
                   1u << WIRE_TLV_EPOCH | 1u << WIRE_TLV_PORTS | 1u << WIRE_TLV_LIMITS,
        .version_min = 1,
        .version_max = 1,
        .source_cid = 0x5000000 + n,
        .epoch = 99,
        .nonce = n,
        .source_port = 50000,
        .destination_port = PAIR_PORT,
        .credit_bytes = 65536,
        .credit_messages = 256,
        .max_udp_payload = 1472,
    };
    size_t length = wire_handshake_encode(packet, sizeof packet, &header, &init, WIRE_INIT_MIN);
    pair_inject(&pair->b, from, packet, length);
}

/* An INIT from an address where nobody is. */
static void forge_init(struct pair *pair, uint32_t n)
{
    struct endpoint from = pair->a.path.local;
    from.ip[15] = 77;
    from.port = (uint16_t)(1024 + n);
    forge_init_from(pair, n, &from);
}

Test(handshake_init, half_open_flows_hold_no_credit)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    uint64_t promised = pair.b.owner.promised_bytes;
    for (uint32_t n = 0; n < 60; n++) {
        forge_init(&pair, n);
    }
    cr_assert_eq(pair.b.owner.half_open, 60);
    cr_assert_eq(pair.b.owner.promised_bytes, promised);
    pair_send(flow, 10);
    pair_run(&pair, 5 * PAIR_MS);
    cr_assert_eq(pair.b.flows[0].received, 1);
    pair_run(&pair, 4000 * PAIR_MS);
    cr_assert_eq(pair.b.owner.half_open, 0);
    cr_assert_eq(flows_of(&pair.b), 1);
    pair_fini(&pair);
}

Test(handshake_init, one_owner_has_a_quarter_of_the_half_open_flows)
{
    struct pair pair;
    pair_init(&pair);
    for (uint32_t n = 0; n < 100; n++) {
        forge_init(&pair, n);
    }
    cr_assert_eq(pair.b.owner.half_open, pair.b.config.max_half_open / 4);
    cr_assert_eq(transport_counters(pair.b.transport)->retries_sent, 100 - pair.b.config.max_half_open / 4);
    pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    cr_assert_eq(pair.b.accepted_count, 1, "a client that can be reached comes through, by its cookie");
    pair_fini(&pair);
}

static enum pair_fate count_probes(struct pair *pair, uint64_t index, const struct pair_side *from,
                                   const uint8_t *packet, size_t length)
{
    (void)index, (void)length;
    pair->argument += from == &pair->b && (packet[0] & 15) == WIRE_PROBE;
    return PAIR_PASS;
}

Test(handshake_init, a_flood_in_a_peers_name_makes_nobody_ask_it)
{
    struct pair pair;
    pair_init(&pair);
    pair.fate = count_probes;
    pair_connect(&pair);
    for (uint32_t n = 0; n < 64; n++) {
        forge_init(&pair, n);
    }
    for (uint32_t n = 0; n < 1000; n++) {
        forge_init_from(&pair, 1000 + n, &pair.a.path.local);
        pair_run(&pair, PAIR_MS / 10);
    }
    cr_assert_geq(transport_counters(pair.b.transport)->retries_sent, 1000);
    cr_assert_eq(pair.argument, 0, "%llu PROBEs", (unsigned long long)pair.argument);
    cr_assert_eq(pair.b.flows[0].ended, 0);
    pair_fini(&pair);
}

/* How many of the next packets of side b are RETRYs, and of flows that stand. */
static void count_types(struct pair *pair, uint32_t packets, uint32_t *retries, uint32_t *flows)
{
    uint8_t packet[WIRE_PACKET_MAX];
    struct transport_path path;
    *retries = *flows = 0;
    for (uint32_t i = 0; i < packets; i++) {
        cr_assert_gt(transport_transmit(pair->b.transport, packet, sizeof packet, &path, pair->now), 0);
        *retries += (packet[0] & 0xf) == WIRE_RETRY;
        *flows += (packet[0] & 0xf) == WIRE_FLOW;
    }
}

Test(transport_transmit, replies_to_a_flood_leave_the_flows_half)
{
    enum { BURST = 12, STORM = 200 };
    struct pair pair;
    uint32_t retries, flows;
    pair_init(&pair);
    pair_connect(&pair);
    for (uint32_t n = 0; n < 64; n++) {
        forge_init(&pair, n);
    }
    pair_run(&pair, PAIR_MS);
    for (uint32_t n = 0; n < STORM; n++) {
        forge_init(&pair, 1000 + n);
    }
    for (uint32_t i = 0; i < BURST; i++) {
        pair_send(&pair.b.flows[0], 1400);
    }
    count_types(&pair, BURST, &retries, &flows);
    cr_assert_eq(retries, BURST / 2);
    cr_assert_eq(flows, BURST / 2);
    count_types(&pair, STORM - BURST / 2, &retries, &flows);
    cr_assert_geq(retries, STORM - BURST, "who has nothing to send takes nothing from the replies");
    pair_fini(&pair);
}

Test(handshake_init, a_restarted_peer_is_noticed_also_in_a_flood)
{
    struct pair pair;
    pair_init(&pair);
    pair_connect(&pair);
    pair_stop(&pair.a);
    pair.a.config.epoch += 1;
    pair.a.config.seed += 1;
    pair_start(&pair.a);
    for (uint32_t n = 0; n < 64; n++) {
        forge_init(&pair, n);
    }
    pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 5 * PAIR_MS);
    cr_assert_eq(transport_counters(pair.b.transport)->retries_sent, 1);
    expect_end(&pair.b.flows[0], TRANSPORT_PEER_RESTARTED);
    cr_assert_eq(pair.b.flows[1].ended, 0);
    pair_fini(&pair);
}

Test(handshake_init, flows_beyond_the_owners_limit_are_refused)
{
    struct pair pair;
    pair_init(&pair);
    pair.b.owner.max_flows = 2;
    pair_connect(&pair);
    pair_open(&pair.a, PAIR_PORT);
    struct pair_flow *third = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    cr_assert_eq(pair.b.accepted_count, 2);
    expect_end(third, TRANSPORT_LIMIT);
    pair_fini(&pair);
}

/* Credit that B has given after it has got many messages of a flow. */
static uint64_t promised_with_use(struct pair *pair, struct pair_flow *flow)
{
    for (uint32_t i = 0; i < 100; i++) {
        pair_send(flow, 8000);
    }
    pair_run(pair, 50 * PAIR_MS);
    pair_release(&pair->b);
    pair_run(pair, 50 * PAIR_MS);
    cr_assert_eq(flow->sent_ok, 100);
    return pair->b.owner.promised_bytes;
}

/* They are kept for the peer, who may ask again, for longer than an application may want to wait. */
Test(handshake_init, flows_that_linger_take_no_place_and_no_credit)
{
    enum { MANY = 10 };
    struct pair pair;
    pair_init(&pair);
    pair.b.owner.max_flows = 2;
    struct pair_flow *first = pair_connect(&pair);
    const uint64_t alone = promised_with_use(&pair, first);
    for (uint32_t i = 1; i <= MANY; i++) {
        struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
        pair_run(&pair, 2 * PAIR_MS);
        cr_assert_eq(flow->established, 1, "%u", i);
        pair_close(flow, false);
        pair_run(&pair, 2 * PAIR_MS);
        pair_close(&pair.b.flows[i], false);
        pair_run(&pair, 2 * PAIR_MS);
    }
    cr_assert_eq(pair.b.owner.lingering, MANY);
    cr_assert_eq(flows_of(&pair.b), MANY + 1);
    pair_close(first, false);
    pair_run(&pair, 2 * PAIR_MS);
    pair_close(&pair.b.flows[0], false);
    pair_run(&pair, 2 * PAIR_MS);
    struct pair_flow *last = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 2 * PAIR_MS);
    cr_assert_eq(promised_with_use(&pair, last), alone);
    cr_assert_eq(pair.b.owner.lingering, MANY + 1);
    pair_close(last, false);
    pair_run(&pair, 2 * PAIR_MS);
    pair_close(&pair.b.flows[MANY + 1], false);
    expect_nothing_left(&pair);
    cr_assert_eq(pair.b.owner.lingering, 0);
    cr_assert_eq(pair.a.owner.lingering, 0);
    pair_fini(&pair);
}

Test(flow_deliver, a_flow_that_finds_no_place_holds_up_nobody)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair.b.refuse = true;
    struct pair_flow *refused = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    expect_end(refused, TRANSPORT_RESET);
    pair_send(flow, 10);
    pair_run(&pair, 10 * PAIR_MS);
    cr_assert_eq(pair.b.flows[0].received, 1);
    cr_assert_eq(flow->ended, 0);
    pair_fini(&pair);
}

Test(flow_deliver, an_unread_flow_keeps_no_other_from_its_reader)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *unread = pair_connect(&pair);
    struct pair_flow *read = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    pair.b.keep = true;
    pair.b.share = 3;
    for (int i = 0; i < 10; i++) {
        pair_send(unread, 10);
    }
    pair_run(&pair, 10 * PAIR_MS);
    pair_send(read, 10);
    pair_run(&pair, 10 * PAIR_MS);
    cr_assert_eq(pair.b.flows[0].received, 3);
    cr_assert_eq(pair.b.flows[1].received, 1);
    pair_release_one(&pair.b);
    cr_assert_eq(pair.b.flows[0].received, 4, "what is given back makes room for the next");
    pair_close(&pair.b.flows[0], false);
    pair_release(&pair.b);
    pair_run(&pair, 20 * PAIR_MS);
    expect_end(unread, TRANSPORT_CLOSED);
    pair_fini(&pair);
}

/* ---- Opening ---- */

static uint64_t inits;
static enum pair_fate count_inits(struct pair *pair, uint64_t index, const struct pair_side *from,
                                  const uint8_t *packet, size_t length)
{
    (void)index, (void)length;
    bool init = from == &pair->a && (packet[0] & 15) == WIRE_INIT;
    inits += init;
    return init && pair->argument == 1 ? PAIR_DROP : PAIR_PASS;
}

Test(transport_open, a_flood_of_opens_is_paced_and_delays_no_other_owner)
{
    struct pair pair;
    struct transport_owner flooder;
    enum transport_status status;
    static struct pair_flow users[800];
    pair_init(&pair);
    pair_stop(&pair.a);
    pair.a.config.max_flows = 2048;
    pair_start(&pair.a);
    transport_owner_init(&flooder, &pair.a, 1 << 20);
    pair.fate = count_inits;
    inits = 0;
    for (int i = 0; i < 800; i++) {
        users[i] = (struct pair_flow){.side = &pair.a};
        users[i].flow = transport_open(pair.a.transport, &flooder, &users[i], &pair.a.path, 0, PAIR_PORT + 1,
                                       3000 * PAIR_MS, pair.now, &status);
        cr_assert(users[i].flow);
    }
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 0);
    cr_assert_leq(inits, 256, "a burst, not all");
    pair_run(&pair, 2 * pair.delay + PAIR_MS / 10);
    cr_assert_eq(flow->established, 1, "its owner's turn came at once");
    pair_run(&pair, 100 * PAIR_MS);
    cr_assert_geq(inits, 801, "all had their turn");
    transport_owner_close(pair.a.transport, &flooder, WIRE_REASON_APPLICATION_DIED, pair.now);
    pair_fini(&pair);
}

Test(transport_open, a_silent_peer_is_asked_ever_less_often)
{
    struct pair pair;
    enum transport_status status;
    pair_init(&pair);
    pair.fate = count_inits;
    pair.argument = 1;
    inits = 0;
    struct pair_flow *flow = &pair.a.flows[pair.a.flow_count++];
    *flow = (struct pair_flow){.side = &pair.a};
    flow->flow = transport_open(pair.a.transport, &pair.a.owner, flow, &pair.a.path, 0, PAIR_PORT, 600000 * PAIR_MS,
                                pair.now, &status);
    pair_run(&pair, 3000 * PAIR_MS);
    cr_assert_geq(inits, 10, "within the default time limit it is asked often");
    pair_run(&pair, 597100 * PAIR_MS);
    cr_assert_leq(inits, 200);
    expect_end(flow, TRANSPORT_UNREACHABLE);
    pair_fini(&pair);
}

/* ---- Lengths ---- */

Test(transport_send, a_message_that_the_peer_cannot_take_fails_here)
{
    struct pair pair;
    pair_init(&pair);
    pair.b.owner.message_max = 1 << 20;
    struct pair_flow *flow = pair_connect(&pair);
    pair_send(flow, 1 << 20);
    pair_run(&pair, 100 * PAIR_MS);
    cr_assert_eq(pair.b.flows[0].received, 1);
    pair_send(flow, (1 << 20) + 1);
    expect_end(flow, TRANSPORT_TOO_LONG);
    pair_fini(&pair);
}

Test(transport_send, also_if_it_was_queued_before_the_peer_had_said_so)
{
    struct pair pair;
    pair_init(&pair);
    pair.b.owner.message_max = 1 << 20;
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    pair_send(flow, 2 << 20);
    pair_run(&pair, 10 * PAIR_MS);
    expect_end(flow, TRANSPORT_TOO_LONG);
    cr_assert_eq(flow->sent_failed, 1);
    pair_fini(&pair);
}

/* ---- Peers ---- */

static enum pair_fate drop_flow_packets(struct pair *pair, uint64_t index, const struct pair_side *from,
                                        const uint8_t *packet, size_t length)
{
    (void)index, (void)from, (void)length;
    return pair->argument && (packet[0] & 15) == WIRE_FLOW ? PAIR_DROP : PAIR_PASS;
}

Test(transport_timeout, a_flow_that_nothing_of_gets_through_ends_though_its_peer_lives)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    struct pair_flow *idle = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    pair.fate = drop_flow_packets;
    pair.argument = 1;
    pair_send(flow, 5000);
    pair_run(&pair, 9000 * PAIR_MS);
    cr_assert_eq(flow->ended, 0);
    pair_run(&pair, 2000 * PAIR_MS);
    expect_end(flow, TRANSPORT_PEER_DEAD);
    cr_assert_eq(idle->ended, 0);
    pair_fini(&pair);
}

/* Two flows of one pair of engines, from two addresses of A: the end of one must not make B disown the other. */
Test(transport_timeout, flows_from_two_addresses_do_not_share_their_fate)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *first = pair_connect(&pair);
    struct endpoint own = pair.a.path.local;
    pair.a.path.local.ip[15] = 22;
    struct pair_flow *second = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    pair.a.path.local = own;
    cr_assert_eq(second->established, 1);
    pair_close(second, false);
    pair_run(&pair, 20000 * PAIR_MS);
    cr_assert_eq(first->ended, 0);
    cr_assert_eq(pair.b.flows[0].ended, 0);
    pair_fini(&pair);
}
