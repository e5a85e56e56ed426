/* SPDX-License-Identifier: MIT */
/* Option sets, and the values that calls take from them. */
#ifndef MN_CLIENT_OPTIONS_H
#define MN_CLIENT_OPTIONS_H

#include <stdint.h>

#include <machnet/machnet.h>

#include "channel/layout.h"

enum { MN_SOCKET_PATH_BYTES = 108 }; /* of sockaddr_un */

/* Which calls have a use for an option. */
enum mn_option_scope { MN_FOR_CONTEXT, MN_FOR_CHANNEL, MN_FOR_LISTENER, MN_FOR_FLOW };

struct machnet_options {
    uint64_t set;                           /* bit n: key n was set */
    char socket_path[MN_SOCKET_PATH_BYTES]; /* empty: not set */
    char name[MN_NAME_BYTES];               /* empty: not set */
    uint64_t send_bytes, receive_bytes;
    uint64_t poll; /* enum machnet_poll */
    uint64_t spin_ns;
    uint64_t open_timeout_ns;
};

/* The set to use for a caller's `options`: itself, or the defaults if it is NULL. Not owned. */
const struct machnet_options *mn_options_or_default(const machnet_options *options);

/* MACHNET_OK if the call of `scope` has a use for each key that is set in `options` (which may be NULL), else MACHNET_ENOTSUP;
 * `tried` ("Cannot listen") begins the sentence. */
int32_t mn_options_check(const machnet_options *options, enum mn_option_scope scope, const char *tried,
                         machnet_error *error);

#endif /* MN_CLIENT_OPTIONS_H */
