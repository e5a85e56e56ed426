/* SPDX-License-Identifier: MIT */
/*
 * Finds items by the hash of their key, for tables that strangers make us look into: whoever is not there costs one cache line, not a walk
 * along a chain of those who are. Open addressing with linear probing (Knuth, The Art of Computer Programming 3, 6.4, algorithm L, and R
 * to remove). The hashes must be keyed; items are not owned. One thread at a time.
 */
#ifndef MACHNET_ENGINE_BASE_HASH_INDEX_H
#define MACHNET_ENGINE_BASE_HASH_INDEX_H

#include <stdbool.h>
#include <stdint.h>

struct hash_index {
    uint32_t *hashes; /* 0: free */
    void **items;
    uint32_t slots, count; /* slots: 0 or a power of two; count <= 3/4 of them */
};

/* Returns false if memory is short. */
bool hash_index_add(struct hash_index *index, uint32_t hash, void *item);
/* The item is there, under this hash. */
void hash_index_remove(struct hash_index *index, uint32_t hash, const void *item);
/* Frees the index; items are forgotten. */
void hash_index_fini(struct hash_index *index);

/* The candidates for a hash, one after another: *position is 0 for the first. NULL: there are no more. The caller compares keys. */
static inline void *hash_index_next(const struct hash_index *index, uint32_t hash, uint32_t *position)
{
    if (index->slots == 0) {
        return (void *)0;
    }
    const uint32_t mask = index->slots - 1;
    hash += hash == 0;
    for (;;) {
        const uint32_t slot = (hash + (*position)++) & mask;
        if (index->hashes[slot] == hash) {
            return index->items[slot];
        }
        if (index->hashes[slot] == 0) {
            return (void *)0;
        }
    }
}

#endif /* MACHNET_ENGINE_BASE_HASH_INDEX_H */
