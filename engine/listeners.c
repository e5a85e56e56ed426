/* SPDX-License-Identifier: MIT */
#include "listeners.h"

#include <assert.h>
#include <stdlib.h>

enum { PORT_FIRST_CHOSEN = 49152, PORTS = 65536 };

static_assert(sizeof(struct endpoint) == 18, "an endpoint is a key without padding");

/* port_users[port] == number of listeners with that port. */
struct listeners {
    struct listener *by_local, *by_token;
    uint64_t last_token;
    uint32_t next_port;
    uint32_t port_users[PORTS];
};

struct listeners *listeners_new(void)
{
    struct listeners *listeners = calloc(1, sizeof *listeners);
    if (listeners != NULL)
        listeners->next_port = PORT_FIRST_CHOSEN;
    return listeners;
}

void listeners_free(struct listeners *listeners)
{
    assert(listeners == NULL || (listeners->by_local == NULL && listeners->by_token == NULL));
    free(listeners);
}

static bool in_table(const struct listeners *listeners, const struct endpoint *local)
{
    struct listener *found;
    HASH_FIND(by_local, listeners->by_local, local, sizeof *local, found);
    return found != NULL;
}

static bool is_free(const struct listeners *listeners, const struct endpoint *local)
{
    const struct endpoint any = {.port = local->port};
    if (listeners->port_users[local->port] == 0)
        return true;
    return !endpoint_ip_is_any(local) && !in_table(listeners, local) && !in_table(listeners, &any);
}

static bool choose_port(struct listeners *listeners, struct endpoint *local)
{
    for (uint32_t tried = PORT_FIRST_CHOSEN; tried < PORTS; tried++) {
        local->port = (uint16_t)listeners->next_port;
        listeners->next_port = listeners->next_port + 1 < PORTS ? listeners->next_port + 1 : PORT_FIRST_CHOSEN;
        if (is_free(listeners, local))
            return true;
    }
    local->port = 0;
    return false;
}

bool listeners_add(struct listeners *listeners, struct listener *listener)
{
    if (listener->local.port == 0 ? !choose_port(listeners, &listener->local) : !is_free(listeners, &listener->local))
        return false;
    listener->token = ++listeners->last_token;
    HASH_ADD(by_local, listeners->by_local, local, sizeof listener->local, listener);
    HASH_ADD(by_token, listeners->by_token, token, sizeof listener->token, listener);
    listeners->port_users[listener->local.port]++;
    return true;
}

void listeners_remove(struct listeners *listeners, struct listener *listener)
{
    HASH_DELETE(by_local, listeners->by_local, listener);
    HASH_DELETE(by_token, listeners->by_token, listener);
    listeners->port_users[listener->local.port]--;
}

struct listener *listeners_find(const struct listeners *listeners, uint64_t token)
{
    struct listener *found;
    HASH_FIND(by_token, listeners->by_token, &token, sizeof token, found);
    return found;
}

void listeners_each(const struct listeners *listeners, void (*visit)(void *arg, const struct listener *listener),
                    void *arg)
{
    struct listener *listener, *next;
    HASH_ITER(by_token, listeners->by_token, listener, next)
    visit(arg, listener);
}
