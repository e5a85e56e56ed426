/* SPDX-License-Identifier: MIT */
/*
 * flows CHANNELS FLOWS [WINDOW] ADDRESS: CHANNELS channels on the engine of MACHNET_SOCKET, and FLOWS flows from them, in turn, to a
 * listener of this program at ADDRESS, on the engine of MACHNET_SOCKET_2. Flows are opened WINDOW (1) at a time. Then a message goes
 * through each. After each step it prints "STEP COUNT SECONDS" and waits for a line of standard input.
 */
#include "program.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static machnet_channel *server;
static _Atomic uint64_t messages;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void step(const char *name, uint64_t count, double start)
{
    char line[16];
    printf("%s %llu %.6f\n", name, (unsigned long long)count, now() - start);
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL)
        exit(0);
}

static void pause_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* Counts messages, and closes what the other side has closed. */
static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        machnet_event event;
        machnet_message message;
        char byte;
        int32_t events = machnet_channel_events(server, &event, 1, 0);
        while (events > 0 && event.type == MACHNET_EVENT_CLOSED && machnet_flow_close(server, event.flow, 0) == MACHNET_EAGAIN)
            pause_us(100);
        int32_t received = machnet_recv_copy(server, MACHNET_ANY_FLOW, &byte, 1, &message, 0);
        if (received == MACHNET_OK)
            atomic_fetch_add(&messages, 1);
        if (events == MACHNET_ESHUTDOWN)
            return NULL;
        if (events == MACHNET_EAGAIN && received == MACHNET_EAGAIN)
            machnet_channel_wait(server, MACHNET_WAIT_EVENT | MACHNET_WAIT_RECEIVE, -1);
    }
}

static void expect_established(machnet_channel *channel)
{
    machnet_event event;
    while (machnet_channel_events(channel, &event, 1, 0) == MACHNET_EAGAIN)
        check(machnet_channel_wait(channel, MACHNET_WAIT_EVENT, -1), "wait");
    check(event.status, "flow");
    if (event.type != MACHNET_EVENT_ESTABLISHED)
        exit(1);
}

static void open_flows(machnet_channel **channels, uint64_t channel_count, uint64_t *flows, uint64_t count, uint64_t window,
                       const machnet_address *address)
{
    for (uint64_t i = 0; i < count; i += window) {
        uint64_t end = i + window < count ? i + window : count;
        int64_t timeout = window == 1 ? -1 : 0;
        for (uint64_t j = i; j < end; j++)
            check(machnet_flow_open(channels[j % channel_count], NULL, address, NULL, timeout, &flows[j], &error), "open");
        for (uint64_t j = i; window > 1 && j < end; j++)
            expect_established(channels[j % channel_count]);
    }
}

static void send_one_on_each(machnet_channel **channels, uint64_t channel_count, const uint64_t *flows, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        machnet_channel *channel = channels[i % channel_count];
        int32_t status;
        while ((status = machnet_send_copy(channel, flows[i], "m", 1, 0, 0)) == MACHNET_EAGAIN)
            machnet_channel_wait(channel, MACHNET_WAIT_SEND, 1000000);
        check(status, "send");
    }
    while (atomic_load(&messages) < count)
        pause_us(100);
}

static uint64_t number(const char *text)
{
    uint64_t value = strtoull(text, NULL, 10);
    return value > 0 && value <= 1 << 20 ? value : 0;
}

static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv)
{
    const char *socket_1 = getenv("MACHNET_SOCKET"), *socket_2 = getenv("MACHNET_SOCKET_2");
    uint64_t channel_count = argc > 3 ? number(argv[1]) : 0, count = argc > 3 ? number(argv[2]) : 0;
    uint64_t window = argc == 5 ? number(argv[3]) : 1, listener;
    machnet_address address;
    if (argc < 4 || argc > 5 || channel_count == 0 || count == 0 || window == 0 || socket_1 == NULL || socket_2 == NULL ||
        machnet_address_parse(argv[argc - 1], &address) != MACHNET_OK)
        return fputs("usage: MACHNET_SOCKET=1 MACHNET_SOCKET_2=2 flows CHANNELS FLOWS [WINDOW] ADDRESS:PORT\n", stderr), 2;
    raise_file_limit();
    machnet_channel **channels = calloc(channel_count, sizeof(machnet_channel *));
    uint64_t *flows = calloc(count, sizeof *flows);
    machnet_context *context = open_context(socket_1), *server_context = open_context(socket_2);
    pthread_t thread;
    if (channels == NULL || flows == NULL)
        return 1;
    check(machnet_channel_open(server_context, NULL, &server, &error), "channel");
    check(machnet_listener_open(server, &address, NULL, &listener, &error), "listen");
    if (pthread_create(&thread, NULL, serve, NULL) != 0)
        return 1;
    step("ready", 0, now());
    double start = now();
    for (uint64_t i = 0; i < channel_count; i++)
        check(machnet_channel_open(context, NULL, &channels[i], &error), "channel");
    step("channels", channel_count, start);
    start = now();
    open_flows(channels, channel_count, flows, count, window, &address);
    step("flows", count, start);
    start = now();
    send_one_on_each(channels, channel_count, flows, count);
    step("messages", count, start);
    start = now();
    for (uint64_t i = 0; i < channel_count; i++)
        machnet_channel_unref(channels[i]);
    step("closed", channel_count, start);
    machnet_channel_shutdown(server);
    pthread_join(thread, NULL);
    machnet_channel_unref(server);
    machnet_context_unref(context);
    machnet_context_unref(server_context);
    free(channels);
    free(flows);
    return 0;
}
