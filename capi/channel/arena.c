/* SPDX-License-Identifier: MIT */
#include "channel/arena.h"

#include <assert.h>
#include <stdlib.h>

enum {
    CLASS_MIN_LOG2 = 6,
    CLASS_MIN = 1 << CLASS_MIN_LOG2,
    CLASSES = 11, /* 64 .. 65536 */
    SLOT_WORDS = MN_BLOCK / CLASS_MIN / 64,
};

enum block_kind { BLOCK_FREE = 0, BLOCK_SLOTS, BLOCK_RUN, BLOCK_RUN_REST };

/*
 * A block of kind SLOTS is cut into slots of one class. Bit i of slots[] is set while slot i is free, bit w of words is set while
 * slots[w] is not 0. It is on its class's list of partial blocks exactly while 0 < used < slots of the class; a block with used == 0 is given back at once.
 */
struct block {
    uint64_t slots[SLOT_WORDS];
    struct block *previous, *next;
    uint32_t index;      /* in its region */
    uint32_t run_blocks; /* RUN: how many blocks, this one included */
    uint16_t region;
    uint16_t used; /* SLOTS: slots taken */
    uint16_t words;
    uint8_t kind; /* enum block_kind */
    uint8_t class;
};

struct region {
    struct block *blocks; /* NULL: no such region */
    uint64_t *free;       /* bit per block: kind is FREE */
    uint32_t block_count, free_count;
};

struct mn_arena {
    struct region regions[MN_REGIONS_MAX];
    struct block *partial[CLASSES];
    uint64_t used_bytes;
    uint32_t block_count, free_count; /* sums over the regions */
    uint32_t largest_blocks;
    uint32_t region_end; /* no region at or above */
};

static uint32_t class_of(uint64_t length)
{
    assert(length <= MN_BLOCK);
    return length <= CLASS_MIN ? 0 : (uint32_t)(64 - __builtin_clzll(length - 1)) - CLASS_MIN_LOG2;
}

static uint32_t class_bytes(uint32_t class)
{
    return (uint32_t)CLASS_MIN << class;
}

/* The slot of a class in which a byte of its block lies. */
static uint32_t slot_at(uint32_t class, uint32_t offset)
{
    return offset >> (class + CLASS_MIN_LOG2);
}

static uint64_t blocks_for(uint64_t length)
{
    return (length + MN_BLOCK - 1) / MN_BLOCK;
}

uint64_t mn_extent_class(uint64_t length)
{
    return length <= MN_BLOCK ? class_bytes(class_of(length)) : blocks_for(length) * MN_BLOCK;
}

struct mn_arena *mn_arena_new(void)
{
    return calloc(1, sizeof(struct mn_arena));
}

void mn_arena_free(struct mn_arena *arena)
{
    if (arena == NULL)
        return;
    for (uint32_t i = 0; i < arena->region_end; i++) {
        free(arena->regions[i].blocks);
        free(arena->regions[i].free);
    }
    free(arena);
}

static void set_free(struct region *region, uint32_t index, bool is_free)
{
    uint64_t bit = UINT64_C(1) << index % 64;
    uint64_t *word = &region->free[index / 64];
    assert(((*word & bit) != 0) != is_free);
    *word = is_free ? *word | bit : *word & ~bit;
}

int mn_arena_add_region(struct mn_arena *arena, uint16_t region, uint64_t bytes)
{
    if (region >= MN_REGIONS_MAX || arena->regions[region].blocks != NULL)
        return -1;
    if (bytes == 0 || bytes % MN_BLOCK != 0 || bytes > MN_REGION_BYTES_MAX)
        return -1;
    uint32_t count = (uint32_t)(bytes / MN_BLOCK);
    struct block *blocks = calloc(count, sizeof(*blocks));
    uint64_t *bits = calloc((count + 63) / 64, sizeof(*bits));
    if (blocks == NULL || bits == NULL) {
        free(blocks);
        free(bits);
        return -1;
    }
    struct region *added = &arena->regions[region];
    *added = (struct region){.blocks = blocks, .free = bits, .block_count = count, .free_count = count};
    for (uint32_t i = 0; i < count; i++) {
        blocks[i].index = i;
        blocks[i].region = region;
        set_free(added, i, true);
    }
    arena->block_count += count;
    arena->free_count += count;
    if (count > arena->largest_blocks)
        arena->largest_blocks = count;
    if (region >= arena->region_end)
        arena->region_end = region + 1u;
    return 0;
}

/* The last free block: single blocks come from the end, runs from the beginning, so that they stay out of each other's way. */
static struct block *last_free_block(struct region *region)
{
    uint32_t word = (region->block_count - 1) / 64;
    while (region->free[word] == 0)
        word--;
    return &region->blocks[word * 64 + 63 - (uint32_t)__builtin_clzll(region->free[word])];
}

/* The first block at or after `from` that is free or not, as `wanted` says; block_count if there is none. */
static uint32_t next_block(const struct region *region, uint32_t from, bool wanted)
{
    uint64_t flip = wanted ? 0 : UINT64_MAX;
    for (uint32_t index = from; index < region->block_count; index = (index / 64 + 1) * 64) {
        uint64_t bits = (region->free[index / 64] ^ flip) >> index % 64;
        if (bits != 0) {
            index += (uint32_t)__builtin_ctzll(bits);
            return index < region->block_count ? index : region->block_count;
        }
    }
    return region->block_count;
}

/* The first of `count` adjacent free blocks, or NULL. */
static struct block *find_run(struct region *region, uint32_t count)
{
    uint32_t start = next_block(region, 0, true);
    while (start < region->block_count) {
        uint32_t end = next_block(region, start, false);
        if (end - start >= count)
            return &region->blocks[start];
        start = next_block(region, end, true);
    }
    return NULL;
}

static struct block *find_blocks(struct mn_arena *arena, uint32_t count)
{
    for (uint32_t i = 0; i < arena->region_end; i++) {
        struct region *region = &arena->regions[i];
        if (region->free_count < count)
            continue;
        struct block *block = count == 1 ? last_free_block(region) : find_run(region, count);
        if (block != NULL)
            return block;
    }
    return NULL;
}

/* Takes `count` adjacent free blocks while `keep` others remain. Returns the first, or NULL. */
static struct block *take_blocks(struct mn_arena *arena, uint64_t count, uint32_t keep)
{
    if (arena->free_count < count + keep)
        return NULL;
    struct block *first = find_blocks(arena, (uint32_t)count);
    if (first == NULL)
        return NULL;
    struct region *region = &arena->regions[first->region];
    for (uint32_t i = 0; i < count; i++) {
        set_free(region, first->index + i, false);
        first[i].kind = BLOCK_RUN_REST;
    }
    region->free_count -= (uint32_t)count;
    arena->free_count -= (uint32_t)count;
    return first;
}

static void give_blocks_back(struct mn_arena *arena, struct block *first, uint32_t count)
{
    struct region *region = &arena->regions[first->region];
    for (uint32_t i = 0; i < count; i++) {
        set_free(region, first->index + i, true);
        first[i].kind = BLOCK_FREE;
    }
    region->free_count += count;
    arena->free_count += count;
}

static void partial_insert(struct mn_arena *arena, struct block *block)
{
    struct block *head = arena->partial[block->class];
    block->previous = NULL;
    block->next = head;
    if (head != NULL)
        head->previous = block;
    arena->partial[block->class] = block;
}

static void partial_remove(struct mn_arena *arena, struct block *block)
{
    if (block->previous != NULL)
        block->previous->next = block->next;
    else
        arena->partial[block->class] = block->next;
    if (block->next != NULL)
        block->next->previous = block->previous;
}

static void cut_into_slots(struct block *block, uint32_t class)
{
    uint32_t count = MN_BLOCK / class_bytes(class);
    uint32_t words = (count + 63) / 64;
    for (uint32_t i = 0; i < words; i++)
        block->slots[i] = count < 64 ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
    block->words = (uint16_t)((1u << words) - 1);
    block->used = 0;
    block->kind = BLOCK_SLOTS;
    block->class = (uint8_t) class;
}

/* Takes the first free slot of a block that has one. Returns its number. */
static uint32_t take_slot(struct block *block)
{
    assert(block->words != 0);
    uint32_t word = (uint32_t)__builtin_ctz(block->words);
    uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(block->slots[word]);
    block->slots[word] &= block->slots[word] - 1;
    if (block->slots[word] == 0)
        block->words = (uint16_t)(block->words & ~(1u << word));
    block->used++;
    return slot;
}

static bool alloc_slot(struct mn_arena *arena, uint32_t length, uint32_t keep, struct mn_extent *extent)
{
    uint32_t class = class_of(length);
    struct block *block = arena->partial[class];
    if (block == NULL) {
        block = take_blocks(arena, 1, keep);
        if (block == NULL)
            return false;
        cut_into_slots(block, class);
        partial_insert(arena, block);
    }
    uint32_t slot = take_slot(block);
    if (block->words == 0)
        partial_remove(arena, block);
    arena->used_bytes += class_bytes(class);
    extent->region = block->region;
    extent->offset = (uint64_t)block->index * MN_BLOCK + (uint64_t)slot * class_bytes(class);
    return true;
}

static bool alloc_run(struct mn_arena *arena, uint32_t length, uint32_t keep, struct mn_extent *extent)
{
    uint64_t count = blocks_for(length);
    struct block *first = take_blocks(arena, count, keep);
    if (first == NULL)
        return false;
    first->kind = BLOCK_RUN;
    first->run_blocks = (uint32_t)count;
    arena->used_bytes += count * MN_BLOCK;
    extent->region = first->region;
    extent->offset = (uint64_t)first->index * MN_BLOCK;
    return true;
}

bool mn_arena_alloc(struct mn_arena *arena, uint32_t length, uint32_t keep_blocks, struct mn_extent *extent)
{
    extent->length = length;
    return length <= MN_BLOCK ? alloc_slot(arena, length, keep_blocks, extent)
                              : alloc_run(arena, length, keep_blocks, extent);
}

static bool release_slot(struct mn_arena *arena, struct block *block, uint32_t offset)
{
    uint32_t bytes = class_bytes(block->class), slot = slot_at(block->class, offset), word = slot / 64;
    uint64_t bit = UINT64_C(1) << slot % 64;
    if (offset != slot * bytes || (block->slots[word] & bit) != 0)
        return false;
    if (block->words == 0)
        partial_insert(arena, block);
    block->slots[word] |= bit;
    block->words = (uint16_t)(block->words | 1u << word);
    block->used--;
    arena->used_bytes -= bytes;
    if (block->used == 0) {
        partial_remove(arena, block);
        give_blocks_back(arena, block, 1);
    }
    return true;
}

bool mn_arena_release(struct mn_arena *arena, uint16_t region, uint64_t offset)
{
    if (region >= MN_REGIONS_MAX || offset / MN_BLOCK >= arena->regions[region].block_count)
        return false;
    struct block *block = &arena->regions[region].blocks[offset / MN_BLOCK];
    if (block->kind == BLOCK_SLOTS)
        return release_slot(arena, block, (uint32_t)(offset % MN_BLOCK));
    if (block->kind != BLOCK_RUN || offset % MN_BLOCK != 0)
        return false;
    arena->used_bytes -= (uint64_t)block->run_blocks * MN_BLOCK;
    give_blocks_back(arena, block, block->run_blocks);
    return true;
}

uint64_t mn_arena_bytes(const struct mn_arena *arena)
{
    return (uint64_t)arena->block_count * MN_BLOCK;
}

uint64_t mn_arena_used_bytes(const struct mn_arena *arena)
{
    return arena->used_bytes;
}

uint64_t mn_arena_free_bytes(const struct mn_arena *arena)
{
    return (uint64_t)arena->free_count * MN_BLOCK;
}

uint64_t mn_arena_largest_region(const struct mn_arena *arena)
{
    return (uint64_t)arena->largest_blocks * MN_BLOCK;
}

bool mn_arena_could_fit(const struct mn_arena *arena, uint32_t length)
{
    return mn_extent_class(length) <= mn_arena_largest_region(arena);
}
