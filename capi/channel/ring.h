/* SPDX-License-Identifier: MIT */
/*
 * Single-producer single-consumer ring of fixed-size entries in shared memory. Indices are free-running 32-bit counters on lines of
 * their own; everything else is private to each side. The other side's index is checked whenever it is read: more than `capacity` apart
 * is a broken peer (MN_RING_BROKEN), never an access out of bounds. The *contents* of entries are the caller's to copy and check.
 */
#ifndef MACHNET_CHANNEL_RING_H
#define MACHNET_CHANNEL_RING_H

#include <stdatomic.h>
#include <stdint.h>

#include "channel/layout.h"

enum { MN_RING_BROKEN = -1 };

struct mn_ring {
    _Atomic uint32_t *mine;     /* the index that this side publishes */
    _Atomic uint32_t *theirs;   /* the other side's */
    uint8_t *entries;
    uint32_t capacity, mask, entry_bytes;
    uint32_t next;              /* producer: next to write; consumer: next to read (published or not) */
    uint32_t cached;            /* last checked value of *theirs */
};

/* Binds one end of the ring at `place` of the region mapped at `base`. Both indices must be 0 (fresh) for a new channel. */
void mn_ring_bind_producer(struct mn_ring *ring, void *base, const struct mn_ring_place *place);
void mn_ring_bind_consumer(struct mn_ring *ring, void *base, const struct mn_ring_place *place);

/* Producer: free entries, at least `want` if there are so many (the peer's index is read only when the cached one shows fewer), or MN_RING_BROKEN. */
static inline int64_t mn_ring_space(struct mn_ring *ring, uint32_t want)
{
    uint32_t used = ring->next - ring->cached;
    if (ring->capacity - used < want) {
        /* pairs with the release in mn_ring_publish of the consumer */
        uint32_t theirs = atomic_load_explicit(ring->theirs, memory_order_acquire);
        used = ring->next - theirs;
        if (used > ring->capacity)
            return MN_RING_BROKEN;
        ring->cached = theirs;
    }
    return (int64_t)(ring->capacity - used);
}

/* Consumer: entries that can be read; the peer's index is read only when the cached one shows none. Or MN_RING_BROKEN. */
static inline int64_t mn_ring_ready(struct mn_ring *ring)
{
    uint32_t ready = ring->cached - ring->next;
    if (ready == 0) {
        /* pairs with the release in mn_ring_publish of the producer */
        uint32_t theirs = atomic_load_explicit(ring->theirs, memory_order_acquire);
        ready = theirs - ring->next;
        if (ready > ring->capacity)
            return MN_RING_BROKEN;
        ring->cached = theirs;
    }
    return (int64_t)ready;
}

/* The entry `ahead` places after the next one. Not owned. */
static inline void *mn_ring_entry(const struct mn_ring *ring, uint32_t ahead)
{
    return ring->entries + (size_t)((ring->next + ahead) & ring->mask) * ring->entry_bytes;
}

/* Both: moves past `count` entries, privately. mn_ring_publish makes it known to the other side. */
static inline void mn_ring_advance(struct mn_ring *ring, uint32_t count)
{
    ring->next += count;
}

static inline void mn_ring_publish(struct mn_ring *ring)
{
    atomic_store_explicit(ring->mine, ring->next, memory_order_release);
}

#endif /* MACHNET_CHANNEL_RING_H */
