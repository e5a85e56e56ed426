/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/wakeup.h"
#include "support/held_page.h"

static int ours, theirs;

static void open_pair(void)
{
    cr_assert_eq(mn_wakeup_open(&ours, &theirs), 0);
}

TestSuite(wakeup, .init = open_pair, .timeout = 10);

static bool is_readable(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    return poll(&polled, 1, 0) == 1 && polled.revents == POLLIN;
}

Test(wakeup, send__makes_the_other_end_readable_once)
{
    uint8_t bytes[64];
    cr_assert((fcntl(ours, F_GETFD) & FD_CLOEXEC) != 0 && (fcntl(theirs, F_GETFD) & FD_CLOEXEC) != 0);
    cr_assert_not(is_readable(theirs));
    mn_wakeup_send(ours);
    mn_wakeup_send(ours);
    cr_assert(is_readable(theirs));
    cr_assert_eq(read(theirs, bytes, sizeof bytes), 2);
    cr_assert_not(is_readable(theirs));
    cr_assert(read(theirs, bytes, sizeof bytes) < 0 && errno == EAGAIN);
}

Test(wakeup, send__waits_for_nobody)
{
    /* The client may do to its end what it likes. */
    const int flags = fcntl(theirs, F_GETFL);
    cr_assert_eq(fcntl(theirs, F_SETFL, flags & ~O_NONBLOCK), 0);
    for (int i = 0; i < 10000; i++)
        mn_wakeup_send(ours);
    cr_assert(is_readable(theirs));
    cr_assert_eq(shutdown(theirs, SHUT_RD), 0);
    mn_wakeup_send(ours);
    close(theirs);
    mn_wakeup_send(ours);
}

static void *read_into(void *bytes)
{
    ssize_t got = read(theirs, bytes, 1);
    (void)got;
    return NULL;
}

Test(wakeup, send__does_not_wait_for_a_reader_that_is_stuck)
{
    struct held_page nowhere;
    pthread_t reader;
    if (!held_page_open(&nowhere))
        cr_skip("no userfaultfd for faults in the kernel: run as root");
    mn_wakeup_send(ours);
    cr_assert_eq(pthread_create(&reader, NULL, read_into, nowhere.bytes), 0);
    cr_assert(held_page_wanted(&nowhere), "the reader is stuck");
    for (int i = 0; i < 1000; i++)
        mn_wakeup_send(ours);
    cr_assert(held_page_release(&nowhere));
    pthread_join(reader, NULL);
}

/* So that closing our end has nothing to drop: it could be a descriptor whose closing takes for ever. */
Test(wakeup, open__lets_nothing_in)
{
    cr_assert(send(theirs, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EPIPE);
}

Test(wakeup, close__is_the_end_of_file)
{
    uint8_t byte;
    mn_wakeup_send(ours);
    close(ours);
    cr_assert_eq(read(theirs, &byte, 1), 1);
    cr_assert_eq(read(theirs, &byte, 1), 0);
}
