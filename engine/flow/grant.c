/* SPDX-License-Identifier: MIT */
/* Large messages: their first packet waits until the whole has an extent; then the peer is told to go on. */
#include "flow/flow.h"

#include <string.h>

enum grant_result { GRANTED, SKIPPED, NO_MEMORY };

#define STALL_NS MILLISECONDS(100)

static void watch(struct flow *flow, uint64_t now)
{
    flow->stall_at = now + STALL_NS;
    flow_timer(flow);
}

void grant_wait(struct flow *flow, uint64_t number, uint64_t now)
{
    struct receiver *rx = &flow->rx;
    struct transport_owner *owner = flow->owner;
    uint32_t *link = &rx->large_first;
    for (uint32_t i = 0; i < rx->large_count && number_from(rx->messages.base, *link) < number; i++) {
        link = &INCOMING(flow, number_from(rx->messages.base, *link))->large_next;
    }
    INCOMING(flow, number)->large_next = *link;
    *link = (uint32_t)number;
    rx->large_count++;
    if (!flow->in_waiting) {
        flow->in_waiting = true;
        DL_APPEND2(owner->waiting_grant, flow, waiting_prev, waiting_next);
        watch(flow, now);
    }
}

void grant_leave(struct flow *flow)
{
    if (flow->in_waiting) {
        DL_DELETE2(flow->owner->waiting_grant, flow, waiting_prev, waiting_next);
        flow->in_waiting = false;
        flow->stall_at = NEVER;
    }
}

void grant_head(struct flow *flow, bool placed, uint64_t now)
{
    if (flow->starved == !placed) {
        return;
    }
    flow->starved = !placed;
    if (flow->starved) {
        watch(flow, now);
    } else if (!flow->in_waiting) {
        flow->stall_at = NEVER;
    }
}

/* A flow that has its share lets others go first, unless what it holds cannot be delivered before this message. */
static bool over_share(const struct flow *flow, uint32_t total, bool head)
{
    const struct transport_owner *owner = flow->owner;
    const struct receiver *rx = &flow->rx;
    if (!owner->waiting_grant->waiting_next || rx->large_bytes == 0 || (head && rx->large_lent < rx->large_bytes)) {
        return false;
    }
    return rx->large_bytes + total > owner->receive_budget / 4;
}

static bool over_budget(const struct transport_owner *owner, uint32_t total, bool head)
{
    return !head && owner->granted_bytes > 0 && owner->granted_bytes + total > owner->receive_budget;
}

/* Only what has come: the rest of `first` is left over from messages of others, and the reader can see its extent before it is full. */
static void move_first(struct incoming *message)
{
    memcpy(message->extent.data, message->first, message->prefix);
    for (uint32_t i = 0; message->ranges && i < message->ranges->count; i++) {
        const struct byte_range *range = &message->ranges->range[i];
        memcpy(message->extent.data + range->start, message->first + range->start, range->end - range->start);
    }
}

static void grant(struct flow *flow, struct incoming *message, const struct transport_extent *extent, uint64_t now)
{
    struct receiver *rx = &flow->rx;
    struct transport_owner *owner = flow->owner;
    message->extent = *extent;
    message->placed = true;
    move_first(message);
    pool_give(&flow->transport->pool, message->first, pool_log2(LARGE_CHARGE));
    message->first = NULL;
    message->granted = true;
    message->grant_owed = true;
    rx->grants_owed++;
    rx->large_bytes += message->total;
    owner->granted_bytes += message->total;
    rx->large_first = message->large_next;
    rx->large_count--;
    grant_leave(flow);
    if (rx->large_count > 0) {
        flow->in_waiting = true;
        DL_APPEND2(owner->waiting_grant, flow, waiting_prev, waiting_next);
        watch(flow, now);
    }
    flow_activate(flow);
}

/* The oldest waiting message of the flow. */
static enum grant_result try_flow(struct flow *flow, bool heads_only, uint64_t now, bool *head)
{
    struct transport_owner *owner = flow->owner;
    uint64_t number = number_from(flow->rx.messages.base, flow->rx.large_first);
    struct incoming *message = INCOMING(flow, number);
    struct transport_extent extent;

    *head = number == flow->rx.messages.base;
    if ((heads_only && !*head) || over_share(flow, message->total, *head) ||
        over_budget(owner, message->total, *head)) {
        return SKIPPED;
    }
    if (!flow->transport->ops.extent_reserve(owner, message->total, *head, &extent)) {
        return NO_MEMORY;
    }
    grant(flow, message, &extent, now);
    return GRANTED;
}

/* In turn, one message of a flow at a time. When there is no memory for one, only heads of flows go on, which may use the last
 * reserve; when there is none for a head, nobody does. */
void grant_run(struct transport *transport, struct transport_owner *owner, uint64_t now)
{
    bool progress = true, heads_only = false;
    (void)transport;
    while (progress && owner->waiting_grant) {
        struct flow *flow, *next;
        progress = false;
        DL_FOREACH_SAFE2(owner->waiting_grant, flow, next, waiting_next)
        {
            bool head;
            enum grant_result result = try_flow(flow, heads_only, now, &head);
            progress |= result == GRANTED;
            if (result == NO_MEMORY && head) {
                return;
            }
            heads_only |= result == NO_MEMORY;
        }
    }
}

/* A flow that starved may have been given what it lacked, and its peer have nothing more to say. */
static bool still_waits(const struct flow *flow)
{
    return flow->in_waiting || (flow->starved && (flow->in_refused || flow->rx.blocked));
}

void grant_stalled(struct flow *flow, uint64_t now)
{
    if (flow->stall_at <= now) {
        flow->stall_at = NEVER;
        if (flow->owner && flow->announced && !flow->transport->ops.stalled(flow->owner, flow->user) &&
            still_waits(flow)) {
            watch(flow, now);
        }
    }
}

void grant_released(struct flow *flow, uint64_t large_bytes)
{
    flow->rx.large_bytes -= large_bytes;
    flow->owner->granted_bytes -= large_bytes;
}
