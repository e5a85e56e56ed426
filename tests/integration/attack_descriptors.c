/* SPDX-License-Identifier: MIT */
/*
 * Does to the descriptors of its channel, the wake-up socket and the eventfd, what it can: `integration_attack_descriptors USER ADDRESS ENGINE-PID`.
 * USER is "same" as the engine's (who could kill the engine anyway, but may not do so by accident), or "stranger".
 * After each attack a message must still go round, as far as the attacker has not made itself deaf.
 */
#include "attack_channel.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>

#include "support/held_page.h"

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
        /* The engine sends a wake-up each time. */
        atomic_fetch_or(&channel.header->client_sleeping, MN_WAKE_DELIVERIES | MN_WAKE_COMPLETIONS);
        attack_round_trip(&channel, LENGTH);
    }
}

/* Few wake-ups fit into the socket. */
static void take_wakeups(void)
{
    char bytes[4096];
    while (recv(channel.fds[ATTACK_WAKEUP], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        continue;
}

static void make_blocking(void)
{
    if (fcntl(channel.fds[ATTACK_WAKEUP], F_SETFL, 0) < 0 || fcntl(channel.fds[ATTACK_EVENT], F_SETFL, 0) < 0)
        attack_fail("F_SETFL: %s", strerror(errno));
    rounds();
}

/* Shared descriptions can be told to signal whoever the caller may signal: the caller, and nobody else. */
static void ask_for_signals(pid_t engine)
{
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGIO, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    for (int i = ATTACK_WAKEUP; i <= ATTACK_EVENT; i++) {
        (void)fcntl(channel.fds[i], F_SETSIG, i == ATTACK_WAKEUP ? SIGUSR1 : 0);
        (void)fcntl(channel.fds[i], F_SETOWN, geteuid() == ATTACK_USER ? engine : getpid());
        (void)fcntl(channel.fds[i], F_SETFL, O_ASYNC);
    }
    take_wakeups();
    rounds();
    for (int i = ATTACK_WAKEUP; i <= ATTACK_EVENT; i++)
        (void)fcntl(channel.fds[i], F_SETOWN, getpid());
    take_wakeups();
    rounds();
    for (int i = ATTACK_WAKEUP; i <= ATTACK_EVENT; i++)
        (void)fcntl(channel.fds[i], F_SETFL, O_NONBLOCK);
}

/* The engine sends to a socket that has no room, and that is nobody's to write to. */
static void fill_socket(void)
{
    char bytes[4096] = {0};
    for (int i = 0; i < 30; i++)
        rounds();
    if (send(channel.fds[ATTACK_WAKEUP], bytes, 1, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        attack_fail("the engine's end takes bytes");
    /* Everything that can be asked of the description, again with the socket full. */
    make_blocking();
    int least = 1;
    (void)setsockopt(channel.fds[ATTACK_WAKEUP], SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
    rounds();
    take_wakeups();
    rounds();
}

static void *read_wakeup(void *nowhere)
{
    ssize_t got = read(channel.fds[ATTACK_WAKEUP], nowhere, 1);
    (void)got;
    return NULL;
}

/* The engine sends while a reader is stuck in the middle, with whatever locks that takes. */
static void hold_reader(const struct held_page *nowhere)
{
    pthread_t reader;
    take_wakeups();
    if (pthread_create(&reader, NULL, read_wakeup, nowhere->bytes) != 0)
        attack_fail("no thread");
    rounds();
    if (!held_page_wanted(nowhere))
        attack_fail("the reader does not begin");
    rounds();
    usleep(500000);
    rounds();
    if (!held_page_release(nowhere) || pthread_join(reader, NULL) != 0)
        attack_fail("the reader does not end");
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

/* An epoll set of the attacker's around the descriptors, and none of them left: the engine sends to nobody. */
static void close_all(void)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = ATTACK_WAKEUP; i <= ATTACK_EVENT; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
        (void)epoll_ctl(epoll, EPOLL_CTL_ADD, channel.fds[i], &event);
    }
    rounds();
    close(channel.fds[ATTACK_WAKEUP]);
    channel.fds[ATTACK_WAKEUP] = -1;
    rounds();
    close(epoll);
}

int main(int argc, char **argv)
{
    uint8_t ip[16];
    struct held_page nowhere;
    bool can_hold = held_page_open(&nowhere);
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
    fill_socket();
    if (can_hold)
        hold_reader(&nowhere);
    shake_event();
    fill_event();
    close_all();
    attack_detach(&channel);
    printf("{\"event\": \"done\", \"messages\": %u, \"signals\": %d, \"held\": %d}\n", (unsigned)channel.messages, (int)signals, can_hold);
    return 0;
}
