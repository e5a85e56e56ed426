/* SPDX-License-Identifier: MIT */
/* What the controller asks of a worker, without its thread: how much of it in one turn, and in which order. */
#include <criterion/criterion.h>

#include "machnet/machnet.h"
#include "support/engine_bench.h"

enum { COMMANDS = 1000, MOST_IN_A_TURN = 64, PORT_FIRST = 8000 };

static struct bench bench;
static struct bench_client client;

struct posted {
    struct worker_message message;
    uint32_t *done;
    uint32_t place; /* in which it came back; 0: not yet */
};

static void count(struct worker_message *message)
{
    struct posted *posted = (struct posted *)(void *)message;
    posted->place = ++*posted->done;
}

static void post(struct posted *posted, struct worker_message message, uint32_t *done)
{
    message.done = count;
    *posted = (struct posted){message, done, 0};
    worker_post(bench.worker, &posted->message);
}

static void report(void *arg, struct worker *worker)
{
    worker_counters(worker, arg);
}

static void turn(void)
{
    worker_turn(bench.worker, bench.now += 1000);
    worker_collect(bench.worker, NULL, NULL);
}

Test(worker_commands, turn__does_a_bounded_part_in_order_and_status_first)
{
    static struct posted listen[COMMANDS], status;
    struct worker_counters counters;
    uint32_t done = 0;
    bench_open(&bench);
    bench_attach(&bench, &client, 1 << 20, 16);
    for (uint32_t i = 0; i < COMMANDS; i++)
        post(&listen[i],
             (struct worker_message){.type = WORKER_LISTEN,
                                     .channel = client.channel,
                                     .endpoint.port = (uint16_t)(PORT_FIRST + i),
                                     .listener = 2 + i},
             &done);
    turn();
    cr_assert(done > 0 && done <= MOST_IN_A_TURN, "%u", done);
    post(&status, (struct worker_message){.type = WORKER_STATUS, .report = report, .report_arg = &counters}, &done);
    turn();
    cr_assert_gt(status.place, 0, "it does not wait for those before it");
    cr_assert_leq(done, 2 * MOST_IN_A_TURN + 1);
    for (uint32_t turns = 0; done < COMMANDS + 1; turns++) {
        cr_assert_lt(turns, COMMANDS);
        turn();
    }
    for (uint32_t i = 0; i < COMMANDS; i++) {
        cr_assert_eq(listen[i].message.status, MACHNET_OK);
        cr_assert(i == 0 || listen[i].place > listen[i - 1].place);
    }
    bench_detach(&client);
    bench_close(&bench);
}
