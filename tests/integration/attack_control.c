/* SPDX-License-Identifier: MIT */
/*
 * Speaks to the controller as no library does: `integration_attack_control ROLE ADDRESS COUNT`:
 *   messages  COUNT malformed, cut-off and misplaced messages over connection after connection
 *   deaf      COUNT questions over connections on which no answer is read
 *   lingering COUNT descriptors whose last close takes LINGER_SECONDS, if the kernel lets them through
 *   flood     connections until the engine takes no more, COUNT more that it must refuse, and then silence until end of file on stdin
 */
#include "attack_channel.h"

#include <sys/resource.h>

#include "support/lingering.h"

enum { LINGER_SECONDS = 2, SEED = 7, KEPT_MAX = 8192, HUGE_BYTES = 100000, EXTRA_FDS_MAX = 64, SILENT = 64 };

static uint8_t ip[16];
static uint16_t port;
static struct prng prng;
static uint64_t sent, connections;

static int connect_patiently(void)
{
    int fd;
    for (int i = 0; (fd = attack_connect()) < 0; i++) {
        if (i == 20000)
            attack_fail("the engine takes no connection");
        usleep(1000);
    }
    connections++;
    return fd;
}

/* Sends without ever waiting; false: the connection does not take it. */
static bool send_raw(int fd, const void *bytes, size_t length, const int *fds, uint32_t fd_count)
{
    struct iovec span = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    struct msghdr packet = {.msg_iov = &span, .msg_iovlen = 1};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(EXTRA_FDS_MAX * sizeof(int))];
    } ancillary = {0};
    if (fd_count > 0) {
        packet.msg_control = ancillary.bytes;
        packet.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&packet);
        *rights = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(fd_count * sizeof(int))};
        memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
    }
    bool taken = sendmsg(fd, &packet, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
    sent += taken;
    return taken;
}

/* ---- Messages ---- */

static void fill_hello(union attack_message *message)
{
    *message = (union attack_message){.hello = {.version_min = MN_CONTROL_VERSION, .version_max = MN_CONTROL_VERSION,
                                                .layout_min = MN_LAYOUT_VERSION, .layout_max = MN_LAYOUT_VERSION}};
    mn_control_prepare(&message->header, MN_CONTROL_HELLO, 1, 0);
}

/* A type that a client may send, of its right size, with values of which some make sense. */
static size_t fill_known(union attack_message *message)
{
    static const uint16_t types[] = {MN_CONTROL_HELLO, MN_CONTROL_ATTACH, MN_CONTROL_ATTACH_MAPPED, MN_CONTROL_REGION_REQUEST,
                                     MN_CONTROL_REGION_MAPPED, MN_CONTROL_LISTEN, MN_CONTROL_UNLISTEN, MN_CONTROL_STATUS};
    uint16_t type = types[prng_below(&prng, sizeof types / sizeof types[0])];
    prng_fill(&prng, message->bytes, sizeof message->bytes);
    mn_control_prepare(&message->header, type, (uint32_t)prng_next(&prng), 0);
    if (type == MN_CONTROL_ATTACH && prng_chance(&prng, 700000))
        message->attach.send_bytes_max = message->attach.receive_bytes_max = prng_below(&prng, 4 * MN_BLOCK);
    if (type == MN_CONTROL_LISTEN && prng_chance(&prng, 700000)) {
        memcpy(message->listen.ip, ip, 16);
        message->listen.port = (uint16_t)(port + prng_below(&prng, 100));
    }
    if (type == MN_CONTROL_REGION_REQUEST || type == MN_CONTROL_REGION_MAPPED) {
        message->region.kind = (uint16_t)prng_below(&prng, 4);
        message->region.region = (uint16_t)prng_below(&prng, 70);
        message->region.bytes = prng_chance(&prng, 500000) ? MN_BLOCK : prng_next(&prng) >> prng_below(&prng, 64);
    }
    return message->header.length;
}

/* Returns the length of something that is not right. */
static size_t fill_wrong(union attack_message *message)
{
    size_t length = fill_known(message);
    switch (prng_below(&prng, 8)) {
    case 0: /* random bytes */
        prng_fill(&prng, message->bytes, sizeof message->bytes);
        return prng_below(&prng, sizeof message->bytes + 1);
    case 1: /* cut off */
        return prng_below(&prng, length);
    case 2: /* too long */
        return length + 1 + prng_below(&prng, sizeof message->bytes - length);
    case 3:
        message->header.type = (uint16_t)prng_next(&prng);
        return length;
    case 4: /* a type that exists, in another's size */
        message->header.type = (uint16_t)prng_below(&prng, 70);
        return length;
    case 5:
        message->header.length = (uint16_t)prng_next(&prng);
        return length;
    case 6:
        message->header.magic ^= 1u << prng_below(&prng, 32);
        return length;
    default: /* in order by chance only */
        return length;
    }
}

static void send_one(int fd, bool *open)
{
    static const uint8_t huge[HUGE_BYTES];
    union attack_message message;
    int fds[EXTRA_FDS_MAX];
    size_t length = fill_wrong(&message);
    uint64_t choice = prng_below(&prng, 20);
    uint32_t count = choice == 0 ? (uint32_t)prng_between(&prng, 1, EXTRA_FDS_MAX) : 0;
    for (uint32_t i = 0; i < count; i++)
        fds[i] = (int)prng_below(&prng, 3); /* stdin, stdout or stderr */
    if (choice == 1)
        *open = send_raw(fd, huge, prng_between(&prng, sizeof message, sizeof huge), NULL, 0);
    else
        *open = send_raw(fd, message.bytes, length, fds, count);
}

/* The right beginning, as far as it goes: a message that is misplaced or wrong then meets any state. */
static void begin(int fd, bool *open)
{
    union attack_message message;
    fill_hello(&message);
    *open = send_raw(fd, &message, message.header.length, NULL, 0);
    if (!*open || prng_chance(&prng, 600000))
        return;
    message = (union attack_message){.attach = {.send_bytes_max = MN_BLOCK, .receive_bytes_max = MN_BLOCK, .name = "\033[31m\"<\n"}};
    mn_control_prepare(&message.header, MN_CONTROL_ATTACH, 2, 0);
    *open = send_raw(fd, &message, message.header.length, NULL, 0);
    if (!*open || prng_chance(&prng, 300000))
        return;
    message = (union attack_message){.plain = {.value = 0}};
    mn_control_prepare(&message.header, MN_CONTROL_ATTACH_MAPPED, 3, 0);
    *open = send_raw(fd, &message, message.header.length, NULL, 0);
}

static void read_some(int fd)
{
    union attack_message message;
    int fds[MN_CONTROL_FDS_MAX];
    uint32_t count;
    while (mn_control_receive(fd, message.bytes, fds, MN_CONTROL_FDS_MAX, &count, MSG_DONTWAIT) > 0) {
        for (uint32_t i = 0; i < count; i++)
            close(fds[i]);
    }
}

static void attack_messages(uint64_t count)
{
    int silent[SILENT];
    for (int i = 0; i < SILENT; i++)
        silent[i] = -1;
    while (sent < count) {
        int fd = connect_patiently();
        bool open = true;
        if (prng_chance(&prng, 600000))
            begin(fd, &open);
        for (uint64_t more = prng_below(&prng, 12); open && more > 0; more--)
            send_one(fd, &open);
        if (prng_chance(&prng, 500000))
            read_some(fd);
        /* Some of them stay for a while without a word. */
        int *place = &silent[prng_below(&prng, SILENT)];
        if (prng_chance(&prng, 100000)) {
            int swap = *place;
            *place = fd;
            fd = swap;
        }
        if (fd >= 0)
            close(fd);
    }
}

/* ---- Not reading ---- */

static void attack_deaf(uint64_t count)
{
    while (sent < count) {
        int fd = connect_patiently();
        union attack_message message;
        bool open = attack_hello(fd);
        while (open && sent < count) {
            memset(&message, 0, sizeof message);
            mn_control_prepare(&message.header, MN_CONTROL_STATUS, 2, 0);
            open = send_raw(fd, &message, message.header.length, NULL, 0);
            usleep(10);
        }
        close(fd);
    }
}

/* A channel that listens and unlistens without end and reads no answer. */
static void attack_deaf_channel(uint64_t count)
{
    const uint64_t end = sent + count;
    while (sent < end) {
        struct attack_channel channel;
        union attack_message message = {.listen = {.port = port}};
        attack_attach(&channel, MN_BLOCK);
        for (bool open = true; open && sent < end;) {
            memcpy(message.listen.ip, ip, 16);
            message.listen.port = (uint16_t)(port + prng_below(&prng, 2000));
            mn_control_prepare(&message.header, MN_CONTROL_LISTEN, 2, 0);
            open = send_raw(channel.control, &message, message.header.length, NULL, 0);
            if (!open && errno == EAGAIN)
                open = usleep(100) == 0 && !attack_wait_readable(channel.control, 0);
        }
        attack_detach(&channel);
    }
}

/* ---- Descriptors ---- */

static void attack_lingering(uint64_t count)
{
    uint32_t refused = 0;
    for (uint64_t i = 0; i < count; i++) {
        union attack_message message;
        int lingering, peer, fd = connect_patiently();
        if (!lingering_open(LINGER_SECONDS, &lingering, &peer))
            attack_fail("no connection that lingers: %s", strerror(errno));
        fill_hello(&message);
        if (i % 2 == 1) /* behind a message that closes the connection */
            message.header.magic = 0;
        (void)send_raw(fd, &message, message.header.length, NULL, 0);
        if (send_raw(fd, &message, message.header.length, &lingering, 1)) {
            close(lingering);
        } else {
            lingering_close(lingering);
            refused++;
        }
        usleep(100000);
        close(fd);
    }
    printf("{\"event\": \"sent\", \"refused\": %u}\n", (unsigned)refused);
}

/* ---- Too many ---- */

/* True if the engine keeps the connection. */
static bool stays(int fd)
{
    union attack_message message;
    if (attack_hello(fd))
        return true;
    while (attack_wait_readable(fd, 0) && attack_receive(fd, &message, NULL) != 0)
        continue;
    return false;
}

static void attack_flood(uint64_t count)
{
    static int kept[KEPT_MAX];
    uint32_t kept_count = 0, refused = 0;
    while (refused < count && kept_count < KEPT_MAX) {
        int fd = connect_patiently();
        if (stays(fd)) {
            kept[kept_count++] = fd;
        } else {
            refused++;
            close(fd);
        }
    }
    printf("{\"event\": \"full\", \"kept\": %u, \"refused\": %u}\n", (unsigned)kept_count, (unsigned)refused);
    fflush(stdout);
    (void)getchar();
    for (uint32_t i = 0; i < kept_count; i++)
        close(kept[i]);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        attack_fail("usage: %s messages|deaf|lingering|flood ADDRESS COUNT", argv[0]);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    attack_drop_privileges();
    port = attack_address(argv[2], ip);
    prng_init(&prng, SEED);
    uint64_t count = strtoull(argv[3], NULL, 10);
    if (strcmp(argv[1], "messages") == 0) {
        attack_messages(count);
    } else if (strcmp(argv[1], "deaf") == 0) {
        attack_deaf(count / 2);
        attack_deaf_channel(count / 2);
    } else if (strcmp(argv[1], "lingering") == 0) {
        attack_lingering(count);
    } else {
        attack_flood(count);
    }
    printf("{\"event\": \"done\", \"messages\": %u, \"connections\": %u}\n", (unsigned)sent, (unsigned)connections);
    return 0;
}
