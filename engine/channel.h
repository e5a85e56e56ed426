/* SPDX-License-Identifier: MIT */
/*
 * The engine's end of one channel: takes submissions and releases out of shared memory, checks every field, and
 * drives the transport; posts deliveries and completions; wakes the application. Owned by one worker thread from
 * channel_new to channel_free. Whatever an application does here ends at most its own channel (channel_poll returns a
 * status < 0).
 */
#ifndef MACHNET_ENGINE_CHANNEL_H
#define MACHNET_ENGINE_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/layout.h"
#include "flow/transport.h"
#include "quota.h"

struct channel;
struct worker;

enum {
    /* A receive arena that may grow to this has room for the longest message, and beside it for others. */
    CHANNEL_RECEIVE_BYTES_LEAST = 2 * MN_MESSAGE_MAX,
};

/* What the controller has prepared: sealed, populated memory and descriptors. The controller keeps owning (and
 * unmaps, closes) them after the channel was freed. */
struct channel_memory {
    struct mn_ring_place rings[MN_RING_COUNT]; /* as planned by us, never re-read from shared memory */
    struct {
        void *base;
        uint64_t bytes;
        uint16_t kind;
    } regions[MN_REGIONS_MAX];  /* index = region number; base NULL: none */
    int signal_fd;              /* our end of the pair that wakes the application (channel/wakeup.h) */
    int event;                  /* eventfd of the application: only ever watched */
    uint64_t receive_bytes_max; /* the receive arena may grow to this */
    struct quota_flows *flows;  /* of its user; not owned, outlives the channel */
    uint32_t max_flows;         /* of this channel: the length of its tables */
    char name[MN_NAME_BYTES];
    uint32_t pid, uid;
    uint64_t id; /* for logs and status */
};

/* The worker's own notes on a channel, kept inside the channel. */
struct channel_seat {
    void *user;            /* the controller's, for notices */
    uint32_t index;        /* in the worker's table of channels */
    uint32_t active_index; /* in its table of polled ones, or CHANNEL_NOWHERE */
    bool scheduled;        /* to be flushed before the turn ends */
    bool reported;         /* the controller was told that it is broken */
    int32_t broken;        /* status, if the channel broke the rules: it is not polled any more */
    uint64_t last_work;    /* when polling last found something */
    uint64_t deadline;     /* asleep: poll it then even if nothing woke it */
};
#define CHANNEL_NOWHERE UINT32_MAX

/* NULL if memory is short. `memory` is copied. */
struct channel *channel_new(struct worker *worker, struct transport *transport, const struct channel_memory *memory);

/* Aborts all flows of the application (peers get the wire_reason `reason`) and frees our side. */
void channel_free(struct channel *channel, uint16_t reason, uint64_t now);

/* Handles up to a bounded number of releases and submissions, and retries what had found no room or memory. Returns
 * how much it did (0: nothing was there), or a negative enum machnet_status: the application broke the rules and the
 * channel must be closed. */
int channel_poll(struct channel *channel, uint64_t now);
/* Whether submissions have been taken since the last flush: releases alone ask for nothing. */
bool channel_submitted(const struct channel *channel);

/* Publishes what was posted since the last flush, and signals the application if it sleeps and waits for that, or for
 * room in submissions and some were taken.
 * Returns what it was: MN_WAKE_* of client_sleeping. */
uint32_t channel_flush(struct channel *channel);

/* Before the worker stops polling this channel: sets the need-wakeup flag and looks once more. True: it may sleep
 * until the application signals its event descriptor or *deadline (UINT64_MAX: none) has come. */
bool channel_sleep(struct channel *channel, uint64_t *deadline);
void channel_awake(struct channel *channel);

/* A region that the controller added by the two steps. 0, or a negative enum machnet_status. */
int channel_add_region(struct channel *channel, uint16_t region, uint16_t kind, void *base, uint64_t bytes,
                       uint64_t now);
/* The controller could not give a receive region that was asked for. */
void channel_region_refused(struct channel *channel, uint64_t now);

/* Tells the application that the engine is going down or closes the channel (header.closed), and wakes it. */
void channel_announce_closed(struct channel *channel, int32_t status);

/* The ops of every transport of this engine; owner->user is the struct channel. */
extern const struct transport_ops channel_transport_ops;

struct channel_info {
    const char *name;
    uint64_t id;
    uint32_t pid, uid, flows;
    uint64_t send_bytes, receive_bytes, receive_used_bytes, lent_extents;
    uint64_t messages_sent, messages_received, bytes_sent, bytes_received, submissions, wakeups;
};
void channel_info(const struct channel *channel, struct channel_info *info);
/* For the worker: the event descriptor, for its epoll; its notes; the owner, for listeners. Not owned. */
int channel_event_fd(const struct channel *channel);
struct channel_seat *channel_seat(struct channel *channel);
struct transport_owner *channel_owner(struct channel *channel);
/* For `machnet status`: the channel of a flow's owner. */
const struct channel *channel_of_owner(const struct transport_owner *owner);

#endif /* MACHNET_ENGINE_CHANNEL_H */
