/* SPDX-License-Identifier: MIT */
#include "perf_histogram.h"

/* Values of one bucket differ in their lowest `shift` bits only. */
static uint32_t shift_of(uint64_t value)
{
    uint32_t bits = 64 - (uint32_t)__builtin_clzll(value | 1);
    return bits > PERF_HISTOGRAM_BITS + 1 ? bits - PERF_HISTOGRAM_BITS - 1 : 0;
}

/* Buckets 0 .. 2^(B+1) - 1 have shift 0, each further 2^B of them one more: index = shift * 2^B + (value >> shift). */
static uint32_t bucket_of(uint64_t value)
{
    uint32_t shift = shift_of(value);
    return (shift << PERF_HISTOGRAM_BITS) + (uint32_t)(value >> shift);
}

static uint64_t middle_of(uint32_t bucket)
{
    uint32_t row = bucket >> PERF_HISTOGRAM_BITS, shift = row > 0 ? row - 1 : 0;
    uint64_t low = (uint64_t)(bucket - (shift << PERF_HISTOGRAM_BITS)) << shift;
    return low + ((UINT64_C(1) << shift) >> 1);
}

void perf_histogram_record(struct perf_histogram *histogram, uint64_t value)
{
    histogram->count++;
    if (value > histogram->max)
        histogram->max = value;
    histogram->buckets[bucket_of(value)]++;
}

uint64_t perf_histogram_percentile(const struct perf_histogram *histogram, double percent)
{
    double wanted = (double)histogram->count * percent / 100;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < PERF_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (histogram->buckets[i] > 0 && (double)seen >= wanted) {
            uint64_t value = middle_of(i);
            return value < histogram->max ? value : histogram->max;
        }
    }
    return histogram->max;
}
