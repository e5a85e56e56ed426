/* SPDX-License-Identifier: MIT */
/*
 * A queue whose elements have numbers that only grow: base, base + 1, ..., base + count - 1. Any of them is found by its number;
 * elements join at the end and leave at the base. Memory comes from a pool, doubles when needed and goes back when the queue is
 * empty. An element's size is passed in, always the same for one deque, so that it is a constant where it is used.
 *
 *   count <= capacity; capacity is 0 or a power of two; element n lies in slot n mod capacity
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
    uint64_t base;
    uint32_t count, capacity;
};

/* Makes room for `extra` more elements; returns false if memory is short. Moves elements: pointers to them become stale. */
bool deque_grow(struct deque *deque, struct pool *pool, uint32_t extra, size_t size);
/* Drops all elements and gives the memory back; base becomes the next number. */
void deque_reset(struct deque *deque, struct pool *pool, size_t size);

static inline uint64_t deque_count(const struct deque *deque)
{
    return deque->count;
}

/* The number of the next element to join. */
static inline uint64_t deque_end(const struct deque *deque)
{
    return deque->base + deque->count;
}

static inline bool deque_holds(const struct deque *deque, uint64_t number)
{
    return number - deque->base < deque->count;
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
    deque->count++;
    return deque_at(deque, deque_end(deque) - 1, size);
}

/* The first `count` elements leave. */
static inline void deque_drop(struct deque *deque, uint32_t count)
{
    assert(count <= deque->count);
    deque->base += count;
    deque->count -= count;
}

/* Those from `end` on, the newest, are taken out again: their numbers are free. */
static inline void deque_cut(struct deque *deque, uint64_t end)
{
    assert(end >= deque->base && end <= deque_end(deque));
    deque->count = (uint32_t)(end - deque->base);
}

/* It is empty; the next number is used up by an element that need not be kept. */
static inline void deque_skip(struct deque *deque)
{
    assert(deque->count == 0);
    deque->base++;
}

#endif /* MACHNET_ENGINE_BASE_DEQUE_H */
