/* SPDX-License-Identifier: MIT */
/* What the files of the channel share. Nothing here is in shared memory; everything is used by the worker's thread
 * alone. */
#ifndef MACHNET_ENGINE_CHANNEL_INTERNAL_H
#define MACHNET_ENGINE_CHANNEL_INTERNAL_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "channel.h"
#include "channel/arena.h"
#include "channel/layout.h"
#include "channel/ring.h"
#include "flow/transport.h"
#include "machnet/machnet.h"

/*
 * A flow as this channel knows it. It lives in the table from OPEN or ACCEPTED until both CLOSE was taken from the
 * application and CLOSED was posted to it: so its token is in use, on both sides, exactly while the entry exists.
 */
struct channel_flow {
    uint64_t token;    /* 0: the place is free */
    struct flow *flow; /* the transport's; NULL: it never had one, or it was told to close it */
    union {
        uint32_t lent;        /* while it has `flow`: messages that the application holds */
        uint32_t next_failed; /* of one in `failed`, which never has: the index of the next */
    };
    int16_t status;   /* why it ended; MACHNET_OK: it has not, or nothing went wrong */
    bool counted : 1; /* among the flows of the user; others fail at once */
    bool close_taken : 1;
    bool closed_posted : 1;
};
static_assert(sizeof(struct channel_flow) <= 24, "100,000 idle flows are to be kept");

/* A message that the application holds. */
struct lease {
    uint64_t flow; /* token */
    uint64_t offset;
    uint32_t length;
    uint32_t generation; /* never 0; counts the uses of this entry */
    uint32_t next_free;
    uint16_t region;
    bool lent;
};
#define LEASE_NONE UINT32_MAX

/* Why something could not be handed to the application. */
enum { BLOCKED_RING = 1, BLOCKED_LEASES = 2 };

struct channel_region {
    uint8_t *base;
    uint64_t bytes;
    uint16_t kind;
};

struct channel {
    struct worker *worker;
    struct transport *transport;
    struct transport_owner owner;
    struct channel_seat seat;
    struct mn_header *header;
    struct mn_ring submissions, completions, deliveries, releases;
    bool deliveries_posted, completions_posted; /* and not published */
    bool submissions_taken;                     /* and the application not told that there is room */
    int32_t broken;                             /* status, once a rule was broken */
    uint64_t now;                               /* of the last call that knew */

    struct channel_region regions[MN_REGIONS_MAX];
    struct mn_arena *arena; /* of all RECEIVE regions */
    uint64_t receive_bytes_max;
    bool memory_short;    /* an extent was refused since memory was last announced */
    bool memory_freed;    /* an extent came back since then */
    bool region_wanted;   /* a request is under way */
    bool growth_refused;  /* the last one was not granted */
    uint64_t grow_after;  /* ask for no region before */
    uint64_t small_bytes; /* free bytes of the arena that large messages leave; fewer are scarce */

    struct lease *leases;
    uint32_t lease_capacity, lease_free; /* head of the free list, or LEASE_NONE */
    uint32_t lease_high;                 /* entries from here on were never used */
    uint32_t lent_extents;
    uint64_t lent_bytes;

    struct channel_flow *opened, *accepted; /* by index, which the client or we chose; max_flows each */
    uint32_t *accepted_free;                /* stack of free indices below accepted_high */
    uint32_t accepted_free_count, accepted_high, accepted_generation;
    uint32_t flow_count, flows_counted, max_flows;
    struct quota_flows *user_flows; /* not owned */
    uint32_t failed, failed_tail;   /* opened flows whose CLOSED is not from the transport and waits for room; */
    uint32_t failed_count;          /* the first, the last, how many */
    uint32_t sends_in_flight;       /* SENDs without a completion in the ring */
    uint32_t blocked;               /* BLOCKED_*: something waits for that */

    int signal_fd, event;
    char name[MN_NAME_BYTES];
    uint32_t pid, uid;
    uint64_t id;
    uint64_t messages_sent, messages_received, bytes_sent, bytes_received, submitted, wakeups;
};

/* Takes the next entry of a ring in memory that the application can change at any time: after this only the copy
 * exists. */
static inline void channel_take(struct mn_ring *ring, void *entry, size_t bytes)
{
    memcpy(entry, mn_ring_entry(ring, 0), bytes);
    atomic_signal_fence(memory_order_seq_cst); /* or the compiler could read shared memory again instead of the copy */
    mn_ring_advance(ring, 1);
}

static inline bool channel_may_lend(const struct channel *channel)
{
    return channel->lease_free != LEASE_NONE || channel->lease_high < channel->lease_capacity;
}

/* Notes that the application broke the rules; the next channel_poll returns it. */
void channel_break(struct channel *channel, int32_t status);

/* ---- channel_flows.c ---- */

bool channel_flows_init(struct channel *channel);
void channel_flows_fini(struct channel *channel);
/* The flow with exactly this token, or NULL. */
struct channel_flow *channel_flow_find(const struct channel *channel, uint64_t token);
/* True if `token` may be used for a new flow by the client: its kind, index and generation are in range and the index
 * is free. */
bool channel_flow_token_free(const struct channel *channel, uint64_t token);
/* Adds a flow under `token`, which is free, or under one that we choose (NULL: at a limit). The first is not counted if
 * the user has as many flows as one may. */
struct channel_flow *channel_flow_add(struct channel *channel, uint64_t token);
struct channel_flow *channel_flow_add_accepted(struct channel *channel);
/* Frees the entry if nothing keeps it any more. */
void channel_flow_settle(struct channel *channel, struct channel_flow *flow);

/* ---- channel_submit.c ---- */

/* Each returns how many entries it took, or a negative status. */
int channel_take_submissions(struct channel *channel, uint64_t now);

/* ---- channel_memory.c ---- */

bool channel_memory_init(struct channel *channel, const struct channel_memory *memory);
void channel_memory_fini(struct channel *channel);
/* Makes the owner: what may be promised to its flows' peers. */
void channel_memory_promise(struct channel *channel);
/* The bytes at (region, offset, length) of a region of kind SEND, or NULL: they are not all inside one. */
const uint8_t *channel_send_bytes(const struct channel *channel, uint16_t region, uint64_t offset, uint32_t length);
bool channel_extent_reserve(struct transport_owner *owner, uint32_t length, bool last_reserve,
                            struct transport_extent *extent);
void channel_extent_abandon(struct transport_owner *owner, const struct transport_extent *extent);
/* Lends a reserved extent to the application: the lease for the delivery. There is a free one (lease_free). */
uint64_t channel_lend(struct channel *channel, struct channel_flow *flow, const struct transport_extent *extent);
void channel_extent_place(const struct transport_extent *extent, uint16_t *region, uint64_t *offset);
int channel_take_releases(struct channel *channel, uint64_t now);
/* Tells the transport that there is memory, if it waits for some and that makes sense. Returns 1 if it did, else 0. */
int channel_memory_retry(struct channel *channel, uint64_t now);

/* ---- channel_deliver.c ---- */

/* Posts a completion; there is always room, or the application has tampered with the ring. */
void channel_complete(struct channel *channel, uint64_t cookie, int32_t status);
/* Ends a flow that the transport does not have: CLOSED is posted as soon as there is room. */
void channel_flow_fail(struct channel *channel, struct channel_flow *flow, int32_t status);
/* Retries what found no room, if there is some now. Returns 1 if it did, else 0. */
int channel_deliver_retry(struct channel *channel, uint64_t now);

#endif /* MACHNET_ENGINE_CHANNEL_INTERNAL_H */
