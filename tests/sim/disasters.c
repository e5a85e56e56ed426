/* SPDX-License-Identifier: MIT */
#include "disasters.h"

#include "wire/wire.h"
#include "world.h"

#define NEVER UINT64_MAX
#define PARTITION_SURVIVED_NS UINT64_C(5000000000) /* half of the time after which a peer is dead */
#define LINGER_NS UINT64_C(300000000)              /* an engine that shuts down tells its peers for so long */
#define HALF_OPEN_PACKETS 20                       /* that timeouts send at least while a flow waits to be confirmed */

static uint64_t *at(struct world *world, enum disaster kind)
{
    return &world->disasters.at_ns[kind];
}

/* A time around `interval_ns` from now; 0: never. */
static uint64_t after(struct world *world, uint64_t interval_ns)
{
    return interval_ns > 0 ? world->now_ns + prng_between(&world->prng, 1, 2 * interval_ns) : NEVER;
}

static struct node *any_node(struct world *world)
{
    return &world->nodes[prng_below(&world->prng, world->node_count)];
}

/* ---- Links ---- */

/* All links of some pairs fail, in one direction or both. */
static void begin_partition(struct world *world)
{
    struct nic_mem_impairments failed = world->plan.impairments;
    failed.partitioned = true;
    bool both = prng_chance(&world->prng, 700000) || world->plan.partition_interval_ns > 0;
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
    *at(world, DISASTER_PARTITION) = NEVER;
    *at(world, DISASTER_HEAL) = world->now_ns + world->plan.partition_ns;
}

static void heal(struct world *world)
{
    world_trace(world, "links heal");
    nic_mem_impair_all(world->network, &world->plan.impairments);
    world->disasters.healed_ns = world->now_ns;
    *at(world, DISASTER_HEAL) = NEVER;
    if (world->plan.partition_interval_ns > 0) {
        *at(world, DISASTER_PARTITION) = world->now_ns + world->plan.partition_interval_ns;
    }
}

/* Links are perfect from now on. */
static void settle(struct world *world)
{
    world_trace(world, "links settle");
    world->plan.impairments = (struct nic_mem_impairments){.delay_ns = world->plan.impairments.delay_ns};
    nic_mem_impair_all(world->network, &world->plan.impairments);
    *at(world, DISASTER_SETTLE) = NEVER;
}

/* The path between two nodes gets another longest packet; senders of longer ones are told, or not. */
static void reshape(struct world *world)
{
    struct nic_mem_impairments changed = world->plan.impairments;
    uint32_t longest = (uint32_t)prng_between(&world->prng, WIRE_PAYLOAD_MIN_MTU, NIC_MEM_PAYLOAD_MAX);
    bool silent = prng_chance(&world->prng, 500000);
    if (prng_chance(&world->prng, 700000)) {
        changed.max_payload = silent ? 0 : longest;
        changed.black_hole_payload = silent ? longest : 0;
    }
    const struct endpoint *from = &any_node(world)->udp, *to = &any_node(world)->udp;
    world_trace(world, "path .%u -> .%u carries %u bytes, %s", from->ip[15], to->ip[15], longest,
                silent ? "silently" : "and says so");
    nic_mem_impair(world->network, from, to, &changed);
    if (prng_chance(&world->prng, 500000)) {
        nic_mem_impair(world->network, to, from, &changed);
    }
    *at(world, DISASTER_RESHAPE) = after(world, world->plan.reshape_interval_ns);
}

/* ---- Engines ---- */

static void restart_one(struct world *world)
{
    node_restart(any_node(world));
    uint64_t again = world->now_ns + prng_between(&world->prng, 1, 500000000);
    bool goes_on = again < world->plan.active_ns && prng_chance(&world->prng, 500000);
    *at(world, DISASTER_RESTART) = goes_on ? again : NEVER;
}

static void shut_down_one(struct world *world)
{
    node_shut_down(any_node(world));
    *at(world, DISASTER_SHUTDOWN) = NEVER;
    *at(world, DISASTER_LEAVE) = world->now_ns + LINGER_NS;
}

static void leave(struct world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world->nodes[i].leaving) {
            node_left(&world->nodes[i]);
        }
    }
    *at(world, DISASTER_LEAVE) = NEVER;
}

static void stall_one(struct world *world)
{
    struct node *node = any_node(world);
    uint64_t until_ns = world->now_ns + prng_between(&world->prng, 1, world->plan.stall_ns);
    if (until_ns > node->stalled_until_ns) {
        node->stalled_until_ns = until_ns;
    }
    world->ledger.time_lost = true;
    world_trace(world, "node %u: stalls until %.6f ms", node->index, (double)until_ns / 1e6);
    *at(world, DISASTER_STALL) = after(world, world->plan.stall_interval_ns);
}

static void jump_one(struct world *world)
{
    struct node *node = any_node(world);
    uint64_t leap_ns = prng_between(&world->prng, 1, world->plan.jump_ns);
    node->clock_ahead_ns += leap_ns;
    world->ledger.time_lost = true;
    world_trace(world, "node %u: its clock jumps by %.6f ms", node->index, (double)leap_ns / 1e6);
    *at(world, DISASTER_JUMP) = after(world, world->plan.jump_interval_ns);
}

/* ---- Attackers ---- */

static void send_garbage(struct world *world)
{
    garbage_act(&world->garbage, world);
    *at(world, DISASTER_GARBAGE) = world->now_ns + prng_below(&world->prng, 2 * world->plan.garbage_interval_ns);
}

static void send_forged(struct world *world)
{
    spoof_act(&world->spoof, world);
    *at(world, DISASTER_SPOOF) = after(world, world->plan.spoof_interval_ns);
}

/* ---- All of them ---- */

static void (*const acts[DISASTER_COUNT])(struct world *world) = {
    [DISASTER_PARTITION] = begin_partition,
    [DISASTER_HEAL] = heal,
    [DISASTER_SETTLE] = settle,
    [DISASTER_RESTART] = restart_one,
    [DISASTER_SHUTDOWN] = shut_down_one,
    [DISASTER_LEAVE] = leave,
    [DISASTER_STALL] = stall_one,
    [DISASTER_JUMP] = jump_one,
    [DISASTER_RESHAPE] = reshape,
    [DISASTER_GARBAGE] = send_garbage,
    [DISASTER_SPOOF] = send_forged,
};

static void note_causes(struct world *world)
{
    const struct plan *plan = &world->plan;
    const struct nic_mem_impairments *impairments = &plan->impairments;
    struct ledger *ledger = &world->ledger;
    ledger->links_fail = impairments->loss_ppm > 0 || impairments->burst_ppm > 0 || impairments->tail_ppm > 0 ||
                         impairments->corrupt_ppm > 0 || plan->partition_ns > 0;
    ledger->peers_may_die = plan->partition_ns > PARTITION_SURVIVED_NS;
    ledger->few_flows = plan->max_flows < 4096;
    ledger->long_bursts = impairments->burst_packets > HALF_OPEN_PACKETS;
}

static uint64_t or_never(uint64_t at_ns)
{
    return at_ns > 0 ? at_ns : NEVER;
}

void disasters_init(struct world *world)
{
    const struct plan *plan = &world->plan;
    note_causes(world);
    for (uint32_t kind = 0; kind < DISASTER_COUNT; kind++) {
        world->disasters.at_ns[kind] = NEVER;
    }
    *at(world, DISASTER_PARTITION) = or_never(plan->partition_at_ns);
    *at(world, DISASTER_SETTLE) = or_never(plan->settle_at_ns);
    *at(world, DISASTER_RESTART) = or_never(plan->restart_at_ns);
    *at(world, DISASTER_SHUTDOWN) = or_never(plan->shutdown_at_ns);
    *at(world, DISASTER_STALL) = after(world, plan->stall_interval_ns);
    *at(world, DISASTER_JUMP) = after(world, plan->jump_interval_ns);
    *at(world, DISASTER_RESHAPE) = after(world, plan->reshape_interval_ns);
    *at(world, DISASTER_GARBAGE) = after(world, plan->garbage_interval_ns);
    *at(world, DISASTER_SPOOF) = after(world, plan->spoof_interval_ns);
}

void disasters_end(struct world *world)
{
    for (uint32_t kind = 0; kind < DISASTER_COUNT; kind++) {
        if (kind != DISASTER_LEAVE) {
            world->disasters.at_ns[kind] = NEVER;
        }
    }
}

uint64_t disasters_next(const struct world *world)
{
    uint64_t next = NEVER;
    for (uint32_t kind = 0; kind < DISASTER_COUNT; kind++) {
        next = world->disasters.at_ns[kind] < next ? world->disasters.at_ns[kind] : next;
    }
    return next;
}

void disasters_act(struct world *world)
{
    for (uint32_t kind = 0; kind < DISASTER_COUNT; kind++) {
        if (world->disasters.at_ns[kind] <= world->now_ns) {
            acts[kind](world);
        }
    }
}

void disasters_note_read(struct world *world)
{
    struct disasters *disasters = &world->disasters;
    if (disasters->healed_ns == 0) {
        return;
    }
    uint64_t took_ns = world->now_ns - disasters->healed_ns;
    disasters->slowest_ns = took_ns > disasters->slowest_ns ? took_ns : disasters->slowest_ns;
    disasters->healed_ns = 0;
}
