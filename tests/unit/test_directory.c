/* SPDX-License-Identifier: MIT */
#include "directory.h"

#include <criterion/criterion.h>

static const struct path_table paths = {
    .addresses = {{.ip = {[10] = 0xff, 0xff, 10, 0, 0, 1}}, {.ip = {[10] = 0xff, 0xff, 10, 0, 0, 2}}},
    .address_count = 2,
    .udp_port = 31700,
};

static struct endpoint at(uint8_t last, uint16_t port)
{
    return (struct endpoint){.ip = {[10] = 0xff, 0xff, 10, 0, 0, last}, .port = port};
}

static int find(const struct directory *directory, uint8_t last, uint16_t port)
{
    const struct endpoint local = at(last, port);
    return directory_find(directory, &local);
}

Test(directory, find__tells_who_listens_on_one_address)
{
    struct directory *directory = directory_new(&paths);
    const struct endpoint one = at(1, 7000), other = at(2, 7000), last = at(2, 65535);
    cr_assert_eq(find(directory, 1, 7000), DIRECTORY_NOBODY);
    directory_add(directory, &one, 3);
    directory_add(directory, &other, 63);
    directory_add(directory, &last, 0);
    cr_assert_eq(find(directory, 1, 7000), 3);
    cr_assert_eq(find(directory, 2, 7000), 63);
    cr_assert_eq(find(directory, 2, 65535), 0);
    cr_assert_eq(find(directory, 1, 65535), DIRECTORY_NOBODY);
    cr_assert_eq(find(directory, 1, 7001), DIRECTORY_NOBODY);
    cr_assert_eq(find(directory, 3, 7000), DIRECTORY_NOBODY, "not our address");
    directory_remove(directory, &one);
    cr_assert_eq(find(directory, 1, 7000), DIRECTORY_NOBODY);
    cr_assert_eq(find(directory, 2, 7000), 63);
    directory_free(directory);
}

Test(directory, find__knows_who_listens_on_all_addresses)
{
    struct directory *directory = directory_new(&paths);
    const struct endpoint any = {.port = 7000};
    directory_add(directory, &any, 1);
    cr_assert_eq(find(directory, 1, 7000), 1);
    cr_assert_eq(find(directory, 2, 7000), 1);
    cr_assert_eq(find(directory, 2, 7001), DIRECTORY_NOBODY);
    directory_remove(directory, &any);
    cr_assert_eq(find(directory, 1, 7000), DIRECTORY_NOBODY);
    cr_assert_eq(find(directory, 2, 7000), DIRECTORY_NOBODY);
    directory_free(directory);
}
