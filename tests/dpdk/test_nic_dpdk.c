/* SPDX-License-Identifier: MIT */
/* ctest-timeout: 120 */
/* Frames over DPDK's devices inside this process: ring (what is sent comes back) and memif (two ports joined by shared memory). */
#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "nic/nic_dpdk_internal.h"

static char error[NIC_ERROR_BYTES];

static struct frame_device *try_open(const char *device, uint32_t queues, uint32_t mtu)
{
    const struct nic_dpdk_config config = {
        .device = device, .queues = queues, .mtu = mtu, .log_level = LOG_LEVEL_WARNING};
    error[0] = '\0';
    return nic_dpdk_module.open(&config, error);
}

static struct frame_device *open_device(const char *device, uint32_t queues, uint32_t mtu)
{
    struct frame_device *opened = try_open(device, queues, mtu);
    cr_assert(opened != NULL, "%s: %s", device, error);
    cr_assert_eq(opened->queue_count, queues);
    return opened;
}

/* A frame of this length whose bytes tell the seed. */
static void fill(uint8_t *data, uint32_t length, uint32_t seed)
{
    for (uint32_t i = 0; i < length; i++)
        data[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

static bool send_frame(struct frame_queue *queue, uint32_t length, uint32_t seed)
{
    struct frame frame;
    if (!queue->ops->transmit_buffer(queue, &frame))
        return false;
    cr_assert_geq(frame.capacity, queue->device->mtu + 14);
    fill(frame.data, length, seed);
    frame.length = length;
    queue->ops->transmit(queue, &frame);
    return true;
}

/* Receives one frame within a second and compares it. */
static bool receive_frame(struct frame_queue *queue, uint32_t length, uint32_t seed)
{
    static uint8_t wanted[16384];
    struct frame frame;
    for (uint64_t end = clock_now_ns() + CLOCK_SECOND_NS; clock_now_ns() < end; sched_yield()) {
        if (queue->ops->receive(queue, &frame, 1) == 0)
            continue;
        fill(wanted, length, seed);
        bool same = frame.length == length && memcmp(frame.data, wanted, length) == 0;
        queue->ops->receive_done(queue, &frame, 1);
        return same;
    }
    return false;
}

static void wait_for_link(struct frame_device *one, struct frame_device *other, bool up)
{
    for (uint64_t end = clock_now_ns() + 5 * CLOCK_SECOND_NS; clock_now_ns() < end; usleep(1000)) {
        struct frame ignored; /* a device that recovers waits for its queues to notice */
        for (uint32_t i = 0; i < one->queue_count; i++)
            cr_assert_eq(one->queues[i]->ops->receive(one->queues[i], &ignored, 1), 0);
        for (uint32_t i = 0; other != NULL && i < other->queue_count; i++)
            cr_assert_eq(other->queues[i]->ops->receive(other->queues[i], &ignored, 1), 0);
        if (one->ops->link_up(one) == up && (other == NULL || other->ops->link_up(other) == up))
            return;
    }
    cr_assert_fail("the link is not %s", up ? "up" : "down");
}

Test(nic_dpdk, open__says_what_is_wrong)
{
    static const struct {
        const char *device;
        uint32_t queues, mtu;
        const char *says;
    } wrong[] = {
        {"eth0", 1, 0, "PCI address"},
        {"0000:ff:1f.7", 1, 0, "no device 0000:ff:1f.7"},
        {"ff:1f.7", 1, 0, "no device 0000:ff:1f.7"},
        {"net_af_packet0", 1, 0, ",iface=NAME"},
        {"net_af_packet0,iface=nosuch0", 1, 0, "no network interface nosuch0"},
        {"net_ring0", 17, 0, "net_ring0 has 16"},
        {"net_nosuch0", 1, 0, "net_nosuch0"},
        {"02:00:00:00:00:01", 1, 0, "no port has the MAC address 02:00:00:00:00:01"},
        {"net_tap0,iface=mntest0", 0, 0, "from 1 to"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert_null(try_open(wrong[i].device, wrong[i].queues, wrong[i].mtu), "%s", wrong[i].device);
        cr_assert(strstr(error, wrong[i].says) != NULL, "\"%s\" does not say \"%s\"", error, wrong[i].says);
        cr_assert_null(strchr(error, '\n'));
    }
}

Test(nic_dpdk, open__leaves_the_thread_as_it_was)
{
    cpu_set_t before, after, one;
    sigset_t signals_before, signals_after;
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    int first = 0;
    while (!CPU_ISSET((size_t)first, &before))
        first++;
    CPU_ZERO(&one);
    CPU_SET((size_t)first, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &signals_before);
    struct frame_device *device = open_device("net_ring0", 1, 0);
    cr_assert_eq(sched_getaffinity(0, sizeof after, &after), 0);
    cr_assert(CPU_EQUAL(&one, &after));
    pthread_sigmask(SIG_SETMASK, NULL, &signals_after);
    for (int i = 1; i < 32; i++)
        cr_assert_eq(sigismember(&signals_before, i), sigismember(&signals_after, i));
    device->ops->close(device);
}

Test(nic_dpdk, ring__frames_come_back_on_their_queue)
{
    struct frame_device *device = open_device("net_ring0", 4, 0);
    int fds[4];
    cr_assert_eq(device->mtu, 1500);
    cr_assert_eq(device->transmit_flags, 0);
    for (uint32_t i = 0; i < 4; i++) {
        struct frame_queue *queue = device->queues[i];
        cr_assert_eq(queue->ops->fds(queue, fds, 4), 0);
        for (uint32_t length = 60; length <= 1514; length += 97)
            cr_assert(send_frame(queue, length, length + i));
        queue->ops->flush(queue);
        for (uint32_t length = 60; length <= 1514; length += 97)
            cr_assert(receive_frame(queue, length, length + i));
        cr_assert_eq(queue->counters.transmit_dropped, 0);
    }
    device->ops->close(device);
}

Test(nic_dpdk, ring__what_the_device_does_not_take_is_dropped_and_counted)
{
    struct frame_device *device = open_device("net_ring0", 1, 0);
    struct frame_queue *queue = device->queues[0];
    uint32_t sent = 0, received = 0, count;
    struct frame frames[NIC_BURST];
    for (; sent < 5000 && send_frame(queue, 64, sent); sent++)
        continue;
    queue->ops->flush(queue);
    while ((count = queue->ops->receive(queue, frames, NIC_BURST)) > 0) {
        queue->ops->receive_done(queue, frames, count);
        received += count;
    }
    cr_assert_gt(received, 0);
    cr_assert_lt(received, 5000);
    cr_assert_eq(received + queue->counters.transmit_dropped, sent);
    for (uint32_t i = 0; i < 5000; i++) { /* all buffers came back */
        cr_assert(send_frame(queue, 64, i));
        queue->ops->flush(queue);
        cr_assert(receive_frame(queue, 64, i));
    }
    device->ops->close(device);
}

Test(nic_dpdk, transmit_cancel__gives_the_buffer_back)
{
    struct frame_device *device = open_device("net_ring0", 1, 0);
    struct frame_queue *queue = device->queues[0];
    for (uint32_t i = 0; i < 100000; i++) {
        struct frame frame;
        cr_assert(queue->ops->transmit_buffer(queue, &frame));
        queue->ops->transmit_cancel(queue, &frame);
    }
    device->ops->close(device);
}

Test(nic_dpdk, reset__is_an_event_and_frames_pass_again)
{
    struct frame_device *device = open_device("net_ring0", 2, 0);
    struct dpdk_device *dpdk = dpdk_device_of(device);
    struct frame_queue *queue = device->queues[1];
    struct frame ignored;
    for (uint32_t round = 0; round < 3; round++) {
        cr_assert(send_frame(queue, 100, round));
        queue->ops->flush(queue);
        cr_assert(receive_frame(queue, 100, round));
        dpdk_event(dpdk->port, RTE_ETH_EVENT_INTR_RESET, dpdk, NULL);
        while (atomic_load(&dpdk->state) == DPDK_RUNNING)
            sched_yield();
        cr_assert_not(device->ops->link_up(device));
        cr_assert(send_frame(queue, 100, 9)); /* lost, and counted */
        queue->ops->flush(queue);
        cr_assert_eq(queue->counters.transmit_dropped, round + 1);
        cr_assert_eq(queue->ops->receive(queue, &ignored, 1), 0);
        wait_for_link(device, NULL, true);
        const uint64_t up = clock_now_ns(); /* the queues go on shortly after */
        while (atomic_load(&dpdk->state) != DPDK_RUNNING && clock_now_ns() - up < 5 * CLOCK_SECOND_NS)
            sched_yield();
        cr_assert_eq(atomic_load(&dpdk->state), DPDK_RUNNING);
    }
    device->ops->close(device);
}

Test(nic_dpdk, removal__is_an_event)
{
    struct frame_device *device = open_device("net_ring0", 1, 0);
    struct dpdk_device *dpdk = dpdk_device_of(device);
    struct frame ignored;
    dpdk_event(dpdk->port, RTE_ETH_EVENT_INTR_RMV, dpdk, NULL);
    cr_assert_not(device->ops->link_up(device));
    cr_assert_eq(device->queues[0]->ops->receive(device->queues[0], &ignored, 1), 0);
    cr_assert(send_frame(device->queues[0], 64, 1));
    device->queues[0]->ops->flush(device->queues[0]);
    cr_assert_eq(device->queues[0]->counters.transmit_dropped, 1);
    device->ops->close(device);
}

static char link_path[64];

static struct frame_device *open_memif(const char *role, uint32_t mtu)
{
    char text[256];
    snprintf(link_path, sizeof link_path, "/tmp/machnet-test-memif-%ld", (long)getpid());
    snprintf(text, sizeof text, "net_memif_%s,role=%s,socket=%s,socket-abstract=no,bsize=9216", role, role, link_path);
    return open_device(text, 1, mtu);
}

static void exchange(struct frame_device *one, struct frame_device *other, uint32_t length)
{
    for (uint32_t i = 0; i < 100; i++) {
        cr_assert(send_frame(one->queues[0], length, i));
        one->queues[0]->ops->flush(one->queues[0]);
        cr_assert(receive_frame(other->queues[0], length, i), "%u bytes, frame %u", length, i);
    }
}

Test(nic_dpdk, memif__passes_jumbo_frames_in_one_piece)
{
    struct frame_device *server = open_memif("server", 9001), *client = open_memif("client", 9001);
    cr_assert_eq(server->mtu, 9001);
    wait_for_link(server, client, true);
    for (uint32_t length = 60; length <= 9015; length += 995) {
        exchange(server, client, length);
        exchange(client, server, length);
    }
    exchange(client, server, 9015);
    client->ops->close(client);
    server->ops->close(server);
}

int __wrap_munmap(void *address, size_t bytes);

static atomic_bool unmapped;

static void *unmap(void *page)
{
    cr_assert_eq(__wrap_munmap(page, 4096), 0);
    atomic_store(&unmapped, true);
    return NULL;
}

Test(nic_dpdk, memif__memory_is_not_unmapped_in_the_middle_of_a_burst)
{
    struct dpdk_queue queue = {.queue = {.index = 0}};
    struct dpdk_device device = {.device = {.queue_count = 1}, .queues = {&queue.queue}};
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t thread;
    dpdk_memif_guard(&device);
    dpdk_memif_burst_begin(&queue);
    cr_assert_eq(pthread_create(&thread, NULL, unmap, page), 0);
    usleep(50000);
    cr_assert_not(atomic_load(&unmapped));
    page[0] = 1;
    dpdk_memif_burst_end(&queue);
    pthread_join(thread, NULL);
    cr_assert(atomic_load(&unmapped));
    dpdk_memif_guard(NULL);
}
