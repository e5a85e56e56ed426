/* SPDX-License-Identifier: MIT */
/*
 * Messages from the ring straight to the caller. One that is copied at once needs no entry in a private queue, no message of ours and no
 * buffer token: its delivery says all. It goes this way while no queue holds a message that would come before it.
 */
#include <string.h>

#include "client/client.h"

enum { LEASES = 64 /* given back at once */ };

/* Copies the delivery `ahead` places after the next: after this only the copy exists. */
static void copy_delivery(const struct mn_ring *ring, uint32_t ahead, struct mn_delivery *delivery)
{
    memcpy(delivery, mn_ring_entry(ring, ahead), sizeof *delivery);
    atomic_signal_fence(memory_order_seq_cst); /* or the compiler could read shared memory again */
}

/* The flow of a message that may go straight to the caller, or NULL: the private queues will see what it is. */
static struct mn_flow *direct_flow(const struct machnet_channel *channel, const struct mn_delivery *delivery)
{
    if (delivery->op != MN_OP_MESSAGE)
        return NULL;
    struct mn_flow *flow = mn_flow_find(&channel->flows, delivery->flow);
    if (flow == NULL || flow->first != NULL ||
        (atomic_load_explicit(&flow->state, memory_order_acquire) & (MN_FLOW_ENDED | MN_FLOW_CLOSED)) != 0)
        return NULL;
    bool announced = !channel->receive.listens || (flow->events & MN_PENDING_ACCEPTED) == 0;
    return announced ? flow : NULL;
}

/* Where the next message goes, and what was taken since it was last said so. */
struct batch {
    machnet_record *records;
    uint8_t *arena;
    uint64_t arena_bytes, offset, bytes;
    uint32_t count;
    uint64_t leases[LEASES];
};

/* Takes the delivery `ahead` places after the next, if it is a message of `wanted` that fits; then `*flow` is its flow, or stays. */
static bool take(struct machnet_channel *channel, struct batch *batch, uint32_t ahead, uint64_t wanted,
                 struct mn_flow **flow)
{
    struct mn_delivery delivery;
    copy_delivery(&channel->receive.deliveries, ahead, &delivery);
    if (wanted != MACHNET_ANY_FLOW && delivery.flow != wanted)
        return false;
    struct mn_flow *found = direct_flow(channel, &delivery);
    const uint8_t *data = found != NULL ? mn_delivery_bytes(channel, &delivery) : NULL;
    if (data == NULL || batch->offset > batch->arena_bytes || delivery.length > batch->arena_bytes - batch->offset)
        return false;
    if (delivery.length > 0)
        memcpy(batch->arena + batch->offset, data, delivery.length);
    batch->records[batch->count] = (machnet_record){
        .flow = delivery.flow, .tag = delivery.tag, .offset = batch->offset, .length = delivery.length};
    batch->leases[ahead] = delivery.lease;
    batch->count++;
    batch->bytes += delivery.length;
    batch->offset = (batch->offset + delivery.length + 7) & ~UINT64_C(7);
    *flow = found;
    return true;
}

static void count_taken(struct mn_flow *flow, uint32_t messages)
{
    if (flow == NULL || messages == 0)
        return;
    mn_count(&flow->messages_arrived, messages);
    mn_count(&flow->messages_received, messages);
}

/* Up to LEASES messages; how many. */
static uint32_t take_some(struct machnet_channel *channel, struct batch *batch, uint32_t most, uint64_t wanted)
{
    struct mn_ring *ring = &channel->receive.deliveries;
    int64_t ready = mn_ring_ready(ring); /* if it is broken, who looks next will say so */
    struct mn_flow *flow = NULL, *last = NULL;
    uint32_t taken = 0, same = 0; /* same: of `last`, not counted yet */

    most = most < LEASES ? most : LEASES;
    while (taken < most && taken < ready && take(channel, batch, taken, wanted, &flow)) {
        if (flow != last) {
            count_taken(last, same);
            last = flow;
            same = 0;
        }
        same++;
        taken++;
    }
    count_taken(last, same);
    if (taken > 0) {
        mn_ring_advance(ring, taken);
        mn_ring_publish(ring);
        mn_release_leases(channel, batch->leases, taken);
    }
    return taken;
}

uint32_t mn_receive_direct(struct machnet_channel *channel, uint64_t flow, machnet_record *records, uint32_t max,
                           void *arena, uint64_t arena_bytes)
{
    struct mn_receiver *receive = &channel->receive;
    struct batch batch; /* not cleared: it is large */

    mn_purge_flows(channel);
    mn_control_heed(channel); /* as mn_deliveries_take */
    if (mn_gone(channel) < 0 || receive->ready_first != NULL)
        return 0;
    batch.records = records;
    batch.arena = arena;
    batch.arena_bytes = arena_bytes;
    batch.offset = batch.bytes = 0;
    batch.count = 0;
    while (batch.count < max && take_some(channel, &batch, max - batch.count, flow) > 0) {
    }
    mn_count(&receive->messages_received, batch.count);
    mn_count(&receive->bytes_received, batch.bytes);
    return batch.count;
}

bool mn_direct_waits(struct machnet_channel *channel)
{
    struct mn_delivery delivery;
    if (mn_ring_ready(&channel->receive.deliveries) <= 0)
        return false;
    copy_delivery(&channel->receive.deliveries, 0, &delivery);
    return direct_flow(channel, &delivery) != NULL;
}
