/* SPDX-License-Identifier: MIT */
/*
 * Blocks of memory in powers of two, kept for the next who needs one: what grows and shrinks with the traffic costs no malloc
 * in steady state. One thread at a time.
 */
#ifndef MACHNET_ENGINE_BASE_POOL_H
#define MACHNET_ENGINE_BASE_POOL_H

#include <stdint.h>

enum { POOL_LOG2_MIN = 6, POOL_LOG2_MAX = 27 };

struct pool_block;

struct pool {
    struct pool_block *free[POOL_LOG2_MAX + 1];
    uint64_t kept_bytes, keep_bytes; /* in the free lists; at most */
};

void pool_init(struct pool *pool, uint64_t keep_bytes);
/* Frees what is kept; blocks that are still used stay their users'. */
void pool_fini(struct pool *pool);
/* A block of 1 << log2 bytes, not cleared; NULL if memory is short or log2 > POOL_LOG2_MAX. */
void *pool_take(struct pool *pool, uint32_t log2);
void pool_give(struct pool *pool, void *block, uint32_t log2);
/* The smallest log2 whose blocks hold `bytes`. */
uint32_t pool_log2(uint64_t bytes);

#endif /* MACHNET_ENGINE_BASE_POOL_H */
