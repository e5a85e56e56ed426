/* SPDX-License-Identifier: MIT */
/* Sends and receives that wait: the loops which every program writes around the calls of libmachnet. */
#include "agent.h"

#include <stdlib.h>

enum { FIRST_BUFFER = 65536, BATCH_MAX = 64 };

int32_t wait_for_space(struct object *flow, int32_t status, int64_t deadline)
{
    machnet_event event;
    if (status != MACHNET_EAGAIN || deadline == 0)
        return status;
    return events_await(flow->parent, MACHNET_EVENT_SEND_SPACE, flow->token, deadline, &event);
}

int32_t wait_for_message(struct object *channel, int32_t status, int64_t deadline)
{
    if (status != MACHNET_EAGAIN)
        return status;
    /* A message of any flow is held back until its flow's ACCEPTED was taken. */
    status = events_pump(channel);
    if (status < 0)
        return MACHNET_OK; /* the next receive call says the same, after the last message */
    status = machnet_channel_wait(channel->channel, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT, left_ns(deadline));
    if (status == MACHNET_ETIMEDOUT && deadline == 0)
        return MACHNET_EAGAIN;
    return status < 0 && status != MACHNET_EENGINEGONE ? status : MACHNET_OK;
}

int32_t send_one(struct object *flow, const void *data, uint64_t length, uint64_t tag, int64_t deadline)
{
    for (;;) {
        int32_t status = machnet_send_copy(flow->channel, flow->token, data, length, tag, 0);
        if (status >= 0 || (status = wait_for_space(flow, status, deadline)) < 0)
            return status;
    }
}

int32_t reserve_one(struct object *flow, uint64_t length, machnet_view *view, int64_t deadline)
{
    for (;;) {
        int32_t status = machnet_send_reserve(flow->channel, flow->token, length, view, 0);
        if (status >= 0 || (status = wait_for_space(flow, status, deadline)) < 0)
            return status;
    }
}

int32_t commit_one(struct object *flow, uint64_t buffer, uint64_t length, uint64_t tag, int64_t deadline)
{
    for (;;) {
        int32_t status = machnet_send_commit(flow->channel, buffer, length, tag, 0);
        if (status >= 0 || (status = wait_for_space(flow, status, deadline)) < 0)
            return status;
    }
}

int32_t send_records(struct object *channel, machnet_record *records, uint32_t count, const void *arena, uint64_t bytes,
                     int64_t deadline)
{
    uint32_t sent = 0;
    while (sent < count) {
        int32_t status = machnet_send_packed(channel->channel, records + sent, count - sent, arena, bytes, 0);
        if (status >= 0) {
            sent += (uint32_t)status;
            if (deadline == 0)
                break;
            continue;
        }
        struct object flow = {.parent = channel, .token = records[sent].flow};
        status = wait_for_space(&flow, status, deadline);
        if (status < 0)
            return sent > 0 ? (int32_t)sent : status;
    }
    return (int32_t)sent;
}

int32_t borrow_one(struct object *channel, uint64_t flow, machnet_view *view, int64_t deadline)
{
    for (;;) {
        int32_t status = machnet_recv_borrow(channel->channel, flow, view, 0);
        if (status >= 0 || (status = wait_for_message(channel, status, deadline)) < 0)
            return status;
    }
}

static void grow(uint8_t **buffer, uint64_t *capacity, uint64_t wanted)
{
    if (wanted <= *capacity)
        return;
    free(*buffer);
    *buffer = malloc(wanted);
    *capacity = wanted;
    if (*buffer == NULL)
        abort();
}

int32_t receive_one(struct object *channel, uint64_t flow, uint8_t **buffer, uint64_t *capacity,
                    machnet_message *message, int64_t deadline)
{
    grow(buffer, capacity, FIRST_BUFFER);
    for (;;) {
        int32_t status = machnet_recv_copy(channel->channel, flow, *buffer, *capacity, message, 0);
        if (status == MACHNET_EMSGSIZE) {
            grow(buffer, capacity, message->length);
            continue;
        }
        if (status >= 0 || (status = wait_for_message(channel, status, deadline)) < 0)
            return status;
    }
}

int32_t receive_records(struct object *channel, uint64_t flow, machnet_record *records, uint32_t max, uint8_t **arena,
                        uint64_t *bytes, int64_t deadline)
{
    grow(arena, bytes, FIRST_BUFFER);
    for (;;) {
        int32_t status = machnet_recv_packed(channel->channel, flow, records, max, *arena, *bytes, 0);
        if (status == MACHNET_EMSGSIZE) {
            grow(arena, bytes, records[0].length);
            continue;
        }
        if (status >= 0 || (status = wait_for_message(channel, status, deadline)) < 0)
            return status;
    }
}
