/* SPDX-License-Identifier: MIT */
/*
 * Calls with whatever the driver likes, which only C can say: {"op": "raw", "call": "send", "channel": "c", ...} with
 *   "token": "123"   the token that the call is about, or
 *   "of": "name"     the token of this object, of whatever kind and channel; absent both: 0
 *   "flags": 1       the call's flags; absent: 0
 *   "abi": 3         of call context_open
 * -> {"status": name}
 */
#include "agent.h"

#include <stdlib.h>
#include <string.h>

struct raw {
    machnet_channel *channel;
    uint64_t token;
    uint32_t flags;
};

static int32_t raw_send(const struct raw *raw)
{
    return machnet_send_copy(raw->channel, raw->token, "x", 1, 0, raw->flags);
}

static int32_t raw_send_batch(const struct raw *raw)
{
    machnet_record record = {.flow = raw->token, .length = 1};
    return machnet_send_packed(raw->channel, &record, 1, "x", 1, raw->flags);
}

static int32_t raw_receive(const struct raw *raw)
{
    machnet_message message;
    char buffer[64];
    return machnet_recv_copy(raw->channel, raw->token, buffer, sizeof buffer, &message, raw->flags);
}

static int32_t raw_receive_batch(const struct raw *raw)
{
    machnet_record record;
    char buffer[64];
    return machnet_recv_packed(raw->channel, raw->token, &record, 1, buffer, sizeof buffer, raw->flags);
}

static int32_t raw_borrow(const struct raw *raw)
{
    machnet_view view;
    return machnet_recv_borrow(raw->channel, raw->token, &view, raw->flags);
}

static int32_t raw_reserve(const struct raw *raw)
{
    machnet_view view;
    return machnet_send_reserve(raw->channel, raw->token, 1, &view, raw->flags);
}

static int32_t raw_commit(const struct raw *raw)
{
    return machnet_send_commit(raw->channel, raw->token, 1, 0, raw->flags);
}

static int32_t raw_release(const struct raw *raw)
{
    return machnet_buffer_release(raw->channel, raw->token);
}

static int32_t raw_close_flow(const struct raw *raw)
{
    return machnet_flow_close(raw->channel, raw->token, raw->flags);
}

static int32_t raw_close_listener(const struct raw *raw)
{
    return machnet_listener_close(raw->channel, raw->token, raw->flags, NULL);
}

static int32_t raw_listener_address(const struct raw *raw)
{
    machnet_address address;
    return machnet_listener_address(raw->channel, raw->token, &address);
}

static int32_t raw_addresses(const struct raw *raw)
{
    machnet_address address;
    return machnet_flow_addresses(raw->channel, raw->token, &address, NULL);
}

static int32_t raw_info(const struct raw *raw)
{
    machnet_flow_info info;
    return machnet_flow_info_get(raw->channel, raw->token, &info);
}

static int32_t raw_events(const struct raw *raw)
{
    machnet_event event;
    return machnet_channel_events(raw->channel, &event, 1, raw->flags);
}

static int32_t raw_wait(const struct raw *raw)
{
    return machnet_channel_wait(raw->channel, raw->flags, 0);
}

static const struct {
    const char *name;
    int32_t (*run)(const struct raw *raw);
} calls[] = {
    {"send", raw_send},
    {"send_batch", raw_send_batch},
    {"receive", raw_receive},
    {"receive_batch", raw_receive_batch},
    {"borrow", raw_borrow},
    {"reserve", raw_reserve},
    {"commit", raw_commit},
    {"release", raw_release},
    {"close_flow", raw_close_flow},
    {"close_listener", raw_close_listener},
    {"listener_address", raw_listener_address},
    {"addresses", raw_addresses},
    {"info", raw_info},
    {"events", raw_events},
    {"wait", raw_wait},
};

static json_t *status_json(int32_t status)
{
    return ok(json_pack("{s:s}", "status", machnet_status_name(status < 0 ? status : MACHNET_OK)));
}

static uint64_t token_of(const json_t *request)
{
    const char *token = text_or_null(request, "token"), *name = text_or_null(request, "of");
    if (name == NULL)
        return token == NULL ? 0 : strtoull(token, NULL, 0);
    const struct object *object = object_named(name);
    if (object == NULL)
        fault("no object %s", name);
    return object->kind >= KIND_MESSAGE ? object->view.buffer : object->token;
}

json_t *op_raw(json_t *request)
{
    const char *call = text_of(request, "call");

    if (strcmp(call, "context_open") == 0) {
        machnet_context *context;
        int32_t status = machnet_context_open((uint32_t)number_of(request, "abi"), NULL, &context, NULL);
        if (status >= 0)
            machnet_context_unref(context);
        return status_json(status);
    }
    struct raw raw = {usable_of(request, KIND_CHANNEL)->channel, token_of(request),
                      (uint32_t)number_or(request, "flags", 0)};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (strcmp(call, calls[i].name) == 0)
            return status_json(calls[i].run(&raw));
    }
    fault("no raw call %s", call);
}
