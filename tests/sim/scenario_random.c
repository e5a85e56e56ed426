/* SPDX-License-Identifier: MIT */
/* The scenarios in which applications act at random. */
#include "scenario.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S UINT64_C(1000000000)
enum { PERCENT = 10000, KIB = 1024, MIB = 1024 * 1024, ACTS_MAX = 4000 /* of one application, about */ };

/* What a scenario does not change. */
void scenario_ordinary_random(struct plan *plan, struct prng *prng)
{
    uint32_t low = (uint32_t)prng_between(prng, 1232, 8972);
    *plan = (struct plan){
        .nodes = (uint32_t)prng_between(prng, 2, 4),
        .apps_per_node = (uint32_t)prng_between(prng, 1, 3),
        .active_ns = prng_between(prng, 50 * MS, 400 * MS),
        .bytes = 2 * MIB,
        .packets_max = 200000,
        .max_flows = 4096,
        .max_half_open = 64,
        .max_payload_low = low,
        .max_payload_high = (uint32_t)prng_between(prng, low, 8972),
        .dead_peer_ns = 10 * S,
        .probe_ns = 2500 * MS,
        .behaviour =
            {
                .interval_ns = prng_between(prng, 50 * US, 2 * MS),
                .flows_max = 8,
                .open_ppm = 5 * PERCENT,
                .send_ppm = 30 * PERCENT,
                .burst_max = (uint32_t)prng_between(prng, 1, 24),
                .message_max = MIB,
                .big_ppm = PERCENT / 2,
                .small_ppm = 60 * PERCENT,
                .close_ppm = 2 * PERCENT,
                .abort_ppm = 20 * PERCENT,
                .inbox_max = (uint32_t)prng_between(prng, 8, 256),
                .inbox_share = (uint32_t)prng_between(prng, 1, 256),
                .ring_full_ppm = 5 * PERCENT,
                .memory_refuse_ppm = 1 * PERCENT,
                .pause_ppm = PERCENT / 5,
                .pause_ns = 20 * MS,
                .hold_ppm = 10 * PERCENT,
                .hold_ns = 5 * MS,
                .budget = 2 * MIB,
                .reserve = MIB,
            },
        .impairments =
            {
                .delay_ns = prng_between(prng, 2 * US, 300 * US),
                .jitter_ns = prng_between(prng, 0, 20 * US),
            },
    };
}

void scenario_bound_acts(struct plan *plan)
{
    uint64_t shortest = plan->active_ns / ACTS_MAX;
    if (plan->behaviour.interval_ns < shortest) {
        plan->behaviour.interval_ns = shortest;
    }
}

static void clean(struct plan *plan, struct prng *prng)
{
    (void)plan;
    (void)prng;
}

static void loss(struct plan *plan, struct prng *prng)
{
    /* From 0.1 to 30 %, each order of magnitude as likely as the others. */
    uint64_t most = 1000;
    for (uint64_t n = prng_below(prng, 4); n > 0; n--) {
        most *= 7;
    }
    plan->impairments.loss_ppm = (uint32_t)prng_between(prng, 1000, most < 300000 ? most : 300000);
    plan->active_ns *= 2;
}

static void reorder(struct plan *plan, struct prng *prng)
{
    plan->impairments.reorder_ppm = (uint32_t)prng_between(prng, 1, 50 * PERCENT);
    plan->impairments.reorder_ns = prng_between(prng, 10 * US, 5 * MS);
}

static void repeat(struct plan *plan, struct prng *prng)
{
    plan->impairments.repeat_ppm = (uint32_t)prng_between(prng, 1, 50 * PERCENT);
    plan->impairments.reorder_ppm = (uint32_t)prng_between(prng, 0, 5 * PERCENT);
    plan->impairments.reorder_ns = prng_between(prng, 1, 20 * MS);
}

static void corrupt(struct plan *plan, struct prng *prng)
{
    plan->impairments.corrupt_ppm = (uint32_t)prng_between(prng, 1000, 20 * PERCENT);
}

static void jitter(struct plan *plan, struct prng *prng)
{
    plan->impairments.delay_ns = prng_between(prng, 0, 2 * MS);
    plan->impairments.jitter_ns = prng_between(prng, 1 * MS, 50 * MS);
    plan->active_ns = S;
}

static void partition(struct plan *plan, struct prng *prng)
{
    plan->active_ns = prng_between(prng, 200 * MS, 600 * MS);
    plan->partition_at_ns = prng_between(prng, 1 * MS, plan->active_ns);
    plan->partition_ns =
        prng_chance(prng, 500000) ? prng_between(prng, 1 * MS, 8 * S) : prng_between(prng, 10 * S, 16 * S);
    plan->active_ns += plan->partition_ns;
    plan->behaviour.interval_ns = prng_between(prng, 2 * MS, 10 * MS);
}

static void everything(struct plan *plan, struct prng *prng)
{
    plan->impairments.loss_ppm = (uint32_t)prng_between(prng, 0, 5 * PERCENT);
    plan->impairments.reorder_ppm = (uint32_t)prng_between(prng, 0, 10 * PERCENT);
    plan->impairments.reorder_ns = prng_between(prng, 10 * US, 10 * MS);
    plan->impairments.repeat_ppm = (uint32_t)prng_between(prng, 0, 10 * PERCENT);
    plan->impairments.corrupt_ppm = (uint32_t)prng_between(prng, 0, 5 * PERCENT);
    plan->impairments.jitter_ns = prng_between(prng, 0, 1 * MS);
    plan->behaviour.die_ppm = PERCENT / 10;
    plan->behaviour.unlisten_ppm = PERCENT / 10;
    plan->behaviour.nobody_ppm = 5 * PERCENT;
    plan->garbage_interval_ns = 2 * MS;
}

static void slow_reader(struct plan *plan, struct prng *prng)
{
    plan->behaviour.pause_ppm = 20 * PERCENT;
    plan->behaviour.pause_ns = prng_between(prng, 10 * MS, 500 * MS);
    plan->behaviour.hold_ppm = 50 * PERCENT;
    plan->behaviour.hold_ns = prng_between(prng, 10 * MS, 200 * MS);
    plan->behaviour.inbox_max = (uint32_t)prng_between(prng, 1, 32);
    plan->behaviour.ring_full_ppm = 20 * PERCENT;
    plan->active_ns = S;
}

static void tiny_memory(struct plan *plan, struct prng *prng)
{
    plan->behaviour.budget = prng_between(prng, 128 * KIB, 256 * KIB);
    plan->behaviour.message_max = (uint32_t)prng_between(prng, 1, 512 * KIB);
    plan->behaviour.reserve = 512 * KIB;
    plan->behaviour.memory_refuse_ppm = 10 * PERCENT;
    plan->behaviour.big_ppm = 5 * PERCENT;
    plan->behaviour.flows_max = 4;
}

static void big_messages(struct plan *plan, struct prng *prng)
{
    plan->nodes = 2;
    plan->bytes = 28 * MIB;
    plan->max_payload_low = (uint32_t)prng_between(prng, 2000, 8972);
    plan->max_payload_high = 8972;
    plan->behaviour.message_max = 8 * MIB;
    plan->behaviour.big_ppm = 30 * PERCENT;
    plan->behaviour.burst_max = 4;
    plan->behaviour.budget = 4 * MIB;
    plan->behaviour.reserve = 8 * MIB;
    plan->behaviour.hold_ppm = 30 * PERCENT;
    plan->impairments.loss_ppm = (uint32_t)prng_between(prng, 0, 1 * PERCENT);
}

static void restart(struct plan *plan, struct prng *prng)
{
    plan->active_ns = prng_between(prng, 200 * MS, 3 * S);
    plan->restart_at_ns = prng_between(prng, 1 * MS, plan->active_ns);
    plan->impairments.loss_ppm = (uint32_t)prng_between(prng, 0, 2 * PERCENT);
    plan->behaviour.interval_ns = prng_between(prng, 1 * MS, 5 * MS);
}

static void garbage(struct plan *plan, struct prng *prng)
{
    plan->garbage_interval_ns = prng_between(prng, 50 * US, 1 * MS);
}

static void refuse(struct plan *plan, struct prng *prng)
{
    plan->behaviour.nobody_ppm = 30 * PERCENT;
    plan->behaviour.unlisten_ppm = 3 * PERCENT;
    plan->behaviour.die_ppm = 1 * PERCENT;
    plan->behaviour.open_ppm = 30 * PERCENT;
    plan->max_flows = (uint32_t)prng_between(prng, 4, 64);
    plan->max_half_open = (uint32_t)prng_between(prng, 1, 8);
    plan->impairments.loss_ppm = prng_chance(prng, 500000) ? 0 : 5 * PERCENT;
}

static void many_flows(struct plan *plan, struct prng *prng)
{
    plan->behaviour.flows_max = 150;
    plan->behaviour.open_ppm = 90 * PERCENT;
    plan->behaviour.send_ppm = 60 * PERCENT;
    plan->behaviour.interval_ns = prng_between(prng, 50 * US, 500 * US);
    plan->max_half_open = (uint32_t)prng_between(prng, 1, 64);
    plan->bytes = MIB;
}

const struct scenario random_scenarios[] = {
    {"clean", "links without faults", clean, false},
    {"loss", "0.1 to 30 % of the packets are lost", loss, false},
    {"reorder", "packets are late by up to 5 ms", reorder, false},
    {"repeat", "packets arrive twice, the second up to 20 ms later", repeat, false},
    {"corrupt", "bits are flipped", corrupt, false},
    {"jitter", "delays of up to 50 ms that keep the order", jitter, false},
    {"partition", "links fail and heal, before or after peers are declared dead", partition, false},
    {"everything", "some of each, applications that die, garbage", everything, false},
    {"slow-reader", "readers pause, borrow for long, have small rings", slow_reader, false},
    {"tiny-memory", "little receive memory, reservations refused", tiny_memory, false},
    {"big-messages", "up to 8 MiB", big_messages, false},
    {"restart", "an engine boots anew, its flows die", restart, false},
    {"garbage", "an attacker off the path sends random and mutated packets", garbage, false},
    {"refuse", "nobody listens, flows run out, applications die", refuse, false},
    {"many-flows", "hundreds of flows, opened in bursts", many_flows, false},
};
const uint32_t random_scenario_count = sizeof random_scenarios / sizeof *random_scenarios;
