/* SPDX-License-Identifier: MIT */
/*
 * When an open loop sends: at times that depend on nothing but the rate. A send that comes late changes no later time and is not
 * left out, so what a stall delays is seen as latency. Pure: time comes in.
 */
#ifndef MACHNET_TOOLS_PERF_PACING_H
#define MACHNET_TOOLS_PERF_PACING_H

#include <stdbool.h>
#include <stdint.h>

struct perf_pacing {
    uint64_t start_ns;
    double interval_ns; /* mean time between two sends */
    bool poisson;       /* exponential intervals, as of many independent clients; else equal ones */
    uint64_t sent;
    double offset_ns; /* of the next send from the start, if poisson */
    uint64_t random;
};

/* The first send is due at start_ns; `rate` > 0 per second. The same `seed` gives the same times. */
void perf_pacing_start(struct perf_pacing *pacing, uint64_t start_ns, double rate, bool poisson, uint64_t seed);

/* When the next send is due. */
uint64_t perf_pacing_due(const struct perf_pacing *pacing);

/* It was sent: the one after it is next. */
void perf_pacing_advance(struct perf_pacing *pacing);

#endif /* MACHNET_TOOLS_PERF_PACING_H */
