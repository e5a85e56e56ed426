/* SPDX-License-Identifier: MIT */
/* What goes of messages into a packet: of lost ones, of large ones that are being sent, of new ones. */
#include "flow/packet.h"

#include <string.h>

/* How many of the `wanted` bytes at `offset` go into the packet; -1: none, the packet is full. */
static int64_t fit(const struct packet *packet, const struct outgoing *message, uint32_t offset, uint32_t wanted)
{
    size_t room = packet->limit - packet->used;
    size_t tag = offset == 0 && message->tag != 0 ? WIRE_TAG_BYTES : 0;
    size_t whole = WIRE_DATA_BYTES + tag;
    size_t fragment = whole + WIRE_FRAGMENT_BYTES;
    bool is_whole = offset == 0 && wanted == message->length;

    if (is_whole && whole + wanted <= room) {
        return wanted;
    }
    if (!is_whole && fragment + wanted <= room) {
        return wanted;
    }
    bool fits_alone = fragment + wanted <= packet->limit - WIRE_HEADER_BYTES;
    if (room <= fragment || (packet->piece_count > 0 && fits_alone && room < SPLIT_MIN)) {
        return -1;
    }
    return (int64_t)(room - fragment < wanted ? room - fragment : wanted);
}

static bool add_bytes(struct flow *flow, struct packet *packet, uint64_t number, uint32_t offset, uint32_t length)
{
    const struct outgoing *message = OUTGOING(flow, number);
    bool whole = length == message->length;
    bool tagged = offset == 0 && message->tag != 0;
    struct wire_frame frame; /* not cleared: it is large, and this is the path of every message */
    frame.type = (uint8_t)(WIRE_FRAME_DATA | (whole ? 0 : WIRE_DATA_FRAGMENT) | (tagged ? WIRE_DATA_TAG : 0));
    frame.data.payload = NULL;
    frame.data.tag = message->tag;
    frame.data.message = (uint32_t)number;
    frame.data.length = length;
    frame.data.total = message->length;
    frame.data.offset = offset;
    if (!packet_add_control(packet, &frame, 0)) {
        return false;
    }
    if (length > 0) {
        memcpy(packet->bytes + packet->used, message->data + offset, length);
        packet->used += length;
    }
    return true;
}

static bool reserve_piece(struct flow *flow)
{
    struct deque *pieces = &flow->tx.pieces;
    return deque_count(pieces) < PIECES_MAX && deque_reserve(pieces, &flow->transport->pool, 1, sizeof(struct piece));
}

/* The same, and the record will say so. */
static bool emit(struct flow *flow, struct packet *packet, uint64_t number, uint32_t offset, uint32_t length)
{
    struct deque *pieces = &flow->tx.pieces;
    const bool full = packet->single && packet->piece_count > 0;
    if (full || !reserve_piece(flow) || !add_bytes(flow, packet, number, offset, length)) {
        return false;
    }
    *(struct piece *)deque_push(pieces, sizeof(struct piece)) =
        (struct piece){.message = (uint32_t)number, .count = 1, .offset = offset, .length = length};
    packet->piece_count++;
    return true;
}

void packet_add_again(struct flow *flow, struct packet *packet)
{
    struct sender *tx = &flow->tx;
    while (deque_count(&tx->again) > 0) {
        struct piece *piece = deque_at(&tx->again, tx->again.base, sizeof *piece);
        uint64_t number = number_from(tx->messages.base, piece->message);
        if (piece_wanted(flow, piece)) {
            int64_t length = fit(packet, OUTGOING(flow, number), piece->offset, piece->length);
            if (length < 0 || !emit(flow, packet, number, piece->offset, (uint32_t)length)) {
                packet->more = true;
                return;
            }
            packet->again = true;
            piece->offset += (uint32_t)length;
            piece->length -= (uint32_t)length;
            if (piece->length > 0) {
                packet->more = true;
                return;
            }
        }
        deque_drop(&tx->again, 1);
    }
}

void packet_add_held(struct flow *flow, struct packet *packet)
{
    struct sender *tx = &flow->tx;
    while (tx->held_count > 0) {
        uint64_t number = number_from(tx->messages.base, tx->held_first);
        struct outgoing *message = OUTGOING(flow, number);
        if (message->next < message->granted) {
            int64_t length = fit(packet, message, message->next, message->granted - message->next);
            if (length < 0 || !emit(flow, packet, number, message->next, (uint32_t)length)) {
                packet->more = true;
                return;
            }
            message->next += (uint32_t)length;
        }
        if (message->next < message->length) {
            packet->more |= message->next < message->granted;
            return;
        }
        tx->held_first = message->held_next;
        tx->held_count--;
    }
}

static void hold(struct sender *tx, struct flow *flow, uint64_t number)
{
    if (tx->held_count++ == 0) {
        tx->held_first = (uint32_t)number;
    } else {
        OUTGOING(flow, number_from(tx->messages.base, tx->held_last))->held_next = (uint32_t)number;
    }
    tx->held_last = (uint32_t)number;
}

/* Whether credit allows the message `next` to begin; asks for more if not. */
static bool may_begin(struct flow *flow, const struct outgoing *message)
{
    struct sender *tx = &flow->tx;
    uint64_t charged = tx->charged + flow_charge(message->length);
    if (charged <= tx->credit_bytes && tx->next < tx->credit_messages) {
        return true;
    }
    flow->blocked_wanted = tx->blocked_told != charged;
    return false;
}

static void add_whole(struct packet *packet, struct outgoing *message, uint64_t number)
{
    packet->used += wire_whole_encode(packet->bytes + packet->used, (uint32_t)number, message->length, message->tag);
    if (message->length > 0) {
        memcpy(packet->bytes + packet->used, message->data, message->length);
        packet->used += message->length;
    }
    message->next = message->length;
}

/* Messages that begin now and fit as a whole, as far as credit goes, as one piece: packet_add_new, but quicker for many small ones. */
static void add_run(struct flow *flow, struct packet *packet)
{
    struct sender *tx = &flow->tx;
    const uint64_t first = tx->next;
    if (packet->single || tx->begun != first || first == deque_end(&tx->messages) || !reserve_piece(flow)) {
        return;
    }
    while (tx->next < deque_end(&tx->messages) && tx->next < tx->credit_messages) {
        struct outgoing *message = OUTGOING(flow, tx->next);
        const uint64_t charged = tx->charged + flow_charge(message->length);
        if (charged > tx->credit_bytes ||
            wire_whole_bytes(message->tag) + message->length > packet->limit - packet->used) {
            break;
        }
        add_whole(packet, message, tx->next++);
        tx->charged = charged;
    }
    tx->begun = tx->next;
    const uint32_t count = (uint32_t)(tx->next - first);
    if (count == 0) {
        return;
    }
    *(struct piece *)deque_push(&tx->pieces, sizeof(struct piece)) = (struct piece){
        .message = (uint32_t)first, .count = count, .length = count == 1 ? OUTGOING(flow, first)->length : 0};
    packet->piece_count++;
    packet->eliciting = true;
}

void packet_add_new(struct flow *flow, struct packet *packet)
{
    struct sender *tx = &flow->tx;
    add_run(flow, packet);
    while (tx->next < deque_end(&tx->messages)) {
        struct outgoing *message = OUTGOING(flow, tx->next);
        if (tx->begun == tx->next && !may_begin(flow, message)) {
            return;
        }
        int64_t length = fit(packet, message, message->next, message->length - message->next);
        if (length < 0 || !emit(flow, packet, tx->next, message->next, (uint32_t)length)) {
            packet->more = true;
            return;
        }
        if (tx->begun == tx->next) {
            tx->begun++;
            tx->charged += flow_charge(message->length);
        }
        message->next += (uint32_t)length;
        if (message->next < message->length && message->length <= LARGE_MESSAGE) {
            packet->more = true;
            return;
        }
        if (message->next < message->length) {
            hold(tx, flow, tx->next);
        }
        tx->next++;
    }
}

/* False: it has no room. */
static bool copy_part(struct flow *flow, struct packet *packet, const struct piece *part)
{
    if (!piece_wanted(flow, part)) {
        return true;
    }
    const uint64_t number = number_from(flow->tx.messages.base, part->message);
    const int64_t length = fit(packet, OUTGOING(flow, number), part->offset, part->length);
    const bool added = length >= 0 && add_bytes(flow, packet, number, part->offset, (uint32_t)length);
    packet->again |= added;
    return added && length == part->length;
}

void packet_add_copy(struct flow *flow, struct packet *packet)
{
    uint64_t last;
    if (flow->state == FLOW_ENDED || !record_last(flow, &last)) {
        return;
    }
    const struct record *record = RECORD(flow, last);
    bool all = true;
    for (uint32_t i = 0; i < record->piece_count && all; i++) {
        const struct piece *piece = PIECE_OF(flow, record, i);
        for (uint32_t k = 0; k < piece->count && all; k++) {
            const struct piece part = piece_part(flow, piece, k);
            all = copy_part(flow, packet, &part);
        }
    }
    if (all && packet->again) {
        packet->flags |= RECORD_COPY;
        packet->copied = (uint32_t)last;
    }
}
