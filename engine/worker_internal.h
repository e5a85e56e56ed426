/* SPDX-License-Identifier: MIT */
/* What the files of the worker share. All but the mailbox is touched by the worker's thread alone. */
#ifndef MACHNET_ENGINE_WORKER_INTERNAL_H
#define MACHNET_ENGINE_WORKER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "channel/patience.h"
#include "worker.h"

/* Where a worker's packets come from and go to. */
enum { PORT_NIC, PORT_LOOP, PORT_COUNT };

/* A list of messages in order. */
struct message_list {
    struct worker_message *head, *tail;
};

/* Between controller and worker. */
struct mailbox {
    pthread_mutex_t lock;       /* held for a few instructions only */
    struct message_list inbox;  /* commands */
    struct message_list outbox; /* commands that are done, and notices */
    atomic_bool mail;           /* the inbox has something; read without the lock */
    atomic_bool stop;
    int inbox_event; /* eventfds, ours alone */
    int outbox_event;
};

/* Who makes the next thing happen, as far as we know: after a packet with messages, or a delivery. */
enum awaited { AWAITED_NETWORK, AWAITED_APPLICATION, AWAITED_COUNT };

/* Channels in no order. */
struct channel_set {
    struct channel **items;
    uint32_t count;
};

struct worker {
    struct worker_config config;
    uint32_t index, worker_count; /* of the engine's workers this is which */
    pthread_t thread;
    struct mailbox mailbox;
    struct message_list commands; /* taken out of it, in their order */
    int epoll;
    bool nic_wakes; /* the NIC has descriptors to sleep on */
    bool nic_quiet; /* they said, or its last packets did, that nothing is there: one look need not ask */
    struct nic *loop;
    struct nic_queue *ports[PORT_COUNT];
    uint32_t last_port; /* of the last packet sent: the next is most likely for it, too */
    struct transport *transport;

    /* Each has room for `channel_capacity`. */
    struct channel_set channels;  /* all */
    struct channel_set active;    /* those that are polled; the others sleep on their event descriptors */
    struct channel_set scheduled; /* those to flush */
    uint32_t channel_capacity;
    uint64_t channel_deadline; /* the earliest of those that sleep */
    bool unreported;           /* a broken channel whose notice found no memory */
    bool shut_down;

    uint64_t now;         /* of this turn */
    bool posted;          /* in this turn, to some application */
    bool delivered;       /* the same: messages or events */
    bool asked;           /* in this turn, by some application */
    bool submitted;       /* the same: not by releases alone */
    uint32_t looks_owed;  /* at the network: of the turn before, 0 or 1 */
    enum awaited awaited; /* since `last_progress`, when messages last moved */
    uint64_t last_progress;
    uint64_t last_busy; /* the last turn that found something */
    struct mn_patience patience[AWAITED_COUNT];
    uint64_t last_look;          /* when the descriptors were last looked at */
    uint64_t last_yield;         /* when others last could have the processor */
    uint64_t shared_until;       /* somebody else wants our processor, as far as we know */
    uint64_t yield_took_ns;      /* the last one */
    uint64_t yield_every_ns;     /* without work, while it is shared */
    bool offered;                /* the processor, without work, and somebody took it */
    uint64_t nap_ns;             /* the last nap since there was work, of a NIC without descriptors */
    struct worker_counters counters;
};

/* ---- worker.c ---- */

/* A worker without its thread: worker_turn is the caller's. Tests use it so, with a clock of their own. */
struct worker *worker_new(const struct worker_config *config);
void worker_free(struct worker *worker);

/* ---- worker_mail.c ---- */

bool mailbox_init(struct mailbox *mailbox);
void mailbox_fini(struct mailbox *mailbox);
/* Takes all commands that wait; they are linked by `next`. */
struct worker_message *mailbox_take(struct mailbox *mailbox);
/* Hands messages to the controller, in their order. */
void mailbox_deliver(struct mailbox *mailbox, struct message_list messages);
/* Copies a notice to the controller. False: memory is short. */
bool mailbox_notify(struct mailbox *mailbox, const struct worker_message *notice);
void message_append(struct message_list *list, struct worker_message *message);

/* ---- worker_channels.c ---- */

int worker_attach(struct worker *worker, struct worker_message *command, uint64_t now);
void worker_detach(struct worker *worker, struct channel *channel, uint16_t reason, uint64_t now);
bool worker_has(const struct worker *worker, const struct channel *channel);
/* From now on it is polled. */
void worker_activate(struct worker *worker, struct channel *channel);
/* Each returns how much there was to do. */
uint32_t worker_poll_channels(struct worker *worker, uint64_t now);
uint32_t worker_flush_channels(struct worker *worker);
void worker_report_broken(struct worker *worker);

/* ---- worker_commands.c ---- */

uint32_t worker_run_commands(struct worker *worker, uint64_t now);

/* ---- worker_packets.c ---- */

uint32_t worker_receive(struct worker *worker, uint64_t now);
uint32_t worker_transmit(struct worker *worker, uint64_t now);

/* ---- worker_loop.c ---- */

/* One bounded round of all there is to do. Returns how much it was. */
uint32_t worker_turn(struct worker *worker, uint64_t now);
/* Channels that were quiet for so long sleep, if the worker may. */
uint64_t worker_patience_ns(const struct worker *worker);
/* How often a worker without work lets others have the processor. */
uint64_t worker_yield_every_ns(const struct worker *worker, uint64_t now);
/* Whether a worker without work goes on polling: for what is awaited if that pays, and a moment for the ACK of what it sent. */
bool worker_is_patient(const struct worker *worker, uint64_t now);
/* The thread: turns until it is told to stop. */
void *worker_main(void *worker);

#endif /* MACHNET_ENGINE_WORKER_INTERNAL_H */
