/* SPDX-License-Identifier: MIT */
/*
 * asleep PID ADDRESS [COUNT]: how long after the last packet the engine PID sleeps. Sends lone messages through the engine of
 * MACHNET_SOCKET to ADDRESS, where this program listens, too, on the engine of MACHNET_SOCKET_2, and answers. For 2 ms after each answer it watches
 * the threads of PID, by what the kernel says of them, and the packets from and to ADDRESS, by a packet socket (root, or CAP_NET_RAW).
 * The time runs from the last packet, the acknowledgement of the answer most likely, to when a thread was last seen awake. Run it on another core
 * than PID. Prints microseconds.
 */
#include "program.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { COUNT_MAX = 10000, THREADS_MAX = 64, TAP_BYTES = 4 << 20 };

#define WATCH_US 2000.0

static int threads[THREADS_MAX]; /* the stat files of PID's threads */
static unsigned thread_count;
static int tap; /* sees the packets of all interfaces */
static in_addr_t watched; /* of those from and to here */

static double time_us(const struct timespec *time)
{
    return (double)(time->tv_sec % 100000) * 1e6 + (double)time->tv_nsec / 1e3;
}

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now); /* as packets have it */
    return time_us(&now);
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

static void open_tap(const machnet_address *address)
{
    memcpy(&watched, &address->ip[12], sizeof watched);
    tap = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
    if (tap < 0 || setsockopt(tap, SOL_SOCKET, SO_RCVBUFFORCE, &(int){TAP_BYTES}, sizeof(int)) != 0 ||
        setsockopt(tap, SOL_SOCKET, SO_TIMESTAMPNS, &(int){1}, sizeof(int)) != 0) {
        perror("asleep: packet socket");
        exit(3);
    }
}

/* Returns when the last packet of the two engines came or went, of those that have not been looked at yet; 0: there was none. */
static double last_packet(void)
{
    struct iphdr header;
    char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec bytes = {&header, sizeof header};
    struct msghdr packet = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    double last = 0;
    for (ssize_t size; (size = recvmsg(tap, &packet, 0)) >= 0; packet.msg_controllen = sizeof control) {
        const struct cmsghdr *stamp = CMSG_FIRSTHDR(&packet);
        struct timespec time;
        if (size < (ssize_t)sizeof header || header.protocol != IPPROTO_UDP || stamp == NULL)
            continue;
        if (header.saddr != watched && header.daddr != watched)
            continue;
        memcpy(&time, CMSG_DATA(stamp), sizeof time);
        last = time_us(&time);
    }
    return last;
}

/* Returns how long after the last packet a thread was last seen awake. */
static double watch(void)
{
    double start = now_us(), awake = start;
    for (double now = start; now - start < WATCH_US; now = now_us()) {
        for (unsigned i = 0; i < thread_count; i++) {
            if (is_awake(threads[i]))
                awake = now_us();
        }
    }
    double packet = last_packet();
    if (packet == 0)
        check(MACHNET_ETIMEDOUT, "no packet was seen");
    return awake > packet ? awake - packet : 0;
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
    return watch();
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
    open_tap(&address);
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
