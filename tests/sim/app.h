/* SPDX-License-Identifier: MIT */
/*
 * An application beside the channel that an engine keeps for it: bounded receive memory, a bounded ring, a listener, flows.
 * It acts at random times: opens, sends, reads, borrows, pauses, closes, aborts, dies.
 */
#ifndef MACHNET_TESTS_SIM_APP_H
#define MACHNET_TESTS_SIM_APP_H

#include "base/prng.h"
#include "flow/transport.h"
#include "ledger.h"
#include "memory.h"

struct world;
struct node;

struct delivery {
    struct end *end;
    struct transport_extent extent;
    uint64_t tag;
    uint64_t until_ns; /* when a borrowed one is given back */
};

struct app {
    struct world *world; /* not owned */
    struct node *node;   /* not owned */
    char name[32];
    struct prng prng;
    struct transport_owner owner;
    struct memory memory;
    bool alive;
    const struct load *load; /* NULL: acts at random; not owned */
    bool server;             /* of the load: on node 0 */
    uint32_t client;         /* of the load: its index among all clients */
    uint64_t asked_ns;       /* of the load: when the question was sent that is not answered yet; 0: none */
    uint64_t ask_at_ns;      /* of the load: when the next one is to be sent */
    uint16_t port;           /* of its listener */
    uint64_t listener;       /* 0: does not listen */
    uint64_t next_act_ns, paused_until_ns;
    bool ring_refused; /* transport_owner_resume is owed */
    struct end **ends; /* whose flow we have not given up */
    uint32_t end_count, end_capacity;
    uint64_t unsettled_bytes;
    struct delivery *inbox; /* delivered, not read; FIFO in a ring of inbox_max */
    uint32_t inbox_head, inbox_count;
    struct delivery *held; /* read, not given back */
    uint32_t held_count, held_capacity;
};

extern const struct transport_ops app_ops;

void app_init(struct app *app, struct world *world, struct node *node, uint32_t index, uint64_t seed);
/* Joins its node's engine: new owner, listens. */
void app_start(struct app *app);
/* Does what is due now and chooses when to act next (UINT64_MAX: it died and stays so). */
void app_act(struct app *app);
/* Its owner is gone (closed, or with its engine): gives up everything and checks that the transport kept nothing. */
void app_forget(struct app *app);
void app_fini(struct app *app);

#endif /* MACHNET_TESTS_SIM_APP_H */
