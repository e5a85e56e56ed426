/* SPDX-License-Identifier: MIT */
#include "base/deque.h"

#include <string.h>

enum { CAPACITY_MIN = 16 };

static uint32_t log2_of(uint32_t capacity, size_t size)
{
    return pool_log2((uint64_t)capacity * size);
}

bool deque_grow(struct deque *deque, struct pool *pool, uint32_t extra, size_t size)
{
    uint64_t needed = deque_count(deque) + extra;
    uint32_t capacity = deque->capacity ? deque->capacity : CAPACITY_MIN;
    while (capacity < needed) {
        if (capacity > UINT32_MAX / 2) {
            return false;
        }
        capacity *= 2;
    }
    uint8_t *slots = pool_take(pool, log2_of(capacity, size));
    if (!slots) {
        return false;
    }
    for (uint64_t n = deque->base; n < deque_end(deque); n++) {
        memcpy(slots + (n & (capacity - 1)) * size, deque_at(deque, n, size), size);
    }
    if (deque->slots) {
        pool_give(pool, deque->slots, log2_of(deque->capacity, size));
    }
    deque->slots = slots;
    deque->capacity = capacity;
    return true;
}

void deque_reset(struct deque *deque, struct pool *pool, size_t size)
{
    deque_drop(deque, deque->count);
    if (deque->slots) {
        pool_give(pool, deque->slots, log2_of(deque->capacity, size));
        deque->slots = NULL;
        deque->capacity = 0;
    }
}
