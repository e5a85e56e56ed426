/* SPDX-License-Identifier: MIT */
/*
 * The engine's end of one channel, driven by hand: for what a real engine never does (breaking the rules) and for moments that it passes
 * too fast. The calling thread is the worker; a thread of its own answers the attach and ends with it.
 */
#ifndef MACHNET_TESTS_FAKE_ENGINE_H
#define MACHNET_TESTS_FAKE_ENGINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <machnet/machnet.h>

#include "channel/control.h"
#include "channel/layout.h"
#include "channel/ring.h"

struct fake_engine {
    char directory[64], path[96];
    int listener, context, control, signal_fd, event;
    pthread_t thread;
    int32_t hello_status, attach_status; /* what the handshake answers */
    bool later;                          /* does what control.h lets a later engine do: see fake_engine_say_more */
    uint16_t hello_version;              /* of the control protocol, in its answer; 0: the right one */
    /* NULL, or changes the offer, its descriptors (-1: left out) or the memory before the client gets it: it is not expected to go on. */
    void (*spoil)(struct fake_engine *engine, struct mn_control_attach_offer *offer, int fds[6]);
    uint32_t max_flows;
    uint64_t send_bytes_max;
    struct mn_header *header;
    void *bases[3];
    uint64_t bytes[3];
    struct mn_ring submissions, completions, deliveries, releases;
};

/* Listens on a socket in a directory of its own, and answers one context and one channel. Fields to answer with may be set before. */
void fake_engine_start(struct fake_engine *engine);
/* After machnet_channel_open: the handshake is over, the rings are bound. */
void fake_engine_attached(struct fake_engine *engine);
void fake_engine_stop(struct fake_engine *engine);
/* A message of an unknown type that may be ignored, with a descriptor. An engine that is `later` sends one before each answer after HELLO, makes its
 * answers longer, and offers a descriptor of an unknown kind. */
void fake_engine_say_more(struct fake_engine *engine);
/* Starts the engine, opens a context and a channel on it; the context is given back. Aborts the test program if that fails. */
machnet_channel *fake_engine_channel(struct fake_engine *engine, const machnet_options *options);
/* The same with default options and a flow that was accepted, whose event is taken. */
machnet_channel *fake_engine_channel_with_flow(struct fake_engine *engine, uint64_t flow);

/* Post one entry and signal as an engine does. */
void fake_engine_deliver(struct fake_engine *engine, const void *entry);
void fake_engine_message(struct fake_engine *engine, uint64_t flow, uint64_t lease, uint64_t offset, uint32_t length,
                         uint64_t tag);
void fake_engine_accept(struct fake_engine *engine, uint64_t flow);
void fake_engine_close_flow(struct fake_engine *engine, uint64_t flow, int32_t status);
void fake_engine_complete(struct fake_engine *engine, uint64_t cookie);
/* Signals, if the client asked to be told of one of the `bits` (enum of MN_WAKE). */
void fake_engine_wake(struct fake_engine *engine, uint32_t bits);
/* Takes one submission, and signals as an engine does that there is room; false if there is none. */
int fake_engine_take(struct fake_engine *engine, struct mn_submission *submission);
/* How many releases have come since the last call. */
uint32_t fake_engine_releases(struct fake_engine *engine);

#endif /* MACHNET_TESTS_FAKE_ENGINE_H */
