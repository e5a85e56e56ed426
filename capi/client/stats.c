/* SPDX-License-Identifier: MIT */
#include "client/client.h"

static const char *const names[] = {
#define X(name, place) #name,
    MN_COUNTERS(X)
#undef X
};

enum { STAT_COUNT = sizeof names / sizeof *names };

int32_t machnet_channel_stats(machnet_channel *channel, uint64_t *values, uint32_t max)
{
    if (channel == NULL || (values == NULL && max > 0))
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    const uint64_t all[] = {
#define X(name, place) atomic_load_explicit(&channel->place, memory_order_relaxed),
        MN_COUNTERS(X)
#undef X
    };
    for (uint32_t i = 0; i < max && i < STAT_COUNT; i++)
        values[i] = all[i];
    return STAT_COUNT;
}

const char *machnet_stat_name(uint32_t index)
{
    return index < STAT_COUNT ? names[index] : NULL;
}
