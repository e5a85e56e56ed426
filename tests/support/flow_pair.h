/* SPDX-License-Identifier: MIT */
/*
 * Two transports on a link in memory with a virtual clock, and applications that check what they get: message i of a flow
 * is made of bytes that follow from i and its length, and must come in order, once, intact.
 */
#ifndef MACHNET_TESTS_SUPPORT_FLOW_PAIR_H
#define MACHNET_TESTS_SUPPORT_FLOW_PAIR_H

#include "flow/transport.h"
#include "wire/wire.h"

enum { PAIR_FLOWS_MAX = 64, PAIR_COOKIES_MAX = 8192, PAIR_LENT_MAX = 1024, PAIR_PORT = 7000, PAIR_FRESH = 0xdb };

/* An application's end of one flow. */
struct pair_flow {
    struct pair_side *side;
    struct flow *flow;
    int established, accepted, ended, stalled;
    enum transport_status status;        /* of the end */
    uint32_t sent, sent_ok, sent_failed; /* messages given to the transport, and what became of them */
    uint32_t received;
    uint64_t first_cookie;
    bool closed;
};

struct pair_extent {
    uint8_t *data;
    uint32_t length;
    bool used;
};

struct pair_side {
    struct pair *pair;
    struct transport *transport;
    struct transport_owner owner;
    struct transport_path path;
    struct transport_config config;
    struct pair_flow flows[PAIR_FLOWS_MAX];
    uint32_t flow_count, accepted_count;
    uint64_t memory_left, reserve_left; /* bytes */
    uint64_t reserve_used;
    uint32_t extents;                   /* reserved and not given back */
    struct transport_extent newest;     /* extent reserved; filled with PAIR_FRESH */
    bool keep;                          /* the reader does not release */
    bool no_room;                       /* deliver and lifecycle calls are refused */
    bool refuse;                        /* accepted flows get no place */
    bool stalls_later;                  /* when told that a flow stalls it wants to be asked again */
    uint32_t share;                     /* messages that a flow's reader may hold before others go first; 0: any number */
    struct pair_extent lent[PAIR_LENT_MAX];
    uint32_t lent_count;
    struct pair_flow *lent_flow[PAIR_LENT_MAX];
    uint8_t cookies[PAIR_COOKIES_MAX]; /* times that `sent` was called */
    uint64_t next_cookie;
    uint8_t *buffers[PAIR_COOKIES_MAX];
};

struct pair_packet {
    struct pair_packet *next;
    uint64_t at;
    struct pair_side *to;
    struct endpoint from_endpoint, to_endpoint;
    uint32_t length;
    uint8_t bytes[];
};

enum pair_fate {
    PAIR_PASS,
    PAIR_DROP,
    PAIR_DUPLICATE,
    PAIR_DELAY, /* by pair.late more: behind later ones */
    PAIR_CORRUPT,
};

struct pair {
    struct pair_side a, b;
    uint64_t now, delay;
    uint64_t late;    /* of delayed packets, ns; 1 ms unless told otherwise */
    uint64_t packets; /* that were sent */
    struct pair_packet *wire;
    /* What becomes of packet number `index` (counted from 0 over both directions); NULL: all pass. */
    enum pair_fate (*fate)(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                           size_t length);
    uint64_t argument; /* the fate's */
    bool unchecked;    /* what messages hold is not looked at: their packets were tampered with */
};

void pair_init(struct pair *pair);
/* Checks that nothing is left over and frees all. */
void pair_fini(struct pair *pair);
/* Starts a side's engine, again or with a changed side->config. */
void pair_start(struct pair_side *side);
void pair_stop(struct pair_side *side);

struct pair_flow *pair_open(struct pair_side *side, uint16_t port);
void pair_send(struct pair_flow *flow, uint32_t length);
void pair_close(struct pair_flow *flow, bool abort);
/* Gives back all that the side's reader holds. */
void pair_release(struct pair_side *side);
/* Gives back the oldest. */
void pair_release_one(struct pair_side *side);
/* A packet from a stranger, or a forged one. */
void pair_inject(struct pair_side *to, const struct endpoint *from, const uint8_t *packet, size_t length);

/* Lets `duration_ns` of virtual time pass. */
void pair_run(struct pair *pair, uint64_t duration_ns);
/* Until both sides have nothing to do for a while, at most 30 s. */
void pair_settle(struct pair *pair);

/* An established flow between a and b: a's end; b's is b.flows[0] if it is the first. */
struct pair_flow *pair_connect(struct pair *pair);

#define PAIR_MS UINT64_C(1000000)

#endif /* MACHNET_TESTS_SUPPORT_FLOW_PAIR_H */
