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
#include "node.h"
#include "scenario.h"
#include "verdict.h"

enum { NODES_MAX = 4, APPS_PER_NODE_MAX = 3, APPS_MAX = NODES_MAX * APPS_PER_NODE_MAX };

struct world {
    const struct scenario *scenario;
    struct plan plan; /* what the scenario and the seed decided */
    uint64_t seed;
    bool trace;
    struct prng prng;
    uint64_t now_ns;
    bool draining;
    struct verdict verdict;
    struct ledger ledger;
    struct nic_mem_network *network;
    struct node nodes[NODES_MAX];
    struct app apps[APPS_MAX];
    uint32_t node_count, app_count;
    struct garbage garbage;
    uint64_t bytes_left;       /* that applications may still send */
    uint16_t next_port;        /* local flow ports are not used twice */
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
};

/* Runs `scenario` with `seed`. `trace` prints every packet and event. */
void world_run(const struct scenario *scenario, uint64_t seed, bool trace, struct outcome *outcome);

/* A line of the trace, with the time. */
__attribute__((format(printf, 2, 3))) void world_trace(const struct world *world,
                                                       const char *format, ...);

#endif /* MACHNET_TESTS_SIM_WORLD_H */
