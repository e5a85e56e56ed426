/* SPDX-License-Identifier: MIT */
/* Streams: many messages, one at a time, in batches, or without a copy. */
#include "agent.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STREAM_MS = 20000, BATCH_MAX = 1024 };

static int32_t send_zero_copy(struct object *flow, const struct stream *stream, uint64_t k, int64_t deadline)
{
    machnet_view view;
    uint64_t length = stream_length(stream, k);
    int32_t status = reserve_one(flow, length, &view, deadline);
    if (status < 0)
        return status;
    memcpy(view.data, stream_payload(stream, k), length);
    status = commit_one(flow, view.buffer, length, stream_tag(stream, k), deadline);
    if (status < 0)
        (void)machnet_buffer_release(flow->channel, view.buffer);
    return status;
}

static int32_t send_batch(struct object *flow, const struct stream *stream, uint64_t first, uint32_t count,
                          int64_t deadline)
{
    machnet_record records[BATCH_MAX] = {0};
    uint64_t bytes = 0, at = 0;

    for (uint32_t i = 0; i < count; i++)
        bytes += stream_length(stream, first + i);
    uint8_t *arena = calloc(1, bytes + 1);
    if (arena == NULL)
        return MACHNET_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        records[i] = (machnet_record){.flow = flow->token,
                                      .tag = stream_tag(stream, first + i),
                                      .offset = at,
                                      .length = stream_length(stream, first + i)};
        memcpy(arena + at, stream_payload(stream, first + i), records[i].length);
        at += records[i].length;
    }
    int32_t sent = send_records(flow->parent, records, count, arena, bytes, deadline);
    free(arena);
    return sent >= 0 && (uint32_t)sent < count ? MACHNET_ETIMEDOUT : sent;
}

static void pause_us(uint64_t us)
{
    struct timespec time = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000 * 1000)};
    if (us > 0)
        nanosleep(&time, NULL);
}

int32_t send_stream(struct object *flow, const struct stream *stream, const json_t *request, int64_t deadline)
{
    bool zero_copy = flag_of(request, "zero_copy");
    uint64_t batch = zero_copy ? 1 : number_or(request, "batch", 1), interval_us = number_or(request, "interval_us", 0);
    int32_t status = MACHNET_OK;

    if (batch == 0 || batch > BATCH_MAX)
        return MACHNET_EINVAL;
    for (uint64_t k = 0; k < stream->count && status >= 0; k += batch) {
        uint64_t count = k + batch > stream->count ? stream->count - k : batch;
        if (zero_copy)
            status = send_zero_copy(flow, stream, k, deadline);
        else if (batch > 1)
            status = send_batch(flow, stream, k, (uint32_t)count, deadline);
        else
            status =
                send_one(flow, stream_payload(stream, k), stream_length(stream, k), stream_tag(stream, k), deadline);
        pause_us(interval_us);
    }
    return status;
}

json_t *op_send_stream(json_t *request)
{
    struct object *flow = usable_of(request, KIND_FLOW);
    struct stream stream = stream_of(request);
    int32_t status = send_stream(flow, &stream, request, deadline_of(request, STREAM_MS));
    return status < 0 ? failed(status, NULL) : ok(json_pack("{s:I}", "count", (json_int_t)stream.count));
}

json_t *op_fill(json_t *request)
{
    enum { MOST = 100000 };
    struct object *flow = usable_of(request, KIND_FLOW);
    uint64_t seed = number_of(request, "seed"), length = number_of(request, "length"), count = 0;
    int32_t status = MACHNET_OK;

    (void)payload(seed, length); /* faults if it is too long */
    while (count < MOST && (status = machnet_send_copy(flow->channel, flow->token, payload(seed + count, length),
                                                       length, count, 0)) >= 0)
        count++;
    if (status < 0 && status != MACHNET_EAGAIN)
        return failed(status, NULL);
    return ok(json_pack("{s:I}", "count", (json_int_t)count));
}

static int32_t receive_batches(struct object *flow, struct stream *stream, uint32_t batch, int64_t deadline)
{
    machnet_record records[BATCH_MAX];
    uint8_t *arena = NULL;
    uint64_t bytes = 0;
    int32_t status = MACHNET_OK;

    while (stream->received < stream->count) {
        uint64_t left = stream->count - stream->received;
        status = receive_records(flow->parent, flow->token, records, left < batch ? (uint32_t)left : batch, &arena,
                                 &bytes, deadline);
        if (status < 0)
            break;
        for (int32_t i = 0; i < status; i++)
            stream_add(stream, records[i].tag, arena + records[i].offset, records[i].length);
    }
    free(arena);
    return status;
}

static int32_t receive_zero_copy(struct object *flow, struct stream *stream, int64_t deadline)
{
    machnet_view view;
    int32_t status = MACHNET_OK;

    while (stream->received < stream->count && (status = borrow_one(flow->parent, flow->token, &view, deadline)) >= 0) {
        stream_add(stream, view.tag, view.data, view.length);
        status = machnet_buffer_release(flow->channel, view.buffer);
    }
    return status;
}

static int32_t receive_copies(struct object *flow, struct stream *stream, int64_t deadline)
{
    uint8_t *buffer = NULL;
    uint64_t capacity = 0;
    machnet_message message;
    int32_t status = MACHNET_OK;

    while (stream->received < stream->count &&
           (status = receive_one(flow->parent, flow->token, &buffer, &capacity, &message, deadline)) >= 0)
        stream_add(stream, message.tag, buffer, message.length);
    free(buffer);
    return status;
}

json_t *op_receive_stream(json_t *request)
{
    struct object *flow = usable_of(request, KIND_FLOW);
    struct stream stream = {.count = number_of(request, "count")};
    uint64_t batch = number_or(request, "batch", 1);
    int64_t deadline = deadline_of(request, STREAM_MS);
    int32_t status;

    if (flag_of(request, "zero_copy"))
        status = receive_zero_copy(flow, &stream, deadline);
    else if (batch > 1)
        status = receive_batches(flow, &stream, batch < BATCH_MAX ? (uint32_t)batch : BATCH_MAX, deadline);
    else
        status = receive_copies(flow, &stream, deadline);
    return status < 0 ? failed(status, NULL) : ok(stream_result(&stream));
}

json_t *op_echo(json_t *request)
{
    struct object *flow = usable_of(request, KIND_FLOW);
    uint64_t count = number_of(request, "count"), capacity = 0, i = 0;
    int64_t deadline = deadline_of(request, STREAM_MS);
    uint8_t *buffer = NULL;
    machnet_message message;
    int32_t status = MACHNET_OK;

    for (; i < count && status >= 0; i++) {
        status = receive_one(flow->parent, flow->token, &buffer, &capacity, &message, deadline);
        if (status >= 0)
            status = send_one(flow, buffer, message.length, message.tag, deadline);
    }
    free(buffer);
    return status < 0 ? failed(status, NULL) : ok(json_pack("{s:I}", "count", (json_int_t)i));
}
