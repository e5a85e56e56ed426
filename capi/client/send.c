/* SPDX-License-Identifier: MIT */
#include "client/send.h"

#include <string.h>

enum {
    RECLAIM_MESSAGES = 32
}; /* completions are looked at so often, though space is there: the same lines stay warm */

struct mn_flow *mn_send_flow(struct machnet_channel *channel, uint64_t token)
{
    struct mn_flow *flow = mn_flow_usable(&channel->flows, token);
    if (flow != NULL && flow->sender_token != token) {
        /* The first use of this flow; the object may have been another's before. */
        flow->sender_token = token;
        flow->flight_bytes = 0;
        flow->flight_slots = 0;
        flow->starved = false;
    }
    return flow;
}

int32_t mn_flow_send_status(struct mn_flow *flow)
{
    /* pairs with the release in mn_flow_finish: the status is there */
    if ((atomic_load_explicit(&flow->state, memory_order_acquire) & MN_FLOW_ENDED) == 0)
        return MACHNET_OK;
    return atomic_load_explicit(&flow->status, memory_order_relaxed);
}

void mn_send_fed(struct machnet_channel *channel, struct mn_flow *flow)
{
    if (flow->starved) {
        flow->starved = false;
        channel->send.starved--;
    }
}

void mn_submit(struct machnet_channel *channel)
{
    mn_ring_publish(&channel->send.submissions);
    mn_wake_engine(channel, MN_WAKE_SUBMISSIONS);
}

/* Whether there is room in the ring: MACHNET_OK, MACHNET_EAGAIN, or the channel is gone. */
static int32_t find_room(struct machnet_channel *channel)
{
    int64_t space = mn_ring_space(&channel->send.submissions, 1);
    if (space < 0)
        return mn_broken(channel);
    return space > 0 ? MACHNET_OK : MACHNET_EAGAIN;
}

/* Room in the ring and a slot. MACHNET_EAGAIN, _EMSGSIZE, or why the channel is gone. */
static int32_t try_take(struct machnet_channel *channel, struct mn_flow *flow, uint64_t length, struct mn_slot **slot)
{
    int32_t status = find_room(channel);
    return status == MACHNET_OK ? mn_space_take(channel, flow, length, slot) : status;
}

/* The same, after everything was tried. On MACHNET_EAGAIN the flow waits. */
static int32_t take(struct machnet_channel *channel, struct mn_flow *flow, uint64_t length, struct mn_slot **slot)
{
    if (++channel->send.since_reclaim >= RECLAIM_MESSAGES)
        mn_space_reclaim(channel);
    int32_t status = try_take(channel, flow, length, slot);
    if (status == MACHNET_EAGAIN && mn_space_reclaim(channel))
        status = try_take(channel, flow, length, slot);
    if (status == MACHNET_EAGAIN) {
        mn_space_wait(channel, flow);
        mn_control_glance(channel, &channel->send.idle);
        mn_space_reclaim(channel);
        status = try_take(channel, flow, length, slot);
    }
    if (status == MACHNET_OK || status == MACHNET_EMSGSIZE) /* it does not wait any more */
        mn_send_fed(channel, flow);
    else if (status == MACHNET_EAGAIN)
        mn_count(&channel->send.sends_blocked, 1);
    if (status == MACHNET_EAGAIN || status == MACHNET_EMSGSIZE) {
        int32_t gone = mn_gone(channel);
        return gone < 0 ? gone : status;
    }
    return status;
}

/* Writes the descriptor of a slot whose bytes are in place. The ring has room. */
static void submit_slot(struct machnet_channel *channel, struct mn_slot *slot, uint64_t tag)
{
    struct mn_ring *ring = &channel->send.submissions;
    uint64_t cookie = (uint64_t)slot->generation << 32 | (uint32_t)(slot - channel->send.slots);

    /* pairs with the acquire in complete_one (space.c) */
    atomic_store_explicit(&slot->cookie, cookie, memory_order_release);
    struct mn_submission *entry = mn_ring_entry(ring, 0);
    *entry = (struct mn_submission){
        .op = MN_OP_SEND,
        .region = slot->region,
        .length = slot->length,
        .flow = slot->flow_token,
        .tag = tag,
        .offset = slot->offset,
        .cookie = cookie,
    };
    mn_ring_advance(ring, 1);
}

/* What a call has submitted. */
struct tally {
    uint64_t messages, bytes;
};

static void tally(struct tally *sum, uint64_t bytes)
{
    sum->messages++;
    sum->bytes += bytes;
}

/* Before what was submitted is published: more can never be acknowledged than was sent. */
static void count_flow(struct mn_flow *flow, const struct tally *sum)
{
    if (sum->messages == 0)
        return;
    mn_count(&flow->messages_sent, sum->messages);
    mn_count(&flow->bytes_sent, sum->bytes);
}

static void count_sent(struct machnet_channel *channel, const struct tally *sum)
{
    mn_count(&channel->send.messages_sent, sum->messages);
    mn_count(&channel->send.bytes_sent, sum->bytes);
    atomic_store_explicit(&channel->send.arena_used_bytes, mn_space_used(&channel->send), memory_order_relaxed);
}

/* The flow that a send names, if it can be sent on. */
static int32_t find_flow(struct machnet_channel *channel, uint64_t token, struct mn_flow **flow)
{
    *flow = mn_send_flow(channel, token);
    return *flow == NULL ? MACHNET_EBADTOKEN : mn_flow_send_status(*flow);
}

int32_t machnet_send_copy(machnet_channel *channel, uint64_t flow, const void *data, uint64_t length, uint64_t tag,
                          uint32_t flags)
{
    const machnet_record record = {.flow = flow, .tag = tag, .offset = 0, .length = length};

    if (data == NULL && length > 0)
        return MACHNET_EINVAL;
    int32_t sent = machnet_send_packed(channel, &record, 1, data, length, flags);
    return sent < 0 ? sent : MACHNET_OK;
}

static bool record_is_sound(const machnet_record *record, uint64_t arena_bytes)
{
    return record->offset <= arena_bytes && record->length <= arena_bytes - record->offset && record->flags == 0 &&
           record->reserved32 == 0 && record->reserved64 == 0;
}

int32_t machnet_send_packed(machnet_channel *channel, const machnet_record *records, uint32_t count, const void *arena,
                            uint64_t arena_bytes, uint32_t flags)
{
    if (channel == NULL || records == NULL || count == 0 || count > INT32_MAX || (arena == NULL && arena_bytes > 0) ||
        flags != 0)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    int32_t status = mn_gone(channel);
    struct mn_flow *flow = NULL;
    struct tally all = {0}, same = {0}; /* same: of `flow` */
    for (; status == MACHNET_OK && all.messages < count;) {
        const machnet_record *record = &records[all.messages];
        struct mn_slot *slot;
        if (!record_is_sound(record, arena_bytes)) {
            status = MACHNET_EINVAL;
            break;
        }
        if (all.messages == 0 || record->flow != record[-1].flow) {
            count_flow(flow, &same);
            same = (struct tally){0};
            status = find_flow(channel, record->flow, &flow);
        }
        if (status == MACHNET_OK)
            status = take(channel, flow, record->length, &slot);
        if (status != MACHNET_OK)
            break;
        if (record->length > 0)
            memcpy(mn_slot_data(channel, slot), (const uint8_t *)arena + record->offset, record->length);
        submit_slot(channel, slot, record->tag);
        tally(&all, record->length);
        tally(&same, record->length);
    }
    count_flow(flow, &same);
    if (all.messages == 0)
        return status;
    mn_submit(channel);
    count_sent(channel, &all);
    return (int32_t)all.messages;
}

int32_t machnet_send_reserve(machnet_channel *channel, uint64_t flow, uint64_t length, machnet_view *view,
                             uint32_t flags)
{
    struct mn_flow *found;
    struct mn_slot *slot;

    if (channel == NULL || view == NULL || flags != 0)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    int32_t status = mn_gone(channel);
    if (status == MACHNET_OK)
        status = find_flow(channel, flow, &found);
    if (status == MACHNET_OK)
        status = take(channel, found, length, &slot);
    if (status != MACHNET_OK)
        return status;
    uint64_t token = (uint64_t)slot->generation << 32 | MN_TOKEN_RESERVED | (uint32_t)(slot - channel->send.slots);
    mn_hold(channel);
    /* pairs with the acquire in machnet_buffer_release */
    atomic_store_explicit(&slot->token, token, memory_order_release);
    *view = (machnet_view){.data = mn_slot_data(channel, slot), .length = length, .flow = flow, .buffer = token};
    return MACHNET_OK;
}

/* The reserved slot of a buffer's token, or NULL. Send side. */
static struct mn_slot *find_reserved(struct machnet_channel *channel, uint64_t buffer)
{
    uint32_t index = (uint32_t)buffer & ~MN_TOKEN_RESERVED;

    if (((uint32_t)buffer & MN_TOKEN_RESERVED) == 0 || buffer >> 32 == 0 || index >= channel->send.slot_count)
        return NULL;
    struct mn_slot *slot = &channel->send.slots[index];
    return atomic_load_explicit(&slot->token, memory_order_acquire) == buffer ? slot : NULL;
}

int32_t machnet_send_commit(machnet_channel *channel, uint64_t buffer, uint64_t length, uint64_t tag, uint32_t flags)
{
    struct mn_flow *flow = NULL;

    if (channel == NULL || flags != 0)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    struct mn_slot *slot = find_reserved(channel, buffer);
    if (slot == NULL)
        return MACHNET_EBADTOKEN;
    if (length > slot->length)
        return MACHNET_EINVAL;
    int32_t status = mn_gone(channel);
    if (status == MACHNET_OK)
        status = find_flow(channel, slot->flow_token, &flow);
    if (status == MACHNET_EBADTOKEN)
        return MACHNET_ECLOSED; /* by us: the buffer is still there, the flow is not */
    if (status != MACHNET_OK)
        return status;
    status = find_room(channel);
    if (status == MACHNET_EAGAIN) {
        mn_space_wait(channel, flow);
        status = find_room(channel);
    }
    if (status != MACHNET_OK)
        return status;
    /* Another thread may be abandoning it at this moment. */
    if (!atomic_compare_exchange_strong_explicit(&slot->token, &buffer, 0, memory_order_acq_rel, memory_order_relaxed))
        return MACHNET_EBADTOKEN;
    slot->length = (uint32_t)length;
    const struct tally one = {.messages = 1, .bytes = length};
    submit_slot(channel, slot, tag);
    count_flow(flow, &one);
    mn_send_fed(channel, flow);
    mn_submit(channel);
    count_sent(channel, &one);
    mn_drop(channel);
    return MACHNET_OK;
}
