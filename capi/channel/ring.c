/* SPDX-License-Identifier: MIT */
#include "channel/ring.h"

static_assert(ATOMIC_INT_LOCK_FREE == 2, "indices are shared between processes");

static void bind_ring(struct mn_ring *ring, uint8_t *base, const struct mn_ring_place *place, uint32_t mine,
                      uint32_t theirs)
{
    uint8_t *lines = base + place->offset;
    *ring = (struct mn_ring){
        .mine = (_Atomic uint32_t *)(void *)(lines + mine),
        .theirs = (_Atomic uint32_t *)(void *)(lines + theirs),
        .entries = lines + (size_t)4 * MN_LINE,
        .capacity = place->capacity,
        .mask = place->capacity - 1,
        .entry_bytes = place->entry_bytes,
    };
}

void mn_ring_bind_producer(struct mn_ring *ring, void *base, const struct mn_ring_place *place)
{
    bind_ring(ring, base, place, 0, 2 * MN_LINE);
}

void mn_ring_bind_consumer(struct mn_ring *ring, void *base, const struct mn_ring_place *place)
{
    bind_ring(ring, base, place, 2 * MN_LINE, 0);
}
