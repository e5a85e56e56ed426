/* SPDX-License-Identifier: MIT */
/* Contexts, channels, listeners. */
#include "agent.h"

#include <stdlib.h>
#include <string.h>

static machnet_error error; /* of the last control call */

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static machnet_options *options_new(void)
{
    machnet_options *options = NULL;
    if (machnet_options_new(&options) < 0)
        abort();
    return options;
}

json_t *op_open_context(json_t *request)
{
    machnet_options *options = options_new();
    machnet_context *context;

    error = (machnet_error){0};
    int32_t status = machnet_options_set_str(options, MACHNET_OPTION_SOCKET_PATH, text_of(request, "socket"));
    if (status >= 0)
        status = machnet_context_open(MACHNET_ABI_VERSION, options, &context, &error);
    machnet_options_free(options);
    if (status < 0)
        return failed(status, error.message);
    object_new(request, KIND_CONTEXT, NULL)->context = context;
    return ok(NULL);
}

json_t *op_status(json_t *request)
{
    struct object *context = usable_of(request, KIND_CONTEXT);
    uint64_t length = 4096;
    int32_t status;
    char *text;

    error = (machnet_error){0};
    for (;;) {
        uint64_t capacity = length + 1024;
        text = must(malloc(capacity));
        status = machnet_context_status(context->context, text, capacity, &length, &error);
        if (status != MACHNET_EMSGSIZE)
            break;
        free(text);
    }
    json_t *value = status < 0 ? NULL : json_loads(text, 0, NULL);
    free(text);
    if (status < 0)
        return failed(status, error.message);
    if (value == NULL)
        fault("the engine's status is no JSON");
    return ok(json_pack("{s:o}", "status", value));
}

json_t *op_close_context(json_t *request)
{
    struct object *context = usable_of(request, KIND_CONTEXT);
    machnet_context_unref(context->context);
    context->closed = true;
    return ok(NULL);
}

static uint64_t poll_of(const json_t *request)
{
    const char *poll = text_of(request, "poll");
    return strcmp(poll, "spin") == 0    ? MACHNET_POLL_SPIN
           : strcmp(poll, "sleep") == 0 ? MACHNET_POLL_SLEEP
                                        : MACHNET_POLL_ADAPTIVE;
}

/* The first status that is not MACHNET_OK. */
static int32_t set_channel_options(machnet_options *options, const json_t *request)
{
    static const struct {
        const char *field;
        uint32_t key;
    } numbers[] = {
        {"send_bytes", MACHNET_OPTION_SEND_BYTES},
        {"receive_bytes", MACHNET_OPTION_RECEIVE_BYTES},
        {"spin_ns", MACHNET_OPTION_SPIN_NS},
    };
    int32_t status = MACHNET_OK;

    if (json_object_get(request, "option") != NULL)
        status = machnet_options_set_u64(options, (uint32_t)number_of(request, "option"), 1);
    if (status >= 0 && text_or_null(request, "name") != NULL)
        status = machnet_options_set_str(options, MACHNET_OPTION_NAME, text_of(request, "name"));
    if (status >= 0 && text_or_null(request, "poll") != NULL)
        status = machnet_options_set_u64(options, MACHNET_OPTION_POLL, poll_of(request));
    for (size_t i = 0; status >= 0 && i < sizeof numbers / sizeof *numbers; i++) {
        if (json_object_get(request, numbers[i].field) != NULL)
            status = machnet_options_set_u64(options, numbers[i].key, number_of(request, numbers[i].field));
    }
    return status;
}

json_t *op_open_channel(json_t *request)
{
    struct object *context = usable_of(request, KIND_CONTEXT);
    machnet_options *options = options_new();
    machnet_channel *channel;

    error = (machnet_error){0};
    int32_t status = set_channel_options(options, request);
    if (status >= 0)
        status = machnet_channel_open(context->context, options, &channel, &error);
    machnet_options_free(options);
    if (status < 0)
        return failed(status, error.message);
    object_new(request, KIND_CHANNEL, context)->channel = channel;
    return ok(NULL);
}

json_t *op_shutdown(json_t *request)
{
    return done(machnet_channel_shutdown(usable_of(request, KIND_CHANNEL)->channel));
}

json_t *op_close_channel(json_t *request)
{
    struct object *channel = usable_of(request, KIND_CHANNEL);
    int32_t status = machnet_channel_shutdown(channel->channel);
    machnet_channel_unref(channel->channel);
    channel->closed = true;
    return done(status);
}

json_t *op_stats(json_t *request)
{
    struct object *channel = usable_of(request, KIND_CHANNEL);
    uint64_t values[256];

    int32_t count = machnet_channel_stats(channel->channel, values, 256);
    if (count < 0)
        return failed(count, NULL);
    json_t *stats = json_object();
    for (uint32_t i = 0; i < (uint32_t)count && i < 256; i++)
        json_object_set_new(stats, machnet_stat_name(i), json_integer((json_int_t)values[i]));
    return ok(json_pack("{s:o}", "stats", stats));
}

json_t *op_wake(json_t *request)
{
    return done(machnet_channel_wake(usable_of(request, KIND_CHANNEL)->channel));
}

json_t *op_listen(json_t *request)
{
    struct object *channel = usable_of(request, KIND_CHANNEL);
    char text[MACHNET_ADDRESS_TEXT_MAX];
    machnet_address address;
    uint64_t token;

    error = (machnet_error){0};
    int32_t status = address_of(request, "address", &address);
    if (status >= 0)
        status = machnet_listener_open(channel->channel, &address, NULL, &token, &error);
    if (status < 0)
        return failed(status, error.message);
    object_new(request, KIND_LISTENER, channel)->token = token;
    status = machnet_listener_address(channel->channel, token, &address);
    if (status >= 0)
        status = machnet_address_format(&address, text, sizeof text);
    return status < 0 ? failed(status, NULL) : ok(json_pack("{s:s}", "address", text));
}

json_t *op_accept(json_t *request)
{
    struct object *listener = usable_of(request, KIND_LISTENER);
    machnet_event event;

    machnet_address address;
    int32_t status = machnet_listener_address(listener->channel, listener->token, &address); /* is it open still? */
    if (status >= 0)
        status =
            events_await(listener->parent, MACHNET_EVENT_ACCEPTED, listener->token, deadline_of(request, 0), &event);
    if (status < 0)
        return failed(status, NULL);
    object_new(request, KIND_FLOW, listener->parent)->token = event.flow;
    return ok(NULL);
}

json_t *op_close_listener(json_t *request)
{
    struct object *listener = usable_of(request, KIND_LISTENER);

    error = (machnet_error){0};
    int32_t status = machnet_listener_close(listener->channel, listener->token, 0, &error);
    if (status < 0)
        return failed(status, error.message);
    listener->closed = true;
    return ok(NULL);
}
