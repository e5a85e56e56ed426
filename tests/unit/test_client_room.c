/* SPDX-License-Identifier: MIT */
/* Full rings: who waits for room is told of it, and nobody else pays. Against an engine that is driven by hand. ctest-labels: tsan */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>

#include "client/client.h"
#include "support/fake_engine.h"

enum { FLOWS = 4 * MN_SUBMISSIONS };

#define FLOW ((uint64_t)1 << 32 | MN_TOKEN_ACCEPTED)
#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

static const machnet_address remote = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .port = 7};

static struct fake_engine engine;
static machnet_channel *channel;

static void attach(void)
{
    engine.max_flows = FLOWS;
    channel = fake_engine_channel_with_flow(&engine, FLOW);
}

static void detach(void)
{
    machnet_channel_unref(channel);
    fake_engine_stop(&engine);
}

TestSuite(client_room, .init = attach, .fini = detach, .timeout = 60);

/* Requests that no completion will follow. */
static void fill_submissions(void)
{
    uint64_t flow;
    for (int i = 0; i < MN_SUBMISSIONS; i++)
        cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 0, &flow, NULL), MACHNET_OK);
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 0, &flow, NULL), MACHNET_EAGAIN);
}

static uint64_t reserve(void)
{
    machnet_view view;
    cr_assert_eq(machnet_send_reserve(channel, FLOW, 0, &view, 0), MACHNET_OK);
    return view.buffer;
}

static uint32_t asked_for(void)
{
    return atomic_load(&engine.header->client_sleeping);
}

static int readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 0);
}

/* Makes the descriptor quiet. */
static void find_nothing(void)
{
    machnet_message message;
    machnet_event event;
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, NULL, 0, &message, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
}

static void expect_send_space(void)
{
    machnet_event event;
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert(event.type == MACHNET_EVENT_SEND_SPACE && event.flow == FLOW);
}

/* ---- Room in submissions ---- */

Test(client_room, send__is_told_of_room_where_no_completion_comes)
{
    struct mn_submission taken;
    fill_submissions();
    cr_assert_eq(machnet_send_copy(channel, FLOW, "x", 1, 0, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, 5 * MS), MACHNET_ETIMEDOUT);
    cr_assert(fake_engine_take(&engine, &taken));
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, SECOND), MACHNET_WAIT_SEND);
    expect_send_space();
    cr_assert_eq(machnet_send_copy(channel, FLOW, "x", 1, 0, 0), MACHNET_OK);
    cr_assert_eq(machnet_send_copy(channel, FLOW, "x", 1, 0, 0), MACHNET_EAGAIN, "full again");
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, 5 * MS), MACHNET_ETIMEDOUT);
}

Test(client_room, commit__is_told_of_room_where_no_completion_comes)
{
    struct mn_submission taken;
    uint64_t buffer = reserve();
    fill_submissions();
    cr_assert_eq(machnet_send_commit(channel, buffer, 0, 0, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, 5 * MS), MACHNET_ETIMEDOUT);
    cr_assert(fake_engine_take(&engine, &taken));
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, SECOND), MACHNET_WAIT_SEND);
    expect_send_space();
    cr_assert_eq(machnet_send_commit(channel, buffer, 0, 0, 0), MACHNET_OK);
}

Test(client_room, fd__room_in_submissions)
{
    struct mn_submission taken;
    int fd = machnet_channel_fd(channel);
    fill_submissions();
    find_nothing();
    cr_assert_eq(readable(fd), 0);
    cr_assert_eq(machnet_send_copy(channel, FLOW, "x", 1, 0, 0), MACHNET_EAGAIN);
    cr_assert_eq(readable(fd), 0);
    cr_assert(fake_engine_take(&engine, &taken));
    cr_assert_eq(readable(fd), 1, "the engine was asked to signal room");
    expect_send_space();
    find_nothing();
    cr_assert_eq(readable(fd), 0);
    cr_assert(fake_engine_take(&engine, &taken));
    cr_assert_eq(readable(fd), 0, "nobody waits any more");
}

Test(client_room, fd__room_that_came_before_the_receive_side_asked)
{
    struct mn_submission taken;
    int fd = machnet_channel_fd(channel);
    fill_submissions();
    cr_assert_eq(machnet_send_copy(channel, FLOW, "x", 1, 0, 0), MACHNET_EAGAIN);
    atomic_store(&engine.header->client_sleeping, 0);
    cr_assert(fake_engine_take(&engine, &taken));
    expect_send_space();
    find_nothing();
    cr_assert_eq(readable(fd), 0);
}

Test(client_room, send__asks_for_room_only_where_submissions_were_full)
{
    static char data[65536];
    machnet_channel_fd(channel);
    find_nothing();
    cr_assert_eq(asked_for(), MN_WAKE_DELIVERIES);
    while (machnet_send_copy(channel, FLOW, data, sizeof data, 0, 0) == MACHNET_OK)
        continue;
    find_nothing();
    cr_assert_eq(asked_for(), MN_WAKE_DELIVERIES | MN_WAKE_COMPLETIONS, "the arena is full, the ring is not");
}

/*
 * The moment between a look that finds nothing and the wish for a signal: the header is made read-only, so the client stumbles when it is
 * about to set its bits, and there the engine does what the client waits for.
 */
static void (*at_stumble)(void);
static atomic_uint stumbles;

static void stumble(int signal)
{
    (void)signal;
    atomic_fetch_add(&stumbles, 1);
    if (mprotect(channel->header, MN_HEADER_BYTES, PROT_READ | PROT_WRITE) != 0)
        abort();
    at_stumble();
}

static void prepare_to_stumble(void (*act)(void))
{
    const struct sigaction action = {.sa_handler = stumble};
    at_stumble = act;
    atomic_store(&engine.header->client_sleeping, 0);
    cr_assert_eq(sigaction(SIGSEGV, &action, NULL), 0);
    cr_assert_eq(mprotect(channel->header, MN_HEADER_BYTES, PROT_READ), 0);
}

static void take_one(void)
{
    struct mn_submission taken;
    if (!fake_engine_take(&engine, &taken))
        abort();
}

static void take_and_complete_one(void)
{
    struct mn_submission taken;
    if (!fake_engine_take(&engine, &taken))
        abort();
    fake_engine_complete(&engine, taken.cookie);
}

Test(client_room, send__looks_once_more)
{
    machnet_channel_fd(channel);
    find_nothing();
    fill_submissions();
    prepare_to_stumble(take_one);
    cr_assert_eq(machnet_send_copy(channel, FLOW, "x", 1, 0, 0), MACHNET_OK);
    cr_assert_eq(atomic_load(&stumbles), 1);
}

Test(client_room, commit__looks_once_more)
{
    uint64_t buffer = reserve();
    machnet_channel_fd(channel);
    find_nothing();
    fill_submissions();
    prepare_to_stumble(take_one);
    cr_assert_eq(machnet_send_commit(channel, buffer, 0, 0, 0), MACHNET_OK);
    cr_assert_eq(atomic_load(&stumbles), 1);
}

Test(client_room, wait__that_times_out_leaves_no_space_untold)
{
    static char data[1 << 20];
    int fd = machnet_channel_fd(channel);
    cr_assert_eq(machnet_send_copy(channel, FLOW, data, sizeof data, 0, 0), MACHNET_OK);
    cr_assert_eq(machnet_send_copy(channel, FLOW, data, 1, 0, 0), MACHNET_EAGAIN);
    find_nothing();
    prepare_to_stumble(take_and_complete_one);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, 0), MACHNET_ETIMEDOUT);
    cr_assert_eq(atomic_load(&stumbles), 1);
    cr_assert_eq(readable(fd), 1, "the descriptor goes quiet only by MACHNET_EAGAIN");
    expect_send_space();
}

/* The engine takes one submission whenever they are full, about when the client finds that they are. */
struct drainer {
    pthread_t thread;
    atomic_bool stop;
};

static void *drain(void *argument)
{
    struct drainer *drainer = argument;
    struct mn_submission taken;
    uint32_t random = 1;
    while (!atomic_load(&drainer->stop)) {
        engine.submissions.cached = engine.submissions.next; /* look at the client's index each time */
        if (mn_ring_ready(&engine.submissions) < MN_SUBMISSIONS) {
            sched_yield();
            continue;
        }
        random = random * 1664525 + 1013904223;
        for (uint32_t left = random >> 22; left > 0; left--)
            atomic_signal_fence(memory_order_seq_cst);
        (void)fake_engine_take(&engine, &taken);
    }
    return NULL;
}

/* The receive side: counts SEND_SPACE, always asleep in between. */
struct listener {
    pthread_t thread;
    atomic_uint told;
};

static void *listen_for_space(void *argument)
{
    struct listener *listener = argument;
    machnet_event event;
    while (machnet_channel_wait(channel, MACHNET_WAIT_EVENT, -1) == MACHNET_WAIT_EVENT) {
        while (machnet_channel_events(channel, &event, 1, 0) == 1)
            atomic_fetch_add(&listener->told, event.type == MACHNET_EVENT_SEND_SPACE);
    }
    return NULL;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

/* Sends as soon as there is room. Returns how often it had to wait. */
static uint32_t send_patiently(struct listener *listener)
{
    for (uint32_t waits = 0;; waits++) {
        uint32_t told = atomic_load(&listener->told);
        int32_t status = machnet_send_copy(channel, FLOW, NULL, 0, 0, 0);
        if (status == MACHNET_OK)
            return waits;
        cr_assert_eq(status, MACHNET_EAGAIN);
        int64_t deadline_ns = now_ns() + 5 * SECOND;
        while (atomic_load(&listener->told) == told) {
            cr_assert_lt(now_ns(), deadline_ns, "a flow that waits for room was not told of it");
            sched_yield();
        }
    }
}

Test(client_room, send__races_with_room_being_made)
{
    enum { ROUNDS = 2500 }; /* fewer than slots: no completion helps */
    struct drainer drainer = {0};
    struct listener listener = {0};
    uint32_t waits = 0;
    fill_submissions();
    cr_assert_eq(pthread_create(&listener.thread, NULL, listen_for_space, &listener), 0);
    cr_assert_eq(pthread_create(&drainer.thread, NULL, drain, &drainer), 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        /* One fills the ring, the next finds it full, or not, while the receive side sleeps. */
        while (i % 2 == 0 && (asked_for() & MN_WAKE_DELIVERIES) == 0)
            sched_yield();
        waits += send_patiently(&listener);
    }
    cr_assert_gt(waits, 0);
    atomic_store(&drainer.stop, true);
    pthread_join(drainer.thread, NULL);
    machnet_channel_shutdown(channel);
    pthread_join(listener.thread, NULL);
}

/* ---- Room in deliveries ---- */

static eventfd_t signals(void)
{
    eventfd_t count = 0;
    return eventfd_read(engine.event, &count) == 0 ? count : 0;
}

Test(client_room, deliveries__taken_is_signalled_to_an_engine_that_waits_for_room)
{
    machnet_message message;
    machnet_event event;
    (void)signals();
    fake_engine_close_flow(&engine, FLOW, MACHNET_ERESET); /* nothing that is ever released */
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert_eq(signals(), 0, "it did not ask");
    atomic_store(&engine.header->engine_sleeping, MN_WAKE_SUBMISSIONS | MN_WAKE_RELEASES);
    fake_engine_accept(&engine, FLOW + 1);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert_eq(signals(), 0, "it asked for something else");
    atomic_store(&engine.header->engine_sleeping, MN_WAKE_ROOM);
    fake_engine_accept(&engine, FLOW + 2);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert_eq(signals(), 1);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
    cr_assert_eq(signals(), 0, "nothing was taken");
    fake_engine_accept(&engine, FLOW + 3);
    cr_assert_eq(machnet_recv_copy(channel, FLOW, NULL, 0, &message, 0), MACHNET_ERESET);
    cr_assert_eq(signals(), 1, "also where the answer is the end of a flow");
    fake_engine_accept(&engine, FLOW + 4);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, 0), MACHNET_ETIMEDOUT);
    cr_assert_eq(signals(), 1);
}
