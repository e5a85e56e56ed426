/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/prng.h"
#include "tools/perf_histogram.h"

static struct perf_histogram histogram;

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void expect_close(uint64_t reported, uint64_t exact)
{
    uint64_t difference = reported > exact ? reported - exact : exact - reported;
    cr_assert(difference <= exact >> (PERF_HISTOGRAM_BITS + 1), "%lu for %lu", (unsigned long)reported,
              (unsigned long)exact);
}

Test(perf_histogram_record, every_value_is_found_again_within_the_bound)
{
    for (uint32_t bits = 0; bits < 64; bits++) {
        for (int64_t near = -2; near <= 2; near++) {
            uint64_t value = (UINT64_C(1) << bits) + (uint64_t)near;
            histogram = (struct perf_histogram){0};
            perf_histogram_record(&histogram, value);
            histogram.max = UINT64_MAX; /* it would hide an error upwards */
            expect_close(perf_histogram_percentile(&histogram, 50), value);
        }
    }
}

Test(perf_histogram_record, small_values_are_exact)
{
    for (uint64_t value = 0; value < 256; value++) {
        histogram = (struct perf_histogram){0};
        perf_histogram_record(&histogram, value);
        cr_assert_eq(perf_histogram_percentile(&histogram, 100), value);
    }
}

Test(perf_histogram_percentile, equals_the_sorted_list)
{
    enum { COUNT = 20000 };
    static const double percents[] = {0.01, 1, 50, 90, 99, 99.9, 99.99, 100};
    static uint64_t values[COUNT];
    struct prng random;
    prng_init(&random, 7);
    for (int i = 0; i < COUNT; i++) {
        values[i] = prng_next(&random) >> (prng_next(&random) % 50);
        perf_histogram_record(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof *values, compare);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        double rank = COUNT * percents[i] / 100;
        uint64_t index = (double)(uint64_t)rank < rank ? (uint64_t)rank : (uint64_t)rank - 1; /* ceil, from 0 */
        expect_close(perf_histogram_percentile(&histogram, percents[i]), values[index]);
    }
    cr_assert_eq(histogram.count, COUNT);
    cr_assert_eq(histogram.max, values[COUNT - 1]);
}

Test(perf_histogram_percentile, is_not_above_the_largest_value)
{
    perf_histogram_record(&histogram, 1000000);
    cr_assert_leq(perf_histogram_percentile(&histogram, 99.9), 1000000);
}

Test(perf_histogram_percentile, of_nothing_is_0)
{
    cr_assert_eq(perf_histogram_percentile(&histogram, 50), 0);
}
