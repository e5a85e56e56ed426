/* SPDX-License-Identifier: MIT */
/*
 * Credit for messages of up to 64 KiB: cut from the owner's receive budget so that what is promised finds room.
 *
 *   flow:  limit = what the peer may use in all; delivered, released = what the reader got, gave back; all cumulative charges
 *          limit >= released + 64 KiB while the flow is open: the next message can always begin once the reader has read
 *   owner: promised_bytes = sum over its flows of (limit - released)
 *          and of what the readers of closed flows still hold
 * A flow begins with 64 KiB; more comes with use, while no more than half of the budget is promised and the owner's memory is not
 * scarce. What the memory must be for that, so that a message finds room, is for the owner to know (channel_memory.c). With more
 * flows than that covers a message may find none; its packet is then not acknowledged, and the reader told that it stalls.
 *   A settled flow has limit = delivered: it promises what the reader still holds.
 */
#include "flow/flow.h"

enum { MESSAGES_MIN = 16, MESSAGES_MAX = 1024, BYTES_PER_MESSAGE = 256, WINDOW_MIN = LARGE_MESSAGE };

static uint64_t window_bytes(const struct transport_owner *owner)
{
    uint64_t flows = owner->flow_count - owner->half_open - owner->lingering;
    uint64_t share = owner->receive_budget / (2 * max_u64(flows, 1));
    return owner->scarce ? WINDOW_MIN : max_u64(min_u64(share, owner->receive_budget / 4), WINDOW_MIN);
}

static uint64_t window_messages(uint64_t bytes)
{
    return min_u64(max_u64(bytes / BYTES_PER_MESSAGE, MESSAGES_MIN), MESSAGES_MAX);
}

static void raise_limits(struct flow *flow, uint64_t bytes)
{
    struct transport_owner *owner = flow->owner;
    struct receiver *rx = &flow->rx;
    uint64_t half = owner->scarce ? 0 : owner->receive_budget / 2;
    uint64_t left = half > owner->promised_bytes ? half - owner->promised_bytes : 0;
    uint64_t limit = min_u64(rx->released_bytes + bytes, rx->limit_bytes + left);
    limit = max_u64(limit, rx->released_bytes + WINDOW_MIN);
    if (limit > rx->limit_bytes) {
        owner->promised_bytes += limit - rx->limit_bytes;
        rx->limit_bytes = limit;
    }
    rx->limit_messages = max_u64(rx->limit_messages, rx->released_messages + window_messages(bytes));
}

void credit_tell_first(struct flow *flow)
{
    flow->rx.told_bytes = WINDOW_MIN;
    flow->rx.told_messages = window_messages(WINDOW_MIN);
}

void credit_init(struct flow *flow)
{
    credit_tell_first(flow);
    raise_limits(flow, WINDOW_MIN);
}

/* A CREDIT frame goes out when it is worth one, or lets a peer go on that is blocked. */
static void tell(struct flow *flow, uint64_t bytes)
{
    struct receiver *rx = &flow->rx;
    uint64_t more_bytes = rx->limit_bytes - rx->told_bytes;
    uint64_t more_messages = rx->limit_messages - rx->told_messages;
    bool worth = more_bytes >= bytes / 4 || more_messages >= window_messages(bytes) / 4;
    bool frees = rx->blocked && rx->limit_bytes >= rx->blocked_bytes && rx->limit_messages > rx->blocked_message;
    rx->blocked &= !frees; /* one that is not freed now stays blocked, and does not say so again */
    if (worth || (frees && more_bytes + more_messages > 0)) {
        flow->credit_wanted = true;
        flow_activate(flow);
    }
}

static void update(struct flow *flow)
{
    if (flow->owner && !flow->settled && (flow->state == FLOW_OPEN || flow->state == FLOW_CLOSING)) {
        uint64_t bytes = window_bytes(flow->owner);
        raise_limits(flow, bytes);
        tell(flow, bytes);
    }
}

void credit_release(struct flow *flow, uint32_t messages, uint64_t charge)
{
    flow->rx.released_bytes += charge;
    flow->rx.released_messages += messages;
    flow->owner->promised_bytes -= charge;
    update(flow);
}

/* What the reader still holds goes back to the owner's accounts alone, but must not keep the peer's last messages from coming. */
void credit_reader_gone(struct flow *flow)
{
    flow->rx.released_bytes = flow->rx.delivered_bytes;
    flow->rx.released_messages = flow->rx.messages.base;
    update(flow);
}

void credit_blocked(struct flow *flow, uint64_t bytes, uint64_t message, uint64_t now)
{
    if (bytes < flow->rx.blocked_bytes) {
        return; /* older than one that has come, and which it must not undo */
    }
    flow->rx.blocked = true;
    flow->rx.blocked_bytes = bytes;
    flow->rx.blocked_message = message;
    update(flow);
    if (flow->rx.blocked && flow->state == FLOW_OPEN && flow->owner && flow->owner->scarce) {
        grant_head(flow, false, now);
    }
}

void credit_settle(struct flow *flow)
{
    struct receiver *rx = &flow->rx;
    if (!flow->settled) {
        flow->settled = true;
        flow->owner->promised_bytes -= rx->limit_bytes - rx->delivered_bytes;
        rx->limit_bytes = rx->delivered_bytes;
    }
}

void transport_release_add(struct transport_release *release, uint32_t length)
{
    release->messages++;
    release->charge += flow_charge(length);
    release->large_bytes += length > LARGE_MESSAGE ? length : 0;
}

void transport_released_many(struct transport *transport, struct flow *flow, const struct transport_release *release,
                             uint64_t now)
{
    flow->rx.large_lent -= release->large_bytes;
    grant_released(flow, release->large_bytes);
    credit_release(flow, release->messages, release->charge);
    if (flow->over_share) {
        flow->over_share = false;
        flow_deliver(flow, now);
    }
    grant_run(transport, flow->owner, now);
    transport_reap(transport);
}

void transport_released(struct transport *transport, struct flow *flow, uint32_t length, uint64_t now)
{
    struct transport_release release = {0};
    transport_release_add(&release, length);
    transport_released_many(transport, flow, &release, now);
}

void transport_released_orphan(struct transport *transport, struct transport_owner *owner, uint32_t length)
{
    (void)transport;
    owner->promised_bytes -= flow_charge(length);
    owner->granted_bytes -= length > LARGE_MESSAGE ? length : 0;
}
