/* SPDX-License-Identifier: MIT */
/* Messages being assembled, each at its place in its own extent, whatever order its bytes come in. */
#include "flow/flow.h"

#include <string.h>

static uint32_t first_log2(void)
{
    return pool_log2(LARGE_CHARGE);
}

void incoming_free(struct flow *flow, struct incoming *message)
{
    struct pool *pool = &flow->transport->pool;
    ranges_free(pool, message);
    if (message->first) {
        pool_give(pool, message->first, first_log2());
        message->first = NULL;
    }
    if (message->placed) {
        message->placed = false;
        grant_released(flow, message->total > LARGE_MESSAGE ? message->total : 0);
        flow->transport->ops.extent_abandon(flow->owner, &message->extent);
    }
}

/* The entry of message `number`, which credit allows; NULL if memory is short. */
static struct incoming *entry(struct flow *flow, uint64_t number)
{
    struct deque *messages = &flow->rx.messages;
    if (number >= deque_end(messages)) {
        uint32_t more = (uint32_t)(number + 1 - deque_end(messages));
        if (!deque_reserve(messages, &flow->transport->pool, more, sizeof(struct incoming))) {
            return NULL;
        }
        while (deque_end(messages) <= number) {
            memset(deque_push(messages, sizeof(struct incoming)), 0, sizeof(struct incoming));
        }
    }
    return INCOMING(flow, number);
}

static bool take_memory(struct flow *flow, struct incoming *message, uint64_t number, uint32_t total, uint64_t now)
{
    if (flow->closed) {
        message->discarded = true;
        if (total > LARGE_MESSAGE) {
            message->granted = true;
            message->grant_owed = true;
            flow->rx.grants_owed++;
            flow_activate(flow);
        }
        return true;
    }
    if (total <= LARGE_MESSAGE) {
        message->placed =
            flow->transport->ops.extent_reserve(flow->owner, total, number == flow->rx.messages.base, &message->extent);
        return message->placed;
    }
    message->first = pool_take(&flow->transport->pool, first_log2());
    if (message->first) {
        grant_wait(flow, number, now);
    }
    return message->first != NULL;
}

/* The first that is seen of a message. */
static enum placement begin(struct flow *flow, struct incoming *message, uint64_t number, uint32_t total, uint64_t now)
{
    struct receiver *rx = &flow->rx;
    uint32_t charge = flow_charge(total);
    if (rx->charged + charge > rx->limit_bytes || total > MESSAGE_MAX) {
        return VIOLATION;
    }
    if (total > flow->owner->message_max && !flow->closed) {
        return TOO_LONG;
    }
    bool taken = take_memory(flow, message, number, total, now);
    if (number == rx->messages.base) {
        grant_head(flow, taken, now);
    }
    if (!taken) {
        if (total <= LARGE_MESSAGE) {
            refused_add(flow, number, total);
        }
        return NOT_PLACED;
    }
    rx->charged += charge;
    message->known = true;
    message->total = total;
    return PLACED;
}

static void count_complete(struct flow *flow, uint32_t length)
{
    flow->messages_received++;
    flow->bytes_received += length;
    flow->transport->counters.messages_received++;
}

static void complete(struct flow *flow, struct incoming *message)
{
    struct receiver *rx = &flow->rx;
    message->complete = true;
    count_complete(flow, message->total);
    if (message->grant_owed) {
        message->grant_owed = false;
        rx->grants_owed--;
    }
    while (rx->complete < deque_end(&rx->messages) && INCOMING(flow, rx->complete)->complete) {
        rx->complete++;
    }
}

static enum placement add_bytes(struct flow *flow, struct incoming *message, const struct wire_frame *frame)
{
    uint32_t start = frame->data.offset, end = start + frame->data.length;
    if (message->total > LARGE_MESSAGE && !message->granted && end > LARGE_CHARGE) {
        return VIOLATION;
    }
    if (!ranges_add(&flow->transport->pool, message, start, end)) {
        return NOT_PLACED;
    }
    if (start == 0) {
        message->tag = frame->data.tag;
    }
    if (!message->discarded && frame->data.length > 0) {
        memcpy((message->first ? message->first : message->extent.data) + start, frame->data.payload,
               frame->data.length);
    }
    if (message->prefix == message->total) {
        complete(flow, message);
    }
    return PLACED;
}

/* Whether nothing is kept or owed of the flow, so that its next message, which is `number`, could go straight to the owner. */
static bool may_pass(const struct flow *flow, uint64_t number)
{
    const struct receiver *rx = &flow->rx;
    return number == rx->complete && deque_count(&rx->messages) == 0 && flow->announced && !flow->closed &&
           !flow->over_share && !flow->starved && !flow->in_refused && !flow->fin_received &&
           flow->owner->undelivered == NULL;
}

/* The next message of the flow has come as a whole: hands it over without keeping it. False: it has to be kept, or refused. */
static bool pass_on(struct flow *flow, const struct wire_frame *frame)
{
    const struct transport_ops *ops = &flow->transport->ops;
    struct transport_owner *owner = flow->owner;
    struct receiver *rx = &flow->rx;
    const uint32_t length = frame->data.length, charge = flow_charge(length);
    struct transport_extent extent;
    if (rx->complete >= rx->limit_messages || rx->charged + charge > rx->limit_bytes || length > owner->message_max ||
        !ops->extent_reserve(owner, length, true, &extent)) {
        return false;
    }
    if (length > 0) {
        memcpy(extent.data, frame->data.payload, length);
    }
    if (ops->deliver(owner, flow->user, &extent, frame->data.tag) != TRANSPORT_DELIVERED) {
        ops->extent_abandon(owner, &extent);
        return false;
    }
    deque_skip(&rx->messages);
    rx->complete = rx->messages.base;
    rx->charged += charge;
    rx->delivered_bytes += charge;
    count_complete(flow, length);
    return true;
}

enum placement incoming_place(struct flow *flow, const struct wire_frame *frame, uint64_t now)
{
    struct receiver *rx = &flow->rx;
    uint64_t number = wire_expand32(frame->data.message, rx->complete);
    if (number < rx->complete) {
        return PLACED;
    }
    if ((frame->type & WIRE_DATA_FRAGMENT) == 0 && may_pass(flow, number) && pass_on(flow, frame)) {
        return PLACED;
    }
    if (number >= rx->limit_messages || (flow->fin_received && number >= rx->fin_messages)) {
        return VIOLATION;
    }
    struct incoming *message = entry(flow, number);
    if (!message) {
        return NOT_PLACED;
    }
    if (!message->known) {
        enum placement result = begin(flow, message, number, frame->data.total, now);
        if (result != PLACED) {
            return result;
        }
    } else if (message->total != frame->data.total) {
        return VIOLATION;
    }
    return message->complete ? PLACED : add_bytes(flow, message, frame);
}

static void forget_waiting(struct flow *flow)
{
    grant_leave(flow);
    refused_remove(flow);
    flow->rx.large_count = 0;
    flow->starved = false;
    flow->stall_at = NEVER;
}

void incoming_trim(struct flow *flow)
{
    struct receiver *rx = &flow->rx;
    forget_waiting(flow);
    for (uint64_t n = rx->complete; n < deque_end(&rx->messages); n++) {
        incoming_free(flow, INCOMING(flow, n));
    }
    deque_cut(&rx->messages, rx->complete);
    rx->grants_owed = 0;
}

void incoming_drop_all(struct flow *flow)
{
    struct receiver *rx = &flow->rx;
    if (!flow->owner) {
        return;
    }
    incoming_trim(flow);
    for (uint64_t n = rx->messages.base; n < deque_end(&rx->messages); n++) {
        incoming_free(flow, INCOMING(flow, n));
    }
    deque_reset(&rx->messages, &flow->transport->pool, sizeof(struct incoming));
    credit_settle(flow);
}

void incoming_discard(struct flow *flow)
{
    struct receiver *rx = &flow->rx;
    forget_waiting(flow);
    for (uint64_t n = rx->messages.base; n < deque_end(&rx->messages); n++) {
        struct incoming *message = INCOMING(flow, n);
        if (!message->known) {
            continue;
        }
        struct byte_ranges *ranges = message->ranges; /* what is still missing stays missing */
        message->ranges = NULL;
        incoming_free(flow, message);
        message->ranges = ranges;
        message->discarded = true;
        if (message->total > LARGE_MESSAGE && !message->granted) {
            message->granted = true;
            message->grant_owed = true;
            rx->grants_owed++;
        }
    }
    flow_activate(flow);
}
