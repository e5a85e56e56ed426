/* SPDX-License-Identifier: MIT */
/* What every application does: lives and dies, opens, sends, reads, closes. */
#include "app.h"

#include <stdlib.h>
#include <string.h>

#include "app_internal.h"
#include "load.h"
#include "world.h"

#define DRAINING_INTERVAL_NS UINT64_C(500000)

/* ---- Life and death ---- */

void app_init(struct app *app, struct world *world, struct node *node, uint32_t index, uint64_t seed)
{
    const struct behaviour *behaviour = &world->plan.behaviour;
    *app = (struct app){.world = world, .node = node, .port = (uint16_t)(7000 + index)};
    snprintf(app->name, sizeof app->name, "node %u application %u", node->index, index);
    prng_init(&app->prng, seed);
    memory_init(&app->memory, &world->verdict, app->name, prng_next(&app->prng), behaviour->budget, behaviour->reserve);
    app->inbox = calloc(behaviour->inbox_max, sizeof *app->inbox);
}

void app_listen(struct app *app)
{
    /* Any address, or the node's own. */
    struct endpoint local = {.port = app->port};
    if (prng_chance(&app->prng, 500000)) {
        memcpy(local.ip, app->node->udp.ip, sizeof local.ip);
    }
    app->listener = (uint64_t)app->port << 32 | ++app->world->next_listener;
    if (!transport_listen(app->node->transport, &app->owner, &local, app->listener)) {
        verdict_fail(&app->world->verdict, "%s: cannot listen", app->name);
    }
}

void app_start(struct app *app)
{
    transport_owner_init(&app->owner, app, app->memory.budget);
    app->alive = true;
    app_listen(app);
}

void app_forget(struct app *app)
{
    struct ledger *ledger = &app->world->ledger;
    for (uint32_t i = 0; i < ledger->count; i++) {
        struct end *end = ledger->ends[i];
        if (end->app == app) {
            end->flow = NULL;
            if (!end->ended) {
                ledger_died(end);
            }
        }
    }
    for (; app->inbox_count > 0; app->inbox_count--) {
        memory_release(&app->memory, &app->inbox[app->inbox_head].extent);
        app->inbox_head = (app->inbox_head + 1) % app->world->plan.behaviour.inbox_max;
    }
    while (app->held_count > 0) {
        memory_release(&app->memory, &app->held[--app->held_count].extent);
    }
    if (app->memory.with_transport > 0 || app->memory.used > 0) {
        verdict_fail(&app->world->verdict, "%s: its owner is gone, but %u extents (%llu bytes) were not given back",
                     app->name, app->memory.with_transport, (unsigned long long)app->memory.used);
    }
    app->end_count = 0;
    app->unsettled_bytes = 0;
    app->listener = 0;
    app->ring_refused = app->memory.refused = false;
    app->alive = false;
}

void app_fini(struct app *app)
{
    memory_fini(&app->memory);
    free(app->inbox);
    free(app->held);
    free(app->ends);
}

/* ---- Reading ---- */

static void give_back(struct app *app, const struct delivery *delivery)
{
    memory_release(&app->memory, &delivery->extent);
    if (delivery->end->flow) {
        transport_released(app->node->transport, delivery->end->flow, delivery->extent.length, node_now(app->node));
    } else {
        transport_released_orphan(app->node->transport, &app->owner, delivery->extent.length);
    }
}

static void hold(struct app *app, const struct delivery *delivery)
{
    if (app->held_count == app->held_capacity) {
        app->held_capacity = app->held_capacity ? 2 * app->held_capacity : 16;
        app->held = realloc(app->held, app->held_capacity * sizeof *app->held);
    }
    app->held[app->held_count] = *delivery;
    app->held[app->held_count++].until_ns =
        app->world->now_ns + prng_below(&app->prng, app->world->plan.behaviour.hold_ns);
}

static void release_due(struct app *app)
{
    for (uint32_t i = 0; i < app->held_count;) {
        struct delivery delivery = app->held[i];
        if (delivery.until_ns <= app->world->now_ns || app->world->draining) {
            app->held[i] = app->held[--app->held_count];
            give_back(app, &delivery);
        } else {
            i++;
        }
    }
}

/* The oldest delivery. */
static struct delivery take(struct app *app)
{
    struct delivery delivery = app->inbox[app->inbox_head];
    app->inbox_head = (app->inbox_head + 1) % app->world->plan.behaviour.inbox_max;
    app->inbox_count--;
    return delivery;
}

struct end *app_read(struct app *app, bool hold_it, uint32_t *length)
{
    struct delivery delivery = take(app);
    ledger_read(&app->world->ledger, delivery.end, &delivery.extent, delivery.tag);
    if (hold_it) {
        hold(app, &delivery);
    } else {
        give_back(app, &delivery);
    }
    *length = delivery.extent.length;
    return delivery.end;
}

static void repay(struct app *app)
{
    if (app->memory.refused) {
        app->memory.refused = false;
        transport_memory_available(app->node->transport, &app->owner, node_now(app->node));
    }
    if (app->ring_refused && app->inbox_count < app->world->plan.behaviour.inbox_max) {
        app->ring_refused = false;
        transport_owner_resume(app->node->transport, &app->owner, node_now(app->node));
    }
}

/* ---- Opening, sending, closing ---- */

void app_open(struct app *app, const struct app *target, uint16_t local_port, uint16_t remote_port, uint64_t timeout_ns)
{
    struct world *world = app->world;
    struct transport_path path = {.local = app->node->udp, .remote = target->node->udp};
    path.max_udp_payload = app->node->nic->ops->max_payload(app->node->nic->queues[0], &path.local, &path.remote);
    struct endpoint local = app->node->udp, remote = target->node->udp;
    local.port = local_port;
    remote.port = remote_port;
    if (!target->listener || remote.port != target->port) {
        world->ledger.nobody_listens = true;
    }
    struct end *end = ledger_open(&world->ledger, app, true, &local, &remote);
    world_trace(world, "%s: side %u: opens a flow to %s port %u", app->name, end->id, target->name, remote.port);
    enum transport_status status = TRANSPORT_OK;
    uint32_t flows = transport_flows(app->node->transport, 0, NULL, NULL);
    struct flow *flow = transport_open(app->node->transport, &app->owner, end, &path, local.port, remote.port,
                                       timeout_ns, node_now(app->node), &status);
    if (!flow) {
        if (flows < world->plan.max_flows || status != TRANSPORT_NO_MEMORY) {
            verdict_fail(&world->verdict, "%s: open failed with %s and %u flows", app->name, ledger_status_name(status),
                         flows);
        }
        ledger_died(end);
        return;
    }
    struct transport_flow_info info;
    transport_flow_info(flow, &info);
    if ((local.port != 0 && info.local.port != local.port) || info.local.port == 0 || info.remote.port != remote.port) {
        verdict_fail(&world->verdict, "side %u: opened with other ports than asked for", end->id);
    }
    end->flow = flow;
    end->local.port = info.local.port;
    app_keep_end(app, end);
}

bool app_send(struct app *app, struct end *end, uint32_t length, uint64_t tag)
{
    struct world *world = app->world;
    const struct message *message = ledger_send(&world->ledger, end, length, tag);
    struct transport_span span = {.data = message->data, .length = length, .tag = tag, .cookie = ledger_cookie(end)};
    bool ended = end->ended;
    app->unsettled_bytes += length;
    world_trace(world, "%s: side %u: sends message %u, %u bytes", app->name, end->id, end->sent - 1, length);
    bool accepted = transport_send(app->node->transport, end->flow, &span, node_now(app->node));
    /* A flow whose `ended` found no room, or stands behind messages that others go before, has ended all the same. */
    bool may_wait = app->ring_refused || app_lent(app, end) >= world->plan.behaviour.inbox_share;
    if (accepted ? ended : !ended && !may_wait) {
        verdict_fail(&world->verdict, "side %u: a message was %s the flow had ended", end->id,
                     accepted ? "accepted after" : "refused before");
    }
    if (!accepted) {
        app->unsettled_bytes -= length;
        ledger_unsend(end);
    }
    return accepted;
}

void app_close(struct app *app, uint32_t index, bool abort_it)
{
    struct end *end = app->ends[index];
    struct flow *flow = end->flow;
    app->ends[index] = app->ends[--app->end_count];
    end->flow = NULL;
    end->closed = end->closed || !end->ended;
    end->aborted = abort_it && !end->ended;
    world_trace(app->world, "%s: side %u: %s%s", app->name, end->id, abort_it ? "aborts" : "closes",
                end->ended ? " what has ended" : "");
    transport_close(app->node->transport, flow, abort_it, node_now(app->node));
}

/* Nothing is under way in either direction, or never will be. */
static bool is_quiet(const struct end *end)
{
    const struct end *peer = end->peer;
    return end->established && end->settled == end->sent && (!peer || peer->dead || end->read == peer->sent);
}

static void close_what_ended(struct app *app)
{
    bool draining = app->world->draining;
    for (uint32_t i = app->end_count; i > 0; i--) {
        const struct end *end = app->ends[i - 1];
        if (end->ended ? draining || prng_chance(&app->prng, 250000) : draining && is_quiet(end)) {
            app_close(app, i - 1, false);
        }
    }
}

void app_act(struct app *app)
{
    struct world *world = app->world;
    if (app->load && !world->draining) {
        app->next_act_ns = UINT64_MAX;
        load_act(app);
        repay(app);
        return;
    }
    uint64_t interval_ns = world->plan.behaviour.interval_ns;
    if (world->draining && interval_ns < DRAINING_INTERVAL_NS) {
        interval_ns = DRAINING_INTERVAL_NS;
    }
    app->next_act_ns = world->now_ns + prng_between(&app->prng, 1, 2 * interval_ns);
    if (!app->alive && !world->draining) {
        app_start(app);
    }
    if (!app->alive) {
        app->next_act_ns = UINT64_MAX;
        return;
    }
    release_due(app);
    app_read_at_random(app);
    repay(app);
    close_what_ended(app);
    if (!world->draining) {
        app_act_at_random(app);
    }
}
