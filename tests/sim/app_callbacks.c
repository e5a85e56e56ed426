/* SPDX-License-Identifier: MIT */
/* What the transport calls: a ring and memory that may be full, and the ledger. */
#include <stdlib.h>
#include <string.h>

#include "app_internal.h"
#include "world.h"

static struct app *app_of(const struct transport_owner *owner)
{
    return owner->user;
}

/* A load acts when something happens. */
static void wake(struct app *app)
{
    if (app->load) {
        app->next_act_ns = app->world->now_ns;
    }
}

/* The ring has no room now, for no reason that the transport could know. */
static bool ring_full(struct app *app, uint32_t used)
{
    const struct behaviour *behaviour = &app->world->plan.behaviour;
    bool unlucky = prng_chance(&app->prng, behaviour->ring_full_ppm) && !app->world->draining;
    if (unlucky || used >= behaviour->inbox_max) {
        app->ring_refused = true;
        return true;
    }
    return false;
}

void app_keep_end(struct app *app, struct end *end)
{
    if (app->end_count == app->end_capacity) {
        app->end_capacity = app->end_capacity ? 2 * app->end_capacity : 16;
        app->ends = realloc(app->ends, app->end_capacity * sizeof(struct end *));
    }
    app->ends[app->end_count++] = end;
}

static bool on_reserve(struct transport_owner *owner, uint32_t length, bool last_reserve,
                       struct transport_extent *extent)
{
    return memory_reserve(&app_of(owner)->memory, length, last_reserve, extent);
}

static void on_abandon(struct transport_owner *owner, const struct transport_extent *extent)
{
    memory_abandon(&app_of(owner)->memory, extent);
}

/* Messages of the flow that were delivered and not given back. */
uint32_t app_lent(const struct app *app, const struct end *end)
{
    uint32_t inbox_max = app->world->plan.behaviour.inbox_max;
    uint32_t count = 0;
    for (uint32_t i = 0; i < app->inbox_count; i++) {
        count += app->inbox[(app->inbox_head + i) % inbox_max].end == end;
    }
    for (uint32_t i = 0; i < app->held_count; i++) {
        count += app->held[i].end == end;
    }
    return count;
}

static enum transport_delivery on_deliver(struct transport_owner *owner, void *flow_user,
                                          const struct transport_extent *extent, uint64_t tag)
{
    struct app *app = app_of(owner);
    struct end *end = flow_user;
    if (app_lent(app, end) >= app->world->plan.behaviour.inbox_share) {
        return TRANSPORT_OVER_SHARE;
    }
    if (ring_full(app, app->inbox_count)) {
        return TRANSPORT_NO_ROOM;
    }
    world_trace(app->world, "%s: side %u: message %u delivered, %u bytes", app->name, end->id, end->delivered,
                extent->length);
    ledger_delivered(&app->world->ledger, end);
    wake(app);
    if (memory_deliver(&app->memory, extent)) {
        uint32_t inbox_max = app->world->plan.behaviour.inbox_max;
        app->inbox[(app->inbox_head + app->inbox_count++) % inbox_max] =
            (struct delivery){.end = end, .extent = *extent, .tag = tag};
    }
    return TRANSPORT_DELIVERED;
}

static bool on_established(struct transport_owner *owner, void *flow_user, struct flow *flow)
{
    struct app *app = app_of(owner);
    struct end *end = flow_user;
    if (ring_full(app, 0)) {
        return false;
    }
    if (end->flow && end->flow != flow) {
        verdict_fail(&app->world->verdict, "side %u: established with another flow", end->id);
    }
    world_trace(app->world, "%s: side %u: established", app->name, end->id);
    ledger_established(&app->world->ledger, end);
    wake(app);
    return true;
}

static bool on_ended(struct transport_owner *owner, void *flow_user, enum transport_status status)
{
    struct app *app = app_of(owner);
    struct end *end = flow_user;
    if (ring_full(app, 0)) {
        return false;
    }
    world_trace(app->world, "%s: side %u: ended: %s", app->name, end->id, ledger_status_name(status));
    ledger_ended(&app->world->ledger, end, status);
    return true;
}

static bool on_accepted(struct transport_owner *owner, uint64_t listener, struct flow *flow, void **flow_user)
{
    struct app *app = app_of(owner);
    if (ring_full(app, 0)) {
        return false;
    }
    if (!app->alive || listener >> 32 != app->port) {
        verdict_fail(&app->world->verdict, "%s: accepted for listener %llx", app->name, (unsigned long long)listener);
    }
    struct transport_flow_info info;
    transport_flow_info(flow, &info);
    struct end *end = ledger_open(&app->world->ledger, app, false, &info.local, &info.remote);
    world_trace(app->world, "%s: side %u: accepted from side %u", app->name, end->id, end->peer ? end->peer->id : 0);
    end->flow = flow;
    app_keep_end(app, end);
    *flow_user = end;
    return true;
}

static void on_sent(struct transport_owner *owner, void *flow_user, uint64_t cookie, enum transport_status status)
{
    struct app *app = app_of(owner);
    struct end *end = flow_user;
    world_trace(app->world, "%s: side %u: message %u settled: %s", app->name, end->id, (uint32_t)cookie,
                ledger_status_name(status));
    if ((uint32_t)cookie < end->sent) {
        app->unsettled_bytes -= end->messages[(uint32_t)cookie].length;
    }
    ledger_settled(&app->world->ledger, app, end, cookie, status);
    wake(app);
}

static bool on_stalled(struct transport_owner *owner, void *flow_user)
{
    const struct end *end = flow_user;
    if (end->dead) {
        verdict_fail(&app_of(owner)->world->verdict, "side %u: stalled after its death", end->id);
    }
    return true;
}

const struct transport_ops app_ops = {
    .extent_reserve = on_reserve,
    .extent_abandon = on_abandon,
    .deliver = on_deliver,
    .established = on_established,
    .ended = on_ended,
    .accepted = on_accepted,
    .sent = on_sent,
    .stalled = on_stalled,
};
