/* SPDX-License-Identifier: MIT */
/*
 * Does to the descriptors of its channel, the pipe and the eventfd, what it can: `integration_attack_descriptors USER ADDRESS ENGINE-PID`.
 * USER is "same" as the engine's (who could kill the engine anyway, but may not do so by accident), or "stranger".
 * After each attack a message must still go round, as far as the attacker has not made itself deaf.
 */
#include "attack_channel.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>

enum { ARENA_BYTES = 4 * MN_BLOCK, LENGTH = 3000, ROUNDS = 100 };

static struct attack_channel channel;
static _Atomic int signals;

static void on_signal(int number)
{
    (void)number;
    signals = signals + 1;
}

static void rounds(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        /* The engine writes to the pipe each time. */
        atomic_fetch_or(&channel.header->client_sleeping, MN_WAKE_DELIVERIES | MN_WAKE_COMPLETIONS);
        attack_round_trip(&channel, LENGTH);
    }
}

static int open_again(int fd, int flags)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, flags | O_CLOEXEC);
}

static void make_blocking(void)
{
    if (fcntl(channel.fds[ATTACK_PIPE], F_SETFL, 0) < 0 || fcntl(channel.fds[ATTACK_EVENT], F_SETFL, 0) < 0)
        attack_fail("F_SETFL: %s", strerror(errno));
    rounds();
}

/* Shared descriptions can be told to signal whoever the caller may signal: the caller, and nobody else. */
static void ask_for_signals(pid_t engine)
{
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGIO, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    for (int i = ATTACK_PIPE; i <= ATTACK_EVENT; i++) {
        (void)fcntl(channel.fds[i], F_SETSIG, i == ATTACK_PIPE ? SIGUSR1 : 0);
        (void)fcntl(channel.fds[i], F_SETOWN, geteuid() == ATTACK_USER ? engine : getpid());
        (void)fcntl(channel.fds[i], F_SETFL, O_ASYNC);
    }
    rounds();
    for (int i = ATTACK_PIPE; i <= ATTACK_EVENT; i++)
        (void)fcntl(channel.fds[i], F_SETOWN, getpid());
    rounds();
    for (int i = ATTACK_PIPE; i <= ATTACK_EVENT; i++)
        (void)fcntl(channel.fds[i], F_SETFL, O_NONBLOCK);
}

/* The engine writes into a pipe that has no room, and whose other writers never go away. */
static void fill_pipe(void)
{
    char bytes[4096] = {0};
    (void)fcntl(channel.fds[ATTACK_PIPE], F_SETPIPE_SZ, 4096);
    int writer = open_again(channel.fds[ATTACK_PIPE], O_WRONLY | O_NONBLOCK);
    if (writer < 0) {
        if (errno != EACCES)
            attack_fail("opening the pipe for writing: %s", strerror(errno));
        return; /* it is the engine's file, and we are somebody else */
    }
    while (write(writer, bytes, sizeof bytes) > 0)
        continue;
    while (write(writer, bytes, 1) > 0)
        continue;
    rounds();
    /* Everything that can be asked of the description, again with the pipe full. */
    make_blocking();
    while (fcntl(channel.fds[ATTACK_PIPE], F_SETFL, O_NONBLOCK) == 0 && read(channel.fds[ATTACK_PIPE], bytes, sizeof bytes) > 0)
        continue;
    close(writer);
    (void)fcntl(channel.fds[ATTACK_PIPE], F_SETPIPE_SZ, 1 << 20);
    rounds();
}

/* The engine polls a descriptor that is always ready, and signalled without end. */
static void shake_event(void)
{
    const uint64_t one = 1;
    uint64_t value;
    for (int i = 0; i < 20000; i++) {
        (void)!write(channel.fds[ATTACK_EVENT], &one, sizeof one);
        if (i % 64 == 0)
            (void)!read(channel.fds[ATTACK_EVENT], &value, sizeof value);
    }
    rounds();
}

/* From here on the attacker cannot wake the engine: only what the engine finds while it is awake is seen. */
static void fill_event(void)
{
    const uint64_t most = UINT64_MAX - 1;
    const uint64_t one = 1;
    uint64_t value;
    fcntl(channel.fds[ATTACK_EVENT], F_SETFL, O_NONBLOCK);
    (void)!read(channel.fds[ATTACK_EVENT], &value, sizeof value);
    if (write(channel.fds[ATTACK_EVENT], &most, sizeof most) != sizeof most)
        attack_fail("eventfd: %s", strerror(errno));
    fcntl(channel.fds[ATTACK_EVENT], F_SETFL, 0);
    usleep(100000);
    fcntl(channel.fds[ATTACK_EVENT], F_SETFL, O_NONBLOCK);
    (void)!read(channel.fds[ATTACK_EVENT], &value, sizeof value);
    (void)!write(channel.fds[ATTACK_EVENT], &one, sizeof one);
    rounds();
}

/* An epoll set of the attacker's around the descriptors, and none of them left: the engine writes into a pipe without readers. */
static void close_all(void)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = ATTACK_PIPE; i <= ATTACK_EVENT; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
        (void)epoll_ctl(epoll, EPOLL_CTL_ADD, channel.fds[i], &event);
    }
    rounds();
    close(channel.fds[ATTACK_PIPE]);
    channel.fds[ATTACK_PIPE] = -1;
    rounds();
    close(epoll);
}

int main(int argc, char **argv)
{
    uint8_t ip[16];
    if (argc != 4)
        attack_fail("usage: %s same|stranger ADDRESS ENGINE-PID", argv[0]);
    if (strcmp(argv[1], "stranger") == 0)
        attack_drop_privileges();
    uint16_t port = attack_address(argv[2], ip);
    attack_attach(&channel, ARENA_BYTES);
    attack_open_flow(&channel, ip, port);
    rounds();
    make_blocking();
    ask_for_signals((pid_t)strtol(argv[3], NULL, 10));
    fill_pipe();
    shake_event();
    fill_event();
    close_all();
    attack_detach(&channel);
    printf("{\"event\": \"done\", \"messages\": %u, \"signals\": %d}\n", (unsigned)channel.messages, (int)signals);
    return 0;
}
