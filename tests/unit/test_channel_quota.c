/* SPDX-License-Identifier: MIT */
/* The flows of one user, over all channels. */
#include <criterion/criterion.h>

#include "machnet/machnet.h"
#include "support/engine_bench.h"

enum { MIB = 1 << 20, FLOWS = 64, MS = 1000000 };

static const uint64_t token = UINT64_C(1) << 32;

static struct bench bench;
static struct bench_client first, second, server; /* of the same user */

static void setup(void)
{
    bench_open(&bench);
    bench_attach(&bench, &first, 16 * MIB, FLOWS);
    bench_attach(&bench, &second, 16 * MIB, FLOWS);
    bench_attach(&bench, &server, 16 * MIB, FLOWS);
    bench_listen(&server);
}

static void teardown(void)
{
    bench_close(&bench);
    cr_assert_eq(bench.flows.used, 0);
}

TestSuite(channel_quota, .init = setup, .fini = teardown, .timeout = 60);

Test(channel_quota, open__beyond_the_flows_of_the_user_is_answered)
{
    bench.flows.limit = 4;
    bench_connect(&first, token, &server); /* two flows: each side has one */
    uint64_t there = bench_connect(&second, token, &server);
    cr_assert_eq(bench.flows.used, 4);
    bench_open_flow(&first, token + 1, BENCH_PORT);
    bench_run(&bench, 0);
    bench_expect_closed(&first, token + 1, MACHNET_EQUOTA);
    bench_expect_silence(&server);
    cr_assert_eq(bench.flows.used, 4);

    bench_close_flow(&first, token + 1, false); /* which gives back nothing */
    bench_close_flow(&second, token, false);
    bench_run(&bench, 10 * MS);
    bench_expect_closed(&second, token, MACHNET_OK);
    bench_expect_closed(&server, there, MACHNET_ECLOSED);
    cr_assert_eq(bench.flows.used, 3);
    bench_close_flow(&server, there, false);
    bench_run(&bench, 0);
    cr_assert_eq(bench.flows.used, 2);
    bench_connect(&first, token + 2, &server);
    cr_assert_eq(bench.flows.used, 4);
}

Test(channel_quota, accept__beyond_the_flows_of_the_user_is_refused)
{
    bench.flows.limit = 3;
    bench_connect(&first, token, &server);
    bench_open_flow(&second, token, BENCH_PORT);
    bench_run(&bench, 50 * MS);
    struct mn_delivery delivery;
    bool closed = false;
    while (bench_take_delivery(&second, &delivery))
        closed |= delivery.op == MN_OP_CLOSED && delivery.status < 0;
    cr_assert(closed);
    bench_expect_silence(&server);
    cr_assert_eq(bench.flows.used, 3, "until the application has closed the one that failed");
    bench_close_flow(&second, token, false);
    bench_run(&bench, 0);
    cr_assert_eq(bench.flows.used, 2);
}

Test(channel_quota, detach__gives_all_back)
{
    bench.flows.limit = 4;
    bench_connect(&first, token, &server);
    bench_connect(&second, token, &server);
    bench_detach(&second);
    cr_assert_eq(bench.flows.used, 3);
    bench_detach(&server);
    cr_assert_eq(bench.flows.used, 1);
}
