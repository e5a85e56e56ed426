/* SPDX-License-Identifier: MIT */
/*
 * One connection to the controller before it is a channel's: connect, HELLO, and questions with one answer each. One thread at a time.
 * No call blocks longer than MN_CONTROL_TIMEOUT_NS.
 */
#ifndef MN_CLIENT_CONNECTION_H
#define MN_CLIENT_CONNECTION_H

#include <stdint.h>

#include <machnet/machnet.h>

#include "channel/control.h"
#include "client/options.h"

#define MN_CONTROL_TIMEOUT_NS INT64_C(5000000000)

union mn_control_message {
    struct mn_control_header header;
    struct mn_control_hello hello;
    struct mn_control_attach attach;
    struct mn_control_attach_offer offer;
    struct mn_control_region region;
    struct mn_control_listen listen;
    struct mn_control_plain plain;
    uint8_t bytes[MN_CONTROL_BYTES_MAX];
};

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t mn_now_ns(void);

/* Connects to `path` (empty: where an engine is looked for by default), says HELLO; *socket is the caller's. On success `path` holds the socket's
 * path. A status; `error` is filled. */
int32_t mn_connection_open(char path[MN_SOCKET_PATH_BYTES], int *socket, machnet_error *error);

/* Waits till the deadline for the next message but those that may be ignored. A status: MACHNET_ENOENGINE when the time is over,
 * MACHNET_EENGINEGONE at end of file, with *os_error for MACHNET_ESYSTEM. MACHNET_EPROTOCOL: malformed, or with more than fd_max descriptors. */
int32_t mn_connection_receive(int socket, int64_t deadline_ns, union mn_control_message *message, int *fds,
                              uint32_t fd_max, uint32_t *fd_count, int *os_error);

/* Sends `question`, waits for the message of type `type`, and fills `error` with `tried` ("Cannot attach") if that fails. A status. */
int32_t mn_connection_ask(int socket, const struct mn_control_header *question, uint16_t type, const char *tried,
                          union mn_control_message *answer, int *fds, uint32_t fd_max, uint32_t *fd_count,
                          machnet_error *error);

/* Closes and sets to -1 each of `count` descriptors that is open. */
void mn_close_fds(int *fds, uint32_t count);

#endif /* MN_CLIENT_CONNECTION_H */
