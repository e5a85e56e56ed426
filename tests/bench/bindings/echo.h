/* SPDX-License-Identifier: MIT */
/*
 * An echo on the rings of one channel, in the process of the application itself: what a message costs in a language, without an engine's time.
 * A shared library, libmachnet_echo.so, that every language loads by its foreign functions. It serves one channel of one context and answers
 * no control message after the attach (no listeners, no status).
 */
#ifndef MACHNET_BENCH_ECHO_H
#define MACHNET_BENCH_ECHO_H

#include <stdint.h>

/* Begins to serve, and writes the socket's path into `socket_path` of `capacity` bytes. 0, or -1 if the path does not fit. */
int32_t machnet_echo_start(char *socket_path, uint64_t capacity);

/* Takes all that was submitted: opens and closes flows, sends each message (at most 128 bytes) back on its flow, acknowledged. On the thread that
 * sends. Returns how many messages came. */
uint64_t machnet_echo_turn(void);

/* Ends, after the channel was shut down or before. */
void machnet_echo_stop(void);

#endif /* MACHNET_BENCH_ECHO_H */
