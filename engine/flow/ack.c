/* SPDX-License-Identifier: MIT */
/* Which packet numbers have come, and the ACK frames that say so; ACK frames that came. */
#include "flow/flow.h"

#include <string.h>

enum {
    PROBE_OVERTAKEN = 3, /* packets sent after a probe of the path's MTU: when they arrive first, it is lost */
    SURELY_MISSING = 3,  /* packets that have come since: the sender's own threshold */
    END_MAX = 10240,     /* bytes: a few packets */
    ACK_REPEATS = 3,
};

#define ACK_DELAY_MIN \
    MICROSECONDS(12) /* a quarter of 50 us, about: an application on this machine may answer meanwhile */
#define ACK_DELAY_MAX MICROSECONDS(900) /* the protocol's 1 ms, less what our own loop may take */
#define ACK_DELAY_UNMEASURED MICROSECONDS(50)

#define FORGET_NS MILLISECONDS(1000) /* so long after the newest packet, what is still missing is not waited for */

/* Without `seen`, what was received is [run, next_number), and all below counts as received too. */

static bool seen(const struct receiver *rx, uint64_t number)
{
    return rx->seen->bits[number % NUMBERS_TRACKED / 64] >> (number % 64) & 1;
}

static void mark(struct receiver *rx, uint64_t number)
{
    rx->seen->bits[number % NUMBERS_TRACKED / 64] |= UINT64_C(1) << (number % 64);
}

static void unmark(struct receiver *rx, uint64_t number)
{
    rx->seen->bits[number % NUMBERS_TRACKED / 64] &= ~(UINT64_C(1) << (number % 64));
}

/* The lowest number that is remembered. */
static uint64_t floor_of(const struct receiver *rx)
{
    const uint64_t window = rx->next_number > NUMBERS_TRACKED ? rx->next_number - NUMBERS_TRACKED : 0;
    return max_u64(window, rx->seen ? rx->seen->floor : rx->run);
}

bool number_is_new(const struct flow *flow, uint64_t number)
{
    const struct receiver *rx = &flow->rx;
    if (number >= rx->next_number) {
        return true;
    }
    return rx->seen && number >= floor_of(rx) && !seen(rx, number);
}

static uint32_t seen_log2(void)
{
    return pool_log2(sizeof(struct seen));
}

void numbers_forget(struct flow *flow)
{
    if (flow->rx.seen) {
        pool_give(&flow->transport->pool, flow->rx.seen, seen_log2());
        flow->rx.seen = NULL;
    }
}

uint64_t numbers_forget_at(const struct flow *flow)
{
    return flow->rx.seen ? flow->rx.largest_time + FORGET_NS : NEVER;
}

bool number_reserve(struct flow *flow, uint64_t number)
{
    struct receiver *rx = &flow->rx;
    if (number <= rx->next_number || rx->seen) {
        return true;
    }
    rx->seen = pool_take(&flow->transport->pool, seen_log2());
    if (!rx->seen) {
        return false;
    }
    memset(rx->seen, 0, sizeof *rx->seen);
    rx->seen->floor = rx->run;
    for (uint64_t n = floor_of(rx); n < rx->next_number; n++) {
        mark(rx, n);
    }
    return true;
}

static void advance(struct receiver *rx, uint64_t number)
{
    if (!rx->seen) { /* the next: see number_reserve */
        rx->next_number = number + 1;
        return;
    }
    uint64_t from = rx->next_number;
    if (number - from >= NUMBERS_TRACKED) {
        from = number + 1 - NUMBERS_TRACKED;
    }
    for (uint64_t n = from; n < number; n++) {
        unmark(rx, n);
    }
    rx->next_number = number + 1;
}

/* The lowest number of the run of seen (or missing) ones that ends at `top`, not below `floor`. */
static uint64_t run_begin(const struct receiver *rx, uint64_t top, uint64_t floor, bool of_seen)
{
    uint64_t n = top;
    while (n > floor) {
        const uint64_t word = rx->seen->bits[(n - 1) % NUMBERS_TRACKED / 64];
        const uint32_t in_word = (uint32_t)((n - 1) % 64) + 1;            /* from bit 0 to that of n - 1 */
        const uint64_t ends = (of_seen ? ~word : word) << (64 - in_word); /* the topmost bit is that of n - 1 */
        if (ends != 0) {
            n -= (uint32_t)__builtin_clzll(ends);
            break;
        }
        n -= in_word;
    }
    return max_u64(n, floor);
}

uint64_t ack_delay(const struct flow *flow)
{
    uint64_t delay = flow->tx.srtt ? flow->tx.srtt / 4 : ACK_DELAY_UNMEASURED;
    return min_u64(max_u64(delay, ACK_DELAY_MIN), ACK_DELAY_MAX);
}

void number_record(struct flow *flow, uint64_t number, bool eliciting, uint64_t now)
{
    struct receiver *rx = &flow->rx;
    bool in_order = number == rx->next_number;
    const bool lone = now - rx->largest_time > LONE_AFTER * ack_delay(flow);
    if (number >= rx->next_number) {
        rx->repeat_ack |= !in_order;
        advance(rx, number);
        rx->largest_time = now;
    }
    if (rx->seen) {
        mark(rx, number);
    }
    if (!in_order) {
        rx->run = run_begin(rx, rx->next_number, floor_of(rx), true);
    }
    if (rx->run <= floor_of(rx)) {
        numbers_forget(flow); /* nothing is missing */
    }
    if (!eliciting) {
        return;
    }
    rx->unacknowledged++;
    rx->lone = lone && rx->unacknowledged == 1 && !deque_holds(&rx->messages, rx->complete);
    const bool sure = rx->gap_told && rx->next_number - rx->run >= SURELY_MISSING;
    if (!in_order || sure || rx->unacknowledged >= ACK_EVERY || (rx->lone && rx->alone >= ACKS_ALONE)) {
        rx->ack_now = true;
    }
    if (rx->ack_now) {
        flow_activate(flow);
    } else if (rx->ack_at == NEVER || rx->unacknowledged == 1) {
        rx->ack_at = now + ack_delay(flow);
    }
}

void ack_held(struct flow *flow)
{
    struct receiver *rx = &flow->rx;
    if (rx->unacknowledged > 0 && rx->lone && rx->alone < ACKS_ALONE) {
        rx->alone++;
    }
    rx->ack_now = true;
    rx->ack_at = NEVER;
    flow_activate(flow);
}

void ack_answered(struct flow *flow, uint64_t now)
{
    if (now - flow->rx.largest_time <= ack_delay(flow)) {
        flow->rx.alone = 0;
    }
}

void ack_frame(const struct flow *flow, struct wire_frame *frame, uint64_t now)
{
    const struct receiver *rx = &flow->rx;
    uint64_t largest = rx->next_number - 1;
    uint64_t floor = floor_of(rx);
    uint64_t begin = max_u64(rx->run, floor);
    uint64_t held = now - rx->largest_time;

    frame->type = WIRE_FRAME_ACK;
    frame->ack.largest = (uint32_t)largest;
    frame->ack.holding_ns = held < WIRE_HOLDING_UNKNOWN ? (uint32_t)held : WIRE_HOLDING_UNKNOWN;
    frame->ack.messages = (uint32_t)rx->complete;
    frame->ack.first = (uint16_t)(largest - begin);
    frame->ack.count = 0;
    while (begin > floor && frame->ack.count < WIRE_ACK_RANGES_MAX) {
        uint64_t top = run_begin(rx, begin - 1, floor, false); /* the gap is [top, begin) */
        if (top == floor) {
            break;
        }
        uint64_t next = run_begin(rx, top - 1, floor, true);
        frame->ack.ranges[frame->ack.count++] =
            (struct wire_ack_range){.gap = (uint16_t)(begin - top), .length = (uint16_t)(top - next)};
        begin = next;
    }
}

/* Whether only the end is missing of a message that comes: it may be on its way, or lost. */
static bool end_expected(const struct flow *flow)
{
    const struct receiver *rx = &flow->rx;
    if (!deque_holds(&rx->messages, rx->complete)) {
        return false;
    }
    const struct incoming *message = INCOMING(flow, rx->complete);
    const struct byte_ranges *ranges = message->ranges;
    const uint32_t come = ranges && ranges->count > 0 ? ranges->range[ranges->count - 1].end : message->prefix;
    return message->known && message->total - come <= END_MAX && (message->total <= LARGE_MESSAGE || message->granted);
}

/*
 * Two kinds of ACKs are said again while nothing comes. One that told of packets newly missing: if it is lost, what is missing comes again only
 * after a timeout. And one for several packets at once, if the end of their message is missing: its holding time will tell the sender so.
 */
void ack_sent(struct flow *flow, uint64_t now)
{
    struct receiver *rx = &flow->rx;
    if (rx->repeat_ack || (rx->unacknowledged > 1 && end_expected(flow))) {
        rx->repeats = ACK_REPEATS;
    } else if (rx->unacknowledged > 0 || rx->repeats > 0) {
        rx->repeats = rx->unacknowledged > 0 ? 0 : (uint8_t)(rx->repeats - 1);
    }
    rx->gap_told = rx->repeat_ack;
    rx->ack_at = rx->repeats > 0 ? now + ack_delay(flow) / 2 : NEVER;
    rx->unacknowledged = 0;
    rx->ack_now = false;
    rx->repeat_ack = false;
}

/* Acknowledges the packets [first, last] that are in flight or were declared lost; returns how many. */
static uint32_t acknowledge_range(struct flow *flow, uint64_t first, uint64_t last)
{
    uint32_t count = 0;
    for (uint64_t n = max_u64(first, flow->tx.records.base); n <= last; n++) {
        count += record_acknowledge(flow, n);
    }
    return count;
}

/* Whether no range reaches below number 0. */
static bool ranges_valid(const struct wire_frame *frame, uint64_t largest)
{
    uint64_t span = frame->ack.first;
    for (uint32_t i = 0; i < frame->ack.count; i++) {
        span += (uint64_t)frame->ack.ranges[i].gap + frame->ack.ranges[i].length;
    }
    return span <= largest;
}

static uint32_t acknowledge_all(struct flow *flow, const struct wire_frame *frame, uint64_t largest)
{
    uint64_t first = largest - frame->ack.first;
    uint32_t count = acknowledge_range(flow, first, largest);
    for (uint32_t i = 0; i < frame->ack.count && first > flow->tx.records.base; i++) {
        uint64_t last = first - frame->ack.ranges[i].gap - 1;
        first = last + 1 - frame->ack.ranges[i].length;
        count += acknowledge_range(flow, first, last);
    }
    return count;
}

/* Whether the frame says that packet `number` was received. */
static bool covers(const struct wire_frame *frame, uint64_t largest, uint64_t number)
{
    uint64_t first = largest - frame->ack.first;
    for (uint32_t i = 0; i < frame->ack.count && number < first; i++) {
        const uint64_t last = first - frame->ack.ranges[i].gap - 1;
        if (number > last) {
            return false;
        }
        first = last + 1 - frame->ack.ranges[i].length;
    }
    return first <= number && number <= largest;
}

/* What the frame means for the probe of this flow that is under way, and for the size of packets. */
static void size_packets(struct flow *flow, const struct wire_frame *frame, uint64_t largest, uint64_t now)
{
    struct mtu *mtu = &flow->peer->mtu;
    if (mtu->prober == flow && largest >= mtu->number) {
        const uint64_t patience = flow->tx.srtt + flow->tx.srtt / 8;
        if (covers(frame, largest, mtu->number)) {
            mtu_probe_acknowledged(mtu, now);
        } else if (largest >= mtu->number + PROBE_OVERTAKEN || now - mtu->sent_at >= patience) {
            mtu_probe_lost(mtu, now);
        }
    }
    flow->transport->counters.black_holes += mtu_judge(mtu, now);
}

/* Every message below `low` is complete at the peer. Returns false if one of them was not even sent. */
static bool complete_below(struct flow *flow, uint32_t low)
{
    struct sender *tx = &flow->tx;
    uint64_t below = wire_expand32(low, tx->begun);
    if (below > tx->begun) {
        return false;
    }
    for (uint64_t n = tx->messages.base; n < below; n++) {
        struct outgoing *message = OUTGOING(flow, n);
        if (message->next != message->length) {
            return false;
        }
        if (!message->done) {
            send_complete(flow, message);
            tx->backoff = 0;
        }
    }
    return true;
}

bool ack_receive(struct flow *flow, const struct wire_frame *frame, uint64_t now)
{
    struct sender *tx = &flow->tx;
    if (deque_end(&tx->records) == 0) {
        return false;
    }
    uint64_t largest = wire_expand32(frame->ack.largest, deque_end(&tx->records) - 1);
    if (largest >= deque_end(&tx->records) || !ranges_valid(frame, largest)) {
        return false;
    }
    if (flow->state != FLOW_ENDED && !complete_below(flow, frame->ack.messages)) {
        return false;
    }
    send_trim(flow); /* what packets held of these messages need not be looked at */
    struct congestion_ack news = {.now = now,
                                  .largest = largest,
                                  .next = deque_end(&tx->records),
                                  .in_flight = tx->in_flight,
                                  .limited = tx->in_flight >= congestion_window(&tx->congestion) / 2};
    news.rtt_ns = recovery_measure(flow, largest, frame->ack.holding_ns, now);
    news.acknowledged = acknowledge_all(flow, frame, largest);
    if (news.acknowledged > 0) {
        tx->largest_acknowledged = max_u64(tx->largest_acknowledged, largest + 1);
        news.srtt_ns = tx->srtt;
        news.min_rtt_ns = recovery_min_rtt(flow);
        congestion_acknowledged(&tx->congestion, &news);
        recovery_progress(flow, now);
        if (send_wanted(flow)) {
            flow_activate(flow);
        }
    }
    if (largest + 1 == tx->largest_acknowledged) {
        recovery_nothing_came(flow, frame->ack.holding_ns, now);
    }
    size_packets(flow, frame, largest, now);
    records_trim(flow);
    send_trim(flow);
    return true;
}
