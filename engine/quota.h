/* SPDX-License-Identifier: MIT */
/* What each user (uid) has of the engine, and how much one user may have. The controller's thread, but for quota_flow_*. */
#ifndef MACHNET_ENGINE_QUOTA_H
#define MACHNET_ENGINE_QUOTA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum quota_kind { QUOTA_CONNECTIONS, QUOTA_CHANNELS, QUOTA_BYTES, QUOTA_LISTENERS, QUOTA_KINDS };

enum { QUOTA_MESSAGE_BYTES = 192 };

/* The limits given by flags; 0: the default, which is larger for root. */
struct quota_config {
    uint64_t channels, bytes, flows, listeners;
};

struct quota;

/* The flows of all channels of a user; these may belong to different workers. */
struct quota_flows {
    _Atomic uint32_t used;
    uint32_t limit;
};

struct quota_user {
    uint32_t uid;
    uint64_t used[QUOTA_KINDS];
    uint64_t limit[QUOTA_KINDS];
    struct quota_flows flows;
    uint32_t leaving; /* connections that have ended, and not given back all yet */
};

/* Any thread. Takes one flow more; false: the user has as many as one may. */
static inline bool quota_flow_take(struct quota_flows *flows)
{
    if (atomic_fetch_add_explicit(&flows->used, 1, memory_order_relaxed) < flows->limit)
        return true;
    atomic_fetch_sub_explicit(&flows->used, 1, memory_order_relaxed);
    return false;
}

/* Any thread. */
static inline void quota_flow_give(struct quota_flows *flows)
{
    atomic_fetch_sub_explicit(&flows->used, 1, memory_order_relaxed);
}

/* NULL if memory is short. */
struct quota *quota_new(const struct quota_config *config);
/* All has been given back before. */
void quota_free(struct quota *quota);

/* The account of a user, made if there is none; NULL if memory is short. It lives until the last connection is given back. Not owned. */
struct quota_user *quota_user(struct quota *quota, uint32_t uid);

/* Whether `amount` more may be taken. */
bool quota_has(const struct quota_user *user, enum quota_kind kind, uint64_t amount);
/* Takes `amount` more. False, and a sentence for the user in message[QUOTA_MESSAGE_BYTES], if that is above the limit. */
bool quota_take(struct quota_user *user, enum quota_kind kind, uint64_t amount, char *message);
/* Gives back; `user` may be gone after its last connection was. */
void quota_give(struct quota *quota, struct quota_user *user, enum quota_kind kind, uint64_t amount);
/* Drops an account of which nothing was taken. */
void quota_settle(struct quota *quota, struct quota_user *user);

void quota_each(const struct quota *quota, void (*visit)(void *arg, const struct quota_user *user), void *arg);

#endif /* MACHNET_ENGINE_QUOTA_H */
