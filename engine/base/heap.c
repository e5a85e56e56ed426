/* SPDX-License-Identifier: MIT */
#include "base/heap.h"

#include <assert.h>
#include <stdlib.h>

bool heap_add(struct heap *heap, struct heap_timer *timer, uint32_t kind)
{
    if (heap->members == heap->capacity) {
        uint32_t capacity = heap->capacity ? 2 * heap->capacity : 64;
        struct heap_timer **timers = realloc(heap->timers, capacity * sizeof(struct heap_timer *));
        if (!timers) {
            return false;
        }
        heap->timers = timers;
        heap->capacity = capacity;
    }
    heap->members++;
    *timer = (struct heap_timer){.at = HEAP_NEVER, .kind = kind};
    return true;
}

static void place(struct heap *heap, uint32_t position, struct heap_timer *timer)
{
    heap->timers[position] = timer;
    timer->position = position;
}

static void sift_up(struct heap *heap, struct heap_timer *timer)
{
    uint32_t i = timer->position;
    while (i > 0 && heap->timers[(i - 1) / 2]->at > timer->at) {
        place(heap, i, heap->timers[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(heap, i, timer);
}

static void sift_down(struct heap *heap, struct heap_timer *timer)
{
    uint32_t i = timer->position;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && heap->timers[child + 1]->at < heap->timers[child]->at) {
            child++;
        }
        if (heap->timers[child]->at >= timer->at) {
            break;
        }
        place(heap, i, heap->timers[child]);
        i = child;
    }
    place(heap, i, timer);
}

static void stop(struct heap *heap, struct heap_timer *timer)
{
    assert(heap->timers[timer->position] == timer);
    struct heap_timer *last = heap->timers[--heap->count];
    timer->at = HEAP_NEVER;
    if (last != timer) {
        place(heap, timer->position, last);
        sift_up(heap, last);
        sift_down(heap, last);
    }
}

void heap_set(struct heap *heap, struct heap_timer *timer, uint64_t at)
{
    if (at == timer->at) {
        return;
    }
    if (at == HEAP_NEVER) {
        stop(heap, timer);
        return;
    }
    if (timer->at == HEAP_NEVER) {
        assert(heap->count < heap->members);
        place(heap, heap->count++, timer);
    }
    timer->at = at;
    sift_up(heap, timer);
    sift_down(heap, timer);
}

void heap_remove(struct heap *heap, struct heap_timer *timer)
{
    heap_set(heap, timer, HEAP_NEVER);
    heap->members--;
}

void heap_fini(struct heap *heap)
{
    free(heap->timers);
    *heap = (struct heap){0};
}
