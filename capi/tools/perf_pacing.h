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

/*
 * A sleeper is late: the processor has to wake up, which takes a virtual machine 100 us and more. What an open loop measures shall not be its own
 * sleep: it sleeps until as long before its time as sleeps are late, 50 to 250 us, and polls for the rest. Learnt over all runs; starts as zero.
 */
struct perf_sleep {
    uint64_t late_ns; /* 15 of 16 sleeps end sooner after their time */
};

/* The first send is due at start_ns; `rate` > 0 per second. The same `seed` gives the same times. */
void perf_pacing_start(struct perf_pacing *pacing, uint64_t start_ns, double rate, bool poisson, uint64_t seed);

/* When the next send is due. */
uint64_t perf_pacing_due(const struct perf_pacing *pacing);

/* It was sent: the one after it is next. */
void perf_pacing_advance(struct perf_pacing *pacing);

/* How long to wait for what is due in left_ns: a sleep, or a part of the rest that an adaptive wait polls for. */
uint64_t perf_sleep_wait_ns(const struct perf_sleep *sleep, uint64_t left_ns);

/* A wait of wait_ns was not ended by anything else, and took took_ns. */
void perf_sleep_learn(struct perf_sleep *sleep, uint64_t wait_ns, uint64_t took_ns);

#endif /* MACHNET_TOOLS_PERF_PACING_H */
