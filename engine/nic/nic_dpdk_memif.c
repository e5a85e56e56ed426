/* SPDX-License-Identifier: MIT */
/*
 * memif's driver takes the link's memory away in DPDK's event thread as soon as the other side is gone, be a worker in the middle of a burst
 * or not. It has marked the link as down before, so a burst that begins later does not touch the memory: those that have begun are
 * waited for. Linked statically (.cmake/dpdk.cmake) the driver unmaps by the function here; in DPDK's shared libraries it cannot be reached.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "nic/nic_dpdk_internal.h"

enum {
    WAITS_MAX = 100000,
    WAIT_NS = 10000
}; /* a second: a worker that was stopped does not hold up the event thread for ever */

static _Atomic(struct dpdk_device *) guarded;
static _Thread_local bool bursting;

void dpdk_memif_guard(struct dpdk_device *device)
{
    atomic_store(&guarded, device);
}

void dpdk_memif_burst_begin(struct dpdk_queue *queue)
{
    bursting = true;
    atomic_store(&queue->bursting, true); /* seq_cst: before the driver's look at the state of the link */
}

void dpdk_memif_burst_end(struct dpdk_queue *queue)
{
    atomic_store_explicit(&queue->bursting, false, memory_order_release);
    bursting = false;
}

static void wait_for_bursts(struct dpdk_device *device)
{
    const struct timespec pause = {.tv_nsec = WAIT_NS};
    atomic_thread_fence(memory_order_seq_cst); /* after the driver's mark */
    for (uint32_t i = 0; i < device->device.queue_count; i++) {
        struct dpdk_queue *queue = dpdk_queue_of(device->queues[i]);
        for (uint32_t waits = 0; waits < WAITS_MAX && atomic_load(&queue->bursting); waits++)
            (void)nanosleep(&pause, NULL);
    }
}

int __wrap_munmap(void *address, size_t bytes);
int __wrap_munmap(void *address, size_t bytes)
{
    struct dpdk_device *device = atomic_load(&guarded);
    if (device != NULL && !bursting)
        wait_for_bursts(device);
    return (int)syscall(SYS_munmap, address, bytes);
}
