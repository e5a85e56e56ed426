/* SPDX-License-Identifier: MIT */
/* What takes more than one thread. */
#include "agent.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MS = 20000, QUEUE = 256 };

static pthread_t start(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, argument) != 0)
        abort();
    return thread;
}

static void sleep_ns(int64_t ns)
{
    struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    nanosleep(&time, NULL);
}

/* ---- wait ---- */

struct later {
    machnet_channel *channel;
    int64_t wake_ns, shutdown_ns; /* < 0: never */
};

static void *do_later(void *argument)
{
    struct later *later = argument;
    if (later->wake_ns >= 0) {
        sleep_ns(later->wake_ns);
        (void)machnet_channel_wake(later->channel);
    }
    if (later->shutdown_ns >= 0) {
        sleep_ns(later->shutdown_ns);
        (void)machnet_channel_shutdown(later->channel);
    }
    return NULL;
}

static uint32_t mask_of(const json_t *request)
{
    json_t *list = json_object_get(request, "for"), *word;
    uint32_t mask = 0;
    size_t i;

    if (list == NULL)
        return MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT;
    json_array_foreach(list, i, word)
    {
        const char *text = json_string_value(word);
        mask |= strcmp(text, "receive") == 0 ? MACHNET_WAIT_RECEIVE
                : strcmp(text, "event") == 0 ? MACHNET_WAIT_EVENT
                                             : MACHNET_WAIT_SEND;
    }
    return mask;
}

static int64_t after_ns(const json_t *request, const char *field)
{
    return json_object_get(request, field) == NULL ? -1 : (int64_t)number_of(request, field) * 1000000;
}

json_t *op_wait(json_t *request)
{
    struct object *channel = usable_of(request, KIND_CHANNEL);
    struct later later = {channel->channel, after_ns(request, "wake_after_ms"), after_ns(request, "shutdown_after_ms")};
    int64_t deadline = deadline_of(request, 0);
    uint32_t mask = mask_of(request);

    pthread_t thread = start(do_later, &later);
    int32_t status = machnet_channel_wait(channel->channel, mask, left_ns(deadline));
    pthread_join(thread, NULL);
    if (status < 0)
        return failed(status == MACHNET_ETIMEDOUT && deadline == 0 ? MACHNET_EAGAIN : status, NULL);
    json_t *ready = json_array();
    if (status & MACHNET_WAIT_RECEIVE)
        json_array_append_new(ready, json_string("receive"));
    if (status & MACHNET_WAIT_EVENT)
        json_array_append_new(ready, json_string("event"));
    if (status & MACHNET_WAIT_SEND)
        json_array_append_new(ready, json_string("send"));
    return ok(json_pack("{s:o}", "ready", ready));
}

/* ---- exchange ---- */

struct exchange {
    struct object *flow;
    json_t *request;
    struct stream stream;
    int64_t deadline;
    int32_t send_status, release_status;
    /* Borrowed messages on their way to the thread that releases them. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t buffers[QUEUE];
    uint32_t first, count;
    bool over;
};

static void *run_sender(void *argument)
{
    struct exchange *exchange = argument;
    struct stream stream = exchange->stream;
    exchange->send_status = send_stream(exchange->flow, &stream, exchange->request, exchange->deadline);
    return NULL;
}

static void hand_over(struct exchange *exchange, uint64_t buffer)
{
    pthread_mutex_lock(&exchange->lock);
    while (exchange->count == QUEUE)
        pthread_cond_wait(&exchange->changed, &exchange->lock);
    exchange->buffers[(exchange->first + exchange->count++) % QUEUE] = buffer;
    pthread_cond_broadcast(&exchange->changed);
    pthread_mutex_unlock(&exchange->lock);
}

static void *run_releaser(void *argument)
{
    struct exchange *exchange = argument;

    pthread_mutex_lock(&exchange->lock);
    while (!exchange->over || exchange->count > 0) {
        if (exchange->count == 0) {
            pthread_cond_wait(&exchange->changed, &exchange->lock);
            continue;
        }
        uint64_t buffer = exchange->buffers[exchange->first++ % QUEUE];
        exchange->count--;
        pthread_cond_broadcast(&exchange->changed);
        pthread_mutex_unlock(&exchange->lock);
        int32_t status = machnet_buffer_release(exchange->flow->channel, buffer);
        pthread_mutex_lock(&exchange->lock);
        if (status < 0)
            exchange->release_status = status;
    }
    pthread_mutex_unlock(&exchange->lock);
    return NULL;
}

static int32_t receive_all(struct exchange *exchange, bool zero_copy)
{
    struct object *channel = exchange->flow->parent;
    struct stream *stream = &exchange->stream;
    machnet_message message;
    machnet_view view;
    uint8_t *buffer = NULL;
    uint64_t capacity = 0;
    int32_t status = MACHNET_OK;

    while (stream->received < stream->count && status >= 0) {
        if (zero_copy) {
            status = borrow_one(channel, exchange->flow->token, &view, exchange->deadline);
            if (status >= 0) {
                stream_add(stream, view.tag, view.data, view.length);
                hand_over(exchange, view.buffer);
            }
        } else {
            status = receive_one(channel, exchange->flow->token, &buffer, &capacity, &message, exchange->deadline);
            if (status >= 0)
                stream_add(stream, message.tag, buffer, message.length);
        }
    }
    free(buffer);
    return status;
}

json_t *op_exchange(json_t *request)
{
    struct exchange exchange = {.flow = usable_of(request, KIND_FLOW),
                                .request = request,
                                .stream = stream_of(request),
                                .deadline = deadline_of(request, THREADS_MS),
                                .lock = PTHREAD_MUTEX_INITIALIZER,
                                .changed = PTHREAD_COND_INITIALIZER};
    struct object *channel = exchange.flow->parent;

    channel->pumping = true; /* the receiving thread takes events: the sender's, too */
    pthread_t sender = start(run_sender, &exchange), releaser = start(run_releaser, &exchange);
    int32_t status = receive_all(&exchange, flag_of(request, "zero_copy"));
    pthread_mutex_lock(&exchange.lock);
    exchange.over = true;
    pthread_cond_broadcast(&exchange.changed);
    pthread_mutex_unlock(&exchange.lock);
    pthread_join(releaser, NULL);
    pthread_join(sender, NULL);
    channel->pumping = false;
    if (status >= 0)
        status = exchange.send_status < 0 ? exchange.send_status : exchange.release_status;
    return status < 0 ? failed(status, NULL) : ok(stream_result(&exchange.stream));
}

/* ---- cancel_waits ---- */

struct canceller {
    machnet_channel *channel;
    sem_t begun;
    atomic_bool over;
};

static void *run_canceller(void *argument)
{
    struct canceller *canceller = argument;

    for (uint64_t moment = 0;; moment = (moment + 37) % 200) {
        while (sem_wait(&canceller->begun) != 0)
            ;
        if (canceller->over)
            return NULL;
        sleep_ns((int64_t)moment * 1000);
        (void)machnet_channel_wake(canceller->channel);
    }
}

/* One wait, which is woken. `*left` counts those still to be cancelled. */
static int32_t wait_and_cancel(struct object *channel, struct canceller *canceller, uint64_t *left, int64_t deadline)
{
    if (*left > 0)
        sem_post(&canceller->begun);
    int32_t status =
        machnet_channel_wait(channel->channel, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT, left_ns(deadline));
    if (status == 0 && *left > 0)
        (*left)--;
    return status;
}

static int32_t receive_cancelled(struct object *flow, struct canceller *canceller, struct stream *stream,
                                 uint64_t *left, int64_t deadline)
{
    uint8_t *buffer = malloc(MACHNET_MESSAGE_MAX);
    machnet_message message;
    int32_t status = MACHNET_OK;

    if (buffer == NULL)
        abort();
    while (status >= 0 && (stream->received < stream->count || *left > 0)) {
        status = stream->received == stream->count
                     ? MACHNET_EAGAIN
                     : machnet_recv_copy(flow->channel, flow->token, buffer, MACHNET_MESSAGE_MAX, &message, 0);
        if (status >= 0)
            stream_add(stream, message.tag, buffer, message.length);
        else if (status == MACHNET_EAGAIN && (status = events_pump(flow->parent)) >= 0)
            status = wait_and_cancel(flow->parent, canceller, left, deadline);
    }
    free(buffer);
    return status;
}

json_t *op_cancel_waits(json_t *request)
{
    struct object *flow = usable_of(request, KIND_FLOW);
    struct canceller canceller = {.channel = flow->channel};
    struct stream stream = {.count = number_of(request, "count")};
    uint64_t waits = number_of(request, "waits"), left = waits;

    sem_init(&canceller.begun, 0, 0);
    pthread_t thread = start(run_canceller, &canceller);
    int32_t status = receive_cancelled(flow, &canceller, &stream, &left, deadline_of(request, THREADS_MS));
    canceller.over = true;
    sem_post(&canceller.begun);
    pthread_join(thread, NULL);
    sem_destroy(&canceller.begun);
    (void)machnet_channel_wait(flow->channel, MACHNET_WAIT_EVENT, 0); /* takes the last wake, if it came late */
    if (status < 0)
        return failed(status, NULL);
    json_t *result = stream_result(&stream);
    json_object_set_new(result, "cancelled", json_integer((json_int_t)(waits - left)));
    return ok(result);
}
