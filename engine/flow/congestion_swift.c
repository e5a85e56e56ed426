/* SPDX-License-Identifier: MIT */
/*
 * After Swift (Kumar et al., SIGCOMM 2020): the window follows the delay, that is the round-trip time less the least one known. It grows
 * by a packet in a round trip, and shrinks once in a round trip by the delay; below one packet it is kept by the pace. Other than there
 *
 * - the decrease is no step above a target, but smooth: window * 1/8 * (delay / target)^2. A flow that takes the least round trip for
 *   5 us longer than its neighbours, because it met their queue or for the phases of poll loops, would never see a step that they see, and
 *   starve them. Now it gets a share that is somewhat larger. Where N flows meet, the delay of the balance grows with the root of N, as
 *   in Swift's flow scaling, and many windows are below one packet before the queue is long.
 * - Small windows change in smaller steps, up and down: they belong to many flows, which hear of what all of them did only after a few
 *   round trips, and would swing together. Their pace is spread at random, or flows with the same pace would meet the same place in the
 *   queue again and again.
 * - The delay is the mean of a round trip, and the first NOISE_NS of it, and what the hosts may add, do not count.
 * - Loss is a backstop. Packets that are lost by chance say nothing, so losses are weighed by the hundred; only a share of them that a
 *   path does not have by chance, from a policer, which drops and does not delay, cuts the window to what was delivered. From there it
 *   grows slowly.
 * - There is a slow start, which delay or losses end.
 * - Flows that meet at a queue let it run empty together now and then, so that each knows the path without it.
 */
#include "flow/congestion.h"

#include <stddef.h>

#define PACKET CONGESTION_PACKET
#define WINDOW_INITIAL (32 * PACKET)
#define WINDOW_MIN (PACKET / 16)
#define WINDOW_MIN_NOISY \
    (16 * PACKET) /* where a delay may be that of a host that waits for a processor: enough for full bursts */
#define NOISY_HOST_NS 500000U
#define TARGET_NS 25000U
#define NOISE_NS 6000U
#define EMPTY_NS 3000U
#define DRAIN_NS 10000000U
#define DRAIN_ROUNDS 64
#define DECREASE 8
#define DELAY_MAX_NS 4000000U
#define GAP_MAX_NS 10000000U

#define SMALL (4 * PACKET)
#define DELAYS_MAX 4 /* targets: a longer delay counts as this */

enum {
    INCREASE_SLOW = 16, /* after losses: by a 16th of that */
    TALLY_ROUNDS = 4,
    TALLY_MIN = 24,
    TALLY_MAX = 128, /* packets */
    TALLY_SPARE = 2,
    TALLY_PERCENT = 10, /* of them, lost: more is not chance */
    ROUND_SAMPLES_MAX = 1024,
    PACED_LOOSELY = 8, /* packets: larger windows are sent a quarter faster than they are acknowledged */
};

static uint32_t within(uint64_t value, uint32_t low, uint32_t high)
{
    return value < low ? low : value > high ? high : (uint32_t)value;
}

static void set_window(struct congestion *congestion, uint64_t window)
{
    const uint32_t least = congestion->host_noise_ns < NOISY_HOST_NS ? WINDOW_MIN : WINDOW_MIN_NOISY;
    congestion->window =
        within(window, least < congestion->window_max ? least : congestion->window_max, congestion->window_max);
}

static void swift_init(struct congestion *congestion)
{
    congestion->threshold = congestion->window_max;
    congestion->slow_start = true;
    set_window(congestion, WINDOW_INITIAL);
}

/* How many times smaller the steps of a window are than those of a large one. */
static uint32_t patience(uint32_t window)
{
    return window >= SMALL ? 1 : window >= SMALL / 2 ? 3 : 6;
}

/*
 * By one packet in a round trip; small windows by three quarters of one and less often, as there are most likely many of them. If they grew
 * more slowly, the balance were at a shorter queue, and a flow that never met the empty path, and holds a few microseconds of queue for a part
 * of it, would get much more than its share: where 100 flows meet, some got half more than others.
 */
static void grow(struct congestion *congestion, uint32_t acknowledged)
{
    const uint64_t packets = (uint64_t)acknowledged * PACKET;
    const uint32_t window = congestion->window;
    if (congestion->slow_start) {
        set_window(congestion, window + packets);
        congestion->slow_start = congestion->window < congestion->threshold;
        return;
    }
    const uint64_t whole = window > PACKET ? window : PACKET;
    uint64_t more = packets * (window >= SMALL ? PACKET : PACKET * 3 / 4 + window / 16) / whole / patience(window);
    if (window >= congestion->threshold) {
        more /= INCREASE_SLOW;
        if (window - congestion->threshold > congestion->threshold / 4) {
            congestion->threshold = congestion->window_max;
        }
    }
    set_window(congestion, window + more);
}

static void add_sample(struct congestion *congestion, uint64_t delay_ns)
{
    if (congestion->round_samples < ROUND_SAMPLES_MAX) {
        congestion->round_samples++;
        congestion->round_delay_ns += within(delay_ns, 0, DELAY_MAX_NS);
    }
}

/*
 * After a round trip: by an 8th at the target, with the square of the delay, by a half at most. A window just above a packet lets two go, and
 * a round is then longer than the window. Where there is a delay there is a queue, which says more than losses did.
 */
static void shrink(struct congestion *congestion)
{
    const uint32_t mean = congestion->round_delay_ns / congestion->round_samples;
    const uint64_t noise = NOISE_NS + (uint64_t)congestion->host_noise_ns;
    const uint64_t target = TARGET_NS - NOISE_NS;
    const uint64_t delay = mean > noise ? within(mean - noise, 0, DELAYS_MAX * (uint32_t)target) : 0;
    if (delay >= target / 2) {
        congestion->slow_start = false;
        congestion->threshold = congestion->window_max;
    }
    if (delay > 0) {
        const uint64_t window = congestion->window;
        const uint64_t whole = window > PACKET ? window : PACKET;
        const uint64_t round = within((uint64_t)congestion->round_acknowledged * PACKET, (uint32_t)whole, UINT32_MAX);
        const uint64_t part = PACKET * delay * delay / (DECREASE * patience(congestion->window) * target * target);
        congestion->undo_losses = 0;
        set_window(congestion, window - window * within(part * round / whole, 0, PACKET / 2) / PACKET);
    }
}

/* ---- Losses ---- */

/* Cuts the window to what was delivered of it, at most by half. The hundreds between two answers are also at least a round trip. */
static void weigh_losses(struct congestion *congestion, uint64_t next)
{
    const uint32_t lost = congestion->tally_lost, all = lost + congestion->tally_acknowledged;
    const uint32_t by_chance = all * TALLY_PERCENT / 100 + TALLY_SPARE;
    congestion->tally_lost = 0;
    congestion->tally_acknowledged = 0;
    congestion->answered_from = congestion->answered;
    congestion->answered = next;
    congestion->undo_losses = 0;
    if (lost <= by_chance) {
        return;
    }
    congestion->undo = congestion->window;
    congestion->undo_losses = (uint16_t)(lost - by_chance);
    congestion->slow_start = false;
    set_window(congestion, (uint64_t)congestion->window * (2 * lost < all ? all - lost : all / 2) / all);
    congestion->threshold = congestion->window;
}

/* ---- Seeing the path empty ---- */

/*
 * A flow that has not met the empty path for a while sends half of its window for a round trip. Who came when there was a queue takes that for a
 * part of the path, sees less delay than its neighbours, and gets more than they do. All who meet at a queue saw it empty at the same time, so
 * they drain it at the same time again (as in BBR, Cardwell et al., ACM Queue 2016), and then all know the path.
 */
static void drain(struct congestion *congestion, const struct congestion_ack *ack)
{
    const uint64_t often = DRAIN_ROUNDS * ack->srtt_ns;
    if (congestion->slow_start || !ack->limited || congestion->window < SMALL ||
        congestion->host_noise_ns >= NOISY_HOST_NS ||
        ack->now - congestion->emptied_at < (often > DRAIN_NS ? often : DRAIN_NS)) {
        return;
    }
    congestion->emptied_at = ack->now;
    congestion->held_back = congestion->window / 2;
    congestion->window -= congestion->held_back;
}

static void stop_draining(struct congestion *congestion)
{
    set_window(congestion, (uint64_t)congestion->window + congestion->held_back);
    congestion->held_back = 0;
}

/* ---- The interface ---- */

static void round_over(struct congestion *congestion, const struct congestion_ack *ack)
{
    stop_draining(congestion);
    if (congestion->round_samples > 0) {
        shrink(congestion);
    }
    const uint32_t tally = congestion->tally_lost + congestion->tally_acknowledged;
    if (tally >= within(TALLY_ROUNDS * (uint64_t)congestion_window(congestion), TALLY_MIN, TALLY_MAX)) {
        weigh_losses(congestion, ack->next);
    }
    drain(congestion, ack);
    congestion->undo_timeout = 0;
    congestion->round_delay_ns = 0;
    congestion->round_samples = 0;
    congestion->round_acknowledged = 0;
    congestion->round_end = ack->next;
}

/* From three to five quarters of the gap, evenly spread (multiplicative hashing of the packet's number). */
static uint64_t spread(uint64_t gap, uint64_t number)
{
    const uint64_t random = (uint32_t)(number * 2654435769U) >> 16;
    return gap * 3 / 4 + gap * random / 131072;
}

/* Windows up to a few packets are kept by the pace alone; larger ones by acknowledgements, too, so that a pace that is somewhat faster
 * only prevents bursts. */
static void set_gap(struct congestion *congestion, uint64_t srtt_ns, uint64_t next)
{
    if (congestion->host_noise_ns >= NOISY_HOST_NS) {
        return; /* a loop that is called late as often as not would only send late */
    }
    const uint64_t gap = srtt_ns * PACKET / congestion->window;
    const uint64_t paced = congestion->slow_start                        ? gap / 2
                           : congestion->window > PACED_LOOSELY * PACKET ? gap * 4 / 5
                           : patience(congestion->window) > 1            ? spread(gap, next)
                                                                         : gap;
    congestion->gap_ns = within(paced, 0, GAP_MAX_NS);
}

static uint16_t counted(uint16_t count, uint32_t more)
{
    return (uint16_t)within((uint64_t)count + more, 0, UINT16_MAX / 2);
}

static void swift_acknowledged(struct congestion *congestion, const struct congestion_ack *ack)
{
    congestion->tally_acknowledged = counted(congestion->tally_acknowledged, ack->acknowledged);
    congestion->round_acknowledged = counted(congestion->round_acknowledged, ack->acknowledged);
    if (ack->rtt_ns != 0) {
        const uint64_t delay = ack->rtt_ns > ack->min_rtt_ns ? ack->rtt_ns - ack->min_rtt_ns : 0;
        add_sample(congestion, delay);
        if (delay <= EMPTY_NS + congestion->host_noise_ns) {
            congestion->emptied_at = ack->now;
        }
    }
    if (ack->limited) {
        grow(congestion, ack->acknowledged);
    }
    if (ack->largest >= congestion->round_end) {
        round_over(congestion, ack);
    }
    set_gap(congestion, ack->srtt_ns, ack->next);
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
    congestion->undo_timeout = congestion->window + congestion->held_back;
    congestion->held_back = 0;
    set_window(congestion, PACKET < congestion->window / 2 ? PACKET : congestion->window / 2);
}

static void swift_spurious(struct congestion *congestion, uint64_t number)
{
    if (congestion->undo_timeout > congestion->window) { /* nothing was lost but time (RFC 4015) */
        congestion->window = congestion->undo_timeout;
        congestion->threshold = congestion->window_max;
        congestion->slow_start = false;
    }
    congestion->undo_timeout = 0;
    if (number >= congestion->answered) {
        congestion->tally_lost = (uint16_t)(congestion->tally_lost - (congestion->tally_lost > 0));
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
