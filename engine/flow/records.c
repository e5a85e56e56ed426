/* SPDX-License-Identifier: MIT */
/* Packets in flight: acknowledged, lost, asked about (RFC 9002 in outline). */
#include "flow/flow.h"

enum { REORDERING_PACKETS = 3, BLACK_HOLE_TIMEOUTS = 3 };

#define PROBE_INITIAL MILLISECONDS(10)
#define PROBE_EXTRA MILLISECONDS(1) /* the peer may hold its ACK back so long */
#define PROBE_MAX MILLISECONDS(200)

#define PIECE(deque, n) ((struct piece *)deque_at(deque, n, sizeof(struct piece)))

bool records_reserve(struct flow *flow)
{
    struct sender *tx = &flow->tx;
    if (deque_count(&tx->records) >= RECORDS_MAX && !record_lose(flow, tx->records.base)) {
        return false;
    }
    records_trim(flow);
    return deque_reserve(&tx->records, &flow->transport->pool, 1, sizeof(struct record));
}

void records_trim(struct flow *flow)
{
    struct sender *tx = &flow->tx;
    while (tx->records.base < tx->records.end) {
        const struct record *record = RECORD(flow, tx->records.base);
        if (record->flags & RECORD_LIVE) {
            return;
        }
        tx->pieces.base = record->first_piece + record->piece_count;
        tx->records.base++;
    }
    deque_reset(&tx->records, &flow->transport->pool, sizeof(struct record));
    deque_reset(&tx->pieces, &flow->transport->pool, sizeof(struct piece));
}

void records_free(struct flow *flow)
{
    struct sender *tx = &flow->tx;
    deque_reset(&tx->records, &flow->transport->pool, sizeof(struct record));
    deque_reset(&tx->pieces, &flow->transport->pool, sizeof(struct piece));
    tx->in_flight = 0;
}

/* The message of a piece, or NULL if nothing of it is needed any more. */
static struct outgoing *piece_message(struct flow *flow, const struct piece *piece)
{
    uint64_t number = number_from(flow->tx.messages.base, piece->message);
    if (!deque_holds(&flow->tx.messages, number) || OUTGOING(flow, number)->done) {
        return NULL;
    }
    return OUTGOING(flow, number);
}

static void lose_control(struct flow *flow, uint64_t number, uint16_t flags)
{
    flow->fin_wanted |= (flags & RECORD_FIN) != 0 && !flow->fin_acknowledged;
    flow->reset_wanted |= (flags & RECORD_RESET) != 0 && !flow->reset_acknowledged;
    flow->credit_wanted |= (flags & RECORD_CREDIT) != 0;
    if (flags & RECORD_BLOCKED) {
        flow->tx.blocked_told = 0;
    }
    if (flags & RECORD_GRANT) {
        for (uint64_t n = flow->rx.messages.base; n < flow->rx.messages.end; n++) {
            struct incoming *message = INCOMING(flow, n);
            if (message->granted && !message->grant_owed && !message->complete && message->grant_packet == number) {
                message->grant_owed = true;
                flow->rx.grants_owed++;
            }
        }
    }
}

bool record_lose(struct flow *flow, uint64_t number)
{
    struct sender *tx = &flow->tx;
    struct record *record = RECORD(flow, number);
    if (!(record->flags & RECORD_LIVE)) {
        return true;
    }
    if (!deque_reserve(&tx->again, &flow->transport->pool, record->piece_count, sizeof(struct piece))) {
        return false;
    }
    for (uint32_t i = 0; i < record->piece_count; i++) {
        const struct piece *piece = PIECE(&tx->pieces, record->first_piece + i);
        if (piece_message(flow, piece)) {
            *(struct piece *)deque_push(&tx->again, sizeof *piece) = *piece;
        }
    }
    lose_control(flow, number, record->flags);
    record->flags &= (uint16_t)~RECORD_LIVE;
    tx->in_flight--;
    flow->packets_lost++;
    flow->transport->counters.packets_lost++;
    return true;
}

void record_acknowledge(struct flow *flow, uint64_t number)
{
    struct record *record = RECORD(flow, number);
    for (uint32_t i = 0; i < record->piece_count; i++) {
        const struct piece *piece = PIECE(&flow->tx.pieces, record->first_piece + i);
        struct outgoing *message = piece_message(flow, piece);
        if (message) {
            message->acknowledged += piece->length;
            if (message->acknowledged == message->length) {
                send_complete(flow, message);
            }
        }
    }
    flow->fin_acknowledged |= (record->flags & RECORD_FIN) != 0;
    flow->reset_acknowledged |= (record->flags & RECORD_RESET) != 0;
    record->flags &= (uint16_t)~RECORD_LIVE;
    flow->tx.in_flight--;
}

uint64_t probe_timeout(const struct flow *flow)
{
    const struct sender *tx = &flow->tx;
    return tx->srtt == 0 ? PROBE_INITIAL : tx->srtt + 4 * tx->rttvar + PROBE_EXTRA;
}

uint64_t probe_at(const struct flow *flow)
{
    const struct sender *tx = &flow->tx;
    if (tx->in_flight == 0) {
        return NEVER;
    }
    uint64_t once = probe_timeout(flow);
    uint64_t pause = tx->backoff < 16 ? once << tx->backoff : PROBE_MAX;
    return tx->probe_from + min_u64(pause, max_u64(PROBE_MAX, once));
}

/* A packet is lost when one sent three later, or one sent long enough after it, has been acknowledged. */
void loss_detect(struct flow *flow, uint64_t now)
{
    struct sender *tx = &flow->tx;
    uint64_t patience = max_u64(tx->srtt, tx->latest_rtt);
    patience += patience / 8;
    tx->loss_at = NEVER;
    for (uint64_t n = tx->records.base; n + 1 < tx->largest_acknowledged && n < tx->records.end; n++) {
        const struct record *record = RECORD(flow, n);
        if (!(record->flags & RECORD_LIVE)) {
            continue;
        }
        if (n + REORDERING_PACKETS < tx->largest_acknowledged || record->time + patience <= now) {
            if (!record_lose(flow, n)) {
                break;
            }
            congestion_lost(&tx->congestion, n, tx->records.end, now);
            flow_activate(flow);
        } else {
            tx->loss_at = record->time + patience;
            break;
        }
    }
    records_trim(flow);
}

/* After three timeouts without a sign of life, big packets may be what does not get through. */
static void suspect_black_hole(struct flow *flow, uint64_t now)
{
    struct sender *tx = &flow->tx;
    if (tx->silent++ == 0) {
        tx->silent_from = now;
    }
    if (tx->silent >= BLACK_HOLE_TIMEOUTS) {
        tx->max_payload = WIRE_PAYLOAD_MIN_MTU;
    }
}

/* The peer's engine may live, but nothing of this flow gets through. */
static bool given_up(const struct flow *flow, uint64_t now)
{
    const struct sender *tx = &flow->tx;
    return tx->silent > BLACK_HOLE_TIMEOUTS && now - tx->silent_from >= flow->transport->config.dead_peer_ns;
}

/* An acknowledgement that comes after all will say that the timeout was too short: without that, it would stay so. */
static void doubt(struct sender *tx, uint64_t number, const struct record *record)
{
    if (tx->doubted_time == 0) {
        tx->doubted = number;
        tx->doubted_time = record->time;
    }
}

static void probe_now(struct flow *flow, uint64_t now)
{
    struct sender *tx = &flow->tx;
    tx->backoff++;
    tx->probe_from = now;
    tx->probe = true;
    flow->transport->counters.probe_timeouts++;
    suspect_black_hole(flow, now);
    if (tx->silent == 2) {
        congestion_timed_out(&tx->congestion, now);
    }
    records_trim(flow);
    doubt(tx, tx->records.base, RECORD(flow, tx->records.base));
    record_lose(flow, tx->records.base); /* without memory the probe is a PING */
    flow_activate(flow);
}

void loss_timeout(struct flow *flow, uint64_t now)
{
    if (flow->tx.loss_at <= now) {
        loss_detect(flow, now);
    }
    if (probe_at(flow) > now) {
        return;
    }
    probe_now(flow, now);
    if (given_up(flow, now)) {
        flow_end(flow, TRANSPORT_PEER_DEAD, now);
        flow_forget(flow);
    }
}
