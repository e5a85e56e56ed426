/* SPDX-License-Identifier: MIT */
#include "base/hash_index.h"

#include <assert.h>
#include <stdlib.h>

enum { SLOTS_MIN = 16 };

/* There is room. */
static void put(struct hash_index *index, uint32_t hash, void *item)
{
    const uint32_t mask = index->slots - 1;
    uint32_t slot = hash & mask;
    while (index->hashes[slot] != 0) {
        slot = (slot + 1) & mask;
    }
    index->hashes[slot] = hash;
    index->items[slot] = item;
    index->count++;
}

static bool grow(struct hash_index *index)
{
    struct hash_index larger = {.slots = index->slots ? 2 * index->slots : SLOTS_MIN};
    larger.hashes = calloc(larger.slots, sizeof *larger.hashes);
    larger.items = malloc(larger.slots * sizeof *larger.items);
    if (!larger.hashes || !larger.items) {
        hash_index_fini(&larger);
        return false;
    }
    for (uint32_t slot = 0; slot < index->slots; slot++) {
        if (index->hashes[slot] != 0) {
            put(&larger, index->hashes[slot], index->items[slot]);
        }
    }
    hash_index_fini(index);
    *index = larger;
    return true;
}

bool hash_index_add(struct hash_index *index, uint32_t hash, void *item)
{
    if (index->count >= index->slots - index->slots / 4 && !grow(index)) {
        return false;
    }
    put(index, hash + (hash == 0), item);
    return true;
}

void hash_index_remove(struct hash_index *index, uint32_t hash, const void *item)
{
    const uint32_t mask = index->slots - 1;
    uint32_t hole = (hash + (hash == 0)) & mask;
    assert(index->count > 0);
    while (index->hashes[hole] != 0 && index->items[hole] != item) {
        hole = (hole + 1) & mask;
    }
    assert(index->hashes[hole] != 0);
    /* Whoever would not be found beyond the hole moves into it, and leaves another. */
    for (uint32_t slot = (hole + 1) & mask; index->hashes[slot] != 0; slot = (slot + 1) & mask) {
        const uint32_t distance = (slot - index->hashes[slot]) & mask; /* from where it would best be */
        if (distance >= ((slot - hole) & mask)) {
            index->hashes[hole] = index->hashes[slot];
            index->items[hole] = index->items[slot];
            hole = slot;
        }
    }
    index->hashes[hole] = 0;
    index->count--;
}

void hash_index_fini(struct hash_index *index)
{
    free(index->hashes);
    free(index->items);
    *index = (struct hash_index){0};
}
