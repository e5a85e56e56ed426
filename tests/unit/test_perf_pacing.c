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

/* How long before its time an open loop wakes up after sleeps of which one of `each` was late by late_ns, the others by else_ns. */
static uint64_t ahead_after(uint32_t each, uint64_t late_ns, uint64_t else_ns)
{
    struct perf_sleep sleep = {0};
    for (uint32_t i = 0; i < 10000; i++) {
        uint64_t wait_ns = perf_sleep_wait_ns(&sleep, 1000000);
        perf_sleep_learn(&sleep, wait_ns, wait_ns + (i % each == 0 ? late_ns : else_ns));
    }
    return 1000000 - perf_sleep_wait_ns(&sleep, 1000000);
}

Test(perf_sleep_learn, sleeps_end_before_the_time_by_as_much_as_they_are_late)
{
    cr_assert_eq(ahead_after(1, 0, 0), 50000, "a wait of 50 us polls");
    cr_assert(ahead_after(1, 130000, 0) >= 125000 && ahead_after(1, 130000, 0) <= 140000);
    cr_assert(ahead_after(8, 130000, 60000) >= 125000, "late in one of 8");
    cr_assert(ahead_after(100, 5000000, 60000) <= 75000, "late in one of 100: polling so long is not worth it");
    cr_assert_eq(ahead_after(1, 5000000, 0), 250000, "no more than that is polled");
}

Test(perf_sleep_wait_ns, the_rest_is_waited_for_in_steps_that_poll)
{
    struct perf_sleep sleep = {0};
    for (int i = 0; i < 1000; i++)
        perf_sleep_learn(&sleep, 800000, 920000);
    cr_assert_gt(perf_sleep_wait_ns(&sleep, 1000000), 800000);
    cr_assert_eq(perf_sleep_wait_ns(&sleep, 120000), 50000);
    cr_assert_eq(perf_sleep_wait_ns(&sleep, 70000), 50000);
    cr_assert_eq(perf_sleep_wait_ns(&sleep, 20000), 20000);
}
