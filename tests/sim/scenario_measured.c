/* SPDX-License-Identifier: MIT */
/* The scenarios in which loads are measured. Each draws nothing: what differs between seeds is which packets are hit, and the phases of the
 * poll loops. */
#include "scenario.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S UINT64_C(1000000000)
#define GBPS UINT64_C(1000000000)
enum { PERCENT = 10000, KIB = 1024, MIB = 1024 * 1024 };

/* One bulk flow over a link of 10 Gbps with 50 us of round trip, Ethernet's 1500 bytes, and engines that poll each 5 us. */
void scenario_ordinary_measured(struct plan *plan)
{
    *plan = (struct plan){
        .load_count = 1,
        .loads = {{.kind = LOAD_BULK, .clients = 1, .message_bytes = 64 * KIB, .outstanding = 16}},
        .measure_from_ns = 20 * MS,
        .active_ns = 120 * MS,
        .step_ns = 5 * US,
        .port_bits_per_second = 10 * GBPS,
        .port_queue_packets = 1024,
        .packets_max = 2000000,
        .max_flows = 4096,
        .max_half_open = 256,
        .max_payload_low = 1472,
        .max_payload_high = 1472,
        .dead_peer_ns = 10 * S,
        .probe_ns = 2500 * MS,
        .behaviour =
            {.interval_ns = 1 * MS, .inbox_max = 4096, .inbox_share = 4096, .budget = 64 * MIB, .reserve = 8 * MIB},
        .impairments = {.delay_ns = 25 * US},
    };
}

static void bulk(struct plan *plan, struct prng *prng)
{
    (void)plan;
    (void)prng;
}

static void bulk_01(struct plan *plan, struct prng *prng)
{
    (void)prng;
    plan->impairments.loss_ppm = PERCENT / 10;
}

static void bulk_1(struct plan *plan, struct prng *prng)
{
    (void)prng;
    plan->impairments.loss_ppm = 1 * PERCENT;
}

static void bulk_5(struct plan *plan, struct prng *prng)
{
    (void)prng;
    plan->impairments.loss_ppm = 5 * PERCENT;
}

static void bulk_large(struct plan *plan, struct prng *prng)
{
    (void)prng;
    plan->loads[0].message_bytes = MIB;
    plan->loads[0].outstanding = 4;
}

static void policer(struct plan *plan, struct prng *prng)
{
    (void)prng;
    plan->impairments.police_bits_per_second = 5 * GBPS;
    plan->impairments.police_burst_bytes = 128 * KIB;
}

static void ask(struct plan *plan, uint32_t bytes, uint32_t loss_ppm)
{
    plan->loads[0] =
        (struct load){.kind = LOAD_ASK, .clients = 1, .message_bytes = bytes, .answer_bytes = bytes, .outstanding = 1};
    plan->measure_from_ns = 10 * MS;
    plan->active_ns = 2 * S;
    plan->impairments.loss_ppm = loss_ppm;
}

static void ask_small(struct plan *plan, struct prng *prng)
{
    (void)prng;
    ask(plan, 64, 0);
}

static void ask_small_loss(struct plan *plan, struct prng *prng)
{
    (void)prng;
    ask(plan, 64, 1 * PERCENT);
}

static void ask_16k(struct plan *plan, struct prng *prng)
{
    (void)prng;
    ask(plan, 16 * KIB, 0);
}

static void ask_16k_loss(struct plan *plan, struct prng *prng)
{
    (void)prng;
    ask(plan, 16 * KIB, 1 * PERCENT);
}

static void incast(struct plan *plan, struct prng *prng)
{
    (void)prng;
    plan->loads[0].clients = 100;
    plan->loads[0].message_bytes = 16 * KIB;
    plan->loads[0].outstanding = 4;
    plan->port_queue_packets = 128;
    plan->measure_from_ns = 50 * MS;
    plan->active_ns = 150 * MS;
}

/* The last one starts where the measurement begins. */
static void fairness(struct plan *plan, struct prng *prng)
{
    (void)prng;
    plan->loads[0].clients = 8;
    plan->loads[0].message_bytes = 16 * KIB;
    plan->loads[0].outstanding = 64;
    plan->loads[0].stagger_ns = 10 * MS;
    plan->measure_from_ns = 70 * MS;
    plan->active_ns = 170 * MS;
}

static void beside_bulk(struct plan *plan, struct prng *prng)
{
    (void)prng;
    ask(plan, 64, 0);
    plan->active_ns = 200 * MS;
    plan->loads[0].together = true;
    plan->loads[1] =
        (struct load){.kind = LOAD_BULK, .clients = 1, .together = true, .message_bytes = 8 * MIB, .outstanding = 2};
    plan->load_count = 2;
}

static void stopped_reader(struct plan *plan, struct prng *prng)
{
    (void)prng;
    plan->loads[0].together = true;
    plan->loads[1] = plan->loads[0];
    plan->loads[1].reader_stops = true;
    plan->load_count = 2;
}

const struct scenario measured_scenarios[] = {
    {"bulk", "one flow, 10 Gbps, 50 us round trip", bulk, true},
    {"bulk-0.1", "the same with 0.1 % of the packets lost, in both directions", bulk_01, true},
    {"bulk-1", "with 1 %", bulk_1, true},
    {"bulk-5", "with 5 %", bulk_5, true},
    {"bulk-large", "without loss, in messages of 1 MiB", bulk_large, true},
    {"policer", "a policer of 5 Gbps before the link", policer, true},
    {"ask-64", "request and response of 64 bytes", ask_small, true},
    {"ask-64-loss", "with 1 % loss", ask_small_loss, true},
    {"ask-16k", "request and response of 16 KiB", ask_16k, true},
    {"ask-16k-loss", "with 1 % loss", ask_16k_loss, true},
    {"incast", "100 to 1 through a queue of 128 packets", incast, true},
    {"fairness", "8 flows that start 10 ms apart", fairness, true},
    {"beside-bulk", "request and response of 64 bytes beside messages of 8 MiB, of one engine", beside_bulk, true},
    {"stopped-reader", "two bulk flows of one engine; nobody reads one of them", stopped_reader, true},
};
const uint32_t measured_scenario_count = sizeof measured_scenarios / sizeof *measured_scenarios;
