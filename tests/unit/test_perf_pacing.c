/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "tools/perf_pacing.h"

Test(perf_pacing_due, even_times_do_not_drift)
{
    struct perf_pacing pacing;
    perf_pacing_start(&pacing, 5000, 3, false, 1);
    for (uint64_t i = 0; i < 3000000; i++) {
        if (i % 300000 == 0)
            cr_assert_eq(perf_pacing_due(&pacing), 5000 + i / 3 * 1000000000, "send %lu", (unsigned long)i);
        perf_pacing_advance(&pacing);
    }
}

Test(perf_pacing_advance, depends_on_no_clock)
{
    /* A sender that stalls for 10 intervals finds 10 sends due, each at its own time. */
    struct perf_pacing pacing;
    perf_pacing_start(&pacing, 0, 1000, false, 1);
    uint64_t now = 10500000, sent = 0;
    while (perf_pacing_due(&pacing) <= now) {
        cr_assert_eq(perf_pacing_due(&pacing), sent * 1000000);
        perf_pacing_advance(&pacing);
        sent++;
    }
    cr_assert_eq(sent, 11);
}

Test(perf_pacing_advance, poisson_has_the_rate_and_spread_of_an_exponential)
{
    enum { COUNT = 200000 };
    struct perf_pacing pacing;
    double sum = 0, squares = 0;
    perf_pacing_start(&pacing, 0, 1000, true, 42);
    cr_assert_eq(perf_pacing_due(&pacing), 0);
    for (int i = 0; i < COUNT; i++) {
        uint64_t before = perf_pacing_due(&pacing);
        perf_pacing_advance(&pacing);
        cr_assert_geq(perf_pacing_due(&pacing), before);
        double interval = (double)(perf_pacing_due(&pacing) - before) / 1e6;
        sum += interval;
        squares += interval * interval;
    }
    cr_assert_float_eq(sum / COUNT, 1, 0.01);
    cr_assert_float_eq(squares / COUNT, 2, 0.04, "mean of squares is twice the square of the mean");
}

Test(perf_pacing_start, poisson_repeats_with_its_seed)
{
    struct perf_pacing one, same, other;
    perf_pacing_start(&one, 0, 1000, true, 1);
    perf_pacing_start(&same, 0, 1000, true, 1);
    perf_pacing_start(&other, 0, 1000, true, 2);
    for (int i = 0; i < 10; i++) {
        perf_pacing_advance(&one);
        perf_pacing_advance(&same);
        perf_pacing_advance(&other);
        cr_assert_eq(perf_pacing_due(&one), perf_pacing_due(&same));
        cr_assert_neq(perf_pacing_due(&one), perf_pacing_due(&other));
    }
}
