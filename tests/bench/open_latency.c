/* SPDX-License-Identifier: MIT */
/*
 * open_latency ADDRESS [COUNT]: how long an application waits to attach, and for machnet_flow_open between engines that sleep
 * before each. Prints microseconds. The listener at ADDRESS is this program too, on the engine of MACHNET_SOCKET_2.
 */
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <time.h>

enum { COUNT_MAX = 10000 };

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void print(const char *what, double *times, unsigned count)
{
    qsort(times, count, sizeof *times, compare);
    printf("%-8s median %8.1f us   min %8.1f us   p90 %8.1f us   max %8.1f us   (%u)\n", what, times[count / 2], times[0],
           times[count * 9 / 10], times[count - 1], count);
}

/* Closes what the other side has closed. */
static void *serve(void *channel)
{
    machnet_event event;
    for (;;) {
        int32_t status = machnet_channel_events(channel, &event, 1, 0);
        if (status == MACHNET_EAGAIN)
            machnet_channel_wait(channel, MACHNET_WAIT_EVENT, -1);
        else if (status < 0)
            return NULL;
        else if (event.type == MACHNET_EVENT_CLOSED)
            machnet_flow_close(channel, event.flow, 0);
    }
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void measure_attach(const char *socket, unsigned count, double *times)
{
    for (unsigned i = 0; i < count; i++) {
        machnet_context *context;
        double start = now_us();
        machnet_channel *channel = attach(socket, &context);
        times[i] = now_us() - start;
        machnet_channel_unref(channel);
        machnet_context_unref(context);
        pause_ms(5);
    }
    print("attach", times, count);
}

static void measure_open(const char *socket, const machnet_address *address, unsigned count, double *times)
{
    machnet_context *context;
    machnet_channel *channel = attach(socket, &context);
    for (unsigned i = 0; i < count; i++) {
        uint64_t flow;
        machnet_event event;
        double start = now_us();
        check(machnet_flow_open(channel, NULL, address, NULL, -1, &flow, &error), "open");
        times[i] = now_us() - start;
        check(machnet_flow_close(channel, flow, 0), "close");
        while (machnet_channel_events(channel, &event, 1, 0) == MACHNET_EAGAIN)
            check(machnet_channel_wait(channel, MACHNET_WAIT_EVENT, -1), "wait");
        pause_ms(5); /* longer than an engine polls before it sleeps */
    }
    print("open", times, count);
    machnet_channel_unref(channel);
    machnet_context_unref(context);
}

int main(int argc, char **argv)
{
    static double times[COUNT_MAX];
    const char *socket_1 = getenv("MACHNET_SOCKET"), *socket_2 = getenv("MACHNET_SOCKET_2");
    unsigned count = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 200;
    machnet_address address;
    if (argc < 2 || machnet_address_parse(argv[1], &address) != MACHNET_OK || socket_1 == NULL || socket_2 == NULL ||
        count == 0 || count > COUNT_MAX)
        return fputs("usage: MACHNET_SOCKET=1 MACHNET_SOCKET_2=2 open_latency ADDRESS:PORT [COUNT]\n", stderr), 2;
    machnet_context *context;
    machnet_channel *server = attach(socket_2, &context);
    uint64_t listener;
    pthread_t thread;
    check(machnet_listener_open(server, &address, NULL, &listener, &error), "listen");
    if (pthread_create(&thread, NULL, serve, server) != 0)
        return 1;
    measure_attach(socket_1, count < 100 ? count : 100, times);
    measure_open(socket_1, &address, count, times);
    machnet_channel_shutdown(server);
    pthread_join(thread, NULL);
    machnet_channel_unref(server);
    machnet_context_unref(context);
    return 0;
}
