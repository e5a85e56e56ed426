/* SPDX-License-Identifier: MIT */
/* A descriptor whose last close takes a while: of a TCP connection that lingers, with a peer that does not read. */
#ifndef MACHNET_TESTS_SUPPORT_LINGERING_H
#define MACHNET_TESTS_SUPPORT_LINGERING_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

/* The last close takes so many seconds, but for the peer's end, which must stay open so long. False: with errno. */
static inline bool lingering_open(int seconds, int *lingering, int *peer)
{
    static const uint8_t bytes[65536];
    const struct linger linger = {.l_onoff = 1, .l_linger = seconds};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    const int small = 4096;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *lingering = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) < 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0 ||
        connect(*lingering, (struct sockaddr *)&address, sizeof address) < 0 ||
        (*peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0 ||
        setsockopt(*lingering, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) < 0)
        return false;
    while (send(*lingering, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        continue;
    close(listener);
    return true;
}

/* Closes a reference that may be the last one, without waiting. */
static inline void lingering_close(int lingering)
{
    const struct linger at_once = {.l_onoff = 1};
    (void)setsockopt(lingering, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(lingering);
}

#endif /* MACHNET_TESTS_SUPPORT_LINGERING_H */
