/* SPDX-License-Identifier: MIT */
/* What is measured of a run with loads, between plan.measure_from_ns and plan.active_ns. */
#ifndef MACHNET_TESTS_SIM_MEASURE_H
#define MACHNET_TESTS_SIM_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

struct world;
struct nic_packet;

enum { WAITS_US_MAX = 4096 };

struct measure_totals {
    uint64_t sent, retransmitted, lost, timeouts; /* packets of the clients' engines */
    uint64_t answered;                            /* packets of the server's engine */
    uint64_t queue_drops;                         /* on the way to it */
};

struct measure {
    struct world *world; /* not owned; NULL: nothing is measured */
    bool begun, over;
    uint32_t clients, bins;
    uint64_t *bytes; /* that the server read: [bin][client] */
    uint32_t *latencies_ns;
    uint32_t latency_count, latency_capacity;
    uint64_t waits[WAITS_US_MAX + 1]; /* packets that waited so many microseconds at the server's port */
    uint64_t queue_drops;
    struct measure_totals before, after;
};

/* What came of it. Shares are of what the link, or the policer, can carry of messages in full frames. */
struct measured {
    bool valid;
    double seconds, goodput_bits, share, jain, fair_after_ms;
    uint32_t answers;
    double p50_us, p99_us, p999_us;  /* of the answers */
    double wait_p50_us, wait_p99_us; /* at the port */
    double retransmitted, lost;      /* shares of the clients' packets */
    double acks;                     /* packets of the server for one of a client */
    uint64_t timeouts, queue_drops;
};

void measure_init(struct measure *measure, struct world *world);
void measure_fini(struct measure *measure);
/* The clock has moved. */
void measure_tick(struct measure *measure);
void measure_bytes(struct measure *measure, uint32_t client, uint32_t bytes);
void measure_latency(struct measure *measure, uint32_t client, uint64_t latency_ns);
/* A nic_mem_queue_tap. */
void measure_queue(void *arg, uint64_t now_ns, const struct nic_packet *packet, uint64_t waited_ns);
void measure_result(struct measure *measure, struct measured *result);
/* A line for a person. */
void measured_print(const struct measured *result);

#endif /* MACHNET_TESTS_SIM_MEASURE_H */
