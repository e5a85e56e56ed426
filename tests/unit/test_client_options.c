/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "client/options.h"

static machnet_options *options;

static void make(void)
{
    cr_assert_eq(machnet_options_new(&options), MACHNET_OK);
}

static void drop(void)
{
    machnet_options_free(options);
}

TestSuite(options, .init = make, .fini = drop);

Test(options, defaults)
{
    cr_assert_eq(mn_options_or_default(NULL)->send_bytes, UINT64_C(64) << 20);
    cr_assert_eq(mn_options_or_default(NULL)->open_timeout_ns, UINT64_C(3000000000));
    cr_assert_eq(mn_options_or_default(NULL)->poll, MACHNET_POLL_ADAPTIVE);
    cr_assert_eq(mn_options_or_default(NULL)->spin_ns, 250000);
    cr_assert_eq(memcmp(mn_options_or_default(NULL), options, sizeof *options), 0);
    cr_assert_eq(mn_options_or_default(options), options);
}

Test(options, set_u64__ranges)
{
    static const struct {
        uint32_t key;
        uint64_t value;
        int32_t status;
    } cases[] = {
        {MACHNET_OPTION_SEND_BYTES, 65535, MACHNET_EINVAL},
        {MACHNET_OPTION_SEND_BYTES, 65536, MACHNET_OK},
        {MACHNET_OPTION_RECEIVE_BYTES, 0, MACHNET_EINVAL},
        {MACHNET_OPTION_RECEIVE_BYTES, UINT64_MAX, MACHNET_EINVAL},
        {MACHNET_OPTION_SPIN_NS, 0, MACHNET_OK},
        {MACHNET_OPTION_SPIN_NS, UINT64_MAX, MACHNET_EINVAL},
        {MACHNET_OPTION_OPEN_TIMEOUT_NS, 999999, MACHNET_EINVAL},
        {MACHNET_OPTION_OPEN_TIMEOUT_NS, 1000000, MACHNET_OK},
        {MACHNET_OPTION_NAME, 1, MACHNET_EINVAL},
        {0, 1, MACHNET_ENOTSUP},
        {MACHNET_OPTION_POLL, MACHNET_POLL_SLEEP, MACHNET_OK},
        {MACHNET_OPTION_POLL, MACHNET_POLL_SLEEP + 1, MACHNET_EINVAL},
        {8, 1, MACHNET_ENOTSUP},
        {UINT32_MAX, 1, MACHNET_ENOTSUP},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(machnet_options_set_u64(options, cases[i].key, cases[i].value), cases[i].status, "case %zu", i);
    cr_assert_eq(options->send_bytes, 65536);
    cr_assert_eq(options->open_timeout_ns, 1000000);
}

Test(options, set_str__lengths)
{
    char text[256];
    memset(text, 'x', sizeof text);
    text[32] = '\0';
    cr_assert_eq(machnet_options_set_str(options, MACHNET_OPTION_NAME, text), MACHNET_EINVAL);
    text[31] = '\0';
    cr_assert_eq(machnet_options_set_str(options, MACHNET_OPTION_NAME, text), MACHNET_OK);
    cr_assert_str_eq(options->name, text);
    cr_assert_eq(machnet_options_set_str(options, MACHNET_OPTION_NAME, "b"), MACHNET_OK);
    cr_assert_str_eq(options->name, "b");
    cr_assert_eq(machnet_options_set_str(options, MACHNET_OPTION_NAME, ""), MACHNET_EINVAL);
    memset(text, 'x', sizeof text);
    text[108] = '\0';
    cr_assert_eq(machnet_options_set_str(options, MACHNET_OPTION_SOCKET_PATH, text), MACHNET_EINVAL);
    text[107] = '\0';
    cr_assert_eq(machnet_options_set_str(options, MACHNET_OPTION_SOCKET_PATH, text), MACHNET_OK);
    cr_assert_eq(machnet_options_set_str(options, MACHNET_OPTION_SPIN_NS, "1"), MACHNET_EINVAL);
    cr_assert_eq(machnet_options_set_str(options, 999, "1"), MACHNET_ENOTSUP);
}

Test(options, null)
{
    machnet_options_free(NULL);
    cr_assert_eq(machnet_options_new(NULL), MACHNET_EINVAL);
    cr_assert_eq(machnet_options_set_u64(NULL, 1, 1), MACHNET_EINVAL);
    cr_assert_eq(machnet_options_set_str(NULL, 1, "x"), MACHNET_EINVAL);
    cr_assert_eq(machnet_options_set_str(options, 1, NULL), MACHNET_EINVAL);
}
