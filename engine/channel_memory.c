/* SPDX-License-Identifier: MIT */
/* The regions of a channel: where sends lie, the receive arena and its growth, what is lent to the application. */
#include <assert.h>
#include <stdlib.h>

#include "channel_internal.h"
#include "worker.h"

enum {
    RELEASES_PER_POLL = 1024,
    KEEP_BLOCKS = 1, /* free blocks that only the head message of a flow may take */
    GROW_MIN = 1 << 20,
    GROW_MAX = 16 << 20,
};

#define GROW_RETRY_NS UINT64_C(1000000000) /* after the controller refused */

/* The name of an extent towards the transport: region << 48 | offset. */
static uint64_t handle_of(const struct mn_extent *extent)
{
    return (uint64_t)extent->region << 48 | extent->offset;
}

void channel_extent_place(const struct transport_extent *extent, uint16_t *region, uint64_t *offset)
{
    *region = (uint16_t)(extent->handle >> 48);
    *offset = extent->handle & ((UINT64_C(1) << 48) - 1);
}

/* ---- Regions ---- */

static bool region_add(struct channel *channel, uint16_t region, uint16_t kind, void *base, uint64_t bytes)
{
    if (region >= MN_REGIONS_MAX || channel->regions[region].base != NULL)
        return false;
    if (kind == MN_REGION_RECEIVE && mn_arena_add_region(channel->arena, region, bytes) != 0)
        return false;
    channel->regions[region] = (struct channel_region){.base = base, .bytes = bytes, .kind = kind};
    return true;
}

static bool leases_init(struct channel *channel, uint32_t capacity)
{
    channel->leases = calloc(capacity, sizeof *channel->leases);
    if (channel->leases == NULL)
        return false;
    channel->lease_capacity = capacity;
    channel->lease_free = LEASE_NONE;
    for (uint32_t i = capacity; i-- > 0;) {
        channel->leases[i].next_free = channel->lease_free;
        channel->lease_free = i;
    }
    return true;
}

bool channel_memory_init(struct channel *channel, const struct channel_memory *memory)
{
    channel->receive_bytes_max = memory->receive_bytes_max;
    channel->arena = mn_arena_new();
    if (channel->arena == NULL || !leases_init(channel, memory->rings[MN_RING_RELEASES].capacity))
        return false;
    for (uint16_t i = 0; i < MN_REGIONS_MAX; i++) {
        if (memory->regions[i].base != NULL &&
            !region_add(channel, i, memory->regions[i].kind, memory->regions[i].base, memory->regions[i].bytes))
            return false;
    }
    return true;
}

void channel_memory_fini(struct channel *channel)
{
    mn_arena_free(channel->arena);
    free(channel->leases);
}

int channel_add_region(struct channel *channel, uint16_t region, uint16_t kind, void *base, uint64_t bytes,
                       uint64_t now)
{
    channel->now = now;
    if (kind == MN_REGION_RECEIVE)
        channel->region_wanted = false;
    if (!region_add(channel, region, kind, base, bytes))
        return MACHNET_ENOMEM;
    if (kind == MN_REGION_RECEIVE) {
        channel->memory_freed = true;
        channel_memory_retry(channel, now);
    }
    return MACHNET_OK;
}

void channel_region_refused(struct channel *channel, uint64_t now)
{
    channel->region_wanted = false;
    channel->grow_after = now + GROW_RETRY_NS;
}

const uint8_t *channel_send_bytes(const struct channel *channel, uint16_t region, uint64_t offset, uint32_t length)
{
    static const uint8_t nothing[1];
    if (length == 0)
        return nothing;
    if (region >= MN_REGIONS_MAX)
        return NULL;
    const struct channel_region *r = &channel->regions[region];
    if (r->base == NULL || r->kind != MN_REGION_SEND || offset > r->bytes || length > r->bytes - offset)
        return NULL;
    return r->base + offset;
}

/* ---- Extents ---- */

static uint64_t round_up_to_blocks(uint64_t bytes)
{
    return (bytes + MN_BLOCK - 1) / MN_BLOCK * MN_BLOCK;
}

/*
 * The bytes of the next receive region, so that a message of `length` fits beside the reserve; 0: the arena may not
 * grow to that. The arena doubles; the last bytes that could still hold a message of the greatest length are not cut
 * into regions too short for one.
 */
static uint64_t next_region_bytes(const struct channel *channel, uint32_t length)
{
    uint64_t total = mn_arena_bytes(channel->arena);
    uint64_t reserve = (uint64_t)KEEP_BLOCKS * MN_BLOCK;
    uint64_t longest = MN_MESSAGE_MAX + reserve;
    uint64_t need = round_up_to_blocks(mn_extent_class(length));
    if (channel->receive_bytes_max < total + need)
        return 0;
    uint64_t remaining = (channel->receive_bytes_max - total) / MN_BLOCK * MN_BLOCK;
    uint64_t bytes = total < GROW_MIN ? GROW_MIN : total > GROW_MAX ? GROW_MAX : round_up_to_blocks(total);
    if (bytes < need + reserve)
        bytes = need + reserve;
    if (bytes > remaining || (mn_arena_largest_region(channel->arena) < longest && remaining - bytes < longest))
        bytes = remaining;
    return bytes < MN_REGION_BYTES_MAX ? bytes : MN_REGION_BYTES_MAX;
}

static void want_region(struct channel *channel, uint32_t length)
{
    if (channel->region_wanted || channel->now < channel->grow_after)
        return;
    uint64_t bytes = next_region_bytes(channel, length);
    if (bytes == 0)
        return;
    channel->region_wanted = true;
    worker_want_region(channel->worker, channel, bytes);
}

bool channel_extent_reserve(struct transport_owner *owner, uint32_t length, bool last_reserve,
                            struct transport_extent *extent)
{
    struct channel *channel = owner->user;
    struct mn_extent place;
    if (channel->broken != MACHNET_OK)
        return false;
    if (!mn_arena_alloc(channel->arena, length, last_reserve ? 0 : KEEP_BLOCKS, &place)) {
        channel->memory_short = true;
        want_region(channel, length);
        worker_schedule(channel->worker, channel);
        return false;
    }
    /* Half full is the time to grow: when it is full, packets are lost. */
    if (mn_arena_used_bytes(channel->arena) > mn_arena_bytes(channel->arena) / 2)
        want_region(channel, 0);
    *extent = (struct transport_extent){
        .data = channel->regions[place.region].base + place.offset,
        .length = length,
        .handle = handle_of(&place),
    };
    return true;
}

static void extent_free(struct channel *channel, uint16_t region, uint64_t offset)
{
    bool was_ours = mn_arena_release(channel->arena, region, offset);
    assert(was_ours);
    (void)was_ours;
    channel->memory_freed = true;
}

void channel_extent_abandon(struct transport_owner *owner, const struct transport_extent *extent)
{
    struct channel *channel = owner->user;
    uint16_t region;
    uint64_t offset;
    channel_extent_place(extent, &region, &offset);
    extent_free(channel, region, offset);
    if (channel->memory_short)
        worker_schedule(channel->worker, channel);
}

int channel_memory_retry(struct channel *channel, uint64_t now)
{
    bool ask_again = channel->grow_after != 0 && now >= channel->grow_after;
    if (!channel->memory_short || (!channel->memory_freed && !ask_again))
        return 0;
    channel->memory_short = channel->memory_freed = false;
    if (ask_again)
        channel->grow_after = 0;
    transport_memory_available(channel->transport, &channel->owner, now);
    return 1;
}

/* ---- Leases ---- */

uint64_t channel_lend(struct channel *channel, uint64_t flow, const struct transport_extent *extent)
{
    uint32_t index = channel->lease_free;
    assert(index != LEASE_NONE);
    struct lease *lease = &channel->leases[index];
    channel->lease_free = lease->next_free;
    lease->flow = flow;
    lease->length = extent->length;
    lease->lent = true;
    if (++lease->generation == 0)
        lease->generation = 1;
    channel_extent_place(extent, &lease->region, &lease->offset);
    channel->lent_extents++;
    channel->lent_bytes += extent->length;
    return (uint64_t)lease->generation << 32 | index;
}

/* False: it names nothing that is lent. */
static bool release(struct channel *channel, mn_release name, uint64_t now)
{
    uint32_t index = (uint32_t)name;
    if (index >= channel->lease_capacity)
        return false;
    struct lease *lease = &channel->leases[index];
    if (!lease->lent || lease->generation != (uint32_t)(name >> 32))
        return false;
    lease->lent = false;
    lease->next_free = channel->lease_free;
    channel->lease_free = index;
    channel->lent_extents--;
    channel->lent_bytes -= lease->length;
    extent_free(channel, lease->region, lease->offset);
    struct channel_flow *flow = channel_flow_find(channel, lease->flow);
    if (flow != NULL && flow->flow != NULL)
        transport_released(channel->transport, flow->flow, lease->length, now);
    else
        transport_released_orphan(channel->transport, &channel->owner, lease->length);
    return true;
}

int channel_take_releases(struct channel *channel, uint64_t now)
{
    int taken = 0;
    bool good = true;
    while (taken < RELEASES_PER_POLL && good) {
        int64_t ready = mn_ring_ready(&channel->releases);
        if (ready < 0)
            return MACHNET_EPROTOCOL;
        if (ready == 0)
            break;
        mn_release name;
        channel_take(&channel->releases, &name, sizeof name);
        good = release(channel, name, now);
        taken++;
    }
    if (taken > 0)
        mn_ring_publish(&channel->releases);
    return good ? taken : MACHNET_EPROTOCOL;
}
