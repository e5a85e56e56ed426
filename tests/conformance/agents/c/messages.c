/* SPDX-License-Identifier: MIT */
/* One message, or one batch. */
#include "agent.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_MAX = 1024 };

/* The channel of a receive, and the flow, or MACHNET_ANY_FLOW. */
static struct object *source_of(const json_t *request, uint64_t *token)
{
    *token = MACHNET_ANY_FLOW;
    if (text_or_null(request, "flow") == NULL)
        return usable_of(request, KIND_CHANNEL);
    struct object *flow = usable_of(request, KIND_FLOW);
    *token = flow->token;
    return flow->parent;
}

static json_t *message_json(const struct object *channel, uint64_t flow, uint64_t tag, const void *data,
                            uint64_t length)
{
    return json_pack("{s:o, s:I, s:o, s:I}", "flow", flow_name(channel, flow), "length", (json_int_t)length, "tag",
                     tag_json(tag), "crc", (json_int_t)crc32_of(0, data, length));
}

json_t *op_send(json_t *request)
{
    struct object *flow = usable_of(request, KIND_FLOW);
    uint64_t length = number_of(request, "length");
    const uint8_t *data = payload(number_of(request, "seed"), length);
    return done(send_one(flow, data, length, tag_of(request), deadline_of(request, 0)));
}

json_t *op_send_batch(json_t *request)
{
    struct object *flow = usable_of(request, KIND_FLOW);
    json_t *messages = json_object_get(request, "messages"), *message;
    machnet_record records[BATCH_MAX] = {0};
    uint64_t bytes = 0;
    size_t i;

    if (json_array_size(messages) == 0 || json_array_size(messages) > BATCH_MAX)
        fault("a batch of %zu messages", json_array_size(messages));
    json_array_foreach(messages, i, message) bytes += number_of(message, "length");
    uint8_t *arena = calloc(1, bytes + 1);
    if (arena == NULL)
        abort();
    bytes = 0;
    json_array_foreach(messages, i, message)
    {
        uint64_t length = number_of(message, "length");
        uint64_t token = text_or_null(message, "flow") ? usable_of(message, KIND_FLOW)->token : flow->token;
        records[i] = (machnet_record){.flow = token, .tag = tag_of(message), .offset = bytes, .length = length};
        memcpy(arena + bytes, payload(number_of(message, "seed"), length), length);
        bytes += length;
    }
    int32_t count = send_records(flow->parent, records, (uint32_t)i, arena, bytes, deadline_of(request, 0));
    free(arena);
    return count < 0 ? failed(count, NULL) : ok(json_pack("{s:i}", "count", (int)count));
}

/* Into a buffer of `capacity` bytes, however long the message is. */
static json_t *receive_into(struct object *channel, uint64_t token, uint64_t capacity, int64_t deadline)
{
    machnet_message message;
    uint8_t *buffer = malloc(capacity + 1);
    int32_t status, waited;

    if (buffer == NULL)
        abort();
    do {
        status = machnet_recv_copy(channel->channel, token, buffer, capacity, &message, 0);
        waited = status == MACHNET_EAGAIN ? wait_for_message(channel, status, deadline) : status;
    } while (status == MACHNET_EAGAIN && waited >= 0);
    json_t *answer = waited < 0 ? failed(waited, NULL)
                                : ok(message_json(channel, message.flow, message.tag, buffer, message.length));
    if (status == MACHNET_EMSGSIZE)
        json_object_set_new(json_object_get(answer, "error"), "length", json_integer((json_int_t)message.length));
    free(buffer);
    return answer;
}

json_t *op_receive(json_t *request)
{
    uint64_t token, capacity = 0;
    struct object *channel = source_of(request, &token);
    int64_t deadline = deadline_of(request, 0);
    machnet_message message;
    uint8_t *buffer = NULL;

    if (json_object_get(request, "capacity") != NULL)
        return receive_into(channel, token, number_of(request, "capacity"), deadline);
    int32_t status = receive_one(channel, token, &buffer, &capacity, &message, deadline);
    json_t *answer = status < 0 ? failed(status, NULL)
                                : ok(message_json(channel, message.flow, message.tag, buffer, message.length));
    free(buffer);
    return answer;
}

json_t *op_receive_batch(json_t *request)
{
    machnet_record records[BATCH_MAX];
    uint64_t token, bytes = 0, max = number_of(request, "max");
    struct object *channel = source_of(request, &token);
    uint8_t *arena = NULL;

    if (max > BATCH_MAX)
        max = BATCH_MAX;
    int32_t count = receive_records(channel, token, records, (uint32_t)max, &arena, &bytes, deadline_of(request, 0));
    json_t *messages = json_array();
    for (int32_t i = 0; i < count; i++)
        json_array_append_new(messages, message_json(channel, records[i].flow, records[i].tag,
                                                     arena + records[i].offset, records[i].length));
    free(arena);
    if (count >= 0)
        return ok(json_pack("{s:o}", "messages", messages));
    json_decref(messages);
    return failed(count, NULL);
}

static json_t *view_json(const struct object *message)
{
    const machnet_view *view = &message->view;
    return message_json(message->parent, view->flow, view->tag, view->data, view->length);
}

json_t *op_borrow(json_t *request)
{
    uint64_t token;
    struct object *channel = source_of(request, &token);
    machnet_view view;

    int32_t status = borrow_one(channel, token, &view, deadline_of(request, 0));
    if (status < 0)
        return failed(status, NULL);
    struct object *message = object_new(request, KIND_MESSAGE, channel);
    message->view = view;
    return ok(view_json(message));
}

json_t *op_check(json_t *request)
{
    struct object *message = object_of(request, KIND_MESSAGE);
    if (message->closed)
        impossible("in C the bytes of a released message are only an address");
    return ok(view_json(message));
}

static void *release_thread(void *argument)
{
    struct object *message = argument;
    return (void *)(intptr_t)machnet_buffer_release(message->channel, message->view.buffer);
}

json_t *op_release(json_t *request)
{
    struct object *message = object_of(request, KIND_MESSAGE);
    pthread_t thread;
    void *status;

    if (message->closed && message->parent->closed)
        impossible("in C nothing may be called with a handle after the last reference was given back");
    if (!flag_of(request, "thread"))
        status = release_thread(message);
    else if (pthread_create(&thread, NULL, release_thread, message) != 0 || pthread_join(thread, &status) != 0)
        abort();
    message->closed = true;
    return done((int32_t)(intptr_t)status);
}

json_t *op_reserve(json_t *request)
{
    struct object *flow = usable_of(request, KIND_FLOW);
    machnet_view view;

    int32_t status = reserve_one(flow, number_of(request, "length"), &view, deadline_of(request, 0));
    if (status < 0)
        return failed(status, NULL);
    object_new(request, KIND_BUFFER, flow->parent)->view = view;
    return ok(json_pack("{s:I}", "length", (json_int_t)view.length));
}

json_t *op_commit(json_t *request)
{
    struct object *buffer = usable_of(request, KIND_BUFFER);
    uint64_t length = number_of(request, "length");

    if (!buffer->closed && length <= buffer->view.length)
        memcpy(buffer->view.data, payload(number_of(request, "seed"), length), length);
    int32_t status = machnet_send_commit(buffer->channel, buffer->view.buffer, length, tag_of(request), 0);
    if (status >= 0)
        buffer->closed = true;
    return done(status);
}

json_t *op_abandon(json_t *request)
{
    struct object *buffer = object_of(request, KIND_BUFFER);
    if (buffer->closed && buffer->parent->closed)
        impossible("in C nothing may be called with a handle after the last reference was given back");
    int32_t status = machnet_buffer_release(buffer->channel, buffer->view.buffer);
    buffer->closed = true;
    return done(status);
}
