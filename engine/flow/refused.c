/* SPDX-License-Identifier: MIT */
/*
 * Messages that found no memory, so that their packets were not acknowledged. Their sender asks ever more rarely; when there is room it is
 * told so, by a CREDIT that need not be higher than the last. Room comes when memory is given back, or when the message has become the next
 * of its flow, which may use the last reserve. Nothing is kept back for it: it may be refused again.
 */
#include "flow/flow.h"

void refused_add(struct flow *flow, uint64_t number, uint32_t length)
{
    struct receiver *rx = &flow->rx;
    if (!flow->in_refused) {
        flow->in_refused = true;
        DL_APPEND2(flow->owner->refused, flow, refused_prev, refused_next);
    } else if (rx->refused <= number) {
        return;
    }
    rx->refused = number;
    rx->refused_length = length;
}

void refused_remove(struct flow *flow)
{
    if (flow->in_refused) {
        flow->in_refused = false;
        DL_DELETE2(flow->owner->refused, flow, refused_prev, refused_next);
    }
}

/* Returns whether there is room for the flow's message; then its sender is told. */
static bool try_again(struct flow *flow)
{
    const struct transport_ops *ops = &flow->transport->ops;
    const bool head = flow->rx.refused <= flow->rx.messages.base;
    struct transport_extent extent;
    if (!ops->extent_reserve(flow->owner, flow->rx.refused_length, head, &extent)) {
        return false;
    }
    ops->extent_abandon(flow->owner, &extent);
    refused_remove(flow);
    flow->credit_wanted = true;
    flow_activate(flow);
    return true;
}

void refused_delivered(struct flow *flow)
{
    if (flow->in_refused && flow->rx.refused <= flow->rx.messages.base) {
        (void)try_again(flow);
    }
}

void refused_run(struct transport_owner *owner)
{
    while (owner->refused && try_again(owner->refused)) {
    }
}
