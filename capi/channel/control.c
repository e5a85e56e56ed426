/* SPDX-License-Identifier: MIT */
#include "channel/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static_assert(sizeof(struct mn_control_attach_offer) <= MN_CONTROL_BYTES_MAX,
              "every message fits the receiver's buffer");

/* The end (exclusive) of a fixed-size string in a message. */
#define STRING_END(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

/* Size and strings of each type of message that is known. */
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
    [MN_CONTROL_STATUS_TEXT] = KIND(struct mn_control_header, 0),
};

/* Descriptors that do not fit are never installed in the receiver; MSG_CTRUNC tells of them. */
union ancillary {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(MN_CONTROL_FDS_MAX * sizeof(int))];
};

/* Room for the sender's identity, which comes first where SO_PASSCRED asks for it, and for no descriptor. */
union identity {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct ucred))];
};

uint16_t mn_control_bytes(uint16_t type)
{
    return type < sizeof(kinds) / sizeof(kinds[0]) ? kinds[type].bytes : 0;
}

uint16_t mn_control_common(uint16_t min, uint16_t max, uint16_t own_min, uint16_t own_max)
{
    uint16_t highest = max < own_max ? max : own_max;
    return highest >= min && highest >= own_min ? highest : 0;
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
    if (header.magic != MN_CONTROL_MAGIC || header.length != length)
        return false;
    if ((header.type & MN_CONTROL_IGNORABLE) != 0)
        return true;
    return mn_control_bytes(header.type) != 0 && mn_control_bytes(header.type) <= length;
}

static void terminate_strings(void *buffer)
{
    struct mn_control_header header;
    memcpy(&header, buffer, sizeof(header));
    if (mn_control_bytes(header.type) == 0)
        return;
    for (int i = 0; i < 2; i++) {
        uint16_t end = kinds[header.type].string_ends[i];
        if (end != 0)
            ((char *)buffer)[end - 1] = '\0';
    }
}

enum peeked { PEEKED_END, PEEKED_MESSAGE, PEEKED_DESCRIPTORS };

/* Looks at what is next and leaves it there. Descriptors that there is no room for are otherwise closed while receiving, but not by a look: they
 * are still in the queue. PEEKED_END, which only a socket with SO_PASSCRED can tell, or -errno. */
static int peek(int socket, int flags)
{
    union identity identity;
    struct msghdr packet = {.msg_controllen = 0};
    int with_identity = 0;
    socklen_t bytes = sizeof with_identity;
    /* Room that no identity takes would be taken by descriptors. */
    if (getsockopt(socket, SOL_SOCKET, SO_PASSCRED, &with_identity, &bytes) == 0 && with_identity) {
        packet.msg_control = identity.bytes;
        packet.msg_controllen = sizeof identity.bytes;
    }
    if (recvmsg(socket, &packet, MSG_PEEK | flags) < 0)
        return -errno;
    if ((packet.msg_flags & MSG_CTRUNC) != 0)
        return PEEKED_DESCRIPTORS;
    return packet.msg_controllen > 0 ? PEEKED_MESSAGE : PEEKED_END;
}

bool mn_control_drain(int socket)
{
    uint8_t byte;
    int next;
    (void)shutdown(socket, SHUT_RD);
    while ((next = peek(socket, MSG_DONTWAIT)) == PEEKED_MESSAGE) {
        if (recv(socket, &byte, 1, MSG_DONTWAIT) < 0)
            break;
    }
    return next != PEEKED_DESCRIPTORS;
}

static int receive_plain(int socket, void *buffer, int flags)
{
    int next = peek(socket, flags);
    if (next < 0)
        return next;
    if (next == PEEKED_DESCRIPTORS)
        return -EPROTO;
    ssize_t length = recv(socket, buffer, MN_CONTROL_BYTES_MAX, flags | MSG_TRUNC);
    if (length <= 0)
        return length < 0 ? -errno : 0;
    return length <= MN_CONTROL_BYTES_MAX && message_is_sound(buffer, (size_t)length) ? (int)length : -EPROTO;
}

static int receive_with_fds(int socket, void *buffer, int *fds, uint32_t fd_max, uint32_t *fd_count, int flags)
{
    struct iovec span = {.iov_base = buffer, .iov_len = MN_CONTROL_BYTES_MAX};
    union ancillary ancillary = {0};
    struct msghdr packet = {
        .msg_iov = &span,
        .msg_iovlen = 1,
        .msg_control = ancillary.bytes,
        .msg_controllen = sizeof(ancillary.bytes),
    };
    ssize_t length = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC | flags);
    if (length < 0)
        return -errno;
    uint32_t came = take_fds(&packet, fds, fd_max);
    bool cut_off = (packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    /* With room left for them, descriptors stay away only if this process may not have more. */
    bool no_descriptors = (packet.msg_flags & MSG_CTRUNC) != 0 && came < MN_CONTROL_FDS_MAX;
    if (came > fd_max || cut_off || !message_is_sound(buffer, (size_t)length)) {
        for (uint32_t i = 0; i < came && i < fd_max; i++)
            close(fds[i]);
        return length == 0 ? 0 : no_descriptors ? -EMFILE : -EPROTO;
    }
    *fd_count = came;
    return (int)length;
}

int mn_control_receive(int socket, void *buffer, int *fds, uint32_t fd_max, uint32_t *fd_count, int flags)
{
    *fd_count = 0;
    int length = fd_max == 0 ? receive_plain(socket, buffer, flags)
                             : receive_with_fds(socket, buffer, fds, fd_max, fd_count, flags);
    if (length > 0)
        terminate_strings(buffer);
    return length;
}
