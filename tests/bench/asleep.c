/* SPDX-License-Identifier: MIT */
/*
 * asleep PID ADDRESS [COUNT]: after how long the engine PID sleeps again. Sends lone messages through the engine of MACHNET_SOCKET to
 * ADDRESS, where this program listens, too, on the engine of MACHNET_SOCKET_2, and answers. After each answer it watches the threads of PID
 * for 2 ms, by what the kernel says of them. The time runs from the answer to when a thread was last seen awake: it holds the
 * acknowledgement of the answer, which is the last packet, and every timer that is left. Run it on another core than PID. Prints
 * microseconds.
 */
#include <machnet/machnet.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { COUNT_MAX = 10000, THREADS_MAX = 64 };

#define WATCH_US 2000.0

static machnet_error error;
static int threads[THREADS_MAX]; /* the stat files of PID's threads */
static unsigned thread_count;

static void check(int32_t status, const char *what)
{
    if (status >= 0)
        return;
    fprintf(stderr, "asleep: %s: %s\n", what, error.message[0] != '\0' ? error.message : machnet_status_text(status));
    exit(1);
}

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void open_threads(const char *pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%.16s/task", pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL && thread_count < THREADS_MAX;) {
        char stat[32];
        snprintf(stat, sizeof stat, "%.16s/stat", entry->d_name);
        if (entry->d_name[0] != '.' && (threads[thread_count] = openat(dirfd(tasks), stat, O_RDONLY | O_CLOEXEC)) >= 0)
            thread_count++;
    }
    closedir(tasks);
}

static bool is_awake(int thread)
{
    char stat[64];
    const ssize_t size = pread(thread, stat, sizeof stat - 1, 0);
    stat[size > 0 ? size : 0] = '\0';
    const char *name_end = strrchr(stat, ')');
    if (name_end == NULL)
        check(MACHNET_ENOENGINE, "a thread of PID is gone");
    return name_end[2] != 'S';
}

/* Returns how long after `start` a thread was last seen awake. */
static double watch(double start)
{
    double last = start;
    for (double now = start; now - start < WATCH_US; now = now_us()) {
        for (unsigned i = 0; i < thread_count; i++) {
            if (is_awake(threads[i]))
                last = now_us();
        }
    }
    return last - start;
}

static double one_message(machnet_channel *channel, uint64_t flow)
{
    char bytes[64] = {0};
    int32_t status;
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    check(machnet_send_copy(channel, flow, bytes, sizeof bytes, 0, 0), "send");
    do {
        machnet_message message;
        status = machnet_recv_copy(channel, flow, bytes, sizeof bytes, &message, 0);
    } while (status == MACHNET_EAGAIN);
    check(status, "receive");
    return watch(now_us());
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static machnet_channel *attach(const char *socket, machnet_context **context)
{
    machnet_channel *channel;
    machnet_options *options = NULL;
    check(machnet_options_new(&options), "options");
    check(machnet_options_set_str(options, MACHNET_OPTION_SOCKET_PATH, socket), "socket");
    check(machnet_context_open(MACHNET_ABI_VERSION, options, context, &error), "context");
    check(machnet_channel_open(*context, NULL, &channel, &error), "channel");
    machnet_options_free(options);
    return channel;
}

static void *answer(void *channel)
{
    char bytes[64];
    machnet_message message;
    for (;;) {
        int32_t status = machnet_recv_copy(channel, MACHNET_ANY_FLOW, bytes, sizeof bytes, &message, 0);
        if (status == MACHNET_EAGAIN)
            machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, -1);
        else if (status < 0)
            return NULL;
        else
            check(machnet_send_copy(channel, message.flow, bytes, message.length, 0, 0), "answer");
    }
}

int main(int argc, char **argv)
{
    static double times[COUNT_MAX];
    unsigned count = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 100;
    machnet_address address;
    const char *socket_1 = getenv("MACHNET_SOCKET"), *socket_2 = getenv("MACHNET_SOCKET_2");
    if (argc < 3 || machnet_address_parse(argv[2], &address) != MACHNET_OK || socket_1 == NULL || socket_2 == NULL || count == 0 ||
        count > COUNT_MAX)
        return fputs("usage: MACHNET_SOCKET=1 MACHNET_SOCKET_2=2 asleep PID ADDRESS:PORT [COUNT]\n", stderr), 2;
    open_threads(argv[1]);
    if (thread_count == 0)
        return fprintf(stderr, "asleep: no process %s\n", argv[1]), 2;
    machnet_context *contexts[2];
    machnet_channel *channel = attach(socket_1, &contexts[0]), *server = attach(socket_2, &contexts[1]);
    uint64_t listener, flow;
    pthread_t thread;
    check(machnet_listener_open(server, &address, NULL, &listener, &error), "listen");
    check(machnet_flow_open(channel, NULL, &address, NULL, -1, &flow, &error), "open");
    if (pthread_create(&thread, NULL, answer, server) != 0)
        return 1;
    for (unsigned i = 0; i < count; i++)
        times[i] = one_message(channel, flow);
    qsort(times, count, sizeof *times, compare);
    printf("median %.1f us   min %.1f us   p90 %.1f us   max %.1f us   (%u)\n", times[count / 2], times[0], times[count * 9 / 10],
           times[count - 1], count);
    machnet_channel_shutdown(server);
    pthread_join(thread, NULL);
    machnet_channel_unref(server);
    machnet_channel_unref(channel);
    machnet_context_unref(contexts[0]);
    machnet_context_unref(contexts[1]);
    return 0;
}
