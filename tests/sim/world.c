/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "trace.h"

#define NEVER UINT64_MAX
#define DRAIN_MAX_NS UINT64_C(60000000000)
#define PARTITION_SURVIVED_NS UINT64_C(5000000000) /* half of the time after which a peer is dead */
enum { IN_FLIGHT_MAX = 65536, ROUNDS_MAX = 20000 };

void world_trace(const struct world *world, const char *format, ...)
{
    if (!world->options->trace) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    printf("%12.6f ms  ", (double)world->now_ns / 1e6);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

static void on_packet(void *arg, uint64_t now_ns, const struct nic_packet *packet)
{
    struct world *world = arg;
    struct ledger *ledger = &world->ledger;
    ledger_note(ledger, now_ns);
    ledger_note(ledger, (uint64_t)packet->local.ip[15] << 48 | (uint64_t)packet->remote.ip[15] << 32 |
                            (uint64_t)packet->local.port << 16 | packet->remote.port);
    ledger_note(ledger, packet->length);
    uint32_t at = 0;
    for (uint64_t word; at + sizeof word <= packet->length; at += (uint32_t)sizeof word) {
        memcpy(&word, packet->data + at, sizeof word);
        ledger->digest = (ledger->digest ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        ledger->digest ^= ledger->digest >> 29;
    }
    for (; at < packet->length; at++) {
        ledger_note(ledger, packet->data[at]);
    }
    if (world->plan.garbage_interval_ns > 0) {
        garbage_observe(&world->garbage, packet);
    }
    if (world->options->trace) {
        trace_packet(world, packet);
    }
}

/* ---- Beginning ---- */

static void note_causes(struct world *world)
{
    const struct plan *plan = &world->plan;
    world->ledger.links_fail =
        plan->impairments.loss_ppm > 0 || plan->impairments.corrupt_ppm > 0 || plan->partition_ns > 0;
    world->ledger.peers_may_die = plan->partition_ns > PARTITION_SURVIVED_NS;
    world->ledger.nobody_listens = plan->max_flows < 4096; /* a flow may be refused for their number, too */
}

static void populate(struct world *world)
{
    const struct plan *plan = &world->plan;
    const bool loads = plan->load_count > 0;
    const uint32_t nodes = loads ? load_nodes(plan) : plan->nodes;
    const uint32_t apps = loads ? load_apps(plan) : plan->nodes * plan->apps_per_node;
    world->nodes = calloc(nodes, sizeof *world->nodes);
    world->apps = calloc(apps, sizeof *world->apps);
    for (; world->node_count < nodes; world->node_count++) {
        node_start(&world->nodes[world->node_count], world, world->node_count, prng_next(&world->prng));
    }
    for (; world->app_count < apps; world->app_count++) {
        const uint32_t i = world->app_count;
        struct app *app = &world->apps[i];
        struct node *node = &world->nodes[loads ? load_node_of(plan, i) : i / plan->apps_per_node];
        app_init(app, world, node, i, prng_next(&world->prng));
        app->memory.refuse_ppm = plan->behaviour.memory_refuse_ppm;
        app_start(app);
        if (loads) {
            load_assign(app, plan, i);
        }
    }
    if (loads) {
        measure_init(&world->measure, world);
        nic_mem_set_queue_tap(world->network, measure_queue, &world->measure);
    }
}

static struct world *world_new(const struct scenario *scenario, uint64_t seed, const struct options *options)
{
    struct world *world = calloc(1, sizeof *world);
    world->scenario = scenario;
    world->seed = seed;
    world->options = options;
    world->verdict.now_ns = &world->now_ns;
    world->next_port = 10000;
    prng_init(&world->prng, seed);
    scenario_plan(scenario, &world->prng, &world->plan);
    const struct plan *plan = &world->plan;
    ledger_init(&world->ledger, &world->verdict, prng_next(&world->prng));
    note_causes(world);
    world->network = nic_mem_network_new(prng_next(&world->prng), IN_FLIGHT_MAX);
    nic_mem_impair_all(world->network, &plan->impairments);
    nic_mem_set_tap(world->network, on_packet, world);
    garbage_init(&world->garbage, prng_next(&world->prng), plan->garbage_interval_ns > 0);
    world->bytes_left = plan->bytes;
    world->partition_at_ns = plan->partition_ns ? plan->partition_at_ns : NEVER;
    world->heal_at_ns = NEVER;
    world->restart_at_ns = plan->restart_at_ns ? plan->restart_at_ns : NEVER;
    populate(world);
    return world;
}

static void world_free(struct world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        node_stop(&world->nodes[i]);
    }
    for (uint32_t i = 0; i < world->app_count; i++) {
        app_fini(&world->apps[i]);
    }
    for (uint32_t i = 0; i < world->node_count; i++) {
        node_fini(&world->nodes[i]);
    }
    nic_mem_network_free(world->network);
    ledger_fini(&world->ledger);
    measure_fini(&world->measure);
    free(world->nodes);
    free(world->apps);
    free(world);
}

/* ---- Disasters ---- */

/* All links of some pairs fail, in one direction or both. */
static void begin_partition(struct world *world)
{
    struct nic_mem_impairments failed = world->plan.impairments;
    failed.partitioned = true;
    bool both = prng_chance(&world->prng, 700000);
    for (uint32_t i = 0; i < world->node_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (j == 0 && i == 1 ? true : prng_chance(&world->prng, 500000)) {
                nic_mem_impair(world->network, &world->nodes[i].udp, &world->nodes[j].udp, &failed);
                if (both) {
                    nic_mem_impair(world->network, &world->nodes[j].udp, &world->nodes[i].udp, &failed);
                }
            }
        }
    }
    world_trace(world, "partition for %.3f s", (double)world->plan.partition_ns / 1e9);
    world->partition_at_ns = NEVER;
    world->heal_at_ns = world->now_ns + world->plan.partition_ns;
}

static void heal(struct world *world)
{
    world_trace(world, "links heal");
    nic_mem_impair_all(world->network, &world->plan.impairments);
    world->heal_at_ns = NEVER;
}

static void restart_one(struct world *world)
{
    node_restart(&world->nodes[prng_below(&world->prng, world->node_count)]);
    uint64_t again = world->now_ns + prng_between(&world->prng, 1, 500000000);
    world->restart_at_ns = again < world->plan.active_ns && prng_chance(&world->prng, 500000) ? again : NEVER;
}

static uint64_t next_disaster(const struct world *world)
{
    uint64_t next = world->partition_at_ns;
    next = world->heal_at_ns < next ? world->heal_at_ns : next;
    next = world->restart_at_ns < next ? world->restart_at_ns : next;
    return world->garbage.next_ns < next ? world->garbage.next_ns : next;
}

static void disasters(struct world *world)
{
    if (world->partition_at_ns <= world->now_ns) {
        begin_partition(world);
    }
    if (world->heal_at_ns <= world->now_ns) {
        heal(world);
    }
    if (world->restart_at_ns <= world->now_ns) {
        restart_one(world);
    }
    if (world->garbage.next_ns <= world->now_ns) {
        garbage_act(&world->garbage, world);
    }
}

static void begin_draining(struct world *world)
{
    world_trace(world, "draining");
    world->draining = true;
    world->partition_at_ns = world->heal_at_ns = world->restart_at_ns = NEVER;
    world->garbage.next_ns = NEVER;
    struct nic_mem_impairments none = {.delay_ns = world->plan.impairments.delay_ns};
    nic_mem_impair_all(world->network, &none);
    for (uint32_t i = 0; i < world->app_count; i++) {
        world->apps[i].memory.refuse_ppm = 0;
        if (world->apps[i].load) {
            world->apps[i].next_act_ns = world->now_ns;
        }
    }
}

/* ---- The loop ---- */

/* Without applications. */
static uint64_t next_event_of_engines(const struct world *world)
{
    uint64_t next = nic_mem_next_arrival(world->network);
    uint64_t disaster = next_disaster(world);
    next = disaster < next ? disaster : next;
    for (uint32_t i = 0; i < world->node_count; i++) {
        uint64_t poll = node_next_poll(&world->nodes[i]);
        next = poll < next ? poll : next;
    }
    return next;
}

static uint64_t next_event_of_apps(const struct world *world)
{
    uint64_t next = NEVER;
    for (uint32_t i = 0; i < world->app_count; i++) {
        next = world->apps[i].next_act_ns < next ? world->apps[i].next_act_ns : next;
    }
    return !world->draining && next > world->plan.active_ns ? world->plan.active_ns : next;
}

static void poll_nodes(struct world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (node_next_poll(&world->nodes[i]) <= world->now_ns) {
            node_poll(&world->nodes[i]);
        }
    }
}

static void act(struct app *app)
{
    if (app->node->stalled_until_ns > app->world->now_ns) {
        app->next_act_ns = app->node->stalled_until_ns;
    } else {
        app_act(app);
    }
}

static void step(struct world *world)
{
    nic_mem_advance(world->network, world->now_ns);
    measure_tick(&world->measure);
    poll_nodes(world);
    disasters(world);
    for (uint32_t i = 0; i < world->app_count; i++) {
        if (world->apps[i].next_act_ns <= world->now_ns) {
            act(&world->apps[i]);
        }
    }
    poll_nodes(world);
    if (!world->draining && world->now_ns >= world->plan.active_ns) {
        begin_draining(world);
    }
    if (nic_mem_counters(world->network)->sent > world->plan.packets_max) {
        verdict_fail(&world->verdict, "a storm: more than %llu packets were sent",
                     (unsigned long long)world->plan.packets_max);
    }
}

static bool all_ended(const struct world *world)
{
    for (uint32_t i = 0; i < world->ledger.count; i++) {
        const struct end *end = world->ledger.ends[i];
        if (end->flow || (!end->ended && !end->dead)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < world->app_count; i++) {
        const struct app *app = &world->apps[i];
        if (app->inbox_count > 0 || app->held_count > 0 || app->ring_refused || app->memory.refused) {
            return false;
        }
    }
    return true;
}

static void describe_hang(struct world *world)
{
    char text[6000];
    size_t used = 0;
    uint32_t shown = 0, hanging = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < world->ledger.count; i++) {
        const struct end *end = world->ledger.ends[i];
        if (!end->flow && (end->ended || end->dead)) {
            continue;
        }
        hanging++;
        if (shown++ < 8) {
            used += trace_end(end, text + used, sizeof text - used);
        }
    }
    verdict_fail(&world->verdict, "hang: %u sides are not at their end %.0f s after all faults were over:%s", hanging,
                 (double)DRAIN_MAX_NS / 1e9, text);
}

static void judge_deadline(struct world *world)
{
    if (!all_ended(world)) {
        describe_hang(world);
        return;
    }
    verdict_fail(&world->verdict, "a transport without flows still asks for timeouts%s",
                 nic_mem_next_arrival(world->network) == NEVER ? "" : ", and packets are sent");
}

static void loop(struct world *world)
{
    uint32_t rounds = 0;
    while (!world->verdict.failed) {
        uint64_t engines = next_event_of_engines(world);
        uint64_t apps = next_event_of_apps(world);
        uint64_t next = engines < apps ? engines : apps;
        if (world->draining && engines == NEVER && all_ended(world)) {
            break;
        }
        rounds = next > world->now_ns ? 0 : rounds + 1;
        if (rounds > ROUNDS_MAX) {
            verdict_fail(&world->verdict, "an endless loop: time stands still");
        }
        world->now_ns = next > world->now_ns ? next : world->now_ns;
        if (world->now_ns > world->plan.active_ns + DRAIN_MAX_NS) {
            judge_deadline(world);
        }
        step(world);
    }
}

static void finish(struct world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        uint32_t flows = transport_flows(world->nodes[i].transport, 0, NULL, NULL);
        if (flows > 0) {
            verdict_fail(&world->verdict, "node %u still has %u flows, and no timer for them", i, flows);
        }
    }
    ledger_finish(&world->ledger);
    for (uint32_t i = 0; i < world->app_count; i++) {
        const struct memory *memory = &world->apps[i].memory;
        if (memory->used > 0) {
            verdict_fail(&world->verdict, "%s: %u extents (%llu bytes) were not given back", world->apps[i].name,
                         memory->with_transport, (unsigned long long)memory->used);
        }
    }
}

void world_run(const struct scenario *scenario, uint64_t seed, const struct options *options, struct outcome *outcome)
{
    struct world *world = world_new(scenario, seed, options);
    loop(world);
    if (!world->verdict.failed) {
        finish(world);
    }
    outcome->failed = world->verdict.failed;
    memcpy(outcome->text, world->verdict.text, sizeof outcome->text);
    outcome->digest = world->ledger.digest;
    outcome->messages = world->ledger.messages;
    outcome->bytes = world->ledger.bytes;
    outcome->flows = world->ledger.count;
    outcome->nodes = world->node_count;
    outcome->virtual_ns = world->now_ns;
    outcome->network = *nic_mem_counters(world->network);
    outcome->packets = outcome->network.sent;
    outcome->measured = (struct measured){0};
    if (world->measure.over) {
        measure_result(&world->measure, &outcome->measured);
    }
    world_free(world);
}
