/* SPDX-License-Identifier: MIT */
/* machnet_channel_wake: each ends one wait, and none is lost. ctest-labels: tsan */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "support/fake_engine.h"

#define FLOW ((uint64_t)1 << 32 | MN_TOKEN_ACCEPTED)
#define MS INT64_C(1000000)

static const machnet_address remote = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .port = 7};

static struct fake_engine engine;
static machnet_channel *channel;

static void attach_polling(uint64_t poll)
{
    machnet_options *options;
    cr_assert_eq(machnet_options_new(&options), MACHNET_OK);
    cr_assert_eq(machnet_options_set_u64(options, MACHNET_OPTION_POLL, poll), MACHNET_OK);
    channel = fake_engine_channel(&engine, options);
    machnet_options_free(options);
}

static void attach(void)
{
    channel = fake_engine_channel(&engine, NULL);
}

static void detach(void)
{
    machnet_channel_unref(channel);
    fake_engine_stop(&engine);
}

TestSuite(client_wake, .init = attach, .fini = detach, .timeout = 60);
TestSuite(client_wake_race, .fini = detach, .timeout = 120);

static bool readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

Test(client_wake, several_before_a_wait_are_one)
{
    for (int i = 0; i < 3; i++)
        cr_assert_eq(machnet_channel_wake(channel), MACHNET_OK);
    cr_assert_eq(machnet_channel_wait(channel, 7, 0), 0);
    cr_assert_eq(machnet_channel_wait(channel, 7, 0), MACHNET_ETIMEDOUT);
    cr_assert_eq(machnet_channel_wait(channel, 7, MS), MACHNET_ETIMEDOUT);
}

Test(client_wake, a_wait_that_returns_something_else_leaves_it)
{
    machnet_event event;
    machnet_channel_wake(channel);
    fake_engine_accept(&engine, FLOW);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_EVENT, -1), MACHNET_WAIT_EVENT);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_EVENT, -1), 0);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_EVENT, 0), MACHNET_ETIMEDOUT);
}

Test(client_wake, the_descriptor_is_readable_until_it_is_answered)
{
    machnet_event event;
    int fd = machnet_channel_fd(channel);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
    cr_assert_not(readable(fd));
    machnet_channel_wake(channel);
    cr_assert(readable(fd));
    cr_assert_eq(machnet_channel_wait(channel, 7, -1), 0);
    cr_assert_not(readable(fd));
    machnet_channel_wake(channel);
    cr_assert(readable(fd));
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
    cr_assert_not(readable(fd));
    cr_assert_eq(machnet_channel_wait(channel, 7, -1), 0, "a wait has not been ended by it yet");
}

/* ---- While a flow is opened ---- */

/* Wakes while machnet_flow_open sleeps, then answers it. */
static void *wake_and_establish(void *nothing)
{
    struct mn_submission sent;
    (void)nothing;
    while (!fake_engine_take(&engine, &sent))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (int i = 0; i < 5; i++) {
        machnet_channel_wake(channel);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    const struct mn_delivery_flow delivery = {
        .op = MN_OP_ESTABLISHED, .local_port = 7, .remote_port = 8, .flow = sent.flow};
    fake_engine_deliver(&engine, &delivery);
    return NULL;
}

Test(client_wake, flow_open__goes_on_and_leaves_the_wake_to_the_next_wait)
{
    pthread_t thread;
    uint64_t flow = 0;
    cr_assert_eq(pthread_create(&thread, NULL, wake_and_establish, NULL), 0);
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, -1, &flow, NULL), MACHNET_OK);
    pthread_join(thread, NULL);
    cr_assert_neq(flow, 0);
    cr_assert_eq(machnet_channel_wait(channel, 7, -1), 0);
    cr_assert_eq(machnet_channel_wait(channel, 7, MS), MACHNET_ETIMEDOUT);
}

/* ---- Each wait is ended by one, and each ends one ---- */

enum { WAKES = 20000 };

static _Atomic int answered, two;

static void *waker(void *nothing)
{
    (void)nothing;
    for (int i = 0; i < WAKES; i++) {
        machnet_channel_wake(channel);
        while (atomic_load(&answered) == i) /* the next only when this one has ended a wait */
            continue;
    }
    return NULL;
}

static void wake_and_count(uint64_t poll)
{
    pthread_t thread;
    attach_polling(poll);
    atomic_store(&answered, 0);
    cr_assert_eq(pthread_create(&thread, NULL, waker, NULL), 0);
    for (int i = 0; i < WAKES; i++) {
        cr_assert_eq(machnet_channel_wait(channel, 7, 5000 * MS), 0, "wake %d is lost", i);
        /* For as long as the thread may be in the middle of it. */
        for (int look = 0; look < i % 16; look++)
            atomic_fetch_add(&two, machnet_channel_wait(channel, 7, 0) == 0);
        atomic_fetch_add(&answered, 1);
    }
    pthread_join(thread, NULL);
    cr_assert_eq(atomic_load(&two), 0, "%d wakes ended two waits", atomic_load(&two));
    cr_assert_eq(machnet_channel_wait(channel, 7, MS), MACHNET_ETIMEDOUT);
}

Test(client_wake_race, one_wake_one_wait__sleeping)
{
    wake_and_count(MACHNET_POLL_SLEEP);
}

Test(client_wake_race, one_wake_one_wait__polling)
{
    wake_and_count(MACHNET_POLL_ADAPTIVE);
}
