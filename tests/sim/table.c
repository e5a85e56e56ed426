/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs.h"

enum { CELL_CHARS = 256 };
#define ROUND_TRIP_US 50.0

struct row {
    const char *what, *must;
    const char *scenario, *beside; /* beside: what it is compared with; NULL */
    /* Writes what was measured of all seeds; true: it is what it must be. */
    bool (*judge)(const struct measured *measured, const struct measured *beside, char *text);
};

/* ---- Of all seeds the worst ---- */

static uint32_t seeds_judged;

#define WORST(name, better)                                                                       \
    static double name(const struct measured *measured, double (*value)(const struct measured *)) \
    {                                                                                             \
        double worst = value(&measured[0]);                                                       \
        for (uint32_t i = 1; i < seeds_judged; i++) {                                             \
            double other = value(&measured[i]);                                                   \
            worst = other better worst ? worst : other;                                           \
        }                                                                                         \
        return worst;                                                                             \
    }
WORST(least, >)
WORST(most, <)
#undef WORST

#define VALUE(name, expression)                         \
    static double name(const struct measured *measured) \
    {                                                   \
        return expression;                              \
    }
VALUE(share, 100 * measured->share)
VALUE(again, 100 * measured->retransmitted)
VALUE(p999, measured->p999_us)
VALUE(wait_p99, measured->wait_p99_us)
VALUE(jain, measured->jain)
VALUE(fair_after, measured->fair_after_ms)
VALUE(timeouts, (double)measured->timeouts)
VALUE(acks, measured->acks)
VALUE(complete, measured->flows > 0 ? 100.0 * measured->complete / measured->flows : 0)
VALUE(recovered, measured->recovered_ms)
#undef VALUE

/* ---- Rows ---- */

static bool judge_share(const struct measured *measured, double passed, double must, char *text)
{
    const double reached = least(measured, share) / passed;
    snprintf(text, CELL_CHARS, "%.1f %%", reached);
    return reached >= must;
}

static bool judge_bulk_01(const struct measured *measured, const struct measured *beside, char *text)
{
    (void)beside;
    return judge_share(measured, 0.999, 98, text);
}

static bool judge_bulk_1(const struct measured *measured, const struct measured *beside, char *text)
{
    (void)beside;
    return judge_share(measured, 0.99, 93, text);
}

static bool judge_bulk_5(const struct measured *measured, const struct measured *beside, char *text)
{
    (void)beside;
    return judge_share(measured, 0.95, 70, text);
}

static bool judge_policer(const struct measured *measured, const struct measured *beside, char *text)
{
    const double reached = least(measured, share), repeated = most(measured, again);
    (void)beside;
    snprintf(text, CELL_CHARS, "%.1f %%; %.2f %% retransmitted", reached, repeated);
    return reached >= 90 && repeated <= 8;
}

static bool judge_ask(const struct measured *measured, const struct measured *beside, char *text)
{
    const double with = most(measured, p999), without = most(beside, p999);
    snprintf(text, CELL_CHARS, "%.0f us; lossless %.0f us: + %.1f RTT", with, without,
             (with - without) / ROUND_TRIP_US);
    return with <= without + 3 * ROUND_TRIP_US;
}

static bool judge_complete(const struct measured *measured, const struct measured *beside, char *text)
{
    const double reached = least(measured, complete);
    (void)beside;
    snprintf(text, CELL_CHARS, "%.0f %%", reached);
    return reached >= 100;
}

static bool judge_forward(const struct measured *measured, const struct measured *beside, char *text)
{
    const double reached = least(measured, complete), on_ms = most(measured, recovered);
    (void)beside;
    snprintf(text, CELL_CHARS, "%.0f %%; went on within %.0f ms", reached, on_ms);
    return reached >= 100 && on_ms <= 200 + 1;
}

static bool judge_reorder(const struct measured *measured, const struct measured *beside, char *text)
{
    const double reached = least(measured, complete);
    (void)beside;
    snprintf(text, CELL_CHARS, "%.0f %%; %.1f %% of the link, %.2f %% retransmitted", reached, least(measured, share),
             most(measured, again));
    return reached >= 100;
}

static bool judge_incast(const struct measured *measured, const struct measured *beside, char *text)
{
    const double silent = most(measured, timeouts), equal = least(measured, jain), reached = least(measured, share);
    (void)beside;
    snprintf(text, CELL_CHARS, "%.0f timeouts; %.3f; %.1f %%", silent, equal, reached);
    return silent <= 0 && equal >= 0.95 && reached >= 90;
}

static bool judge_fairness(const struct measured *measured, const struct measured *beside, char *text)
{
    const double after_ms = most(measured, fair_after);
    (void)beside;
    snprintf(text, CELL_CHARS, "after %.0f ms; over all %.3f", after_ms, least(measured, jain));
    return after_ms <= 50;
}

static bool judge_delay(const struct measured *measured, const struct measured *beside, char *text)
{
    const double wait_us = most(measured, wait_p99);
    (void)beside;
    snprintf(text, CELL_CHARS, "%.0f us at %.1f %% of the link", wait_us, least(measured, share));
    return wait_us <= 50;
}

static bool judge_acks(const struct measured *measured, const struct measured *beside, char *text)
{
    const double ratio = most(measured, acks);
    (void)beside;
    snprintf(text, CELL_CHARS, "1/%.2f", 1 / ratio);
    return ratio <= 1.0 / 8;
}

static bool judge_beside(const struct measured *measured, const struct measured *beside, char *text)
{
    const double with = most(measured, p999), without = most(beside, p999);
    snprintf(text, CELL_CHARS, "%.0f us; alone %.0f us", with, without);
    return with <= without + 2 * ROUND_TRIP_US;
}

static bool judge_stopped(const struct measured *measured, const struct measured *beside, char *text)
{
    const double with = least(measured, share), without = least(beside, share);
    snprintf(text, CELL_CHARS, "%.1f %%; alone %.1f %%", with, without);
    return with >= 0.95 * without;
}

static bool judge_stalls(const struct measured *measured, const struct measured *beside, char *text)
{
    (void)beside;
    return judge_share(measured, 1, 75, text);
}

static bool judge_jumps(const struct measured *measured, const struct measured *beside, char *text)
{
    (void)beside;
    return judge_share(measured, 1, 90, text);
}

static const struct row rows[] = {
    {"bulk, 10 Gbps, 50 us RTT, 0.1 % loss: share of (1 - p) x link x payload/frame", ">= 98 %", "bulk-0.1", NULL,
     judge_bulk_01},
    {"the same with 1 % loss", ">= 93 %", "bulk-1", NULL, judge_bulk_1},
    {"the same with 5 % loss", ">= 70 %", "bulk-5", NULL, judge_bulk_5},
    {"bulk behind a policer of 5 Gbps: share of that", ">= 90 %, <= 8 % retransmitted", "policer", NULL, judge_policer},
    {"request and response of 64 B, 1 % loss, 50 us RTT: p99.9", "<= lossless + 3 RTT", "ask-64-loss", "ask-64",
     judge_ask},
    {"the same with 16 KiB", "<= lossless + 3 RTT", "ask-16k-loss", "ask-16k", judge_ask},
    {"torture: 30 % loss and 30 % corruption from the handshake on", "all complete", "torture-handshake", NULL,
     judge_complete},
    {"torture: 5 s forwarding, 2 s dropping", "all complete, on within 200 ms", "torture-forward", NULL, judge_forward},
    {"torture: 20 % reordering", "all complete", "torture-reorder", NULL, judge_reorder},
    {"incast 100 to 1, queue of 128 packets", "no timeout, Jain >= 0.95, >= 90 % of the link", "incast", NULL,
     judge_incast},
    {"8 flows, staggered start, one bottleneck: Jain >= 0.95", "within 50 ms", "fairness", NULL, judge_fairness},
    {"queueing delay with one bulk flow: p99", "<= 50 us", "bulk", NULL, judge_delay},
    {"ACK packets for a data packet in bulk", "<= 1/8", "bulk", NULL, judge_acks},
    {"64 B request and response beside messages of 8 MiB, of one engine: p99.9", "<= alone + 2 RTT", "beside-bulk",
     "ask-64", judge_beside},
    {"bulk beside a flow that nobody reads, of one engine: share of the link", ">= 95 % of that alone",
     "stopped-reader", "bulk", judge_stopped},
    {"bulk, one of both engines not run for up to 5 ms, each 20 ms", ">= 75 %", "bulk-stalls", NULL, judge_stalls},
    {"bulk, the clock of one leaps by up to 50 ms, each 10 ms", ">= 90 %", "bulk-jumps", NULL, judge_jumps},
};

/* ---- Runs ---- */

struct runs {
    const struct options *options;
    uint64_t first; /* seed */
    uint32_t seeds;
    bool wanted[64];
    struct measured (*measured)[TABLE_SEEDS_MAX]; /* of each measured scenario; shared */
};

static uint32_t scenario_index(const char *name)
{
    uint32_t i = 0;
    while (strcmp(measured_scenarios[i].name, name) != 0) {
        i++;
    }
    return i;
}

static bool run_one(uint64_t index, void *arg)
{
    struct runs *runs = arg;
    const uint32_t scenario = (uint32_t)(index / runs->seeds), number = (uint32_t)(index % runs->seeds);
    const uint64_t seed = runs->first + number;
    if (!runs->wanted[scenario]) {
        return true;
    }
    struct outcome *outcome = calloc(1, sizeof *outcome);
    world_run(&measured_scenarios[scenario], seed, runs->options, outcome);
    if (outcome->failed) {
        printf("FAILED: %s, seed %llu: %s\n", measured_scenarios[scenario].name, (unsigned long long)seed,
               outcome->text);
        outcome->measured.valid = false;
    }
    runs->measured[scenario][number] = outcome->measured;
    free(outcome);
    return true;
}

static bool all_valid(const struct measured *measured)
{
    for (uint32_t i = 0; measured && i < seeds_judged; i++) {
        if (!measured[i].valid) {
            return false;
        }
    }
    return true;
}

static bool print_row(const struct row *row, const struct runs *runs)
{
    char text[CELL_CHARS] = "a run failed";
    const struct measured *measured = runs->measured[scenario_index(row->scenario)];
    const struct measured *beside = row->beside ? runs->measured[scenario_index(row->beside)] : NULL;
    bool reached = all_valid(measured) && all_valid(beside) && row->judge(measured, beside, text);
    printf("| %s | %s | %s | %s |\n", row->what, row->must, text, reached ? "yes" : "**no**");
    return reached;
}

bool table_print(uint64_t first, uint32_t seeds, uint32_t jobs, const struct options *options)
{
    struct runs runs = {.options = options, .first = first, .seeds = seeds};
    const uint32_t count = sizeof rows / sizeof *rows;
    bool reached;
    seeds_judged = seeds;
    runs.measured = jobs_memory(measured_scenario_count * sizeof *runs.measured);
    for (uint32_t i = 0; i < count; i++) {
        runs.wanted[scenario_index(rows[i].scenario)] = true;
        if (rows[i].beside) {
            runs.wanted[scenario_index(rows[i].beside)] = true;
        }
    }
    reached = jobs_run((uint64_t)measured_scenario_count * seeds, jobs, run_one, &runs);
    printf("| what | must | measured, the worst of seeds %llu..%llu | reached |\n|---|---|---|---|\n",
           (unsigned long long)first, (unsigned long long)(first + seeds - 1));
    for (uint32_t i = 0; i < count; i++) {
        reached = print_row(&rows[i], &runs) && reached;
    }
    return reached;
}
