/* SPDX-License-Identifier: MIT */
/*
 * The unix socket at which applications attach. A lock file beside it (PATH.lock) is held as long as the engine lives, so that one engine
 * never takes another's socket away, and a dead one's is replaced. Both files are removed at the end.
 */
#ifndef MACHNET_ENGINE_CONTROL_SOCKET_H
#define MACHNET_ENGINE_CONTROL_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { CONTROL_SOCKET_PATH_BYTES = 108, CONTROL_SOCKET_ERROR_BYTES = 384 };

struct control_socket {
    int fd; /* listening, non-blocking */
    int lock;
    dev_t device; /* which file is ours */
    ino_t inode;
    char path[CONTROL_SOCKET_PATH_BYTES];
    char lock_path[CONTROL_SOCKET_PATH_BYTES + 8];
};

/* `group` may be "". `make_directory`: the directory of `path` is made if it is not there. 0, or -1 and a sentence in
 * error[CONTROL_SOCKET_ERROR_BYTES]. */
int control_socket_open(struct control_socket *control, const char *path, uint32_t mode, const char *group,
                        bool make_directory, char *error);
/* Closes it; idempotent. */
void control_socket_close(struct control_socket *control);

#endif /* MACHNET_ENGINE_CONTROL_SOCKET_H */
