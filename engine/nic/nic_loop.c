/* SPDX-License-Identifier: MIT */
#include "nic/nic.h"

#include <stdlib.h>

#include "wire/wire.h"

enum { LOOP_BUFFERS = 256 };

/*
 * Every buffer is in exactly one place: in `free` (a stack, so that few and warm buffers are used), in `queue` (a
 * ring, in the order of transmission), or with the worker. free_count + queued + with_worker == LOOP_BUFFERS.
 */
struct loop_packet {
    uint8_t *data;
    uint32_t length;
    struct endpoint from, to;
};

struct loop {
    struct nic nic;
    struct nic_queue queue;
    struct nic_queue *queues[1];
    uint8_t *free[LOOP_BUFFERS];
    struct loop_packet ring[LOOP_BUFFERS];
    uint32_t free_count;
    uint32_t head, tail; /* free-running; tail - head packets are queued */
    uint8_t buffers[LOOP_BUFFERS][WIRE_PACKET_MAX];
};

static struct loop *loop_of(struct nic_queue *queue)
{
    return (struct loop *)(void *)((char *)queue - offsetof(struct loop, queue));
}

static uint32_t loop_receive(struct nic_queue *queue, struct nic_packet *packets, uint32_t max)
{
    struct loop *loop = loop_of(queue);
    uint32_t count = 0;
    for (; count < max && loop->head != loop->tail; count++) {
        const struct loop_packet *from = &loop->ring[loop->head++ % LOOP_BUFFERS];
        packets[count] = (struct nic_packet){
            .data = from->data,
            .length = from->length,
            .capacity = WIRE_PACKET_MAX,
            .local = from->to,
            .remote = from->from,
        };
        queue->counters.bytes_received += from->length;
    }
    queue->counters.receive_calls++;
    queue->counters.packets_received += count;
    return count;
}

static void loop_receive_done(struct nic_queue *queue, struct nic_packet *packets, uint32_t count)
{
    struct loop *loop = loop_of(queue);
    for (uint32_t i = 0; i < count; i++)
        loop->free[loop->free_count++] = packets[i].data;
}

static bool loop_transmit_buffer(struct nic_queue *queue, struct nic_packet *packet)
{
    struct loop *loop = loop_of(queue);
    if (loop->free_count == 0)
        return false;
    *packet = (struct nic_packet){.data = loop->free[--loop->free_count], .capacity = WIRE_PACKET_MAX};
    return true;
}

static void loop_transmit(struct nic_queue *queue, struct nic_packet *packet)
{
    struct loop *loop = loop_of(queue);
    loop->ring[loop->tail++ % LOOP_BUFFERS] = (struct loop_packet){
        .data = packet->data, .length = packet->length, .from = packet->local, .to = packet->remote};
    queue->counters.packets_sent++;
    queue->counters.bytes_sent += packet->length;
}

static void loop_transmit_cancel(struct nic_queue *queue, struct nic_packet *packet)
{
    loop_receive_done(queue, packet, 1);
}

static void loop_flush(struct nic_queue *queue)
{
    queue->counters.transmit_calls++;
}

static bool loop_notice(struct nic_queue *queue, struct nic_notice *notice)
{
    (void)queue;
    (void)notice;
    return false;
}

static uint32_t loop_fds(struct nic_queue *queue, int *fds, uint32_t max)
{
    (void)queue;
    (void)fds;
    (void)max;
    return 0;
}

static uint32_t loop_max_payload(struct nic_queue *queue, const struct endpoint *local, const struct endpoint *remote)
{
    (void)queue;
    (void)local;
    (void)remote;
    return WIRE_PACKET_MAX;
}

static void loop_close(struct nic *nic)
{
    if (nic != NULL)
        free(loop_of(nic->queues[0]));
}

static const struct nic_ops loop_ops = {
    .name = "loop",
    .receive = loop_receive,
    .receive_done = loop_receive_done,
    .transmit_buffer = loop_transmit_buffer,
    .transmit = loop_transmit,
    .transmit_cancel = loop_transmit_cancel,
    .flush = loop_flush,
    .notice = loop_notice,
    .fds = loop_fds,
    .max_payload = loop_max_payload,
    .close = loop_close,
};

struct nic *nic_loop_open(void)
{
    struct loop *loop = malloc(sizeof *loop);
    if (loop == NULL)
        return NULL;
    loop->queue = (struct nic_queue){.ops = &loop_ops, .nic = &loop->nic};
    loop->queues[0] = &loop->queue;
    loop->nic = (struct nic){.ops = &loop_ops, .queue_count = 1, .queues = loop->queues};
    loop->head = loop->tail = 0;
    for (loop->free_count = 0; loop->free_count < LOOP_BUFFERS; loop->free_count++)
        loop->free[loop->free_count] = loop->buffers[loop->free_count];
    return &loop->nic;
}
