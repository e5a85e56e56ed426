/* SPDX-License-Identifier: MIT */
/*
 * Both ends of one ring, and a peer who writes what it likes into the indices. As long as nobody does, entries arrive once and in
 * order; after that no access is out of bounds and every answer is MN_RING_BROKEN or at most the capacity.
 * Input: u8 logarithm of the capacity, u8 what the entries are, u32 first index, then operations of u8 + u8 or u32.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "channel/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum operation { SPACE, READY, PUBLISH_PRODUCER, PUBLISH_CONSUMER, ATTACK_PRODUCER, ATTACK_CONSUMER, OPERATIONS };

struct state {
    struct mn_ring producer, consumer;
    uint64_t written, published, read, freed; /* counts of entries while both sides are honest */
    bool hostile;
};

static void check_answer(const struct mn_ring *ring, int64_t answer, bool hostile)
{
    assert(answer >= (hostile ? MN_RING_BROKEN : 0) && answer <= ring->capacity);
}

static void write_some(struct state *state, uint32_t count)
{
    struct mn_ring *ring = &state->producer;
    int64_t space = mn_ring_space(ring, count);
    check_answer(ring, space, state->hostile);
    if (!state->hostile) {
        assert((uint64_t)space <= ring->capacity - (state->written - state->freed));
        assert(space >= count || (uint64_t)space == ring->capacity - (state->written - state->freed));
    }
    for (; count > 0 && space > 0; count--, space--) {
        memset(mn_ring_entry(ring, 0), (int)(state->written & 0xff), ring->entry_bytes);
        mn_ring_advance(ring, 1);
        state->written++;
    }
}

static void read_some(struct state *state, uint32_t count)
{
    struct mn_ring *ring = &state->consumer;
    int64_t ready = mn_ring_ready(ring);
    check_answer(ring, ready, state->hostile);
    if (!state->hostile) {
        assert((uint64_t)ready <= state->published - state->read);
        assert(ready > 0 || state->published == state->read);
    }
    for (; count > 0 && ready > 0; count--, ready--) {
        uint8_t entry[255];
        memcpy(entry, mn_ring_entry(ring, 0), ring->entry_bytes);
        for (uint32_t i = 0; i < ring->entry_bytes && !state->hostile; i++)
            assert(entry[i] == (state->read & 0xff));
        mn_ring_advance(ring, 1);
        state->read++;
    }
}

static void attack(struct state *state, _Atomic uint32_t *index, const uint8_t *value)
{
    uint32_t hostile_index;
    memcpy(&hostile_index, value, sizeof(hostile_index));
    atomic_store_explicit(index, hostile_index, memory_order_relaxed);
    state->hostile = true;
}

static void operate(struct state *state, enum operation operation, const uint8_t *argument)
{
    switch (operation) {
    case SPACE:
        write_some(state, argument[0]);
        break;
    case READY:
        read_some(state, argument[0]);
        break;
    case PUBLISH_PRODUCER:
        mn_ring_publish(&state->producer);
        state->published = state->written;
        break;
    case PUBLISH_CONSUMER:
        mn_ring_publish(&state->consumer);
        state->freed = state->read;
        break;
    case ATTACK_PRODUCER:
        attack(state, state->producer.mine, argument);
        break;
    case ATTACK_CONSUMER:
        attack(state, state->consumer.mine, argument);
        break;
    case OPERATIONS:
        assert(false);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t entries[] = {8, 16, 64, 1, 255};
    enum { HEAD = 6, STEP = 5 };
    if (size < HEAD)
        return 0;
    struct mn_ring_place place = {.capacity = UINT32_C(2) << data[0] % 7, .entry_bytes = entries[data[1] % 5]};
    size_t lines = 4 * MN_LINE, bytes = lines + (size_t)place.capacity * place.entry_bytes;
    uint8_t *base = malloc(bytes);
    assert(base != NULL);
    memset(base, 0, lines);
    struct state state = {0};
    uint32_t first;
    memcpy(&first, data + 2, sizeof(first));
    mn_ring_bind_producer(&state.producer, base, &place);
    mn_ring_bind_consumer(&state.consumer, base, &place);
    state.producer.next = state.producer.cached = state.consumer.next = state.consumer.cached = first;
    mn_ring_publish(&state.producer);
    mn_ring_publish(&state.consumer);
    for (size_t at = HEAD; at + STEP <= size; at += STEP) {
        /* The upper half of the values are honest, so that long honest runs happen. */
        unsigned operation = data[at] >= 128 ? data[at] % ATTACK_PRODUCER : data[at] % OPERATIONS;
        operate(&state, (enum operation)operation, data + at + 1);
    }
    free(base);
    return 0;
}
