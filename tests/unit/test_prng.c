/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "base/prng.h"

/* The first numbers of the authors' reference implementations. */
Test(prng, next__is_xoshiro256starstar)
{
    static const uint64_t expected[] = {11520, 0, 1509978240, UINT64_C(1215971899390074240),
                                        UINT64_C(1216172134540287360), UINT64_C(607988272756665600)};
    struct prng prng = {.state = {1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        cr_assert_eq(prng_next(&prng), expected[i]);
    }
}

Test(prng, splitmix__is_splitmix64)
{
    uint64_t state = 1234567;
    cr_assert_eq(prng_splitmix(&state), UINT64_C(6457827717110365317));
    cr_assert_eq(prng_splitmix(&state), UINT64_C(3203168211198807973));
}

Test(prng, below__stays_below_and_reaches_all)
{
    struct prng prng;
    prng_init(&prng, 1);
    uint32_t seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        uint64_t number = prng_below(&prng, 7);
        cr_assert_lt(number, 7);
        seen[number]++;
    }
    for (int i = 0; i < 7; i++) {
        cr_assert(seen[i] > 800 && seen[i] < 1200);
    }
    cr_assert_eq(prng_below(&prng, 0), 0);
    cr_assert_eq(prng_between(&prng, 5, 5), 5);
}

Test(prng, fill__does_not_depend_on_how_far)
{
    struct prng a, b;
    uint8_t longer[37], shorter[37] = {0};
    prng_init(&a, 9);
    prng_init(&b, 9);
    prng_fill(&a, longer, sizeof longer);
    prng_fill(&b, shorter, 29);
    cr_assert_arr_eq(longer, shorter, 29);
    for (size_t i = 29; i < sizeof shorter; i++) {
        cr_assert_eq(shorter[i], 0);
    }
}
