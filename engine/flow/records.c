/* SPDX-License-Identifier: MIT */
/* Packets in flight or declared lost, and what they hold. */
#include "flow/flow.h"

#define PIECE(deque, n) ((struct piece *)deque_at(deque, n, sizeof(struct piece)))

/* How much later than a lost packet another one may have been sent and acknowledged before the lost one is forgotten: four round trips
 * and REMEMBER_MIN; while few packets are remembered, REMEMBER_FEW, in case the round trip is longer by far than we know. */
#define REMEMBER_MIN MILLISECONDS(1)
#define REMEMBER_FEW MILLISECONDS(1000)
enum { FEW_RECORDS = 256, REMEMBERED_MAX = 2048 };

bool records_reserve(struct flow *flow)
{
    struct sender *tx = &flow->tx;
    if (deque_count(&tx->records) >= RECORDS_MAX) {
        if (!record_lose(flow, tx->records.base)) {
            return false;
        }
        RECORD(flow, tx->records.base)->flags &= (uint16_t)~RECORD_LOST;
    }
    records_trim(flow);
    return deque_reserve(&tx->records, &flow->transport->pool, 1, sizeof(struct record));
}

/* A lost packet may turn out to have arrived as long as nothing that was sent much later has been acknowledged. That is not worth much memory,
 * which a peer could make us keep, nor pieces that what is sent needs. */
static bool remembered(const struct sender *tx, const struct record *record)
{
    const bool few = deque_count(&tx->records) <= FEW_RECORDS;
    if (deque_count(&tx->records) > REMEMBERED_MAX || deque_count(&tx->pieces) > PIECES_MAX / 2) {
        return false;
    }
    const uint64_t longest = max_u64(4 * (uint64_t)tx->srtt + REMEMBER_MIN, few ? REMEMBER_FEW : 0);
    return (record->flags & RECORD_LOST) && tx->newest_time <= record->time + longest;
}

void records_trim(struct flow *flow)
{
    struct sender *tx = &flow->tx;
    /* While a timeout's packet is still to go out, the acknowledgement of what it gave up may yet come, and is all that stops it. */
    const bool nothing_out = tx->in_flight == 0 && deque_count(&tx->again) == 0 && !send_urgent(flow);
    while (tx->records.base < deque_end(&tx->records)) {
        const struct record *record = RECORD(flow, tx->records.base);
        if ((record->flags & RECORD_LIVE) || (!nothing_out && remembered(tx, record))) {
            return;
        }
        deque_drop(&tx->pieces, record->piece_count); /* those of the records follow one another */
        deque_drop(&tx->records, 1);
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

/* The message with these low 32 bits, or NULL if nothing of it is needed any more. */
static struct outgoing *message_of(const struct flow *flow, uint32_t low)
{
    uint64_t number = number_from(flow->tx.messages.base, low);
    if (!deque_holds(&flow->tx.messages, number) || OUTGOING(flow, number)->done) {
        return NULL;
    }
    return OUTGOING(flow, number);
}

struct piece piece_part(const struct flow *flow, const struct piece *piece, uint32_t i)
{
    if (piece->count == 1) {
        return *piece;
    }
    const struct outgoing *message = message_of(flow, piece->message + i);
    return (struct piece){.message = piece->message + i, .count = 1, .length = message ? message->length : 0};
}

bool piece_wanted(const struct flow *flow, const struct piece *piece)
{
    const struct outgoing *message = message_of(flow, piece->message);
    return message && (piece->length > 0 || message->length == 0);
}

/* Drops what need not be sent again at the front of what waits for it. */
static void again_trim(struct flow *flow)
{
    struct deque *again = &flow->tx.again;
    while (deque_count(again) > 0 && !piece_wanted(flow, PIECE(again, again->base))) {
        deque_drop(again, 1);
    }
}

static uint64_t piece_urgency(const struct flow *flow, const struct piece *piece)
{
    const uint64_t message = (uint32_t)(piece->message - (uint32_t)flow->tx.messages.base);
    return piece_wanted(flow, piece) ? message << 32 | piece->offset : NEVER;
}

uint64_t record_urgency(const struct flow *flow, const struct record *record)
{
    uint64_t least = NEVER;
    for (uint32_t i = 0; i < record->piece_count; i++) {
        const struct piece *piece = PIECE_OF(flow, record, i);
        uint64_t urgency = NEVER;
        for (uint32_t k = 0; k < piece->count && urgency == NEVER; k++) {
            const struct piece part = piece_part(flow, piece, k);
            urgency = piece_urgency(flow, &part);
        }
        least = min_u64(least, urgency);
    }
    return least;
}

/* What waited before it waits behind it, in other places: if the lost packet that held it arrives after all, it is sent again nevertheless. */
void again_needed_first(struct flow *flow)
{
    struct deque *again = &flow->tx.again;
    uint64_t first = again->base, least = NEVER;
    for (uint64_t n = again->base; n < deque_end(again); n++) {
        const uint64_t urgency = piece_urgency(flow, PIECE(again, n));
        if (urgency < least) {
            first = n;
            least = urgency;
        }
    }
    while (again->base < first) {
        const struct piece piece = *PIECE(again, again->base);
        deque_drop(again, 1);
        *(struct piece *)deque_push(again, sizeof piece) = piece;
    }
}

void record_control_again(struct flow *flow, uint64_t number)
{
    const uint16_t flags = RECORD(flow, number)->flags;
    flow->fin_wanted |= (flags & RECORD_FIN) != 0 && !flow->fin_acknowledged;
    flow->reset_wanted |= (flags & RECORD_RESET) != 0 && !flow->reset_acknowledged;
    flow->credit_wanted |= (flags & RECORD_CREDIT) != 0;
    if (flags & RECORD_BLOCKED) {
        flow->tx.blocked_told = 0;
    }
    if (flags & RECORD_GRANT) {
        for (uint64_t n = flow->rx.messages.base; n < deque_end(&flow->rx.messages); n++) {
            struct incoming *message = INCOMING(flow, n);
            if (message->granted && !message->grant_owed && !message->complete && message->grant_packet == number) {
                message->grant_owed = true;
                flow->rx.grants_owed++;
            }
        }
    }
}

/* How many parts the pieces of a record have. */
static uint32_t parts(const struct flow *flow, const struct record *record)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < record->piece_count; i++) {
        count += PIECE_OF(flow, record, i)->count;
    }
    return count;
}

/* To be sent again, runs in their parts. */
static void queue_again(struct flow *flow, const struct record *record)
{
    for (uint32_t i = 0; i < record->piece_count; i++) {
        const struct piece *piece = PIECE_OF(flow, record, i);
        for (uint32_t k = 0; k < piece->count; k++) {
            *(struct piece *)deque_push(&flow->tx.again, sizeof(struct piece)) = piece_part(flow, piece, k);
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
    if (record->piece_count > 0 && !(record->flags & RECORD_ARRIVED)) {
        if (!deque_reserve(&tx->again, &flow->transport->pool, parts(flow, record), sizeof(struct piece))) {
            return false;
        }
        record->link = (uint32_t)deque_end(&tx->again);
        queue_again(flow, record);
        again_trim(flow);
    }
    record_control_again(flow, number);
    record->flags = (uint16_t)((record->flags & ~RECORD_LIVE) | RECORD_LOST);
    tx->in_flight--;
    flow->packets_lost++;
    flow->transport->counters.packets_lost++;
    return true;
}

static void bytes_arrived(struct flow *flow, struct outgoing *message, uint32_t bytes)
{
    message->acknowledged += bytes;
    if (message->acknowledged == message->length) {
        send_complete(flow, message);
    }
}

static void run_arrived(struct flow *flow, const struct piece *run)
{
    const struct deque *messages = &flow->tx.messages;
    if (!deque_holds(messages, number_from(messages->base, run->message + run->count - 1))) {
        return; /* all are complete: so most of them come to be known */
    }
    for (uint32_t i = 0; i < run->count; i++) {
        struct outgoing *message = message_of(flow, run->message + i);
        if (message) {
            bytes_arrived(flow, message, message->length);
        }
    }
}

static void piece_arrived(struct flow *flow, const struct piece *piece)
{
    if (piece->count > 1) {
        run_arrived(flow, piece);
        return;
    }
    struct outgoing *message = message_of(flow, piece->message);
    if (message) {
        bytes_arrived(flow, message, piece->length);
    }
}

/* What waits to be sent again need not be any more; what was, is acknowledged by itself. */
static void take_back(struct flow *flow, const struct record *record)
{
    struct deque *again = &flow->tx.again;
    const uint32_t count = parts(flow, record);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t slot = number_from(again->base, record->link + i);
        if (deque_holds(again, slot)) {
            piece_arrived(flow, PIECE(again, slot));
            PIECE(again, slot)->length = 0;
        }
    }
    again_trim(flow);
}

/* What the packet held has arrived: in it, or in a copy. */
static void content_arrived(struct flow *flow, struct record *record)
{
    if (record->flags & RECORD_ARRIVED) {
        return;
    }
    record->flags |= RECORD_ARRIVED;
    if (record->flags & RECORD_LOST) {
        take_back(flow, record);
        return;
    }
    for (uint32_t i = 0; i < record->piece_count; i++) {
        piece_arrived(flow, PIECE_OF(flow, record, i));
    }
}

static void original_arrived(struct flow *flow, uint64_t number, const struct record *copy)
{
    uint64_t original = number - (uint32_t)((uint32_t)number - copy->link);
    if (deque_holds(&flow->tx.records, original) && (RECORD(flow, original)->flags & (RECORD_LIVE | RECORD_LOST))) {
        content_arrived(flow, RECORD(flow, original));
    }
}

bool record_acknowledge(struct flow *flow, uint64_t number)
{
    struct record *record = RECORD(flow, number);
    const uint16_t flags = record->flags;
    if (!(flags & (RECORD_LIVE | RECORD_LOST))) {
        return false;
    }
    mtu_delivered(&flow->peer->mtu, record->length, record->time);
    content_arrived(flow, record);
    if (flags & RECORD_COPY) {
        original_arrived(flow, number, record);
    }
    flow->fin_acknowledged |= (flags & RECORD_FIN) != 0;
    flow->fin_wanted &= !flow->fin_acknowledged;
    flow->reset_acknowledged |= (flags & RECORD_RESET) != 0;
    flow->reset_wanted &= !flow->reset_acknowledged;
    record->flags &= (uint16_t) ~(RECORD_LIVE | RECORD_LOST);
    flow->tx.in_flight -= (flags & RECORD_LIVE) != 0;
    recovery_acknowledged(flow, number, (flags & RECORD_LOST) != 0);
    return true;
}

bool record_last(const struct flow *flow, uint64_t *number)
{
    const struct sender *tx = &flow->tx;
    uint64_t n = deque_end(&tx->records);
    while (n > max_u64(tx->records.base, tx->live_from)) {
        const uint16_t flags = RECORD(flow, --n)->flags;
        if ((flags & RECORD_LIVE) && !(flags & (RECORD_COPY | RECORD_ARRIVED))) {
            *number = n;
            return true;
        }
    }
    return false;
}
