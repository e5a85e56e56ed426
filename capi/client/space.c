/* SPDX-License-Identifier: MIT */
/*
 * Space to send. A slot goes: free -> reserved -> in flight -> returned -> free, or by short cuts; the send side moves it, but for the step
 * to returned, which any thread may make: who drains completions, who abandons a reserved buffer. `token` is not 0 exactly while it is
 * reserved, `cookie` exactly while it is in flight; whoever sets either back to 0 owns the slot from there on.
 *
 * A flow that gets MACHNET_EAGAIN goes on a stack of waiters; space that was freed later raises its event: by completions, by the application,
 * or, where submissions were full (full_at), by the engine taking some. Both sides first publish (waiter; freed space), run a seq_cst
 * fence, then look at the other's: one of them sees both.
 */
#include "client/client.h"

#define SHARE_BYTES_MIN (UINT64_C(1) << 20)

enum { KEPT_MAX = 64, KEPT_CHARGE_MAX = 1024 }; /* at most 64 KiB */

uint8_t *mn_slot_data(const struct machnet_channel *channel, const struct mn_slot *slot)
{
    static alignas(MN_LINE) uint8_t nothing[MN_LINE];

    if (slot->charge == 0)
        return nothing;
    return atomic_load_explicit(&channel->regions[slot->region].base, memory_order_relaxed) + slot->offset;
}

uint64_t mn_space_used(const struct mn_sender *send)
{
    return mn_arena_used_bytes(send->arena) - (uint64_t)send->kept_count * send->kept_charge;
}

static void push_free(struct mn_sender *send, struct mn_slot *slot)
{
    if (slot->charge > 0)
        mn_arena_release(send->arena, slot->region, slot->offset);
    slot->next = send->free;
    send->free = slot;
}

static struct mn_slot *pop_kept(struct mn_sender *send)
{
    struct mn_slot *slot = send->kept;
    send->kept = slot->next;
    send->kept_count--;
    return slot;
}

/* Messages of one small class after another are most common: their extents go round without the arena. */
static bool keep(struct mn_sender *send, struct mn_slot *slot)
{
    if (slot->charge == 0 || slot->charge > KEPT_CHARGE_MAX)
        return false;
    if (send->kept_count > 0 && slot->charge != send->kept_charge) { /* another class takes over, little by little */
        push_free(send, pop_kept(send));
        return false;
    }
    if (send->kept_count == KEPT_MAX)
        return false;
    send->kept_charge = slot->charge;
    slot->next = send->kept;
    send->kept = slot;
    send->kept_count++;
    return true;
}

/* Returns whether there was any. */
static bool free_kept(struct mn_sender *send)
{
    const bool any = send->kept_count > 0;
    while (send->kept_count > 0)
        push_free(send, pop_kept(send));
    return any;
}

/* Send side. */
static void free_slot(struct machnet_channel *channel, struct mn_slot *slot)
{
    struct mn_sender *send = &channel->send;

    if (slot->flow->sender_token == slot->flow_token) {
        slot->flow->flight_bytes -= slot->charge;
        slot->flow->flight_slots--;
    }
    send->slots_taken--;
    if (!keep(send, slot))
        push_free(send, slot);
}

/* Send side. Regions that have become ready. */
static bool add_regions(struct machnet_channel *channel)
{
    if (atomic_load_explicit(&channel->shared.regions_ready, memory_order_relaxed) == 0)
        return false;
    /* pairs with the release in region_ready */
    uint64_t ready = atomic_exchange_explicit(&channel->shared.regions_ready, 0, memory_order_acquire);
    bool added = false;
    for (uint32_t i = 0; i < MN_REGIONS_MAX; i++) {
        if ((ready >> i & 1) != 0 &&
            mn_arena_add_region(channel->send.arena, (uint16_t)i, channel->regions[i].bytes) == 0)
            added = true;
    }
    atomic_store_explicit(&channel->send.arena_bytes, mn_arena_bytes(channel->send.arena), memory_order_relaxed);
    return added;
}

/* Under complete.busy: the slot that this completion ends, or NULL if it ends none. */
static struct mn_slot *complete_one(struct machnet_channel *channel, const struct mn_completion *completion)
{
    uint32_t index = (uint32_t)completion->cookie;
    uint64_t cookie = completion->cookie;

    if (cookie == 0 || index >= channel->send.slot_count)
        return NULL;
    struct mn_slot *slot = &channel->send.slots[index];
    /* pairs with the release in submit_slot: the rest of the slot is there */
    if (atomic_load_explicit(&slot->cookie, memory_order_acquire) != cookie)
        return NULL;
    atomic_store_explicit(&slot->cookie, 0, memory_order_relaxed);
    struct mn_flow *flow = slot->flow;
    if (atomic_load_explicit(&flow->token, memory_order_acquire) == slot->flow_token) {
        mn_count(&flow->bytes_acknowledged, slot->length);
        if (completion->status == MACHNET_OK)
            mn_count(&flow->messages_acknowledged, 1);
    }
    return slot;
}

/* Under complete.busy. Takes everything off the ring; *first .. *last are the slots. Returns how many, or MACHNET_EPROTOCOL. */
static int32_t drain(struct machnet_channel *channel, struct mn_slot **first, struct mn_slot **last)
{
    struct mn_ring *ring = &channel->complete.completions;
    int64_t ready = mn_ring_ready(ring);

    if (ready <= 0)
        return ready == 0 ? 0 : MACHNET_EPROTOCOL;
    for (int64_t i = 0; i < ready; i++) {
        struct mn_completion completion = *(const struct mn_completion *)mn_ring_entry(ring, (uint32_t)i);
        struct mn_slot *slot = complete_one(channel, &completion);
        if (slot == NULL)
            return MACHNET_EPROTOCOL;
        slot->next = *first;
        *first = slot;
        if (*last == NULL)
            *last = slot;
    }
    mn_ring_advance(ring, (uint32_t)ready);
    mn_ring_publish(ring);
    mn_count(&channel->complete.acknowledged, (uint64_t)ready);
    return (int32_t)ready;
}

/* As mn_space_complete, but leaves the slots to the caller. 0 also if another thread is at it. */
static int32_t try_drain(struct machnet_channel *channel, struct mn_slot **first, struct mn_slot **last)
{
    *first = *last = NULL;
    if (atomic_flag_test_and_set_explicit(&channel->complete.busy, memory_order_acquire))
        return 0;
    int32_t count = drain(channel, first, last);
    atomic_flag_clear_explicit(&channel->complete.busy, memory_order_release);
    return count < 0 ? mn_broken(channel) : count;
}

/* Any thread: drains for the send side. */
static int32_t hand_over(struct machnet_channel *channel)
{
    struct mn_slot *first, *last;
    int32_t count = try_drain(channel, &first, &last);
    if (count > 0)
        mn_stack_push(&channel->shared.returned, first, last, next);
    return count;
}

int32_t mn_space_complete(struct machnet_channel *channel)
{
    int32_t count = hand_over(channel);
    if (count > 0)
        mn_space_freed(channel);
    return count;
}

bool mn_space_reclaim(struct machnet_channel *channel)
{
    struct mn_slot *chains[2], *last;
    bool any = add_regions(channel);

    channel->send.since_reclaim = 0;
    if (try_drain(channel, &chains[0], &last) < 0)
        return false;
    chains[1] = mn_stack_take(&channel->shared.returned);
    for (int i = 0; i < 2; i++) {
        for (struct mn_slot *slot = chains[i], *next; slot != NULL; slot = next) {
            next = slot->next;
            free_slot(channel, slot);
            any = true;
        }
    }
    if (any) {
        atomic_store_explicit(&channel->send.arena_used_bytes, mn_space_used(&channel->send), memory_order_relaxed);
        if (atomic_load_explicit(&channel->shared.waiters, memory_order_relaxed) != NULL)
            mn_space_freed(channel);
    }
    return any;
}

void mn_space_freed(struct machnet_channel *channel)
{
    atomic_store_explicit(&channel->shared.space_freed, true, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with those in mn_space_wait and arm */
    if (atomic_load_explicit(&channel->shared.waiters, memory_order_relaxed) != NULL &&
        atomic_load_explicit(&channel->shared.armed, memory_order_relaxed) != 0)
        mn_signal_raise(&channel->notice);
}

uint32_t mn_space_wishes(const struct machnet_channel *channel)
{
    if (atomic_load_explicit(&channel->shared.waiters, memory_order_relaxed) == NULL)
        return 0;
    bool full = atomic_load_explicit(&channel->shared.full_at, memory_order_relaxed) != 0;
    return full ? MN_WAKE_COMPLETIONS | MN_WAKE_ROOM : MN_WAKE_COMPLETIONS;
}

void mn_space_wait(struct machnet_channel *channel, struct mn_flow *flow)
{
    struct mn_ring *submissions = &channel->send.submissions;
    struct mn_shared *shared = &channel->shared;

    if (!flow->starved) {
        flow->starved = true;
        channel->send.starved++;
    }
    if (atomic_exchange_explicit(&flow->space, MN_SPACE_WAITING, memory_order_acq_rel) == MN_SPACE_READY)
        atomic_fetch_sub_explicit(&shared->space_ready, 1, memory_order_relaxed);
    if (!atomic_exchange_explicit(&flow->waiter, true, memory_order_acq_rel))
        mn_stack_push(&shared->waiters, flow, flow, next_waiter);
    /* After the flow: who acts on it and clears it finds the flow. */
    if (mn_ring_space(submissions, 1) == 0)
        atomic_store_explicit(&shared->full_at, MN_FULL | submissions->cached, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with those in mn_space_freed, mn_space_tell and arm */
    if (atomic_load_explicit(&shared->armed, memory_order_relaxed) != 0) {
        atomic_fetch_or_explicit(&channel->header->client_sleeping, mn_space_wishes(channel), memory_order_relaxed);
        /* pairs with the fence of the engine between publishing (completions, what it took of submissions) and reading
         * client_sleeping */
        atomic_thread_fence(memory_order_seq_cst);
    }
}

/* Receive side: whether the engine has taken submissions since a waiter found them full. True once. */
static bool room_was_made(struct machnet_channel *channel)
{
    /* pairs with the release in mn_space_wait */
    uint64_t full_at = atomic_load_explicit(&channel->shared.full_at, memory_order_acquire);
    if (full_at == 0 ||
        atomic_load_explicit(channel->send.submissions.theirs, memory_order_relaxed) == (uint32_t)full_at)
        return false;
    /* Not if it was full again meanwhile. */
    atomic_compare_exchange_strong_explicit(&channel->shared.full_at, &full_at, 0, memory_order_relaxed,
                                            memory_order_relaxed);
    return true;
}

static void tell_flow(struct machnet_channel *channel, struct mn_flow *flow)
{
    uint32_t waiting = MN_SPACE_WAITING;

    /* From here on the send side may put it on the stack again. */
    atomic_store_explicit(&flow->waiter, false, memory_order_release);
    if ((atomic_load_explicit(&flow->state, memory_order_acquire) & (MN_FLOW_ENDED | MN_FLOW_CLOSED)) == 0 &&
        atomic_compare_exchange_strong_explicit(&flow->space, &waiting, MN_SPACE_READY, memory_order_acq_rel,
                                                memory_order_relaxed)) {
        atomic_fetch_add_explicit(&channel->shared.space_ready, 1, memory_order_relaxed);
        mn_event_add(channel, flow, MN_PENDING_SPACE);
    }
    mn_flow_recycle(&channel->flows, flow);
}

void mn_space_tell(struct machnet_channel *channel)
{
    if (atomic_load_explicit(&channel->shared.waiters, memory_order_relaxed) == NULL)
        return;
    bool freed = atomic_exchange_explicit(&channel->shared.space_freed, false, memory_order_acquire);
    freed |= room_was_made(channel);
    freed |= hand_over(channel) > 0;
    if (!freed)
        return;
    /* Pairs with that in mn_space_wait: a flow that is not on the stack yet finds what was handed over. */
    atomic_thread_fence(memory_order_seq_cst);
    struct mn_flow *last_in = mn_stack_take(&channel->shared.waiters), *order = NULL;
    /* The stack has the latest first: turn it round. */
    for (struct mn_flow *flow = last_in, *next; flow != NULL; flow = next) {
        next = flow->next_waiter;
        flow->next_waiter = order;
        order = flow;
    }
    for (struct mn_flow *flow = order, *next; flow != NULL; flow = next) {
        next = flow->next_waiter;
        tell_flow(channel, flow);
    }
}

/* A flow may hold a quarter of the slots and of the arena while others send or want to, and three quarters while it is alone, so that one
 * whose peer does not read leaves room for the others; one message always. */
static bool exceeds_share(struct machnet_channel *channel, const struct mn_flow *flow, uint64_t charge)
{
    struct mn_sender *send = &channel->send;
    uint64_t slots = send->slot_count / 4;

    if (flow->flight_slots < slots && flow->flight_bytes + charge <= send->share_bytes)
        return false; /* less than either share: so it is most of the time */
    bool alone = send->slots_taken == flow->flight_slots && send->starved == (flow->starved ? 1 : 0);
    uint64_t bytes = mn_arena_bytes(send->arena) / 4, alone_bytes = channel->send_bytes_max / 4 * 3;

    if (bytes < SHARE_BYTES_MIN) /* a young arena grows first */
        bytes = SHARE_BYTES_MIN < channel->send_bytes_max / 4 ? SHARE_BYTES_MIN : channel->send_bytes_max / 4;
    send->share_bytes = bytes < alone_bytes ? bytes : alone_bytes;
    if (flow->flight_slots == 0)
        return false;
    if (alone) {
        slots *= 3;
        bytes = alone_bytes;
    }
    return flow->flight_slots >= slots || (charge > 0 && flow->flight_bytes + charge > bytes);
}

static bool could_ever_fit(const struct machnet_channel *channel, uint32_t length)
{
    const struct mn_sender *send = &channel->send;

    if (mn_arena_could_fit(send->arena, length))
        return true;
    if (atomic_load_explicit(&channel->control.full, memory_order_relaxed))
        return false;
    uint64_t blocks = (mn_extent_class(length) + MN_BLOCK - 1) / MN_BLOCK;
    return mn_arena_bytes(send->arena) + blocks * MN_BLOCK <= channel->send_bytes_max ||
           atomic_load_explicit(&channel->shared.regions_ready, memory_order_relaxed) != 0;
}

/* A generation is never 0: neither is a token or a cookie. */
static void name_slot(struct mn_slot *slot)
{
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
}

/* A slot with an extent of `charge` bytes, fresh from the arena; NULL: no slot is free, or it does not fit now. */
static struct mn_slot *fresh_extent(struct mn_sender *send, uint32_t length, uint32_t charge)
{
    struct mn_extent extent = {0};
    struct mn_slot *slot = send->free;

    if (slot == NULL && send->fresh_slot == send->slot_count)
        return NULL;
    if (charge > 0 && !mn_arena_alloc(send->arena, length, 0, &extent))
        return NULL;
    if (slot != NULL)
        send->free = slot->next;
    else
        slot = &send->slots[send->fresh_slot++];
    slot->region = extent.region;
    slot->offset = extent.offset;
    slot->charge = charge;
    return slot;
}

static struct mn_slot *find_slot(struct mn_sender *send, uint32_t length, uint32_t charge)
{
    if (charge == send->kept_charge && send->kept_count > 0)
        return pop_kept(send);
    struct mn_slot *slot = fresh_extent(send, length, charge);
    if (slot == NULL && free_kept(send))
        slot = fresh_extent(send, length, charge);
    return slot;
}

int32_t mn_space_take(struct machnet_channel *channel, struct mn_flow *flow, uint64_t length, struct mn_slot **taken)
{
    struct mn_sender *send = &channel->send;

    if (length > MACHNET_MESSAGE_MAX)
        return MACHNET_EMSGSIZE;
    const uint32_t charge = length > 0 ? (uint32_t)mn_extent_class(length) : 0;
    const bool over_share = exceeds_share(channel, flow, charge);
    struct mn_slot *slot = over_share ? NULL : find_slot(send, (uint32_t)length, charge);
    if (slot == NULL) {
        if (charge > 0 && !could_ever_fit(channel, (uint32_t)length))
            return MACHNET_EMSGSIZE;
        if (!over_share && (send->free != NULL || send->fresh_slot < send->slot_count))
            mn_control_grow(channel, (uint32_t)length);
        return MACHNET_EAGAIN;
    }
    flow->flight_bytes += charge;
    flow->flight_slots++;
    send->slots_taken++;
    slot->flow = flow;
    slot->flow_token = flow->sender_token;
    slot->length = (uint32_t)length;
    name_slot(slot);
    *taken = slot;
    return MACHNET_OK;
}
