/* SPDX-License-Identifier: MIT */
#include "support/flow_check.h"

#include <assert.h>
#include <stdlib.h>

#include "flow/flow.h"

static const struct piece *piece_at(const struct deque *pieces, uint64_t number)
{
    return deque_at(pieces, number, sizeof(struct piece));
}

/* Adds the piece to the sums of its messages, unless nobody needs them any more. */
static void count_piece(const struct flow *flow, const struct piece *piece, uint64_t *sums)
{
    const struct deque *messages = &flow->tx.messages;
    assert(piece->count > 0);
    for (uint32_t i = 0; i < piece->count; i++) {
        uint64_t number = number_from(messages->base, piece->message + i);
        if (deque_holds(messages, number)) {
            sums[number - messages->base] += piece->count > 1 ? OUTGOING(flow, number)->length : piece->length;
        }
    }
}

static void check_records(const struct flow *flow, uint64_t *sums)
{
    const struct sender *tx = &flow->tx;
    uint32_t live = 0;
    for (uint64_t n = tx->records.base; n < deque_end(&tx->records); n++) {
        const struct record *record = RECORD(flow, n);
        if (!(record->flags & RECORD_LIVE)) {
            continue;
        }
        live++;
        for (uint32_t i = 0; i < record->piece_count; i++) {
            count_piece(flow, piece_at(&tx->pieces, record->first_piece + i), sums);
        }
    }
    assert(live == tx->in_flight);
    assert(!tx->single || tx->probe);
    for (uint64_t n = tx->again.base; n < deque_end(&tx->again); n++) {
        count_piece(flow, piece_at(&tx->again, n), sums);
    }
}

static void check_sender(const struct flow *flow)
{
    const struct sender *tx = &flow->tx;
    uint64_t *sums = calloc(deque_count(&tx->messages) + 1, sizeof *sums);
    uint64_t queued = 0;
    assert(sums);
    check_records(flow, sums);
    assert(tx->messages.base <= tx->next && tx->next <= deque_end(&tx->messages));
    if (flow->state != FLOW_ENDED) {
        assert(tx->next <= tx->begun && tx->begun <= tx->next + 1 && tx->begun <= deque_end(&tx->messages));
        assert(tx->charged <= tx->credit_bytes && tx->begun <= tx->credit_messages);
    }
    for (uint64_t n = tx->messages.base; n < deque_end(&tx->messages); n++) {
        const struct outgoing *message = OUTGOING(flow, n);
        assert(message->next <= message->length && message->acknowledged <= message->length);
        if (message->done) {
            continue;
        }
        queued += message->length;
        assert(message->acknowledged + sums[n - tx->messages.base] == message->next);
        assert(n < tx->begun || message->next == 0);
    }
    assert(queued == tx->queued_bytes);
    free(sums);
}

static void check_incoming(const struct incoming *message)
{
    uint32_t before = message->prefix;
    assert(message->prefix <= message->total);
    assert(message->complete == (message->known && message->prefix == message->total));
    for (uint32_t i = 0; message->ranges && i < message->ranges->count; i++) {
        const struct byte_range *range = &message->ranges->range[i];
        assert(range->start > before && range->end > range->start && range->end <= message->total);
        before = range->end;
    }
    assert(!message->ranges || message->ranges->count > 0 || !message->complete);
    assert(!(message->placed && message->first) && !(message->discarded && (message->placed || message->first)));
}

static void check_receiver(const struct flow *flow)
{
    const struct receiver *rx = &flow->rx;
    uint32_t owed = 0;
    assert(rx->messages.base <= rx->complete && rx->complete <= deque_end(&rx->messages));
    assert(deque_end(&rx->messages) <= rx->limit_messages || flow->state == FLOW_ENDED);
    assert(rx->delivered_bytes <= rx->charged && rx->released_bytes <= rx->delivered_bytes);
    assert(flow->settled || rx->charged <= rx->limit_bytes);
    for (uint64_t n = rx->messages.base; n < deque_end(&rx->messages); n++) {
        const struct incoming *message = INCOMING(flow, n);
        if (message->known) {
            check_incoming(message);
        }
        assert(n >= rx->complete || message->complete);
        owed += message->grant_owed;
    }
    assert(owed == rx->grants_owed);
}

static void check_flow(const struct transport *transport, const struct flow *flow)
{
    assert(flow->transport == transport && flow->state <= FLOW_GONE);
    assert((flow->peer == NULL) == (flow->state == FLOW_GONE));
    assert(flow->accepted_side || (flow->opening != NULL) == (flow->state == FLOW_OPENING));
    assert(!flow->accepted_side || flow->state != FLOW_OPENING);
    assert(!flow->in_opening || (flow->in_transmit && flow->state == FLOW_OPENING));
    assert(!flow->in_transmit || flow->state != FLOW_GONE);
    assert(!flow->in_undelivered || flow->owner);
    assert(!flow->in_waiting || (flow->owner && flow->rx.large_count > 0));
    assert((flow->rx.large_count > 0) == flow->in_waiting);
    assert(!flow->in_refused || (flow->owner && flow->rx.refused >= flow->rx.messages.base));
    if (flow_on_network(flow)) {
        check_sender(flow);
        check_receiver(flow);
    }
}

void flow_check(const struct transport *transport)
{
    uint32_t flows = 0, half_open = 0;
    for (uint32_t i = 0; i < transport->flow_slots; i++) {
        const struct flow *flow = transport->flows[i];
        if (flow) {
            flows++;
            half_open += flow->state == FLOW_ACCEPTING;
            assert(flow_find(transport, flow->cid) == flow);
            check_flow(transport, flow);
        }
    }
    assert(flows == transport->flow_count && flows + transport->free_count == transport->flow_slots);
    assert(transport->flow_slots <= transport->flow_capacity);
    assert(half_open == transport->half_open);
    assert(!transport->reap);
}

void flow_check_owner(const struct transport_owner *owner, uint64_t orphan_bytes)
{
    const struct flow *flow;
    uint64_t promised = orphan_bytes;
    uint32_t flows = 0, half_open = 0, waiting = 0, waiting_listed = 0, refused = 0, refused_listed = 0;
    DL_FOREACH2(owner->flows, flow, owner_next)
    {
        assert(flow->owner == owner);
        flows++;
        half_open += flow->state == FLOW_ACCEPTING;
        waiting += flow->in_waiting;
        refused += flow->in_refused;
        /* What the reader of a closed flow holds is an orphan's. */
        promised += flow->rx.limit_bytes - (flow->closed ? flow->rx.delivered_bytes : flow->rx.released_bytes);
    }
    DL_FOREACH2(owner->waiting_grant, flow, waiting_next)
    {
        waiting_listed++;
    }
    DL_FOREACH2(owner->refused, flow, refused_next)
    {
        refused_listed++;
    }
    assert(refused == refused_listed);
    assert(flows == owner->flow_count && half_open == owner->half_open && waiting == waiting_listed);
    assert(promised == owner->promised_bytes);
}
