/* SPDX-License-Identifier: MIT */
#include "client/client.h"

#include <string.h>

enum { TAKE_DELIVERIES = 1024 };

/* Takes the first bit of `events` off it, and describes it. Returns false if there is nothing to tell (any more). */
static bool describe(struct machnet_channel *channel, struct mn_flow *flow, uint32_t *events, machnet_event *event)
{
    uint32_t bit = *events & -*events, ready = MN_SPACE_READY;

    *events &= ~bit;
    memset(event, 0, sizeof *event);
    event->flow = atomic_load_explicit(&flow->token, memory_order_relaxed);
    switch (bit) {
    case MN_PENDING_ESTABLISHED:
        event->type = MACHNET_EVENT_ESTABLISHED;
        break;
    case MN_PENDING_ACCEPTED:
        event->type = MACHNET_EVENT_ACCEPTED;
        event->listener = flow->listener;
        mn_ready_append(channel, flow);
        break;
    case MN_PENDING_SPACE:
        event->type = MACHNET_EVENT_SEND_SPACE;
        if (!atomic_compare_exchange_strong_explicit(&flow->space, &ready, MN_SPACE_NONE, memory_order_acq_rel,
                                                     memory_order_relaxed))
            return false; /* it has got MACHNET_EAGAIN again meanwhile */
        atomic_fetch_sub_explicit(&channel->shared.space_ready, 1, memory_order_relaxed);
        break;
    case MN_PENDING_STALLED:
        event->type = MACHNET_EVENT_RECEIVE_STALLED;
        event->value = flow->stalled_bytes;
        break;
    default:
        event->type = MACHNET_EVENT_CLOSED;
        event->status = atomic_load_explicit(&flow->status, memory_order_relaxed);
        return true;
    }
    /* Of a flow that the application has closed only the end is told. */
    return (atomic_load_explicit(&flow->state, memory_order_acquire) & MN_FLOW_CLOSED) == 0;
}

static uint32_t tell(struct machnet_channel *channel, machnet_event *events, uint32_t max)
{
    struct mn_receiver *receive = &channel->receive;
    uint32_t count = 0;

    while (receive->event_first != NULL && count < max) {
        struct mn_flow *flow = receive->event_first;
        machnet_event event;
        if (describe(channel, flow, &flow->events, &event))
            events[count++] = event;
        if (flow->events == 0) {
            receive->event_first = flow->event_next;
            if (receive->event_first == NULL)
                receive->event_last = NULL;
            mn_flow_recycle(&channel->flows, flow);
        }
    }
    mn_count(&receive->events, count);
    return count;
}

/* The first call: flows whose ACCEPTED is still to be told wait for it from here on. */
static void start_listening(struct machnet_channel *channel)
{
    struct mn_receiver *receive = &channel->receive;

    receive->listens = true;
    for (struct mn_flow *flow = receive->ready_first, *next; flow != NULL; flow = next) {
        next = flow->ready_next;
        if ((flow->events & MN_PENDING_ACCEPTED) != 0)
            mn_ready_remove(channel, flow);
    }
}

int32_t machnet_channel_events(machnet_channel *channel, machnet_event *events, uint32_t max, uint32_t flags)
{
    if (channel == NULL || events == NULL || max == 0 || max > INT32_MAX || flags != 0)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    int32_t status = mn_gone(channel);
    if (status < 0 && status != MACHNET_EENGINEGONE)
        return status;
    if (!channel->receive.listens)
        start_listening(channel);
    for (;;) {
        int32_t taken = mn_deliveries_take(channel, TAKE_DELIVERIES);
        if (taken < 0 && taken != MACHNET_ELOWMEMORY) /* what is told gives memory back */
            return taken;
        mn_space_tell(channel);
        uint32_t count = tell(channel, events, max);
        if (count > 0) {
            mn_receive_done(channel);
            return (int32_t)count;
        }
        if (taken < 0)
            return taken;
        if (taken > 0)
            continue;
        if (atomic_load_explicit(&channel->shared.descriptor, memory_order_relaxed))
            mn_signal_clear(&channel->wake);
        status = mn_idle(channel);
        if (status != MACHNET_OK)
            return status;
    }
}
