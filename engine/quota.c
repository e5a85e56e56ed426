/* SPDX-License-Identifier: MIT */
#include "quota.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

enum { CONTEXTS_MAX = 256 }; /* connections of a user beside those of channels */

struct account {
    struct quota_user user;
    UT_hash_handle hh;
};

struct quota {
    struct quota_config config;
    struct account *accounts;
};

struct quota *quota_new(const struct quota_config *config)
{
    struct quota *quota = calloc(1, sizeof *quota);
    if (quota != NULL)
        quota->config = *config;
    return quota;
}

void quota_free(struct quota *quota)
{
    assert(quota == NULL || quota->accounts == NULL);
    free(quota);
}

static uint64_t either(uint64_t given, uint64_t otherwise)
{
    return given != 0 ? given : otherwise;
}

static struct account *new_account(const struct quota_config *config, uint32_t uid)
{
    struct account *account = calloc(1, sizeof *account);
    if (account == NULL)
        return NULL;
    bool root = uid == 0;
    struct quota_user *user = &account->user;
    user->uid = uid;
    user->limit[QUOTA_CHANNELS] = either(config->channels, root ? 4096 : 256);
    user->limit[QUOTA_BYTES] = either(config->bytes, UINT64_C(1) << (root ? 34 : 30));
    user->limit[QUOTA_LISTENERS] = either(config->listeners, root ? 65536 : 4096);
    user->limit[QUOTA_CONNECTIONS] = user->limit[QUOTA_CHANNELS] + CONTEXTS_MAX;
    user->flows.limit = (uint32_t)either(config->flows, UINT64_C(1) << (root ? 20 : 16));
    return account;
}

struct quota_user *quota_user(struct quota *quota, uint32_t uid)
{
    struct account *account;
    HASH_FIND(hh, quota->accounts, &uid, sizeof uid, account);
    if (account != NULL)
        return &account->user;
    account = new_account(&quota->config, uid);
    if (account == NULL)
        return NULL;
    HASH_ADD(hh, quota->accounts, user.uid, sizeof account->user.uid, account);
    return &account->user;
}

static void explain(const struct quota_user *user, enum quota_kind kind, uint64_t amount, char *message)
{
    uint64_t limit = user->limit[kind];
    switch (kind) {
    case QUOTA_BYTES:
        (void)snprintf(message, QUOTA_MESSAGE_BYTES,
                       "User %" PRIu32 " has %" PRIu64 " of at most %" PRIu64
                       " bytes shared with the engine and %" PRIu64
                       " more are needed. Close channels, or start machnetd with a higher --quota-bytes.",
                       user->uid, user->used[kind], limit, amount);
        break;
    case QUOTA_LISTENERS:
        (void)snprintf(message, QUOTA_MESSAGE_BYTES,
                       "User %" PRIu32 " has %" PRIu64
                       " listeners, the most that one user may have. Close some, or start machnetd with a higher "
                       "--quota-listeners.",
                       user->uid, limit);
        break;
    default:
        (void)snprintf(message, QUOTA_MESSAGE_BYTES,
                       "User %" PRIu32 " has %" PRIu64
                       " %s, the most that one user may have. Close some, or start machnetd with a "
                       "higher --quota-channels.",
                       user->uid, limit, kind == QUOTA_CHANNELS ? "channels" : "connections to the engine");
    }
}

bool quota_has(const struct quota_user *user, enum quota_kind kind, uint64_t amount)
{
    return amount <= user->limit[kind] - user->used[kind];
}

bool quota_take(struct quota_user *user, enum quota_kind kind, uint64_t amount, char *message)
{
    if (!quota_has(user, kind, amount)) {
        explain(user, kind, amount, message);
        return false;
    }
    user->used[kind] += amount;
    return true;
}

void quota_settle(struct quota *quota, struct quota_user *user)
{
    if (user->used[QUOTA_CONNECTIONS] > 0)
        return;
    assert(user->used[QUOTA_CHANNELS] == 0 && user->used[QUOTA_BYTES] == 0 && user->used[QUOTA_LISTENERS] == 0);
    assert(atomic_load_explicit(&user->flows.used, memory_order_relaxed) == 0);
    struct account *account = (struct account *)(void *)user;
    HASH_DEL(quota->accounts, account);
    free(account);
}

void quota_give(struct quota *quota, struct quota_user *user, enum quota_kind kind, uint64_t amount)
{
    assert(user->used[kind] >= amount);
    user->used[kind] -= amount;
    quota_settle(quota, user);
}

void quota_each(const struct quota *quota, void (*visit)(void *arg, const struct quota_user *user), void *arg)
{
    struct account *account, *next;
    HASH_ITER(hh, quota->accounts, account, next)
    visit(arg, &account->user);
}
