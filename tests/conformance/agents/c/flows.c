/* SPDX-License-Identifier: MIT */
/* Flows: opened, asked, closed. */
#include "agent.h"

#include <stdlib.h>

static json_t *open_flow(json_t *request, int64_t timeout_ns)
{
    struct object *channel = usable_of(request, KIND_CHANNEL);
    machnet_address remote, local = {0};
    machnet_options *options = NULL;
    machnet_error error = {0};
    uint64_t token;

    int32_t status = address_of(request, "remote", &remote);
    if (status >= 0 && text_or_null(request, "local") != NULL)
        status = address_of(request, "local", &local);
    if (status >= 0 && json_object_get(request, "open_timeout_ms") != NULL) {
        if (machnet_options_new(&options) < 0)
            abort();
        status = machnet_options_set_u64(options, MACHNET_OPTION_OPEN_TIMEOUT_NS,
                                         number_of(request, "open_timeout_ms") * 1000000);
    }
    if (status >= 0)
        status = machnet_flow_open(channel->channel, text_or_null(request, "local") ? &local : NULL, &remote, options,
                                   timeout_ns, &token, &error);
    machnet_options_free(options);
    if (status < 0)
        return failed(status, error.message);
    object_new(request, KIND_FLOW, channel)->token = token;
    return ok(NULL);
}

json_t *op_open_flow(json_t *request)
{
    return open_flow(request, left_ns(deadline_of(request, 0)));
}

json_t *op_start_flow(json_t *request)
{
    return open_flow(request, 0);
}

/* An event that tells of the flow; 0 at `type` of what came: neither came. Both are looked for, the first one first. */
static int32_t await_either(struct object *flow, uint32_t first, uint32_t second, int64_t deadline,
                            machnet_event *event)
{
    for (;;) {
        int32_t status = events_await(flow->parent, first, flow->token, 0, event);
        if (status == MACHNET_EAGAIN)
            status = events_await(flow->parent, second, flow->token, 0, event);
        if (status != MACHNET_EAGAIN)
            return status;
        status = machnet_channel_wait(flow->channel, MACHNET_WAIT_EVENT, left_ns(deadline));
        if (status < 0)
            return status == MACHNET_ETIMEDOUT && deadline == 0 ? MACHNET_EAGAIN : status;
    }
}

json_t *op_wait_open(json_t *request)
{
    struct object *flow = usable_of(request, KIND_FLOW);
    machnet_event event;

    machnet_flow_info info;
    int32_t status = machnet_flow_info_get(flow->channel, flow->token, &info); /* is it ours still? */
    if (status >= 0)
        status = await_either(flow, MACHNET_EVENT_ESTABLISHED, MACHNET_EVENT_CLOSED, deadline_of(request, 0), &event);
    if (status < 0)
        return failed(status, NULL);
    return event.type == MACHNET_EVENT_CLOSED ? failed(event.status, NULL) : ok(NULL);
}

json_t *op_wait_closed(json_t *request)
{
    struct object *flow = usable_of(request, KIND_FLOW);
    machnet_event event;

    int32_t status = events_await(flow->parent, MACHNET_EVENT_CLOSED, flow->token, deadline_of(request, 0), &event);
    if (status < 0)
        return failed(status, NULL);
    return ok(json_pack("{s:s}", "status", machnet_status_name(event.status)));
}

json_t *op_wait_send_space(json_t *request)
{
    struct object *flow = usable_of(request, KIND_FLOW);
    machnet_event event;
    return done(events_await(flow->parent, MACHNET_EVENT_SEND_SPACE, flow->token, deadline_of(request, 0), &event));
}

json_t *op_wait_stalled(json_t *request)
{
    struct object *channel = usable_of(request, KIND_CHANNEL);
    machnet_event event;

    int32_t status = events_await(channel, MACHNET_EVENT_RECEIVE_STALLED, 0, deadline_of(request, 0), &event);
    if (status < 0)
        return failed(status, NULL);
    return ok(json_pack("{s:o, s:I}", "flow", flow_name(channel, event.flow), "value", (json_int_t)event.value));
}

json_t *op_addresses(json_t *request)
{
    struct object *flow = usable_of(request, KIND_FLOW);
    char local_text[MACHNET_ADDRESS_TEXT_MAX], remote_text[MACHNET_ADDRESS_TEXT_MAX];
    machnet_address local, remote;

    int32_t status = machnet_flow_addresses(flow->channel, flow->token, &local, &remote);
    if (status < 0)
        return failed(status, NULL);
    if (machnet_address_format(&local, local_text, sizeof local_text) < 0 ||
        machnet_address_format(&remote, remote_text, sizeof remote_text) < 0)
        abort();
    return ok(json_pack("{s:s, s:s}", "local", local_text, "remote", remote_text));
}

json_t *op_info(json_t *request)
{
    static const char *const states[] = {NULL, "OPENING", "OPEN", "ENDED"};
    struct object *flow = usable_of(request, KIND_FLOW);
    machnet_flow_info info;

    int32_t status = machnet_flow_info_get(flow->channel, flow->token, &info);
    if (status < 0)
        return failed(status, NULL);
    return ok(json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "state", states[info.state & 3], "status",
                        machnet_status_name(info.status), "messages_sent", (json_int_t)info.messages_sent,
                        "messages_acknowledged", (json_int_t)info.messages_acknowledged, "messages_received",
                        (json_int_t)info.messages_received, "messages_queued", (json_int_t)info.messages_queued,
                        "bytes_unacknowledged", (json_int_t)info.bytes_unacknowledged));
}

json_t *op_close_flow(json_t *request)
{
    struct object *flow = usable_of(request, KIND_FLOW);
    int32_t status =
        machnet_flow_close(flow->channel, flow->token, flag_of(request, "abort") ? MACHNET_CLOSE_ABORT : 0);
    if (status >= 0)
        flow->closed = true;
    return done(status);
}
