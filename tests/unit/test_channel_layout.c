/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "channel/layout.h"

static struct mn_header header, copy;
static struct mn_ring_place places[MN_RING_COUNT];
static uint64_t region_bytes;

static void write_header(void)
{
    memset(&header, 0, sizeof(header));
    mn_layout_plan(places, &region_bytes);
    mn_layout_write(&header, MN_LAYOUT_VERSION, places, region_bytes, 0);
}

TestSuite(layout, .init = write_header);

static int check(void)
{
    return mn_layout_check(&header, region_bytes, &copy);
}

Test(layout, plan__has_the_default_capacities)
{
    cr_assert_eq(places[MN_RING_SUBMISSIONS].capacity, MN_SUBMISSIONS);
    cr_assert_eq(places[MN_RING_SUBMISSIONS].entry_bytes, sizeof(struct mn_submission));
    cr_assert_eq(places[MN_RING_COMPLETIONS].capacity, MN_COMPLETIONS);
    cr_assert_eq(places[MN_RING_COMPLETIONS].entry_bytes, sizeof(struct mn_completion));
    cr_assert_eq(places[MN_RING_DELIVERIES].capacity, MN_DELIVERIES);
    cr_assert_eq(places[MN_RING_DELIVERIES].entry_bytes, sizeof(struct mn_delivery));
    cr_assert_eq(places[MN_RING_RELEASES].capacity, MN_RELEASES);
    cr_assert_eq(places[MN_RING_RELEASES].entry_bytes, sizeof(mn_release));
}

Test(layout, plan__is_whole_pages_and_holds_everything)
{
    cr_assert_eq(region_bytes % 65536, 0);
    for (int i = 0; i < MN_RING_COUNT; i++) {
        uint64_t end = places[i].offset + UINT64_C(256) + (uint64_t)places[i].capacity * places[i].entry_bytes;
        cr_assert_leq(end, i + 1 < MN_RING_COUNT ? places[i + 1].offset : region_bytes);
        cr_assert_geq(places[i].offset, MN_HEADER_BYTES);
    }
}

Test(layout, check__accepts_and_copies_what_was_written)
{
    cr_assert_eq(check(), 0);
    cr_assert_eq(copy.magic, MN_LAYOUT_MAGIC);
    cr_assert_eq(copy.version, MN_LAYOUT_VERSION);
    cr_assert_eq(copy.region_bytes, region_bytes);
    cr_assert_eq(memcmp(copy.rings, places, sizeof(places)), 0);
}

Test(layout, check__copies_nothing_that_changes)
{
    atomic_store(&header.engine_sleeping, 0xffffffff);
    atomic_store(&header.client_sleeping, 0xffffffff);
    cr_assert_eq(check(), 0);
    cr_assert_eq(atomic_load(&copy.engine_sleeping), 0);
    cr_assert_eq(atomic_load(&copy.client_sleeping), 0);
}

Test(layout, check__refuses_another_identity)
{
    header.magic++;
    cr_assert_eq(check(), -1);
    write_header();
    header.version++;
    cr_assert_eq(check(), -1);
    write_header();
    header.header_bytes = 64;
    cr_assert_eq(check(), -1);
    write_header();
    header.features = 1;
    cr_assert_eq(check(), -1);
    write_header();
    header.region_bytes += MN_BLOCK;
    cr_assert_eq(check(), -1);
}

Test(layout, check__reads_nothing_of_a_mapping_smaller_than_the_header)
{
    struct mn_header *less = malloc(MN_HEADER_BYTES - 1); /* the address sanitizer watches its end */
    memcpy(less, &header, MN_HEADER_BYTES - 1);
    cr_assert_eq(mn_layout_check(less, MN_HEADER_BYTES - 1, &copy), -1);
    free(less);
    cr_assert_eq(mn_layout_check(NULL, 0, &copy), -1);
}

static void refuses_ring(int ring, struct mn_ring_place place)
{
    write_header();
    header.rings[ring] = place;
    cr_assert_eq(check(), -1, "ring %d: offset %u capacity %u entry %u", ring, place.offset, place.capacity,
                 place.entry_bytes);
}

Test(layout, check__refuses_a_ring_that_is_not_sound)
{
    for (int i = 0; i < MN_RING_COUNT; i++) {
        const struct mn_ring_place good = places[i];
        struct mn_ring_place bad = good;
        bad.offset = 0;
        refuses_ring(i, bad);
        bad.offset = good.offset + 8;
        refuses_ring(i, bad);
        bad.offset = (uint32_t)region_bytes - 64;
        refuses_ring(i, bad);
        bad.offset = 0xffffffc0;
        refuses_ring(i, bad);
        bad = good;
        bad.capacity = 0;
        refuses_ring(i, bad);
        bad.capacity = good.capacity - 1;
        refuses_ring(i, bad);
        bad.capacity = UINT32_C(1) << 31;
        refuses_ring(i, bad);
        bad = good;
        bad.entry_bytes = 0;
        refuses_ring(i, bad);
        bad.entry_bytes = good.entry_bytes * 2;
        refuses_ring(i, bad);
        bad = good;
        bad.zero = 1;
        refuses_ring(i, bad);
    }
}

Test(layout, check__refuses_rings_that_overlap)
{
    for (int i = 0; i < MN_RING_COUNT; i++) {
        for (int j = 0; j < MN_RING_COUNT; j++) {
            if (i == j)
                continue;
            struct mn_ring_place moved = places[i];
            moved.capacity = 2;
            moved.offset = places[j].offset + MN_LINE;
            refuses_ring(i, moved);
        }
    }
}

Test(layout, check__takes_other_capacities)
{
    for (int i = 0; i < MN_RING_COUNT; i++)
        header.rings[i].capacity = 2;
    cr_assert_eq(check(), 0);
    cr_assert_eq(copy.rings[MN_RING_RELEASES].capacity, 2);
}
