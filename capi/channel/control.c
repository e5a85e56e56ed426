/* SPDX-License-Identifier: MIT */
#include "channel/control.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static_assert(sizeof(struct mn_control_attach_offer) <= MN_CONTROL_BYTES_MAX,
              "every message fits the receiver's buffer");

/* The end (exclusive) of a fixed-size string in a message. */
#define STRING_END(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

/* Size and strings of each type of message. A type that is not here (the reserved ones) is refused. */
static const struct {
    uint16_t bytes;
    uint16_t string_ends[2]; /* 0: none */
} kinds[] = {
#define KIND(type, ...) \
    {                   \
        sizeof(type),   \
        {               \
            __VA_ARGS__ \
        }               \
    }
#define HELLO                                                                   \
    KIND(struct mn_control_hello, STRING_END(struct mn_control_hello, version), \
         STRING_END(struct mn_control_hello, message))
#define OFFER KIND(struct mn_control_attach_offer, STRING_END(struct mn_control_attach_offer, message))
#define REGION KIND(struct mn_control_region, 0)
#define LISTEN KIND(struct mn_control_listen, STRING_END(struct mn_control_listen, message))
#define PLAIN KIND(struct mn_control_plain, STRING_END(struct mn_control_plain, message))
    [MN_CONTROL_HELLO] = HELLO,
    [MN_CONTROL_HELLO_REPLY] = HELLO,
    [MN_CONTROL_ATTACH] = KIND(struct mn_control_attach, STRING_END(struct mn_control_attach, name)),
    [MN_CONTROL_ATTACH_OFFER] = OFFER,
    [MN_CONTROL_ATTACH_MAPPED] = PLAIN,
    [MN_CONTROL_ATTACHED] = OFFER,
    [MN_CONTROL_REGION_REQUEST] = REGION,
    [MN_CONTROL_REGION_OFFER] = REGION,
    [MN_CONTROL_REGION_MAPPED] = REGION,
    [MN_CONTROL_REGION_READY] = REGION,
    [MN_CONTROL_REGION_REFUSED] = REGION,
    [MN_CONTROL_LISTEN] = LISTEN,
    [MN_CONTROL_LISTEN_REPLY] = LISTEN,
    [MN_CONTROL_UNLISTEN] = LISTEN,
    [MN_CONTROL_UNLISTEN_REPLY] = LISTEN,
    [MN_CONTROL_STATUS] = PLAIN,
    [MN_CONTROL_STATUS_REPLY] = PLAIN,
    [MN_CONTROL_CLOSING] = PLAIN,
};

/* Descriptors that do not fit are never installed in the receiver; MSG_CTRUNC tells of them. */
union ancillary {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(MN_CONTROL_FDS_MAX * sizeof(int))];
};

uint16_t mn_control_bytes(uint16_t type)
{
    return type < sizeof(kinds) / sizeof(kinds[0]) ? kinds[type].bytes : 0;
}

void mn_control_prepare(struct mn_control_header *header, uint16_t type, uint32_t request, int32_t status)
{
    *header = (struct mn_control_header){
        .magic = MN_CONTROL_MAGIC,
        .type = type,
        .length = mn_control_bytes(type),
        .request = request,
        .status = status,
    };
}

int mn_control_send(int socket, const struct mn_control_header *message, const int *fds, uint32_t fd_count)
{
    if (fd_count > MN_CONTROL_FDS_MAX)
        return -EINVAL;
    struct iovec span = {.iov_base = (void *)(uintptr_t)message, .iov_len = message->length};
    struct msghdr packet = {.msg_iov = &span, .msg_iovlen = 1};
    union ancillary ancillary = {0};
    if (fd_count > 0) {
        packet.msg_control = ancillary.bytes;
        packet.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&packet);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &packet, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static uint32_t rights_count(const struct cmsghdr *message)
{
    if (message->cmsg_level != SOL_SOCKET || message->cmsg_type != SCM_RIGHTS)
        return 0;
    return (uint32_t)((message->cmsg_len - CMSG_LEN(0)) / sizeof(int));
}

/* Takes over the first `fd_max` descriptors of the packet and closes the others. Returns how many came. */
static uint32_t take_fds(struct msghdr *packet, int *fds, uint32_t fd_max)
{
    uint32_t came = 0;
    for (struct cmsghdr *message = CMSG_FIRSTHDR(packet); message != NULL; message = CMSG_NXTHDR(packet, message)) {
        for (uint32_t i = 0; i < rights_count(message); i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(message) + i * sizeof(int), sizeof(fd));
            if (came < fd_max)
                fds[came] = fd;
            else
                close(fd);
            came++;
        }
    }
    return came;
}

static bool message_is_sound(const void *buffer, size_t length)
{
    struct mn_control_header header;
    if (length < sizeof(header))
        return false;
    memcpy(&header, buffer, sizeof(header));
    return header.magic == MN_CONTROL_MAGIC && header.length == length && mn_control_bytes(header.type) == length;
}

static void terminate_strings(void *buffer)
{
    struct mn_control_header header;
    memcpy(&header, buffer, sizeof(header));
    for (int i = 0; i < 2; i++) {
        uint16_t end = kinds[header.type].string_ends[i];
        if (end != 0)
            ((char *)buffer)[end - 1] = '\0';
    }
}

int mn_control_receive(int socket, void *buffer, int *fds, uint32_t fd_max, uint32_t *fd_count, int flags)
{
    struct iovec span = {.iov_base = buffer, .iov_len = MN_CONTROL_BYTES_MAX};
    union ancillary ancillary = {0};
    struct msghdr packet = {
        .msg_iov = &span,
        .msg_iovlen = 1,
        .msg_control = ancillary.bytes,
        .msg_controllen = sizeof(ancillary.bytes),
    };
    *fd_count = 0;
    ssize_t length = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC | flags);
    if (length < 0)
        return -errno;
    uint32_t came = take_fds(&packet, fds, fd_max);
    bool cut_off = (packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    if (came > fd_max || cut_off || !message_is_sound(buffer, (size_t)length)) {
        for (uint32_t i = 0; i < came && i < fd_max; i++)
            close(fds[i]);
        return length == 0 ? 0 : -EPROTO;
    }
    terminate_strings(buffer);
    *fd_count = came;
    return (int)length;
}
