/* SPDX-License-Identifier: MIT */
/* A token bucket: so many at once, and then one every so many nanoseconds. All zero: full. */
#ifndef MACHNET_ENGINE_BASE_RATE_H
#define MACHNET_ENGINE_BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate {
    uint64_t full_at; /* when the bucket is full again, if nothing more is taken */
};

/* Takes a token from a bucket that holds `burst` and gets a new one each `interval_ns`. False: it is empty. */
static inline bool rate_take(struct rate *rate, uint64_t now, uint64_t interval_ns, uint32_t burst)
{
    uint64_t full_at = (rate->full_at > now ? rate->full_at : now) + interval_ns;
    if (full_at > now + burst * interval_ns)
        return false;
    rate->full_at = full_at;
    return true;
}

#endif /* MACHNET_ENGINE_BASE_RATE_H */
