/* SPDX-License-Identifier: MIT */
/* FLOW packets in: checked as a whole, then applied. */
#include "flow/flow.h"

enum { FRAMES_KEPT = 24 };

/* A packet's first frames, decoded, so that most packets are decoded once; the rest begins at `rest`. */
struct frames {
    struct wire_frame kept[FRAMES_KEPT];
    uint32_t count;
    size_t rest;
};

/* Whether all frames can be decoded: enum wire_result. */
static int check_frames(const uint8_t *body, size_t length, struct frames *frames)
{
    struct wire_frame passed;
    size_t position = 0;
    int result = WIRE_OK;
    frames->count = 0;
    while (result == WIRE_OK && frames->count < FRAMES_KEPT) {
        result = wire_frame_decode(body, length, &position, &frames->kept[frames->count]);
        frames->count += result == WIRE_OK ? 1 : 0;
    }
    frames->rest = position;
    while (result == WIRE_OK) {
        result = wire_frame_decode(body, length, &position, &passed);
    }
    return result == WIRE_END ? WIRE_OK : result;
}

static enum placement apply_data(struct flow *flow, const struct wire_frame *frame, uint64_t now)
{
    if (flow->state != FLOW_ENDED) {
        return incoming_place(flow, frame, now);
    }
    /* Who aborted does not acknowledge what nobody will read. */
    return flow->reset_reason != WIRE_REASON_NONE ? NOT_PLACED : PLACED;
}

static enum placement apply_fin(struct flow *flow, const struct wire_frame *frame)
{
    struct receiver *rx = &flow->rx;
    uint64_t messages = wire_expand32(frame->fin.messages, rx->complete);
    if (flow->fin_received ? messages != rx->fin_messages
                           : flow->state != FLOW_ENDED && messages < deque_end(&rx->messages)) {
        return VIOLATION;
    }
    flow->fin_received = true;
    rx->fin_messages = messages;
    return PLACED;
}

static enum placement apply_blocked(struct flow *flow, const struct wire_frame *frame, uint64_t now)
{
    credit_blocked(flow, frame->blocked.bytes, wire_expand32(frame->blocked.message, flow->rx.complete), now);
    return PLACED;
}

static enum placement verdict(bool lawful)
{
    return lawful ? PLACED : VIOLATION;
}

static enum placement apply(struct flow *flow, const struct wire_frame *frame, uint64_t now)
{
    bool open = flow->state != FLOW_ENDED;
    switch (frame->type) {
    case WIRE_FRAME_ACK:
        return verdict(ack_receive(flow, frame, now));
    case WIRE_FRAME_CREDIT:
        return verdict(!open || send_credit(flow, frame->credit.bytes, frame->credit.messages, now));
    case WIRE_FRAME_GRANT:
        return verdict(!open || send_grant(flow, frame->grant.message, frame->grant.bytes));
    case WIRE_FRAME_FIN:
        return apply_fin(flow, frame);
    case WIRE_FRAME_RESET:
        flow_end(flow, TRANSPORT_RESET, now);
        return PLACED;
    case WIRE_FRAME_BLOCKED:
        return apply_blocked(flow, frame, now);
    case WIRE_FRAME_PING: /* the peer waits for an answer */
        flow->rx.ack_now = true;
        return PLACED;
    default:
        return apply_data(flow, frame, now);
    }
}

/* Applies one more frame of a packet; what it made of those before is in *all. False: the flow cannot go on. */
static bool apply_next(struct flow *flow, const struct wire_frame *frame, enum placement *all, bool *eliciting,
                       uint64_t now)
{
    *eliciting |= frame->type != WIRE_FRAME_ACK;
    enum placement result = apply(flow, frame, now);
    *all = result == PLACED ? *all : result;
    return result != VIOLATION && result != TOO_LONG;
}

/* All frames are applied even if one finds no room: each can be applied again when the packet's content comes again. */
static enum placement apply_all(struct flow *flow, const struct frames *frames, const uint8_t *body, size_t length,
                                bool *eliciting, uint64_t now)
{
    struct wire_frame frame;
    size_t position = frames->rest;
    enum placement all = PLACED;
    for (uint32_t i = 0; i < frames->count; i++) {
        if (!apply_next(flow, &frames->kept[i], &all, eliciting, now)) {
            return all;
        }
    }
    while (wire_frame_decode(body, length, &position, &frame) == WIRE_OK &&
           apply_next(flow, &frame, &all, eliciting, now)) {
    }
    return all;
}

static void heard(struct flow *flow, uint64_t now)
{
    flow->packets_received++;
    flow->tx.silent = 0;
    flow->tx.silence = now - flow->tx.heard_at;
    flow->tx.heard_at = now;
    peer_heard(flow->peer, now);
}

/* What may follow from what has come. */
static void progress(struct flow *flow, uint64_t now)
{
    flow_deliver(flow, now);
    if (flow->in_waiting) {
        grant_run(flow->transport, flow->owner, now);
    }
    if (flow->state == FLOW_OPEN && flow->fin_received && flow->rx.complete >= flow->rx.fin_messages) {
        flow_end(flow, TRANSPORT_CLOSED, now);
    }
    close_progress(flow, now);
    flow_timer(flow);
}

static void acknowledge_again(struct flow *flow)
{
    if (flow->rx.next_number > 0) {
        flow->rx.ack_now = true;
        flow_activate(flow);
    }
}

void flow_receive(struct flow *flow, const struct wire_header *header, const uint8_t *body, size_t length, uint64_t now)
{
    struct transport_counters *counters = &flow->transport->counters;
    uint64_t number = header->packet_number;
    bool eliciting = false;

    if (number >= flow->rx.next_number + NUMBER_JUMP_MAX) {
        counters->malformed++;
        return;
    }
    if (!number_is_new(flow, number)) {
        counters->duplicate_packets++;
        acknowledge_again(flow);
        return;
    }
    if (!number_reserve(flow, number)) {
        counters->no_memory_drops++;
        return;
    }
    struct frames frames; /* not cleared: it is large */
    int result = check_frames(body, length, &frames);
    if (result != WIRE_OK && result != WIRE_ECRITICAL) {
        counters->malformed++;
        return;
    }
    if (flow->state == FLOW_ACCEPTING) {
        handshake_confirmed(flow, now);
    }
    heard(flow, now);
    enum placement placement = result == WIRE_OK ? apply_all(flow, &frames, body, length, &eliciting, now) : VIOLATION;
    if (placement == VIOLATION) {
        flow_abort(flow, TRANSPORT_PROTOCOL, WIRE_REASON_PROTOCOL, now);
        return;
    }
    if (placement == TOO_LONG) {
        flow_abort(flow, TRANSPORT_NO_MEMORY, WIRE_REASON_NO_SPACE, now);
        return;
    }
    if (placement == PLACED) {
        number_record(flow, number, eliciting, now);
    } else {
        counters->no_memory_drops++;
        acknowledge_again(flow);
    }
    progress(flow, now);
}
