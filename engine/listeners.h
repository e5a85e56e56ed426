/* SPDX-License-Identifier: MIT */
/* Which address and flow port is whose: the table of all listeners of the engine. The controller's thread. */
#ifndef MACHNET_ENGINE_LISTENERS_H
#define MACHNET_ENGINE_LISTENERS_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "base/endpoint.h"

/* Embedded by its owner. */
struct listener {
    struct endpoint local; /* ip any: all addresses of the engine */
    uint64_t token;        /* never 0, never used again */
    UT_hash_handle by_local, by_token;
};

struct listeners;

/* NULL if memory is short. */
struct listeners *listeners_new(void);
/* All listeners have been removed before. */
void listeners_free(struct listeners *listeners);

/* Adds a listener for listener->local, in which port 0 is replaced by a free one; sets its token. False if another has that address: the
 * same, or the same port and one of the two is for all addresses. */
bool listeners_add(struct listeners *listeners, struct listener *listener);
void listeners_remove(struct listeners *listeners, struct listener *listener);
/* NULL if there is none. Not owned. */
struct listener *listeners_find(const struct listeners *listeners, uint64_t token);
void listeners_each(const struct listeners *listeners, void (*visit)(void *arg, const struct listener *listener),
                    void *arg);

#endif /* MACHNET_ENGINE_LISTENERS_H */
