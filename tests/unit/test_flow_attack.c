/* SPDX-License-Identifier: MIT */
/* Forged packets, from strangers and from peers that break the rules. */
#include <criterion/criterion.h>
#include <string.h>

#include "support/flow_expect.h"
#include "support/flow_pair.h"

/* Keeps a copy of the last FLOW packet from A. */
static uint8_t last[WIRE_PACKET_MAX];
static size_t last_length;
static enum pair_fate keep_last(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                                size_t length)
{
    (void)index;
    if (from == &pair->a && (packet[0] & 15) == WIRE_FLOW) {
        memcpy(last, packet, length);
        last_length = length;
    }
    return pair->argument ? PAIR_DROP : PAIR_PASS;
}

Test(transport_receive, reset_packets_need_a_proof)
{
    struct pair pair;
    struct wire_header header;
    size_t body_length;
    uint8_t reset[WIRE_RESET_BYTES];
    pair_init(&pair);
    pair.fate = keep_last;
    struct pair_flow *flow = pair_connect(&pair);
    pair_run(&pair, 50 * PAIR_MS);
    pair.argument = 1;
    pair_send(flow, 10);
    pair_run(&pair, 0);
    cr_assert_eq(wire_packet_decode(last, last_length, &header, &body_length), WIRE_OK);
    /* a number that was acknowledged long ago; one that was never sent; another cid; another address */
    wire_reset_encode(reset, header.dcid, 0, WIRE_REASON_UNKNOWN_FLOW);
    pair_inject(&pair.a, &pair.b.path.local, reset, sizeof reset);
    wire_reset_encode(reset, header.dcid, header.packet_number + 1, WIRE_REASON_UNKNOWN_FLOW);
    pair_inject(&pair.a, &pair.b.path.local, reset, sizeof reset);
    wire_reset_encode(reset, header.dcid ^ 1, header.packet_number, WIRE_REASON_UNKNOWN_FLOW);
    pair_inject(&pair.a, &pair.b.path.local, reset, sizeof reset);
    struct endpoint stranger = pair.b.path.local;
    stranger.port++;
    wire_reset_encode(reset, header.dcid, header.packet_number, WIRE_REASON_UNKNOWN_FLOW);
    pair_inject(&pair.a, &stranger, reset, sizeof reset);
    cr_assert_eq(transport_counters(pair.a.transport)->resets_ignored, 4);
    cr_assert_eq(flow->ended, 0);
    pair_inject(&pair.a, &pair.b.path.local, reset, sizeof reset);
    pair.fate = NULL;
    pair_run(&pair, 2 * pair.delay); /* the peer is asked, and is who it was */
    expect_end(flow, TRANSPORT_RESET);
    pair_fini(&pair);
}

Test(transport_receive, a_flow_packet_from_elsewhere_changes_nothing)
{
    struct pair pair;
    pair_init(&pair);
    pair.fate = keep_last;
    struct pair_flow *flow = pair_connect(&pair);
    pair.argument = 1;
    pair_send(flow, 10);
    pair_run(&pair, 0);
    struct endpoint stranger = pair.a.path.local;
    stranger.ip[15]++;
    pair_inject(&pair.b, &stranger, last, last_length);
    cr_assert_eq(pair.b.flows[0].received, 0);
    cr_assert_eq(transport_counters(pair.b.transport)->unknown_flow, 1);
    pair_inject(&pair.b, &pair.a.path.local, last, last_length);
    cr_assert_eq(pair.b.flows[0].received, 1);
    pair_inject(&pair.b, &pair.a.path.local, last, last_length);
    cr_assert_eq(pair.b.flows[0].received, 1);
    cr_assert_eq(transport_counters(pair.b.transport)->duplicate_packets, 1);
    pair_fini(&pair);
}

/* Sends a FLOW packet with these frames in the name of A. */
static void forge(struct pair *pair, const uint8_t *frames, size_t length)
{
    struct wire_header header;
    size_t body_length;
    uint8_t packet[256];
    cr_assert_eq(wire_packet_decode(last, last_length, &header, &body_length), WIRE_OK);
    header.packet_number += 5;
    wire_header_encode(packet, &header);
    memcpy(packet + WIRE_HEADER_BYTES, frames, length);
    size_t sealed = wire_packet_seal(packet, WIRE_HEADER_BYTES + length);
    pair_inject(&pair->b, &pair->a.path.local, packet, sealed);
}

static void expect_violation(const uint8_t *frames, size_t length)
{
    struct pair pair;
    pair_init(&pair);
    pair.fate = keep_last;
    struct pair_flow *flow = pair_connect(&pair);
    forge(&pair, frames, length);
    expect_end(&pair.b.flows[0], TRANSPORT_PROTOCOL);
    pair_run(&pair, 10 * PAIR_MS);
    expect_end(flow, TRANSPORT_RESET);
    pair_close(flow, false);
    pair_close(&pair.b.flows[0], false);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

Test(transport_receive, broken_rules_end_the_flow)
{
    static const uint8_t unknown[] = {0x08, 0, 0, 0};
    static const uint8_t beyond_credit[] = {0x40, 0, 0, 1, 0, 0x10, 0, 0, 'x'};
    static const uint8_t too_long[] = {0x41, 0, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 'x'};
    static const uint8_t ungranted[] = {0x41, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 'x'};
    static const uint8_t two_totals[] = {0x41, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 'x',
                                         0x41, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, 'x'};
    static const uint8_t never_sent[] = {0x02, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t never_begun[] = {0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9};
    static const uint8_t below_zero[] = {0x02, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t no_such_grant[] = {0x04, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9};
    static const uint8_t after_fin[] = {0x05, 0, 0, 1, 0, 0, 0, 1, 0x40, 0, 0, 1, 0, 0, 0, 1, 'x'};
    expect_violation(unknown, sizeof unknown);
    expect_violation(beyond_credit, sizeof beyond_credit);
    expect_violation(too_long, sizeof too_long);
    expect_violation(ungranted, sizeof ungranted);
    expect_violation(two_totals, sizeof two_totals);
    expect_violation(never_sent, sizeof never_sent);
    expect_violation(never_begun, sizeof never_begun);
    expect_violation(below_zero, sizeof below_zero);
    expect_violation(no_such_grant, sizeof no_such_grant);
    expect_violation(after_fin, sizeof after_fin);
}

Test(transport_receive, a_malformed_frame_drops_the_whole_packet)
{
    static const uint8_t good_then_cut[] = {0x40, 0, 0, 1, 0, 0, 0, 0, 'x', 0x40, 0, 0, 9, 0, 0, 0, 1, 'x'};
    struct pair pair;
    pair_init(&pair);
    pair.fate = keep_last;
    pair_connect(&pair);
    forge(&pair, good_then_cut, sizeof good_then_cut);
    cr_assert_eq(pair.b.flows[0].ended, 0);
    cr_assert_eq(pair.b.flows[0].received, 0);
    cr_assert_eq(transport_counters(pair.b.transport)->malformed, 1);
    pair_fini(&pair);
}

Test(transport_receive, what_is_left_of_a_message_goes_into_no_other)
{
    static const uint8_t late[] = {0x41, 0, 0, 1, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0x20, 0, 'x'}; /* at 8192 of 131072 */
    struct pair pair;
    pair_init(&pair);
    pair.fate = keep_last;
    struct pair_flow *flow = pair_connect(&pair);
    pair_send(flow, 100000);
    pair_run(&pair, 50 * PAIR_MS);
    cr_assert_eq(pair.b.flows[0].received, 1);
    forge(&pair, late, sizeof late);
    cr_assert_eq(pair.b.newest.length, 131072, "granted at once");
    for (uint32_t i = 0; i < 65536; i++) {
        cr_assert_eq(pair.b.newest.data[i], i == 8192 ? 'x' : PAIR_FRESH, "byte %u", i);
    }
    pair_fini(&pair);
}

/* ---- FIN ---- */

/* Sends B a FLOW packet of A's flow with this FIN, with a fresh packet number. */
static void send_fin(struct pair *pair, uint8_t how, uint32_t messages)
{
    uint8_t packet[64];
    struct wire_header header;
    size_t body_length;
    cr_assert_eq(wire_packet_decode(last, last_length, &header, &body_length), WIRE_OK);
    header.packet_number += 100 + messages;
    struct wire_frame fin = {.type = WIRE_FRAME_FIN, .fin = {.messages = messages, .reason = WIRE_REASON_CLOSED}};
    wire_header_encode(packet, &header);
    size_t length = WIRE_HEADER_BYTES + wire_frame_encode(packet + WIRE_HEADER_BYTES, 16, &fin);
    packet[WIRE_HEADER_BYTES + 1] = how;
    pair_inject(&pair->b, &pair->a.path.local, packet, wire_packet_seal(packet, length));
}

static struct pair_flow *three_messages(struct pair *pair)
{
    pair_init(pair);
    pair->fate = keep_last;
    struct pair_flow *flow = pair_connect(pair);
    for (int i = 0; i < 3; i++) {
        pair_send(flow, 10);
    }
    pair_run(pair, 10 * PAIR_MS);
    cr_assert_eq(pair->b.flows[0].received, 3);
    return flow;
}

Test(flow_receive, a_fin_below_what_came_breaks_the_protocol)
{
    struct pair pair;
    three_messages(&pair);
    send_fin(&pair, 0, 2);
    expect_end(&pair.b.flows[0], TRANSPORT_PROTOCOL);
    pair_fini(&pair);
}

Test(flow_receive, a_second_fin_with_another_number_breaks_the_protocol)
{
    struct pair pair;
    three_messages(&pair);
    send_fin(&pair, 0, 5);
    cr_assert_eq(pair.b.flows[0].ended, 0, "two messages are missing");
    send_fin(&pair, 0, 6);
    expect_end(&pair.b.flows[0], TRANSPORT_PROTOCOL);
    pair_fini(&pair);
}

Test(flow_receive, a_fin_of_an_unknown_kind_is_not_taken_for_a_plain_one)
{
    struct pair pair;
    three_messages(&pair);
    send_fin(&pair, 1, 3);
    expect_end(&pair.b.flows[0], TRANSPORT_PROTOCOL);
    pair_fini(&pair);
}
