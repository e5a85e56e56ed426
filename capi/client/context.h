/* SPDX-License-Identifier: MIT */
#ifndef MN_CLIENT_CONTEXT_H
#define MN_CLIENT_CONTEXT_H

#include <pthread.h>

#include "client/fork.h"
#include "client/options.h"

struct machnet_context {
    struct mn_handle handle;
    char path[MN_SOCKET_PATH_BYTES]; /* of the engine's socket; constant */
    pthread_mutex_t lock;
    int socket;       /* under lock: for status; -1: connect anew */
    uint32_t request; /* under lock */
};

#endif /* MN_CLIENT_CONTEXT_H */
