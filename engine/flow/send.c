/* SPDX-License-Identifier: MIT */
/* Messages to send: queued, allowed by credit and grants, complete, failed. */
#include "flow/flow.h"

uint32_t flow_charge(uint32_t total)
{
    if (total > LARGE_MESSAGE) {
        return LARGE_CHARGE;
    }
    return total <= 64 ? 64 : UINT32_C(1) << (32 - __builtin_clz(total - 1));
}

bool transport_send(struct transport *transport, struct flow *flow, const struct transport_span *span, uint64_t now)
{
    if (flow->state >= FLOW_CLOSING || flow->closed) {
        return false;
    }
    if (flow->state == FLOW_OPEN && span->length > flow->tx.max_message) {
        flow_abort(flow, TRANSPORT_TOO_LONG, WIRE_REASON_ABORTED, now);
        transport_reap(transport);
        return false;
    }
    if (!deque_reserve(&flow->tx.messages, &transport->pool, 1, sizeof(struct outgoing))) {
        flow_abort(flow, TRANSPORT_NO_MEMORY, WIRE_REASON_NO_SPACE, now);
        transport_reap(transport);
        return false;
    }
    struct outgoing *message = deque_push(&flow->tx.messages, sizeof *message);
    *message = (struct outgoing){.data = span->data, .tag = span->tag, .cookie = span->cookie, .length = span->length};
    flow->tx.queued_bytes += span->length;
    if (flow->state == FLOW_OPEN) {
        flow_activate(flow);
    }
    return true;
}

void send_check_lengths(struct flow *flow, uint64_t now)
{
    for (uint64_t n = flow->tx.messages.base; n < deque_end(&flow->tx.messages); n++) {
        if (OUTGOING(flow, n)->length > flow->tx.max_message) {
            flow_abort(flow, TRANSPORT_TOO_LONG, WIRE_REASON_ABORTED, now);
            return;
        }
    }
}

static void tell_sent(struct flow *flow, const struct outgoing *message, enum transport_status status)
{
    flow->tx.queued_bytes -= message->length;
    if (flow->owner) {
        flow->transport->ops.sent(flow->owner, flow->user, message->cookie, status);
    }
}

void send_complete(struct flow *flow, struct outgoing *message)
{
    message->done = true;
    flow->messages_sent++;
    flow->bytes_sent += message->length;
    flow->transport->counters.messages_sent++;
    tell_sent(flow, message, TRANSPORT_OK);
}

void send_trim(struct flow *flow)
{
    struct sender *tx = &flow->tx;
    while (tx->messages.base < tx->next && OUTGOING(flow, tx->messages.base)->done) {
        deque_drop(&tx->messages, 1);
    }
    if (deque_count(&tx->messages) == 0) {
        deque_reset(&tx->messages, &flow->transport->pool, sizeof(struct outgoing));
        deque_reset(&tx->again, &flow->transport->pool, sizeof(struct piece));
    }
}

void send_fail(struct flow *flow, enum transport_status status)
{
    struct sender *tx = &flow->tx;
    for (uint64_t n = tx->messages.base; n < deque_end(&tx->messages); n++) {
        struct outgoing *message = OUTGOING(flow, n);
        if (!message->done) {
            message->done = true;
            tell_sent(flow, message, status);
        }
    }
    deque_reset(&tx->messages, &flow->transport->pool, sizeof(struct outgoing));
    deque_reset(&tx->again, &flow->transport->pool, sizeof(struct piece));
    tx->held_count = 0;
    tx->next = deque_end(&tx->messages);
}

bool send_drained(const struct flow *flow)
{
    return flow->tx.next == deque_end(&flow->tx.messages) && flow->tx.held_count == 0;
}

bool send_credit(struct flow *flow, uint64_t bytes, uint32_t messages, uint64_t now)
{
    struct sender *tx = &flow->tx;
    tx->credit_bytes = max_u64(tx->credit_bytes, bytes);
    tx->credit_messages = max_u64(tx->credit_messages, wire_expand32(messages, tx->begun));
    recovery_go_on(flow, now);
    flow_activate(flow);
    return true;
}

bool send_grant(struct flow *flow, uint32_t low, uint32_t bytes)
{
    struct sender *tx = &flow->tx;
    uint64_t number = wire_expand32(low, tx->begun);
    if (number >= tx->begun) {
        return false;
    }
    if (number >= tx->messages.base) {
        struct outgoing *message = OUTGOING(flow, number);
        bytes = bytes < message->length ? bytes : message->length;
        if (bytes > message->granted) {
            message->granted = bytes;
            flow_activate(flow);
        }
    }
    return true;
}
