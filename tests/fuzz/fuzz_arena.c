/* SPDX-License-Identifier: MIT */
/*
 * The arena against a model that knows the owner of every 64 bytes. Extents lie apart, aligned, inside one region; an allocation
 * succeeds exactly if the model finds room; only what is allocated just there can be released; the sums are right.
 * Input: operations of 6 bytes: u8 operation, u8 region or reserve, u32 length, place or number of an extent.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "channel/arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REGIONS = 4, BLOCKS_MAX = 70, CELL = 64, CELLS = MN_BLOCK / CELL, EXTENTS_MAX = 1024, STEP = 6 };
enum operation { ADD, ALLOC_SMALL, ALLOC_LARGE, RELEASE, RELEASE_ANYWHERE, OPERATIONS };

static const uint16_t region_numbers[REGIONS] = {0, 1, 17, MN_REGIONS_MAX - 1};

struct model_block {
    uint64_t class_bytes; /* of the last extent in it; over MN_BLOCK: part of a run */
    uint32_t used_cells;
};

struct model_extent {
    struct mn_extent place; /* region: index in region_numbers */
    uint16_t owner;         /* not 0 */
};

static struct {
    struct mn_arena *arena;
    struct model_block blocks[REGIONS][BLOCKS_MAX];
    uint16_t cells[REGIONS][BLOCKS_MAX * CELLS]; /* owner, or 0 */
    uint32_t block_count[REGIONS];
    struct model_extent extents[EXTENTS_MAX];
    uint32_t extent_count;
    uint16_t last_owner;
    uint64_t used_bytes;
} model;

static uint32_t free_blocks(void)
{
    uint32_t count = 0;
    for (int r = 0; r < REGIONS; r++) {
        for (uint32_t b = 0; b < model.block_count[r]; b++)
            count += model.blocks[r][b].used_cells == 0;
    }
    return count;
}

static bool has_open_block(uint64_t class_bytes)
{
    for (int r = 0; r < REGIONS; r++) {
        for (uint32_t b = 0; b < model.block_count[r]; b++) {
            const struct model_block *block = &model.blocks[r][b];
            if (block->class_bytes == class_bytes && block->used_cells > 0 && block->used_cells < CELLS)
                return true;
        }
    }
    return false;
}

static bool has_run(uint64_t blocks)
{
    for (int r = 0; r < REGIONS; r++) {
        uint64_t run = 0;
        for (uint32_t b = 0; b < model.block_count[r]; b++) {
            run = model.blocks[r][b].used_cells == 0 ? run + 1 : 0;
            if (run >= blocks)
                return true;
        }
    }
    return false;
}

static bool should_fit(uint32_t length, uint32_t keep_blocks)
{
    uint64_t class_bytes = mn_extent_class(length);
    if (class_bytes <= MN_BLOCK && has_open_block(class_bytes))
        return true;
    uint64_t blocks = (class_bytes + MN_BLOCK - 1) / MN_BLOCK;
    return free_blocks() >= blocks + keep_blocks && has_run(blocks);
}

/* Gives the extent's cells from one owner to another; 0 is nobody. */
static void paint(int region, uint64_t offset, uint64_t bytes, uint16_t from, uint16_t to)
{
    assert(offset % CELL == 0 && bytes % CELL == 0);
    assert(offset + bytes <= (uint64_t)model.block_count[region] * MN_BLOCK);
    for (uint64_t at = offset; at < offset + bytes; at += CELL) {
        struct model_block *block = &model.blocks[region][at / MN_BLOCK];
        assert(model.cells[region][at / CELL] == from);
        model.cells[region][at / CELL] = to;
        assert(to == 0 || block->used_cells == 0 || block->class_bytes == bytes);
        block->class_bytes = bytes;
        block->used_cells += to != 0 ? 1 : UINT32_MAX;
    }
}

static void alloc(uint32_t length, uint32_t keep_blocks)
{
    struct mn_extent extent;
    if (model.extent_count == EXTENTS_MAX)
        return;
    bool expected = should_fit(length, keep_blocks);
    assert(mn_arena_alloc(model.arena, length, keep_blocks, &extent) == expected);
    if (!expected)
        return;
    assert(extent.length == length && mn_arena_could_fit(model.arena, length));
    uint16_t region = 0;
    while (region_numbers[region] != extent.region)
        assert(++region < REGIONS);
    if (++model.last_owner == 0)
        model.last_owner = 1;
    paint(region, extent.offset, mn_extent_class(length), 0, model.last_owner);
    model.used_bytes += mn_extent_class(length);
    extent.region = region;
    model.extents[model.extent_count++] = (struct model_extent){.place = extent, .owner = model.last_owner};
}

static void release(uint32_t number)
{
    struct model_extent extent = model.extents[number];
    uint64_t bytes = mn_extent_class(extent.place.length);
    assert(mn_arena_release(model.arena, region_numbers[extent.place.region], extent.place.offset));
    paint(extent.place.region, extent.place.offset, bytes, extent.owner, 0);
    model.used_bytes -= bytes;
    model.extents[number] = model.extents[--model.extent_count];
}

static void release_anywhere(int region, uint32_t place)
{
    /* Now and then at a cell's or a block's beginning, where there may be something. */
    uint64_t offset = place % 3 == 0   ? place
                      : place % 3 == 1 ? place / CELL * CELL
                                       : place / MN_BLOCK * (uint64_t)MN_BLOCK;
    offset %= (BLOCKS_MAX + 1) * (uint64_t)MN_BLOCK;
    for (uint32_t i = 0; i < model.extent_count; i++) {
        if (model.extents[i].place.region == region && model.extents[i].place.offset == offset) {
            release(i);
            return;
        }
    }
    assert(!mn_arena_release(model.arena, region_numbers[region], offset));
}

static void add(int region, uint32_t blocks)
{
    bool sound = model.block_count[region] == 0 && blocks > 0;
    int result = mn_arena_add_region(model.arena, region_numbers[region], (uint64_t)blocks * MN_BLOCK);
    assert(result == (sound ? 0 : -1));
    if (sound)
        model.block_count[region] = blocks;
}

static void check_sums(void)
{
    uint64_t bytes = 0, largest = 0;
    for (int r = 0; r < REGIONS; r++) {
        uint64_t region_bytes = (uint64_t)model.block_count[r] * MN_BLOCK;
        bytes += region_bytes;
        largest = region_bytes > largest ? region_bytes : largest;
    }
    assert(mn_arena_bytes(model.arena) == bytes);
    assert(mn_arena_largest_region(model.arena) == largest);
    assert(mn_arena_used_bytes(model.arena) == model.used_bytes);
}

static void operate(const uint8_t *step)
{
    uint32_t value;
    memcpy(&value, step + 2, sizeof(value));
    switch ((enum operation)(step[0] % OPERATIONS)) {
    case ADD:
        add(step[1] % REGIONS, value % (BLOCKS_MAX + 1));
        break;
    case ALLOC_SMALL:
        /* Sizes spread evenly over the classes. */
        alloc(value % (UINT32_C(2) << (value >> 24) % 17), step[1] % 4);
        break;
    case ALLOC_LARGE:
        alloc(value % 16 == 0 ? value : value % (9 * MN_BLOCK), step[1] % 4);
        break;
    case RELEASE:
        if (model.extent_count > 0)
            release(value % model.extent_count);
        break;
    case RELEASE_ANYWHERE:
        release_anywhere(step[1] % REGIONS, value);
        break;
    case OPERATIONS:
        assert(false);
    }
    check_sums();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* The blocks and cells of the run before are free: it released everything. */
    memset(model.block_count, 0, sizeof(model.block_count));
    model.arena = mn_arena_new();
    assert(model.arena != NULL);
    for (size_t at = 0; at + STEP <= size; at += STEP)
        operate(data + at);
    while (model.extent_count > 0)
        release(model.extent_count - 1);
    check_sums();
    assert(!has_run(1) || should_fit((uint32_t)mn_arena_largest_region(model.arena), 0));
    mn_arena_free(model.arena);
    return 0;
}
