/* SPDX-License-Identifier: MIT */
#include "channel/layout.h"

#include <stdbool.h>
#include <string.h>

/* What the header's constant part consists of; behind it comes what changes. */
enum { CONSTANT_BYTES = offsetof(struct mn_header, engine_sleeping), INDEX_BYTES = 4 * MN_LINE };

static const struct {
    uint32_t capacity, entry_bytes;
} ring_kinds[MN_RING_COUNT] = {
    [MN_RING_SUBMISSIONS] = {MN_SUBMISSIONS, sizeof(struct mn_submission)},
    [MN_RING_COMPLETIONS] = {MN_COMPLETIONS, sizeof(struct mn_completion)},
    [MN_RING_DELIVERIES] = {MN_DELIVERIES, sizeof(struct mn_delivery)},
    [MN_RING_RELEASES] = {MN_RELEASES, sizeof(mn_release)},
};

static uint64_t place_end(const struct mn_ring_place *place)
{
    return (uint64_t)place->offset + INDEX_BYTES + (uint64_t)place->capacity * place->entry_bytes;
}

void mn_layout_plan(struct mn_ring_place rings[MN_RING_COUNT], uint64_t *region_bytes)
{
    uint64_t end = MN_HEADER_BYTES;
    for (int i = 0; i < MN_RING_COUNT; i++) {
        rings[i] = (struct mn_ring_place){
            .offset = (uint32_t)end,
            .capacity = ring_kinds[i].capacity,
            .entry_bytes = ring_kinds[i].entry_bytes,
        };
        end = place_end(&rings[i]);
    }
    /* No page of any architecture is larger than a block. */
    *region_bytes = (end + MN_BLOCK - 1) / MN_BLOCK * MN_BLOCK;
}

void mn_layout_write(struct mn_header *header, uint16_t version, const struct mn_ring_place rings[MN_RING_COUNT],
                     uint64_t region_bytes, uint64_t features)
{
    header->magic = MN_LAYOUT_MAGIC;
    header->version = version;
    header->header_bytes = MN_HEADER_BYTES;
    header->features = features;
    header->region_bytes = region_bytes;
    memcpy(header->rings, rings, sizeof(header->rings));
}

static bool place_is_sound(const struct mn_ring_place *place, int id, uint64_t region_bytes)
{
    return place->zero == 0 && place->offset % MN_LINE == 0 && place->offset >= MN_HEADER_BYTES &&
           place->entry_bytes == ring_kinds[id].entry_bytes && place->capacity >= 2 &&
           (place->capacity & (place->capacity - 1)) == 0 && place_end(place) <= region_bytes;
}

int mn_layout_check(const struct mn_header *shared, uint64_t mapped_bytes, struct mn_header *copy)
{
    if (mapped_bytes < MN_HEADER_BYTES || mapped_bytes > MN_REGION_BYTES_MAX)
        return -1;
    memset(copy, 0, sizeof(*copy));
    memcpy(copy, shared, CONSTANT_BYTES);
    /* Keeps the compiler from reading `shared` a second time below: it may change under us. */
    atomic_signal_fence(memory_order_seq_cst);
    if (copy->magic != MN_LAYOUT_MAGIC || copy->version < MN_LAYOUT_VERSION_MIN || copy->version > MN_LAYOUT_VERSION ||
        copy->header_bytes != MN_HEADER_BYTES || copy->features != 0 || copy->region_bytes != mapped_bytes)
        return -1;
    for (int i = 0; i < MN_RING_COUNT; i++) {
        const struct mn_ring_place *place = &copy->rings[i];
        if (!place_is_sound(place, i, mapped_bytes))
            return -1;
        for (int j = 0; j < i; j++) {
            const struct mn_ring_place *other = &copy->rings[j];
            if (place->offset < place_end(other) && other->offset < place_end(place))
                return -1;
        }
    }
    return 0;
}
