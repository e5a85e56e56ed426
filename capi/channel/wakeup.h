/* SPDX-License-Identifier: MIT */
/*
 * What the engine wakes a sleeping client with: a pair of connected stream sockets of which each side has one end. A worker must never wait
 * in it, whatever a client does with its end, and so it is neither an eventfd (whose file status flags both sides share) nor a pipe (a reader
 * holds the pipe's lock while its own memory is faulted in, which may take as long as it likes, and a writer waits for that lock even if
 * it is non-blocking).
 */
#ifndef MACHNET_CHANNEL_WAKEUP_H
#define MACHNET_CHANNEL_WAKEUP_H

/* Makes the pair, close-on-exec and non-blocking. What the client sends is refused, so that nothing ever lies in the engine's end. 0, or -errno. */
int mn_wakeup_open(int *engine_end, int *client_end);

/* Makes the client's end readable: one byte more, unless there are many or the client is gone. Never waits, raises no SIGPIPE. */
void mn_wakeup_send(int engine_end);

#endif /* MACHNET_CHANNEL_WAKEUP_H */
