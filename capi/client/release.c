/* SPDX-License-Identifier: MIT */
/* Giving back: received messages to the engine, reserved buffers to the send side. */
#include "client/client.h"

/* Under release.lock. The ring is as large as messages can be lent: it is full only if the engine broke the rules. */
static bool put_release(struct machnet_channel *channel, uint64_t lease)
{
    struct mn_ring *ring = &channel->release.releases;
    if (mn_ring_space(ring, 1) <= 0)
        return false;
    *(mn_release *)mn_ring_entry(ring, 0) = lease;
    mn_ring_advance(ring, 1);
    return true;
}

void mn_release_chain(struct machnet_channel *channel, struct mn_message *first, struct mn_message *last)
{
    bool sound = true;

    pthread_mutex_lock(&channel->release.lock);
    for (const struct mn_message *message = first; message != NULL && sound; message = message->next)
        sound = put_release(channel, message->lease);
    mn_ring_publish(&channel->release.releases);
    pthread_mutex_unlock(&channel->release.lock);
    last->next = channel->receive.free;
    channel->receive.free = first;
    channel->receive.pumped = false;
    mn_wake_engine(channel, MN_WAKE_RELEASES | MN_WAKE_ROOM);
    if (!sound)
        mn_broken(channel);
}

void mn_release_leases(struct machnet_channel *channel, const uint64_t *leases, uint32_t count)
{
    bool sound = true;

    pthread_mutex_lock(&channel->release.lock);
    for (uint32_t i = 0; i < count && sound; i++)
        sound = put_release(channel, leases[i]);
    mn_ring_publish(&channel->release.releases);
    pthread_mutex_unlock(&channel->release.lock);
    channel->receive.pumped = false;
    mn_wake_engine(channel, MN_WAKE_RELEASES | MN_WAKE_ROOM);
    if (!sound)
        mn_broken(channel);
}

static int32_t release_message(struct machnet_channel *channel, uint64_t buffer)
{
    uint32_t index = (uint32_t)buffer;
    uint64_t token = buffer;

    if (index >= channel->receive.message_count)
        return MACHNET_EBADTOKEN;
    struct mn_message *message = &channel->receive.messages[index];
    /* pairs with the release in machnet_recv_borrow; from here on it is ours alone */
    if (!atomic_compare_exchange_strong_explicit(&message->token, &token, 0, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return MACHNET_EBADTOKEN;
    pthread_mutex_lock(&channel->release.lock);
    bool sound = put_release(channel, message->lease);
    mn_ring_publish(&channel->release.releases);
    pthread_mutex_unlock(&channel->release.lock);
    mn_stack_push(&channel->release.returned, message, message, next);
    if (mn_gone(channel) == MACHNET_OK) {
        if (sound)
            mn_wake_engine(channel, MN_WAKE_RELEASES);
        else
            mn_broken(channel);
    }
    atomic_fetch_sub_explicit(&channel->shared.borrowed, 1, memory_order_relaxed);
    return MACHNET_OK;
}

static int32_t release_reserved(struct machnet_channel *channel, uint64_t buffer)
{
    uint32_t index = (uint32_t)buffer & ~MN_TOKEN_RESERVED;
    uint64_t token = buffer;

    if (index >= channel->send.slot_count)
        return MACHNET_EBADTOKEN;
    struct mn_slot *slot = &channel->send.slots[index];
    /* pairs with the release in machnet_send_reserve */
    if (!atomic_compare_exchange_strong_explicit(&slot->token, &token, 0, memory_order_acq_rel, memory_order_relaxed))
        return MACHNET_EBADTOKEN;
    mn_stack_push(&channel->shared.returned, slot, slot, next);
    mn_space_freed(channel);
    return MACHNET_OK;
}

int32_t machnet_buffer_release(machnet_channel *channel, uint64_t buffer)
{
    if (channel == NULL)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    if (buffer >> 32 == 0)
        return MACHNET_EBADTOKEN;
    int32_t status = ((uint32_t)buffer & MN_TOKEN_RESERVED) != 0 ? release_reserved(channel, buffer)
                                                                 : release_message(channel, buffer);
    if (status == MACHNET_OK)
        mn_drop(channel);
    return status;
}
