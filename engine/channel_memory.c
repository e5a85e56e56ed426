/* SPDX-License-Identifier: MIT */
/* The regions of a channel: where sends lie, the receive arena and its growth, what is lent to the application. */
#include <assert.h>
#include <stdlib.h>

#include "channel/pages.h"
#include "channel/poison.h"
#include "channel_internal.h"
#include "worker.h"

enum {
    RELEASES_PER_POLL = 1024,
    KEEP_BLOCKS = 1, /* free blocks that only the head message of a flow may take */
    GROW_MIN = 1 << 20,
    GROW_MAX = 16 << 20,
};

#define GROW_RETRY_NS UINT64_C(1000000000) /* after the controller refused */

/*
 * Why the next message of a flow, which has credit for it, finds room although an application may hold on to the
 * last extent of any block, for ever. Of the arena's blocks, those it may still get included, N are there, `room` are
 * free; F flows.
 *
 *   (1) Credit beyond 64 KiB of a flow is given only while room >= 3/8 N  (transport_owner.scarce)
 *   (2) and is at most 1/8 N for all flows together                        (transport_owner.receive_budget / 2).
 *   (3) Large messages leave room >= 3/8 N                                 (kept_for_small).
 *
 * A block is begun for a class of lengths only when all blocks of the class are full. So extents of together B blocks,
 * taken and given back in whatever order, begin at most B + 1 blocks of each class, and credit that is used once B + 11
 * of the 11 classes. From the last moment of (1) or (3) on, the credit that was out begins 1/8 N + 11, and 64 KiB of
 * each flow, again and again, F + 1 of each class. That fits into 3/8 N while 11 (F + 2) <= 1/4 N: for 21 flows in the
 * default of 64 MiB. With more flows, or when the engine cannot give the memory that N counts, a message may find no
 * room until something is released; then the application is told (MN_OP_STALLED). Nothing is lost in any case.
 */
enum { SMALL_SHARE = 3, PROMISED_SHARE = 1, SHARES = 8 };

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

/* ---- Room ---- */

static uint64_t round_up_to_blocks(uint64_t bytes)
{
    return (bytes + MN_BLOCK - 1) / MN_BLOCK * MN_BLOCK;
}

/* What the arena may still get. */
static uint64_t growth_left(const struct channel *channel)
{
    uint64_t bytes = mn_arena_bytes(channel->arena);
    return channel->growth_refused || channel->receive_bytes_max < bytes ? 0 : channel->receive_bytes_max - bytes;
}

/* The bytes of `total` that large messages leave, in whole blocks. */
static uint64_t small_share(uint64_t total)
{
    return round_up_to_blocks(total * SMALL_SHARE / SHARES);
}

/* Free blocks of those that are there which large messages must leave. */
static uint32_t kept_for_small(const struct channel *channel)
{
    return (uint32_t)(channel->small_bytes / MN_BLOCK);
}

static void room_changed(struct channel *channel)
{
    channel->owner.scarce = mn_arena_free_bytes(channel->arena) < channel->small_bytes;
}

/* The arena has grown, or may not grow as was thought. */
static void growth_changed(struct channel *channel)
{
    uint64_t left = growth_left(channel);
    uint64_t share = small_share(mn_arena_bytes(channel->arena) + left);
    channel->small_bytes = share > left ? share - left : 0;
    room_changed(channel);
}

/* The longest message for which there can be room: it must fit into one region, and leave the small ones their share. */
static uint32_t message_max(const struct channel *channel)
{
    uint64_t first = mn_arena_bytes(channel->arena);
    uint64_t total = first > channel->receive_bytes_max ? first : channel->receive_bytes_max / MN_BLOCK * MN_BLOCK;
    uint64_t region = total - first > first ? total - first : first;
    uint64_t most = total - small_share(total) < region ? total - small_share(total) : region;
    return (uint32_t)(most < MN_MESSAGE_MAX ? most : MN_MESSAGE_MAX);
}

void channel_memory_promise(struct channel *channel)
{
    transport_owner_init(&channel->owner, channel, channel->receive_bytes_max * 2 * PROMISED_SHARE / SHARES);
    channel->owner.message_max = message_max(channel);
    channel->owner.max_flows = channel->max_flows;
    growth_changed(channel);
}

/* ---- Regions ---- */

static bool region_add(struct channel *channel, uint16_t region, uint16_t kind, void *base, uint64_t bytes)
{
    if (region >= MN_REGIONS_MAX || channel->regions[region].base != NULL)
        return false;
    if (kind == MN_REGION_RECEIVE && mn_arena_add_region(channel->arena, region, bytes) != 0)
        return false;
    if (kind == MN_REGION_RECEIVE)
        mn_poison(base, bytes);
    channel->regions[region] = (struct channel_region){.base = base, .bytes = bytes, .kind = kind};
    return true;
}

static bool leases_init(struct channel *channel, uint32_t capacity)
{
    channel->leases = mn_pages_new(capacity, sizeof *channel->leases);
    if (channel->leases == NULL)
        return false;
    channel->lease_capacity = capacity;
    channel->lease_free = LEASE_NONE;
    return true;
}

/* Free ones are taken first from the list: entries that were never used take no memory. */
static uint32_t lease_take(struct channel *channel)
{
    uint32_t index = channel->lease_free;
    if (index == LEASE_NONE)
        return channel->lease_high++;
    channel->lease_free = channel->leases[index].next_free;
    return index;
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
    mn_pages_free(channel->leases, channel->lease_capacity, sizeof *channel->leases);
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
        channel->growth_refused = false;
        growth_changed(channel);
        channel->memory_freed = true;
        channel_memory_retry(channel, now);
    }
    return MACHNET_OK;
}

void channel_region_refused(struct channel *channel, uint64_t now)
{
    channel->region_wanted = false;
    channel->grow_after = now + GROW_RETRY_NS;
    channel->growth_refused = true;
    growth_changed(channel);
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

/*
 * The bytes of the next receive region, so that a message of `length` fits beside the reserve; 0: the arena may not
 * grow to that. The arena doubles; the last bytes that could still hold a message of the greatest length are not cut
 * into regions too short for one, which is what message_max relies on.
 */
static uint64_t next_region_bytes(const struct channel *channel, uint32_t length)
{
    uint64_t total = mn_arena_bytes(channel->arena);
    uint64_t reserve = (uint64_t)KEEP_BLOCKS * MN_BLOCK;
    uint64_t longest = round_up_to_blocks(channel->owner.message_max);
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
    uint32_t keep = last_reserve ? 0 : KEEP_BLOCKS;
    if (length > MN_BLOCK && kept_for_small(channel) > keep)
        keep = kept_for_small(channel);
    if (!mn_arena_alloc(channel->arena, length, keep, &place)) {
        channel->memory_short = true;
        want_region(channel, length);
        worker_schedule(channel->worker, channel);
        return false;
    }
    /* Half full is the time to grow: when it is full, packets are lost. */
    if (mn_arena_used_bytes(channel->arena) > mn_arena_bytes(channel->arena) / 2)
        want_region(channel, 0);
    room_changed(channel);
    mn_unpoison(channel->regions[place.region].base + place.offset, length);
    *extent = (struct transport_extent){
        .data = channel->regions[place.region].base + place.offset,
        .length = length,
        .handle = handle_of(&place),
    };
    return true;
}

static void extent_free(struct channel *channel, uint16_t region, uint64_t offset)
{
    const uint64_t used = mn_arena_used_bytes(channel->arena);
    bool was_ours = mn_arena_release(channel->arena, region, offset);
    assert(was_ours);
    (void)was_ours;
    mn_poison(channel->regions[region].base + offset, used - mn_arena_used_bytes(channel->arena));
    room_changed(channel);
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

uint64_t channel_lend(struct channel *channel, struct channel_flow *flow, const struct transport_extent *extent)
{
    assert(channel_may_lend(channel));
    uint32_t index = lease_take(channel);
    struct lease *lease = &channel->leases[index];
    lease->flow = flow->token;
    flow->lent++;
    lease->length = extent->length;
    lease->lent = true;
    if (++lease->generation == 0)
        lease->generation = 1;
    channel_extent_place(extent, &lease->region, &lease->offset);
    channel->lent_extents++;
    channel->lent_bytes += extent->length;
    return (uint64_t)lease->generation << 32 | index;
}

/* What was given back of one flow and the transport does not know yet. No call of the transport comes between finding `flow` and telling. */
struct given_back {
    uint64_t token;
    struct channel_flow *flow; /* NULL: it is gone */
    struct transport_release sum;
};

static void tell_transport(struct channel *channel, struct given_back *back, uint64_t now)
{
    if (back->sum.messages > 0)
        transport_released_many(channel->transport, back->flow->flow, &back->sum, now);
    *back = (struct given_back){0};
}

/* Counts a message of the flow `token`; tells the transport first of those of another. */
static void give_back(struct channel *channel, struct given_back *back, uint64_t token, uint32_t length, uint64_t now)
{
    if (token != back->token) {
        tell_transport(channel, back, now);
        back->token = token;
        back->flow = channel_flow_find(channel, token);
    }
    struct channel_flow *flow = back->flow;
    /* A client that breaks the rules may have used the token again: without a flow of the transport the entry counts nothing. */
    if (flow != NULL && flow->flow != NULL) {
        flow->lent--;
        transport_release_add(&back->sum, length);
    } else {
        transport_released_orphan(channel->transport, &channel->owner, length);
    }
}

/* False: it names nothing that is lent. */
static bool release(struct channel *channel, mn_release name, struct given_back *back, uint64_t now)
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
    give_back(channel, back, lease->flow, lease->length, now);
    return true;
}

int channel_take_releases(struct channel *channel, uint64_t now)
{
    struct given_back back = {0};
    int taken = 0;
    bool good = true;
    while (taken < RELEASES_PER_POLL && good) {
        int64_t ready = mn_ring_ready(&channel->releases);
        good = ready >= 0;
        if (ready <= 0)
            break;
        mn_release name;
        channel_take(&channel->releases, &name, sizeof name);
        good = release(channel, name, &back, now);
        taken++;
    }
    tell_transport(channel, &back, now);
    if (taken > 0)
        mn_ring_publish(&channel->releases);
    return good ? taken : MACHNET_EPROTOCOL;
}
