/* SPDX-License-Identifier: MIT */
/* FLOW packets out: which frames go into the next one. */
#include "flow/packet.h"

#include <assert.h>
#include <string.h>

enum { PACED_BURST_MAX = 16 };

static bool add_frame(struct packet *packet, const struct wire_frame *frame)
{
    size_t length = wire_frame_encode(packet->bytes + packet->used, packet->limit - packet->used, frame);
    packet->used += length;
    packet->more |= length == 0;
    return length > 0;
}

bool packet_add_control(struct packet *packet, const struct wire_frame *frame, uint16_t flag)
{
    if (!add_frame(packet, frame)) {
        return false;
    }
    packet->flags |= flag;
    packet->eliciting = true;
    return true;
}

static bool fin_is_next(const struct flow *flow)
{
    return flow->fin_wanted && send_drained(flow);
}

/*
 * Returns true if there is one; it counts as told when the packet goes out. Each FIN brings one, the repeated too: a peer that has heard of our end knows
 * what has arrived, and need not ask again when we may have forgotten the flow.
 */
static bool add_ack(struct flow *flow, struct packet *packet, uint64_t now)
{
    struct wire_frame frame;
    const bool wanted = flow->rx.ack_now || flow->rx.unacknowledged > 0 || fin_is_next(flow);
    if (!wanted || flow->rx.next_number == 0) {
        return false;
    }
    ack_frame(flow, &frame, now);
    return add_frame(packet, &frame);
}

static void add_grants(struct flow *flow, struct packet *packet)
{
    struct receiver *rx = &flow->rx;
    for (uint64_t n = rx->messages.base; n < deque_end(&rx->messages) && rx->grants_owed > 0; n++) {
        struct incoming *message = INCOMING(flow, n);
        if (!message->grant_owed) {
            continue;
        }
        struct wire_frame frame = {.type = WIRE_FRAME_GRANT,
                                   .grant = {.message = (uint32_t)n, .bytes = message->total}};
        if (!packet_add_control(packet, &frame, RECORD_GRANT)) {
            return;
        }
        message->grant_owed = false;
        message->grant_packet = deque_end(&flow->tx.records);
        rx->grants_owed--;
    }
}

static void add_controls(struct flow *flow, struct packet *packet)
{
    if (flow->reset_wanted) {
        struct wire_frame frame = {.type = WIRE_FRAME_RESET, .reset = {.reason = flow->reset_reason}};
        if (packet_add_control(packet, &frame, RECORD_RESET)) {
            flow->reset_wanted = false;
        }
    }
    if (flow->state == FLOW_ENDED) {
        return;
    }
    if (flow->credit_wanted) {
        struct wire_frame frame = {
            .type = WIRE_FRAME_CREDIT,
            .credit = {.messages = (uint32_t)flow->rx.limit_messages, .bytes = flow->rx.limit_bytes}};
        if (packet_add_control(packet, &frame, RECORD_CREDIT)) {
            flow->credit_wanted = false;
            flow->rx.told_bytes = flow->rx.limit_bytes;
            flow->rx.told_messages = flow->rx.limit_messages;
        }
    }
    add_grants(flow, packet);
}

static void add_fin(struct flow *flow, struct packet *packet)
{
    if (!fin_is_next(flow)) {
        return;
    }
    struct wire_frame frame = {.type = WIRE_FRAME_FIN,
                               .fin = {.messages = (uint32_t)flow->tx.begun, .reason = flow->fin_reason}};
    if (packet_add_control(packet, &frame, RECORD_FIN)) {
        flow->fin_wanted = false;
        flow->fin_sent = true;
    }
}

static void add_blocked(struct flow *flow, struct packet *packet)
{
    struct sender *tx = &flow->tx;
    if (!flow->blocked_wanted) {
        return;
    }
    flow->blocked_wanted = false;
    if (tx->next == deque_end(&tx->messages) || tx->begun != tx->next) {
        return;
    }
    uint64_t charged = tx->charged + flow_charge(OUTGOING(flow, tx->next)->length);
    struct wire_frame frame = {.type = WIRE_FRAME_BLOCKED,
                               .blocked = {.bytes = charged, .message = (uint32_t)tx->next}};
    if (packet_add_control(packet, &frame, RECORD_BLOCKED)) {
        tx->blocked_told = charged;
    }
}

static bool messages_wanted(const struct sender *tx)
{
    return tx->next < deque_end(&tx->messages) || deque_count(&tx->again) > 0 || tx->held_count > 0;
}

static bool window_full(const struct sender *tx)
{
    return tx->in_flight >= congestion_window(&tx->congestion);
}

/* Whether the receiver waits for the large message that is being sent sooner than for what was lost: it may have no memory for later
 * messages before that one is complete. */
static bool held_is_first(const struct sender *tx)
{
    if (tx->held_count == 0 || deque_count(&tx->again) == 0) {
        return false;
    }
    const struct piece *lost = deque_at(&tx->again, tx->again.base, sizeof *lost);
    return number_from(tx->messages.base, tx->held_first) < number_from(tx->messages.base, lost->message);
}

static void add_data(struct flow *flow, struct packet *packet, uint64_t now)
{
    struct sender *tx = &flow->tx;
    if (flow->state == FLOW_ENDED || (!tx->probe && (window_full(tx) || tx->pace_at > now))) {
        return;
    }
    packet->single = tx->single;
    if (held_is_first(tx)) {
        packet_add_held(flow, packet);
    }
    if (!packet->more) {
        packet_add_again(flow, packet);
    }
    if (!packet->more) {
        packet_add_held(flow, packet);
    }
    if (!packet->more) {
        packet_add_new(flow, packet);
    }
    add_blocked(flow, packet);
}

/*
 * What goes out beyond what window and credit allow. A probe brings a copy of the last packet if there is nothing else, and asks for an
 * answer at once. And so does, without asking, what was sent again at the end of all that there is to send, so that losing it too does
 * not cost another timeout (Flach et al., Reducing Web Latency, SIGCOMM 2013).
 */
static void add_probe(struct flow *flow, struct packet *packet)
{
    struct sender *tx = &flow->tx;
    if (packet->piece_count == 0 && (tx->probe || (tx->copy && tx->in_flight < congestion_window(&tx->congestion)))) {
        packet_add_copy(flow, packet);
    }
    tx->copy = false;
    if (tx->probe) {
        struct wire_frame ping = {.type = WIRE_FRAME_PING};
        packet_add_control(packet, &ping, 0);
    }
}

/* Padding makes full packets of a burst equally long, so that the kernel or the NIC can cut them from one buffer. */
static void pad(struct packet *packet)
{
    size_t left = packet->limit - packet->used;
    if (packet->more && packet->piece_count > 0 && left < SPLIT_MIN) {
        memset(packet->bytes + packet->used, WIRE_FRAME_PADDING, left);
        packet->used += left;
    }
}

/* How many packets go out together, as far as the window allows: enough for segmentation offload, not enough to fill a queue. */
static uint32_t burst_packets(const struct sender *tx)
{
    return (uint32_t)min_u64(max_u64(congestion_window(&tx->congestion) / 4, 1), PACED_BURST_MAX);
}

/*
 * pace_at moves on with every packet by its share of the gap, and lags at most a burst behind the time: what a sender that had nothing to
 * send, or a loop that was late, may catch up with.
 */
static void pace(struct sender *tx, const struct packet *packet, uint64_t now)
{
    const uint64_t gap = congestion_gap_ns(&tx->congestion);
    const uint64_t lag = gap * burst_packets(tx);
    tx->pace_at = max_u64(tx->pace_at, now > lag ? now - lag : 0) + gap * packet->used / packet->limit;
}

uint64_t send_paused_until(const struct flow *flow, uint64_t now)
{
    const struct sender *tx = &flow->tx;
    if (tx->pace_at <= now || window_full(tx) || !messages_wanted(tx)) {
        return NEVER;
    }
    return tx->pace_at + (uint64_t)congestion_gap_ns(&tx->congestion) * (burst_packets(tx) - 1);
}

static size_t finish(struct flow *flow, struct packet *packet, uint64_t now)
{
    struct sender *tx = &flow->tx;
    struct wire_header header = {
        .version = WIRE_VERSION, .type = WIRE_FLOW, .packet_number = deque_end(&tx->records), .dcid = flow->remote_cid};
    struct record *record = deque_push(&tx->records, sizeof *record);
    *record = (struct record){.time = now,
                              .first_piece = packet->first_piece,
                              .piece_count = (uint16_t)packet->piece_count,
                              .flags = packet->flags,
                              .link = packet->copied,
                              .length = (uint16_t)(packet->used + WIRE_TRAILER_RESERVED)};
    const bool probe = tx->probe;
    if (packet->eliciting) {
        record->flags |= RECORD_LIVE;
        tx->in_flight++;
        tx->last_sent = now;
        tx->probe_from = now;
        tx->probe = tx->single = false;
    }
    if (packet->piece_count > 0) {
        pace(tx, packet, now);
    }
    if (packet->again) {
        flow->packets_retransmitted++;
        flow->transport->counters.packets_retransmitted++;
        tx->copy = !probe && !(packet->flags & RECORD_COPY) && send_drained(flow) && deque_count(&tx->again) == 0;
    }
    if (tx->in_flight == 0) {
        records_trim(flow);
    }
    wire_header_encode(packet->bytes, &header);
    return wire_packet_seal(packet->bytes, packet->used);
}

bool send_urgent(const struct flow *flow)
{
    return flow->tx.probe || flow->tx.copy || flow->rx.ack_now || flow->credit_wanted || flow->rx.grants_owed > 0 ||
           flow->blocked_wanted || flow->fin_wanted || flow->reset_wanted;
}

bool send_wanted(const struct flow *flow)
{
    return messages_wanted(&flow->tx) || send_urgent(flow);
}

/* ---- The size of packets ---- */

uint32_t send_max_payload(const struct flow *flow)
{
    return (uint32_t)min_u64(flow->tx.max_payload, flow->peer->mtu.payload);
}

/* Bytes of the next packet, without the trailer. If there is silence, long packets may be what does not pass: then what asks for a sign
 * of life must not be one. */
static size_t packet_limit(const struct flow *flow, size_t capacity)
{
    const bool doubtful = flow->tx.probe && (flow->tx.silent >= 2 || flow->peer->mtu.lost > 0);
    const uint64_t longest = doubtful ? WIRE_PAYLOAD_MIN_MTU : send_max_payload(flow);
    return (size_t)min_u64(capacity, longest) - WIRE_TRAILER_RESERVED;
}

/* Whether longer packets would be of use to the flow, and may be tried now. */
static bool mtu_probe_due(const struct flow *flow, size_t capacity, uint64_t now)
{
    const struct mtu *mtu = &flow->peer->mtu;
    return now >= mtu->next_at && flow->tx.queued_bytes > mtu->payload && flow->tx.silent == 0 &&
           flow->state != FLOW_ENDED && mtu->size <= min_u64(capacity, flow->tx.max_payload);
}

/* A packet that nobody misses: it holds no ACK, its loss makes nothing be sent again, is no sign of congestion, and is no reason to wait for an answer. */
static size_t transmit_mtu_probe(struct flow *flow, uint8_t *buffer, uint64_t now)
{
    struct mtu *mtu = &flow->peer->mtu;
    struct packet packet = {.bytes = buffer,
                            .used = WIRE_HEADER_BYTES,
                            .limit = (size_t)mtu->size - WIRE_TRAILER_RESERVED,
                            .first_piece = (uint32_t)deque_end(&flow->tx.pieces)};
    add_frame(&packet, &(struct wire_frame){.type = WIRE_FRAME_PING});
    memset(packet.bytes + packet.used, WIRE_FRAME_PADDING, packet.limit - packet.used);
    packet.used = packet.limit;
    mtu_probe_sent(mtu, flow, deque_end(&flow->tx.records), now, 2 * retransmission_timeout(flow));
    flow->transport->counters.mtu_probes++;
    return finish(flow, &packet, now);
}

size_t send_transmit(struct flow *flow, uint8_t *buffer, size_t capacity, uint64_t now)
{
    struct sender *tx = &flow->tx;
    if (deque_end(&tx->records) >= WIRE_PACKET_NUMBER_MAX || !records_reserve(flow)) {
        flow_abort(flow, TRANSPORT_NO_MEMORY, WIRE_REASON_NO_SPACE, now);
        flow_forget(flow);
        return 0;
    }
    if (mtu_probe_due(flow, capacity, now)) {
        return transmit_mtu_probe(flow, buffer, now);
    }
    struct packet packet = {.bytes = buffer,
                            .used = WIRE_HEADER_BYTES,
                            .limit = packet_limit(flow, capacity),
                            .first_piece = (uint32_t)deque_end(&tx->pieces)};
    const bool acknowledges = add_ack(flow, &packet, now);
    const size_t ack_end = packet.used;
    add_controls(flow, &packet);
    add_data(flow, &packet, now);
    add_fin(flow, &packet);
    add_probe(flow, &packet);
    if (packet.used == ack_end && !(acknowledges && flow->rx.ack_now)) {
        records_trim(flow); /* an ACK that is not due waits for company */
        return 0;
    }
    if (acknowledges) {
        ack_sent(flow, now);
    }
    if (packet.first_piece != (uint32_t)deque_end(&tx->pieces)) {
        ack_answered(flow, now);
    }
    pad(&packet);
    return finish(flow, &packet, now);
}
