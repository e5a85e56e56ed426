/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>

#include "channel/arena.h"

static struct mn_arena *arena;

static void new_arena(void)
{
    arena = mn_arena_new();
    cr_assert_not_null(arena);
}

static void free_arena(void)
{
    mn_arena_free(arena);
}

TestSuite(arena, .init = new_arena, .fini = free_arena);

static void add(uint16_t region, uint64_t blocks)
{
    cr_assert_eq(mn_arena_add_region(arena, region, blocks * MN_BLOCK), 0);
}

static struct mn_extent alloc(uint32_t length)
{
    struct mn_extent extent;
    cr_assert(mn_arena_alloc(arena, length, 0, &extent));
    cr_assert_eq(extent.length, length);
    return extent;
}

static void release(struct mn_extent extent)
{
    cr_assert(mn_arena_release(arena, extent.region, extent.offset));
}

static bool fits(uint32_t length, uint32_t keep_blocks)
{
    struct mn_extent extent;
    if (!mn_arena_alloc(arena, length, keep_blocks, &extent))
        return false;
    release(extent);
    return true;
}

Test(arena, extent_class__rounds_to_classes_and_blocks)
{
    const struct {
        uint64_t length, bytes;
    } cases[] = {
        {0, 64},
        {1, 64},
        {64, 64},
        {65, 128},
        {128, 128},
        {129, 256},
        {4096, 4096},
        {4097, 8192},
        {32769, 65536},
        {65535, 65536},
        {65536, 65536},
        {65537, 131072},
        {131072, 131072},
        {131073, 196608},
        {8388608, 8388608},
        {8388607, 8388608},
        {UINT32_MAX, UINT64_C(1) << 32},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_assert_eq(mn_extent_class(cases[i].length), cases[i].bytes);
}

Test(arena, add_region__refuses_what_is_not_a_region)
{
    add(3, 1);
    cr_assert_eq(mn_arena_add_region(arena, 3, MN_BLOCK), -1, "in use");
    cr_assert_eq(mn_arena_add_region(arena, MN_REGIONS_MAX, MN_BLOCK), -1);
    cr_assert_eq(mn_arena_add_region(arena, 4, 0), -1);
    cr_assert_eq(mn_arena_add_region(arena, 4, MN_BLOCK + 4096), -1);
    cr_assert_eq(mn_arena_add_region(arena, 4, UINT64_C(2) * MN_REGION_BYTES_MAX), -1);
    cr_assert_eq(mn_arena_bytes(arena), MN_BLOCK);
}

Test(arena, empty__has_no_room)
{
    struct mn_extent extent;
    cr_assert_not(mn_arena_alloc(arena, 1, 0, &extent));
    cr_assert_not(mn_arena_could_fit(arena, 1));
    cr_assert_not(mn_arena_release(arena, 0, 0));
    cr_assert_eq(mn_arena_bytes(arena), 0);
    cr_assert_eq(mn_arena_largest_region(arena), 0);
}

Test(arena, alloc__fills_a_block_with_each_class_exactly)
{
    add(0, 1);
    for (uint32_t bytes = 64; bytes <= MN_BLOCK; bytes *= 2) {
        static struct mn_extent extents[1024];
        uint32_t count = MN_BLOCK / bytes;
        for (uint32_t i = 0; i < count; i++) {
            extents[i] = alloc(bytes);
            cr_assert_eq(extents[i].offset % bytes, 0);
            cr_assert_leq(extents[i].offset + bytes, MN_BLOCK);
            for (uint32_t j = 0; j < i; j++)
                cr_assert_neq(extents[i].offset, extents[j].offset);
        }
        cr_assert_eq(mn_arena_used_bytes(arena), MN_BLOCK);
        cr_assert_not(fits(1, 0));
        for (uint32_t i = 0; i < count; i++)
            release(extents[i]);
        cr_assert_eq(mn_arena_used_bytes(arena), 0);
    }
}

Test(arena, alloc__gives_a_run_the_whole_region)
{
    add(0, 128);
    struct mn_extent whole = alloc(MN_MESSAGE_MAX);
    cr_assert_eq(whole.offset, 0);
    cr_assert_eq(mn_arena_used_bytes(arena), MN_MESSAGE_MAX);
    cr_assert_not(fits(1, 0));
    release(whole);
    cr_assert(fits(MN_MESSAGE_MAX, 0));
}

Test(arena, alloc__finds_a_run_only_where_blocks_are_adjacent)
{
    add(0, 5);
    struct mn_extent blocks[5];
    for (int i = 0; i < 5; i++)
        blocks[i] = alloc(MN_BLOCK);
    for (int i = 0; i < 5; i += 2)
        release(blocks[i]);
    cr_assert_not(fits(2 * MN_BLOCK, 0));
    release(blocks[1]);
    cr_assert(fits(3 * MN_BLOCK, 0));
    cr_assert_not(fits(3 * MN_BLOCK + 1, 0));
}

Test(arena, alloc__finds_runs_across_words_of_the_bitmap)
{
    add(0, 200);
    struct mn_extent first = alloc(50 * MN_BLOCK), middle = alloc(100 * MN_BLOCK), last = alloc(50 * MN_BLOCK);
    cr_assert_not(fits(1, 0));
    release(middle);
    cr_assert(fits(100 * MN_BLOCK, 0));
    cr_assert_not(fits(100 * MN_BLOCK + 1, 0));
    release(last);
    cr_assert(fits(150 * MN_BLOCK, 0));
    cr_assert_not(fits(150 * MN_BLOCK + 1, 0));
    release(first);
    cr_assert(fits(200 * MN_BLOCK, 0));
}

Test(arena, alloc__never_joins_regions)
{
    add(0, 2);
    add(1, 2);
    cr_assert_not(fits(3 * MN_BLOCK, 0));
    cr_assert_not(mn_arena_could_fit(arena, 2 * MN_BLOCK + 1));
    cr_assert(mn_arena_could_fit(arena, 2 * MN_BLOCK));
    add(7, 3);
    cr_assert(mn_arena_could_fit(arena, 3 * MN_BLOCK));
    cr_assert_eq(alloc(3 * MN_BLOCK).region, 7);
    cr_assert_eq(mn_arena_largest_region(arena), UINT64_C(3) * MN_BLOCK);
    cr_assert_eq(mn_arena_bytes(arena), UINT64_C(7) * MN_BLOCK);
}

Test(arena, alloc__is_wrong_for_lengths_beyond_any_region)
{
    add(0, 16);
    cr_assert_not(fits(UINT32_MAX, 0));
    cr_assert_not(mn_arena_could_fit(arena, UINT32_MAX));
}

Test(arena, keep_blocks__bounds_free_blocks_not_slots)
{
    add(0, 4);
    cr_assert(fits(MN_BLOCK, 3));
    cr_assert_not(fits(MN_BLOCK, 4));
    cr_assert_not(fits(64, 4));
    cr_assert(fits(2 * MN_BLOCK, 2));
    cr_assert_not(fits(2 * MN_BLOCK, 3));
    cr_assert_not(fits(64, UINT32_MAX));
    struct mn_extent small = alloc(64);
    cr_assert(fits(64, 4), "a slot of a block in use costs no free block");
    release(small);
}

Test(arena, release__gives_an_empty_block_back_at_once)
{
    add(0, 1);
    struct mn_extent one = alloc(64), other = alloc(64);
    release(one);
    cr_assert_not(fits(MN_BLOCK, 0));
    release(other);
    cr_assert(fits(MN_BLOCK, 0));
}

Test(arena, release__refuses_what_is_not_allocated_just_there)
{
    add(0, 8);
    struct mn_extent small = alloc(200), run = alloc(3 * MN_BLOCK);
    uint64_t used = mn_arena_used_bytes(arena);
    cr_assert_not(mn_arena_release(arena, 0, small.offset + 64), "inside");
    cr_assert_not(mn_arena_release(arena, 0, small.offset + 1), "not aligned");
    cr_assert_not(mn_arena_release(arena, 0, small.offset + 256), "the next slot");
    cr_assert_not(mn_arena_release(arena, 0, run.offset + MN_BLOCK), "the run's second block");
    cr_assert_not(mn_arena_release(arena, 0, run.offset + 64), "inside the run");
    cr_assert_not(mn_arena_release(arena, 0, run.offset + UINT64_C(3) * MN_BLOCK), "a free block");
    cr_assert_not(mn_arena_release(arena, 0, UINT64_C(8) * MN_BLOCK), "the region's end");
    cr_assert_not(mn_arena_release(arena, 0, UINT64_MAX));
    cr_assert_not(mn_arena_release(arena, 1, 0), "no such region");
    cr_assert_not(mn_arena_release(arena, UINT16_MAX, 0));
    cr_assert_eq(mn_arena_used_bytes(arena), used);
    release(small);
    release(run);
    cr_assert_not(mn_arena_release(arena, small.region, small.offset), "twice");
    cr_assert_not(mn_arena_release(arena, run.region, run.offset), "twice");
    cr_assert_eq(mn_arena_used_bytes(arena), 0);
}

Test(arena, release__remembers_no_run_of_the_past)
{
    add(0, 4);
    struct mn_extent run = alloc(4 * MN_BLOCK);
    release(run);
    struct mn_extent low = alloc(2 * MN_BLOCK), high = alloc(2 * MN_BLOCK);
    release(low);
    cr_assert_eq(mn_arena_used_bytes(arena), UINT64_C(2) * MN_BLOCK);
    cr_assert_not(mn_arena_release(arena, 0, MN_BLOCK));
    release(high);
}

Test(arena, free__takes_null)
{
    mn_arena_free(NULL);
}

Test(arena, slots__of_a_full_block_can_be_taken_again)
{
    add(0, 2);
    static struct mn_extent extents[2048];
    for (int i = 0; i < 2048; i++)
        extents[i] = alloc(64);
    cr_assert_not(fits(64, 0));
    release(extents[5]);
    release(extents[1999]);
    struct mn_extent again = alloc(64), more = alloc(64);
    cr_assert_not(fits(64, 0));
    cr_assert((again.offset == extents[5].offset && more.offset == extents[1999].offset) ||
              (again.offset == extents[1999].offset && more.offset == extents[5].offset));
}
