/* SPDX-License-Identifier: MIT */
/*
 * One run: engines that are joined by a `mem` network, their applications, and the virtual clock. It goes through two phases: while it is
 * *active*, applications act at random and links are impaired; then it *drains*: links heal, nobody refuses any more, readers
 * read on, every flow is closed, and all must end in bounded time.
 */
#ifndef MACHNET_TESTS_SIM_WORLD_H
#define MACHNET_TESTS_SIM_WORLD_H

#include "app.h"
#include "garbage.h"
#include "ledger.h"
#include "measure.h"
#include "node.h"
#include "scenario.h"
#include "verdict.h"

/* What a run is asked for besides its scenario and seed. */
struct options {
    bool trace;            /* print every packet and event */
    const char *algorithm; /* of congestion control; NULL: the transport's own choice */
};

struct world {
    const struct scenario *scenario;
    struct plan plan; /* what the scenario and the seed decided */
    uint64_t seed;
    const struct options *options; /* not owned */
    struct prng prng;
    uint64_t now_ns;
    bool draining;
    struct verdict verdict;
    struct ledger ledger;
    struct nic_mem_network *network;
    struct node *nodes;
    struct app *apps;
    uint32_t node_count, app_count;
    struct garbage garbage;
    struct measure measure;
    uint64_t bytes_left; /* that applications may still send */
    uint16_t next_port;  /* local flow ports are not used twice */
    uint64_t next_listener;
    uint64_t partition_at_ns, heal_at_ns, restart_at_ns; /* UINT64_MAX: never (again) */
};

/* What is worth a line about a run. */
struct outcome {
    bool failed;
    char text[8192];
    uint64_t digest;
    uint64_t packets, messages, bytes, virtual_ns;
    uint32_t flows, nodes;
    struct nic_mem_counters network;
    struct measured measured;
};

/* Runs `scenario` with `seed`. */
void world_run(const struct scenario *scenario, uint64_t seed, const struct options *options, struct outcome *outcome);

/* A line of the trace, with the time. */
__attribute__((format(printf, 2, 3))) void world_trace(const struct world *world, const char *format, ...);

#endif /* MACHNET_TESTS_SIM_WORLD_H */
