/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include <machnet/machnet.h>

#include "client/error.h"

Test(status_name, every_status)
{
    for (int32_t status = 0; status >= MACHNET_EPEERMSGSIZE; status--) {
        cr_assert(strncmp(machnet_status_name(status), "MACHNET_", 8) == 0);
        cr_assert_str_neq(machnet_status_name(status), "MACHNET_EUNKNOWN");
        cr_assert_str_neq(machnet_status_text(status), "Unknown status");
        for (int32_t other = 0; other > status; other--)
            cr_assert_str_neq(machnet_status_name(status), machnet_status_name(other));
    }
}

Test(status_name, matches_the_numbers)
{
#define CHECK(code) cr_assert_str_eq(machnet_status_name(code), #code)
    CHECK(MACHNET_OK);
    CHECK(MACHNET_EAGAIN);
    CHECK(MACHNET_EINVAL);
    CHECK(MACHNET_ENOMEM);
    CHECK(MACHNET_ENOTSUP);
    CHECK(MACHNET_EVERSION);
    CHECK(MACHNET_EFORKED);
    CHECK(MACHNET_EINTR);
    CHECK(MACHNET_ETIMEDOUT);
    CHECK(MACHNET_ENOENGINE);
    CHECK(MACHNET_EENGINEGONE);
    CHECK(MACHNET_EACCES);
    CHECK(MACHNET_EQUOTA);
    CHECK(MACHNET_ESHUTDOWN);
    CHECK(MACHNET_EPROTOCOL);
    CHECK(MACHNET_EBADTOKEN);
    CHECK(MACHNET_EMSGSIZE);
    CHECK(MACHNET_EADDRINUSE);
    CHECK(MACHNET_EADDRNOTAVAIL);
    CHECK(MACHNET_EREFUSED);
    CHECK(MACHNET_EUNREACHABLE);
    CHECK(MACHNET_ECLOSED);
    CHECK(MACHNET_ERESET);
    CHECK(MACHNET_EPEERDEAD);
    CHECK(MACHNET_EPEERRESTARTED);
    CHECK(MACHNET_ESYSTEM);
    CHECK(MACHNET_EPEERPROTOCOL);
    CHECK(MACHNET_ELOWMEMORY);
    CHECK(MACHNET_EPEERMSGSIZE);
#undef CHECK
}

Test(status_name, unknown)
{
    static const int32_t unknown[] = {1, INT32_MAX, INT32_MIN, MACHNET_EPEERMSGSIZE - 1, -1000};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        cr_assert_str_eq(machnet_status_name(unknown[i]), "MACHNET_EUNKNOWN");
        cr_assert_str_eq(machnet_status_text(unknown[i]), "Unknown status");
    }
}

Test(error, cut_to_fit)
{
    machnet_error error;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    cr_assert_eq(mn_fail(&error, MACHNET_ESYSTEM, 5, "%s", text), MACHNET_ESYSTEM);
    cr_assert_eq(strlen(error.message), sizeof error.message - 1);
    cr_assert(error.status == MACHNET_ESYSTEM && error.os_error == 5);
    cr_assert_eq(mn_fail(NULL, MACHNET_EINVAL, 0, "x"), MACHNET_EINVAL);
}

Test(version, features)
{
    cr_assert_eq(machnet_abi_version(), MACHNET_ABI_VERSION);
    cr_assert_str_eq(machnet_version_string(), MACHNET_PACKAGE_VERSION);
    cr_assert_eq(machnet_has_feature("packed"), 1);
    cr_assert_eq(machnet_has_feature("zero-copy"), 1);
    cr_assert_eq(machnet_has_feature("ipv6"), 1);
    cr_assert_eq(machnet_has_feature("teleport"), 0);
    cr_assert_eq(machnet_has_feature(""), 0);
    cr_assert_eq(machnet_has_feature(NULL), 0);
}

Test(stat_name, ends)
{
    uint32_t count = 0;
    while (machnet_stat_name(count) != NULL)
        count++;
    cr_assert_gt(count, 10);
    cr_assert_null(machnet_stat_name(UINT32_MAX));
}
