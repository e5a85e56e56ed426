/* SPDX-License-Identifier: MIT */
#include "app.h"

#include <stdlib.h>
#include <string.h>

#include "sizes.h"
#include "wire/wire.h"
#include "world.h"

#define OPEN_TIMEOUT_NS UINT64_C(3000000000)
#define DRAINING_INTERVAL_NS UINT64_C(500000)
enum { UNSETTLED_MAX = 4 << 20 }; /* bytes of an application's send memory */

/* ---- Callbacks of the transport ---- */

static struct app *app_of(const struct transport_owner *owner)
{
    return owner->user;
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

static void keep_end(struct app *app, struct end *end)
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
static uint32_t lent_of(const struct app *app, const struct end *end)
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
    if (lent_of(app, end) >= app->world->plan.behaviour.inbox_share) {
        return TRANSPORT_OVER_SHARE;
    }
    if (ring_full(app, app->inbox_count)) {
        return TRANSPORT_NO_ROOM;
    }
    world_trace(app->world, "%s: side %u: message %u delivered, %u bytes", app->name, end->id,
                end->delivered, extent->length);
    ledger_delivered(&app->world->ledger, end);
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
    return true;
}

static bool on_ended(struct transport_owner *owner, void *flow_user, enum transport_status status)
{
    struct app *app = app_of(owner);
    struct end *end = flow_user;
    if (ring_full(app, 0)) {
        return false;
    }
    world_trace(app->world, "%s: side %u: ended: %s", app->name, end->id,
                ledger_status_name(status));
    ledger_ended(&app->world->ledger, end, status);
    return true;
}

static bool on_accepted(struct transport_owner *owner, uint64_t listener, struct flow *flow,
                        void **flow_user)
{
    struct app *app = app_of(owner);
    if (ring_full(app, 0)) {
        return false;
    }
    if (!app->alive || listener >> 32 != app->port) {
        verdict_fail(&app->world->verdict, "%s: accepted for listener %llx", app->name,
                     (unsigned long long)listener);
    }
    struct transport_flow_info info;
    transport_flow_info(flow, &info);
    struct end *end = ledger_open(&app->world->ledger, app, false, &info.local, &info.remote);
    world_trace(app->world, "%s: side %u: accepted from side %u", app->name, end->id,
                end->peer ? end->peer->id : 0);
    end->flow = flow;
    keep_end(app, end);
    *flow_user = end;
    return true;
}

static void on_sent(struct transport_owner *owner, void *flow_user, uint64_t cookie,
                    enum transport_status status)
{
    struct app *app = app_of(owner);
    struct end *end = flow_user;
    world_trace(app->world, "%s: side %u: message %u settled: %s", app->name, end->id,
                (uint32_t)cookie, ledger_status_name(status));
    if ((uint32_t)cookie < end->sent) {
        app->unsettled_bytes -= end->messages[(uint32_t)cookie].length;
    }
    ledger_settled(&app->world->ledger, app, end, cookie, status);
}

static void on_stalled(struct transport_owner *owner, void *flow_user)
{
    const struct end *end = flow_user;
    if (end->dead) {
        verdict_fail(&app_of(owner)->world->verdict, "side %u: stalled after its death", end->id);
    }
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

/* ---- Life and death ---- */

void app_init(struct app *app, struct world *world, struct node *node, uint32_t index,
              uint64_t seed)
{
    const struct behaviour *behaviour = &world->plan.behaviour;
    *app = (struct app){.world = world, .node = node, .port = (uint16_t)(7000 + index)};
    snprintf(app->name, sizeof app->name, "node %u application %u", node->index, index);
    prng_init(&app->prng, seed);
    memory_init(&app->memory, &world->verdict, app->name, prng_next(&app->prng), behaviour->budget,
                behaviour->reserve);
    app->inbox = calloc(behaviour->inbox_max, sizeof *app->inbox);
}

static void listen_again(struct app *app)
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
    listen_again(app);
}

static void stop_listening(struct app *app)
{
    transport_unlisten(app->node->transport, &app->owner, app->listener);
    app->listener = 0;
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
        verdict_fail(&app->world->verdict,
                     "%s: its owner is gone, but %u extents (%llu bytes) were not given back",
                     app->name, app->memory.with_transport, (unsigned long long)app->memory.used);
    }
    app->end_count = 0;
    app->unsettled_bytes = 0;
    app->listener = 0;
    app->ring_refused = app->memory.refused = false;
    app->alive = false;
}

static void die(struct app *app)
{
    world_trace(app->world, "%s: dies", app->name);
    app->world->ledger.owners_die = true;
    app->world->ledger.nobody_listens = true;
    transport_owner_close(app->node->transport, &app->owner, WIRE_REASON_APPLICATION_DIED,
                          app->world->now_ns);
    app_forget(app);
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
        transport_released(app->node->transport, delivery->end->flow, delivery->extent.length,
                           app->world->now_ns);
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

static void read_inbox(struct app *app)
{
    const struct behaviour *behaviour = &app->world->plan.behaviour;
    if (app->paused_until_ns > app->world->now_ns && !app->world->draining) {
        return;
    }
    uint64_t count = app->world->draining ? app->inbox_count
                                          : prng_between(&app->prng, 0, app->inbox_count);
    for (; count > 0; count--) {
        struct delivery delivery = app->inbox[app->inbox_head];
        app->inbox_head = (app->inbox_head + 1) % behaviour->inbox_max;
        app->inbox_count--;
        ledger_read(&app->world->ledger, delivery.end, &delivery.extent, delivery.tag);
        if (prng_chance(&app->prng, behaviour->hold_ppm) && !app->world->draining) {
            hold(app, &delivery);
        } else {
            give_back(app, &delivery);
        }
    }
    if (prng_chance(&app->prng, behaviour->pause_ppm)) {
        app->paused_until_ns = app->world->now_ns + prng_below(&app->prng, behaviour->pause_ns);
    }
}

static void repay(struct app *app)
{
    if (app->memory.refused) {
        app->memory.refused = false;
        transport_memory_available(app->node->transport, &app->owner, app->world->now_ns);
    }
    if (app->ring_refused && app->inbox_count < app->world->plan.behaviour.inbox_max) {
        app->ring_refused = false;
        transport_owner_resume(app->node->transport, &app->owner, app->world->now_ns);
    }
}

/* ---- Opening, sending, closing ---- */

static void open_flow(struct app *app)
{
    struct world *world = app->world;
    struct app *target = &world->apps[prng_below(&app->prng, world->app_count)];
    struct transport_path path = {.local = app->node->udp, .remote = target->node->udp};
    path.max_udp_payload = app->node->nic->ops->max_payload(app->node->nic->queues[0], &path.local,
                                                            &path.remote);
    struct endpoint local = app->node->udp, remote = target->node->udp;
    local.port = prng_chance(&app->prng, 500000) ? 0 : world->next_port++;
    remote.port = target->port;
    if (prng_chance(&app->prng, world->plan.behaviour.nobody_ppm)) {
        remote.port = 999;
    }
    if (!target->listener || remote.port == 999) {
        world->ledger.nobody_listens = true;
    }
    struct end *end = ledger_open(&world->ledger, app, true, &local, &remote);
    world_trace(world, "%s: side %u: opens a flow to %s port %u", app->name, end->id, target->name,
                remote.port);
    enum transport_status status = TRANSPORT_OK;
    uint32_t flows = transport_flows(app->node->transport, 0, NULL, NULL);
    struct flow *flow = transport_open(app->node->transport, &app->owner, end, &path, local.port,
                                       remote.port, OPEN_TIMEOUT_NS, world->now_ns, &status);
    if (!flow) {
        if (flows < world->plan.max_flows || status != TRANSPORT_NO_MEMORY) {
            verdict_fail(&world->verdict, "%s: open failed with %s and %u flows", app->name,
                         ledger_status_name(status), flows);
        }
        ledger_died(end);
        return;
    }
    struct transport_flow_info info;
    transport_flow_info(flow, &info);
    if ((local.port != 0 && info.local.port != local.port) || info.local.port == 0 ||
        info.remote.port != remote.port) {
        verdict_fail(&world->verdict, "side %u: opened with other ports than asked for", end->id);
    }
    end->flow = flow;
    end->local.port = info.local.port;
    keep_end(app, end);
}

static void send_message(struct app *app, struct end *end)
{
    struct world *world = app->world;
    uint32_t length = sizes_draw(&app->prng, &world->plan);
    if (app->unsettled_bytes > 0 && app->unsettled_bytes + length > UNSETTLED_MAX) {
        return;
    }
    if (world->bytes_left < length) {
        return;
    }
    uint64_t tag = prng_chance(&app->prng, 500000) ? 0 : prng_next(&app->prng);
    const struct message *message = ledger_send(&world->ledger, end, length, tag);
    struct transport_span span = {
        .data = message->data, .length = length, .tag = tag, .cookie = ledger_cookie(end)};
    bool ended = end->ended;
    app->unsettled_bytes += length;
    world_trace(world, "%s: side %u: sends message %u, %u bytes", app->name, end->id, end->sent - 1,
                length);
    bool accepted = transport_send(app->node->transport, end->flow, &span, world->now_ns);
    /* A flow whose `ended` found no room, or stands behind messages that others go before, has ended all the same. */
    bool may_wait = app->ring_refused || lent_of(app, end) >= world->plan.behaviour.inbox_share;
    if (accepted ? ended : !ended && !may_wait) {
        verdict_fail(&world->verdict, "side %u: a message was %s the flow had ended", end->id,
                     accepted ? "accepted after" : "refused before");
    }
    if (accepted) {
        /* What a message costs besides its bytes, so that empty ones come to an end, too. */
        world->bytes_left -= length;
        world->bytes_left -= world->bytes_left < 200 ? world->bytes_left : 200;
    } else {
        app->unsettled_bytes -= length;
        ledger_unsend(end);
    }
}

static void send_some(struct app *app)
{
    struct end *end = app->ends[prng_below(&app->prng, app->end_count)];
    if (!end->established && !prng_chance(&app->prng, 100000)) {
        return;
    }
    for (uint64_t n = prng_between(&app->prng, 1, app->world->plan.behaviour.burst_max); n > 0; n--) {
        send_message(app, end);
    }
}

static void close_end(struct app *app, uint32_t index, bool abort_it)
{
    struct end *end = app->ends[index];
    struct flow *flow = end->flow;
    app->ends[index] = app->ends[--app->end_count];
    end->flow = NULL;
    end->closed = end->closed || !end->ended;
    end->aborted = abort_it && !end->ended;
    world_trace(app->world, "%s: side %u: %s%s", app->name, end->id, abort_it ? "aborts" : "closes",
                end->ended ? " what has ended" : "");
    transport_close(app->node->transport, flow, abort_it, app->world->now_ns);
}

/* Nothing is under way in either direction, or never will be. */
static bool is_quiet(const struct end *end)
{
    const struct end *peer = end->peer;
    return end->established && end->settled == end->sent &&
           (!peer || peer->dead || end->read == peer->sent);
}

static void close_what_ended(struct app *app)
{
    bool draining = app->world->draining;
    for (uint32_t i = app->end_count; i > 0; i--) {
        const struct end *end = app->ends[i - 1];
        if (end->ended ? draining || prng_chance(&app->prng, 250000) : draining && is_quiet(end)) {
            close_end(app, i - 1, false);
        }
    }
}

static void act_at_random(struct app *app)
{
    const struct behaviour *behaviour = &app->world->plan.behaviour;
    if (app->end_count < behaviour->flows_max && app->world->bytes_left > 0 &&
        prng_chance(&app->prng, behaviour->open_ppm)) {
        open_flow(app);
    }
    if (app->end_count > 0 && prng_chance(&app->prng, behaviour->send_ppm)) {
        send_some(app);
    }
    if (app->end_count > 0 && prng_chance(&app->prng, behaviour->close_ppm)) {
        close_end(app, (uint32_t)prng_below(&app->prng, app->end_count),
                  prng_chance(&app->prng, behaviour->abort_ppm));
    }
    if (prng_chance(&app->prng, behaviour->unlisten_ppm)) {
        if (app->listener) {
            app->world->ledger.nobody_listens = true;
            stop_listening(app);
        } else {
            listen_again(app);
        }
    }
    if (prng_chance(&app->prng, behaviour->die_ppm)) {
        die(app);
    }
}

void app_act(struct app *app)
{
    struct world *world = app->world;
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
    read_inbox(app);
    repay(app);
    close_what_ended(app);
    if (!world->draining) {
        act_at_random(app);
    }
}
