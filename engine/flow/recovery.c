/* SPDX-License-Identifier: MIT */
/*
 * Losses detected, the silent peer asked: RACK-TLP (RFC 8985), with a retransmission timeout after RFC 6298.
 * Every transmission has a number of its own, so that the order of numbers is the order in time.
 *
 *   a packet in flight is lost   when one sent three later has arrived, or, at the end of all that there is to send, everything sent later
 *                                (early retransmit, RFC 5827), as long as packets have not been seen to overtake one another;
 *                                at any rate at time + newest_rtt + reordering window, if a later one has arrived; newest_rtt is less what
 *                                the ACK was held back: that the packet did not come meanwhile counts
 *   the end of all is lost       when an ACK that was held back, or said again, shows that the last few packets did not come within the
 *                                reordering window after the newest that did. The last of them goes out twice: packet.c
 *   reordering window            an eighth of the least round trip (RFC 9002, 6.1.2) until packets were seen to overtake one another; then quarters
 *                                (RFC 8985, 6.2): one more for each round trip with a loss that was none, up to srtt; one again after 16
 *                                recoveries without
 *   tail-loss probe              a copy of the last packet in flight: two smoothed round trips after it was sent, or as soon as an ACK
 *                                shows that many are missing
 *   retransmission timeout       after that, and after the last progress: srtt + 4 rttvar, and what the peer may hold its ACK back; doubling
 */
#include "flow/flow.h"

enum {
    THRESHOLD_PACKETS = 3,
    TAIL_PACKETS = 3,     /* that may be lost at once because the peer misses them */
    REORDERING_KEPT = 16, /* recoveries */
    SILENT_MIN = 3,       /* timeouts before a flow is given up */
};

#define RTO_INITIAL MILLISECONDS(10)
#define RTO_MIN MICROSECONDS(200)
#define RTO_MAX MILLISECONDS(200)
#define RTO_MAX_ENDED MILLISECONDS(2000) /* nobody waits for it, and thousands may end at once */
#define GO_ON_MIN MILLISECONDS(1)        /* a peer that says again and again that it has room is not asked more often */
#define TAIL_MIN MICROSECONDS(100)       /* a peer that shares its processor is silent for so long again and again */

/* ---- Losses ---- */

static uint64_t reordering_window(const struct flow *flow)
{
    const struct sender *tx = &flow->tx;
    uint64_t rtt = recovery_min_rtt(flow);
    if (rtt == 0) {
        rtt = tx->newest_rtt;
    }
    const bool in_order = !tx->reordered && tx->reordering == 0;
    const uint64_t window = in_order ? rtt / 8 : rtt / 4 * max_u64(tx->reordering, 1);
    return tx->srtt != 0 ? min_u64(window, max_u64(tx->srtt, rtt / 4)) : window;
}

static void widen(struct flow *flow, uint64_t number)
{
    struct sender *tx = &flow->tx;
    tx->reordering_kept = REORDERING_KEPT;
    if (number >= tx->widened_end) {
        tx->widened_end = deque_end(&tx->records);
        if (tx->reordering == 0) {
            tx->reordering = 1;
        }
        if (reordering_window(flow) < tx->srtt && tx->reordering < UINT8_MAX) {
            tx->reordering++;
        }
    }
}

void recovery_acknowledged(struct flow *flow, uint64_t number, bool lost)
{
    struct sender *tx = &flow->tx;
    const bool overtaken = number + 1 < tx->largest_acknowledged;
    tx->reordered |= overtaken;
    if (lost) {
        flow->transport->counters.spurious_losses++;
        congestion_spurious(&tx->congestion, number);
        if (overtaken) {
            widen(flow, number);
        }
    }
}

/* A recovery begins: sixteen of them without a spurious loss narrow the window again. */
static void count_recovery(struct sender *tx)
{
    tx->episode_end = deque_end(&tx->records);
    if (tx->reordering_kept > 0 && --tx->reordering_kept == 0) {
        tx->reordering = 1;
    }
}

/* Returns false if memory is short. */
static bool lose(struct flow *flow, uint64_t number, uint64_t now)
{
    struct sender *tx = &flow->tx;
    const struct record *record = RECORD(flow, number);
    if (number >= tx->episode_end) {
        count_recovery(tx);
    }
    if (!record_lose(flow, number)) {
        return false;
    }
    mtu_lost(&flow->peer->mtu, record->length, record->time, now);
    congestion_lost(&tx->congestion, number, deque_end(&tx->records), now);
    flow_activate(flow);
    return true;
}

/* Nothing that is sent or to be sent is newer than what has arrived. */
static bool nothing_follows(const struct flow *flow)
{
    const struct sender *tx = &flow->tx;
    if (!send_drained(flow) || deque_count(&tx->again) > 0) {
        return false;
    }
    uint64_t n = max_u64(tx->largest_acknowledged, tx->records.base);
    while (n < deque_end(&tx->records) && !(RECORD(flow, n)->flags & RECORD_LIVE)) {
        n++;
    }
    return n == deque_end(&tx->records);
}

/* So many packets sent later must have arrived; 0: no number is enough. */
static uint64_t threshold(const struct flow *flow)
{
    return flow->tx.reordered ? 0 : nothing_follows(flow) ? 1 : THRESHOLD_PACKETS;
}

static void loss_detect(struct flow *flow, uint64_t now)
{
    struct sender *tx = &flow->tx;
    const uint64_t patience = tx->newest_rtt + reordering_window(flow), enough = threshold(flow);
    uint64_t n = max_u64(tx->live_from, tx->records.base);
    tx->loss_at = NEVER;
    for (; n < deque_end(&tx->records) && n + 1 < tx->largest_acknowledged; n++) {
        const struct record *record = RECORD(flow, n);
        if (!(record->flags & RECORD_LIVE)) {
            continue;
        }
        const bool overtaken = enough > 0 && n + enough < tx->largest_acknowledged;
        if (!overtaken && record->time + patience > now) {
            tx->loss_at = record->time + patience;
            break;
        }
        if (!lose(flow, n, now)) {
            break; /* without memory, later */
        }
    }
    tx->live_from = n;
    records_trim(flow);
}

/* ---- Timeouts ---- */

uint64_t retransmission_timeout(const struct flow *flow)
{
    const struct sender *tx = &flow->tx;
    if (tx->srtt == 0) {
        return RTO_INITIAL;
    }
    return max_u64(tx->srtt + 4 * (uint64_t)tx->rttvar + ack_delay(flow), RTO_MIN);
}

/* Two round trips and what the peer may hold its ACK back; less if packets of the same flight have been acknowledged: then this one's
 * round trip is known. */
static uint64_t tail_probe_at(const struct flow *flow)
{
    const struct sender *tx = &flow->tx;
    const uint64_t held = ack_delay(flow), slack = max_u64(reordering_window(flow), 2 * (uint64_t)tx->rttvar);
    uint64_t pause = 2 * (uint64_t)tx->srtt + (tx->in_flight < ACK_EVERY ? held : 0);
    if (tx->newest_rtt != 0 && tx->last_sent - tx->newest_time <= tx->srtt) {
        pause = min_u64(pause, tx->newest_rtt + held + slack);
    }
    return max_u64(tx->last_sent + max_u64(pause, TAIL_MIN), tx->probe_from + held + slack);
}

static bool tail_probe_is_next(const struct sender *tx)
{
    return tx->srtt != 0 && !tx->tail_probed && tx->backoff == 0;
}

uint64_t probe_at(const struct flow *flow)
{
    const struct sender *tx = &flow->tx;
    if (tx->in_flight == 0) {
        return NEVER;
    }
    const uint64_t once = retransmission_timeout(flow);
    if (tail_probe_is_next(tx)) {
        return min_u64(tail_probe_at(flow), tx->probe_from + once);
    }
    const uint64_t most = flow->state == FLOW_ENDED ? RTO_MAX_ENDED : RTO_MAX;
    const uint64_t pause = tx->backoff < 16 ? once << tx->backoff : most;
    return tx->probe_from + min_u64(pause, max_u64(most, once));
}

/* The peer's engine may live, but nothing of this flow gets through. */
static bool given_up(const struct flow *flow, uint64_t now)
{
    const struct sender *tx = &flow->tx;
    return tx->silent > SILENT_MIN && now - tx->silent_from >= flow->transport->config.dead_peer_ns;
}

static bool holds_something(const struct record *record)
{
    return (record->flags & RECORD_LIVE) && !(record->flags & (RECORD_COPY | RECORD_ARRIVED));
}

/* Of the packets in flight with something in them the one that the receiver needs first counts as lost: it may have refused the others. */
static void lose_first(struct flow *flow, uint64_t now)
{
    struct sender *tx = &flow->tx;
    const uint64_t from = max_u64(tx->live_from, tx->records.base);
    uint64_t first = deque_end(&tx->records), least = NEVER;
    for (uint64_t n = from; n < deque_end(&tx->records); n++) {
        const struct record *record = RECORD(flow, n);
        if (!holds_something(record)) {
            continue;
        }
        const uint64_t urgency = record_urgency(flow, record);
        if (first == deque_end(&tx->records) || urgency < least) {
            first = n;
            least = urgency;
        }
    }
    for (uint64_t n = from; n < deque_end(&tx->records) && n <= first; n++) {
        const struct record *record = RECORD(flow, n);
        if ((record->flags & RECORD_LIVE) && (n == first || !holds_something(record))) {
            mtu_lost(&flow->peer->mtu, record->length, record->time, now);
            if (!record_lose(flow, n)) {
                return;
            }
        }
    }
}

/* One packet may go beyond the window, and asks for an answer. */
static void ask(struct flow *flow, uint64_t now)
{
    flow->tx.probe_from = now;
    flow->tx.probe = true;
    flow_activate(flow);
}

/*
 * The packet that asks brings what the receiver needs first of all that is not acknowledged, and nothing else: it has all that comes before that, so
 * that the piece begins its next message or adds to the beginning of it, which takes no room for a gap. Anything else it might refuse, and
 * with it the whole packet. Without memory we ask with what waits already.
 */
static void ask_with_first(struct flow *flow, uint64_t now)
{
    lose_first(flow, now);
    again_needed_first(flow);
    flow->tx.single = true;
    ask(flow, now);
}

static void probe_tail(struct flow *flow, uint64_t now)
{
    uint64_t last;
    flow->tx.tail_probed = true;
    flow->transport->counters.tail_probes++;
    if (record_last(flow, &last)) {
        record_control_again(flow, last);
    }
    ask(flow, now);
}

static void time_out(struct flow *flow, uint64_t now)
{
    struct sender *tx = &flow->tx;
    tx->backoff = count_on(tx->backoff);
    flow->transport->counters.probe_timeouts++;
    if (tx->silent == 0) {
        tx->silent_from = now;
    }
    tx->silent = count_on(tx->silent);
    if (tx->silent == 2) {
        congestion_timed_out(&tx->congestion, now);
    }
    close_stalled(flow, now);
    ask_with_first(flow, now);
    records_trim(flow);
    if (given_up(flow, now)) {
        flow_end(flow, TRANSPORT_PEER_DEAD, now);
        flow_forget(flow);
    }
}

void recovery_go_on(struct flow *flow, uint64_t now)
{
    struct sender *tx = &flow->tx;
    if ((tx->backoff > 0 || tx->tail_probed) && tx->in_flight > 0 &&
        now - tx->probe_from >= max_u64(tx->srtt, GO_ON_MIN)) {
        tx->backoff = 0;
        tx->tail_probed = false;
        ask_with_first(flow, now);
    }
}

void recovery_timeout(struct flow *flow, uint64_t now)
{
    struct sender *tx = &flow->tx;
    if (tx->loss_at <= now) {
        loss_detect(flow, now);
    }
    const uint64_t at = probe_at(flow);
    if (at > now) {
        return;
    }
    recovery_notice_late_loop(flow->transport, now);
    if (now - at > LATE_TIMEOUT && !tx->excused) {
        /* It was us who did not listen: the answer may be in the queue of the NIC. */
        tx->excused = true;
        tx->last_sent = tx->probe_from = now;
        return;
    }
    tx->excused = false;
    if (tail_probe_is_next(tx)) {
        probe_tail(flow, now);
    } else {
        time_out(flow, now);
    }
}

/* ---- Progress ---- */

/* How many packets in flight should have come, had they been as fast as the newest that came, while nothing did for `waited_ns`; all are below
 * *end. Beyond TAIL_PACKETS it does not count on. */
static uint32_t missing(const struct flow *flow, uint64_t waited_ns, uint64_t *end)
{
    const struct sender *tx = &flow->tx;
    uint32_t count = 0;
    uint64_t n = max_u64(tx->largest_acknowledged, tx->records.base);
    for (; n < deque_end(&tx->records) && count <= TAIL_PACKETS && RECORD(flow, n)->time <= tx->newest_time + waited_ns;
         n++) {
        count += (RECORD(flow, n)->flags & RECORD_LIVE) != 0;
    }
    *end = n;
    return count;
}

/*
 * All has been sent, and the peer held its ACK back. The few packets that it misses then are lost. Of more, or if our loop or the peer's has stood
 * still, it is asked: they may have been sent late. Only once until there is progress: the peer may have refused them.
 */
void recovery_nothing_came(struct flow *flow, uint32_t holding_ns, uint64_t now)
{
    struct sender *tx = &flow->tx;
    const uint64_t window = reordering_window(flow);
    uint64_t end;
    if (!tail_probe_is_next(tx) || holding_ns == WIRE_HOLDING_UNKNOWN || holding_ns < window || !send_drained(flow)) {
        return;
    }
    const uint32_t count = missing(flow, holding_ns - window, &end);
    if (count == 0) {
        return;
    }
    recovery_notice_late_loop(flow->transport, now);
    if (count > TAIL_PACKETS || tx->newest_time < max_u64(flow->transport->late_at, tx->peer_late_at)) {
        probe_tail(flow, now);
        return;
    }
    tx->tail_probed = true;
    for (uint64_t n = max_u64(tx->largest_acknowledged, tx->records.base); n < end; n++) {
        if ((RECORD(flow, n)->flags & RECORD_LIVE) && !lose(flow, n, now)) {
            return;
        }
    }
}

void recovery_progress(struct flow *flow, uint64_t now)
{
    struct sender *tx = &flow->tx;
    tx->probe_from = now;
    tx->backoff = 0;
    tx->tail_probed = false;
    tx->excused = false;
    close_goes_on(flow);
    loss_detect(flow, now);
}
