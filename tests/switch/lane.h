/* SPDX-License-Identifier: MIT */
/* One direction of the switch: what happens to the frames towards one side, into which of its queues they go, and the counts of both. Everything random
 * comes from the seed. One thread; `now` in nanoseconds of a monotonic clock. */
#ifndef MACHNET_TESTS_SWITCH_LANE_H
#define MACHNET_TESTS_SWITCH_LANE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/heap.h"
#include "base/prng.h"
#include "switch/memif.h"
#include "switch/toeplitz.h"

enum { LANE_FRAME_MAX = 16384, LANE_QUEUES_SHOWN = 16 };

enum lane_hash {
    LANE_HASH_FLOW,   /* Toeplitz over the 5-tuple; what is not IPv4 goes to queue 0 */
    LANE_HASH_PACKET, /* each frame to any queue */
};

/* Chances are per million. */
struct lane_config {
    enum lane_hash hash;
    uint64_t rehash_ns; /* a new key so often; 0: never */
    uint32_t drop, repeat, reorder, corrupt;
    uint64_t delay_ns;
};

#define LANE_COUNTERS(X)                                                            \
    X(frames) /* that came from the other side */                                   \
    X(delivered)                                                                    \
    X(dropped)                                                                      \
    X(repeated)                                                                     \
    X(reordered)   /* held back while others pass */                                \
    X(corrupted)   /* IPv4 frames with one bit turned behind the Ethernet header */ \
    X(full)        /* lost: the queue was full, or too many were held */            \
    X(unconnected) /* lost: nobody there */                                         \
    X(rehashes)

struct lane_counters {
#define X(name) uint64_t name;
    LANE_COUNTERS(X)
#undef X
};

struct lane {
    const struct lane_config *config;
    struct memif *to;
    struct prng prng;
    uint8_t key[TOEPLITZ_KEY_BYTES];
    uint64_t rehash_at, last_at; /* when the last one that is only delayed is due */
    struct heap held;
    struct lane_counters counters;
    uint64_t by_queue[LANE_QUEUES_SHOWN]; /* delivered */
};

/* `config` and `to` stay the caller's and must live on. */
void lane_init(struct lane *lane, const struct lane_config *config, struct memif *to, uint64_t seed, uint64_t now);
void lane_fini(struct lane *lane);

/* A frame from the other side. May change its bytes; they are not used afterwards. */
void lane_forward(struct lane *lane, uint8_t *frame, uint32_t length, uint64_t now);
/* Delivers what is due. Returns how many. */
uint32_t lane_release(struct lane *lane, uint64_t now);
/* When something is due next; HEAP_NEVER: nothing is held. */
uint64_t lane_due(const struct lane *lane);
/* Prints the counts as a JSON object. */
void lane_print(const struct lane *lane, FILE *out);

#endif /* MACHNET_TESTS_SWITCH_LANE_H */
