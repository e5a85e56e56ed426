/* SPDX-License-Identifier: MIT */
/* What happens to packets between two nics in memory: links, ports, policers. */
#include <assert.h>
#include <stdlib.h>

#include "base/siphash.h"
#include "nic/nic_mem_internal.h"

#define SECOND_NS UINT64_C(1000000000)

/* ---- Links and ports ---- */

static uint32_t slot_of(const struct endpoint *from, const struct endpoint *to)
{
    uint64_t words[4];
    memcpy(words, from->ip, sizeof from->ip);
    memcpy(words + 2, to->ip, sizeof to->ip);
    uint64_t hash = (words[0] ^ words[1] * 3) + (words[2] ^ words[3] * 3) * 5;
    return (uint32_t)(prng_splitmix(&hash) % LINK_SLOTS);
}

static struct port *port_find(struct nic_mem_network *network, const struct endpoint *to)
{
    for (uint32_t i = 0; i < network->port_count; i++) {
        if (memcmp(network->ports[i].ip, to->ip, sizeof to->ip) == 0) {
            return &network->ports[i];
        }
    }
    return NULL;
}

struct link *link_find(struct nic_mem_network *network, const struct endpoint *from, const struct endpoint *to)
{
    uint32_t slot = slot_of(from, to);
    for (; network->link_slots[slot] != 0; slot = (slot + 1) % LINK_SLOTS) {
        struct link *link = &network->links[network->link_slots[slot] - 1];
        if (same_ip(&link->from, from) && same_ip(&link->to, to)) {
            return link;
        }
    }
    if (network->link_count == LINKS_MAX) {
        return NULL;
    }
    struct link *link = &network->links[network->link_count++];
    network->link_slots[slot] = (uint16_t)network->link_count;
    *link = (struct link){
        .from = *from, .to = *to, .impairments = network->defaults, .port = port_find(network, to)};
    return link;
}

bool nic_mem_impair(struct nic_mem_network *network, const struct endpoint *from, const struct endpoint *to,
                    const struct nic_mem_impairments *impairments)
{
    struct link *link = link_find(network, from, to);
    if (link) {
        link->impairments = *impairments;
    }
    return link != NULL;
}

void nic_mem_impair_all(struct nic_mem_network *network, const struct nic_mem_impairments *impairments)
{
    network->defaults = *impairments;
    for (uint32_t i = 0; i < network->link_count; i++) {
        network->links[i].impairments = *impairments;
    }
}

bool nic_mem_set_port(struct nic_mem_network *network, const struct endpoint *to, const struct nic_mem_port *shape)
{
    assert(shape->bits_per_second > 0 && shape->queue_packets > 0);
    if (port_find(network, to) || network->port_count == PORTS_MAX) {
        return false;
    }
    uint64_t *departures = calloc(shape->queue_packets, sizeof *departures);
    if (!departures) {
        return false;
    }
    struct port *port = &network->ports[network->port_count++];
    *port = (struct port){.shape = *shape, .departures = departures};
    memcpy(port->ip, to->ip, sizeof port->ip);
    for (uint32_t i = 0; i < network->link_count; i++) {
        if (same_ip(&network->links[i].to, to)) {
            network->links[i].port = port;
        }
    }
    return true;
}

/* ---- Fates ---- */

static void drop(struct nic_mem_network *network, struct mem_packet *packet, uint64_t *counter)
{
    (*counter)++;
    mem_packet_free(network, packet);
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

static void tell_queue_tap(struct nic_mem_network *network, struct mem_packet *packet, uint64_t waited_ns)
{
    if (network->queue_tap) {
        struct nic_packet view = {
            .data = packet->data, .length = packet->length, .local = packet->from, .remote = packet->to};
        network->queue_tap(network->queue_tap_arg, network->now_ns, &view, waited_ns);
    }
}

/* Joins the queue of the port and sets *departed_ns, or does not: it is full. */
static bool pass_port(struct nic_mem_network *network, struct port *port, struct mem_packet *packet,
                      uint64_t *departed_ns)
{
    const uint32_t room = port->shape.queue_packets;
    while (port->count > 0 && port->departures[port->head] <= network->now_ns) {
        port->head = (port->head + 1) % room;
        port->count--;
    }
    if (port->count == room) {
        tell_queue_tap(network, packet, UINT64_MAX);
        return false;
    }
    const uint64_t begin = port->free_at_ns > network->now_ns ? port->free_at_ns : network->now_ns;
    const uint64_t bits = (uint64_t)(packet->length + NIC_MEM_FRAME_BYTES) * 8;
    tell_queue_tap(network, packet, begin - network->now_ns);
    port->free_at_ns = begin + bits * SECOND_NS / port->shape.bits_per_second;
    port->departures[(port->head + port->count++) % room] = port->free_at_ns;
    *departed_ns = port->free_at_ns;
    return true;
}

static void put_in_flight(struct nic_mem_network *network, struct link *link, struct mem_packet *packet)
{
    const struct nic_mem_impairments *impairments = &link->impairments;
    uint64_t departed_ns = network->now_ns;
    if (link->port && !pass_port(network, link->port, packet, &departed_ns)) {
        drop(network, packet, &network->counters.queue_full);
        return;
    }
    packet->arrival_ns = departed_ns + impairments->delay_ns + prng_between(&network->prng, 0, impairments->jitter_ns);
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
    mem_in_flight(network, packet);
}

static void repeat(struct nic_mem_network *network, struct link *link, const struct mem_packet *packet)
{
    struct mem_packet *copy = mem_packet_new(network, packet->length);
    if (!copy) {
        network->counters.overflowed++;
        return;
    }
    memcpy(copy, packet, sizeof *packet + packet->length);
    network->counters.repeated++;
    put_in_flight(network, link, copy);
}

/* A token bucket for each UDP tuple: what finds too few tokens is dropped, nothing is delayed. */
static bool policed(struct nic_mem_network *network, const struct link *link, const struct mem_packet *packet)
{
    const struct nic_mem_impairments *impairments = &link->impairments;
    if (impairments->police_bits_per_second == 0) {
        return false;
    }
    const struct siphash_key key = {.k0 = 1};
    const struct endpoint ends[2] = {packet->from, packet->to};
    struct bucket *bucket = &network->buckets[siphash(&key, ends, sizeof ends) % BUCKETS];
    const uint64_t full = (uint64_t)impairments->police_burst_bytes * 8 * SECOND_NS;
    const uint64_t cost = (uint64_t)(packet->length + NIC_MEM_FRAME_BYTES) * 8 * SECOND_NS;
    const uint64_t passed_ns = network->now_ns - bucket->filled_at_ns;
    const bool filled = bucket->filled_at_ns == 0 || passed_ns > full / impairments->police_bits_per_second;
    bucket->tokens = filled ? full : bucket->tokens + passed_ns * impairments->police_bits_per_second;
    bucket->tokens = bucket->tokens < full ? bucket->tokens : full;
    bucket->filled_at_ns = network->now_ns;
    if (bucket->tokens < cost) {
        return true;
    }
    bucket->tokens -= cost;
    return false;
}

/* At random, alone or in a burst. */
static bool lost(struct nic_mem_network *network, struct link *link)
{
    const struct nic_mem_impairments *impairments = &link->impairments;
    if (link->burst_left == 0 && prng_chance(&network->prng, impairments->burst_ppm)) {
        link->burst_left = (uint32_t)prng_between(&network->prng, 1, impairments->burst_packets);
    }
    if (link->burst_left > 0) {
        link->burst_left--;
        return true;
    }
    return prng_chance(&network->prng, impairments->loss_ppm);
}

uint32_t link_tail_loss(struct nic_mem_network *network, const struct mem_packet *last, uint32_t count)
{
    const struct link *link = link_find(network, &last->from, &last->to);
    if (!link || !prng_chance(&network->prng, link->impairments.tail_ppm)) {
        return 0;
    }
    return (uint32_t)prng_between(&network->prng, 1, count < 4 ? count : 4);
}

bool network_send(struct nic_mem_network *network, struct mem_packet *packet, bool doomed, uint32_t *max_payload)
{
    struct nic_mem_counters *counters = &network->counters;
    counters->sent++;
    if (network->tap) {
        struct nic_packet view = {
            .data = packet->data, .length = packet->length, .local = packet->from, .remote = packet->to};
        network->tap(network->tap_arg, network->now_ns, &view);
    }
    struct link *link = link_find(network, &packet->from, &packet->to);
    const struct nic_mem_impairments *impairments = link ? &link->impairments : NULL;
    if (link && impairments->max_payload != 0 && packet->length > impairments->max_payload) {
        *max_payload = impairments->max_payload;
        drop(network, packet, &counters->too_long);
        return false;
    }
    if (link && impairments->black_hole_payload != 0 && packet->length > impairments->black_hole_payload) {
        drop(network, packet, &counters->vanished);
    } else if (link && policed(network, link, packet)) {
        drop(network, packet, &counters->policed);
    } else if (!link || doomed || impairments->partitioned || lost(network, link)) {
        drop(network, packet, &counters->lost);
    } else {
        if (prng_chance(&network->prng, impairments->repeat_ppm)) {
            repeat(network, link, packet);
        }
        put_in_flight(network, link, packet);
    }
    return true;
}
