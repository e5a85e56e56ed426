/* SPDX-License-Identifier: MIT */
/*
 * Which bytes of a message have come: [0, prefix) and a few ranges beyond it.
 *   prefix < range[0].start; range[i].end < range[i + 1].start; range[count - 1].end <= total
 */
#include "flow/flow.h"

#include <string.h>

_Static_assert(sizeof(struct byte_ranges) <= 512, "a block of 512 bytes");

static uint32_t block_log2(void)
{
    return pool_log2(sizeof(struct byte_ranges));
}

void ranges_free(struct pool *pool, struct incoming *message)
{
    if (message->ranges) {
        pool_give(pool, message->ranges, block_log2());
        message->ranges = NULL;
    }
}

static void remove_ranges(struct byte_ranges *ranges, uint32_t from, uint32_t to)
{
    memmove(&ranges->range[from], &ranges->range[to], (ranges->count - to) * sizeof ranges->range[0]);
    ranges->count -= to - from;
}

static void extend_prefix(struct pool *pool, struct incoming *message, uint32_t end)
{
    struct byte_ranges *ranges = message->ranges;
    message->prefix = end > message->prefix ? end : message->prefix;
    if (!ranges) {
        return;
    }
    uint32_t joined = 0;
    while (joined < ranges->count && ranges->range[joined].start <= message->prefix) {
        if (ranges->range[joined].end > message->prefix) {
            message->prefix = ranges->range[joined].end;
        }
        joined++;
    }
    remove_ranges(ranges, 0, joined);
    if (ranges->count == 0) {
        ranges_free(pool, message);
    }
}

/* Joins [start, end) with the ranges that it overlaps or touches. */
static bool insert(struct byte_ranges *ranges, uint32_t start, uint32_t end)
{
    uint32_t from = 0;
    while (from < ranges->count && ranges->range[from].end < start) {
        from++;
    }
    uint32_t to = from;
    while (to < ranges->count && ranges->range[to].start <= end) {
        to++;
    }
    if (from == to) {
        if (ranges->count == BYTE_RANGES_MAX) {
            return false;
        }
        memmove(&ranges->range[from + 1], &ranges->range[from], (ranges->count - from) * sizeof ranges->range[0]);
        ranges->count++;
    } else {
        start = start < ranges->range[from].start ? start : ranges->range[from].start;
        end = end > ranges->range[to - 1].end ? end : ranges->range[to - 1].end;
        remove_ranges(ranges, from + 1, to);
    }
    ranges->range[from] = (struct byte_range){start, end};
    return true;
}

bool ranges_add(struct pool *pool, struct incoming *message, uint32_t start, uint32_t end)
{
    if (start <= message->prefix) {
        extend_prefix(pool, message, end);
        return true;
    }
    if (!message->ranges) {
        message->ranges = pool_take(pool, block_log2());
        if (!message->ranges) {
            return false;
        }
        message->ranges->count = 0;
    }
    return insert(message->ranges, start, end);
}
