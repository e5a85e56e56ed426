/* SPDX-License-Identifier: MIT */
/* The network in memory: packets under way, its clock, where they arrive. */
#include <assert.h>
#include <stdlib.h>

#include "base/siphash.h"
#include "nic/nic_mem_internal.h"

/* ---- Packets ---- */

struct mem_packet *mem_packet_new(struct nic_mem_network *network, uint32_t capacity)
{
    if (network->packets == network->max_packets) {
        return NULL;
    }
    struct mem_packet *packet = malloc(sizeof *packet + capacity);
    if (packet) {
        network->packets++;
    }
    return packet;
}

void mem_packet_free(struct nic_mem_network *network, struct mem_packet *packet)
{
    network->packets--;
    free(packet);
}

void fifo_init(struct packet_fifo *fifo)
{
    fifo->head = NULL;
    fifo->tail = &fifo->head;
}

void fifo_push(struct packet_fifo *fifo, struct mem_packet *packet)
{
    packet->next = NULL;
    *fifo->tail = packet;
    fifo->tail = &packet->next;
}

struct mem_packet *fifo_pop(struct packet_fifo *fifo)
{
    struct mem_packet *packet = fifo->head;
    if (packet) {
        fifo->head = packet->next;
        if (!fifo->head) {
            fifo->tail = &fifo->head;
        }
    }
    return packet;
}

static bool arrives_before(const struct mem_packet *a, const struct mem_packet *b)
{
    return a->arrival_ns != b->arrival_ns ? a->arrival_ns < b->arrival_ns
                                          : a->sequence < b->sequence;
}

static void heap_push(struct nic_mem_network *network, struct mem_packet *packet)
{
    uint32_t at = network->in_flight++;
    while (at > 0 && arrives_before(packet, network->heap[(at - 1) / 2])) {
        network->heap[at] = network->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    network->heap[at] = packet;
}

static struct mem_packet *heap_pop(struct nic_mem_network *network)
{
    struct mem_packet **heap = network->heap;
    struct mem_packet *first = heap[0];
    struct mem_packet *last = heap[--network->in_flight];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= network->in_flight) {
            break;
        }
        if (child + 1 < network->in_flight && arrives_before(heap[child + 1], heap[child])) {
            child++;
        }
        if (!arrives_before(heap[child], last)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return first;
}

void mem_in_flight(struct nic_mem_network *network, struct mem_packet *packet)
{
    packet->sequence = network->sequence++;
    heap_push(network, packet);
}

/* ---- The network ---- */

struct nic_mem_network *nic_mem_network_new(uint64_t seed, uint32_t max_packets)
{
    struct nic_mem_network *network = calloc(1, sizeof *network);
    if (!network) {
        return NULL;
    }
    prng_init(&network->prng, seed);
    network->max_packets = max_packets;
    network->heap = calloc(max_packets, sizeof(struct mem_packet *));
    network->links = calloc(LINKS_MAX, sizeof *network->links);
    network->link_slots = calloc(LINK_SLOTS, sizeof *network->link_slots);
    network->ports = calloc(PORTS_MAX, sizeof *network->ports);
    if (!network->heap || !network->links || !network->link_slots || !network->ports) {
        nic_mem_network_free(network);
        return NULL;
    }
    return network;
}

void nic_mem_network_free(struct nic_mem_network *network)
{
    if (!network) {
        return;
    }
    assert(!network->nics);
    while (network->in_flight > 0) {
        mem_packet_free(network, heap_pop(network));
    }
    for (uint32_t i = 0; i < network->port_count; i++) {
        free(network->ports[i].departures);
    }
    free(network->ports);
    free(network->heap);
    free(network->links);
    free(network->link_slots);
    free(network);
}

void nic_mem_set_hash(struct nic_mem_network *network, uint64_t key)
{
    network->hash_key = key;
}

static uint32_t hash_of(const struct nic_mem_network *network, const struct mem_packet *packet)
{
    const struct siphash_key key = {.k0 = network->hash_key};
    const struct endpoint ends[2] = {packet->from, packet->to};
    return (uint32_t)siphash(&key, ends, sizeof ends);
}

static struct mem_queue *queue_for(struct nic_mem_network *network, const struct mem_packet *packet)
{
    for (struct mem_nic *nic = network->nics; nic; nic = nic->next) {
        uint32_t index = (uint32_t)packet->to.port - nic->udp_port;
        for (uint32_t i = 0; i < nic->address_count && index < nic->nic.queue_count; i++) {
            if (same_ip(&nic->addresses[i], &packet->to)) {
                if (network->hash_key != 0) {
                    index = hash_of(network, packet) % nic->nic.queue_count;
                }
                return &nic->queues[index];
            }
        }
    }
    return NULL;
}

void nic_mem_advance(struct nic_mem_network *network, uint64_t now_ns)
{
    assert(now_ns >= network->now_ns);
    network->now_ns = now_ns;
    while (network->in_flight > 0 && network->heap[0]->arrival_ns <= now_ns) {
        struct mem_packet *packet = heap_pop(network);
        struct mem_queue *queue = queue_for(network, packet);
        if (queue) {
            network->counters.arrived++;
            fifo_push(&queue->arrived, packet);
        } else {
            network->counters.unaddressed++;
            mem_packet_free(network, packet);
        }
    }
}

uint64_t nic_mem_next_arrival(const struct nic_mem_network *network)
{
    return network->in_flight > 0 ? network->heap[0]->arrival_ns : UINT64_MAX;
}

void nic_mem_inject(struct nic_mem_network *network, const struct endpoint *from,
                    const struct endpoint *to, const uint8_t *data, uint32_t length)
{
    struct mem_packet *packet = mem_packet_new(network, length);
    if (!packet) {
        network->counters.overflowed++;
        return;
    }
    packet->from = *from;
    packet->to = *to;
    packet->length = length;
    memcpy(packet->data, data, length);
    uint32_t max_payload;
    network_send(network, packet, false, &max_payload);
}

void nic_mem_set_tap(struct nic_mem_network *network, nic_mem_tap *tap, void *arg)
{
    network->tap = tap;
    network->tap_arg = arg;
}

void nic_mem_set_queue_tap(struct nic_mem_network *network, nic_mem_queue_tap *tap, void *arg)
{
    network->queue_tap = tap;
    network->queue_tap_arg = arg;
}

const struct nic_mem_counters *nic_mem_counters(const struct nic_mem_network *network)
{
    return &network->counters;
}
