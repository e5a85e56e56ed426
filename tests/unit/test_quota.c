/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "quota.h"

static char message[QUOTA_MESSAGE_BYTES];

Test(quota, user__root_has_more)
{
    struct quota *quota = quota_new(&(struct quota_config){0});
    struct quota_user *root = quota_user(quota, 0), *other = quota_user(quota, 1000);
    cr_assert_eq(root->limit[QUOTA_CHANNELS], 4096);
    cr_assert_eq(root->limit[QUOTA_BYTES], UINT64_C(16) << 30);
    cr_assert_eq(root->flows.limit, 1 << 20);
    cr_assert_eq(root->limit[QUOTA_LISTENERS], 65536);
    cr_assert_eq(other->limit[QUOTA_LISTENERS], 4096);
    cr_assert_eq(other->limit[QUOTA_CHANNELS], 256);
    cr_assert_eq(other->limit[QUOTA_BYTES], UINT64_C(1) << 30);
    cr_assert_eq(other->flows.limit, 65536);
    cr_assert_eq(quota_user(quota, 1000), other);
    quota_settle(quota, root);
    quota_settle(quota, other);
    quota_free(quota);
}

Test(quota, take__stops_at_the_limit_and_says_which_flag_raises_it)
{
    struct quota *quota = quota_new(&(struct quota_config){.channels = 2, .bytes = 5000});
    struct quota_user *user = quota_user(quota, 1000), *other = quota_user(quota, 1001);
    cr_assert(quota_take(user, QUOTA_CONNECTIONS, 1, message));
    cr_assert(quota_take(other, QUOTA_CONNECTIONS, 1, message));
    cr_assert(quota_take(user, QUOTA_CHANNELS, 1, message) && quota_take(user, QUOTA_CHANNELS, 1, message));
    cr_assert_not(quota_take(user, QUOTA_CHANNELS, 1, message));
    cr_assert(strstr(message, "1000") && strstr(message, "2 channels") && strstr(message, "--quota-channels"), "%s",
              message);
    cr_assert(quota_take(other, QUOTA_CHANNELS, 1, message), "users do not share");
    cr_assert(quota_take(user, QUOTA_BYTES, 4000, message));
    cr_assert_not(quota_take(user, QUOTA_BYTES, 1001, message));
    cr_assert_not(quota_take(user, QUOTA_BYTES, UINT64_MAX, message), "no overflow");
    cr_assert(strstr(message, "4000 of at most 5000 bytes") && strstr(message, "--quota-bytes"), "%s", message);
    cr_assert(quota_take(user, QUOTA_BYTES, 1000, message));
    quota_give(quota, user, QUOTA_BYTES, 5000);
    quota_give(quota, user, QUOTA_CHANNELS, 2);
    quota_give(quota, other, QUOTA_CHANNELS, 1);
    quota_give(quota, user, QUOTA_CONNECTIONS, 1);
    quota_give(quota, other, QUOTA_CONNECTIONS, 1);
    quota_free(quota); /* asserts that no account is left */
}

Test(quota, take__bounds_connections)
{
    struct quota *quota = quota_new(&(struct quota_config){.channels = 1});
    struct quota_user *user = quota_user(quota, 1000);
    uint32_t taken = 0;
    while (taken < 100000 && quota_take(user, QUOTA_CONNECTIONS, 1, message))
        taken++;
    cr_assert_eq(taken, 257);
    cr_assert(strstr(message, "257 connections"), "%s", message);
    quota_give(quota, user, QUOTA_CONNECTIONS, taken);
    quota_free(quota);
}

Test(quota, take__bounds_listeners)
{
    struct quota *quota = quota_new(&(struct quota_config){.listeners = 3});
    struct quota_user *user = quota_user(quota, 1000);
    cr_assert(quota_take(user, QUOTA_CONNECTIONS, 1, message));
    cr_assert(quota_take(user, QUOTA_LISTENERS, 3, message));
    cr_assert_not(quota_take(user, QUOTA_LISTENERS, 1, message));
    cr_assert(strstr(message, "3 listeners") && strstr(message, "--quota-listeners"), "%s", message);
    quota_give(quota, user, QUOTA_LISTENERS, 3);
    quota_give(quota, user, QUOTA_CONNECTIONS, 1);
    quota_free(quota);
}
