/* SPDX-License-Identifier: MIT */
/*
 * A worker: one thread that polls its queue of the NIC, its channels and its timers, and sleeps on all their
 * descriptors at once when there is nothing to do. The controller talks to it by commands; no lock is held while it
 * works, none of its calls blocks.
 */
#ifndef MACHNET_ENGINE_WORKER_H
#define MACHNET_ENGINE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "directory.h"
#include "flow/transport.h"
#include "handover.h"
#include "nic/nic.h"
#include "path/path.h"

struct worker;

/* What a worker does when it finds nothing to do. */
enum worker_poll {
    WORKER_POLL_ADAPTIVE, /* looks again for spin_ns if that pays, letting others have the processor; then sleeps */
    WORKER_POLL_SPIN,     /* looks again for ever; others have the processor if they want it */
    WORKER_POLL_SLEEP,    /* sleeps at once */
};

struct worker_config {
    struct nic_queue *nic;          /* not owned */
    const struct path_table *paths; /* not owned, constant while the worker runs */
    struct transport_config transport; /* transport.worker is the index of this worker */
    /* Shared by all workers of the engine, not owned; NULL, both: there are no others. */
    struct handover *handover;
    const struct directory *directory;
    enum worker_poll poll;
    uint64_t spin_ns; /* default 250 us */
    bool pinned;      /* it runs on `cpu` alone */
    uint32_t cpu;
};

/*
 * Commands go from controller to worker (worker_post) and come back done; notices go from worker to controller. Both
 * are struct worker_message, owned by whoever made it; a command is the worker's between worker_post and its coming
 * back.
 *
 * A channel that broke the rules has been told so (header.closed) and is not polled any more when the notice comes;
 * the controller answers with WORKER_DETACH. A shutdown takes at most 50 ms; commands for a channel that come after it
 * are answered with MACHNET_EENGINEGONE.
 */
enum worker_message_type {
    WORKER_ATTACH = 1,         /* command: memory -> channel (NULL: no memory), status */
    WORKER_DETACH = 2,         /* command: channel, reason; frees it */
    WORKER_ADD_REGION = 3,     /* command: channel, region, kind, base, bytes -> status */
    WORKER_REGION_REFUSED = 4, /* command: channel */
    WORKER_LISTEN = 5,         /* command: channel, endpoint, listener -> status */
    WORKER_UNLISTEN = 6,       /* command: channel, listener */
    WORKER_STATUS = 7,         /* command: calls report(report_arg, worker) on the worker's thread, before commands that wait */
    WORKER_SHUTDOWN = 8,       /* command: tells applications and peers, frees all channels */
    WORKER_BROKEN = 16,        /* notice: channel broke the rules (status) */
    WORKER_REGION_WANTED = 17, /* notice: channel wants a receive region of at least `bytes` */
};

struct worker_message {
    struct worker_message *next;
    enum worker_message_type type;
    int32_t status; /* enum machnet_status */
    void *user;     /* the controller's: its client (for notices: what ATTACH had in `user`) */
    struct channel *channel;
    const struct channel_memory *memory;
    uint16_t region, kind, reason;
    void *base;
    uint64_t bytes;
    struct endpoint endpoint;
    uint64_t listener;
    void (*report)(void *arg, struct worker *worker);
    void *report_arg;
    void (*done)(struct worker_message *message); /* commands: called on the controller's thread by worker_collect */
};

/* Makes and starts the thread. NULL if memory or descriptors are short. */
struct worker *worker_start(const struct worker_config *config);
/* Stops the thread after a WORKER_SHUTDOWN came back (or at once), joins it and frees all. */
void worker_stop(struct worker *worker);

/* Controller's thread. Hands over a command; the worker wakes. */
void worker_post(struct worker *worker, struct worker_message *command);
/* Controller's thread. The descriptor becomes readable when worker_collect has something; worker_collect calls `done`
 * of each command that came back and `notice` for each notice (valid during the call). */
int worker_fd(const struct worker *worker);
void worker_collect(struct worker *worker, void (*notice)(void *arg, const struct worker_message *notice), void *arg);

/* Worker's thread: used by channel.c. Asks the controller for a receive region (at most one request per channel is
 * under way). */
void worker_want_region(struct worker *worker, struct channel *channel, uint64_t bytes);
/* Worker's thread: the channel has something to flush (deliveries, completions) before the loop ends. */
void worker_schedule(struct worker *worker, struct channel *channel);
/* Worker's thread: resolves a path to `remote` from `local` (any: chosen). 0, or a negative enum machnet_status. */
int worker_path(struct worker *worker, const struct endpoint *local, const struct endpoint *remote,
                struct transport_path *path);
/* Worker's thread: bytes of UDP payload that can be sent on a path. May ask the kernel. */
uint32_t worker_path_limit(struct worker *worker, const struct transport_path *path);

/* Worker's thread (inside `report`): for status. */
struct worker_counters {
    uint64_t loops, busy_loops, sleeps;
    uint64_t wakeups;                                 /* of sleeps: by a descriptor, not by time */
    uint64_t handed_over, handed_in, handover_dropped; /* packets for others; of others for us; for others, lost */
    uint64_t cpu_ns;
};
void worker_counters(const struct worker *worker, struct worker_counters *counters);
struct transport *worker_transport(const struct worker *worker);
const struct nic_counters *worker_nic_counters(const struct worker *worker);
void worker_channels(const struct worker *worker, void (*visit)(void *arg, const struct channel *channel), void *arg);

#endif /* MACHNET_ENGINE_WORKER_H */
