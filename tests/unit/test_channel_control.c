/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "channel/control.h"
#include "support/lingering.h"

enum { FD_SCAN = 256 };

static int sender, receiver;
static int fds[MN_CONTROL_FDS_MAX];
static uint32_t fd_count;
static _Alignas(8) uint8_t buffer[MN_CONTROL_BYTES_MAX];

static void connect_pair(void)
{
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    sender = pair[0];
    receiver = pair[1];
}

TestSuite(control, .init = connect_pair);

static int open_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < FD_SCAN; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static int receive(uint32_t fd_max)
{
    return mn_control_receive(receiver, buffer, fds, fd_max, &fd_count, MSG_DONTWAIT);
}

static struct mn_control_region region_message(void)
{
    struct mn_control_region message = {.region = 7, .kind = 1, .bytes = 65536};
    mn_control_prepare(&message.header, MN_CONTROL_REGION_OFFER, 3, -2);
    return message;
}

/* Sends any bytes with any number of descriptors (each is the sender's own socket). */
static void send_raw(const void *bytes, size_t length, uint32_t count)
{
    enum { MOST = 32 };
    static _Alignas(struct cmsghdr) char ancillary[CMSG_SPACE(MOST * sizeof(int))];
    struct iovec span = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    struct msghdr packet = {.msg_iov = &span, .msg_iovlen = 1};
    cr_assert_leq(count, MOST);
    if (count > 0) {
        packet.msg_control = ancillary;
        packet.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&packet);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(count * sizeof(int));
        for (uint32_t i = 0; i < count; i++)
            memcpy(CMSG_DATA(rights) + i * sizeof(int), &sender, sizeof(int));
    }
    cr_assert_eq(sendmsg(sender, &packet, 0), (ssize_t)length);
}

/* What came is refused, and leaves no descriptor behind. */
static void refuses(const void *bytes, size_t length, uint32_t count, uint32_t fd_max)
{
    int before = open_fds();
    send_raw(bytes, length, count);
    cr_assert_eq(receive(fd_max), -EPROTO, "%zu bytes, %u descriptors", length, count);
    cr_assert_eq(fd_count, 0);
    cr_assert_eq(open_fds(), before);
}

static void refuses_and_leaves(const void *bytes, size_t length)
{
    int before = open_fds();
    send_raw(bytes, length, 1);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(receive(0), -EPROTO);
    cr_assert_eq(open_fds(), before);
}

Test(control, bytes__are_the_structs_sizes)
{
    const struct {
        uint16_t type;
        size_t bytes;
    } cases[] = {
        {MN_CONTROL_HELLO, sizeof(struct mn_control_hello)},
        {MN_CONTROL_HELLO_REPLY, sizeof(struct mn_control_hello)},
        {MN_CONTROL_ATTACH, sizeof(struct mn_control_attach)},
        {MN_CONTROL_ATTACH_OFFER, sizeof(struct mn_control_attach_offer)},
        {MN_CONTROL_ATTACH_MAPPED, sizeof(struct mn_control_plain)},
        {MN_CONTROL_ATTACHED, sizeof(struct mn_control_attach_offer)},
        {MN_CONTROL_REGION_REQUEST, sizeof(struct mn_control_region)},
        {MN_CONTROL_REGION_OFFER, sizeof(struct mn_control_region)},
        {MN_CONTROL_REGION_MAPPED, sizeof(struct mn_control_region)},
        {MN_CONTROL_REGION_READY, sizeof(struct mn_control_region)},
        {MN_CONTROL_REGION_REFUSED, sizeof(struct mn_control_region)},
        {MN_CONTROL_LISTEN, sizeof(struct mn_control_listen)},
        {MN_CONTROL_LISTEN_REPLY, sizeof(struct mn_control_listen)},
        {MN_CONTROL_UNLISTEN, sizeof(struct mn_control_listen)},
        {MN_CONTROL_UNLISTEN_REPLY, sizeof(struct mn_control_listen)},
        {MN_CONTROL_STATUS, sizeof(struct mn_control_plain)},
        {MN_CONTROL_STATUS_REPLY, sizeof(struct mn_control_plain)},
        {MN_CONTROL_CLOSING, sizeof(struct mn_control_plain)},
        {0, 0},
        {MN_CONTROL_STATUS_TEXT, sizeof(struct mn_control_header)},
        {MN_CONTROL_STATUS_TEXT + 1, 0},
        {MN_CONTROL_REPLACE_DESCRIPTORS, 0},
        {MN_CONTROL_HANDOVER, 0},
        {MN_CONTROL_IGNORABLE | MN_CONTROL_HELLO, 0},
        {UINT16_MAX, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_assert_eq(mn_control_bytes(cases[i].type), cases[i].bytes, "type %u", cases[i].type);
}

Test(control, send__arrives_whole)
{
    struct mn_control_region message = region_message();
    cr_assert_eq(mn_control_send(sender, &message.header, NULL, 0), 0);
    cr_assert_eq(receive(0), (int)sizeof(message));
    cr_assert_eq(memcmp(buffer, &message, sizeof(message)), 0);
    cr_assert_eq(message.header.request, 3);
    cr_assert_eq(message.header.status, -2);
    cr_assert_eq(fd_count, 0);
}

Test(control, send__carries_descriptors)
{
    struct mn_control_region message = region_message();
    int pipes[2][2];
    cr_assert_eq(pipe(pipes[0]), 0);
    cr_assert_eq(pipe(pipes[1]), 0);
    int given[MN_CONTROL_FDS_MAX] = {pipes[0][0], pipes[1][0], sender, receiver, pipes[0][1]};
    for (int i = 5; i < MN_CONTROL_FDS_MAX; i++)
        given[i] = pipes[1][1];
    cr_assert_eq(mn_control_send(sender, &message.header, given, MN_CONTROL_FDS_MAX), 0);
    cr_assert_gt(receive(MN_CONTROL_FDS_MAX), 0);
    cr_assert_eq(fd_count, MN_CONTROL_FDS_MAX);
    for (uint32_t i = 0; i < fd_count; i++) {
        struct stat ours, theirs;
        cr_assert_eq(fstat(given[i], &ours), 0);
        cr_assert_eq(fstat(fds[i], &theirs), 0);
        cr_assert_eq(ours.st_ino, theirs.st_ino, "descriptor %u", i);
        cr_assert((fcntl(fds[i], F_GETFD) & FD_CLOEXEC) != 0);
    }
}

Test(control, send__refuses_too_many_or_bad_descriptors)
{
    struct mn_control_region message = region_message();
    const int bad = -1;
    cr_assert_eq(mn_control_send(sender, &message.header, fds, MN_CONTROL_FDS_MAX + 1), -EINVAL);
    cr_assert_eq(mn_control_send(sender, &message.header, &bad, 1), -EBADF);
    cr_assert_eq(receive(0), -EAGAIN);
}

Test(control, send__reports_a_full_socket)
{
    struct mn_control_region message = region_message();
    cr_assert_eq(fcntl(sender, F_SETFL, O_NONBLOCK), 0);
    int result = 0;
    for (int i = 0; i < 100000 && result == 0; i++)
        result = mn_control_send(sender, &message.header, NULL, 0);
    cr_assert_eq(result, -EAGAIN);
}

Test(control, send__to_a_closed_peer_raises_no_signal)
{
    struct mn_control_region message = region_message();
    close(receiver);
    cr_assert_eq(mn_control_send(sender, &message.header, NULL, 0), -EPIPE);
}

Test(control, receive__is_0_at_end_of_file)
{
    close(sender);
    cr_assert_eq(receive(1), 0);
    cr_assert_eq(fd_count, 0);
}

Test(control, receive__closes_what_comes_with_an_empty_message)
{
    int before = open_fds();
    send_raw(NULL, 0, 2);
    cr_assert_eq(receive(2), 0);
    cr_assert_eq(fd_count, 0);
    cr_assert_eq(open_fds(), before);
}

Test(control, receive__does_not_wait_unless_told)
{
    cr_assert_eq(receive(0), -EAGAIN);
}

static void ignore_signal(int number)
{
    (void)number;
}

Test(control, receive__ends_on_a_signal, .timeout = 10)
{
    struct sigaction action = {.sa_handler = ignore_signal};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {.it_value.tv_usec = 20000, .it_interval.tv_usec = 20000};
    setitimer(ITIMER_REAL, &timer, NULL);
    cr_assert_eq(mn_control_receive(receiver, buffer, fds, 0, &fd_count, 0), -EINTR);
}

Test(control, receive__refuses_malformed_messages)
{
    struct mn_control_region message = region_message();
    uint8_t longer[MN_CONTROL_BYTES_MAX * 2] = {0};
    refuses(&message, sizeof(message) - 1, 0, 0);
    refuses(&message, sizeof(message.header), 0, 0);
    refuses(&message, sizeof(message.header) - 1, 0, 0);
    refuses(&message, 1, 0, 0);
    memcpy(longer, &message, sizeof(message));
    refuses(longer, sizeof(message) + 1, 0, 0);
    refuses(longer, sizeof(longer), 0, 0);
    message.header.magic++;
    refuses(&message, sizeof(message), 0, 0);
    message = region_message();
    message.header.length--;
    refuses(&message, sizeof(message), 0, 0);
    message = region_message();
    message.header.type = MN_CONTROL_HELLO;
    refuses(&message, sizeof(message), 0, 0);
    message.header.type = MN_CONTROL_HANDOVER;
    refuses(&message, sizeof(message), 0, 0);
    message.header.type = 0;
    refuses(&message, sizeof(message), 0, 0);
    message.header.type = MN_CONTROL_IGNORABLE - 1;
    refuses(&message, sizeof(message), 0, 0);
}

/* What a later version may send to this one. */
Test(control, receive__takes_messages_longer_than_known)
{
    uint8_t longer[MN_CONTROL_BYTES_MAX];
    struct mn_control_plain plain;
    memset(longer, 'x', sizeof(longer));
    mn_control_prepare(&plain.header, MN_CONTROL_CLOSING, 9, -3);
    for (uint16_t length = sizeof(plain); length <= MN_CONTROL_BYTES_MAX; length = (uint16_t)(length + 101)) {
        plain.header.length = length;
        memcpy(longer, &plain.header, sizeof(plain.header));
        send_raw(longer, length, 0);
        cr_assert_eq(receive(length % 2), length);
        struct mn_control_plain came;
        memcpy(&came, buffer, sizeof(came));
        cr_assert_eq(came.header.request, 9);
        cr_assert_eq(strnlen(came.message, sizeof(came.message)), sizeof(came.message) - 1, "what is known is terminated");
    }
}

Test(control, receive__takes_unknown_types_that_may_be_ignored)
{
    struct mn_control_region message = region_message();
    message.header.type = UINT16_MAX;
    send_raw(&message, sizeof(message), 1);
    cr_assert_eq(receive(1), (int)sizeof(message));
    cr_assert_eq(fd_count, 1);
    message.header.type = MN_CONTROL_IGNORABLE;
    message.header.length = sizeof(message.header);
    send_raw(&message, sizeof(message.header), 0);
    cr_assert_eq(receive(0), (int)sizeof(message.header));
    refuses(&message, sizeof(message.header) - 1, 0, 1);
}

Test(control, common__is_the_highest_that_both_have)
{
    cr_assert_eq(mn_control_common(1, 9, 2, 3), 3);
    cr_assert_eq(mn_control_common(1, 2, 2, 3), 2);
    cr_assert_eq(mn_control_common(2, 2, 2, 2), 2);
    cr_assert_eq(mn_control_common(1, 1, 2, 3), 0);
    cr_assert_eq(mn_control_common(4, 9, 2, 3), 0);
    cr_assert_eq(mn_control_common(3, 1, 1, 3), 0, "a range that is none");
}

Test(control, receive__refuses_a_message_cut_off_though_its_beginning_is_sound)
{
    uint8_t longer[MN_CONTROL_BYTES_MAX + 1] = {0};
    struct mn_control_header header;
    mn_control_prepare(&header, MN_CONTROL_HELLO, 0, 0);
    header.length = MN_CONTROL_BYTES_MAX;
    memcpy(longer, &header, sizeof(header));
    refuses(longer, sizeof(longer), 1, 1);
}

Test(control, receive__closes_the_descriptors_of_refused_messages)
{
    struct mn_control_region message = region_message();
    refuses(&message, sizeof(message) - 1, 2, 5);
    message.header.magic = 0;
    refuses(&message, sizeof(message), 5, 5);
}

Test(control, receive__refuses_unexpected_descriptors)
{
    struct mn_control_region message = region_message();
    refuses(&message, sizeof(message), 3, 2);
    refuses(&message, sizeof(message), 6, 5);
    refuses(&message, sizeof(message), 32, 5);
    /* Where none is taken none is closed either: it stays where it is. */
    for (int i = 0; i < 2; i++)
        refuses_and_leaves(&message, sizeof(message));
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void ask_for_identity(void)
{
    const int yes = 1;
    cr_assert_eq(setsockopt(receiver, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)), 0);
}

/* The last reference to what lingers lies in the queue: neither looking nor draining waits for it; closing would. */
Test(control, drain__does_not_close_what_lingers)
{
    enum { SECONDS = 1 };
    struct mn_control_region message = region_message();
    int lingering, peer = -1;
    ask_for_identity();
    cr_assert(lingering_open(SECONDS, &lingering, &peer));
    cr_assert_eq(mn_control_send(sender, &message.header, NULL, 0), 0);
    send_raw(NULL, 0, 0);
    cr_assert_eq(mn_control_send(sender, &message.header, &lingering, 1), 0);
    close(lingering);
    uint64_t before = now_ms();
    cr_assert_eq(receive(0), (int)sizeof(message));
    cr_assert_eq(receive(0), 0);
    cr_assert_eq(receive(0), -EPROTO);
    cr_assert_not(mn_control_drain(receiver));
    cr_assert_lt(now_ms() - before, SECONDS * 500);
    close(receiver);
    cr_assert_geq(now_ms() - before, SECONDS * 500, "closing does wait: else this tests nothing");
    close(peer);
}

Test(control, drain__empties_the_queue_for_good)
{
    struct mn_control_region message = region_message();
    ask_for_identity();
    for (int i = 0; i < 5; i++)
        cr_assert_eq(mn_control_send(sender, &message.header, NULL, 0), 0);
    send_raw(NULL, 0, 0);
    send_raw(&message, 3, 0);
    cr_assert(mn_control_drain(receiver));
    cr_assert_eq(mn_control_send(sender, &message.header, NULL, 0), -EPIPE);
    cr_assert_eq(receive(0), 0);
    cr_assert(mn_control_drain(receiver));
    close(sender);
    cr_assert(mn_control_drain(receiver));
}

Test(control, receive__refuses_descriptors_for_which_there_is_no_room)
{
    struct mn_control_region message = region_message();
    int first_free = dup(0);
    close(first_free);
    send_raw(&message, sizeof(message), 3);
    int before = open_fds();
    struct rlimit old, limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    limit = (struct rlimit){.rlim_cur = (rlim_t)first_free + 1, .rlim_max = old.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int result = receive(3);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    cr_assert_eq(result, -EMFILE);
    cr_assert_eq(open_fds(), before);
}

static void sends_unterminated(void *message, size_t bytes, uint16_t type)
{
    memset(message, 'x', bytes);
    mn_control_prepare(message, type, 1, 0);
    cr_assert_eq(mn_control_send(sender, message, NULL, 0), 0);
    cr_assert_eq(receive(0), (int)bytes);
}

Test(control, receive__terminates_strings)
{
    struct mn_control_hello hello;
    sends_unterminated(&hello, sizeof(hello), MN_CONTROL_HELLO);
    memcpy(&hello, buffer, sizeof(hello));
    cr_assert_eq(strnlen(hello.version, sizeof(hello.version)), sizeof(hello.version) - 1);
    cr_assert_eq(strnlen(hello.message, sizeof(hello.message)), sizeof(hello.message) - 1);

    struct mn_control_attach attach;
    sends_unterminated(&attach, sizeof(attach), MN_CONTROL_ATTACH);
    memcpy(&attach, buffer, sizeof(attach));
    cr_assert_eq(strnlen(attach.name, sizeof(attach.name)), sizeof(attach.name) - 1);

    struct mn_control_attach_offer offer;
    sends_unterminated(&offer, sizeof(offer), MN_CONTROL_ATTACHED);
    memcpy(&offer, buffer, sizeof(offer));
    cr_assert_eq(strnlen(offer.message, sizeof(offer.message)), sizeof(offer.message) - 1);

    struct mn_control_listen listen_reply;
    sends_unterminated(&listen_reply, sizeof(listen_reply), MN_CONTROL_LISTEN_REPLY);
    memcpy(&listen_reply, buffer, sizeof(listen_reply));
    cr_assert_eq(strnlen(listen_reply.message, sizeof(listen_reply.message)), sizeof(listen_reply.message) - 1);

    struct mn_control_plain plain;
    sends_unterminated(&plain, sizeof(plain), MN_CONTROL_CLOSING);
    memcpy(&plain, buffer, sizeof(plain));
    cr_assert_eq(strnlen(plain.message, sizeof(plain.message)), sizeof(plain.message) - 1);
}
