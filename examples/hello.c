/* SPDX-License-Identifier: MIT */
/* `hello listen 127.0.0.3:7000` answers one message, `hello 127.0.0.3:7000` asks, each by the engine of its MACHNET_SOCKET. */
#include <err.h>
#include <machnet/machnet.h>
#include <stdio.h>

static machnet_error error; /* filled by calls that take it and fail */
static void check(int32_t status, const char *what)
{
    if (status < 0)
        errx(1, "%s: %s", what, error.message[0] ? error.message : machnet_status_text(status));
}

/* Waits for an event of this type and returns its flow. */
static uint64_t await(machnet_channel *channel, uint32_t type)
{
    machnet_event event = {0, 0, 0, 0, 0, {0}};
    for (int32_t status; event.type != type; check(status, "event"))
        if ((status = machnet_channel_events(channel, &event, 1, 0)) == MACHNET_EAGAIN)
            status = machnet_channel_wait(channel, MACHNET_WAIT_EVENT, -1);
    return event.flow;
}

/* Waits for a message on the flow and prints it. If the flow ends instead, its status says why. */
static void receive(machnet_channel *channel, uint64_t flow)
{
    char text[256];
    machnet_message message;
    int32_t status;
    while ((status = machnet_recv_copy(channel, flow, text, sizeof text, &message, 0)) == MACHNET_EAGAIN)
        check(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, -1), "wait");
    check(status, "receive");
    printf("received: %.*s\n", (int)message.length, text);
}

int main(int argc, char **argv)
{
    machnet_address address;
    machnet_context *context;
    machnet_channel *channel;
    uint64_t flow, listener;
    if (argc < 2 || argc > 3 || machnet_address_parse(argv[argc - 1], &address) != MACHNET_OK)
        return fputs("usage: hello [listen] ADDRESS:PORT\n", stderr), 2;
    check(machnet_context_open(MACHNET_ABI_VERSION, NULL, &context, &error), "context");
    check(machnet_channel_open(context, NULL, &channel, &error), "channel");
    if (argc == 3) { /* listen */
        check(machnet_listener_open(channel, &address, NULL, &listener, &error), "listen");
        receive(channel, flow = await(channel, MACHNET_EVENT_ACCEPTED));
        check(machnet_send_copy(channel, flow, "hello, too", 10, 0, 0), "send");
    } else {
        check(machnet_flow_open(channel, NULL, &address, NULL, -1, &flow, &error), "open");
        check(machnet_send_copy(channel, flow, "hello, world", 12, 0, 0), "send");
        receive(channel, flow);
        check(machnet_flow_close(channel, flow, 0), "close");
    }
    await(channel, MACHNET_EVENT_CLOSED); /* the other side has everything, or is gone */
    machnet_channel_unref(channel);
    machnet_context_unref(context);
    return fflush(stdout) == 0 ? 0 : (perror("hello: standard output"), 1);
}
