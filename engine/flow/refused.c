/* SPDX-License-Identifier: MIT */
/*
 * Messages that found no memory, so that their packets were not acknowledged. Their sender asks ever more rarely; when there is room it is
 * told so, by a CREDIT that need not be higher than the last. Room comes when memory is given back, or when the message has become the next
 * of its flow, which may use the last reserve. Nothing is kept back for it: it may be refused again.
 */
#include "flow/flow.h"

enum { IN_VAIN_MAX = 16 /* flows asked in a run that find no room: the next run goes on with the next ones */ };

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

/* In turn: a message that finds no room again keeps no shorter one from it. */
void refused_run(struct transport_owner *owner)
{
    struct flow *first_in_vain = NULL;
    for (uint32_t in_vain = 0; owner->refused && owner->refused != first_in_vain && in_vain < IN_VAIN_MAX;) {
        struct flow *flow = owner->refused;
        if (!try_again(flow)) {
            DL_DELETE2(owner->refused, flow, refused_prev, refused_next);
            DL_APPEND2(owner->refused, flow, refused_prev, refused_next);
            first_in_vain = in_vain++ == 0 ? flow : first_in_vain;
        }
    }
}
