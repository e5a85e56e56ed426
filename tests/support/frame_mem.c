/* SPDX-License-Identifier: MIT */
#include "support/frame_mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/headers.h"

/* Received ones are allocated to the byte, so that a sanitizer sees every read behind the frame's end. */
struct mem_frame {
    struct mem_frame *prev, *next;
    uint32_t length, flags;
    uint8_t data[];
};

struct mem_frame_queue {
    struct frame_queue queue;
    struct mem_frame *arrived;   /* under the switch's lock */
    struct mem_frame *unflushed; /* the queue's thread's */
    uint32_t lent;               /* buffers the user has: received and to transmit */
};

struct mem_device {
    struct frame_device device;
    struct mem_device *prev, *next;
    struct frame_mem_switch *network;
    struct mem_frame_queue *queues;
    frame_mem_rss *rss;
    uint32_t receive_flags;
    bool starved;
    atomic_bool link_up;
};

struct frame_mem_switch {
    pthread_mutex_t lock;
    struct mem_device *devices;
    frame_mem_filter *filter;
    void *filter_arg;
};

static struct mem_frame_queue *queue_of(struct frame_queue *queue)
{
    return (struct mem_frame_queue *)(void *)((char *)queue - offsetof(struct mem_frame_queue, queue));
}

static struct mem_device *device_of(const struct frame_device *device)
{
    return (struct mem_device *)(uintptr_t)((const char *)device - offsetof(struct mem_device, device));
}

static struct mem_frame *frame_new(uint32_t capacity)
{
    struct mem_frame *frame = malloc(sizeof *frame + capacity);
    assert(frame != NULL);
    return frame;
}

/* ---- The switch ---- */

static void arrive(struct mem_device *device, uint32_t queue, const uint8_t *data, uint32_t length, uint32_t flags)
{
    struct mem_frame *copy = frame_new(length);
    copy->length = length;
    copy->flags = flags;
    memcpy(copy->data, data, length);
    assert(queue < device->device.queue_count);
    DL_APPEND(device->queues[queue].arrived, copy);
}

static void forward(struct mem_device *from, struct frame *frame)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct frame_mem_switch *network = from->network;
    struct mem_device *to;
    bool to_all = memcmp(frame->data, broadcast, 6) == 0;
    if (network->filter != NULL && !network->filter(network->filter_arg, &from->device, frame))
        return;
    DL_FOREACH (network->devices, to) {
        if (to != from && atomic_load(&to->link_up) && (to_all || memcmp(frame->data, to->device.mac, 6) == 0))
            arrive(to, to->rss != NULL ? to->rss(&to->device, frame) : 0, frame->data, frame->length,
                   to->receive_flags);
    }
}

/* What a device does that was asked for checksums. */
static void complete_checksums(struct mem_frame *frame)
{
    uint8_t *ip = frame->data + ETHERNET_BYTES, *udp = ip + IPV4_BYTES;
    struct ipv4_header header;
    if ((frame->flags & (FRAME_IP_CHECKSUM_PLEASE | FRAME_UDP_CHECKSUM_PLEASE)) == 0)
        return;
    int decoded = ipv4_decode(ip, frame->length - ETHERNET_BYTES, &header);
    assert(decoded == IPV4_OK);
    if (frame->flags & FRAME_IP_CHECKSUM_PLEASE) {
        assert(get_u16(ip + 10) == 0);
        put_u16(ip + 10, (uint16_t)~checksum_add(0, ip, IPV4_BYTES));
    }
    if (frame->flags & FRAME_UDP_CHECKSUM_PLEASE)
        put_u16(udp + 6, (uint16_t)~checksum_add(0, udp, header.length - IPV4_BYTES));
}

struct frame_mem_switch *frame_mem_switch_new(void)
{
    struct frame_mem_switch *network = calloc(1, sizeof *network);
    assert(network != NULL);
    pthread_mutex_init(&network->lock, NULL);
    return network;
}

void frame_mem_switch_free(struct frame_mem_switch *network)
{
    assert(network->devices == NULL);
    pthread_mutex_destroy(&network->lock);
    free(network);
}

void frame_mem_set_filter(struct frame_mem_switch *network, frame_mem_filter *filter, void *arg)
{
    network->filter = filter;
    network->filter_arg = arg;
}

/* ---- The device's operations ---- */

static uint32_t mem_receive(struct frame_queue *queue, struct frame *frames, uint32_t max)
{
    struct mem_frame_queue *own = queue_of(queue);
    struct mem_device *device = device_of(queue->device);
    uint32_t count = 0;
    pthread_mutex_lock(&device->network->lock);
    while (count < max && own->arrived != NULL) {
        struct mem_frame *frame = own->arrived;
        DL_DELETE(own->arrived, frame);
        frames[count++] =
            (struct frame){.data = frame->data, .length = frame->length, .flags = frame->flags, .priv = frame};
    }
    pthread_mutex_unlock(&device->network->lock);
    own->lent += count;
    return count;
}

static void mem_receive_done(struct frame_queue *queue, struct frame *frames, uint32_t count)
{
    struct mem_frame_queue *own = queue_of(queue);
    assert(own->lent >= count);
    own->lent -= count;
    for (uint32_t i = 0; i < count; i++)
        free(frames[i].priv);
}

static bool mem_transmit_buffer(struct frame_queue *queue, struct frame *frame)
{
    if (device_of(queue->device)->starved)
        return false;
    uint32_t capacity = ETHERNET_BYTES + queue->device->mtu;
    struct mem_frame *buffer = frame_new(capacity);
    *frame = (struct frame){.data = buffer->data, .capacity = capacity, .priv = buffer};
    queue_of(queue)->lent++;
    return true;
}

static void mem_transmit(struct frame_queue *queue, struct frame *frame)
{
    struct mem_frame_queue *own = queue_of(queue);
    struct mem_frame *buffer = frame->priv;
    assert(frame->data == buffer->data && frame->length <= ETHERNET_BYTES + queue->device->mtu && frame->length >= 42);
    assert((frame->flags & ~queue->device->transmit_flags) == 0);
    assert(memcmp(frame->data + 6, queue->device->mac, 6) == 0);
    buffer->length = frame->length;
    buffer->flags = frame->flags;
    complete_checksums(buffer);
    DL_APPEND(own->unflushed, buffer);
    own->lent--;
}

static void mem_transmit_cancel(struct frame_queue *queue, struct frame *frame)
{
    queue_of(queue)->lent--;
    free(frame->priv);
}

static void mem_flush(struct frame_queue *queue)
{
    struct mem_frame_queue *own = queue_of(queue);
    struct mem_device *device = device_of(queue->device);
    struct mem_frame *buffer, *next;
    uint32_t stuck = 0;
    pthread_mutex_lock(&device->network->lock);
    DL_FOREACH_SAFE (own->unflushed, buffer, next) {
        struct frame frame = {.data = buffer->data, .length = buffer->length};
        bool up = atomic_load(&device->link_up);
        if (!up && stuck++ < FRAME_MEM_RING)
            continue;
        if (up)
            forward(device, &frame);
        else
            queue->counters.transmit_dropped++;
        DL_DELETE(own->unflushed, buffer);
        free(buffer);
    }
    pthread_mutex_unlock(&device->network->lock);
}

static uint32_t mem_fds(struct frame_queue *queue, int *fds, uint32_t max)
{
    (void)queue;
    (void)fds;
    (void)max;
    return 0;
}

static bool mem_link_up(const struct frame_device *device)
{
    return atomic_load(&device_of(device)->link_up);
}

static void queue_free(struct mem_frame_queue *queue)
{
    struct mem_frame *frame, *next;
    assert(queue->lent == 0);
    DL_FOREACH_SAFE (queue->arrived, frame, next)
        free(frame);
    DL_FOREACH_SAFE (queue->unflushed, frame, next)
        free(frame);
}

static void mem_close(struct frame_device *device)
{
    struct mem_device *own = device_of(device);
    DL_DELETE(own->network->devices, own);
    for (uint32_t i = 0; i < device->queue_count; i++)
        queue_free(&own->queues[i]);
    free(own->queues);
    free(device->queues);
    free(own);
}

static const struct frame_ops mem_ops = {
    .name = "frame_mem",
    .receive = mem_receive,
    .receive_done = mem_receive_done,
    .transmit_buffer = mem_transmit_buffer,
    .transmit = mem_transmit,
    .transmit_cancel = mem_transmit_cancel,
    .flush = mem_flush,
    .fds = mem_fds,
    .link_up = mem_link_up,
    .close = mem_close,
};

/* ---- For tests ---- */

struct frame_device *frame_mem_open(struct frame_mem_switch *network, const uint8_t mac[6], uint32_t mtu,
                                    uint32_t queues, uint32_t transmit_flags, uint32_t receive_flags)
{
    struct mem_device *own = calloc(1, sizeof *own);
    assert(own != NULL && mtu <= FRAME_MEM_MTU_MAX);
    own->device =
        (struct frame_device){.ops = &mem_ops, .mtu = mtu, .transmit_flags = transmit_flags, .queue_count = queues};
    memcpy(own->device.mac, mac, 6);
    own->network = network;
    own->receive_flags = receive_flags;
    atomic_init(&own->link_up, true);
    own->queues = calloc(queues, sizeof *own->queues);
    own->device.queues = calloc(queues, sizeof(struct frame_queue *));
    assert(own->queues != NULL && own->device.queues != NULL);
    for (uint32_t i = 0; i < queues; i++) {
        own->queues[i].queue = (struct frame_queue){.ops = &mem_ops, .device = &own->device, .index = i};
        own->device.queues[i] = &own->queues[i].queue;
    }
    DL_APPEND(network->devices, own);
    return &own->device;
}

void frame_mem_set_rss(struct frame_device *device, frame_mem_rss *rss)
{
    device_of(device)->rss = rss;
}

void frame_mem_set_link(struct frame_device *device, bool up)
{
    atomic_store(&device_of(device)->link_up, up);
}

void frame_mem_set_mac(struct frame_device *device, const uint8_t mac[6])
{
    memcpy(device->mac, mac, 6);
}

void frame_mem_set_starved(struct frame_device *device, bool starved)
{
    device_of(device)->starved = starved;
}

void frame_mem_inject(struct frame_device *device, uint32_t queue, const uint8_t *data, uint32_t length, uint32_t flags)
{
    struct mem_device *own = device_of(device);
    pthread_mutex_lock(&own->network->lock);
    arrive(own, queue, data, length, flags);
    pthread_mutex_unlock(&own->network->lock);
}
