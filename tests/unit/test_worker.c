/* SPDX-License-Identifier: MIT */
/* A worker with its thread: does it sleep, and is it woken? ctest-labels: tsan */
#include <criterion/criterion.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "machnet/machnet.h"
#include "support/engine_bench.h"

enum { MIB = 1 << 20, SPIN_NS = 50000 };

static const uint64_t token = UINT64_C(1) << 32;

static struct bench bench;
static struct bench_client client;

static void setup(void)
{
    uint16_t port = (uint16_t)(20000 + getpid() % 10000); /* tests run side by side */
    bench_open_threaded(&bench, port, SPIN_NS);
    bench_attach(&bench, &client, 8 * MIB, 1024);
}

static void teardown(void)
{
    bench_close(&bench);
}

TestSuite(worker, .init = setup, .fini = teardown, .timeout = 60);

static void report(void *arg, struct worker *worker)
{
    worker_counters(worker, arg);
}

static struct worker_counters counters(void)
{
    struct worker_counters now = {0};
    struct worker_message command = {.type = WORKER_STATUS, .report = report, .report_arg = &now};
    cr_assert_eq(bench_command(&bench, &command), MACHNET_OK);
    return now;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

Test(worker, idle__uses_no_processor)
{
    sleep_ms(20);
    struct worker_counters before = counters();
    sleep_ms(500);
    struct worker_counters after = counters();
    cr_assert_lt(after.cpu_ns - before.cpu_ns, 5000000, "1 %% of a core");
    cr_assert_lt(after.sleeps - before.sleeps, 20);
    cr_assert_eq(atomic_load(&client.header->engine_sleeping), MN_WAKE_SUBMISSIONS);
}

static void set_nic_timer(void *arg, struct worker *worker)
{
    (void)worker;
    bench.nic->queues[0]->timer_ns = *(const uint64_t *)arg;
}

static void take_nic_time(void *arg, struct worker *worker)
{
    (void)worker;
    *(uint64_t *)arg = bench.nic->queues[0]->now_ns;
}

/* The socket has no timer of its own: nobody takes this one back, so the worker turns and turns from then on. */
Test(worker, idle__does_not_sleep_beyond_the_timer_of_the_nic)
{
    uint64_t at = clock_now_ns() + 200000000, time = 0;
    struct worker_message command = {.type = WORKER_STATUS, .report = set_nic_timer, .report_arg = &at};
    struct worker_counters before = counters();
    cr_assert_eq(bench_command(&bench, &command), MACHNET_OK);
    sleep_ms(150);
    struct worker_counters asleep = counters();
    sleep_ms(150);
    struct worker_counters late = counters();
    cr_assert_lt(asleep.loops - before.loops, late.loops - asleep.loops);
    command = (struct worker_message){.type = WORKER_STATUS, .report = take_nic_time, .report_arg = &time};
    cr_assert_eq(bench_command(&bench, &command), MACHNET_OK);
    cr_assert_geq(time, at, "its time is the worker's");
}

Test(worker, hostile_event_descriptor__neither_stops_nor_blocks)
{
    cr_assert_eq(eventfd_write(client.memory.event, UINT64_MAX - 1), 0, "full: another write would block");
    sleep_ms(20);
    struct worker_counters before = counters();
    sleep_ms(200);
    struct worker_counters after = counters();
    cr_assert_lt(after.cpu_ns - before.cpu_ns, 4000000, "it stays readable, but that is told once");
    uint64_t value;
    cr_assert_eq(eventfd_read(client.memory.event, &value), 0);
    cr_assert_eq(value, UINT64_MAX - 1, "and nobody reads it");
}

/* Sleeps as the library does until a delivery is there. */
static void wait_for_delivery(struct mn_delivery *delivery)
{
    while (!bench_take_delivery(&client, delivery)) {
        atomic_fetch_or(&client.header->client_sleeping, MN_WAKE_DELIVERIES);
        atomic_thread_fence(memory_order_seq_cst);
        if (mn_ring_ready(&client.deliveries) == 0) {
            struct pollfd ready = {.fd = client.signal_fd, .events = POLLIN};
            cr_assert_eq(poll(&ready, 1, 5000), 1, "a wake-up was lost");
        }
        atomic_store(&client.header->client_sleeping, 0);
        bench_woken(&client);
    }
}

Test(worker, both_asleep__no_wake_up_is_lost)
{
    enum { ROUNDS = 3000 };
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct mn_delivery delivery;
        uint64_t flow = token + ((uint64_t)i << 32);
        bench_open_flow(&client, flow, BENCH_PORT); /* nobody listens: answered with CLOSED */
        wait_for_delivery(&delivery);
        cr_assert_eq(delivery.op, MN_OP_CLOSED);
        cr_assert_eq(delivery.flow, flow);
        bench_close_flow(&client, flow, false);
        if (i % 3 == 0) /* somewhere around the moment when the worker goes to sleep */
            nanosleep(&(struct timespec){.tv_nsec = (long)(i % 64) * 2000}, NULL);
    }
    cr_assert_gt(counters().wakeups, 10);
}

Test(worker, stop__without_shutdown_frees_all)
{
    bench_open_flow(&client, token, BENCH_PORT);
}
