/* SPDX-License-Identifier: MIT */
/* Deliveries, from the ring into the private queues of their flows. What the engine wrote is copied, checked, and then used. */
#include "client/client.h"
#include "client/error.h"

struct chain {
    struct mn_message *first, *last;
};

void mn_ready_remove(struct machnet_channel *channel, struct mn_flow *flow)
{
    struct mn_receiver *receive = &channel->receive;

    if (!flow->ready)
        return;
    flow->ready = false;
    if (flow->ready_previous != NULL)
        flow->ready_previous->ready_next = flow->ready_next;
    else
        receive->ready_first = flow->ready_next;
    if (flow->ready_next != NULL)
        flow->ready_next->ready_previous = flow->ready_previous;
    else
        receive->ready_last = flow->ready_previous;
    flow->ready_next = flow->ready_previous = NULL;
}

void mn_ready_append(struct machnet_channel *channel, struct mn_flow *flow)
{
    struct mn_receiver *receive = &channel->receive;

    if (flow->ready || flow->first == NULL || (receive->listens && (flow->events & MN_PENDING_ACCEPTED) != 0))
        return;
    flow->ready = true;
    flow->ready_next = NULL;
    flow->ready_previous = receive->ready_last;
    if (receive->ready_last != NULL)
        receive->ready_last->ready_next = flow;
    else
        receive->ready_first = flow;
    receive->ready_last = flow;
}

void mn_event_add(struct machnet_channel *channel, struct mn_flow *flow, uint32_t pending)
{
    struct mn_receiver *receive = &channel->receive;

    const uint32_t state = atomic_load_explicit(&flow->state, memory_order_relaxed);
    if ((state & MN_FLOW_SILENT) != 0)
        return;
    /* Who has closed the flow does not wait for its messages. */
    if ((pending & MN_PENDING_CLOSED) != 0 && (state & MN_FLOW_CLOSED) == 0)
        receive->ended = true;
    if (flow->events == 0) {
        flow->event_next = NULL;
        if (receive->event_last != NULL)
            receive->event_last->event_next = flow;
        else
            receive->event_first = flow;
        receive->event_last = flow;
    }
    flow->events |= pending;
    receive->news = true;
}

/* NULL: more messages are lent than can be. */
static struct mn_message *new_message(struct machnet_channel *channel)
{
    struct mn_receiver *receive = &channel->receive;

    if (receive->free == NULL && receive->fresh_message < receive->message_count)
        return &receive->messages[receive->fresh_message++];
    if (receive->free == NULL)
        receive->free = mn_stack_take(&channel->release.returned);
    struct mn_message *message = receive->free;
    if (message != NULL)
        receive->free = message->next;
    return message;
}

const uint8_t *mn_delivery_bytes(const struct machnet_channel *channel, const struct mn_delivery *delivery)
{
    static alignas(MN_LINE) const uint8_t nothing[MN_LINE];

    if (delivery->length == 0)
        return nothing;
    if (delivery->length > MN_MESSAGE_MAX || delivery->region >= MN_REGIONS_MAX || delivery->offset % MN_LINE != 0)
        return NULL;
    const struct mn_region *region = &channel->regions[delivery->region];
    /* pairs with the release in accept_region (live.c) and map_regions (attach.c) */
    const uint8_t *base = atomic_load_explicit(&region->base, memory_order_acquire);
    if (base == NULL || region->kind != MN_REGION_RECEIVE || delivery->offset > region->bytes ||
        delivery->length > region->bytes - delivery->offset)
        return NULL;
    return base + delivery->offset;
}

/* Returns false if the engine broke the rules, as do those below. */
static bool take_message(struct machnet_channel *channel, const struct mn_delivery *delivery, struct chain *dropped)
{
    struct mn_flow *flow = mn_flow_find(&channel->flows, delivery->flow);
    const uint8_t *data = mn_delivery_bytes(channel, delivery);
    if (flow == NULL || data == NULL)
        return false;
    uint32_t state = atomic_load_explicit(&flow->state, memory_order_acquire);
    struct mn_message *message = (state & MN_FLOW_ENDED) != 0 ? NULL : new_message(channel);
    if (message == NULL)
        return false;
    message->next = NULL;
    message->data = data;
    message->length = delivery->length;
    message->tag = delivery->tag;
    message->lease = delivery->lease;
    message->flow = delivery->flow;
    if ((state & MN_FLOW_CLOSED) != 0) {
        message->next = dropped->first;
        dropped->first = message;
        if (dropped->last == NULL)
            dropped->last = message;
        return true;
    }
    if (flow->first == NULL)
        flow->first = message;
    else
        flow->last->next = message;
    flow->last = message;
    mn_ready_append(channel, flow);
    mn_count(&flow->messages_arrived, 1);
    channel->receive.news = true;
    return true;
}

static bool take_established(struct machnet_channel *channel, const struct mn_delivery_flow *delivery)
{
    struct mn_flow *flow = mn_flow_find(&channel->flows, delivery->flow);
    if (flow == NULL || ((uint32_t)delivery->flow & MN_TOKEN_ACCEPTED) != 0 ||
        (atomic_load_explicit(&flow->state, memory_order_relaxed) & (MN_FLOW_OPEN | MN_FLOW_ENDED)) != 0)
        return false;
    mn_flow_keep_addresses(&channel->flows, flow, delivery);
    atomic_fetch_or_explicit(&flow->state, MN_FLOW_OPEN, memory_order_release);
    mn_event_add(channel, flow, MN_PENDING_ESTABLISHED);
    return true;
}

/* A status: MACHNET_ELOWMEMORY or MACHNET_EPROTOCOL if it was not taken. */
static int32_t take_accepted(struct machnet_channel *channel, const struct mn_delivery_flow *delivery)
{
    struct mn_flow *flow;
    int32_t status = mn_flow_accept(&channel->flows, delivery, &flow);
    if (status < 0)
        return status;
    mn_count(&channel->receive.flows_accepted, 1);
    mn_event_add(channel, flow, MN_PENDING_ACCEPTED);
    return MACHNET_OK;
}

/* Whether an engine may end a flow with this status: one of those that machnet.h lists, or one that is newer than this library. */
static bool ends_flow(int32_t status)
{
    switch (status) {
    case MACHNET_OK:
    case MACHNET_ECLOSED:
    case MACHNET_ERESET:
    case MACHNET_EREFUSED:
    case MACHNET_EUNREACHABLE:
    case MACHNET_EPEERDEAD:
    case MACHNET_EPEERRESTARTED:
    case MACHNET_EPEERPROTOCOL:
    case MACHNET_EPEERMSGSIZE:
    case MACHNET_EVERSION:
    case MACHNET_EADDRNOTAVAIL:
    case MACHNET_EQUOTA:
    case MACHNET_ENOMEM:
        return true;
    default:
        return mn_status_is_newer(status);
    }
}

static bool take_closed(struct machnet_channel *channel, const struct mn_delivery *delivery)
{
    struct mn_flow *flow = mn_flow_find(&channel->flows, delivery->flow);
    if (flow == NULL || !ends_flow(delivery->status))
        return false;
    uint32_t state = atomic_load_explicit(&flow->state, memory_order_relaxed);
    if ((state & MN_FLOW_ENDED) != 0)
        return false;
    bool ours = (state & MN_FLOW_CLOSED) != 0;
    atomic_store_explicit(&flow->status, delivery->status == MACHNET_OK && !ours ? MACHNET_ECLOSED : delivery->status,
                          memory_order_relaxed);
    mn_flow_finish(&channel->flows, flow, MN_FLOW_ENDED);
    mn_count(&channel->receive.flows_ended, 1);
    mn_event_add(channel, flow, MN_PENDING_CLOSED);
    mn_flow_recycle(&channel->flows, flow);
    return true;
}

static bool take_stalled(struct machnet_channel *channel, const struct mn_delivery *delivery)
{
    struct mn_flow *flow = mn_flow_find(&channel->flows, delivery->flow);
    if (flow == NULL)
        return false;
    flow->stalled_bytes = delivery->value;
    mn_event_add(channel, flow, MN_PENDING_STALLED);
    return true;
}

union entry {
    uint8_t op;
    struct mn_delivery delivery;
    struct mn_delivery_flow flow;
};

/* A status: MACHNET_ELOWMEMORY: it was not taken; MACHNET_EPROTOCOL. */
static int32_t take_entry(struct machnet_channel *channel, const union entry *entry, struct chain *dropped)
{
    bool sound = false;

    switch (entry->op) {
    case MN_OP_MESSAGE:
        sound = take_message(channel, &entry->delivery, dropped);
        break;
    case MN_OP_ESTABLISHED:
        sound = take_established(channel, &entry->flow);
        break;
    case MN_OP_ACCEPTED:
        return take_accepted(channel, &entry->flow);
    case MN_OP_CLOSED:
        sound = take_closed(channel, &entry->delivery);
        break;
    case MN_OP_STALLED:
        sound = take_stalled(channel, &entry->delivery);
        break;
    default:
        break;
    }
    return sound ? MACHNET_OK : MACHNET_EPROTOCOL;
}

void mn_purge_flows(struct machnet_channel *channel)
{
    for (struct mn_flow *flow = mn_stack_take(&channel->shared.purges), *next; flow != NULL; flow = next) {
        next = flow->next_purge;
        if (flow->first != NULL) {
            mn_ready_remove(channel, flow);
            mn_release_chain(channel, flow->first, flow->last);
            flow->first = flow->last = NULL;
        }
        flow->purged = true;
        mn_flow_recycle(&channel->flows, flow);
    }
}

bool mn_deliveries_wait(struct machnet_channel *channel)
{
    return mn_ring_ready(&channel->receive.deliveries) != 0; /* also if it is broken: taking will say so */
}

int32_t mn_deliveries_take(struct machnet_channel *channel, uint32_t most)
{
    struct mn_ring *ring = &channel->receive.deliveries;
    struct chain dropped = {NULL, NULL};
    int32_t status = MACHNET_OK;
    uint32_t taken = 0;

    mn_purge_flows(channel);
    mn_control_heed(
        channel); /* who always finds a message never gets to look otherwise, and more memory is offered there */
    int64_t ready = mn_ring_ready(ring);
    if (ready < 0)
        return mn_broken(channel);
    if (ready == 0)
        return 0;
    if (ready > most)
        ready = most;
    while (taken < ready && status == MACHNET_OK) {
        union entry entry = *(const union entry *)mn_ring_entry(ring, taken);
        status = take_entry(channel, &entry, &dropped);
        taken += status == MACHNET_OK ? 1 : 0;
    }
    mn_ring_advance(ring, taken);
    mn_ring_publish(ring);
    channel->receive.pumped = true;
    if (dropped.first != NULL)
        mn_release_chain(channel, dropped.first, dropped.last);
    if (status == MACHNET_EPROTOCOL)
        return mn_broken(channel);
    return taken > 0 ? (int32_t)taken : status;
}
