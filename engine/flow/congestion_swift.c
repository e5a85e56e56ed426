/* SPDX-License-Identifier: MIT */
/*
 * Swift (Kumar et al., SIGCOMM 2020): the window follows the delay. Additive increase below a target, multiplicative decrease in
 * proportion to the excess above it, at most once in a round trip. The target is the least round-trip time known, and TARGET_NS; flows
 * with small windows get more (section 3.5, flow scaling), so that many of them come to equal shares. Ours are:
 *
 * - The delay of a round trip is the least one in it: a queue that stands is in all samples, a hiccup of either host in some.
 * - Loss is a backstop. Packets that are lost at random say nothing, so losses are weighed by the hundred; only a share of them that a
 *   path does not have by chance, from a policer, which drops and does not delay, cuts the window to what was delivered.
 * - Slow start, until the delay or losses end it.
 */
#include "flow/congestion.h"

#include <stddef.h>

#define PACKET CONGESTION_PACKET
#define WINDOW_INITIAL (32 * PACKET)
#define WINDOW_MIN (PACKET / 64)
#define TARGET_NS 15000U
#define GAP_MAX_NS 10000000U

enum {
    INCREASE_MIN = 4,   /* near the target the window grows by a 4th of a packet in a round trip, far below it by one */
    INCREASE_SLOW = 16, /* after losses: by a 16th of that */
    TALLY_MIN = 128,    /* packets */
    TALLY_PERCENT = 10, /* of them, lost: more is not chance */
    PACED_LOOSELY = 8,  /* packets: larger windows are sent a quarter faster than they are acknowledged */
};

/* What small windows get in addition: 10 us * (1/sqrt(window) - 1/sqrt(64)) / (1/sqrt(1/8) - 1/sqrt(64)), by powers of two from 1/8 on. */
static const uint16_t scaling_ns[] = {10000, 6940, 4770, 3240, 2150, 1390, 850, 460, 190, 0};

static uint32_t within(uint64_t value, uint32_t low, uint32_t high)
{
    return value < low ? low : value > high ? high : (uint32_t)value;
}

static uint32_t target_ns(uint32_t window)
{
    size_t i = 0;
    while (i + 1 < sizeof scaling_ns / sizeof scaling_ns[0] && window >= PACKET / 4 << i) {
        i++;
    }
    return TARGET_NS + scaling_ns[i];
}

static void set_window(struct congestion *congestion, uint64_t window)
{
    congestion->window = within(window, WINDOW_MIN, congestion->window_max);
}

static void swift_init(struct congestion *congestion)
{
    congestion->threshold = congestion->window_max;
    congestion->slow_start = true;
    set_window(congestion, WINDOW_INITIAL);
}

/* ---- Growth ---- */

static void grow(struct congestion *congestion, const struct congestion_ack *ack, uint32_t delay_ns, uint32_t target)
{
    const uint64_t packets = (uint64_t)ack->acknowledged * PACKET;
    const uint32_t window = congestion->window;
    if (congestion->slow_start) {
        set_window(congestion, window + packets);
        congestion->slow_start = congestion->window < congestion->threshold;
        return;
    }
    /* By one packet in a round trip, less the nearer the target is: the last steps are the ones that overshoot. */
    const uint32_t rest = within(target - delay_ns, target / INCREASE_MIN, target);
    uint64_t more = packets * rest / target;
    more = window >= PACKET ? more * PACKET / window : more * window / PACKET;
    if (window >= congestion->threshold) {
        more /= INCREASE_SLOW;
        if (window - congestion->threshold > congestion->threshold / 4) {
            congestion->threshold = congestion->window_max;
        }
    }
    set_window(congestion, window + more);
}

/* ---- Delay ---- */

static void shrink(struct congestion *congestion, uint32_t rtt_ns, uint32_t delay_ns, uint32_t target)
{
    const uint32_t excess = delay_ns - target;
    const uint32_t part = within((uint64_t)excess * 4 / 5, 0, rtt_ns / 2);
    congestion->slow_start = false;
    congestion->undo_losses = 0;
    set_window(congestion, (uint64_t)congestion->window * (rtt_ns - part) / rtt_ns);
}

/* ---- Losses ---- */

/* Cuts the window to what was delivered of it, at most by half. The hundreds between two answers are also at least a round trip. */
static void weigh_losses(struct congestion *congestion, uint64_t next)
{
    const uint32_t lost = congestion->tally_lost, all = lost + congestion->tally_acknowledged;
    const uint32_t by_chance = all * TALLY_PERCENT / 100;
    congestion->tally_lost = 0;
    congestion->tally_acknowledged = 0;
    congestion->answered_from = congestion->answered;
    congestion->answered = next;
    congestion->undo_losses = 0;
    if (lost <= by_chance) {
        return;
    }
    congestion->undo = congestion->window;
    congestion->undo_losses = lost - by_chance;
    congestion->slow_start = false;
    set_window(congestion, (uint64_t)congestion->window * (2 * lost < all ? all - lost : all / 2) / all);
    congestion->threshold = congestion->window;
}

/* ---- The interface ---- */

static void round_over(struct congestion *congestion, const struct congestion_ack *ack)
{
    if (congestion->round_rtt_ns != 0) {
        const uint32_t target = target_ns(congestion->window);
        const uint32_t rtt = congestion->round_rtt_ns;
        const uint32_t delay = rtt > ack->min_rtt_ns ? (uint32_t)(rtt - ack->min_rtt_ns) : 0;
        if (delay > target) {
            shrink(congestion, rtt, delay, target);
        }
    }
    if (congestion->tally_lost + congestion->tally_acknowledged >= TALLY_MIN) {
        weigh_losses(congestion, ack->next);
    }
    congestion->round_rtt_ns = 0;
    congestion->round_end = ack->next;
}

/* Windows up to a few packets are kept by the pace alone; larger ones by acknowledgements, too, so that a pace that is somewhat faster
 * only prevents bursts. */
static void set_gap(struct congestion *congestion, uint64_t srtt_ns)
{
    const uint64_t gap = srtt_ns * PACKET / congestion->window;
    const uint64_t paced = congestion->slow_start ? gap / 2 : congestion->window > PACED_LOOSELY * PACKET ? gap * 4 / 5 : gap;
    congestion->gap_ns = within(paced, 0, GAP_MAX_NS);
}

static uint16_t counted(uint16_t count, uint32_t more)
{
    return (uint16_t)within((uint64_t)count + more, 0, UINT16_MAX / 2);
}

static void swift_acknowledged(struct congestion *congestion, const struct congestion_ack *ack)
{
    congestion->tally_acknowledged = counted(congestion->tally_acknowledged, ack->acknowledged);
    const uint32_t rtt = within(ack->rtt_ns, 0, UINT32_MAX);
    const uint32_t target = target_ns(congestion->window);
    const uint32_t delay = rtt > ack->min_rtt_ns ? (uint32_t)(rtt - ack->min_rtt_ns) : 0;
    if (rtt != 0 && (congestion->round_rtt_ns == 0 || rtt < congestion->round_rtt_ns)) {
        congestion->round_rtt_ns = rtt;
    }
    if (ack->limited && delay < target) {
        grow(congestion, ack, delay, target);
    }
    if (ack->largest >= congestion->round_end) {
        round_over(congestion, ack);
    }
    set_gap(congestion, ack->srtt_ns);
}

static void swift_lost(struct congestion *congestion, uint64_t number, uint64_t next, uint64_t now)
{
    (void)number;
    (void)next;
    (void)now;
    congestion->tally_lost = counted(congestion->tally_lost, 1);
}

static void swift_timed_out(struct congestion *congestion, uint64_t now)
{
    (void)now;
    congestion->threshold = within(congestion->window / 2, 2 * PACKET, congestion->window_max);
    congestion->slow_start = true;
    congestion->undo_losses = 0;
    set_window(congestion, within(congestion->window / 2, WINDOW_MIN, PACKET));
}

static void swift_spurious(struct congestion *congestion, uint64_t number)
{
    if (number >= congestion->answered) {
        congestion->tally_lost -= congestion->tally_lost > 0;
    } else if (number >= congestion->answered_from && congestion->undo_losses > 0 && --congestion->undo_losses == 0) {
        congestion->window = within(congestion->undo, congestion->window, congestion->window_max);
        congestion->threshold = congestion->window_max;
    }
}

const struct congestion_algorithm congestion_swift = {
    .name = "swift",
    .init = swift_init,
    .acknowledged = swift_acknowledged,
    .lost = swift_lost,
    .timed_out = swift_timed_out,
    .spurious = swift_spurious,
};
