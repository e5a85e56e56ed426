/* SPDX-License-Identifier: MIT */
/* The channels of a worker: which are polled, which sleep, which are to be flushed. */
#include <assert.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "machnet/machnet.h"
#include "worker_internal.h"

enum {
    CHANNELS_SPUN_ON = 64
}; /* by a worker that never sleeps; of more, the quiet ones call it when they want something */

static bool set_grow(struct channel_set *set, uint32_t capacity)
{
    struct channel **items = realloc(set->items, capacity * sizeof *items);
    if (items == NULL)
        return false;
    set->items = items;
    return true;
}

static bool make_room(struct worker *worker)
{
    if (worker->channels.count < worker->channel_capacity)
        return true;
    uint32_t capacity = worker->channel_capacity == 0 ? 16 : 2 * worker->channel_capacity;
    if (!set_grow(&worker->channels, capacity) || !set_grow(&worker->active, capacity) ||
        !set_grow(&worker->scheduled, capacity))
        return false;
    worker->channel_capacity = capacity;
    return true;
}

int worker_attach(struct worker *worker, struct worker_message *command, uint64_t now)
{
    if (!make_room(worker))
        return MACHNET_ENOMEM;
    struct channel *channel = channel_new(worker, worker->transport, command->memory);
    if (channel == NULL)
        return MACHNET_ENOMEM;
    /* Edge-triggered, and never read: the application's descriptor can neither block nor stop us. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = channel};
    if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, channel_event_fd(channel), &event) != 0) {
        channel_free(channel, 0, now);
        return MACHNET_ENOMEM;
    }
    struct channel_seat *seat = channel_seat(channel);
    seat->user = command->user;
    seat->index = worker->channels.count;
    worker->channels.items[worker->channels.count++] = channel;
    seat->last_work = now;
    worker_activate(worker, channel);
    command->channel = channel;
    return MACHNET_OK;
}

bool worker_has(const struct worker *worker, const struct channel *channel)
{
    for (uint32_t i = 0; i < worker->channels.count; i++) {
        if (worker->channels.items[i] == channel)
            return true;
    }
    return false;
}

void worker_activate(struct worker *worker, struct channel *channel)
{
    struct channel_seat *seat = channel_seat(channel);
    if (seat->active_index != CHANNEL_NOWHERE || seat->broken != MACHNET_OK)
        return;
    seat->active_index = worker->active.count;
    seat->deadline = UINT64_MAX;
    worker->active.items[worker->active.count++] = channel;
    channel_awake(channel);
}

static void deactivate(struct worker *worker, struct channel *channel)
{
    struct channel_seat *seat = channel_seat(channel);
    if (seat->active_index == CHANNEL_NOWHERE)
        return;
    struct channel *last = worker->active.items[--worker->active.count];
    worker->active.items[seat->active_index] = last;
    channel_seat(last)->active_index = seat->active_index;
    seat->active_index = CHANNEL_NOWHERE;
}

static void unschedule(struct worker *worker, struct channel *channel)
{
    struct channel_set *set = &worker->scheduled;
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->items[i] == channel)
            set->items[i--] = set->items[--set->count];
    }
}

void worker_detach(struct worker *worker, struct channel *channel, uint16_t reason, uint64_t now)
{
    struct channel_seat *seat = channel_seat(channel);
    /* By hand: the application has the same open descriptor, so closing ours would leave it in the epoll set. */
    epoll_ctl(worker->epoll, EPOLL_CTL_DEL, channel_event_fd(channel), NULL);
    deactivate(worker, channel);
    unschedule(worker, channel);
    seat->broken = MACHNET_ESHUTDOWN; /* what channel_free calls back for must not schedule it again */
    struct channel *last = worker->channels.items[--worker->channels.count];
    worker->channels.items[seat->index] = last;
    channel_seat(last)->index = seat->index;
    channel_free(channel, reason, now);
}

/* ---- Broken rules ---- */

static void report(struct worker *worker, struct channel *channel)
{
    struct channel_seat *seat = channel_seat(channel);
    struct worker_message notice = {
        .type = WORKER_BROKEN, .status = seat->broken, .user = seat->user, .channel = channel};
    seat->reported = mailbox_notify(&worker->mailbox, &notice);
    if (!seat->reported)
        worker->unreported = true;
}

void worker_report_broken(struct worker *worker)
{
    worker->unreported = false;
    for (uint32_t i = 0; i < worker->channels.count; i++) {
        const struct channel_seat *seat = channel_seat(worker->channels.items[i]);
        if (seat->broken != MACHNET_OK && !seat->reported)
            report(worker, worker->channels.items[i]);
    }
}

static void break_channel(struct worker *worker, struct channel *channel, int32_t status)
{
    deactivate(worker, channel);
    unschedule(worker, channel);
    channel_seat(channel)->broken = status;
    channel_announce_closed(channel, status);
    report(worker, channel);
}

/* ---- Polling ---- */

static void merge_deadline(struct worker *worker, uint64_t deadline)
{
    if (deadline < worker->channel_deadline)
        worker->channel_deadline = deadline;
}

static void wake_due_channels(struct worker *worker, uint64_t now)
{
    worker->channel_deadline = UINT64_MAX;
    for (uint32_t i = 0; i < worker->channels.count; i++) {
        struct channel *channel = worker->channels.items[i];
        if (channel_seat(channel)->deadline <= now)
            worker_activate(worker, channel);
        else
            merge_deadline(worker, channel_seat(channel)->deadline);
    }
}

static void let_sleep(struct worker *worker, struct channel *channel, uint64_t now)
{
    struct channel_seat *seat = channel_seat(channel);
    if (worker->config.poll == WORKER_POLL_SPIN && worker->active.count <= CHANNELS_SPUN_ON)
        return;
    if (seat->scheduled) /* it is about to get something, and may answer */
        return;
    if (now - seat->last_work < worker_patience_ns(worker) || !channel_sleep(channel, &seat->deadline))
        return;
    deactivate(worker, channel);
    merge_deadline(worker, seat->deadline);
}

uint32_t worker_poll_channels(struct worker *worker, uint64_t now)
{
    uint32_t work = 0;
    worker->submitted = false;
    if (now >= worker->channel_deadline)
        wake_due_channels(worker, now);
    /* Backwards: the one that leaves is replaced by the last, which has been polled. */
    for (uint32_t i = worker->active.count; i-- > 0;) {
        struct channel *channel = worker->active.items[i];
        int done = channel_poll(channel, now);
        if (done < 0) {
            break_channel(worker, channel, done);
        } else if (done > 0) {
            channel_seat(channel)->last_work = now;
            worker->submitted |= channel_submitted(channel);
            work += (uint32_t)done;
        } else {
            let_sleep(worker, channel, now);
        }
    }
    return work;
}

void worker_schedule(struct worker *worker, struct channel *channel)
{
    struct channel_seat *seat = channel_seat(channel);
    if (seat->broken != MACHNET_OK)
        return;
    seat->last_work = worker->now;
    worker_activate(worker, channel); /* it may have gone to sleep since it was scheduled, for other news than this */
    if (seat->scheduled)
        return;
    seat->scheduled = true;
    worker->scheduled.items[worker->scheduled.count++] = channel;
}

uint32_t worker_flush_channels(struct worker *worker)
{
    uint32_t count = worker->scheduled.count, news = 0;
    for (uint32_t i = 0; i < count; i++) {
        channel_seat(worker->scheduled.items[i])->scheduled = false;
        news |= channel_flush(worker->scheduled.items[i]);
    }
    worker->scheduled.count = 0;
    worker->delivered = (news & MN_WAKE_DELIVERIES) != 0;
    worker->posted = (news & (MN_WAKE_DELIVERIES | MN_WAKE_COMPLETIONS)) != 0;
    return count;
}

void worker_want_region(struct worker *worker, struct channel *channel, uint64_t bytes)
{
    struct worker_message notice = {
        .type = WORKER_REGION_WANTED, .user = channel_seat(channel)->user, .channel = channel, .bytes = bytes};
    if (!mailbox_notify(&worker->mailbox, &notice))
        channel_region_refused(channel, worker->now);
}
