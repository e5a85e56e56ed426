/* SPDX-License-Identifier: MIT */
/* Credits and grants: what a reader who is slow, or short of memory, does to its senders; and to others. */
#include <criterion/criterion.h>
#include <string.h>

#include "support/flow_expect.h"
#include "support/flow_pair.h"

static void budget(struct pair_side *side, uint64_t bytes)
{
    pair_stop(side);
    pair_start(side);
    side->owner.receive_budget = bytes;
    side->memory_left = bytes;
    side->reserve_left = 8 << 20;
}

Test(flow_charge, is_the_size_class)
{
    cr_assert_eq(flow_charge(0), 64);
    cr_assert_eq(flow_charge(64), 64);
    cr_assert_eq(flow_charge(65), 128);
    cr_assert_eq(flow_charge(4096), 4096);
    cr_assert_eq(flow_charge(4097), 8192);
    cr_assert_eq(flow_charge(65536), 65536);
    cr_assert_eq(flow_charge(65537), 16384);
    cr_assert_eq(flow_charge(UINT32_MAX), 16384);
}

Test(transport_released, a_reader_who_stops_stops_its_sender)
{
    struct pair pair;
    pair_init(&pair);
    budget(&pair.b, 1 << 20);
    pair.b.keep = true;
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    for (uint32_t i = 0; i < 1000; i++) {
        pair_send(flow, 4096);
    }
    pair_run(&pair, 500 * PAIR_MS);
    cr_assert_eq(other->received, (1 << 18) / 4096);
    uint64_t before = pair.packets;
    pair_run(&pair, 1000 * PAIR_MS);
    cr_assert_leq(pair.packets - before, 4, "it must be quiet while it is blocked");
    pair.b.keep = false;
    pair_run(&pair, 500 * PAIR_MS);
    expect_all(flow, other);
    pair_fini(&pair);
}

Test(transport_released, a_stopped_reader_stops_only_its_flow)
{
    struct pair pair;
    pair_init(&pair);
    budget(&pair.b, 4 << 20);
    pair.b.keep = true;
    struct pair_flow *stuck = pair_connect(&pair);
    for (uint32_t i = 0; i < 1000; i++) {
        pair_send(stuck, 5000);
    }
    pair_run(&pair, 100 * PAIR_MS);
    cr_assert_lt(pair.b.flows[0].received, 1000);
    struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
    for (uint32_t i = 0; i < 20; i++) {
        pair_send(flow, 1000);
    }
    pair_run(&pair, 100 * PAIR_MS);
    expect_all(flow, &pair.b.flows[1]);
    pair_fini(&pair);
}

Test(transport_released, largest_small_messages_through_the_smallest_window)
{
    struct pair pair;
    pair_init(&pair);
    budget(&pair.b, 65536);
    struct pair_flow *flow = pair_connect(&pair);
    static const uint32_t lengths[] = {65536, 100, 65536, 30000, 40000, 1, 65000, 10, 10, 65536};
    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            pair_send(flow, lengths[i]);
        }
    }
    pair_run(&pair, 2000 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

Test(transport_released, one_who_is_blocked_is_freed_by_the_last_bit_of_credit)
{
    struct pair pair;
    pair_init(&pair);
    budget(&pair.b, 65536);
    pair.b.keep = true;
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair_send(flow, 30000);
    pair_send(flow, 100);
    pair_send(flow, 65536);
    pair_run(&pair, 50 * PAIR_MS);
    cr_assert_eq(other->received, 2);
    pair_release_one(&pair.b); /* worth a CREDIT, but not enough */
    pair_run(&pair, 50 * PAIR_MS);
    cr_assert_eq(other->received, 2);
    pair_release_one(&pair.b);
    pair_run(&pair, 50 * PAIR_MS);
    cr_assert_eq(other->received, 3);
    pair_fini(&pair);
}

Test(transport_close, both_while_one_is_blocked)
{
    struct pair pair;
    pair_init(&pair);
    budget(&pair.b, 65536);
    pair.b.keep = true;
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair_send(flow, 30000);
    pair_send(flow, 65536);
    pair_run(&pair, 50 * PAIR_MS);
    pair_close(flow, false);
    pair_run(&pair, 50 * PAIR_MS);
    cr_assert_eq(flow->ended, 0);
    pair_close(other, false);
    pair_run(&pair, 50 * PAIR_MS);
    cr_assert_eq(flow->ended, 1);
    cr_assert_eq(flow->status, TRANSPORT_OK);
    cr_assert_eq(other->status, TRANSPORT_OK);
    pair_release(&pair.b);
    pair_settle(&pair);
    cr_assert_eq(pair.b.owner.promised_bytes, 0);
    pair_fini(&pair);
}

Test(transport_released, more_messages_than_credit_at_once)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    for (uint32_t i = 0; i < 6000; i++) {
        pair_send(flow, i % 3);
    }
    pair_run(&pair, 500 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

Test(transport_released, promises_keep_within_the_budget)
{
    struct pair pair;
    pair_init(&pair);
    budget(&pair.b, 2 << 20);
    pair.b.keep = true;
    for (uint32_t f = 0; f < 16; f++) {
        struct pair_flow *flow = pair_open(&pair.a, PAIR_PORT);
        for (uint32_t i = 0; i < 100; i++) {
            pair_send(flow, 8192);
        }
        pair_run(&pair, 5 * PAIR_MS);
    }
    pair_run(&pair, 500 * PAIR_MS);
    cr_assert_leq(pair.b.owner.promised_bytes, 2 << 20);
    cr_assert_eq(transport_counters(pair.b.transport)->no_memory_drops, 0);
    pair_fini(&pair);
}

Test(transport_memory_available, a_large_message_waits_for_its_extent)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair.b.memory_left = 1 << 20;
    pair.b.reserve_left = 0;
    pair_send(flow, 3 << 20);
    for (uint32_t i = 0; i < 10; i++) {
        pair_send(flow, 1000);
    }
    pair_run(&pair, 99 * PAIR_MS);
    cr_assert_eq(other->stalled, 0);
    pair_run(&pair, 20 * PAIR_MS);
    cr_assert_eq(other->stalled, 1);
    cr_assert_eq(other->received, 0);
    cr_assert_eq(flow->sent_ok, 10, "those behind it need not wait");
    pair.b.memory_left += 4 << 20;
    transport_memory_available(pair.b.transport, &pair.b.owner, pair.now);
    pair_run(&pair, 100 * PAIR_MS);
    expect_all(flow, other);
    cr_assert_eq(pair.b.owner.granted_bytes, 0);
    pair_fini(&pair);
}

Test(transport_memory_available, grants_go_round_and_heads_get_the_reserve)
{
    struct pair pair;
    pair_init(&pair);
    budget(&pair.b, 4 << 20);
    struct pair_flow *flows[4];
    for (int f = 0; f < 4; f++) {
        flows[f] = pair_open(&pair.a, PAIR_PORT);
    }
    pair_run(&pair, 5 * PAIR_MS);
    pair.b.memory_left = 0;
    pair.b.reserve_left = 1 << 20;
    for (int f = 0; f < 4; f++) {
        for (uint32_t i = 0; i < 5; i++) {
            pair_send(flows[f], 1000000);
        }
    }
    pair_run(&pair, 3000 * PAIR_MS);
    for (int f = 0; f < 4; f++) {
        expect_all(flows[f], &pair.b.flows[f]);
    }
    pair_fini(&pair);
}

Test(transport_memory_available, a_borrower_of_large_extents_lets_others_pass)
{
    struct pair pair;
    pair_init(&pair);
    budget(&pair.b, 8 << 20);
    pair.b.reserve_left = 0;
    struct pair_flow *greedy = pair_connect(&pair);
    pair.b.keep = true;
    for (uint32_t i = 0; i < 30; i++) {
        pair_send(greedy, 1 << 20);
    }
    pair_run(&pair, 500 * PAIR_MS);
    cr_assert_lt(pair.b.flows[0].received, 10);
    struct pair_flow *modest = pair_open(&pair.a, PAIR_PORT);
    pair_send(modest, 1 << 20);
    pair_run(&pair, 200 * PAIR_MS);
    cr_assert_eq(pair.b.flows[1].stalled, 1);
    /* one extent comes back: the other flow gets it */
    pair.b.memory_left = 1 << 20;
    transport_memory_available(pair.b.transport, &pair.b.owner, pair.now);
    pair_run(&pair, 200 * PAIR_MS);
    cr_assert_eq(pair.b.flows[1].received, 1);
    pair_fini(&pair);
}

Test(transport_receive, without_memory_packets_come_again)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair.b.memory_left = pair.b.reserve_left = 0;
    for (uint32_t i = 0; i < 20; i++) {
        pair_send(flow, 3000);
    }
    pair_run(&pair, 300 * PAIR_MS);
    cr_assert_eq(pair.b.flows[0].received, 0);
    cr_assert_gt(transport_counters(pair.b.transport)->no_memory_drops, 0);
    pair.b.memory_left = 1 << 20;
    pair_run(&pair, 300 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

Test(transport_receive, the_head_of_a_flow_gets_through_without_memory)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair.b.memory_left = 0;
    pair.b.reserve_left = 4096;
    for (uint32_t i = 0; i < 40; i++) {
        pair_send(flow, 300);
    }
    pair_run(&pair, 1000 * PAIR_MS);
    expect_all(flow, &pair.b.flows[0]);
    pair_fini(&pair);
}

Test(transport_close, while_large_messages_wait_for_memory)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair.b.memory_left = pair.b.reserve_left = 0;
    for (uint32_t i = 0; i < 5; i++) {
        pair_send(flow, 100000);
    }
    pair_run(&pair, 50 * PAIR_MS);
    pair_close(other, false);
    pair_run(&pair, 50 * PAIR_MS);
    cr_assert_eq(other->ended, 1);
    cr_assert_eq(flow->ended, 1);
    cr_assert_eq(other->status, TRANSPORT_OK);
    cr_assert_eq(flow->status, TRANSPORT_CLOSED);
    cr_assert_null(pair.b.owner.waiting_grant);
    pair_fini(&pair);
}

Test(transport_released_orphan, settles_the_accounts)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair.b.keep = true;
    pair_send(flow, 3000);
    pair_send(flow, 300000);
    pair_run(&pair, 50 * PAIR_MS);
    cr_assert_eq(other->received, 2);
    cr_assert_eq(pair.b.owner.granted_bytes, 300000);
    pair_close(other, true);
    pair_close(flow, true);
    pair_settle(&pair);
    cr_assert_eq(pair.b.owner.promised_bytes, 4096 + 16384);
    pair_release(&pair.b);
    cr_assert_eq(pair.b.owner.promised_bytes, 0);
    cr_assert_eq(pair.b.owner.granted_bytes, 0);
    pair_fini(&pair);
}

Test(transport_receive, a_message_that_can_never_have_room_ends_its_flow)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair.b.owner.message_max = 100000; /* which the sender does not know */
    pair_send(flow, 100000);
    pair_run(&pair, 50 * PAIR_MS);
    expect_all(flow, other);
    pair_send(flow, 100001);
    pair_run(&pair, 50 * PAIR_MS);
    cr_assert_eq(other->status, TRANSPORT_NO_MEMORY);
    cr_assert_eq(flow->status, TRANSPORT_RESET);
    cr_assert_eq(flow->ended + other->ended, 2);
    cr_assert_eq(flow->sent_failed, 1);
    pair_fini(&pair);
}

Test(transport_receive, a_head_without_memory_is_told_once)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair.b.memory_left = pair.b.reserve_left = 0;
    pair_send(flow, 3000);
    pair_run(&pair, 90 * PAIR_MS);
    cr_assert_eq(other->stalled, 0);
    pair_run(&pair, 1000 * PAIR_MS);
    cr_assert_eq(other->stalled, 1);
    pair.b.memory_left = 1 << 20;
    pair_run(&pair, 300 * PAIR_MS);
    expect_all(flow, other);
    cr_assert_eq(other->stalled, 1);
    pair_fini(&pair);
}

Test(transport_receive, a_head_without_memory_is_told_again_while_it_waits)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair.b.memory_left = pair.b.reserve_left = 0;
    pair.b.stalls_later = true;
    pair_send(flow, 3000);
    pair_run(&pair, 1050 * PAIR_MS);
    cr_assert(other->stalled >= 9 && other->stalled <= 11, "%d times", other->stalled);
    pair.b.memory_left = 1 << 20;
    pair_run(&pair, 300 * PAIR_MS);
    expect_all(flow, other);
    const int asked = other->stalled;
    pair_run(&pair, 1000 * PAIR_MS);
    cr_assert_eq(other->stalled, asked);
    pair_fini(&pair);
}

Test(transport_released, while_memory_is_scarce_who_holds_64_kib_is_told_and_others_go_on)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair.b.owner.scarce = true;
    pair.b.keep = true;
    for (uint32_t i = 0; i < 40; i++) {
        pair_send(flow, 4096);
    }
    pair_run(&pair, 300 * PAIR_MS);
    cr_assert_eq(other->received, 65536 / 4096);
    cr_assert_eq(other->stalled, 1);
    struct pair_flow *second = pair_open(&pair.a, PAIR_PORT);
    pair_send(second, 65536);
    pair_run(&pair, 50 * PAIR_MS);
    expect_all(second, &pair.b.flows[1]);
    pair.b.keep = false;
    pair_release(&pair.b);
    pair_run(&pair, 300 * PAIR_MS);
    expect_all(flow, other);
    pair_fini(&pair);
}

static struct {
    uint8_t bytes[WIRE_PACKET_MAX];
    size_t length;
} kept;

static enum pair_fate keep_first_blocked(struct pair *pair, uint64_t index, const struct pair_side *from,
                                         const uint8_t *packet, size_t length)
{
    (void)index;
    if (from != &pair->a || kept.length > 0 || !packet_holds(packet, length, WIRE_FRAME_BLOCKED)) {
        return PAIR_PASS;
    }
    memcpy(kept.bytes, packet, length);
    kept.length = length;
    return PAIR_DROP;
}

Test(credit_blocked, one_that_was_overtaken_does_not_undo_a_newer_one)
{
    struct pair pair;
    pair_init(&pair);
    budget(&pair.b, 128 << 10);
    struct pair_flow *flow = pair_connect(&pair), *other = &pair.b.flows[0];
    pair.fate = keep_first_blocked;
    pair.b.keep = true;
    for (uint32_t i = 0; i < 66; i++) {
        pair_send(flow, 1024);
    }
    pair_run(&pair, 100 * PAIR_MS);
    cr_assert_gt(kept.length, 0);
    pair.b.keep = false;
    pair_release(&pair.b);
    pair_run(&pair, 500 * PAIR_MS);
    expect_all(flow, other);
    /* Only the whole of what its reader holds makes room for the last, and the end of that is too little for a CREDIT that nobody waits
     * for. */
    pair.b.keep = true;
    for (uint32_t i = 0; i < 63; i++) {
        pair_send(flow, 1024);
    }
    pair_send(flow, 65536);
    pair_run(&pair, 100 * PAIR_MS);
    pair_inject(&pair.b, &pair.a.path.local, kept.bytes, kept.length);
    pair_run(&pair, 100 * PAIR_MS);
    for (uint32_t i = 0; i < 63; i++) {
        pair_release_one(&pair.b);
        pair_run(&pair, PAIR_MS);
    }
    pair.b.keep = false;
    pair_run(&pair, 500 * PAIR_MS);
    expect_all(flow, other);
    pair_fini(&pair);
}

Test(transport_memory_available, a_message_that_finds_no_room_keeps_no_shorter_one_from_it)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *long_one = pair_connect(&pair), *short_one = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 5 * PAIR_MS);
    pair.b.memory_left = pair.b.reserve_left = 0;
    pair_send(long_one, 60000);
    pair_run(&pair, 20 * PAIR_MS);
    pair_send(short_one, 500);
    pair_run(&pair, 4000 * PAIR_MS); /* timeouts have grown to their longest */
    const uint64_t resent = transport_counters(pair.a.transport)->probe_timeouts;
    pair.b.memory_left = 4096;
    transport_memory_available(pair.b.transport, &pair.b.owner, pair.now);
    pair_run(&pair, 3 * pair.delay);
    cr_assert_eq(pair.b.flows[1].received, 1, "it was told that there is room");
    cr_assert_eq(transport_counters(pair.a.transport)->probe_timeouts, resent);
    pair.b.memory_left = 1 << 20;
    pair_run(&pair, 1000 * PAIR_MS);
    expect_all(long_one, &pair.b.flows[0]);
    pair_fini(&pair);
}
