/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/prng.h"
#include "flow/state.h"

enum { FLOWS = 64, SLOT_NS = 1 << PACING_SLOT_BITS, HORIZON_NS = PACING_SLOTS * SLOT_NS };

struct bench {
    struct pacing pacing;
    struct flow *flows; /* FLOWS */
    uint64_t at[FLOWS];
};

static void start(struct bench *bench)
{
    *bench = (struct bench){.flows = calloc(FLOWS, sizeof(struct flow))};
    cr_assert(bench->flows);
}

Test(pacing, next__empty__never)
{
    struct bench bench;
    start(&bench);
    cr_assert_eq(pacing_next(&bench.pacing), UINT64_MAX);
    cr_assert_null(pacing_take(&bench.pacing, UINT64_MAX / 2));
    free(bench.flows);
}

/* In the order of their times, to the slot; never early; at most a slot late. */
Test(pacing, take__in_order_and_never_early)
{
    struct bench bench;
    start(&bench);
    struct prng prng;
    prng_init(&prng, 1);
    uint64_t now = 123456789;
    for (uint32_t round = 0; round < 200; round++) {
        for (uint32_t i = 0; i < FLOWS; i++) {
            bench.at[i] = now + 1 + prng_next(&prng) % (HORIZON_NS - 2 * SLOT_NS);
            pacing_add(&bench.pacing, &bench.flows[i], bench.at[i], now);
            cr_assert(bench.flows[i].paced);
        }
        for (uint32_t i = 0; i < FLOWS; i++) {
            const uint64_t next = pacing_next(&bench.pacing);
            cr_assert_null(pacing_take(&bench.pacing, next - 1));
            struct flow *flow = pacing_take(&bench.pacing, next);
            cr_assert(flow && !flow->paced);
            const uint64_t at = bench.at[flow - bench.flows];
            cr_assert(next >= at && next < at + SLOT_NS);
            now = next;
        }
        cr_assert_eq(pacing_next(&bench.pacing), UINT64_MAX);
    }
    free(bench.flows);
}

/* Who waits for longer than the wheel goes around comes back early, and can be added again. */
Test(pacing, add__beyond_the_horizon)
{
    struct bench bench;
    start(&bench);
    const uint64_t at = 10 * (uint64_t)HORIZON_NS + 5;
    uint64_t now = 7;
    uint32_t laps = 0;
    while (now < at) {
        pacing_add(&bench.pacing, &bench.flows[0], at, now);
        now = pacing_next(&bench.pacing);
        cr_assert_eq(pacing_take(&bench.pacing, now), &bench.flows[0]);
        cr_assert_lt(laps++, 20);
    }
    cr_assert_lt(now, at + SLOT_NS);
    free(bench.flows);
}

Test(pacing, remove__is_not_taken)
{
    struct bench bench;
    start(&bench);
    pacing_add(&bench.pacing, &bench.flows[0], 5000, 0);
    pacing_add(&bench.pacing, &bench.flows[1], 5000, 0);
    pacing_add(&bench.pacing, &bench.flows[2], 9000, 0);
    pacing_remove(&bench.pacing, &bench.flows[0]);
    cr_assert_eq(pacing_take(&bench.pacing, 6000), &bench.flows[1]);
    pacing_remove(&bench.pacing, &bench.flows[2]);
    cr_assert_eq(pacing_next(&bench.pacing), UINT64_MAX);
    free(bench.flows);
}

/* A loop that comes late gets all that is due, the longest waiting first, and nothing else. */
Test(pacing, take__late)
{
    struct bench bench;
    start(&bench);
    pacing_add(&bench.pacing, &bench.flows[0], 300000, 0);
    pacing_add(&bench.pacing, &bench.flows[1], 100000, 0);
    pacing_add(&bench.pacing, &bench.flows[2], 900000, 0);
    cr_assert_eq(pacing_take(&bench.pacing, 500000), &bench.flows[1]);
    cr_assert_eq(pacing_take(&bench.pacing, 500000), &bench.flows[0]);
    cr_assert_null(pacing_take(&bench.pacing, 500000));
    cr_assert_eq(pacing_take(&bench.pacing, UINT64_C(1) << 40), &bench.flows[2]);
    free(bench.flows);
}
