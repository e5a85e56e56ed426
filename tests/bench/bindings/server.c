/* SPDX-License-Identifier: MIT */
/* `bench_server ADDRESS` sends every message back on its flow, by the engine of MACHNET_SOCKET, until it is ended: the other side of the bindings' --remote. */
#include <stdio.h>
#include <stdlib.h>

#include <machnet/machnet.h>

enum { BATCH = 64, ARENA_BYTES = 65536 };

static machnet_error error;

static void check(int32_t status, const char *what)
{
    if (status < 0) {
        fprintf(stderr, "bench_server: %s: %s\n", what, error.message[0] ? error.message : machnet_status_text(status));
        exit(1);
    }
}

/* A flow that has ended is closed; its peer is done. */
static void take_events(machnet_channel *channel)
{
    machnet_event event;
    while (machnet_channel_events(channel, &event, 1, 0) == 1) {
        if (event.type == MACHNET_EVENT_CLOSED && event.status != MACHNET_OK)
            machnet_flow_close(channel, event.flow, 0);
    }
}

/* Sends what a client with at most BATCH messages in flight has sent: there is always room. */
static void echo(machnet_channel *channel)
{
    static machnet_record records[BATCH];
    static uint8_t arena[ARENA_BYTES];
    int32_t count;
    while ((count = machnet_recv_packed(channel, MACHNET_ANY_FLOW, records, BATCH, arena, sizeof arena, 0)) > 0) {
        for (int32_t sent = 0, now; sent < count; sent += now) {
            now = machnet_send_packed(channel, records + sent, (uint32_t)(count - sent), arena, sizeof arena, 0);
            if (now < 0)
                break; /* the flow has ended meanwhile */
        }
    }
    if (count != MACHNET_EAGAIN)
        check(count, "receive");
}

int main(int argc, char **argv)
{
    machnet_address address;
    machnet_context *context;
    machnet_channel *channel;
    uint64_t listener;
    if (argc != 2 || machnet_address_parse(argv[1], &address) < 0)
        return fputs("usage: bench_server ADDRESS:PORT\n", stderr), 2;
    check(machnet_context_open(MACHNET_ABI_VERSION, NULL, &context, &error), "context");
    check(machnet_channel_open(context, NULL, &channel, &error), "channel");
    check(machnet_listener_open(channel, &address, NULL, &listener, &error), "listener");
    puts("ready");
    fflush(stdout);
    for (;;) {
        check(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT, -1), "wait");
        take_events(channel);
        echo(channel);
    }
}
