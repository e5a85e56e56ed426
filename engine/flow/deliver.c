/* SPDX-License-Identifier: MIT */
/* What the owner is told, in this order: established or accepted, the messages, ended. What finds no room waits its turn. */
#include "flow/flow.h"

static bool announce(struct flow *flow, uint64_t now)
{
    const struct transport_ops *ops = &flow->transport->ops;
    if (flow->closed) {
        flow->announce_owed = false;
        return true;
    }
    bool told = flow->accepted_side ? ops->accepted(flow->owner, flow->listener, flow, &flow->user)
                                    : ops->established(flow->owner, flow->user, flow);
    flow->announce_owed = !told;
    flow->announced = told;
    if (told && flow->accepted_side && !flow->user) {
        flow_drop_unannounced(flow, WIRE_REASON_LIMIT, now);
    }
    return told;
}

static enum transport_delivery deliver_next(struct flow *flow)
{
    struct receiver *rx = &flow->rx;
    struct incoming *message = INCOMING(flow, rx->messages.base);
    uint32_t total = message->total;
    bool discarded = message->discarded;
    if (!discarded) {
        enum transport_delivery result =
            flow->transport->ops.deliver(flow->owner, flow->user, &message->extent, message->tag);
        if (result != TRANSPORT_DELIVERED) {
            return result;
        }
        message->placed = false;
        rx->large_lent += total > LARGE_MESSAGE ? total : 0;
    }
    deque_drop(&rx->messages, 1);
    rx->delivered_bytes += flow_charge(total);
    if (discarded) {
        credit_release(flow, 1, flow_charge(total));
    }
    return TRANSPORT_DELIVERED;
}

static enum transport_delivery deliver_messages(struct flow *flow)
{
    struct receiver *rx = &flow->rx;
    while (rx->messages.base < rx->complete) {
        enum transport_delivery result = deliver_next(flow);
        if (result != TRANSPORT_DELIVERED) {
            return result;
        }
    }
    refused_delivered(flow);
    if (deque_count(&rx->messages) == 0) {
        deque_reset(&rx->messages, &flow->transport->pool, sizeof(struct incoming));
    }
    return TRANSPORT_DELIVERED;
}

static bool tell_end(struct flow *flow)
{
    if (!flow->transport->ops.ended(flow->owner, flow->user, (enum transport_status)flow->status)) {
        return false;
    }
    flow->ended_told = true;
    credit_settle(flow);
    flow_settle(flow);
    return true;
}

static bool owed(const struct flow *flow)
{
    return flow->announce_owed || flow->rx.messages.base < flow->rx.complete || (flow->ended_owed && !flow->ended_told);
}

static enum transport_delivery tell_all(struct flow *flow, uint64_t now)
{
    if (flow->announce_owed && !announce(flow, now)) {
        return TRANSPORT_NO_ROOM;
    }
    enum transport_delivery result = deliver_messages(flow);
    if (result != TRANSPORT_DELIVERED) {
        return result;
    }
    bool told = !flow->ended_owed || flow->ended_told || tell_end(flow);
    return told ? TRANSPORT_DELIVERED : TRANSPORT_NO_ROOM;
}

void flow_deliver(struct flow *flow, uint64_t now)
{
    struct transport_owner *owner = flow->owner;
    if (!owner || flow->over_share || (!owed(flow) && !flow->in_undelivered)) {
        return;
    }
    bool turn = owner->undelivered == NULL || owner->undelivered == flow;
    enum transport_delivery result = turn ? tell_all(flow, now) : TRANSPORT_NO_ROOM;
    flow->over_share = result == TRANSPORT_OVER_SHARE;
    if (result != TRANSPORT_NO_ROOM && flow->in_undelivered) {
        DL_DELETE2(owner->undelivered, flow, undelivered_prev, undelivered_next);
        flow->in_undelivered = false;
    } else if (result == TRANSPORT_NO_ROOM && !flow->in_undelivered) {
        DL_APPEND2(owner->undelivered, flow, undelivered_prev, undelivered_next);
        flow->in_undelivered = true;
    }
}
