/* SPDX-License-Identifier: MIT */
/* What a scenario and a seed decide about a run: data only. */
#ifndef MACHNET_TESTS_SIM_PLAN_H
#define MACHNET_TESTS_SIM_PLAN_H

#include "nic/nic_mem.h"

/* How applications behave. Shares are in parts per million, of their acts unless said otherwise. */
struct behaviour {
    uint64_t interval_ns; /* mean time between two acts of an application */
    uint32_t flows_max;   /* that one application holds */
    uint32_t open_ppm, nobody_ppm /* of opens: to a port without a listener */;
    uint32_t send_ppm, burst_max;
    uint32_t message_max; /* bytes */
    uint32_t big_ppm;     /* of messages: longer than 64 KiB + 1 */
    uint32_t small_ppm;   /* of messages: at most 256 bytes */
    uint32_t close_ppm, abort_ppm;
    uint32_t die_ppm, unlisten_ppm;
    uint32_t inbox_max;         /* messages delivered and not read */
    uint32_t inbox_share;       /* of one flow: delivered and not given back */
    uint32_t ring_full_ppm;     /* of callbacks that may be refused */
    uint32_t memory_refuse_ppm; /* of reservations */
    uint32_t pause_ppm;         /* stops reading for up to pause_ns */
    uint64_t pause_ns;
    uint32_t hold_ppm; /* of messages: borrowed for up to hold_ns */
    uint64_t hold_ns;
    uint64_t budget, reserve; /* receive memory, bytes */
};

/* What is measured: applications that send as fast as they may, or ask and wait for answers, to one on node 0. */
struct load {
    enum load_kind { LOAD_BULK, LOAD_ASK } kind;
    uint32_t clients;  /* each with one flow */
    bool together;     /* on one node; otherwise each has its own */
    bool reader_stops; /* what arrives on node 0 is never read while the run is active */
    uint32_t message_bytes, answer_bytes;
    uint32_t outstanding;          /* messages sent and not acknowledged (BULK), questions not answered (ASK) */
    uint64_t start_ns, stagger_ns; /* of the first client; between it and the next */
    uint64_t pause_ns;             /* ASK: between an answer and the next question */
};

enum { LOADS_MAX = 2 };

struct plan {
    uint32_t nodes, apps_per_node;
    uint32_t
        load_count; /* 0: applications act at random; otherwise by `loads`, and nodes and apps_per_node follow from them */
    struct load loads[LOADS_MAX];
    uint64_t measure_from_ns;      /* until active_ns */
    uint64_t step_ns;              /* of the engines' poll loops; 0: none, they see everything at once */
    uint64_t port_bits_per_second; /* towards each node; 0: without bound */
    uint32_t port_queue_packets;
    uint64_t packets_max; /* more is a failure */
    uint64_t active_ns;
    uint64_t bytes; /* that all applications together send, about */
    uint32_t max_flows, max_half_open;
    uint32_t max_payload_low, max_payload_high; /* of the nodes' nics */
    uint64_t dead_peer_ns, probe_ns;
    struct behaviour behaviour;
    struct nic_mem_impairments impairments;
    uint64_t partition_at_ns, partition_ns; /* 0: none */
    uint64_t restart_at_ns;                 /* a node restarts about then, and perhaps again; 0: none */
    uint64_t garbage_interval_ns;           /* mean time between two injected packets; 0: none */
};

#endif /* MACHNET_TESTS_SIM_PLAN_H */
