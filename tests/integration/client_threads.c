/* SPDX-License-Identifier: MIT */
/*
 * One channel under all the threads that machnet.h allows at once: a sender that waits for SEND_SPACE, a receiver that borrows, one that
 * releases, one that asks for flows' state and wakes. The other channel echoes, in one thread. Any lost wake-up is a time-out here.
 *
 * Usage: integration_client_threads SOCKET1 SOCKET2 ADDRESS MESSAGES
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <machnet/machnet.h>

enum { FLOWS = 4, LONGEST = 200000, QUEUE = 1024, PATIENCE_S = 30 };

static machnet_channel *near, *far;
static machnet_address address;
static uint64_t flows[FLOWS];
static uint64_t total; /* messages */
static _Atomic uint64_t received;
static atomic_bool over;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t spaces;         /* SEND_SPACE events so far */
    uint64_t buffers[QUEUE]; /* to be released */
    uint32_t first, count;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

_Noreturn static void fail(const char *what, int32_t status)
{
    fprintf(stderr, "%s: %s\n", what, machnet_status_name(status));
    exit(1);
}

static int32_t check(const char *what, int32_t status)
{
    if (status < 0)
        fail(what, status);
    return status;
}

/* With a small send arena, so that senders come to wait. */
static machnet_channel *attach(const char *path)
{
    machnet_options *options;
    machnet_context *context;
    machnet_channel *channel;
    machnet_error error = {0};

    check("options", machnet_options_new(&options));
    check("path", machnet_options_set_str(options, MACHNET_OPTION_SOCKET_PATH, path));
    check(error.message, machnet_context_open(MACHNET_ABI_VERSION, options, &context, &error));
    machnet_options_free(options);
    check("options", machnet_options_new(&options));
    check("arena", machnet_options_set_u64(options, MACHNET_OPTION_SEND_BYTES, 1 << 20));
    check(error.message, machnet_channel_open(context, options, &channel, &error));
    machnet_options_free(options);
    machnet_context_unref(context);
    return channel;
}

/* Message n of a flow: its length and bytes follow from n. */
static uint64_t length_of(uint64_t number)
{
    uint64_t mixed = number * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    return mixed % 64 == 0 ? mixed % LONGEST : mixed % 700;
}

static void fill(uint8_t *data, uint64_t length, uint64_t number)
{
    for (uint64_t i = 0; i < length; i += 997)
        data[i] = (uint8_t)(number + i);
}

static bool is_filled(const uint8_t *data, uint64_t length, uint64_t number)
{
    for (uint64_t i = 0; i < length; i += 997) {
        if (data[i] != (uint8_t)(number + i))
            return false;
    }
    return true;
}

static void deadline(struct timespec *end)
{
    clock_gettime(CLOCK_REALTIME, end);
    end->tv_sec += PATIENCE_S;
}

/* ---- The far channel: one thread ---- */

static void echo_back(const machnet_message *message, const void *data)
{
    int32_t status;
    while ((status = machnet_send_copy(far, message->flow, data, message->length, message->tag, 0)) == MACHNET_EAGAIN) {
        machnet_event events[8];
        if (check("far wait", machnet_channel_wait(far, MACHNET_WAIT_SEND, PATIENCE_S * INT64_C(1000000000))) > 0)
            (void)machnet_channel_events(far, events, 8, 0);
    }
    check("far send", status);
}

static void *run_far(void *argument)
{
    uint8_t *data = malloc(LONGEST);
    machnet_message message;
    machnet_event events[8];
    uint64_t echoed = 0;

    (void)argument;
    while (echoed < total) {
        check("far wait",
              machnet_channel_wait(far, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT, PATIENCE_S * INT64_C(1000000000)));
        int32_t status = machnet_channel_events(far, events, 8, 0);
        if (status < 0 && status != MACHNET_EAGAIN)
            fail("far events", status);
        for (; (status = machnet_recv_copy(far, MACHNET_ANY_FLOW, data, LONGEST, &message, 0)) == MACHNET_OK; echoed++)
            echo_back(&message, data);
        if (status != MACHNET_EAGAIN)
            fail("far receive", status);
    }
    free(data);
    return NULL;
}

/* ---- The near channel ---- */

static void wait_for_space(uint64_t seen)
{
    struct timespec end;
    deadline(&end);
    pthread_mutex_lock(&shared.lock);
    while (shared.spaces == seen) {
        if (pthread_cond_timedwait(&shared.changed, &shared.lock, &end) != 0)
            fail("no SEND_SPACE came", MACHNET_ETIMEDOUT);
    }
    pthread_mutex_unlock(&shared.lock);
}

static uint64_t spaces(void)
{
    pthread_mutex_lock(&shared.lock);
    uint64_t value = shared.spaces;
    pthread_mutex_unlock(&shared.lock);
    return value;
}

static int32_t send_reserved(uint64_t flow, uint64_t length, uint64_t number)
{
    machnet_view view;
    int32_t status = machnet_send_reserve(near, flow, length, &view, 0);
    if (status < 0)
        return status;
    fill(view.data, length, number);
    if (number % 5 == 0) { /* changes its mind */
        check("abandon", machnet_buffer_release(near, view.buffer));
        return MACHNET_EAGAIN + 100;
    }
    status = machnet_send_commit(near, view.buffer, length, number, 0);
    if (status == MACHNET_EAGAIN)
        check("abandon", machnet_buffer_release(near, view.buffer));
    return status;
}

static void *run_sender(void *argument)
{
    uint8_t *data = malloc(LONGEST);

    (void)argument;
    for (uint64_t i = 0; i < total; i++) {
        uint64_t flow = flows[i % FLOWS], number = i / FLOWS, length = length_of(number);
        int32_t status;
        for (;;) {
            uint64_t seen = spaces();
            status = number % 2 == 0 ? send_reserved(flow, length, number) : MACHNET_EAGAIN + 100;
            if (status == MACHNET_EAGAIN + 100) {
                fill(data, length, number);
                status = machnet_send_copy(near, flow, data, length, number, 0);
            }
            if (status != MACHNET_EAGAIN)
                break;
            wait_for_space(seen);
        }
        check("near send", status);
    }
    free(data);
    return NULL;
}

static void hand_to_releaser(uint64_t buffer)
{
    pthread_mutex_lock(&shared.lock);
    while (shared.count == QUEUE)
        pthread_cond_wait(&shared.changed, &shared.lock);
    shared.buffers[(shared.first + shared.count++) % QUEUE] = buffer;
    pthread_cond_broadcast(&shared.changed);
    pthread_mutex_unlock(&shared.lock);
}

static void *run_releaser(void *argument)
{
    (void)argument;
    for (uint64_t released = 0; released < total; released++) {
        pthread_mutex_lock(&shared.lock);
        while (shared.count == 0)
            pthread_cond_wait(&shared.changed, &shared.lock);
        uint64_t buffer = shared.buffers[shared.first++ % QUEUE];
        shared.first %= QUEUE;
        shared.count--;
        pthread_cond_broadcast(&shared.changed);
        pthread_mutex_unlock(&shared.lock);
        check("release", machnet_buffer_release(near, buffer));
    }
    return NULL;
}

static void take_events(void)
{
    machnet_event events[8];
    int32_t count = machnet_channel_events(near, events, 8, 0);
    if (count < 0 && count != MACHNET_EAGAIN)
        fail("near events", count);
    for (int32_t i = 0; i < count; i++) {
        if (events[i].type == MACHNET_EVENT_SEND_SPACE) {
            pthread_mutex_lock(&shared.lock);
            shared.spaces++;
            pthread_cond_broadcast(&shared.changed);
            pthread_mutex_unlock(&shared.lock);
        } else if (events[i].type != MACHNET_EVENT_RECEIVE_STALLED) {
            fail("an event that was not to come", events[i].status);
        }
    }
}

static void *run_receiver(void *argument)
{
    uint64_t next[FLOWS] = {0};
    machnet_view view;
    int32_t status;

    (void)argument;
    while (atomic_load(&received) < total) {
        check("near wait",
              machnet_channel_wait(near, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT, PATIENCE_S * INT64_C(1000000000)));
        take_events();
        while ((status = machnet_recv_borrow(near, MACHNET_ANY_FLOW, &view, 0)) == MACHNET_OK) {
            int which = 0;
            while (which < FLOWS && flows[which] != view.flow)
                which++;
            if (which == FLOWS || view.tag != next[which] || view.length != length_of(view.tag) ||
                !is_filled(view.data, view.length, view.tag))
                fail("a message that was not to come", MACHNET_OK);
            next[which]++;
            atomic_fetch_add(&received, 1);
            hand_to_releaser(view.buffer);
        }
        if (status != MACHNET_EAGAIN)
            fail("near receive", status);
    }
    return NULL;
}

static void *run_watcher(void *argument)
{
    const struct timespec pause = {.tv_nsec = 300000};
    machnet_flow_info info;
    uint64_t values[64];

    (void)argument;
    for (uint64_t i = 0; !atomic_load(&over); i++) {
        check("info", machnet_flow_info_get(near, flows[i % FLOWS], &info));
        assert(info.messages_acknowledged <= info.messages_sent && info.state == MACHNET_FLOW_OPEN);
        check("stats", machnet_channel_stats(near, values, 64));
        check("wake", machnet_channel_wake(near));
        nanosleep(&pause, NULL);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[5];
    void *(*const bodies[5])(void *) = {run_far, run_sender, run_receiver, run_releaser, run_watcher};
    machnet_error error = {0};
    uint64_t listener;

    if (argc != 5)
        return 2;
    total = strtoull(argv[4], NULL, 10) / FLOWS * FLOWS;
    near = attach(argv[1]);
    far = attach(argv[2]);
    check("address", machnet_address_parse(argv[3], &address));
    check("listen", machnet_listener_open(far, &address, NULL, &listener, &error));
    for (int i = 0; i < FLOWS; i++)
        check("open", machnet_flow_open(near, NULL, &address, NULL, -1, &flows[i], &error));
    for (int i = 0; i < 5; i++)
        assert(pthread_create(&threads[i], NULL, bodies[i], NULL) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&over, true);
    pthread_join(threads[4], NULL);
    for (int i = 0; i < FLOWS; i++)
        check("close", machnet_flow_close(near, flows[i], 0));
    machnet_channel_unref(near);
    machnet_channel_unref(far);
    if (shared.spaces == 0)
        fail("the sender never waited", MACHNET_OK);
    printf("%llu messages\n", (unsigned long long)total);
    return 0;
}
