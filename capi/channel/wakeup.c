/* SPDX-License-Identifier: MIT */
#include "channel/wakeup.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int mn_wakeup_open(int *engine_end, int *client_end)
{
    const int least = 1; /* bytes, as the kernel rounds them: who does not read shall not hold much of its memory */
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return -errno;
    if (setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least) < 0 || shutdown(ends[0], SHUT_RD) < 0) {
        int error = -errno;
        close(ends[0]);
        close(ends[1]);
        return error;
    }
    *engine_end = ends[0];
    *client_end = ends[1];
    return 0;
}

void mn_wakeup_send(int engine_end)
{
    /* Full is readable, and who has closed its end needs no waking: both are fine. */
    ssize_t sent = send(engine_end, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent;
}
