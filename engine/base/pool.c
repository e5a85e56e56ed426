/* SPDX-License-Identifier: MIT */
#include "base/pool.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

struct pool_block {
    struct pool_block *next;
};

void pool_init(struct pool *pool, uint64_t keep_bytes)
{
    *pool = (struct pool){.keep_bytes = keep_bytes};
}

void pool_fini(struct pool *pool)
{
    for (uint32_t log2 = POOL_LOG2_MIN; log2 <= POOL_LOG2_MAX; log2++) {
        while (pool->free[log2]) {
            struct pool_block *block = pool->free[log2];
            pool->free[log2] = block->next;
            free(block);
        }
    }
    pool->kept_bytes = 0;
}

uint32_t pool_log2(uint64_t bytes)
{
    const uint64_t least = UINT64_C(1) << POOL_LOG2_MIN;
    const uint64_t most = UINT64_C(1) << 63;
    bytes = bytes < least ? least : bytes > most ? most : bytes;
    return 64 - (uint32_t)__builtin_clzll(bytes - 1);
}

void *pool_take(struct pool *pool, uint32_t log2)
{
    if (log2 > POOL_LOG2_MAX) {
        return NULL;
    }
    assert(log2 >= POOL_LOG2_MIN);
    struct pool_block *block = pool->free[log2];
    if (!block) {
        return malloc((size_t)1 << log2);
    }
    pool->free[log2] = block->next;
    pool->kept_bytes -= UINT64_C(1) << log2;
    return block;
}

void pool_give(struct pool *pool, void *memory, uint32_t log2)
{
    struct pool_block *block = memory;
    uint64_t bytes = UINT64_C(1) << log2;
    if (pool->kept_bytes + bytes > pool->keep_bytes) {
        free(block);
        return;
    }
    block->next = pool->free[log2];
    pool->free[log2] = block;
    pool->kept_bytes += bytes;
}
