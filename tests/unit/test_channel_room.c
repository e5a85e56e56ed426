/* SPDX-License-Identifier: MIT */
/* Full rings, seen from the engine: it is woken when there is room again, and wakes who waits for room. */
#include <criterion/criterion.h>

#include "machnet/machnet.h"
#include "support/engine_bench.h"

enum { MIB = 1 << 20, FLOWS = 4096, MS = 1000000 };

static struct bench bench;
static struct bench_client client;

static void setup(void)
{
    bench_open(&bench);
    bench_attach(&bench, &client, 8 * MIB, FLOWS);
    bench_run(&bench, MS);
}

static void teardown(void)
{
    bench_close(&bench);
}

TestSuite(channel_room, .init = setup, .fini = teardown, .timeout = 60);

static uint64_t token(uint32_t index)
{
    return UINT64_C(1) << 32 | index;
}

/* To no address: answered at once by CLOSED, which lends nothing and is never released. */
static void submit_in_vain(uint32_t index)
{
    struct mn_submission_open open = {.op = MN_OP_OPEN, .remote_port = 1, .flow = token(index), .timeout_ns = MS};
    bench_submit(&client, &open);
}

static void open_in_vain(uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        submit_in_vain(i);
        bench_run(&bench, 0);
    }
}

static uint32_t asked_for(void)
{
    return atomic_load(&client.header->engine_sleeping);
}

Test(channel_room, deliveries__sleep_asks_for_room_and_nothing_else_wakes)
{
    open_in_vain(0, MN_DELIVERIES);
    bench_run(&bench, MS);
    cr_assert_eq(asked_for(), MN_WAKE_SUBMISSIONS, "the last one fitted");
    open_in_vain(MN_DELIVERIES, 2);
    bench_run(&bench, 10 * MS);
    cr_assert_eq(bench.worker->active.count, 0, "the channel sleeps");
    cr_assert_eq(bench.worker->channel_deadline, UINT64_MAX, "and no timer looks");
    cr_assert_eq(asked_for(), MN_WAKE_SUBMISSIONS | MN_WAKE_ROOM);
    for (uint32_t i = 0; i < 2; i++) {
        bench_expect_closed(&client, token(i), MACHNET_EINVAL);
        bench_run(&bench, MS / 10);
        cr_assert_eq(mn_ring_ready(&client.deliveries), MN_DELIVERIES - 1);
        client.deliveries.cached = client.deliveries.next; /* look at the engine's index */
        cr_assert_eq(mn_ring_ready(&client.deliveries), MN_DELIVERIES, "the room is used at once");
    }
    bench_run(&bench, MS);
    cr_assert_eq(asked_for(), MN_WAKE_SUBMISSIONS);
    for (uint32_t i = 2; i < MN_DELIVERIES + 2; i++)
        bench_expect_closed(&client, token(i), MACHNET_EINVAL);
    bench_expect_silence(&client);
}

Test(channel_room, deliveries__sleep_looks_once_more_for_room)
{
    struct mn_ring *ring = &client.deliveries;
    uint64_t deadline;
    open_in_vain(0, MN_DELIVERIES + 1);
    bench_run(&bench, MS);
    cr_assert_neq(asked_for() & MN_WAKE_ROOM, 0);
    mn_ring_advance(ring, 1); /* just before the bits are set: the application saw no reason to signal */
    mn_ring_publish(ring);
    cr_assert_not(channel_sleep(client.channel, &deadline));
    cr_assert_eq(asked_for(), 0);
    worker_activate(bench.worker, client.channel); /* where channel_sleep has left it */
    bench_run(&bench, MS);
    cr_assert_eq(asked_for(), MN_WAKE_SUBMISSIONS);
}

Test(channel_room, submissions__taken_are_signalled_to_who_waits_for_room)
{
    submit_in_vain(0);
    bench_run(&bench, MS);
    cr_assert_eq(bench_woken(&client), 0, "it does not wait");
    atomic_store(&client.header->client_sleeping, MN_WAKE_COMPLETIONS);
    submit_in_vain(1);
    bench_run(&bench, MS);
    cr_assert_eq(bench_woken(&client), 0, "it waits for something else");
    atomic_store(&client.header->client_sleeping, MN_WAKE_ROOM);
    bench_run(&bench, MS);
    cr_assert_eq(bench_woken(&client), 0, "nothing was taken");
    submit_in_vain(2);
    bench_turn(&bench);
    cr_assert_eq(bench_woken(&client), 1, "in the turn that takes it");
    cr_assert_eq(atomic_load(&client.header->client_sleeping), 0);
}

/* It would sleep with the wrong bits: what comes in the same turn may change what it must be woken for. */
Test(channel_room, let_sleep__leaves_a_channel_awake_that_waits_to_be_flushed)
{
    struct worker *worker = bench.worker;
    cr_assert_eq(worker->active.count, 0);
    worker_schedule(worker, client.channel);
    worker->config.spin_ns = 0;
    worker_poll_channels(worker, bench.now);
    cr_assert_eq(worker->active.count, 1);
    cr_assert_eq(asked_for(), 0);
    bench_run(&bench, MS);
    cr_assert_eq(worker->active.count, 0);
}
