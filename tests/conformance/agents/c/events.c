/* SPDX-License-Identifier: MIT */
/* Events of a channel: taken as they come, kept until somebody asks for them. */
#include "agent.h"

#include <stdlib.h>
#include <time.h>
#include <utlist.h>

enum { BATCH = 32 };

int32_t events_pump(struct object *channel)
{
    machnet_event events[BATCH];
    int32_t count;

    while ((count = machnet_channel_events(channel->channel, events, BATCH, 0)) > 0) {
        pthread_mutex_lock(&channel->lock);
        for (int32_t i = 0; i < count; i++) {
            struct told *told = malloc(sizeof *told);
            if (told == NULL)
                abort();
            told->event = events[i];
            DL_APPEND(channel->told, told);
        }
        pthread_cond_broadcast(&channel->more);
        pthread_mutex_unlock(&channel->lock);
    }
    return count == MACHNET_EAGAIN ? MACHNET_OK : count;
}

static bool take_locked(struct object *channel, uint32_t type, uint64_t token, machnet_event *event)
{
    struct told *told;
    DL_FOREACH (channel->told, told) {
        if (told->event.type == type && (token == 0 || token == told->event.flow || token == told->event.listener)) {
            *event = told->event;
            DL_DELETE(channel->told, told);
            free(told);
            return true;
        }
    }
    return false;
}

static bool take(struct object *channel, uint32_t type, uint64_t token, machnet_event *event)
{
    pthread_mutex_lock(&channel->lock);
    bool found = take_locked(channel, type, token, event);
    pthread_mutex_unlock(&channel->lock);
    return found;
}

/* For the thread that does not take the events itself. */
static int32_t await_other(struct object *channel, uint32_t type, uint64_t token, int64_t deadline,
                           machnet_event *event)
{
    int32_t status = MACHNET_OK;

    pthread_mutex_lock(&channel->lock);
    while (!take_locked(channel, type, token, event)) {
        if (!channel->pumping || left_ns(deadline) == 0) {
            status = MACHNET_ETIMEDOUT;
            break;
        }
        struct timespec end;
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += 1; /* then the deadline is looked at */
        pthread_cond_timedwait(&channel->more, &channel->lock, &end);
    }
    pthread_mutex_unlock(&channel->lock);
    return status;
}

int32_t events_await(struct object *channel, uint32_t type, uint64_t token, int64_t deadline, machnet_event *event)
{
    if (channel->pumping)
        return await_other(channel, type, token, deadline, event);
    for (;;) {
        int32_t status = events_pump(channel);
        if (take(channel, type, token, event))
            return MACHNET_OK;
        if (status < 0)
            return status;
        status = machnet_channel_wait(channel->channel, MACHNET_WAIT_EVENT, left_ns(deadline));
        if (status < 0)
            return status == MACHNET_ETIMEDOUT && deadline == 0 ? MACHNET_EAGAIN : status;
    }
}

static bool is_wanted(const struct object *channel, const machnet_event *event)
{
    if (event->type == MACHNET_EVENT_ACCEPTED)
        return true;
    json_t *name = flow_name(channel, event->flow);
    bool wanted = !json_is_null(name);
    json_decref(name);
    struct told *told;
    DL_FOREACH (channel->told, told) {
        wanted |= told->event.type == MACHNET_EVENT_ACCEPTED && told->event.flow == event->flow;
    }
    return wanted;
}

void events_purge(struct object *channel)
{
    struct told *told, *next;
    (void)events_pump(channel);
    DL_FOREACH_SAFE (channel->told, told, next) {
        if (!is_wanted(channel, &told->event)) {
            DL_DELETE(channel->told, told);
            free(told);
        }
    }
}

void events_free(struct object *channel)
{
    struct told *told, *next;
    DL_FOREACH_SAFE (channel->told, told, next) {
        DL_DELETE(channel->told, told);
        free(told);
    }
}

static const char *type_name(uint32_t type)
{
    static const char *const names[] = {
        [MACHNET_EVENT_ESTABLISHED] = "ESTABLISHED",
        [MACHNET_EVENT_ACCEPTED] = "ACCEPTED",
        [MACHNET_EVENT_CLOSED] = "CLOSED",
        [MACHNET_EVENT_SEND_SPACE] = "SEND_SPACE",
        [MACHNET_EVENT_RECEIVE_STALLED] = "RECEIVE_STALLED",
        [MACHNET_EVENT_LISTENER_CLOSED] = "LISTENER_CLOSED",
    };
    return type < sizeof names / sizeof *names && names[type] != NULL ? names[type] : "UNKNOWN";
}

json_t *op_events(json_t *request)
{
    struct object *channel = usable_of(request, KIND_CHANNEL);
    json_t *events = json_array();
    struct told *told, *next;

    int32_t status = events_pump(channel);
    DL_FOREACH_SAFE (channel->told, told, next) {
        json_array_append_new(events, json_pack("{s:s, s:o, s:s}", "type", type_name(told->event.type), "flow",
                                                flow_name(channel, told->event.flow), "status",
                                                machnet_status_name(told->event.status)));
        DL_DELETE(channel->told, told);
        free(told);
    }
    if (status < 0 && json_array_size(events) == 0) {
        json_decref(events);
        return failed(status, NULL);
    }
    return ok(json_pack("{s:o}", "events", events));
}
