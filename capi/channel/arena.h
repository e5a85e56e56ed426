/* SPDX-License-Identifier: MIT */
/*
 * Allocator of extents in the regions of an arena. Its state is private memory of the side that owns it (client: send, engine: receive);
 * it never reads or writes the regions themselves.
 *
 * Regions are cut into blocks of MN_BLOCK bytes. Extents of up to MN_BLOCK bytes come in size classes (powers of two, 64 .. 65536), a block
 * serves one class and is free again when it is empty; larger extents are runs of whole blocks.
 * One thread at a time.
 */
#ifndef MACHNET_CHANNEL_ARENA_H
#define MACHNET_CHANNEL_ARENA_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/layout.h"

struct mn_arena;

struct mn_extent {
    uint16_t region;
    uint32_t length;   /* bytes asked for */
    uint64_t offset;   /* in the region */
};

/* The bytes that an extent for `length` bytes occupies: its size class, or a multiple of MN_BLOCK. */
uint64_t mn_extent_class(uint64_t length);

/* NULL if memory is short. */
struct mn_arena *mn_arena_new(void);
void mn_arena_free(struct mn_arena *arena);

/* Adds a region of `bytes` (a multiple of MN_BLOCK). 0, or -1: memory is short, the index is in use or out of range. */
int mn_arena_add_region(struct mn_arena *arena, uint16_t region, uint64_t bytes);

/* Allocates; false if it does not fit now. `keep_blocks`: leave at least so many free blocks (a reserve for others). */
bool mn_arena_alloc(struct mn_arena *arena, uint32_t length, uint32_t keep_blocks, struct mn_extent *extent);

/* Gives an extent back by its place. false (and nothing changed) if no extent is allocated exactly there. */
bool mn_arena_release(struct mn_arena *arena, uint16_t region, uint64_t offset);

uint64_t mn_arena_bytes(const struct mn_arena *arena);         /* of all regions */
uint64_t mn_arena_used_bytes(const struct mn_arena *arena);    /* occupied by extents */
uint64_t mn_arena_free_bytes(const struct mn_arena *arena);    /* of free blocks */
uint64_t mn_arena_largest_region(const struct mn_arena *arena);
/* True if an extent of `length` could be allocated were the arena empty. */
bool mn_arena_could_fit(const struct mn_arena *arena, uint32_t length);

#endif /* MACHNET_CHANNEL_ARENA_H */
