/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "nic/nic_dpdk_internal.h"

static bool carries_packets(int fd)
{
    int domain;
    socklen_t length = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && (domain == AF_PACKET || domain == AF_XDP);
}

static int ascending(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

void dpdk_sockets_list(struct dpdk_sockets *sockets)
{
    sockets->count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL && sockets->count < DPDK_FDS_MAX;) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && carries_packets(fd))
            sockets->fds[sockets->count++] = fd;
    }
    (void)closedir(directory);
    qsort(sockets->fds, sockets->count, sizeof sockets->fds[0], ascending);
}

static bool has(const struct dpdk_sockets *sockets, int fd)
{
    return bsearch(&fd, sockets->fds, sockets->count, sizeof fd, ascending) != NULL;
}

void dpdk_sockets_assign(struct dpdk_device *device, const struct dpdk_sockets *before)
{
    struct dpdk_sockets now, ours = {.count = 0};
    dpdk_sockets_list(&now);
    for (uint32_t i = 0; i < now.count; i++) {
        if (!has(before, now.fds[i]))
            ours.fds[ours.count++] = now.fds[i];
    }
    bool one_each = ours.count == device->device.queue_count;
    for (uint32_t i = 0; i < device->device.queue_count; i++) {
        struct dpdk_queue *queue = dpdk_queue_of(device->queues[i]);
        queue->fd_count = one_each ? 1 : ours.count;
        memcpy(queue->fds, ours.fds + (one_each ? i : 0), queue->fd_count * sizeof queue->fds[0]);
    }
}

void dpdk_sockets_clear_errors(const struct dpdk_queue *queue)
{
    for (uint32_t i = 0; i < queue->fd_count; i++) {
        int reason;
        socklen_t length = sizeof reason;
        (void)getsockopt(queue->fds[i], SOL_SOCKET, SO_ERROR, &reason, &length);
    }
}
