/* SPDX-License-Identifier: MIT */
/* Slow start, and additive increase, multiplicative decrease (RFC 5681, in packets). Not paced. */
#include "flow/congestion.h"

#define WINDOW_INITIAL (64 * CONGESTION_PACKET)
#define WINDOW_MIN (16 * CONGESTION_PACKET)

static uint32_t at_least(uint32_t value, uint32_t bound)
{
    return value < bound ? bound : value;
}

static uint32_t at_most(uint64_t value, uint32_t bound)
{
    return value > bound ? bound : (uint32_t)value;
}

static void aimd_init(struct congestion *congestion)
{
    congestion->window_max = at_least(congestion->window_max, WINDOW_MIN);
    congestion->window = at_most(WINDOW_INITIAL, congestion->window_max);
    congestion->threshold = congestion->window_max;
}

static void aimd_acknowledged(struct congestion *congestion, const struct congestion_ack *ack)
{
    if (!ack->limited) {
        return;
    }
    uint64_t more = (uint64_t)ack->acknowledged * CONGESTION_PACKET;
    if (congestion->window >= congestion->threshold) {
        more = more * CONGESTION_PACKET / congestion->window; /* one packet in a round trip */
    }
    congestion->window = at_most(congestion->window + more, congestion->window_max);
}

/* Losses of one round trip are answered once. */
static void aimd_lost(struct congestion *congestion, uint64_t number, uint64_t next, uint64_t now)
{
    (void)now;
    if (number < congestion->answered) {
        congestion->undo_losses++;
        return;
    }
    congestion->answered_from = congestion->answered;
    congestion->answered = next;
    congestion->undo = congestion->window;
    congestion->undo_losses = 1;
    congestion->window = at_least(congestion->window / 2, WINDOW_MIN);
    congestion->threshold = congestion->window;
}

static void aimd_timed_out(struct congestion *congestion, uint64_t now)
{
    (void)now;
    congestion->undo_losses = 0;
    congestion->threshold = at_least(congestion->window / 2, WINDOW_MIN);
    congestion->window = WINDOW_MIN;
}

/* If all packets that were answered together have arrived after all, there was nothing to answer. */
static void aimd_spurious(struct congestion *congestion, uint64_t number)
{
    if (number < congestion->answered_from || number >= congestion->answered || congestion->undo_losses == 0) {
        return;
    }
    if (--congestion->undo_losses == 0) {
        congestion->window = at_least(congestion->window, congestion->undo);
        congestion->threshold = at_least(congestion->threshold, congestion->undo);
    }
}

const struct congestion_algorithm congestion_aimd = {
    .name = "aimd",
    .init = aimd_init,
    .acknowledged = aimd_acknowledged,
    .lost = aimd_lost,
    .timed_out = aimd_timed_out,
    .spurious = aimd_spurious,
};
