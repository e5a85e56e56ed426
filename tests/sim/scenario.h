/* SPDX-License-Identifier: MIT */
/* The scenarios: named ways to draw a plan from a seed. */
#ifndef MACHNET_TESTS_SIM_SCENARIO_H
#define MACHNET_TESTS_SIM_SCENARIO_H

#include "base/prng.h"
#include "nic/nic_mem.h"

/* How applications behave. Shares are in parts per million, of their acts unless said otherwise. */
struct behaviour {
    uint64_t interval_ns;      /* mean time between two acts of an application */
    uint32_t flows_max;        /* that one application holds */
    uint32_t open_ppm, nobody_ppm /* of opens: to a port without a listener */;
    uint32_t send_ppm, burst_max;
    uint32_t message_max;      /* bytes */
    uint32_t big_ppm;          /* of messages: longer than 64 KiB + 1 */
    uint32_t small_ppm;        /* of messages: at most 256 bytes */
    uint32_t close_ppm, abort_ppm;
    uint32_t die_ppm, unlisten_ppm;
    uint32_t inbox_max;        /* messages delivered and not read */
    uint32_t inbox_share;      /* of one flow: delivered and not given back */
    uint32_t ring_full_ppm;    /* of callbacks that may be refused */
    uint32_t memory_refuse_ppm; /* of reservations */
    uint32_t pause_ppm;        /* stops reading for up to pause_ns */
    uint64_t pause_ns;
    uint32_t hold_ppm;         /* of messages: borrowed for up to hold_ns */
    uint64_t hold_ns;
    uint64_t budget, reserve;  /* receive memory, bytes */
};

struct plan {
    uint32_t nodes, apps_per_node;
    uint64_t active_ns;
    uint64_t bytes;            /* that all applications together send, about */
    uint32_t max_flows, max_half_open;
    uint32_t max_payload_low, max_payload_high; /* of the nodes' nics */
    uint64_t dead_peer_ns, probe_ns;
    struct behaviour behaviour;
    struct nic_mem_impairments impairments;
    uint64_t partition_at_ns, partition_ns; /* 0: none */
    uint64_t restart_at_ns;                 /* a node restarts about then, and perhaps again; 0: none */
    uint64_t garbage_interval_ns;           /* mean time between two injected packets; 0: none */
};

struct scenario {
    const char *name, *text;
    void (*draw)(struct plan *plan, struct prng *prng); /* changes the ordinary plan */
};

extern const struct scenario scenarios[];
extern const uint32_t scenario_count;

/* NULL if there is none of that name. */
const struct scenario *scenario_find(const char *name);
/* The scenario that a seed stands for when none is named. */
const struct scenario *scenario_of_seed(uint64_t seed);
void scenario_plan(const struct scenario *scenario, struct prng *prng, struct plan *plan);

#endif /* MACHNET_TESTS_SIM_SCENARIO_H */
