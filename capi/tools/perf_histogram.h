/* SPDX-License-Identifier: MIT */
/*
 * A log-linear histogram of 64-bit values, after Gil Tene's HdrHistogram (github.com/HdrHistogram): each power of two is split into
 * the same number of equal buckets, so the relative error is bounded over the whole range and recording is a shift and an add.
 *
 * With B = PERF_HISTOGRAM_BITS a value v < 2^(B+1) has a bucket of its own; another one shares its bucket with values that differ
 * from it by less than v / 2^B. A percentile is reported as the middle of its bucket: |reported - true| <= true / 2^(B+1) = true / 256.
 */
#ifndef MACHNET_TOOLS_PERF_HISTOGRAM_H
#define MACHNET_TOOLS_PERF_HISTOGRAM_H

#include <stdint.h>

enum {
    PERF_HISTOGRAM_BITS = 7,
    PERF_HISTOGRAM_BUCKETS = (65 - PERF_HISTOGRAM_BITS) << PERF_HISTOGRAM_BITS,
};

/* All zero: empty. */
struct perf_histogram {
    uint64_t count, max; /* exact */
    uint64_t buckets[PERF_HISTOGRAM_BUCKETS];
};

void perf_histogram_record(struct perf_histogram *histogram, uint64_t value);

/* The smallest value that at least `percent` (0 .. 100] of all values do not exceed, within the error above and never above `max`.
 * 0 if the histogram is empty. */
uint64_t perf_histogram_percentile(const struct perf_histogram *histogram, double percent);

#endif /* MACHNET_TOOLS_PERF_HISTOGRAM_H */
