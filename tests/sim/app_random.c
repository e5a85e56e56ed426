/* SPDX-License-Identifier: MIT */
/* An application that acts at random. */
#include "app_internal.h"
#include "sizes.h"
#include "wire/wire.h"
#include "world.h"

#define OPEN_TIMEOUT_NS UINT64_C(3000000000)
enum { UNSETTLED_MAX = 4 << 20 /* bytes of an application's send memory */, NOBODYS_PORT = 999 };

static void stop_listening(struct app *app)
{
    transport_unlisten(app->node->transport, &app->owner, app->listener);
    app->listener = 0;
}

static void die(struct app *app)
{
    world_trace(app->world, "%s: dies", app->name);
    app->world->ledger.owners_die = true;
    app->world->ledger.nobody_listens = true;
    transport_owner_close(app->node->transport, &app->owner, WIRE_REASON_APPLICATION_DIED, node_now(app->node));
    app_forget(app);
}

void app_read_at_random(struct app *app)
{
    const struct behaviour *behaviour = &app->world->plan.behaviour;
    if (app->paused_until_ns > app->world->now_ns && !app->world->draining) {
        return;
    }
    uint64_t count = app->world->draining ? app->inbox_count : prng_between(&app->prng, 0, app->inbox_count);
    for (; count > 0; count--) {
        uint32_t length;
        app_read(app, !app->world->draining && prng_chance(&app->prng, behaviour->hold_ppm), &length);
    }
    if (prng_chance(&app->prng, behaviour->pause_ppm)) {
        app->paused_until_ns = app->world->now_ns + prng_below(&app->prng, behaviour->pause_ns);
    }
}

static void open_flow(struct app *app)
{
    struct world *world = app->world;
    const struct app *target = &world->apps[prng_below(&app->prng, world->app_count)];
    uint16_t local = prng_chance(&app->prng, 500000) ? 0 : world->next_port++;
    bool nobody = prng_chance(&app->prng, world->plan.behaviour.nobody_ppm);
    app_open(app, target, local, nobody ? NOBODYS_PORT : target->port, OPEN_TIMEOUT_NS);
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
    if (app_send(app, end, length, tag)) {
        /* What a message costs besides its bytes, so that empty ones come to an end, too. */
        world->bytes_left -= length;
        world->bytes_left -= world->bytes_left < 200 ? world->bytes_left : 200;
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

void app_act_at_random(struct app *app)
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
        app_close(app, (uint32_t)prng_below(&app->prng, app->end_count), prng_chance(&app->prng, behaviour->abort_ppm));
    }
    if (prng_chance(&app->prng, behaviour->unlisten_ppm)) {
        if (app->listener) {
            app->world->ledger.nobody_listens = true;
            stop_listening(app);
        } else {
            app_listen(app);
        }
    }
    if (prng_chance(&app->prng, behaviour->die_ppm)) {
        die(app);
    }
}
