/* SPDX-License-Identifier: MIT */
/*
 * A peer that sends any bytes with any descriptors: what mn_control_receive lets through is of a known type and at least its size, or may be
 * ignored; it has terminated strings and no descriptor too many; of the rest not one descriptor stays open.
 * Input: packets of u8 descriptors sent and accepted, u8 type (0x40: one that may be ignored; 0x80: "raw"), u16 length (behind what is known), then
 * the bytes (in a raw packet the header too).
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 4, SENT_MAX = 8, PACKET_MAX = 2 * MN_CONTROL_BYTES_MAX };

static int sender, receiver, first_free;

static int lowest_free(void)
{
    int fd = dup(receiver);
    assert(fd >= 0);
    close(fd);
    return fd;
}

static void send_packet(const uint8_t *bytes, size_t length, uint32_t fd_count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(SENT_MAX * sizeof(int))];
    } ancillary = {0};
    struct iovec span = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    struct msghdr packet = {.msg_iov = &span, .msg_iovlen = 1};
    if (fd_count > 0) {
        packet.msg_control = ancillary.bytes;
        packet.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&packet);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        for (uint32_t i = 0; i < fd_count; i++)
            memcpy(CMSG_DATA(rights) + i * sizeof(int), &receiver, sizeof(int));
    }
    assert(sendmsg(sender, &packet, MSG_NOSIGNAL) == (ssize_t)length);
}

static bool terminated(const void *message, size_t from, size_t bytes)
{
    return memchr((const uint8_t *)message + from, 0, bytes) != NULL;
}

#define TERMINATED(type, member) terminated(message, offsetof(type, member), sizeof(((type *)0)->member))

static bool strings_end(const void *message, uint16_t type)
{
    switch (type) {
    case MN_CONTROL_HELLO:
    case MN_CONTROL_HELLO_REPLY:
        return TERMINATED(struct mn_control_hello, version) && TERMINATED(struct mn_control_hello, message);
    case MN_CONTROL_ATTACH:
        return TERMINATED(struct mn_control_attach, name);
    case MN_CONTROL_ATTACH_OFFER:
    case MN_CONTROL_ATTACHED:
        return TERMINATED(struct mn_control_attach_offer, message);
    case MN_CONTROL_LISTEN:
    case MN_CONTROL_LISTEN_REPLY:
    case MN_CONTROL_UNLISTEN:
    case MN_CONTROL_UNLISTEN_REPLY:
        return TERMINATED(struct mn_control_listen, message);
    case MN_CONTROL_ATTACH_MAPPED:
    case MN_CONTROL_STATUS:
    case MN_CONTROL_STATUS_REPLY:
    case MN_CONTROL_CLOSING:
        return TERMINATED(struct mn_control_plain, message);
    default:
        return (type & MN_CONTROL_IGNORABLE) != 0 || type == MN_CONTROL_STATUS_TEXT ||
               (type >= MN_CONTROL_REGION_REQUEST && type <= MN_CONTROL_REGION_REFUSED);
    }
}

static void receive(size_t sent_bytes, uint32_t sent_fds, uint32_t fd_max, bool good)
{
    uint8_t buffer[MN_CONTROL_BYTES_MAX];
    int fds[MN_CONTROL_FDS_MAX];
    uint32_t fd_count = 99;
    int result = mn_control_receive(receiver, buffer, fds, fd_max, &fd_count, MSG_DONTWAIT);
    assert(result >= 0 || result == -EPROTO);
    assert(!good || result > 0);
    if (result > 0) {
        struct mn_control_header header;
        memcpy(&header, buffer, sizeof(header));
        assert((size_t)result == sent_bytes && result == header.length && result >= mn_control_bytes(header.type));
        assert(header.magic == MN_CONTROL_MAGIC && strings_end(buffer, header.type));
        assert(fd_count == sent_fds && fd_count <= fd_max);
    } else {
        assert(fd_count == 0);
    }
    for (uint32_t i = 0; i < fd_count; i++)
        assert(close(fds[i]) == 0);
    if (fd_max == 0 && sent_fds > 0) /* it is still there */
        assert(result == -EPROTO && recv(receiver, buffer, sizeof(buffer), MSG_DONTWAIT) >= 0);
    assert(recv(receiver, buffer, sizeof(buffer), MSG_DONTWAIT) < 0 && errno == EAGAIN);
    assert(lowest_free() == first_free);
}

static size_t one_packet(const uint8_t *data, size_t size)
{
    uint8_t packet[PACKET_MAX] = {0};
    uint32_t fd_count = data[0] % (SENT_MAX + 1), fd_max = (data[0] >> 4) % (MN_CONTROL_FDS_MAX + 1);
    uint16_t type = data[1] & 0x3f, length;
    bool raw = data[1] & 0x80, may_ignore = data[1] & 0x40;
    memcpy(&length, data + 2, sizeof(length));
    if (may_ignore)
        type |= MN_CONTROL_IGNORABLE;
    size_t known = may_ignore ? sizeof(struct mn_control_header) : mn_control_bytes(type);
    size_t bytes = raw ? length % (PACKET_MAX + 1) : known > 0 ? known + length % (MN_CONTROL_BYTES_MAX - known + 1) : 0;
    size_t given = size - HEAD < bytes ? size - HEAD : bytes;
    memcpy(packet, data + HEAD, given);
    struct mn_control_header header;
    mn_control_prepare(&header, type, length, 0);
    header.length = (uint16_t)bytes;
    if (!raw)
        memcpy(packet, &header, sizeof(header));
    send_packet(packet, bytes, fd_count);
    receive(bytes, fd_count, fd_max, !raw && bytes > 0 && fd_count <= fd_max);
    return HEAD + given;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (receiver == 0) {
        int pair[2];
        assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
        sender = pair[0];
        receiver = pair[1];
        first_free = lowest_free();
    }
    while (size >= HEAD) {
        size_t used = one_packet(data, size);
        data += used;
        size -= used;
    }
    return 0;
}
