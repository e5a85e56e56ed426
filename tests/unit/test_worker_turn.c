/* SPDX-License-Identifier: MIT */
/* The turns of a worker, one by one, by a clock of the test's own. */
#include <criterion/criterion.h>

#include "machnet/machnet.h"
#include "support/engine_bench.h"
#include "worker_internal.h"

enum { MIB = 1 << 20, MS = 1000000 };

static const uint64_t token = UINT64_C(1) << 32; /* generation 1, index 0 */

static struct bench bench;
static struct bench_client sender, reader;

static void setup(void)
{
    bench_open(&bench);
    bench_attach(&bench, &sender, 64 * MIB, 1024);
    bench_attach(&bench, &reader, 64 * MIB, 1024);
    bench_listen(&reader);
}

static void teardown(void)
{
    bench_close(&bench);
}

TestSuite(worker_turn, .init = setup, .fini = teardown, .timeout = 60);

Test(worker_turn, what_is_asked_for__goes_out_before_the_network_is_looked_at)
{
    const struct nic_counters *loop = &bench.worker->ports[PORT_LOOP]->counters;
    bench_connect(&sender, token, &reader);
    bench_run(&bench, 10 * MS);
    for (uint64_t cookie = 1; cookie < 20; cookie += 2) {
        uint64_t looks = loop->receive_calls, sent = loop->packets_sent;
        bench_send(&sender, token, 0, 8, 0, cookie);
        bench_turn(&bench);
        cr_assert_gt(loop->packets_sent, sent);
        cr_assert_eq(loop->receive_calls, looks);

        bench_send(&sender, token, 0, 8, 0, cookie + 1);
        bench_turn(&bench);
        cr_assert_gt(loop->receive_calls, looks, "who asks in each turn does not keep the network from us");
        bench_run(&bench, 10 * MS);
    }
}

/* Sends one message after `after_ns` of quiet; how patient the worker is when it was delivered. */
static uint64_t patience_after(uint64_t after_ns)
{
    static uint64_t cookie;
    bench_run(&bench, after_ns);
    bench_send(&sender, token, 0, 8, 0, ++cookie);
    while (bench.worker->awaited != AWAITED_NETWORK)
        bench_turn(&bench);
    while (bench.worker->awaited != AWAITED_APPLICATION)
        bench_turn(&bench);
    return worker_patience_ns(bench.worker);
}

Test(worker_turn, patience__lasts_while_it_pays)
{
    const uint64_t spin_ns = bench.worker->config.spin_ns;
    bench_connect(&sender, token, &reader);
    patience_after(0);
    cr_assert_eq(patience_after(10 * MS), spin_ns, "the application took long, by chance perhaps");
    cr_assert_eq(patience_after(10 * MS), 0, "it may do so again");
    cr_assert_eq(patience_after(0), spin_ns, "now it did not");
    cr_assert_eq(patience_after(0), spin_ns);
    cr_assert_eq(patience_after(4 * spin_ns), spin_ns);
    cr_assert_eq(patience_after(4 * spin_ns), 0);
}

Test(worker_turn, patience__is_not_for_acknowledgements_of_what_was_given_back)
{
    uint32_t both = 0;
    bench_connect(&sender, token, &reader);
    bench_run(&bench, 10 * MS);
    for (uint32_t i = 0; i < 200; i++) {
        struct mn_delivery message;
        patience_after(MS);
        cr_assert(bench_take_delivery(&reader, &message));
        bench_release(&reader, message.lease);
        const uint64_t sent = bench.worker->ports[PORT_LOOP]->counters.packets_sent;
        bench.now += i * 1000;
        bench_turn(&bench);
        both += bench.worker->asked && bench.worker->ports[PORT_LOOP]->counters.packets_sent > sent;
        cr_assert_eq(bench.worker->awaited, AWAITED_APPLICATION);
    }
    cr_assert_gt(both, 0, "never was an ACK sent in a turn that took a release");
}

/* As after waits for the network and for applications that were not worth polling. */
static void lose_patience(void)
{
    for (int side = 0; side < 2; side++)
        bench.worker->patience[side] = (struct mn_patience){.slept = 1000, .pause = 1};
}

Test(worker_turn, patience__of_a_moment_for_the_ack)
{
    struct worker *worker = bench.worker;
    const uint64_t sent = bench.now;
    lose_patience();
    worker->awaited = AWAITED_NETWORK;
    worker->last_progress = sent;
    cr_assert(worker_is_patient(worker, sent + 19999));
    cr_assert_not(worker_is_patient(worker, sent + 20000));
    worker->config.spin_ns = 5000;
    cr_assert(worker_is_patient(worker, sent + 4999));
    cr_assert_not(worker_is_patient(worker, sent + 5000), "no longer than it is asked to poll at most");
    worker->config.poll = WORKER_POLL_SLEEP;
    cr_assert_not(worker_is_patient(worker, sent));
    worker->config.poll = WORKER_POLL_SPIN;
    cr_assert(worker_is_patient(worker, sent + 3600 * UINT64_C(1000000000)));
    worker->config.poll = WORKER_POLL_ADAPTIVE;
    worker->awaited = AWAITED_APPLICATION;
    cr_assert_not(worker_is_patient(worker, sent));
}

Test(worker_turn, patience__does_not_begin_again_with_the_ack)
{
    struct worker *worker = bench.worker;
    bench_connect(&sender, token, &reader);
    bench_run(&bench, 10 * MS);
    bench_send(&sender, token, 0, 8, 0, 1);
    uint32_t awake = 0; /* turns, 2 us each */
    for (const uint64_t start = bench.now; bench.now < start + 200000; bench.now += 1000) {
        const bool busy = bench_turn(&bench) > 0;
        worker->awaited = AWAITED_NETWORK; /* the reader might be another engine's */
        worker->last_progress = start;
        lose_patience();
        if (busy || worker->active.count > 0 || worker_is_patient(worker, bench.now))
            awake++;
    }
    bench_expect_completion(&sender, 1, MACHNET_OK);
    cr_assert_leq(awake, 12, "%u", awake);
}

Test(worker_turn, processor__is_offered_rarely_only_while_an_answer_may_be_near)
{
    struct worker *worker = bench.worker;
    const uint64_t began = bench.now;
    worker->last_busy = began;
    worker->shared_until = began + 10 * MS;
    worker->yield_every_ns = 40000;
    cr_assert_eq(worker_yield_every_ns(worker, began + 29999), 40000);
    cr_assert_eq(worker_yield_every_ns(worker, began + 30000), 6000);
    worker->yield_every_ns = 3000;
    cr_assert_eq(worker_yield_every_ns(worker, began + 30000), 3000);
    worker->yield_every_ns = 40000;
    cr_assert_eq(worker_yield_every_ns(worker, began + 10 * MS), 3000, "nobody has taken it for long");
}

/* Empty turns, 1 us each, from `from_ns` to `to_ns` after the last progress; in how many the NIC was asked. */
static uint64_t looks(uint64_t from_ns, uint64_t to_ns)
{
    struct worker *worker = bench.worker;
    const uint64_t before = worker->ports[PORT_NIC]->counters.receive_calls;
    for (uint64_t ns = from_ns; ns < to_ns; ns += 1000)
        worker_turn(worker, worker->last_progress + ns);
    return worker->ports[PORT_NIC]->counters.receive_calls - before;
}

Test(worker_turn, nic_that_wakes_us__is_asked_in_each_turn_only_while_we_are_patient)
{
    struct worker *worker = bench.worker;
    lose_patience();
    worker->nic_wakes = true;
    worker->awaited = AWAITED_NETWORK;
    worker->last_progress = bench.now;
    cr_assert_eq(looks(1000, 20000), 19);
    cr_assert_leq(looks(20000, 60000), 21);
    worker->config.poll = WORKER_POLL_SPIN;
    worker->nic_quiet = false;
    cr_assert_eq(looks(60000, 100000), 40);
}
