/* SPDX-License-Identifier: MIT */
#include "flow/congestion.h"

enum { WINDOW_INITIAL = 64, WINDOW_MIN = 16 };

static uint32_t at_least(uint32_t value, uint32_t bound)
{
    return value < bound ? bound : value;
}

static uint32_t at_most(uint32_t value, uint32_t bound)
{
    return value > bound ? bound : value;
}

void congestion_init(struct congestion *congestion, uint32_t window_max)
{
    window_max = at_least(window_max, WINDOW_MIN);
    *congestion = (struct congestion){
        .window = at_most(WINDOW_INITIAL, window_max),
        .window_max = window_max,
        .threshold = window_max,
    };
}

void congestion_acknowledged(struct congestion *congestion, uint32_t count, bool limited)
{
    if (!limited) {
        return;
    }
    if (congestion->window < congestion->threshold) {
        congestion->window += count;
    } else {
        congestion->acknowledged += count;
        congestion->window += congestion->acknowledged / congestion->window;
        congestion->acknowledged %= congestion->window;
    }
    congestion->window = at_most(congestion->window, congestion->window_max);
}

void congestion_lost(struct congestion *congestion, uint64_t number, uint64_t next)
{
    if (number < congestion->recovery_end) {
        return;
    }
    congestion->recovery_end = next;
    congestion->window = at_least(congestion->window / 2, WINDOW_MIN);
    congestion->threshold = congestion->window;
    congestion->acknowledged = 0;
}

void congestion_timed_out(struct congestion *congestion)
{
    congestion->threshold = at_least(congestion->window / 2, WINDOW_MIN);
    congestion->window = WINDOW_MIN;
    congestion->acknowledged = 0;
}
