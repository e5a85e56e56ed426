/* SPDX-License-Identifier: MIT */
#include "client/client.h"

#include <string.h>

enum { TAKE_DELIVERIES = 64 }; /* at once, when the queue that is asked for is empty */

static int32_t look_for_flow(struct machnet_channel *channel, uint64_t token, struct mn_flow **found)
{
    int32_t status = mn_gone(channel);
    if (status < 0 && status != MACHNET_EENGINEGONE) /* what a lost engine has delivered is still there */
        return status;
    mn_purge_flows(channel);
    for (;;) {
        struct mn_flow *flow = channel->receive.ready_first;
        if (token != MACHNET_ANY_FLOW) {
            flow = mn_flow_usable(&channel->flows, token);
            if (flow == NULL)
                return MACHNET_EBADTOKEN;
        }
        if (flow != NULL && flow->first != NULL) {
            *found = flow;
            return MACHNET_OK;
        }
        int32_t taken = mn_deliveries_take(channel, TAKE_DELIVERIES);
        if (taken < 0)
            return taken;
        if (taken > 0)
            continue;
        if (flow != NULL && (atomic_load_explicit(&flow->state, memory_order_acquire) & MN_FLOW_ENDED) != 0)
            return atomic_load_explicit(&flow->status, memory_order_relaxed);
        status = mn_idle(channel);
        if (status != MACHNET_OK)
            return status;
    }
}

/* Takes the first message of the flow off its queue; the next turn is another flow's. */
static struct mn_message *pop_message(struct machnet_channel *channel, struct mn_flow *flow)
{
    struct mn_message *message = flow->first;

    flow->first = message->next;
    if (flow->first == NULL) {
        mn_ready_remove(channel, flow);
        flow->last = NULL;
    } else if (flow->ready_next != NULL) {
        mn_ready_remove(channel, flow);
        mn_ready_append(channel, flow);
    }
    if (flow->first != NULL)
        __builtin_prefetch(flow->first->data);
    message->next = NULL;
    mn_count(&flow->messages_received, 1);
    return message;
}

/* The message stays, and blocks only its flow. */
static void pass_turn(struct machnet_channel *channel, struct mn_flow *flow)
{
    mn_ready_remove(channel, flow);
    mn_ready_append(channel, flow);
}

static void count_received(struct machnet_channel *channel, uint64_t messages, uint64_t bytes)
{
    mn_count(&channel->receive.messages_received, messages);
    mn_count(&channel->receive.bytes_received, bytes);
}

/* The next flow that has a message, of those asked for. MACHNET_OK, or why there is none. */
static int32_t find_flow(struct machnet_channel *channel, uint64_t token, struct mn_flow **found)
{
    int32_t status = look_for_flow(channel, token, found);
    if (status != MACHNET_OK)
        mn_receive_done(channel);
    return status;
}

int32_t machnet_recv_copy(machnet_channel *channel, uint64_t flow, void *buffer, uint64_t capacity,
                          machnet_message *message, uint32_t flags)
{
    struct mn_flow *found;

    if (channel == NULL || message == NULL || (buffer == NULL && capacity > 0) || flags != 0)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    int32_t status = find_flow(channel, flow, &found);
    if (status != MACHNET_OK)
        return status;
    const struct mn_message *next = found->first;
    *message = (machnet_message){.flow = next->flow, .tag = next->tag, .length = next->length};
    if (next->length > capacity) {
        pass_turn(channel, found);
        mn_receive_done(channel);
        return MACHNET_EMSGSIZE;
    }
    struct mn_message *taken = pop_message(channel, found);
    if (taken->length > 0)
        memcpy(buffer, taken->data, taken->length);
    count_received(channel, 1, taken->length);
    mn_release_chain(channel, taken, taken);
    return MACHNET_OK;
}

int32_t machnet_recv_packed(machnet_channel *channel, uint64_t flow, machnet_record *records, uint32_t max, void *arena,
                            uint64_t arena_bytes, uint32_t flags)
{
    struct mn_message *chain = NULL, *last = NULL;
    uint64_t offset = 0, bytes = 0;
    struct mn_flow *found;
    uint32_t count = 0;

    if (channel == NULL || records == NULL || max == 0 || max > INT32_MAX || (arena == NULL && arena_bytes > 0) ||
        flags != 0)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    count = mn_receive_direct(channel, flow, records, max, arena, arena_bytes);
    if (count > 0)
        return (int32_t)count;
    int32_t status = find_flow(channel, flow, &found);
    if (status != MACHNET_OK)
        return status;
    while (count < max) {
        struct mn_message *message = found->first;
        machnet_record record = {
            .flow = message->flow, .tag = message->tag, .offset = offset, .length = message->length};
        if (offset > arena_bytes || record.length > arena_bytes - offset) {
            if (count == 0) {
                records[0] = record;
                pass_turn(channel, found);
                mn_receive_done(channel);
                return MACHNET_EMSGSIZE;
            }
            break;
        }
        pop_message(channel, found);
        if (record.length > 0)
            memcpy((uint8_t *)arena + offset, message->data, record.length);
        records[count++] = record;
        bytes += record.length;
        offset = (offset + record.length + 7) & ~UINT64_C(7);
        message->next = chain;
        chain = message;
        if (last == NULL)
            last = message;
        if (flow == MACHNET_ANY_FLOW)
            found = channel->receive.ready_first;
        /* An empty queue is filled from the ring, but never by waiting. */
        if ((found == NULL || found->first == NULL) && count < max) {
            if (mn_deliveries_take(channel, TAKE_DELIVERIES) <= 0)
                break;
            if (flow == MACHNET_ANY_FLOW)
                found = channel->receive.ready_first;
            if (found == NULL || found->first == NULL)
                break;
        }
    }
    count_received(channel, count, bytes);
    mn_release_chain(channel, chain, last);
    return (int32_t)count;
}

int32_t machnet_recv_borrow(machnet_channel *channel, uint64_t flow, machnet_view *view, uint32_t flags)
{
    struct mn_flow *found;

    if (channel == NULL || view == NULL || flags != 0)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    int32_t status = find_flow(channel, flow, &found);
    if (status != MACHNET_OK)
        return status;
    struct mn_message *message = pop_message(channel, found);
    uint32_t index = (uint32_t)(message - channel->receive.messages);
    message->generation = message->generation == UINT32_MAX ? 1 : message->generation + 1;
    uint64_t token = (uint64_t)message->generation << 32 | index;
    *view = (machnet_view){
        .data = (void *)(uintptr_t)message->data,
        .length = message->length,
        .flow = message->flow,
        .tag = message->tag,
        .buffer = token,
    };
    count_received(channel, 1, message->length);
    atomic_fetch_add_explicit(&channel->shared.borrowed, 1, memory_order_relaxed);
    mn_hold(channel);
    /* pairs with the acquire in release_message */
    atomic_store_explicit(&message->token, token, memory_order_release);
    mn_receive_done(channel);
    return MACHNET_OK;
}
