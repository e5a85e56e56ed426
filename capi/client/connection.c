/* SPDX-License-Identifier: MIT */
#include "client/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/error.h"

int64_t mn_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void mn_close_fds(int *fds, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

/* As mn_control_receive, but drops what may be ignored. */
static int receive(int socket, union mn_control_message *message, int *fds, uint32_t fd_max, uint32_t *fd_count)
{
    for (;;) {
        int came[MN_CONTROL_FDS_MAX];
        int length = mn_control_receive(socket, message->bytes, came, MN_CONTROL_FDS_MAX, fd_count, MSG_DONTWAIT);
        bool ignored = length > 0 && (message->header.type & MN_CONTROL_IGNORABLE) != 0;
        if (length > 0 && !ignored && *fd_count <= fd_max) {
            for (uint32_t i = 0; i < *fd_count; i++)
                fds[i] = came[i];
            return length;
        }
        mn_close_fds(came, *fd_count);
        *fd_count = 0;
        if (!ignored)
            return length > 0 ? -EPROTO : length;
    }
}

int32_t mn_connection_receive(int socket, int64_t deadline_ns, union mn_control_message *message, int *fds,
                              uint32_t fd_max, uint32_t *fd_count, int *os_error)
{
    *os_error = 0;
    for (;;) {
        int length = receive(socket, message, fds, fd_max, fd_count);
        if (length > 0)
            return MACHNET_OK;
        if (length == 0 || length == -ECONNRESET || length == -EPIPE)
            return MACHNET_EENGINEGONE;
        if (length == -EPROTO)
            return MACHNET_EPROTOCOL;
        if (length != -EAGAIN && length != -EINTR) {
            *os_error = -length;
            return mn_status_of_errno(-length);
        }
        int64_t left_ns = deadline_ns - mn_now_ns();
        if (left_ns <= 0)
            return MACHNET_ENOENGINE;
        struct pollfd wait = {.fd = socket, .events = POLLIN};
        (void)poll(&wait, 1, (int)(left_ns / 1000000) + 1); /* an error shows at the next receive */
    }
}

static int32_t ask_failed(int32_t status, int os_error, const char *tried, machnet_error *error)
{
    switch (status) {
    case MACHNET_ENOENGINE:
        return mn_fail(error, status, 0,
                       "%s: the engine did not answer within 5 seconds. See whether machnetd is stopped "
                       "or overloaded, then try again.",
                       tried);
    case MACHNET_EENGINEGONE:
        return mn_fail(error, status, 0,
                       "%s: the engine closed the connection. See the log of machnetd, and open a new "
                       "context when it runs again.",
                       tried);
    case MACHNET_EPROTOCOL:
        return mn_fail(error, status, 0,
                       "%s: the engine answered what this library (%s) does not understand. Install "
                       "machnetd and libmachnet of one release.",
                       tried, machnet_version_string());
    case MACHNET_ENOMEM:
        return mn_fail(
            error, status, os_error,
            "%s: this process could not take what the engine sent (%s). Close some descriptors, or raise its "
            "limit (ulimit -n), then try again.",
            tried, mn_errno_text(os_error));
    default:
        return mn_fail(error, status, os_error,
                       "%s: talking to the engine failed (%s). Try again, or restart machnetd.", tried,
                       mn_errno_text(os_error));
    }
}

/* What is made of an engine's refusal: one of "unattached" in machnet.h, whatever it says. */
static int32_t refusal(int32_t status)
{
    switch (status) {
    case MACHNET_EACCES:
    case MACHNET_EQUOTA:
    case MACHNET_EVERSION:
    case MACHNET_ENOMEM:
    case MACHNET_ESYSTEM:
    case MACHNET_EENGINEGONE:
        return status;
    case MACHNET_ETIMEDOUT: /* it was tired of waiting for us; our own time is not over */
        return MACHNET_EENGINEGONE;
    default:
        return mn_status_is_newer(status) ? status : MACHNET_EPROTOCOL;
    }
}

int32_t mn_connection_ask(int socket, const struct mn_control_header *question, uint16_t type, const char *tried,
                          union mn_control_message *answer, int *fds, uint32_t fd_max, uint32_t *fd_count,
                          machnet_error *error)
{
    *fd_count = 0;
    int sent = mn_control_send(socket, question, NULL, 0);
    /* What the engine said before it closed the connection is worth reading. */
    if (sent < 0 && sent != -EPIPE && sent != -ECONNRESET) {
        if (sent == -EAGAIN)
            return ask_failed(MACHNET_ENOENGINE, 0, tried, error);
        return ask_failed(mn_status_of_errno(-sent), -sent, tried, error);
    }
    int os_error;
    int32_t status =
        mn_connection_receive(socket, mn_now_ns() + MN_CONTROL_TIMEOUT_NS, answer, fds, fd_max, fd_count, &os_error);
    if (status < 0)
        return ask_failed(status, os_error, tried, error);
    if (answer->header.status < 0)
        answer->header.status = refusal(answer->header.status);
    if (answer->header.type == type && answer->header.status <= MACHNET_OK)
        return MACHNET_OK;
    mn_close_fds(fds, *fd_count);
    *fd_count = 0;
    if (answer->header.type == MN_CONTROL_CLOSING && answer->header.status < 0)
        return mn_fail(error, answer->header.status, 0, "%s: %s", tried, answer->plain.message);
    return ask_failed(MACHNET_EPROTOCOL, 0, tried, error);
}

static int32_t connect_failed(const char *path, int os_error, machnet_error *error)
{
    switch (os_error) {
    case EACCES:
    case EPERM:
        return mn_fail(error, MACHNET_EACCES, os_error,
                       "Cannot attach: this user may not use %.100s (%s). Join the group of "
                       "that socket, or have machnetd started with another --socket-mode or --socket-group.",
                       path, mn_errno_text(os_error));
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
    case ENOTSOCK:
    case EPROTOTYPE:
    case ETIMEDOUT:
        return mn_fail(error, MACHNET_ENOENGINE, os_error,
                       "Cannot attach: no engine answers on %.100s (%s). Start machnetd, "
                       "or set MACHNET_SOCKET to its socket.",
                       path, mn_errno_text(os_error));
    default:
        return mn_fail(error, mn_status_of_errno(os_error), os_error,
                       "Cannot attach: connecting to %.100s failed (%s). Free "
                       "what is short, then try again.",
                       path, mn_errno_text(os_error));
    }
}

/* A connected socket, or -errno. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval most = {.tv_sec = MN_CONTROL_TIMEOUT_NS / 1000000000};
    size_t length = strlen(path);

    if (length >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, length + 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* Bounds both connect (a full backlog) and send. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    int result;
    do
        result = connect(fd, (struct sockaddr *)&address, sizeof address);
    while (result < 0 && errno == EINTR);
    if (result < 0) {
        int error = errno == EAGAIN ? ETIMEDOUT : errno;
        close(fd);
        return -error;
    }
    return fd;
}

static bool default_path(unsigned attempt, char path[MN_SOCKET_PATH_BYTES])
{
    const char *chosen = getenv("MACHNET_SOCKET"), *runtime = getenv("XDG_RUNTIME_DIR");
    int length;

    if (chosen != NULL && chosen[0] != '\0')
        length = attempt == 0 ? snprintf(path, MN_SOCKET_PATH_BYTES, "%s", chosen) : -1;
    else if (attempt == 0)
        length = snprintf(path, MN_SOCKET_PATH_BYTES, "/run/machnet/machnet.sock");
    else
        length = attempt == 1 && runtime != NULL && runtime[0] != '\0'
                     ? snprintf(path, MN_SOCKET_PATH_BYTES, "%s/machnet.sock", runtime)
                     : -1;
    return length > 0 && length < MN_SOCKET_PATH_BYTES;
}

/* A connected socket, or a status with the error of the first place that was tried (of both, if there is nobody at either). */
static int32_t find_engine(char path[MN_SOCKET_PATH_BYTES], int *socket, machnet_error *error)
{
    int32_t failure = MACHNET_OK;
    char first[MN_SOCKET_PATH_BYTES] = "";

    for (unsigned attempt = 0; attempt < 2; attempt++) {
        char candidate[MN_SOCKET_PATH_BYTES];
        if (path[0] != '\0' && attempt == 0)
            memcpy(candidate, path, sizeof candidate);
        else if (path[0] != '\0' || !default_path(attempt, candidate))
            continue;
        *socket = connect_to(candidate);
        if (*socket >= 0) {
            memcpy(path, candidate, sizeof candidate);
            return MACHNET_OK;
        }
        if (failure == MACHNET_OK || failure == MACHNET_ENOENGINE)
            failure = connect_failed(candidate, -*socket, error);
        if (failure == MACHNET_ENOENGINE && first[0] != '\0')
            failure =
                mn_fail(error, failure, -*socket,
                        "Cannot attach: no engine answers on %.80s or %.80s. Start machnetd, or set MACHNET_SOCKET "
                        "to its socket.",
                        first, candidate);
        memcpy(first, candidate, sizeof first);
    }
    if (failure == MACHNET_OK)
        failure = mn_fail(error, MACHNET_ENOENGINE, 0,
                          "Cannot attach: the path in MACHNET_SOCKET is longer than a socket's "
                          "path may be (%d bytes). Use a shorter one.",
                          MN_SOCKET_PATH_BYTES - 1);
    return failure;
}

/* True if the engine has chosen versions that we have. */
static bool have_chosen(const struct mn_control_hello *reply)
{
    return reply->version_min == reply->version_max &&
           mn_control_common(reply->version_min, reply->version_max, MN_CONTROL_VERSION_MIN, MN_CONTROL_VERSION) != 0 &&
           reply->layout_min == reply->layout_max &&
           mn_control_common(reply->layout_min, reply->layout_max, MN_LAYOUT_VERSION_MIN, MN_LAYOUT_VERSION) != 0 &&
           reply->features == 0; /* we asked for none */
}

static int32_t say_hello(int socket, machnet_error *error)
{
    struct mn_control_hello hello = {
        .version_min = MN_CONTROL_VERSION_MIN,
        .version_max = MN_CONTROL_VERSION,
        .layout_min = MN_LAYOUT_VERSION_MIN,
        .layout_max = MN_LAYOUT_VERSION,
    };
    union mn_control_message answer;
    uint32_t fd_count;

    mn_control_prepare(&hello.header, MN_CONTROL_HELLO, 1, MACHNET_OK);
    snprintf(hello.version, sizeof hello.version, "%s", machnet_version_string());
    int32_t status = mn_connection_ask(socket, &hello.header, MN_CONTROL_HELLO_REPLY, "Cannot attach", &answer, NULL, 0,
                                       &fd_count, error);
    if (status < 0)
        return status;
    const struct mn_control_hello *reply = &answer.hello;
    if (reply->header.status < 0 && reply->header.status != MACHNET_EVERSION)
        return mn_fail(error, reply->header.status, 0, "Cannot attach: %s", reply->message);
    if (reply->header.status < 0 || !have_chosen(reply))
        return mn_fail(error, MACHNET_EVERSION, 0,
                       "Cannot attach: machnetd %.31s and libmachnet %s have no version of the "
                       "attach protocol in common. Install both of one release.",
                       reply->version, machnet_version_string());
    return MACHNET_OK;
}

int32_t mn_connection_open(char path[MN_SOCKET_PATH_BYTES], int *socket, machnet_error *error)
{
    int32_t status = find_engine(path, socket, error);
    if (status < 0)
        return status;
    status = say_hello(*socket, error);
    if (status < 0)
        mn_close_fds(socket, 1);
    return status;
}
