/* SPDX-License-Identifier: MIT */
/* What is kept of other engines. For the files of this folder alone. */
#ifndef MACHNET_ENGINE_FLOW_PEER_H
#define MACHNET_ENGINE_FLOW_PEER_H

#include "base/endpoint.h"
#include "base/heap.h"
#include "base/rate.h"
#include "flow/mtu.h"
#include "flow/transport.h"

struct flow;

/* Another engine's worker, or our own, as seen from one of our addresses. A PROBE asks about the flows between exactly these two
 * endpoints: to the other side an asker is what the packet comes from. */
struct peer {
    struct peer_key {
        struct endpoint local, remote;
    } key;
    struct host *host;
    struct peer *host_prev, *host_next;
    struct heap_timer timer;
    struct flow *flows;
    struct transport_path path;
    uint64_t epoch;             /* believed; valid if `known` */
    uint64_t heard;             /* when */
    uint64_t nonce, probed;     /* of the outstanding PROBE: its nonce, when it was sent */
    uint32_t flow_count;
    uint32_t unanswered; /* PROBEs since something was heard */
    struct mtu mtu;
    bool known, probing;
};

enum { KNOWN_PATHS = 64 };

/* What was found out about the path to a peer that has no flows now. */
struct known_path {
    uint64_t hash; /* of its key; 0: empty */
    struct mtu mtu;
};

/* The peers between two IP addresses: the workers of one engine, or, behind an address translator, of several. */
struct host {
    struct host_key {
        uint8_t local[16], remote[16];
    } key;
    struct peer *peers; /* in turn */
    uint32_t peer_count;
};

enum { CLAIMS_MAX = 32, CLAIMS_TOLD = 64 };

/* Claims for the other workers of our engine. */
struct claims {
    struct transport_claim waiting[CLAIMS_MAX];
    uint32_t count;
    struct rate unproven;
    struct claim_told {
        uint64_t hash, at;
    } told[CLAIMS_TOLD]; /* the newest of each place */
};

#endif /* MACHNET_ENGINE_FLOW_PEER_H */
