/* SPDX-License-Identifier: MIT */
/* Round trips measured (RFC 6298), and those that a loop of ours or the peer's made long left out. */
#include "flow/flow.h"

enum { MISTRUSTED_MAX = 4 }; /* after so many stalls without a sample between them the loop is not late but slow */

#define MIN_RTT_WINDOW MILLISECONDS(5000)

/* By so much a timer of ours can be late that our own loop must have stood still. */
#define LATE_SAMPLE MICROSECONDS(100)
#define LATE_PEER MICROSECONDS(500)

void recovery_notice_late_loop(struct transport *transport, uint64_t now)
{
    const struct heap_timer *first = heap_first(&transport->heap);
    if (first && first->at < now && now - first->at > LATE_SAMPLE) {
        transport->late_at = now;
    }
}

static void smooth(struct sender *tx, uint32_t rtt)
{
    if (!tx->measured) {
        tx->measured = true;
        tx->srtt = rtt;
        tx->rttvar = rtt / 2;
        return;
    }
    uint32_t deviation = rtt > tx->srtt ? rtt - tx->srtt : tx->srtt - rtt;
    tx->rttvar = (uint32_t)((3 * (uint64_t)tx->rttvar + deviation) / 4);
    tx->srtt = (uint32_t)((7 * (uint64_t)tx->srtt + rtt) / 8);
}

static void windowed_min_add(struct windowed_min *min, uint32_t rtt, uint64_t now)
{
    if (min->now == 0 || now - min->since >= 2 * MIN_RTT_WINDOW) {
        *min = (struct windowed_min){.since = now, .now = rtt};
    } else if (now - min->since >= MIN_RTT_WINDOW) {
        *min = (struct windowed_min){.since = now, .now = rtt, .before = min->now};
    } else if (rtt < min->now) {
        min->now = rtt;
    }
}

uint64_t recovery_min_rtt(const struct flow *flow)
{
    const struct windowed_min *min = &flow->tx.min_rtt;
    return min->before != 0 && min->before < min->now ? min->before : min->now;
}

static uint32_t at_most_32(uint64_t ns)
{
    return ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

/* A round trip over a time in which our loop did not run, or the peer's seems not to have (nothing came for much longer than a round trip),
 * is not that of the path. But if that is so again and again, or what was under way comes back long after that time, it is. */
static bool believed(struct flow *flow, uint64_t rtt, uint64_t now)
{
    struct sender *tx = &flow->tx;
    recovery_notice_late_loop(flow->transport, now);
    if (tx->srtt != 0 && min_u64(rtt, tx->silence) > 4 * (uint64_t)tx->srtt + LATE_PEER) {
        tx->peer_late_at = now;
    }
    const uint64_t late_at = max_u64(flow->transport->late_at, tx->peer_late_at);
    const uint64_t all_back = late_at + max_u64(4 * (uint64_t)tx->srtt, LATE_TIMEOUT);
    if (tx->newest_time >= late_at || (tx->srtt != 0 && now > all_back)) {
        tx->mistrusted = 0;
        return true;
    }
    if (tx->mistrusted_at != late_at && tx->mistrusted <= MISTRUSTED_MAX) {
        tx->mistrusted_at = late_at;
        tx->mistrusted++;
    }
    return tx->mistrusted > MISTRUSTED_MAX;
}

uint64_t recovery_measure(struct flow *flow, uint64_t largest, uint32_t holding_ns, uint64_t now)
{
    struct sender *tx = &flow->tx;
    if (largest < tx->largest_acknowledged || !deque_holds(&tx->records, largest) ||
        !(RECORD(flow, largest)->flags & (RECORD_LIVE | RECORD_LOST))) {
        return 0;
    }
    tx->newest_time = RECORD(flow, largest)->time;
    uint64_t rtt = now - tx->newest_time;
    const bool known = holding_ns != WIRE_HOLDING_UNKNOWN && holding_ns < rtt, trusted = believed(flow, rtt, now);
    rtt = max_u64(rtt - (known ? holding_ns : 0), 1);
    tx->newest_rtt = at_most_32(rtt);
    if (!trusted) {
        return 0;
    }
    smooth(tx, at_most_32(rtt));
    if (!known) {
        return 0;
    }
    windowed_min_add(&tx->min_rtt, at_most_32(rtt), now);
    return rtt;
}

void recovery_first_guess(struct flow *flow, uint64_t rtt, uint64_t now)
{
    windowed_min_add(&flow->tx.min_rtt, at_most_32(max_u64(rtt, 1)), now);
    flow->tx.srtt = at_most_32(max_u64(rtt, 1));
    flow->tx.rttvar = flow->tx.srtt / 2;
}
