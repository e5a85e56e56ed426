/* SPDX-License-Identifier: MIT */
/* The load of a run: sends on all flows for a time, in a closed or open loop, and records what comes back. */
#ifndef MACHNET_TOOLS_PERF_LOAD_H
#define MACHNET_TOOLS_PERF_LOAD_H

#include "perf.h"
#include "perf_histogram.h"

#include <stdbool.h>
#include <stdint.h>

struct perf_flow {
    uint64_t token;
    uint64_t sent;     /* numbers below are sent */
    uint64_t answered; /* numbers below are answered; stream: or are known to have arrived */
    uint64_t probe;    /* the number that is being asked for, if `probing` */
    uint64_t *send_ns; /* ring: when (or, in an open loop, for when) what is outstanding was sent */
    bool probing;
    bool queued;  /* stands in `ready` */
    bool blocked; /* stands in `blocked` */
};

struct perf_load {
    struct perf *perf;
    struct perf_flow *flows;
    uint32_t send_mask;                        /* of the flows' rings */
    uint32_t *ready, ready_first, ready_count; /* ring of the flows that may send, in turn */
    uint32_t *blocked, blocked_count;          /* flows without space, until the library says that there is some */
    uint64_t outstanding;                      /* requests or probes, all flows */
    /* What a run measured. */
    uint64_t messages;                /* requests answered; stream: those that an answered probe proves to be there */
    uint64_t errors;                  /* wrong or missing answers */
    uint64_t unsent;                  /* due in an open loop, but given up after the time had passed once more */
    uint64_t start_ns, end_ns;        /* of the first send, of the last answer */
    struct perf_histogram round_trip; /* ns */
    struct perf_histogram late;       /* ns after its time that a message of an open loop was sent */
    /* Batches. */
    struct perf_load_batch *batch;
};

/* options.flows flows whose tokens the caller fills in. False: no memory. */
bool perf_load_init(struct perf_load *load, struct perf *perf);
void perf_load_fini(struct perf_load *load);

/* Forgets earlier measurements, sends for `seconds` or until Ctrl-C, then waits for what is outstanding. MACHNET_OK, or why a
 * flow or the channel ended; what was measured until then stands. */
int32_t perf_load_run(struct perf_load *load, double seconds);

#endif /* MACHNET_TOOLS_PERF_LOAD_H */
