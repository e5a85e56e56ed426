/* SPDX-License-Identifier: MIT */
/* An engine as far as the simulator needs one: a transport and a queue of the `mem` back end, joined as a worker joins them. */
#ifndef MACHNET_TESTS_SIM_NODE_H
#define MACHNET_TESTS_SIM_NODE_H

#include "base/prng.h"
#include "flow/transport.h"
#include "nic/nic_mem.h"

struct world;

struct node {
    struct world *world; /* not owned */
    uint32_t index;
    struct prng prng;
    struct endpoint udp; /* our UDP endpoint */
    struct transport *transport;
    struct nic *nic;
    uint64_t phase_ns;         /* of the poll loop's steps */
    uint64_t polled_ns;        /* when last; UINT64_MAX: never */
    uint64_t stalled_until_ns; /* the processor is somebody else's */
    uint64_t clock_ahead_ns;   /* of the world's; never falls */
};

enum { NODE_UDP_PORT = 31700 };

void node_start(struct node *node, struct world *world, uint32_t index, uint64_t seed);
/* What the engine's clock says. */
uint64_t node_now(const struct node *node);
/* One turn as of a worker: receives, handles timeouts, transmits. */
void node_poll(struct node *node);
/* When node_poll must be called next, by what has arrived by now; UINT64_MAX: when something arrives. */
uint64_t node_next_poll(const struct node *node);
/* The engine dies; its applications' memory is given back, they are told nothing. */
void node_stop(struct node *node);
/* The same, and it boots again with another epoch. */
void node_restart(struct node *node);
void node_fini(struct node *node);

#endif /* MACHNET_TESTS_SIM_NODE_H */
