/* SPDX-License-Identifier: MIT */
/* Option sets, and the values that calls take from them. */
#ifndef MN_CLIENT_OPTIONS_H
#define MN_CLIENT_OPTIONS_H

#include <stdint.h>

#include <machnet/machnet.h>

#include "channel/layout.h"

enum { MN_SOCKET_PATH_BYTES = 108 }; /* of sockaddr_un */

struct machnet_options {
    char socket_path[MN_SOCKET_PATH_BYTES]; /* empty: not set */
    char name[MN_NAME_BYTES];               /* empty: not set */
    uint64_t send_bytes, receive_bytes;
    uint64_t spin_ns;
    uint64_t open_timeout_ns;
};

/* The set to use for a caller's `options`: itself, or the defaults if it is NULL. Not owned. */
const struct machnet_options *mn_options_or_default(const machnet_options *options);

#endif /* MN_CLIENT_OPTIONS_H */
