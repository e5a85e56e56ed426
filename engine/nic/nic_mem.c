/* SPDX-License-Identifier: MIT */
/* Queues of nics in memory. */
#include <assert.h>
#include <stdlib.h>

#include "nic/nic_mem_internal.h"

static struct nic_mem_network *network_of(const struct nic_queue *queue)
{
    return ((struct mem_nic *)queue->nic)->network;
}

static uint32_t mem_receive(struct nic_queue *queue, struct nic_packet *packets, uint32_t max)
{
    struct mem_queue *self = (struct mem_queue *)queue;
    uint32_t count = 0;
    while (count < max && self->arrived.head) {
        struct mem_packet *packet = fifo_pop(&self->arrived);
        packets[count++] = (struct nic_packet){
            .data = packet->data,
            .length = packet->length,
            .local = packet->to,
            .remote = packet->from,
            .priv = packet,
        };
        queue->counters.packets_received++;
        queue->counters.bytes_received += packet->length;
    }
    queue->counters.receive_calls++;
    return count;
}

static void mem_receive_done(struct nic_queue *queue, struct nic_packet *packets, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        mem_packet_free(network_of(queue), packets[i].priv);
    }
}

static bool mem_transmit_buffer(struct nic_queue *queue, struct nic_packet *packet)
{
    struct mem_packet *buffer = mem_packet_new(network_of(queue), NIC_MEM_PAYLOAD_MAX);
    if (!buffer) {
        return false;
    }
    *packet = (struct nic_packet){
        .data = buffer->data, .capacity = NIC_MEM_PAYLOAD_MAX, .priv = buffer};
    return true;
}

static void mem_transmit(struct nic_queue *queue, struct nic_packet *packet)
{
    assert(packet->length <= NIC_MEM_PAYLOAD_MAX);
    struct mem_packet *buffer = packet->priv;
    struct mem_packet *exact = realloc(buffer, sizeof *buffer + packet->length);
    if (exact) {
        buffer = exact;
    }
    buffer->from = packet->local;
    buffer->to = packet->remote;
    buffer->length = packet->length;
    fifo_push(&((struct mem_queue *)queue)->unflushed, buffer);
}

static void mem_transmit_cancel(struct nic_queue *queue, struct nic_packet *packet)
{
    mem_packet_free(network_of(queue), packet->priv);
}

/* How many of the packets to be flushed are not lost as the tail of what is sent at once. */
static uint32_t without_tail(struct nic_mem_network *network, const struct packet_fifo *unflushed)
{
    const struct mem_packet *last = NULL;
    uint32_t count = 0;
    for (const struct mem_packet *packet = unflushed->head; packet; packet = packet->next) {
        last = packet;
        count++;
    }
    return last ? count - link_tail_loss(network, last, count) : 0;
}

static void mem_flush(struct nic_queue *queue)
{
    struct mem_queue *self = (struct mem_queue *)queue;
    const struct mem_nic *nic = (const struct mem_nic *)queue->nic;
    struct mem_packet *packet;
    uint32_t kept = without_tail(nic->network, &self->unflushed);
    while ((packet = fifo_pop(&self->unflushed))) {
        queue->counters.packets_sent++;
        queue->counters.bytes_sent += packet->length;
        const bool doomed = kept == 0;
        kept -= !doomed;
        struct nic_notice notice = {.kind = NIC_TOO_LONG, .local = packet->from,
                                    .remote = packet->to, .max_payload = nic->max_payload};
        bool fits = packet->length <= nic->max_payload;
        if (!fits) {
            nic->network->counters.too_long++;
            mem_packet_free(nic->network, packet);
        } else {
            fits = network_send(nic->network, packet, doomed, &notice.max_payload);
        }
        if (!fits) {
            queue->counters.transmit_dropped++;
            self->notice = notice;
            self->has_notice = true;
        }
    }
    queue->counters.transmit_calls++;
}

static bool mem_notice(struct nic_queue *queue, struct nic_notice *notice)
{
    struct mem_queue *self = (struct mem_queue *)queue;
    if (!self->has_notice) {
        return false;
    }
    *notice = self->notice;
    self->has_notice = false;
    return true;
}

static uint32_t mem_fds(struct nic_queue *queue, int *fds, uint32_t max)
{
    (void)queue;
    (void)fds;
    (void)max;
    return 0;
}

static uint32_t mem_max_payload(struct nic_queue *queue, const struct endpoint *local,
                                const struct endpoint *remote)
{
    (void)local;
    (void)remote;
    return ((const struct mem_nic *)queue->nic)->max_payload;
}

static void nic_free(struct mem_nic *nic)
{
    free(nic->nic.queues);
    free(nic->queues);
    free(nic->addresses);
    free(nic);
}

static void mem_close(struct nic *nic)
{
    struct mem_nic *self = (struct mem_nic *)nic;
    for (struct mem_nic **at = &self->network->nics; *at; at = &(*at)->next) {
        if (*at == self) {
            *at = self->next;
            break;
        }
    }
    for (uint32_t i = 0; i < nic->queue_count; i++) {
        struct mem_packet *packet;
        while ((packet = fifo_pop(&self->queues[i].arrived)) ||
               (packet = fifo_pop(&self->queues[i].unflushed))) {
            mem_packet_free(self->network, packet);
        }
    }
    nic_free(self);
}

static const struct nic_ops mem_ops = {
    .name = "mem",
    .receive = mem_receive,
    .receive_done = mem_receive_done,
    .transmit_buffer = mem_transmit_buffer,
    .transmit = mem_transmit,
    .transmit_cancel = mem_transmit_cancel,
    .flush = mem_flush,
    .notice = mem_notice,
    .fds = mem_fds,
    .max_payload = mem_max_payload,
    .close = mem_close,
};

struct nic *nic_mem_open(struct nic_mem_network *network, const struct endpoint *addresses,
                         uint32_t address_count, uint16_t udp_port, uint32_t queues,
                         uint32_t max_payload)
{
    assert(max_payload <= NIC_MEM_PAYLOAD_MAX && address_count > 0 && queues > 0);
    struct mem_nic *nic = calloc(1, sizeof *nic);
    if (!nic) {
        return NULL;
    }
    nic->addresses = calloc(address_count, sizeof *addresses);
    nic->queues = calloc(queues, sizeof *nic->queues);
    nic->nic.queues = calloc(queues, sizeof(struct nic_queue *));
    if (!nic->addresses || !nic->queues || !nic->nic.queues) {
        nic_free(nic);
        return NULL;
    }
    memcpy(nic->addresses, addresses, address_count * sizeof *addresses);
    nic->address_count = address_count;
    nic->udp_port = udp_port;
    nic->max_payload = max_payload;
    nic->nic.ops = &mem_ops;
    nic->nic.queue_count = queues;
    for (uint32_t i = 0; i < queues; i++) {
        struct mem_queue *queue = &nic->queues[i];
        queue->queue = (struct nic_queue){.ops = &mem_ops, .nic = &nic->nic, .index = i};
        fifo_init(&queue->arrived);
        fifo_init(&queue->unflushed);
        nic->nic.queues[i] = &queue->queue;
    }
    nic->network = network;
    nic->next = network->nics;
    network->nics = nic;
    return &nic->nic;
}

bool nic_mem_arrived(const struct nic_queue *queue)
{
    return ((const struct mem_queue *)queue)->arrived.head != NULL;
}
