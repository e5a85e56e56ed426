/* SPDX-License-Identifier: MIT */
#include "nic/nic_mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "base/siphash.h"

enum { LINKS_MAX = 1024 };

/* Allocated to the byte, so that a sanitizer sees every read behind the packet's end. */
struct mem_packet {
    struct mem_packet *next;
    uint64_t arrival_ns;
    uint64_t sequence; /* decides between equal arrivals */
    struct endpoint from, to;
    uint32_t length;
    uint8_t data[];
};

struct packet_fifo {
    struct mem_packet *head, **tail;
};

struct link {
    struct endpoint from, to;
    struct nic_mem_impairments impairments;
    uint64_t last_arrival_ns; /* of the packets that keep their order */
};

struct mem_queue {
    struct nic_queue queue;
    struct packet_fifo arrived;
    struct packet_fifo unflushed;
    bool has_notice;
    struct nic_notice notice;
};

struct mem_nic {
    struct nic nic;
    struct mem_nic *next;
    struct nic_mem_network *network;
    struct endpoint *addresses;
    uint32_t address_count;
    uint32_t max_payload;
    uint16_t udp_port;
    struct mem_queue *queues;
};

struct nic_mem_network {
    struct prng prng;
    uint64_t now_ns;
    uint64_t sequence;
    struct mem_packet **heap; /* in flight, the first to arrive at [0] */
    uint32_t in_flight;
    uint32_t packets;         /* all that exist */
    uint32_t max_packets;
    struct nic_mem_impairments defaults; /* of links not made yet */
    struct link *links;
    uint32_t link_count;
    struct mem_nic *nics;
    uint64_t hash_key; /* 0: none */
    nic_mem_tap *tap;
    void *tap_arg;
    struct nic_mem_counters counters;
};

/* ---- Packets ---- */

static struct mem_packet *packet_new(struct nic_mem_network *network, uint32_t capacity)
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

static void packet_free(struct nic_mem_network *network, struct mem_packet *packet)
{
    network->packets--;
    free(packet);
}

static void fifo_init(struct packet_fifo *fifo)
{
    fifo->head = NULL;
    fifo->tail = &fifo->head;
}

static void fifo_push(struct packet_fifo *fifo, struct mem_packet *packet)
{
    packet->next = NULL;
    *fifo->tail = packet;
    fifo->tail = &packet->next;
}

static struct mem_packet *fifo_pop(struct packet_fifo *fifo)
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

/* ---- Links ---- */

static bool same_ip(const struct endpoint *a, const struct endpoint *b)
{
    return memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* Returns NULL if there are too many; packets over such links are lost. */
static struct link *link_find(struct nic_mem_network *network, const struct endpoint *from,
                              const struct endpoint *to)
{
    for (uint32_t i = 0; i < network->link_count; i++) {
        struct link *link = &network->links[i];
        if (same_ip(&link->from, from) && same_ip(&link->to, to)) {
            return link;
        }
    }
    if (network->link_count == LINKS_MAX) {
        return NULL;
    }
    struct link *link = &network->links[network->link_count++];
    *link = (struct link){.from = *from, .to = *to, .impairments = network->defaults};
    return link;
}

static void corrupt(struct nic_mem_network *network, struct mem_packet *packet)
{
    if (packet->length == 0) {
        return;
    }
    network->counters.corrupted++;
    for (uint64_t flips = prng_between(&network->prng, 1, 8); flips > 0; flips--) {
        uint64_t bit = prng_below(&network->prng, (uint64_t)packet->length * 8);
        packet->data[bit / 8] = (uint8_t)(packet->data[bit / 8] ^ (1u << (bit % 8)));
    }
}

static void put_in_flight(struct nic_mem_network *network, struct link *link,
                          struct mem_packet *packet)
{
    const struct nic_mem_impairments *impairments = &link->impairments;
    packet->arrival_ns = network->now_ns + impairments->delay_ns +
                         prng_between(&network->prng, 0, impairments->jitter_ns);
    packet->sequence = network->sequence++;
    if (prng_chance(&network->prng, impairments->reorder_ppm)) {
        network->counters.reordered++;
        packet->arrival_ns += prng_between(&network->prng, 0, impairments->reorder_ns);
    } else {
        if (packet->arrival_ns < link->last_arrival_ns) {
            packet->arrival_ns = link->last_arrival_ns;
        }
        link->last_arrival_ns = packet->arrival_ns;
    }
    if (prng_chance(&network->prng, impairments->corrupt_ppm)) {
        corrupt(network, packet);
    }
    heap_push(network, packet);
}

static void repeat(struct nic_mem_network *network, struct link *link,
                   const struct mem_packet *packet)
{
    struct mem_packet *copy = packet_new(network, packet->length);
    if (!copy) {
        network->counters.overflowed++;
        return;
    }
    memcpy(copy, packet, sizeof *packet + packet->length);
    network->counters.repeated++;
    put_in_flight(network, link, copy);
}

/* Puts a packet on its link. Returns false, and the length that would have passed, if it is too long. */
static bool network_send(struct nic_mem_network *network, struct mem_packet *packet,
                         uint32_t *max_payload)
{
    network->counters.sent++;
    if (network->tap) {
        struct nic_packet view = {.data = packet->data, .length = packet->length,
                                  .local = packet->from, .remote = packet->to};
        network->tap(network->tap_arg, network->now_ns, &view);
    }
    struct link *link = link_find(network, &packet->from, &packet->to);
    if (link && link->impairments.max_payload != 0 &&
        packet->length > link->impairments.max_payload) {
        *max_payload = link->impairments.max_payload;
        network->counters.too_long++;
        packet_free(network, packet);
        return false;
    }
    if (!link || link->impairments.partitioned ||
        prng_chance(&network->prng, link->impairments.loss_ppm)) {
        network->counters.lost++;
        packet_free(network, packet);
        return true;
    }
    if (prng_chance(&network->prng, link->impairments.repeat_ppm)) {
        repeat(network, link, packet);
    }
    put_in_flight(network, link, packet);
    return true;
}

/* ---- struct nic_ops ---- */

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
        packet_free(network_of(queue), packets[i].priv);
    }
}

static bool mem_transmit_buffer(struct nic_queue *queue, struct nic_packet *packet)
{
    struct mem_packet *buffer = packet_new(network_of(queue), NIC_MEM_PAYLOAD_MAX);
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
    packet_free(network_of(queue), packet->priv);
}

static void mem_flush(struct nic_queue *queue)
{
    struct mem_queue *self = (struct mem_queue *)queue;
    const struct mem_nic *nic = (const struct mem_nic *)queue->nic;
    struct mem_packet *packet;
    while ((packet = fifo_pop(&self->unflushed))) {
        queue->counters.packets_sent++;
        queue->counters.bytes_sent += packet->length;
        struct nic_notice notice = {.kind = NIC_TOO_LONG, .local = packet->from,
                                    .remote = packet->to, .max_payload = nic->max_payload};
        bool fits = packet->length <= nic->max_payload;
        if (!fits) {
            nic->network->counters.too_long++;
            packet_free(nic->network, packet);
        } else {
            fits = network_send(nic->network, packet, &notice.max_payload);
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
            packet_free(self->network, packet);
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
    if (!network->heap || !network->links) {
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
        packet_free(network, heap_pop(network));
    }
    free(network->heap);
    free(network->links);
    free(network);
}

bool nic_mem_impair(struct nic_mem_network *network, const struct endpoint *from,
                    const struct endpoint *to, const struct nic_mem_impairments *impairments)
{
    struct link *link = link_find(network, from, to);
    if (link) {
        link->impairments = *impairments;
    }
    return link != NULL;
}

void nic_mem_impair_all(struct nic_mem_network *network,
                        const struct nic_mem_impairments *impairments)
{
    network->defaults = *impairments;
    for (uint32_t i = 0; i < network->link_count; i++) {
        network->links[i].impairments = *impairments;
    }
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
            packet_free(network, packet);
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
    struct mem_packet *packet = packet_new(network, length);
    if (!packet) {
        network->counters.overflowed++;
        return;
    }
    packet->from = *from;
    packet->to = *to;
    packet->length = length;
    memcpy(packet->data, data, length);
    uint32_t max_payload;
    network_send(network, packet, &max_payload);
}

void nic_mem_set_tap(struct nic_mem_network *network, nic_mem_tap *tap, void *arg)
{
    network->tap = tap;
    network->tap_arg = arg;
}

const struct nic_mem_counters *nic_mem_counters(const struct nic_mem_network *network)
{
    return &network->counters;
}
