/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "path/path.h"

enum { PORT = 31700 };

static struct endpoint v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return (struct endpoint){.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}};
}

static struct endpoint v6(uint8_t last)
{
    return (struct endpoint){.ip = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}};
}

static struct endpoint any(void)
{
    return (struct endpoint){0};
}

static struct path_table table(void)
{
    return (struct path_table){
        .addresses = {v4(10, 0, 0, 1), v6(1), v4(10, 0, 0, 2)}, .address_count = 3, .udp_port = PORT};
}

static void expect(uint32_t worker, struct endpoint local, struct endpoint remote, struct endpoint udp_local,
                   uint16_t local_port, struct endpoint udp_remote, uint16_t remote_port)
{
    struct path_table t = table();
    struct endpoint from, to;
    cr_assert_eq(path_choose(&t, worker, &local, &remote, &from, &to), PATH_OK);
    udp_local.port = local_port;
    udp_remote.port = remote_port;
    cr_assert(endpoint_equal(&from, &udp_local));
    cr_assert(endpoint_equal(&to, &udp_remote));
}

Test(path_is_local, knows_its_addresses_whatever_the_port)
{
    struct path_table t = table();
    struct endpoint own = v4(10, 0, 0, 2), other = v4(10, 0, 0, 3), zero = any();
    own.port = 7000;
    cr_assert(path_is_local(&t, &own));
    cr_assert_not(path_is_local(&t, &other));
    cr_assert_not(path_is_local(&t, &zero));
}

Test(path_choose, takes_the_first_address_of_the_family)
{
    expect(0, any(), v4(10, 0, 0, 9), v4(10, 0, 0, 1), PORT, v4(10, 0, 0, 9), PORT);
    expect(0, any(), v6(9), v6(1), PORT, v6(9), PORT);
}

Test(path_choose, takes_the_address_asked_for)
{
    expect(0, v4(10, 0, 0, 2), v4(10, 0, 0, 9), v4(10, 0, 0, 2), PORT, v4(10, 0, 0, 9), PORT);
}

Test(path_choose, sends_from_the_workers_port_to_the_peers_first)
{
    expect(3, any(), v4(10, 0, 0, 9), v4(10, 0, 0, 1), PORT + 3, v4(10, 0, 0, 9), PORT);
}

Test(path_choose, goes_to_the_first_worker_also_inside_the_engine)
{
    expect(3, any(), v4(10, 0, 0, 2), v4(10, 0, 0, 2), PORT + 3, v4(10, 0, 0, 2), PORT);
    expect(0, v4(10, 0, 0, 1), v4(10, 0, 0, 2), v4(10, 0, 0, 1), PORT, v4(10, 0, 0, 2), PORT);
}

Test(path_choose, refuses_foreign_addresses_and_mixed_families)
{
    struct path_table t = table();
    struct endpoint from, to, foreign = v4(10, 0, 0, 7), own4 = v4(10, 0, 0, 1), remote4 = v4(10, 0, 0, 9),
                              remote6 = v6(9);
    struct endpoint zero = any();
    cr_assert_eq(path_choose(&t, 0, &foreign, &remote4, &from, &to), PATH_ENOTLOCAL);
    cr_assert_eq(path_choose(&t, 0, &own4, &remote6, &from, &to), PATH_EFAMILY);
    t.address_count = 1;
    cr_assert_eq(path_choose(&t, 0, &zero, &remote6, &from, &to), PATH_EFAMILY);
}
