/* SPDX-License-Identifier: MIT */
/* The byte ranges of a message against a map of its bytes. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/prng.h"
#include "flow/flow.h"

enum { TOTAL = 600 };

/* prefix < range[0].start, range[i].end < range[i + 1].start, range[last].end <= total, and just the bytes of the map. */
static void expect_map(const struct incoming *message, const uint8_t *map)
{
    uint8_t found[TOTAL] = {0};
    uint32_t before = message->prefix;
    memset(found, 1, message->prefix);
    for (uint32_t i = 0; message->ranges && i < message->ranges->count; i++) {
        struct byte_range range = message->ranges->range[i];
        cr_assert(before < range.start && range.start < range.end && range.end <= TOTAL);
        memset(found + range.start, 1, range.end - range.start);
        before = range.end;
    }
    cr_assert_eq(memcmp(found, map, TOTAL), 0);
}

Test(ranges_add, any_order_and_overlap)
{
    struct pool pool;
    struct prng prng;
    pool_init(&pool, 1 << 20);
    prng_init(&prng, 3);
    for (int round = 0; round < 300; round++) {
        struct incoming message = {.total = TOTAL};
        uint8_t map[TOTAL] = {0};
        uint64_t longest = 1 + prng_below(&prng, 60);
        while (message.prefix < TOTAL) {
            uint32_t start = (uint32_t)prng_below(&prng, TOTAL);
            uint32_t end = start + 1 + (uint32_t)prng_below(&prng, longest);
            end = end < TOTAL ? end : TOTAL;
            if (ranges_add(&pool, &message, start, end)) {
                memset(map + start, 1, end - start);
            }
            expect_map(&message, map);
        }
        cr_assert_null(message.ranges);
    }
    pool_fini(&pool);
}

Test(ranges_add, too_many_gaps_change_nothing)
{
    struct pool pool;
    struct incoming message = {.total = TOTAL};
    uint8_t map[TOTAL] = {0};
    pool_init(&pool, 0);
    for (uint32_t i = 0; i < BYTE_RANGES_MAX; i++) {
        cr_assert(ranges_add(&pool, &message, 2 * i + 2, 2 * i + 3));
        map[2 * i + 2] = 1;
    }
    cr_assert_not(ranges_add(&pool, &message, 500, 510));
    expect_map(&message, map);
    cr_assert(ranges_add(&pool, &message, 0, 2), "what fills a gap always fits");
    cr_assert_eq(message.prefix, 3);
    ranges_free(&pool, &message);
}
