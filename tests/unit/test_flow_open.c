/* SPDX-License-Identifier: MIT */
/* How flows begin. */
#include <criterion/criterion.h>
#include <string.h>

#include "support/flow_expect.h"
#include "support/flow_pair.h"

static enum pair_fate drop_from_b(struct pair *pair, uint64_t index, const struct pair_side *from,
                                  const uint8_t *packet, size_t length)
{
    (void)index, (void)packet, (void)length;
    return from == &pair->b ? PAIR_DROP : PAIR_PASS;
}

Test(transport_open, takes_one_round_trip)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 2 * pair.delay);
    cr_assert_eq(flow->established, 1);
    pair_run(&pair, pair.delay);
    cr_assert_eq(pair.b.accepted_count, 1);
    pair_fini(&pair);
}

Test(transport_open, idle_flow_is_silent_but_for_probes)
{
    struct pair pair;
    pair_init(&pair);
    pair_connect(&pair);
    pair_run(&pair, 50 * PAIR_MS);
    uint64_t before = pair.packets;
    pair_run(&pair, 10000 * PAIR_MS);
    cr_assert_leq(pair.packets - before, 20);
    pair_fini(&pair);
}

Test(transport_open, refused_in_one_round_trip)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT + 1);
    pair_run(&pair, 2 * pair.delay);
    expect_end(flow, TRANSPORT_REFUSED);
    cr_assert_eq(flow->established, 0);
    pair_close(flow, false);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

Test(transport_open, refused_when_the_peer_has_no_flow_left)
{
    struct pair pair;
    pair_init(&pair);
    pair_stop(&pair.b);
    pair.b.config.max_flows = 2;
    pair_start(&pair.b);
    struct pair_flow *first = pair_open(&pair.a, PAIR_PORT), *second = pair_open(&pair.a, PAIR_PORT);
    struct pair_flow *third = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 5 * PAIR_MS);
    cr_assert_eq(first->established + second->established, 2);
    expect_end(third, TRANSPORT_LIMIT);
    pair_fini(&pair);
}

Test(transport_open, unreachable_within_the_timeout)
{
    struct pair pair;
    pair_init(&pair);
    pair.fate = drop_all;
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    pair_send(flow, 100);
    pair_run(&pair, 2999 * PAIR_MS);
    cr_assert_eq(flow->ended, 0);
    pair_run(&pair, 2 * PAIR_MS);
    expect_end(flow, TRANSPORT_UNREACHABLE);
    cr_assert_eq(flow->sent_failed, 1);
    cr_assert_geq(pair.packets, 15);
    cr_assert_leq(pair.packets, 40);
    pair_close(flow, false);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

Test(transport_open, half_open_flows_are_forgotten)
{
    struct pair pair;
    pair_init(&pair);
    pair.fate = drop_from_b;
    pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 100 * PAIR_MS);
    cr_assert_eq(flows_of(&pair.b), 1);
    pair_run(&pair, 6100 * PAIR_MS);
    cr_assert_eq(flows_of(&pair.b), 0);
    cr_assert_eq(pair.b.accepted_count, 0);
    pair_fini(&pair);
}

Test(transport_open, cookies_when_half_open_flows_pile_up)
{
    struct pair pair;
    pair_init(&pair);
    pair_stop(&pair.b);
    pair.b.config.max_half_open = 0;
    pair_start(&pair.b);
    struct pair_flow *flow = pair_connect(&pair);
    cr_assert_eq(transport_counters(pair.b.transport)->retries_sent, 1);
    pair_send(flow, 5);
    pair_run(&pair, 5 * PAIR_MS);
    cr_assert_eq(pair.b.flows[0].received, 1);
    pair_fini(&pair);
}

/* Rewrites A's INIT: version 2, another checksum (which nobody checks then). */
static enum pair_fate from_the_future(struct pair *pair, uint64_t index, const struct pair_side *from,
                                      const uint8_t *packet, size_t length)
{
    (void)index, (void)length;
    if (from == &pair->a) {
        ((uint8_t *)(uintptr_t)packet)[0] = 0x21;
    }
    return PAIR_PASS;
}

Test(transport_open, versions_that_hold_ours_are_not_believed)
{
    struct pair pair;
    pair_init(&pair);
    pair.fate = from_the_future;
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 100 * PAIR_MS);
    cr_assert_gt(transport_counters(pair.b.transport)->bad_version, 0);
    cr_assert_eq(flow->ended, 0);
    pair_fini(&pair);
}

/* Answers A's INIT as an engine that speaks versions 2 to 3. */
static enum pair_fate answer_versions(struct pair *pair, uint64_t index, const struct pair_side *from,
                                      const uint8_t *packet, size_t length)
{
    struct wire_header header;
    struct wire_handshake init, versions = {.version_min = 2, .version_max = 3};
    size_t body_length;
    uint8_t answer[256];
    (void)index;
    if (from != &pair->a || wire_packet_decode(packet, length, &header, &body_length) != WIRE_OK ||
        header.type != WIRE_INIT) {
        return PAIR_DROP;
    }
    cr_assert_eq(wire_handshake_decode(WIRE_INIT, packet + WIRE_HEADER_BYTES, body_length, &init), WIRE_OK);
    header = (struct wire_header){
        .version = 1, .type = WIRE_VERSIONS, .packet_number = header.packet_number, .dcid = init.source_cid};
    versions.present = 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_VERSION_RANGE;
    versions.nonce = init.nonce + pair->argument;
    size_t answered = wire_handshake_encode(answer, sizeof answer, &header, &versions, 0);
    pair_inject(&pair->a, &pair->b.path.local, answer, answered);
    return PAIR_DROP;
}

Test(transport_open, no_version_in_common)
{
    struct pair pair;
    pair_init(&pair);
    pair.fate = answer_versions;
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, PAIR_MS);
    expect_end(flow, TRANSPORT_VERSION);
    pair_fini(&pair);
}

Test(transport_open, answers_with_another_nonce_are_ignored)
{
    struct pair pair;
    pair_init(&pair);
    pair.fate = answer_versions;
    pair.argument = 1;
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, PAIR_MS);
    cr_assert_eq(flow->ended, 0);
    pair_fini(&pair);
}

/* All flows of B have the same cid. */
static enum pair_fate one_cid(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                              size_t length)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)packet;
    (void)index;
    if (from == &pair->b && (packet[0] & 15) == WIRE_ACCEPT) {
        memset(bytes + WIRE_HEADER_BYTES + 4, 0x5a, 8); /* SOURCE_CID, the first TLV */
        wire_packet_seal(bytes, length - WIRE_TRAILER_BYTES);
    }
    return PAIR_PASS;
}

Test(transport_open, a_peer_that_gives_two_flows_the_same_cid_gets_one)
{
    struct pair pair;
    pair_init(&pair);
    pair.fate = one_cid;
    struct pair_flow *first = pair_open(&pair.a, PAIR_PORT), *second = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, PAIR_MS);
    cr_assert_eq(first->established, 1);
    cr_assert_eq(second->established, 0);
    expect_end(second, TRANSPORT_PROTOCOL);
    pair_fini(&pair);
}

Test(transport_unlisten, refuses_from_then_on)
{
    struct pair pair;
    pair_init(&pair);
    pair.b.no_room = true;
    struct pair_flow *unheard = pair_open(&pair.a, PAIR_PORT);
    pair_send(unheard, 10);
    pair_run(&pair, 5 * PAIR_MS);
    transport_unlisten(pair.b.transport, &pair.b.owner, 1);
    pair.b.no_room = false;
    struct pair_flow *late = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 5 * PAIR_MS);
    expect_end(unheard, TRANSPORT_RESET);
    expect_end(late, TRANSPORT_REFUSED);
    cr_assert_eq(pair.b.accepted_count, 0);
    pair_fini(&pair);
}
