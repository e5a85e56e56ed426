/* SPDX-License-Identifier: MIT */
/* What concerns the whole process: fork and signals. */
#include "agent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static json_t *inherited_statuses(const struct object *context, const struct object *flow)
{
    machnet_message message;
    machnet_view view;
    machnet_flow_info info;
    machnet_channel *another;
    uint64_t value;
    machnet_channel *channel = flow->channel;

    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}",                                                   /* */
                     "send", machnet_status_name(machnet_send_copy(channel, flow->token, "x", 1, 0, 0)), /* */
                     "receive",
                     machnet_status_name(machnet_recv_copy(channel, flow->token, &value, sizeof value, &message, 0)),
                     "reserve", machnet_status_name(machnet_send_reserve(channel, flow->token, 1, &view, 0)), /* */
                     "info", machnet_status_name(machnet_flow_info_get(channel, flow->token, &info)),         /* */
                     "stats", machnet_status_name(machnet_channel_stats(channel, &value, 1)),                 /* */
                     "open_channel", machnet_status_name(machnet_channel_open(context->context, NULL, &another, NULL)));
}

static int32_t open_own(const char *socket)
{
    machnet_options *options;
    machnet_context *context;
    machnet_channel *channel;

    int32_t status = machnet_options_new(&options);
    if (status < 0)
        return status;
    status = machnet_options_set_str(options, MACHNET_OPTION_SOCKET_PATH, socket);
    if (status >= 0)
        status = machnet_context_open(MACHNET_ABI_VERSION, options, &context, NULL);
    machnet_options_free(options);
    if (status < 0)
        return status;
    status = machnet_channel_open(context, NULL, &channel, NULL);
    if (status >= 0)
        machnet_channel_unref(channel);
    machnet_context_unref(context);
    return status;
}

json_t *op_fork(json_t *request)
{
    struct object *flow = usable_of(request, KIND_FLOW), *context = usable_of(request, KIND_CONTEXT);
    struct object *message = object_of(request, KIND_MESSAGE);
    uint32_t crc = crc32_of(0, message->view.data, message->view.length);
    const char *socket = text_of(request, "socket");
    int ends[2];

    if (pipe(ends) != 0)
        fault("pipe");
    pid_t child = fork();
    if (child < 0)
        fault("fork");
    if (child == 0) {
        json_t *inherited = inherited_statuses(context, flow);
        int readable = crc32_of(0, message->view.data, message->view.length) == crc;
        json_t *all = json_pack("{s:o, s:b, s:s}", "inherited", inherited, "readable", readable, "own",
                                machnet_status_name(open_own(socket)));
        _exit(json_dumpfd(all, ends[1], JSON_COMPACT) != 0);
    }
    close(ends[1]);
    json_t *all = json_loadfd(ends[0], 0, NULL);
    close(ends[0]);
    int status;
    if (waitpid(child, &status, 0) != child || status != 0 || all == NULL)
        fault("the child ended with %d", status);
    return ok(all);
}

static void nothing(int number)
{
    (void)number;
}

json_t *op_handle_signal(json_t *request)
{
    (void)request;
    struct sigaction action = {.sa_handler = nothing};
    if (sigaction(SIGUSR1, &action, NULL) != 0)
        fault("sigaction");
    return ok(NULL);
}
