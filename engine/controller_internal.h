/* SPDX-License-Identifier: MIT */
/*
 * What the files of the controller share. All of it belongs to the controller's thread.
 *
 *   controller.c   event loop, accepting connections, shutdown
 *   client.c       one connection: its states, what may come when, its end
 *   attach.c       ATTACH in two steps, and giving its memory back
 *   regions.c      further regions of a channel
 *   listen.c       LISTEN and UNLISTEN
 *   status.c       STATUS: collecting; status_json.c: the text
 */
#ifndef MACHNET_ENGINE_CONTROLLER_INTERNAL_H
#define MACHNET_ENGINE_CONTROLLER_INTERNAL_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <uthash.h>
#include <utlist.h>

#include "channel/control.h"
#include "closer.h"
#include "controller.h"
#include "listeners.h"
#include "machnet/machnet.h"

/* One list for the struct, the names and `machnet status`. */
#define CONTROLLER_COUNTERS(X)                                                                                       \
    X(connections)                                                                                                   \
    X(connections_refused)                                                                                           \
    X(control_messages) X(control_messages_malformed) X(timeouts) X(attaches) X(attaches_refused) X(channels_closed) \
        X(channels_broken) X(regions_added) X(regions_refused) X(listens) X(listens_refused) X(status_requests)

struct controller_counters {
#define X(name) uint64_t name;
    CONTROLLER_COUNTERS(X)
#undef X
};

enum { CLIENT_FIRST_REGIONS = 3 };

/*
 * The states of a connection. From each, CLOSING follows when either side ends it; the client is freed when no command of it is with the
 * worker any more.
 *
 *   HELLO ──HELLO──> READY ──ATTACH──> MAPPING ──ATTACH_MAPPED──> ATTACHING ──worker──> ATTACHED
 *                    (STATUS)  └─> WAITING ─┘                                            (REGION_*, LISTEN, UNLISTEN)
 *
 * WAITING: for what others of the user, who have ended, are about to give back; if that is not enough, the client is READY again, refused.
 * HELLO, WAITING and MAPPING end after config.step_ns.
 */
enum client_state {
    CLIENT_HELLO,
    CLIENT_READY,
    CLIENT_WAITING,
    CLIENT_MAPPING,
    CLIENT_ATTACHING,
    CLIENT_ATTACHED,
    CLIENT_CLOSING,
};

/* A region on its way into a live channel; one of each kind at a time. */
enum region_step {
    REGION_NONE,
    REGION_WAITING, /* for what others of the user, who have ended, are about to give back */
    REGION_OFFERED, /* the client maps it */
    REGION_ADDING,  /* the worker has the command */
};

struct client;
struct status;
struct status_text;

struct pending_region {
    struct client *client;
    enum region_step step;
    uint16_t kind, region;
    uint32_t request; /* of the client, or 0 */
    int fd;           /* while OFFERED */
    void *base;       /* NULL while ADDING: there is none to add, the worker is told that */
    uint64_t bytes;
    uint64_t wanted; /* bytes of the next one that the worker asked for meanwhile, or 0 */
    struct event deadline;
    struct worker_message command;
    struct pending_region *waiting_prev, *waiting_next;
};

struct client_listener {
    struct listener listener;
    struct client *client;
    uint32_t request; /* of LISTEN or UNLISTEN, while busy */
    bool busy;        /* the worker has the command */
    bool in_table;
    bool in_directory; /* the worker accepts */
    struct worker_message command;
    struct client_listener *prev, *next;
};

struct client {
    struct controller *controller;
    struct client *prev, *next;
    UT_hash_handle by_id;
    uint64_t id;
    enum client_state state;
    uint32_t uid, pid; /* pid 0: not in a namespace that we see */
    struct quota_user *user;
    int socket, pidfd;
    uint16_t layout; /* of its channel's memory, agreed by HELLO */
    struct event readable, died, deadline;
    struct client *leaving_next;
    struct client *waiting_prev, *waiting_next;
    uint32_t holds; /* commands with the worker, and ourselves while a message is handled: keeps it from being freed */

    /* From MAPPING on. */
    struct worker *worker; /* NULL until ATTACHING */
    uint32_t worker_index;
    struct channel_memory memory;
    uint64_t send_bytes_max;
    int region_fds[CLIENT_FIRST_REGIONS]; /* until ATTACHING */
    int wakeup_fd;                        /* the application's end: until it is sent */
    uint16_t next_region;
    struct channel *channel; /* the worker's; NULL until ATTACHED and after DETACH was posted */
    uint32_t attach_request; /* of the client, until ATTACHED */
    struct worker_message attach, detach;
    struct pending_region pending[2]; /* SEND, RECEIVE */
    struct client_listener *listeners;

    bool status_waits; /* a STATUS to answer */
    uint32_t status_request;
    uint64_t status_round; /* answered by collections from this on */
    struct status_text *status_text; /* on its way to the client: nothing else goes either way till then */
    size_t status_sent;
    struct event writable;
};


enum { CONTROLLER_SIGNALS = 3 }; /* that end it: SIGINT, SIGTERM, SIGHUP */

struct controller {
    struct controller_config config;
    struct event_base *base;
    struct event accept, accept_again, give_up;
    struct event signals[CONTROLLER_SIGNALS];
    struct event mail[CONTROLLER_WORKERS_MAX];
    struct client *clients, *clients_by_id;
    struct client *leaving, *leaving_last; /* closed, and no worker has their memory any more: it is given back a little in each turn of the loop */
    struct client *waiting; /* who asks for what those give back, FIFO */
    struct pending_region *waiting_regions; /* the same, by channels that are there: they go first */
    struct event give_back;
    uint32_t client_count, client_max;
    uint64_t last_client, start_ns;
    uint32_t worker_channels[CONTROLLER_WORKERS_MAX]; /* with each worker, coming, there, or leaving */
    struct quota *quota;
    struct listeners *listeners;
    struct closer *closer;
    struct status *status;
    struct controller_counters counters;
    uint64_t complaint_second;
    uint32_t complaints; /* logged in that second */
    struct worker_message shutdown[CONTROLLER_WORKERS_MAX];
    uint32_t workers_to_stop;
    bool stopping, failed;
};

/* ---- controller.c ---- */

/* What a client may take for a step, for timers. */
struct timeval controller_step(const struct controller *controller);
/* Shutdown: the last client is gone. */
void controller_client_gone(struct controller *controller);
/* Nobody holds the client any more: it is freed, in its turn. */
void controller_let_go(struct controller *controller, struct client *client);

/* ---- client.c ---- */

/* Takes over a connection. */
void client_open(struct controller *controller, int socket);
/* Ends the connection at once, tells the client `reason` (NULL: nothing), takes its channel from the worker. Frees it unless it is held. */
void client_close(struct client *client, int32_t status, const char *reason);
/* A rule of the protocol is broken: counts it and closes. */
void client_malformed(struct client *client, const char *reason);
void client_set_state(struct client *client, enum client_state state);
/* Sends a message; a client that does not read its socket empty is closed. */
void client_send(struct client *client, const struct mn_control_header *message, const int *fds, uint32_t fd_count);
/* Restarts or stops the time for the present step. */
void client_set_deadline(struct client *client, bool on);
void client_free(struct client *client);
void client_hold(struct client *client);
void client_let_go(struct client *client);
/* Logs a warning about it; of many in a second only the first, so that no client can fill the log. */
void client_complain(const struct client *client, const char *text);
/* Gives the worker a command, and holds the client until it is done: `done` ends with client_let_go. */
void client_post(struct client *client, struct worker_message *command, void (*done)(struct worker_message *command));
/* Takes the channel, if there is one, from the worker. */
void client_detach(struct client *client);
/* A notice of a worker. */
void client_notice(void *controller, const struct worker_message *notice);

/* ---- attach.c ---- */

void attach_request(struct client *client, const struct mn_control_attach *message);
void attach_mapped(struct client *client, const struct mn_control_plain *message);
/* Something was given back: tries again those that wait. */
void attach_retry_all(struct controller *controller);
/* It does not wait any more. */
void attach_forget(struct client *client);
/* Unmaps all memory and gives it back to the quota; no worker uses it any more. */
void attach_free(struct client *client);
/* Makes a memfd region of the channel and takes its bytes from the quota. MACHNET_OK, or a status and a sentence in
 * message[QUOTA_MESSAGE_BYTES]. */
int32_t attach_make_region(struct client *client, uint64_t bytes, int *fd, void **base, char *message);
void attach_drop_region(struct client *client, void *base, uint64_t bytes);

/* ---- regions.c ---- */

void region_init(struct client *client);
void region_request(struct client *client, const struct mn_control_region *message);
void region_mapped(struct client *client, const struct mn_control_region *message);
/* Something was given back: tries again those that wait. */
void region_retry_all(struct controller *controller);
/* The worker wants a receive region. */
void region_wanted(struct client *client, uint64_t bytes);
/* The connection ends: drops what is offered. */
void region_close(struct client *client);

/* ---- listen.c ---- */

void listen_request(struct client *client, const struct mn_control_listen *message);
void listen_close_request(struct client *client, const struct mn_control_listen *message);
/* The connection ends: its addresses are free. */
void listen_close_all(struct client *client);
/* Frees a listener that no worker has a command for (any more). */
void listen_drop(struct client_listener *own);

/* ---- status.c ---- */

struct status *status_new(struct controller *controller);
void status_free(struct status *status);
void status_request(struct client *client, const struct mn_control_plain *message);
void status_init(struct client *client);
/* The connection ends: no answer is wanted any more. */
void status_abandon(struct client *client);

#endif /* MACHNET_ENGINE_CONTROLLER_INTERNAL_H */
