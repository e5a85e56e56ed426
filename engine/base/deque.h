/* SPDX-License-Identifier: MIT */
/*
 * A queue whose elements have numbers that only grow: base, base + 1, ..., end - 1. Any of them is found by its number;
 * elements join at the end and leave at the base. Memory comes from a pool, doubles when needed and goes back when the queue is
 * empty. An element's size is passed in, always the same for one deque, so that it is a constant where it is used.
 *
 *   base <= end <= base + capacity; capacity is 0 or a power of two; element n lies in slot n mod capacity
 */
#ifndef MACHNET_ENGINE_BASE_DEQUE_H
#define MACHNET_ENGINE_BASE_DEQUE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"

struct deque {
    uint8_t *slots;
    uint64_t base, end;
    uint32_t capacity;
};

/* Makes room for `extra` more elements; returns false if memory is short. Moves elements: pointers to them become stale. */
bool deque_grow(struct deque *deque, struct pool *pool, uint32_t extra, size_t size);
/* Drops all elements and gives the memory back; base becomes end. */
void deque_reset(struct deque *deque, struct pool *pool, size_t size);

static inline uint64_t deque_count(const struct deque *deque)
{
    return deque->end - deque->base;
}

static inline bool deque_holds(const struct deque *deque, uint64_t number)
{
    return number >= deque->base && number < deque->end;
}

static inline void *deque_at(const struct deque *deque, uint64_t number, size_t size)
{
    assert(deque_holds(deque, number));
    return deque->slots + (number & (deque->capacity - 1)) * size;
}

static inline bool deque_reserve(struct deque *deque, struct pool *pool, uint32_t extra, size_t size)
{
    return deque_count(deque) + extra <= deque->capacity || deque_grow(deque, pool, extra, size);
}

/* The caller has reserved room. Returns the new element, not cleared. */
static inline void *deque_push(struct deque *deque, size_t size)
{
    assert(deque_count(deque) < deque->capacity);
    deque->end++;
    return deque_at(deque, deque->end - 1, size);
}

#endif /* MACHNET_ENGINE_BASE_DEQUE_H */
