/* SPDX-License-Identifier: MIT */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>

#include "load.h"
#include "wire/wire.h"
#include "world.h"

#define BIN_NS UINT64_C(1000000)
enum { FAIR_BINS = 10 };
#define FAIR 0.95

void measure_init(struct measure *measure, struct world *world)
{
    const struct plan *plan = &world->plan;
    *measure = (struct measure){
        .world = world, .clients = load_clients(plan), .bins = (uint32_t)(plan->active_ns / BIN_NS) + 1};
    measure->bytes = calloc((size_t)measure->bins * measure->clients, sizeof *measure->bytes);
}

void measure_fini(struct measure *measure)
{
    free(measure->bytes);
    free(measure->latencies_ns);
}

static void totals(const struct measure *measure, struct measure_totals *totals)
{
    const struct world *world = measure->world;
    *totals = (struct measure_totals){.queue_drops = measure->queue_drops};
    for (uint32_t i = 0; i < world->node_count; i++) {
        const struct transport_counters *counters = transport_counters(world->nodes[i].transport);
        if (i == 0) {
            totals->answered = counters->packets_sent;
            continue;
        }
        totals->sent += counters->packets_sent;
        totals->retransmitted += counters->packets_retransmitted;
        totals->lost += counters->packets_lost;
        totals->timeouts += counters->probe_timeouts;
    }
}

void measure_tick(struct measure *measure)
{
    const struct world *world = measure->world;
    if (!world) {
        return;
    }
    if (!measure->begun && world->now_ns >= world->plan.measure_from_ns) {
        measure->begun = true;
        totals(measure, &measure->before);
    }
    if (!measure->over && world->now_ns >= world->plan.active_ns) {
        measure->over = true;
        totals(measure, &measure->after);
    }
}

static bool runs(const struct measure *measure)
{
    return measure->begun && !measure->over;
}

void measure_bytes(struct measure *measure, uint32_t client, uint32_t bytes)
{
    uint64_t bin = measure->world->now_ns / BIN_NS;
    if (!measure->over && bin < measure->bins) {
        measure->bytes[bin * measure->clients + client] += bytes;
    }
}

void measure_latency(struct measure *measure, uint32_t client, uint64_t latency_ns)
{
    (void)client;
    if (!runs(measure)) {
        return;
    }
    if (measure->latency_count == measure->latency_capacity) {
        measure->latency_capacity = measure->latency_capacity ? 2 * measure->latency_capacity : 1024;
        measure->latencies_ns =
            realloc(measure->latencies_ns, measure->latency_capacity * sizeof *measure->latencies_ns);
    }
    measure->latencies_ns[measure->latency_count++] = latency_ns < UINT32_MAX ? (uint32_t)latency_ns : UINT32_MAX;
}

void measure_queue(void *arg, uint64_t now_ns, const struct nic_packet *packet, uint64_t waited_ns)
{
    struct measure *measure = arg;
    (void)now_ns;
    if (!endpoint_equal(&packet->remote, &measure->world->nodes[0].udp)) {
        return;
    }
    if (waited_ns == UINT64_MAX) {
        measure->queue_drops++;
    } else if (runs(measure)) {
        uint64_t us = waited_ns / 1000;
        measure->waits[us < WAITS_US_MAX ? us : WAITS_US_MAX]++;
    }
}

/* ---- Results ---- */

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static double percentile_us(const struct measure *measure, double share)
{
    if (measure->latency_count == 0) {
        return 0;
    }
    uint32_t at = (uint32_t)(share * measure->latency_count);
    return measure->latencies_ns[at < measure->latency_count ? at : measure->latency_count - 1] / 1e3;
}

static double wait_us(const struct measure *measure, double share)
{
    uint64_t total = 0, seen = 0;
    for (uint32_t i = 0; i <= WAITS_US_MAX; i++) {
        total += measure->waits[i];
    }
    for (uint32_t i = 0; i <= WAITS_US_MAX && total > 0; i++) {
        seen += measure->waits[i];
        if ((double)seen >= share * (double)total) {
            return i + 1; /* the end of its microsecond */
        }
    }
    return 0;
}

/* Jain's index of what the clients got in the bins [from, to); 1: all the same. */
static double jain(const struct measure *measure, uint32_t from, uint32_t to)
{
    double sum = 0, squares = 0;
    for (uint32_t client = 0; client < measure->clients; client++) {
        double got = 0;
        for (uint32_t bin = from; bin < to; bin++) {
            got += (double)measure->bytes[(size_t)bin * measure->clients + client];
        }
        sum += got;
        squares += got * got;
    }
    return squares > 0 ? sum * sum / (measure->clients * squares) : 0;
}

/* From the measurement's beginning until every stretch of FAIR_BINS was fair; in bins. */
static uint32_t fair_after(const struct measure *measure, uint32_t first)
{
    for (uint32_t end = measure->bins - 1; end >= first + FAIR_BINS; end--) {
        if (jain(measure, end - FAIR_BINS, end) < FAIR) {
            return end + 1 - first;
        }
    }
    return FAIR_BINS;
}

/* Bits of messages a second, when all frames are full. What is reserved for a longer trailer stays off the wire. */
static double capacity(const struct plan *plan)
{
    const uint64_t police = plan->impairments.police_bits_per_second;
    const uint64_t rate = police > 0 && police < plan->port_bits_per_second ? police : plan->port_bits_per_second;
    const double packet = plan->max_payload_low - WIRE_TRAILER_RESERVED + WIRE_TRAILER_BYTES;
    const double payload = packet - WIRE_HEADER_BYTES - WIRE_TRAILER_BYTES - WIRE_DATA_BYTES - WIRE_FRAGMENT_BYTES;
    return (double)rate * payload / (packet + NIC_MEM_FRAME_BYTES);
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

void measure_result(struct measure *measure, struct measured *result)
{
    const struct plan *plan = &measure->world->plan;
    const struct measure_totals *before = &measure->before, *after = &measure->after;
    const uint32_t first = (uint32_t)(plan->measure_from_ns / BIN_NS), last = measure->bins - 1;
    uint64_t bytes = 0;
    for (uint32_t bin = first; bin < last; bin++) {
        for (uint32_t client = 0; client < measure->clients; client++) {
            bytes += measure->bytes[(size_t)bin * measure->clients + client];
        }
    }
    qsort(measure->latencies_ns, measure->latency_count, sizeof *measure->latencies_ns, compare);
    const double seconds = (double)(last - first) * BIN_NS / 1e9;
    const double bits = (double)bytes * 8 / seconds;
    *result = (struct measured){
        .valid = measure->over,
        .seconds = seconds,
        .goodput_bits = bits,
        .share = plan->port_bits_per_second > 0 ? bits / capacity(plan) : 0,
        .jain = jain(measure, first, last),
        .fair_after_ms = fair_after(measure, first),
        .answers = measure->latency_count,
        .p50_us = percentile_us(measure, 0.5),
        .p99_us = percentile_us(measure, 0.99),
        .p999_us = percentile_us(measure, 0.999),
        .wait_p50_us = wait_us(measure, 0.5),
        .wait_p99_us = wait_us(measure, 0.99),
        .retransmitted = ratio(after->retransmitted - before->retransmitted, after->sent - before->sent),
        .lost = ratio(after->lost - before->lost, after->sent - before->sent),
        .acks = ratio(after->answered - before->answered, after->sent - before->sent),
        .timeouts = after->timeouts - before->timeouts,
        .queue_drops = after->queue_drops - before->queue_drops,
    };
}

void measured_print(const struct measured *result)
{
    printf("  goodput %.3f Gbps, %.1f %% of what fits; Jain %.3f, fair after %.0f ms\n", result->goodput_bits / 1e9,
           100 * result->share, result->jain, result->fair_after_ms);
    printf("  retransmitted %.2f %%, lost %.2f %%, timeouts %llu; queue: wait p50 %.0f us, p99 %.0f us, drops %llu; "
           "packets back for one there %.4f\n",
           100 * result->retransmitted, 100 * result->lost, (unsigned long long)result->timeouts, result->wait_p50_us,
           result->wait_p99_us, (unsigned long long)result->queue_drops, result->acks);
    if (result->answers > 0) {
        printf("  %u answers: p50 %.1f us, p99 %.1f us, p99.9 %.1f us\n", result->answers, result->p50_us,
               result->p99_us, result->p999_us);
    }
}
