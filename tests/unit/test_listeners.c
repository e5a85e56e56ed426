/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/address.h"
#include "listeners.h"

static struct listener at(const char *ip, uint16_t port)
{
    struct listener listener = {.token = 0};
    if (ip != NULL)
        cr_assert(address_parse_ip(ip, &listener.local));
    listener.local.port = port;
    return listener;
}

Test(listeners, add__refuses_conflicts_also_with_any)
{
    struct listeners *table = listeners_new();
    struct listener a = at("10.0.0.1", 7000), same = at("10.0.0.1", 7000), b = at("10.0.0.2", 7000),
                    any = at(NULL, 7000), any2 = at(NULL, 7001), c = at("10.0.0.1", 7001);
    cr_assert(listeners_add(table, &a));
    cr_assert_not(listeners_add(table, &same));
    cr_assert(listeners_add(table, &b));
    cr_assert_not(listeners_add(table, &any));
    cr_assert(listeners_add(table, &any2));
    cr_assert_not(listeners_add(table, &c));
    listeners_remove(table, &a);
    cr_assert_not(listeners_add(table, &any));
    listeners_remove(table, &b);
    cr_assert(listeners_add(table, &any));
    listeners_remove(table, &any);
    listeners_remove(table, &any2);
    cr_assert(listeners_add(table, &c));
    listeners_remove(table, &c);
    listeners_free(table);
}

Test(listeners, add__gives_tokens_that_are_never_used_again)
{
    struct listeners *table = listeners_new();
    struct listener a = at("10.0.0.1", 7000);
    cr_assert(listeners_add(table, &a));
    uint64_t first = a.token;
    cr_assert_neq(first, 0);
    cr_assert_eq(listeners_find(table, first), &a);
    listeners_remove(table, &a);
    cr_assert_null(listeners_find(table, first));
    cr_assert(listeners_add(table, &a));
    cr_assert_neq(a.token, first);
    listeners_remove(table, &a);
    listeners_free(table);
}

Test(listeners, add__chooses_a_free_port_until_none_is_left)
{
    enum { CHOSEN = 65536 - 49152 };
    struct listeners *table = listeners_new();
    struct listener *all = calloc(CHOSEN, sizeof *all), taken = at("10.0.0.1", 49153), one_more = at("10.0.0.1", 0);
    cr_assert(listeners_add(table, &taken));
    for (int i = 0; i < CHOSEN - 1; i++) {
        all[i] = at("10.0.0.1", 0);
        cr_assert(listeners_add(table, &all[i]));
        cr_assert(all[i].local.port >= 49152 && all[i].local.port != 49153);
    }
    cr_assert_not(listeners_add(table, &one_more));
    cr_assert_eq(one_more.local.port, 0);
    struct listener other = at("10.0.0.2", 0);
    cr_assert(listeners_add(table, &other), "another address has ports of its own");
    listeners_remove(table, &other);
    listeners_remove(table, &taken);
    for (int i = 0; i < CHOSEN - 1; i++)
        listeners_remove(table, &all[i]);
    free(all);
    listeners_free(table);
}
