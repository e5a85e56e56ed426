/* SPDX-License-Identifier: MIT */
/* What a run of `machnet perf` says at its end. */
#ifndef MACHNET_TOOLS_PERF_REPORT_H
#define MACHNET_TOOLS_PERF_REPORT_H

#include "perf_histogram.h"
#include "perf_options.h"

#include <stdbool.h>
#include <stdint.h>

/* Processor time in ns; NAN: not known. */
struct perf_cpu_used {
    double client, server, engine;
    double peer_engine; /* 0 if it is the client's engine too */
};

struct perf_result {
    const struct perf_options *options;
    bool interrupted;
    uint64_t messages, errors, unsent;
    double seconds, connect_seconds;
    const struct perf_histogram *round_trip, *late; /* ns */
    struct perf_cpu_used cpu;
};

/* To standard output. False: it could not be written. */
bool perf_report_json(const struct perf_result *result);
bool perf_report_table(const struct perf_result *result);

#endif /* MACHNET_TOOLS_PERF_REPORT_H */
