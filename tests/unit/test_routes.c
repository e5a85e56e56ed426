/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "path/routes.h"

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static int add(struct routes *routes, uint32_t network, uint8_t length, uint32_t gateway)
{
    struct route route = {.network = network, .length = length, .gateway = gateway};
    return routes_add(routes, &route);
}

Test(routes, next_hop__longest_prefix)
{
    struct routes routes = {0};
    /* In an order that is not that of their lengths. */
    cr_assert_eq(add(&routes, IP(10, 1, 0, 0), 16, IP(10, 0, 0, 3)), ROUTES_OK);
    cr_assert_eq(add(&routes, 0, 0, IP(10, 0, 0, 1)), ROUTES_OK);
    cr_assert_eq(add(&routes, IP(10, 1, 2, 3), 32, IP(10, 0, 0, 4)), ROUTES_OK);
    cr_assert_eq(add(&routes, IP(10, 0, 0, 0), 24, 0), ROUTES_OK);
    cr_assert_eq(routes_next_hop(&routes, IP(10, 0, 0, 77)), IP(10, 0, 0, 77));
    cr_assert_eq(routes_next_hop(&routes, IP(10, 1, 2, 4)), IP(10, 0, 0, 3));
    cr_assert_eq(routes_next_hop(&routes, IP(10, 1, 2, 3)), IP(10, 0, 0, 4));
    cr_assert_eq(routes_next_hop(&routes, IP(8, 8, 8, 8)), IP(10, 0, 0, 1));
}

Test(routes, next_hop__none)
{
    struct routes routes = {0};
    cr_assert_eq(routes_next_hop(&routes, IP(10, 0, 0, 1)), 0);
    cr_assert_eq(add(&routes, IP(10, 0, 0, 0), 25, 0), ROUTES_OK);
    cr_assert_eq(routes_next_hop(&routes, IP(10, 0, 0, 128)), 0);
    cr_assert_eq(add(&routes, 0, 0, 0), ROUTES_OK);
    cr_assert_eq(routes_next_hop(&routes, IP(10, 0, 0, 128)), IP(10, 0, 0, 128));
    cr_assert_eq(routes_next_hop(&routes, IP(224, 0, 0, 1)), 0, "multicast");
    cr_assert_eq(routes_next_hop(&routes, IP(255, 255, 255, 255)), 0, "broadcast");
    cr_assert_eq(routes_next_hop(&routes, IP(127, 0, 0, 1)), 0, "loopback");
}

Test(routes, add__refuses)
{
    struct routes routes = {0};
    cr_assert_eq(add(&routes, IP(10, 0, 0, 1), 24, 0), ROUTES_EINVAL, "bits behind the prefix");
    cr_assert_eq(add(&routes, IP(10, 0, 0, 1), 33, 0), ROUTES_EINVAL);
    cr_assert_eq(add(&routes, IP(10, 0, 0, 1), 0, 0), ROUTES_EINVAL);
    cr_assert_eq(add(&routes, 0, 0, IP(224, 0, 0, 1)), ROUTES_EINVAL);
    cr_assert_eq(add(&routes, 0, 0, IP(10, 0, 0, 1)), ROUTES_OK);
    cr_assert_eq(add(&routes, 0, 0, IP(10, 0, 0, 1)), ROUTES_OK, "again");
    cr_assert_eq(routes.count, 1);
    cr_assert_eq(add(&routes, 0, 0, IP(10, 0, 0, 2)), ROUTES_ECONFLICT);
    for (uint32_t i = 1; i < ROUTES_MAX; i++)
        cr_assert_eq(add(&routes, IP(10, 0, i, 0), 24, 0), ROUTES_OK);
    cr_assert_eq(add(&routes, IP(11, 0, 0, 0), 24, 0), ROUTES_EFULL);
}
