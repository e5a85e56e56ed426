/* SPDX-License-Identifier: MIT */
#include "load.h"

#include "app_internal.h"
#include "measure.h"
#include "world.h"

#define OPEN_TIMEOUT_NS UINT64_C(10000000000)

/* ---- Who is where ---- */

static uint32_t nodes_of(const struct load *load)
{
    return load->together ? 1 : load->clients;
}

uint32_t load_nodes(const struct plan *plan)
{
    uint32_t count = 1;
    for (uint32_t i = 0; i < plan->load_count; i++) {
        if (i == 0 || !plan->loads[i].together) {
            count += nodes_of(&plan->loads[i]);
        }
    }
    return count;
}

uint32_t load_clients(const struct plan *plan)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->load_count; i++) {
        count += plan->loads[i].clients;
    }
    return count;
}

uint32_t load_apps(const struct plan *plan)
{
    return plan->load_count + load_clients(plan);
}

/* The load of application `index`, and which of its clients that is. */
static const struct load *load_of(const struct plan *plan, uint32_t index, uint32_t *number)
{
    uint32_t first = plan->load_count;
    const struct load *load = plan->loads;
    while (index >= first + load->clients) {
        first += load->clients;
        load++;
    }
    *number = index - first;
    return load;
}

uint32_t load_node_of(const struct plan *plan, uint32_t index)
{
    uint32_t number;
    if (index < plan->load_count) {
        return 0;
    }
    const struct load *load = load_of(plan, index, &number);
    return 1 + (load->together ? 0 : number);
}

void load_assign(struct app *app, const struct plan *plan, uint32_t index)
{
    uint32_t number = 0;
    app->server = index < plan->load_count;
    app->load = app->server ? &plan->loads[index] : load_of(plan, index, &number);
    app->client = app->server ? 0 : index - plan->load_count;
    app->next_act_ns = app->server ? UINT64_MAX : app->load->start_ns + number * app->load->stagger_ns;
}

/* ---- What they do ---- */

static void serve(struct app *app)
{
    const struct load *load = app->load;
    while (app->inbox_count > 0 && !load->reader_stops) {
        uint32_t length;
        struct end *end = app_read(app, false, &length);
        measure_bytes(&app->world->measure, end->peer->app->client, length);
        if (load->kind == LOAD_ASK && end->flow && !end->ended) {
            app_send(app, end, load->answer_bytes, 0);
        }
    }
}

static void take_answers(struct app *app)
{
    struct world *world = app->world;
    while (app->inbox_count > 0) {
        uint32_t length;
        app_read(app, false, &length);
        measure_latency(&world->measure, app->client, world->now_ns - app->asked_ns);
        app->asked_ns = 0;
        app->ask_at_ns = world->now_ns + app->load->pause_ns;
    }
}

static void ask(struct app *app, struct end *end)
{
    if (app->asked_ns != 0) {
        return;
    }
    if (app->ask_at_ns > app->world->now_ns) {
        app->next_act_ns = app->ask_at_ns;
    } else if (app_send(app, end, app->load->message_bytes, 0)) {
        app->asked_ns = app->world->now_ns;
    }
}

void load_act(struct app *app)
{
    const struct load *load = app->load;
    if (app->server) {
        serve(app);
        return;
    }
    if (app->end_count == 0) {
        const struct app *server = &app->world->apps[load - app->world->plan.loads];
        app_open(app, server, 0, server->port, OPEN_TIMEOUT_NS);
        return;
    }
    take_answers(app);
    struct end *end = app->ends[0];
    if (!end->established || end->ended) {
        return;
    }
    if (load->kind == LOAD_ASK) {
        ask(app, end);
        return;
    }
    while (end->sent - end->settled < load->outstanding && app_send(app, end, load->message_bytes, 0)) {
    }
}
