/* SPDX-License-Identifier: MIT */
/* Hello over Machnet. `hello listen 127.0.0.3:7000` answers one message; `hello 127.0.0.3:7000` asks.
 * Each of the two programs talks to the engine named by MACHNET_SOCKET. */
#include <machnet/machnet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static machnet_error error; /* filled by control calls that fail */
static int32_t check(int32_t status, const char *what)
{
    if (status >= 0)
        return status;
    fprintf(stderr, "hello: %s: %s\n", what, error.message[0] ? error.message : machnet_status_text(status));
    exit(1);
}

/* Waits for the next message, prints it, and returns the flow it came on. */
static uint64_t receive(machnet_channel *channel)
{
    char text[256];
    machnet_message message;
    int32_t status;
    while ((status = machnet_recv_copy(channel, MACHNET_ANY_FLOW, text, sizeof text, &message)) == MACHNET_EAGAIN)
        check(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, -1), "wait");
    check(status, "receive");
    printf("received: %.*s\n", (int)message.length, text);
    return message.flow;
}

int main(int argc, char **argv)
{
    int listens = argc == 3 && strcmp(argv[1], "listen") == 0;
    machnet_address address;
    if ((argc != 2 && !listens) || machnet_address_parse(argv[argc - 1], &address) != MACHNET_OK)
        return fputs("usage: hello [listen] ADDRESS:PORT\n", stderr), 2;
    machnet_context *context;
    machnet_channel *channel;
    check(machnet_context_open(MACHNET_ABI_VERSION, NULL, &context, &error), "context");
    check(machnet_channel_open(context, NULL, &channel, &error), "channel");
    uint64_t flow, listener;
    if (listens) {
        check(machnet_listener_open(channel, &address, NULL, &listener, &error), "listen");
        flow = receive(channel);
        check(machnet_send_copy(channel, flow, "hello, too", 10, 0, 0), "send");
    } else {
        check(machnet_flow_open(channel, NULL, &address, NULL, -1, &flow, &error), "open");
        check(machnet_send_copy(channel, flow, "hello, world", 12, 0, 0), "send");
        receive(channel);
        check(machnet_flow_close(channel, flow, 0), "close");
    }
    machnet_event event = {0}; /* both sides: wait until the flow has ended */
    while (event.type != MACHNET_EVENT_CLOSED)
        if (machnet_channel_events(channel, &event, 1) == MACHNET_EAGAIN)
            check(machnet_channel_wait(channel, MACHNET_WAIT_EVENT, 5000000000), "wait for the end");
    machnet_channel_unref(channel);
    machnet_context_unref(context);
    return 0;
}
