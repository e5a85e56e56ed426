/* SPDX-License-Identifier: MIT */
/* What the owner is told, in this order: established or accepted, the messages, ended. What finds no room waits its turn. */
#include "flow/flow.h"

static bool announce(struct flow *flow)
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
    return told;
}

static bool deliver_next(struct flow *flow)
{
    struct receiver *rx = &flow->rx;
    struct incoming *message = INCOMING(flow, rx->messages.base);
    uint32_t total = message->total;
    if (!message->discarded) {
        if (!flow->transport->ops.deliver(flow->owner, flow->user, &message->extent, message->tag)) {
            return false;
        }
        message->placed = false;
        rx->large_lent += total > LARGE_MESSAGE ? total : 0;
    }
    bool discarded = message->discarded;
    rx->messages.base++;
    rx->delivered_bytes += flow_charge(total);
    if (discarded) {
        credit_release(flow, total);
    }
    return true;
}

static bool deliver_messages(struct flow *flow)
{
    struct receiver *rx = &flow->rx;
    while (rx->messages.base < rx->complete) {
        if (!deliver_next(flow)) {
            return false;
        }
    }
    if (deque_count(&rx->messages) == 0) {
        deque_reset(&rx->messages, &flow->transport->pool, sizeof(struct incoming));
    }
    return true;
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

static bool tell_all(struct flow *flow)
{
    if (flow->announce_owed && !announce(flow)) {
        return false;
    }
    if (!deliver_messages(flow)) {
        return false;
    }
    return !flow->ended_owed || flow->ended_told || tell_end(flow);
}

void flow_deliver(struct flow *flow, uint64_t now)
{
    struct transport_owner *owner = flow->owner;
    (void)now;
    if (!owner || (!owed(flow) && !flow->in_undelivered)) {
        return;
    }
    bool turn = owner->undelivered == NULL || owner->undelivered == flow;
    bool done = turn && tell_all(flow);
    if (done && flow->in_undelivered) {
        DL_DELETE2(owner->undelivered, flow, undelivered_prev, undelivered_next);
        flow->in_undelivered = false;
    } else if (!done && !flow->in_undelivered) {
        DL_APPEND2(owner->undelivered, flow, undelivered_prev, undelivered_next);
        flow->in_undelivered = true;
    }
}
