/* SPDX-License-Identifier: MIT */
/*
 * A channel, as the library keeps it. Each group below belongs to one side (or lock), on cache lines of its own; what the sides share is
 * atomic, and each acquire names the release it pairs with.
 */
#ifndef MN_CLIENT_CLIENT_H
#define MN_CLIENT_CLIENT_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <machnet/machnet.h>

#include "channel/arena.h"
#include "channel/control.h"
#include "channel/layout.h"
#include "channel/patience.h"
#include "channel/ring.h"
#include "client/flow.h"
#include "client/fork.h"
#include "client/signal.h"

/* Buffer tokens: bits 63..32 generation (never 0), bit 31 set: reserved for sending, else borrowed; bits 30..0 index. */
#define MN_TOKEN_RESERVED UINT32_C(0x80000000)

/* A received message: private copy of what its delivery said. */
struct mn_message {
    _Atomic uint64_t token;  /* of the buffer while it is borrowed, else 0 */
    struct mn_message *next; /* in its flow's queue, a list of free ones, or a chain to release */
    const uint8_t *data;
    uint64_t tag, lease, flow;
    uint32_t length, generation;
};

/* An extent of the send arena (or none, for an empty message): reserved by the application, or in flight. */
struct mn_slot {
    _Atomic uint64_t token;  /* reserved: the buffer's */
    _Atomic uint64_t cookie; /* in flight: what the completion brings back */
    struct mn_slot *next;    /* in a list of free or returned ones */
    struct mn_flow *flow;
    uint64_t flow_token;
    uint64_t offset;
    uint32_t length; /* bytes, as sent (reserved: as reserved) */
    uint32_t charge; /* bytes of the arena */
    uint32_t generation;
    uint16_t region;
};

struct mn_region {
    _Atomic(uint8_t *) base; /* NULL: not there. Stored (release) after the others */
    uint64_t bytes;
    uint16_t kind;
};

/*
 * The counters of a channel: name, and place in struct machnet_channel. The one list for fields, names and their order; a counter
 * of a side is written by that side only.
 */
/* clang-format off */
#define MN_SEND_COUNTERS(X)                              \
    X(messages_sent, send.messages_sent)                 \
    X(bytes_sent, send.bytes_sent)                       \
    X(sends_blocked, send.sends_blocked)                 \
    X(flows_opened, send.flows_opened)
#define MN_RECEIVE_COUNTERS(X)                           \
    X(messages_received, receive.messages_received)      \
    X(bytes_received, receive.bytes_received)            \
    X(flows_accepted, receive.flows_accepted)            \
    X(flows_ended, receive.flows_ended)                  \
    X(events, receive.events)                            \
    X(sleeps, receive.sleeps)
#define MN_COUNTERS(X)                                   \
    MN_SEND_COUNTERS(X)                                  \
    MN_RECEIVE_COUNTERS(X)                               \
    X(completions, complete.acknowledged)                \
    X(engine_wakeups, shared.wakeups)                    \
    X(buffers_borrowed_now, shared.borrowed)             \
    X(send_arena_bytes_now, send.arena_bytes)            \
    X(send_arena_used_bytes_now, send.arena_used_bytes)  \
    X(receive_arena_bytes_now, control.receive_bytes)    \
    X(flows_now, flows.open_count)
/* clang-format on */

struct mn_sender { /* send side */
    struct mn_ring submissions;
    struct mn_arena *arena;
    struct mn_slot *slots;
    uint32_t slot_count, fresh_slot; /* slots from fresh_slot on were never used */
    struct mn_slot *free;
    struct mn_slot *kept;   /* free, and each still has its extent, of kept_charge bytes: for the next message of that class */
    uint32_t kept_count, kept_charge;
    uint64_t share_bytes;   /* so much a flow may hold in any case; 0: not known */
    uint32_t since_reclaim; /* messages since completions were last looked at */
    uint32_t starved;       /* flows with mn_flow.starved */
    uint32_t slots_taken; /* reserved, in flight or returned */
    uint32_t idle;          /* calls in vain */
#define X(name, place) _Atomic uint64_t name;
    MN_SEND_COUNTERS(X)
#undef X
    _Atomic uint64_t arena_bytes, arena_used_bytes; /* for stats */
};

struct mn_completer { /* whoever holds `busy` */
    atomic_flag busy;
    struct mn_ring completions;
    _Atomic uint64_t acknowledged; /* counters */
};

struct mn_receiver { /* receive side */
    struct mn_ring deliveries;
    struct mn_message *messages;
    uint32_t message_count, fresh_message;
    struct mn_message *free;
    struct mn_flow *ready_first, *ready_last;
    struct mn_flow *event_first, *event_last;
    bool pumped;   /* deliveries were taken since the engine was last looked at */
    bool ended;    /* a flow has ended since a wait for messages last returned one */
    bool listens;  /* the application takes events */
    bool news;     /* something went into a private queue since the descriptor last said so */
    uint32_t idle; /* calls in vain */
    struct mn_patience patience[2]; /* of machnet_channel_wait: [1] after something was sent, [0] after nothing was */
    uint64_t sent;                  /* messages, as of the last wait */
    int64_t last_yield_ns;   /* when others last could have the processor */
    int64_t shared_until_ns; /* somebody else wants our processor, as far as we know: the engine, perhaps */
#define X(name, place) _Atomic uint64_t name;
    MN_RECEIVE_COUNTERS(X)
#undef X
};

struct mn_releaser { /* any thread */
    pthread_mutex_t lock;
    struct mn_ring releases;               /* under lock */
    _Atomic(struct mn_message *) returned; /* to the receive side */
};

struct mn_shared {                      /* any thread */
    _Atomic int32_t gone;               /* 0, or the status of a channel that is gone; set once */
    _Atomic uint32_t references;        /* of the application */
    _Atomic uint32_t holds;             /* 1 for all references, 1 for each buffer */
    _Atomic uint32_t armed;             /* the receive side sleeps, or may be asleep on the descriptor */
    _Atomic bool descriptor;            /* machnet_channel_fd was called */
    _Atomic bool woken;                 /* machnet_channel_wake, for the next wait */
    _Atomic bool space_freed;           /* since the receive side last looked at the waiters */
    _Atomic uint32_t space_ready;       /* flows in MN_SPACE_READY */
    _Atomic uint64_t full_at;           /* a waiter found submissions full: MN_FULL | the engine's index then; else 0 */
    _Atomic(struct mn_flow *) waiters;  /* flows that wait for send space; the receive side takes them */
    _Atomic(struct mn_flow *) purges;   /* flows that were closed; the receive side takes them */
    _Atomic(struct mn_slot *) returned; /* slots whose extent is free; the send side takes them */
    _Atomic uint64_t regions_ready;     /* bit per send region that the send side has still to add */
    _Atomic uint64_t borrowed, wakeups; /* counters */
};

#define MN_FULL (UINT64_C(1) << 32)

struct mn_control { /* the control socket; lock: who reads from it */
    pthread_mutex_t lock;
    int socket;
    _Atomic uint32_t request;       /* last number given */
    _Atomic bool growing;           /* a REGION_REQUEST is under way */
    _Atomic bool full;              /* the engine has refused one: the arena stays as it is */
    _Atomic uint32_t sequence;      /* header.control_sequence as of the last look */
    _Atomic uint64_t receive_bytes; /* of all receive regions */
};

struct mn_listeners { /* any thread: those that are open */
    pthread_mutex_t lock;
    struct mn_listener *first; /* under lock */
};

struct machnet_channel {
    struct mn_handle handle; /* first member */
    /* Constant after the channel was opened. */
    struct mn_header *header; /* shared memory, region 0 */
    uint64_t send_bytes_max;
    uint64_t spin_ns;
    uint32_t poll; /* enum machnet_poll */
    int epoll, signal_fd, engine_event; /* in a forked child: -1 */
    struct mn_signal notice;       /* a private queue holds something, or the channel is gone */
    struct mn_signal wake;
    struct mn_region regions[MN_REGIONS_MAX];
    struct mn_control control;
    struct mn_flows flows;
    struct mn_listeners listeners;

    alignas(2 * MN_LINE) struct mn_shared shared;
    alignas(2 * MN_LINE) struct mn_sender send;
    alignas(2 * MN_LINE) struct mn_completer complete;
    alignas(2 * MN_LINE) struct mn_receiver receive;
    alignas(2 * MN_LINE) struct mn_releaser release;
};

static inline bool mn_forked(const struct machnet_channel *channel)
{
    return mn_handle_forked(&channel->handle);
}

/* Adds to a counter that only this thread writes now. */
static inline void mn_count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

/* Wakes the engine if it sleeps and asked for one of `bits`; to be called after the ring was published. */
void mn_wake_engine_slowly(struct machnet_channel *channel);
static inline void mn_wake_engine(struct machnet_channel *channel, uint32_t bits)
{
    /* pairs with the fence of the engine between setting its bits and looking at the rings */
    atomic_thread_fence(memory_order_seq_cst);
    if ((atomic_load_explicit(&channel->header->engine_sleeping, memory_order_relaxed) & bits) != 0)
        mn_wake_engine_slowly(channel);
}

/* channel.c: the end of a channel. Any thread. */

/* MACHNET_OK, or why the channel is gone: a look at private and shared memory, no system call. */
int32_t mn_gone(struct machnet_channel *channel);
/* Ends the channel with `status` unless it is gone already, and wakes all who wait. Returns why it is gone. */
int32_t mn_end(struct machnet_channel *channel, int32_t status);
/* The engine broke the rules. */
static inline int32_t mn_broken(struct machnet_channel *channel)
{
    return mn_end(channel, MACHNET_EPROTOCOL);
}
/* Takes and drops a buffer's hold on the channel's memory; the last drop frees everything. */
void mn_hold(struct machnet_channel *channel);
void mn_drop(struct machnet_channel *channel);

/* attach.c. Control: fills the channel from the engine behind `socket`. A status; what was had is undone by mn_detach, whatever the status. */
int32_t mn_attach(struct machnet_channel *channel, const machnet_options *options, machnet_error *error);
void mn_detach(struct machnet_channel *channel);

/* live.c: the control socket of a live channel. Any thread. */

/* Handles what has come. Returns at once, also if another thread is at it. */
void mn_control_look(struct machnet_channel *channel);
/* The same if the engine says that it has sent something. */
static inline void mn_control_heed(struct machnet_channel *channel)
{
    if (atomic_load_explicit(&channel->header->control_sequence, memory_order_relaxed) !=
        atomic_load_explicit(&channel->control.sequence, memory_order_relaxed))
        mn_control_look(channel);
}
/* The same, or if an answer is expected, or `*idle` calls in vain say that it is time. */
void mn_control_glance(struct machnet_channel *channel, uint32_t *idle);
/* Sends LISTEN or UNLISTEN and waits for the answer, which replaces ip, port and listener of `question`. A status with `error`. */
int32_t mn_control_listen(struct machnet_channel *channel, struct mn_control_listen *question, uint16_t answer_type,
                          machnet_error *error);
/* Asks for a send region that can hold `length` bytes, unless one is asked for already or the bounds are reached. */
void mn_control_grow(struct machnet_channel *channel, uint32_t length);

/* listener.c */
void mn_listeners_fini(struct mn_listeners *listeners);

/* space.c: send slots, completions, and the flows that wait. */

/* Send side: takes back what came back. Returns true if that was anything. */
bool mn_space_reclaim(struct machnet_channel *channel);
/* Any thread: takes completions off the ring and hands their slots to the send side. Returns how many, or MACHNET_EPROTOCOL. */
int32_t mn_space_complete(struct machnet_channel *channel);
/* Any thread: something was freed; flows that wait are told by the receive side. */
void mn_space_freed(struct machnet_channel *channel);
/* Send side: `flow` is about to get MACHNET_EAGAIN. What comes from here on raises its event; what came before does not, so the caller
 * looks once more at whatever it did not find. */
void mn_space_wait(struct machnet_channel *channel, struct mn_flow *flow);
/* What the engine is to signal for the flows that wait: bits of client_sleeping. */
uint32_t mn_space_wishes(const struct machnet_channel *channel);
/* Receive side: raises SEND_SPACE for the flows that wait if something was freed, or submissions were full and are not any more. */
void mn_space_tell(struct machnet_channel *channel);
/* Send side: a slot with an extent for `length` bytes. MACHNET_EAGAIN, _EMSGSIZE; MACHNET_EPROTOCOL. */
int32_t mn_space_take(struct machnet_channel *channel, struct mn_flow *flow, uint64_t length, struct mn_slot **taken);
/* Send side: bytes of the arena that are in use. */
uint64_t mn_space_used(const struct mn_sender *send);
/* Where the slot's bytes are. */
uint8_t *mn_slot_data(const struct machnet_channel *channel, const struct mn_slot *slot);

/* send.c */

/* Send side: why nothing can be sent on `flow`: MACHNET_OK if it can. */
int32_t mn_flow_send_status(struct mn_flow *flow);

/* deliveries.c: receive side. */

/* Drops what flows had that the send side has closed. */
void mn_purge_flows(struct machnet_channel *channel);
/* The same, and takes up to `most` deliveries off the ring into the private queues. Returns how many; MACHNET_ELOWMEMORY: the first cannot
 * be taken now, and stays; or the status of a broken channel. */
int32_t mn_deliveries_take(struct machnet_channel *channel, uint32_t most);
/* True if the ring holds something. */
bool mn_deliveries_wait(struct machnet_channel *channel);
/* The bytes of a MESSAGE, or NULL if they are not in a receive region. */
const uint8_t *mn_delivery_bytes(const struct machnet_channel *channel, const struct mn_delivery *delivery);
/* Notes an event of the flow (MN_PENDING_*). */
void mn_event_add(struct machnet_channel *channel, struct mn_flow *flow, uint32_t pending);
/* The list of flows with messages, which MACHNET_ANY_FLOW serves in turn: takes the flow off it, or puts it to the end if it belongs there and is
 * not on it. For an application that takes events an accepted flow belongs there only after its ACCEPTED was told: it gets no message of a
 * flow that it has not heard of. */
void mn_ready_remove(struct machnet_channel *channel, struct mn_flow *flow);
void mn_ready_append(struct machnet_channel *channel, struct mn_flow *flow);

/* direct.c: receive side, messages that go from the ring straight to the caller. */

/* Takes up to `max` messages of `flow` (or MACHNET_ANY_FLOW) as machnet_recv_packed gives them, as long as that can be done without private
 * queues, which hold none that come before. Returns how many; 0 says nothing. */
uint32_t mn_receive_direct(struct machnet_channel *channel, uint64_t flow, machnet_record *records, uint32_t max,
                           void *arena, uint64_t arena_bytes);
/* Whether mn_receive_direct would take something of any flow. */
bool mn_direct_waits(struct machnet_channel *channel);

/* release.c */

/* Receive side: the end of a call that may have taken deliveries: the engine may wait for that room. Every way out of such a call leads
 * here or through mn_release_chain. */
static inline void mn_receive_done(struct machnet_channel *channel)
{
    if (channel->receive.pumped) {
        channel->receive.pumped = false;
        mn_wake_engine(channel, MN_WAKE_ROOM);
    }
}

/* Receive side: gives back a chain of messages (linked by next, `last` is its end). */
void mn_release_chain(struct machnet_channel *channel, struct mn_message *first, struct mn_message *last);
/* The same for messages that were copied from the ring, by their leases. */
void mn_release_leases(struct machnet_channel *channel, const uint64_t *leases, uint32_t count);

/* wait.c: receive side. */

/* A call found nothing that it wanted: MACHNET_EAGAIN, with the descriptor made ready for a poll; MACHNET_OK: look again; or why the channel is
 * gone. */
int32_t mn_idle(struct machnet_channel *channel);
/* After a call that may have moved deliveries into private queues: the descriptor shall say so. */
void mn_settle(struct machnet_channel *channel);
/* Until when a call that waits from now on till deadline_ns (< 0: for ever) polls; `patient`: if it is adaptive, whether that may pay. */
int64_t mn_polls_until(const struct machnet_channel *channel, bool patient, int64_t now_ns, int64_t deadline_ns);
/* Polls until *poll_until_ns, then sleeps till something may have happened. MACHNET_OK, MACHNET_ETIMEDOUT, MACHNET_EINTR. */
int32_t mn_pause(struct machnet_channel *channel, int64_t *poll_until_ns, int64_t deadline_ns);

#endif /* MN_CLIENT_CLIENT_H */
