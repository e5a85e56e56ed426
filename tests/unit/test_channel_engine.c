/* SPDX-License-Identifier: MIT */
/* The engine's end of a channel, with a real worker and transport; the application's end is the test, right or wrong.
 * */
#include <criterion/criterion.h>
#include <string.h>

#include "channel_internal.h"
#include "flow/flow.h"
#include "machnet/machnet.h"
#include "support/engine_bench.h"

enum { MIB = 1 << 20, FLOWS = 1024, MS = 1000000 };

static const uint64_t token = UINT64_C(1) << 32; /* generation 1, index 0 */

static struct bench bench;
static struct bench_client sender, reader, breaker; /* static: teardown needs them, too, when a test has failed */

static void setup(void)
{
    bench_open(&bench);
    bench_attach(&bench, &sender, 64 * MIB, FLOWS);
    bench_attach(&bench, &reader, 64 * MIB, FLOWS);
    bench_listen(&reader);
}

static void teardown(void)
{
    bench_close(&bench);
}

TestSuite(channel_engine, .init = setup, .fini = teardown, .timeout = 60);

/* ---- Flows ---- */

Test(channel_engine, open__is_announced_to_both_with_both_addresses)
{
    bench_open_flow(&sender, token, BENCH_PORT);
    bench_run(&bench, 0);
    struct mn_delivery raw = bench_expect(&sender, MN_OP_ESTABLISHED);
    struct mn_delivery_flow established, accepted;
    memcpy(&established, &raw, sizeof established);
    raw = bench_expect(&reader, MN_OP_ACCEPTED);
    memcpy(&accepted, &raw, sizeof accepted);
    cr_assert_eq(accepted.listener, BENCH_LISTENER);
    cr_assert_eq(accepted.local_port, BENCH_PORT);
    cr_assert_eq(established.remote_port, BENCH_PORT);
    cr_assert_eq(established.local_port, accepted.remote_port);
    cr_assert_neq(established.local_port, 0);
    cr_assert_eq(memcmp(established.local_ip, bench.paths.addresses[0].ip, 16), 0);
    cr_assert_eq(memcmp(accepted.remote_ip, established.local_ip, 16), 0);
    cr_assert_neq((uint32_t)accepted.flow & MN_TOKEN_ACCEPTED, 0);
    cr_assert_neq(accepted.flow >> 32, 0);
}

Test(channel_engine, open__is_refused_where_nobody_listens)
{
    bench_open_flow(&sender, token, BENCH_PORT + 1);
    bench_run(&bench, 0);
    bench_expect_closed(&sender, token, MACHNET_EREFUSED);
    bench_close_flow(&sender, token, false);
    bench_run(&bench, 0);
    bench_open_flow(&sender, token + (UINT64_C(1) << 32), BENCH_PORT); /* the index is free again */
    bench_run(&bench, 0);
    bench_expect(&sender, MN_OP_ESTABLISHED);
    cr_assert_eq(sender.broken, MACHNET_OK);
}

Test(channel_engine, open__that_cannot_work_is_answered_not_punished)
{
    struct mn_submission_open open = {.op = MN_OP_OPEN, .remote_port = 1, .flow = token, .timeout_ns = UINT64_MAX};
    bench_submit(&sender, &open); /* to no address */
    open.flow++;
    memset(open.remote_ip, 0xfd, sizeof open.remote_ip); /* of a family that the engine has no address of */
    bench_submit(&sender, &open);
    open.flow++;
    memcpy(open.remote_ip, bench.paths.addresses[0].ip, sizeof open.remote_ip);
    memcpy(open.local_ip, open.remote_ip, sizeof open.local_ip);
    open.local_ip[15] ^= 1; /* from an address that is not the engine's */
    bench_submit(&sender, &open);
    bench_run(&bench, 0);
    bench_expect_closed(&sender, token, MACHNET_EINVAL);
    bench_expect_closed(&sender, token + 1, MACHNET_EADDRNOTAVAIL);
    bench_expect_closed(&sender, token + 2, MACHNET_EADDRNOTAVAIL);
    cr_assert_eq(sender.broken, MACHNET_OK);
}

Test(channel_engine, open__is_limited_by_the_flows_of_the_channel)
{
    bench_attach(&bench, &breaker, MIB, 2);
    uint64_t there = bench_connect(&sender, token, &reader);
    cr_assert_neq(there, 0);
    bench_open_flow(&breaker, token, BENCH_PORT);
    bench_open_flow(&breaker, token + 1, BENCH_PORT);
    bench_run(&bench, 0);
    bench_expect(&breaker, MN_OP_ESTABLISHED);
    bench_expect(&breaker, MN_OP_ESTABLISHED);
    bench_open_flow(&breaker, token + 2, BENCH_PORT);
    bench_run(&bench, 0);
    cr_assert_eq(breaker.broken, MACHNET_EPROTOCOL, "an index beyond the table cannot come from the library");
}

Test(channel_engine, close__ends_both_sides_and_frees_both_tokens)
{
    for (uint64_t round = 0; round < 50; round++) {
        uint64_t ours = token + (round << 32);
        uint64_t theirs = bench_connect(&sender, ours, &reader);
        bench_close_flow(&sender, ours, round % 2 == 1);
        bench_run(&bench, 0);
        bench_expect_closed(&reader, theirs, round % 2 == 1 ? MACHNET_ERESET : MACHNET_ECLOSED);
        bench_close_flow(&reader, theirs, false);
        bench_run(&bench, 10 * MS);
        bench_expect_closed(&sender, ours, MACHNET_OK);
        bench_expect_silence(&sender);
        bench_expect_silence(&reader);
        cr_assert_eq((uint32_t)theirs & ~MN_TOKEN_ACCEPTED, 0, "the engine's index is used again");
    }
    cr_assert_eq(sender.broken, MACHNET_OK);
    cr_assert_eq(reader.broken, MACHNET_OK);
}

Test(channel_engine, detach__resets_the_peers_flows)
{
    uint64_t theirs = bench_connect(&sender, token, &reader);
    bench_detach(&sender);
    bench_run(&bench, 10 * MS);
    bench_expect_closed(&reader, theirs, MACHNET_ERESET);
}

Test(channel_engine, end__by_broken_rules_of_the_wire_is_the_flows_alone)
{
    uint64_t theirs = bench_connect(&sender, token, &reader), others = bench_connect(&sender, token + 1, &reader);
    struct flow *flow = channel_flow_find(reader.channel, theirs)->flow;
    flow_abort(flow, TRANSPORT_PROTOCOL, WIRE_REASON_PROTOCOL, bench.now); /* as for a packet that breaks them */
    bench_run(&bench, 10 * MS);
    bench_expect_closed(&reader, theirs, MACHNET_EPEERPROTOCOL);
    bench_expect_closed(&sender, token, MACHNET_ERESET);
    bench_close_flow(&sender, token + 1, false);
    bench_run(&bench, 10 * MS);
    bench_expect_closed(&reader, others, MACHNET_ECLOSED);
    cr_assert_eq(reader.broken, MACHNET_OK);
}

Test(channel_engine, end__by_a_message_too_long_for_the_peer)
{
    uint64_t theirs = bench_connect(&sender, token, &reader);
    channel_flow_find(sender.channel, token)->flow->tx.max_message = 64; /* what the peer said */
    bench_send(&sender, token, 0, 65, 1, 7);
    bench_run(&bench, 10 * MS);
    bench_expect_closed(&sender, token, MACHNET_EPEERMSGSIZE);
    bench_expect_completion(&sender, 7, MACHNET_EPEERMSGSIZE);
    bench_expect_closed(&reader, theirs, MACHNET_ERESET);
    cr_assert_eq(sender.broken, MACHNET_OK);
}

/* ---- Messages ---- */

static void fill(uint64_t offset, uint32_t length, uint64_t seed)
{
    for (uint32_t i = 0; i < length; i++)
        sender.regions[1][offset + i] = (uint8_t)((i * UINT64_C(0x9e3779b97f4a7c15) + seed * 0x2545f491) >> 56);
}

Test(channel_engine, send__crosses_intact_and_completes)
{
    static const uint32_t lengths[] = {0, 1, 63, 64, 65, 1000, 8900, 9000, 65535, 65536, 65537, 300000, MIB};
    uint64_t theirs = bench_connect(&sender, token, &reader);
    for (uint32_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        fill(0, lengths[i], i);
        bench_send(&sender, token, 0, lengths[i], i + 100, i);
        bench_run(&bench, 20 * MS);
        struct mn_delivery message = bench_expect(&reader, MN_OP_MESSAGE);
        cr_assert_eq(message.flow, theirs);
        cr_assert_eq(message.tag, i + 100);
        cr_assert_eq(message.length, lengths[i]);
        cr_assert_eq(memcmp(bench_bytes(&reader, &message), sender.regions[1], lengths[i]), 0);
        bench_release(&reader, message.lease);
        bench_expect_completion(&sender, i, MACHNET_OK);
    }
    struct channel_info info;
    bench_run(&bench, 0);
    channel_info(reader.channel, &info);
    cr_assert_eq(info.receive_used_bytes, 0);
    cr_assert_eq(info.lent_extents, 0);
    cr_assert_eq(info.messages_received, sizeof lengths / sizeof lengths[0]);
}

Test(channel_engine, send__of_the_longest_message_makes_the_arena_grow)
{
    bench_connect(&sender, token, &reader);
    void *theirs;
    /* A send region as the controller adds it. */
    static uint8_t big[MN_MESSAGE_MAX];
    theirs = big;
    struct worker_message add = {.type = WORKER_ADD_REGION,
                                 .channel = sender.channel,
                                 .region = 40,
                                 .kind = MN_REGION_SEND,
                                 .base = theirs,
                                 .bytes = sizeof big};
    cr_assert_eq(bench_command(&bench, &add), MACHNET_OK);
    for (uint32_t i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)(i * 2654435761U >> 24);
    struct mn_submission send = {.op = MN_OP_SEND, .region = 40, .length = sizeof big, .flow = token, .cookie = 9};
    bench_submit(&sender, &send);
    bench_run(&bench, 200 * MS);
    struct mn_delivery message = bench_expect(&reader, MN_OP_MESSAGE);
    cr_assert_eq(message.length, sizeof big);
    cr_assert_eq(memcmp(bench_bytes(&reader, &message), big, sizeof big), 0);
    bench_expect_completion(&sender, 9, MACHNET_OK);
}

Test(channel_engine, send__to_a_flow_that_ended_is_answered)
{
    uint64_t theirs = bench_connect(&sender, token, &reader);
    bench_close_flow(&reader, theirs, true);
    bench_run(&bench, 10 * MS);
    bench_expect_closed(&sender, token, MACHNET_ERESET);
    bench_send(&sender, token, 0, 10, 0, 5);
    bench_run(&bench, 0);
    bench_expect_completion(&sender, 5, MACHNET_ERESET);
    cr_assert_eq(sender.broken, MACHNET_OK);
}

Test(channel_engine, send__under_way_is_completed_when_the_flow_is_aborted)
{
    bench_connect(&sender, token, &reader);
    for (uint64_t i = 0; i < 200; i++)
        bench_send(&sender, token, 0, 60000, 0, i);
    bench_run(&bench, 0);
    bench_close_flow(&sender, token, true);
    bench_run(&bench, 10 * MS);
    struct mn_completion completion;
    uint32_t count = 0, failed = 0;
    for (; bench_take_completion(&sender, &completion); count++)
        failed += completion.status != MACHNET_OK;
    cr_assert_eq(count, 200);
    cr_assert_gt(failed, 0);
    bench_expect_closed(&sender, token, MACHNET_OK);
}

/* ---- A reader that does not read ---- */

Test(channel_engine, full_deliveries_ring__loses_nothing)
{
    enum { COUNT = 3 * MN_DELIVERIES };
    bench_connect(&sender, token, &reader);
    uint32_t sent = 0, received = 0;
    struct mn_completion completion;
    while (received < COUNT) {
        for (uint32_t i = 0; i < 500 && sent < COUNT; i++, sent++)
            bench_send(&sender, token, 0, 8, sent, sent);
        bench_run(&bench, 5 * MS);
        while (bench_take_completion(&sender, &completion))
            cr_assert_eq(completion.status, MACHNET_OK);
        if (sent < COUNT && sent < 2 * MN_DELIVERIES)
            continue; /* until more is sent than the ring takes */
        struct mn_delivery message;
        while (bench_take_delivery(&reader, &message)) {
            if (message.op != MN_OP_MESSAGE)
                continue;
            cr_assert_eq(message.tag, received++);
            bench_release(&reader, message.lease);
        }
    }
    bench_run(&bench, 5 * MS);
    bench_expect_silence(&reader);
}

Test(channel_engine, full_deliveries_ring__is_looked_at_although_nothing_signals)
{
    enum { COUNT = MN_DELIVERIES / 2 + 300 };
    bench_attach(&bench, &breaker, 8 * MIB, 4096);
    for (uint32_t i = 0; i < COUNT; i++) { /* each fails: a CLOSED without any message, so nothing to release */
        bench_open_flow(&breaker, token + i, BENCH_PORT + 1);
        if (i % 500 == 0)
            bench_run(&bench, 0);
    }
    for (uint32_t i = COUNT; i < 2 * COUNT; i++) { /* each fails already here */
        bench_open_flow(&breaker, token + i, 0);
        if (i % 500 == 0)
            bench_run(&bench, 0);
    }
    bench_run(&bench, 10 * MS);
    uint32_t closed = 0;
    struct mn_delivery delivery;
    for (uint32_t round = 0; round < 10; round++) {
        while (bench_take_delivery(&breaker, &delivery)) {
            cr_assert_eq(delivery.op, MN_OP_CLOSED);
            cr_assert_eq(delivery.status, (uint32_t)delivery.flow < COUNT ? MACHNET_EREFUSED : MACHNET_EINVAL);
            closed++;
        }
        bench_run(&bench, 5 * MS);
    }
    cr_assert_eq(closed, 2 * COUNT);
}

Test(channel_engine, lent_messages__hold_back_their_flow_until_released)
{
    enum { COUNT = 400 };
    bench_detach(&reader);
    bench_attach(&bench, &reader, 2 * MIB, FLOWS);
    bench_listen(&reader);
    bench_connect(&sender, token, &reader);
    static uint64_t leases[COUNT];
    uint32_t lent = 0, released = 0, received = 0;
    for (uint32_t i = 0; i < COUNT; i++)
        bench_send(&sender, token, 0, 20000, i, i);
    bench_run(&bench, 50 * MS);
    struct mn_delivery message;
    for (uint32_t round = 0; received < COUNT && round < 1000; round++) {
        while (bench_take_delivery(&reader, &message)) {
            if (message.op != MN_OP_MESSAGE)
                continue;
            cr_assert_eq(message.tag, received++);
            leases[lent++] = message.lease;
        }
        if (round == 0)
            cr_assert_lt(received, COUNT, "the reader's memory is smaller than all that was sent");
        while (released < lent)
            bench_release(&reader, leases[released++]);
        bench_run(&bench, 5 * MS);
    }
    cr_assert_eq(received, COUNT);
    struct channel_info info;
    channel_info(reader.channel, &info);
    cr_assert_leq(info.receive_bytes, 2 * MIB);
    cr_assert_eq(info.receive_used_bytes, 0);
}

Test(channel_engine, refused_region__delays_but_does_not_lose)
{
    reader.refuse_regions = true;
    bench_connect(&sender, token, &reader);
    fill(0, MIB, 1);
    bench_send(&sender, token, 0, MIB, 0, 1); /* more than the arena has beside its reserve */
    bench_send(&sender, token, 0, 500000, 0, 2);
    bench_run(&bench, 100 * MS);
    reader.refuse_regions = false;
    bench_run(&bench, 1500 * (uint64_t)MS);
    for (uint32_t i = 0; i < 2; i++) {
        struct mn_delivery message;
        do
            cr_assert(bench_take_delivery(&reader, &message), "message %u", i);
        while (message.op == MN_OP_STALLED);
        cr_assert_eq(message.op, MN_OP_MESSAGE);
        cr_assert_eq(memcmp(bench_bytes(&reader, &message), sender.regions[1], message.length), 0);
    }
}

Test(channel_engine, detach__while_memory_is_short)
{
    reader.refuse_regions = true;
    bench_connect(&sender, token, &reader);
    for (uint32_t i = 0; i < 40; i++)
        bench_send(&sender, token, 0, 60000, 0, i);
    bench_send(&sender, token, 0, MIB, 0, 40);
    bench_run(&bench, 20 * MS);
    bench_detach(&reader);
    bench_run(&bench, 20 * MS);
    bench_expect_closed(&sender, token, MACHNET_ERESET);
}

static uint64_t sent_after_a_turn(uint32_t messages)
{
    struct channel_info info;
    for (uint32_t i = 0; i < messages; i++)
        bench_send(&sender, token, 0, 8, 0, i);
    bench_turn(&bench);
    channel_info(sender.channel, &info);
    return info.messages_sent;
}

Test(channel_engine, send__goes_out_by_halves_if_nothing_is_under_way)
{
    bench_connect(&sender, token, &reader);
    bench_run(&bench, 10 * MS);
    cr_assert_eq(sent_after_a_turn(60), 30);
    cr_assert_eq(sent_after_a_turn(0), 60, "the rest: the other side has something to do");
    bench_run(&bench, 10 * MS);
    cr_assert_eq(sent_after_a_turn(17), 60 + 16);
    bench_run(&bench, 10 * MS);
    cr_assert_eq(sent_after_a_turn(16), 60 + 17 + 16, "too few to be cut");
}

/* ---- Waking ---- */

Test(channel_engine, wake__is_written_only_to_those_who_sleep)
{
    bench_connect(&sender, token, &reader);
    bench_send(&sender, token, 0, 8, 0, 1);
    bench_run(&bench, 10 * MS);
    cr_assert_eq(bench_woken(&reader), 0);
    cr_assert_eq(bench_woken(&sender), 0);

    atomic_store(&reader.header->client_sleeping, MN_WAKE_DELIVERIES);
    atomic_store(&sender.header->client_sleeping, MN_WAKE_DELIVERIES);
    bench_send(&sender, token, 0, 8, 0, 2);
    bench_run(&bench, 10 * MS);
    cr_assert_eq(bench_woken(&reader), 1);
    cr_assert_eq(atomic_load(&reader.header->client_sleeping), 0);
    cr_assert_eq(bench_woken(&sender), 0, "it sleeps, but not for completions");
    cr_assert_eq(atomic_load(&sender.header->client_sleeping), MN_WAKE_DELIVERIES, "and still does");

    atomic_store(&sender.header->client_sleeping, MN_WAKE_COMPLETIONS);
    bench_send(&sender, token, 0, 8, 0, 3);
    bench_run(&bench, 10 * MS);
    cr_assert_eq(bench_woken(&sender), 1);
}

Test(channel_engine, sleep__asks_for_releases_while_something_is_lent)
{
    bench_connect(&sender, token, &reader);
    bench_run(&bench, MS);
    cr_assert_eq(atomic_load(&reader.header->engine_sleeping), MN_WAKE_SUBMISSIONS);
    bench_send(&sender, token, 0, 8, 0, 1); /* however little: a peer may be out of credit */
    bench_run(&bench, 10 * MS);
    cr_assert_eq(atomic_load(&reader.header->engine_sleeping), MN_WAKE_SUBMISSIONS | MN_WAKE_RELEASES);
    cr_assert_eq(bench.worker->active.count, 0, "all channels sleep");
}

Test(channel_engine, sleep__looks_once_more)
{
    uint64_t deadline;
    bench_run(&bench, MS);
    channel_awake(sender.channel);
    for (uint32_t i = 0; i < 2; i++) {
        struct mn_ring *ring = i == 0 ? &sender.submissions : &sender.releases;
        cr_assert(channel_sleep(sender.channel, &deadline));
        channel_awake(sender.channel);
        mn_ring_advance(ring, 1); /* just before the bits are set: the application saw no reason to signal */
        mn_ring_publish(ring);
        cr_assert_not(channel_sleep(sender.channel, &deadline));
        cr_assert_eq(atomic_load(&sender.header->engine_sleeping), 0);
        bench_detach(&sender);
        bench_attach(&bench, &sender, MIB, FLOWS);
    }
}

Test(channel_engine, shutdown__is_announced_and_told_to_the_peers)
{
    bench_connect(&sender, token, &reader);
    struct worker_message command = {.type = WORKER_SHUTDOWN};
    cr_assert_eq(bench_command(&bench, &command), MACHNET_OK);
    cr_assert_eq((int32_t)atomic_load(&sender.header->closed), -MACHNET_EENGINEGONE);
    cr_assert_eq((int32_t)atomic_load(&reader.header->closed), -MACHNET_EENGINEGONE);
    cr_assert_eq(bench_woken(&sender), 1);
    struct worker_message detach = {.type = WORKER_DETACH, .channel = sender.channel};
    cr_assert_eq(bench_command(&bench, &detach), MACHNET_EENGINEGONE);
}
