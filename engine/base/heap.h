/* SPDX-License-Identifier: MIT */
/* Timers in a binary heap by deadline. A timer is embedded in what it belongs to; the heap never owns it. */
#ifndef MACHNET_ENGINE_BASE_HEAP_H
#define MACHNET_ENGINE_BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#define HEAP_NEVER UINT64_MAX

struct heap_timer {
    uint64_t at;       /* HEAP_NEVER: not in the heap */
    uint32_t position; /* in the heap, if it is there */
    uint32_t kind;     /* the user's: what it is embedded in */
};

struct heap {
    struct heap_timer **timers;
    uint32_t count, capacity;
    uint32_t members; /* timers that have been added, in the heap or not */
};

/* Registers a timer, not set yet, so that setting it later cannot fail; returns false if memory is short. */
bool heap_add(struct heap *heap, struct heap_timer *timer, uint32_t kind);
void heap_remove(struct heap *heap, struct heap_timer *timer);
/* Sets, moves or (HEAP_NEVER) stops it. */
void heap_set(struct heap *heap, struct heap_timer *timer, uint64_t at);
void heap_fini(struct heap *heap);

/* The timer with the earliest deadline, or NULL. */
static inline struct heap_timer *heap_first(const struct heap *heap)
{
    return heap->count > 0 ? heap->timers[0] : (struct heap_timer *)0;
}

#endif /* MACHNET_ENGINE_BASE_HEAP_H */
