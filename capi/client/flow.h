/* SPDX-License-Identifier: MIT */
/*
 * Flows of a channel, and the tables that find them by token.
 *
 * A token's index leads to a flow object. Objects are recycled but never freed while the channel lives, so whoever holds a stale pointer
 * or token reads valid memory and finds another token in it. An index is given up when the flow's CLOSE was submitted *and* its CLOSED was
 * delivered (the rule of channel/layout.h); the object lives on until the receive side has dropped its messages and told its last event.
 */
#ifndef MN_CLIENT_FLOW_H
#define MN_CLIENT_FLOW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <machnet/machnet.h>

#include "channel/layout.h"

enum { MN_FLOWS_MAX = 1 << 20 };

/* Bits of mn_flow.state. They are only ever added, but for SILENT. ENDED and CLOSED together free the index. */
enum {
    MN_FLOW_OPEN = 1,   /* receive side: ESTABLISHED or ACCEPTED came */
    MN_FLOW_ENDED = 2,  /* receive side: CLOSED came; mn_flow.status was written before */
    MN_FLOW_CLOSED = 4, /* send side: CLOSE is submitted; the token is stale for the application */
    MN_FLOW_SILENT = 8, /* send side: no events (a blocking open is under way, or has failed) */
};

/* mn_flow.space: does the flow wait for send space? NONE -> WAITING (send side: EAGAIN) -> READY (receive side: space was freed, the event
 * is pending) -> NONE (receive side: event told); READY -> WAITING (send side: EAGAIN again). */
enum mn_space { MN_SPACE_NONE, MN_SPACE_WAITING, MN_SPACE_READY };

/* Bits of mn_flow.events, told in this order. */
enum {
    MN_PENDING_ESTABLISHED = 1,
    MN_PENDING_ACCEPTED = 2,
    MN_PENDING_SPACE = 4,
    MN_PENDING_STALLED = 8,
    MN_PENDING_CLOSED = 16,
};

struct mn_message;

struct mn_flow {
    _Atomic uint64_t token; /* 0: not in use. Stored (release) after all else was set up */
    _Atomic uint32_t state;
    _Atomic int32_t status; /* with MN_FLOW_ENDED */

    /* Send side. */
    uint64_t sender_token; /* the flow that the next two are of; 0 when it was closed */
    uint64_t flight_bytes; /* of the send arena, held by this flow */
    uint32_t flight_slots; /* held by this flow */
    bool starved;          /* answered MACHNET_EAGAIN since it last could send */
    _Atomic uint64_t messages_sent, bytes_sent;

    /* Whoever drains completions (one at a time). */
    _Atomic uint64_t messages_acknowledged, bytes_acknowledged;

    /* Between the sides. */
    _Atomic uint32_t space; /* enum mn_space */
    _Atomic bool waiter;    /* is on the stack of waiters */
    struct mn_flow *next_waiter;
    struct mn_flow *next_purge; /* on the stack of flows to purge: the last that the send side does with a flow */

    /* Receive side. */
    struct mn_message *first, *last;             /* messages not yet received */
    struct mn_flow *ready_next, *ready_previous; /* in the list of flows with messages */
    bool ready;                                  /* is in it */
    struct mn_flow *event_next;                  /* in the list of flows with events, while events != 0 */
    uint32_t events;
    uint64_t stalled_bytes;
    bool purged; /* taken off the stack of flows to purge */
    _Atomic uint64_t messages_arrived, messages_received;

    /* Under mn_flows.lock. */
    machnet_address local, remote;
    uint64_t listener;
    struct mn_flow *next_free;
};

struct mn_flows {
    pthread_mutex_t lock;
    uint32_t max; /* indices 0 .. max of each table; constant */
    _Atomic(struct mn_flow *) *opened, *accepted;
    uint32_t *free_indices, free_count; /* under lock: of `opened` */
    uint32_t fresh_index;               /* under lock: never used from here on */
    uint32_t generation;                /* under lock */
    struct mn_flow *free;               /* under lock */
    struct mn_flow_chunk *chunks;       /* under lock */
    _Atomic uint32_t open_count;        /* indices in use */
};

/* 0, or -1: memory is short. */
int mn_flows_init(struct mn_flows *flows, uint32_t max);
void mn_flows_fini(struct mn_flows *flows);

/* Finds the flow with this very token, closed or not. NULL: there is none. Any thread; the result stays that flow only for the side that
 * can keep it from being recycled. */
static inline struct mn_flow *mn_flow_find(const struct mn_flows *flows, uint64_t token)
{
    uint32_t low = (uint32_t)token, index = low & ~MN_TOKEN_ACCEPTED;
    if (token == 0 || index >= flows->max)
        return NULL;
    _Atomic(struct mn_flow *) *table = (low & MN_TOKEN_ACCEPTED) != 0 ? flows->accepted : flows->opened;
    /* pairs with the release in enter_flow */
    struct mn_flow *flow = atomic_load_explicit(&table[index], memory_order_acquire);
    if (flow == NULL || atomic_load_explicit(&flow->token, memory_order_acquire) != token)
        return NULL;
    return flow;
}

/* As mn_flow_find, for the application: NULL if it has closed the flow. */
static inline struct mn_flow *mn_flow_usable(const struct mn_flows *flows, uint64_t token)
{
    struct mn_flow *flow = mn_flow_find(flows, token);
    if (flow == NULL || (atomic_load_explicit(&flow->state, memory_order_acquire) & MN_FLOW_CLOSED) != 0)
        return NULL;
    return flow;
}

/* Send side: makes a flow with a new token of ours. MACHNET_EQUOTA, MACHNET_ENOMEM. */
int32_t mn_flow_make(struct mn_flows *flows, uint32_t state, struct mn_flow **made);
/* Receive side: makes the flow that the engine announced. MACHNET_EPROTOCOL: the token is not sound, or its index is in use. MACHNET_ELOWMEMORY. */
int32_t mn_flow_accept(struct mn_flows *flows, const struct mn_delivery_flow *delivery, struct mn_flow **accepted);
/* Receive side: keeps what ESTABLISHED says. */
void mn_flow_keep_addresses(struct mn_flows *flows, struct mn_flow *flow, const struct mn_delivery_flow *delivery);

/* Adds MN_FLOW_ENDED or MN_FLOW_CLOSED, and gives up the index if both are there now: then it returns true. Either side, each its bit. */
bool mn_flow_finish(struct mn_flows *flows, struct mn_flow *flow, uint32_t bit);
/* Receive side: recycles the object if nothing of it is left to do. */
void mn_flow_recycle(struct mn_flows *flows, struct mn_flow *flow);

/* Any thread: the bodies of machnet_flow_info_get and machnet_flow_addresses. */
int32_t mn_flow_describe(struct mn_flows *flows, uint64_t token, machnet_flow_info *info);
int32_t mn_flow_read_addresses(struct mn_flows *flows, uint64_t token, machnet_address *local, machnet_address *remote);

/* Pushes `first` .. `last`, linked by `member`, on an _Atomic stack that one thread empties at a time by mn_stack_take. */
#define mn_stack_push(stack, first_item, last_item, member)                                                            \
    do {                                                                                                               \
        (last_item)->member = atomic_load_explicit((stack), memory_order_relaxed);                                     \
    } while (!atomic_compare_exchange_weak_explicit((stack), &(last_item)->member, (first_item), memory_order_release, \
                                                    memory_order_relaxed))
/* pairs with the release in mn_stack_push */
#define mn_stack_take(stack)                                     \
    (atomic_load_explicit((stack), memory_order_relaxed) == NULL \
         ? NULL                                                  \
         : atomic_exchange_explicit((stack), NULL, memory_order_acquire))

#endif /* MN_CLIENT_FLOW_H */
