/* SPDX-License-Identifier: MIT */
/* ctest-labels: tsan */
/* Descriptors that clients send, on kernels that let them. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/controller_bench.h"
#include "support/lingering.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

TestSuite(controller_descriptors, .init = controller_bench_start, .fini = controller_bench_stop, .timeout = 60);

static int open_descriptors(void)
{
    int count = 0;
    DIR *list = opendir("/proc/self/fd");
    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count;
}

/* CLOSING, unless the end came with it: the engine closes without having read all. */
static void hear_last_words(int fd)
{
    union control_message message;
    while (recv(fd, &message, sizeof message, 0) > 0)
        cr_assert_eq(message.header.type, MN_CONTROL_CLOSING);
}

static int send_descriptors(int fd, const int *fds, uint32_t count)
{
    struct mn_control_hello hello = {.version_min = 1};
    mn_control_prepare(&hello.header, MN_CONTROL_HELLO, 1, 0);
    return mn_control_send(fd, &hello.header, fds, count);
}

static void wait_for_descriptors(int wanted, uint64_t most_ns)
{
    uint64_t start = clock_now_ns();
    while (open_descriptors() != wanted)
        cr_assert_lt(clock_now_ns() - start, most_ns, "%d are open, not %d", open_descriptors(), wanted);
}

Test(controller_descriptors, message__descriptors_are_not_let_in)
{
    const int none = 0, fds[5] = {0, 0, 0, 0, 0};
    if (setsockopt(controller_bench_socket(), SOL_SOCKET, SO_PASSRIGHTS, &none, sizeof none) < 0)
        cr_skip("this kernel has no SO_PASSRIGHTS");
    int fd = control_connect();
    cr_assert_eq(send_descriptors(fd, fds, 5), -EPERM);
    close(fd);
    fd = control_greet();
    cr_assert_eq(send_descriptors(fd, fds, 1), -EPERM);
    close(fd);
}

/* As on a kernel that cannot refuse them. */
static void let_descriptors_in(void)
{
    const int yes = 1;
    (void)setsockopt(controller_bench_socket(), SOL_SOCKET, SO_PASSRIGHTS, &yes, sizeof yes);
}

Test(controller_descriptors, message__with_descriptors_leaks_none)
{
    let_descriptors_in();
    int before = open_descriptors(), fds[5] = {0, 0, 0, 0, 0};
    for (int i = 0; i < 10; i++) {
        int fd = control_connect();
        cr_assert_eq(send_descriptors(fd, fds, 5), 0);
        hear_last_words(fd);
        close(fd);
    }
    wait_for_descriptors(before, CLOCK_SECOND_NS);
}

/* The last reference to it is the engine's, unless that is faster than a close. */
static void send_lingering(int fd, int seconds)
{
    int lingering, peer = -1;
    cr_assert(lingering_open(seconds, &lingering, &peer));
    (void)send_descriptors(fd, &lingering, 1);
    close(lingering);
}

/* Connections with them in their queues: alone, behind other messages, refused by the engine, closed or left open. */
static void attack_with_lingering(int attack, int seconds)
{
    int fd = attack == 0 ? control_connect() : control_greet();
    if (attack == 1)
        (void)send(fd, "", 0, MSG_NOSIGNAL);
    if (attack == 2)
        (void)send(fd, "malformed", 9, MSG_NOSIGNAL);
    for (int i = 0; attack == 3 && i < 200; i++)
        (void)control_connect();
    if (attack == 3)
        fd = control_connect();
    send_lingering(fd, seconds);
    if (attack == 4)
        pause();
}

/* What takes long to close stops nobody: the engine goes on answering, and is rid of it in the end. */
Test(controller_descriptors, message__with_descriptors_that_linger_stops_nobody)
{
    enum { ATTACKS = 5, SECONDS = 20 };
    pid_t attackers[ATTACKS];
    controller_bench_restart(&(struct controller_config){.quota = {.channels = 1}});
    let_descriptors_in();
    int before = open_descriptors();
    for (int attack = 0; attack < ATTACKS; attack++) {
        attackers[attack] = fork();
        if (attackers[attack] == 0) {
            setpgid(0, 0);
            attack_with_lingering(attack, SECONDS);
            /* Its peer lives on, and does not read. */
            if (fork() == 0)
                sleep(ATTACKS * SECONDS);
            _exit(0);
        }
        for (uint64_t start = clock_now_ns(), asked = start; asked - start < CLOCK_SECOND_NS / 4;) {
            (void)engine_status_number("counters", "connections");
            uint64_t answered = clock_now_ns();
            cr_assert_lt(answered - asked, CLOCK_SECOND_NS * SECONDS / 4, "attack %d: status took %lu ns", attack,
                         (unsigned long)(answered - asked));
            asked = answered;
        }
    }
    cr_assert_gt(open_descriptors(), before, "something lingers: else this tests nothing");
    for (int attack = 0; attack < ATTACKS; attack++) {
        kill(-attackers[attack], SIGKILL); /* with the peers ends the lingering */
        waitpid(attackers[attack], NULL, 0);
    }
    wait_for_descriptors(before, 5 * CLOCK_SECOND_NS);
}
