/* SPDX-License-Identifier: MIT */
#include "nic/nic_ethernet_internal.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"

#define LINK_CHECK_NS UINT64_C(100000000)

/* ---- The link ---- */

void ether_check_link(struct ether_queue *queue)
{
    struct ether *ether = queue->ether;
    if (queue->queue.now_ns < queue->link_check_ns)
        return;
    queue->link_check_ns = queue->queue.now_ns + LINK_CHECK_NS;
    bool up = ether->device->ops->link_up(ether->device);
    /* Of the queues that see the change, one says it. */
    if (atomic_load_explicit(&ether->link_up, memory_order_relaxed) == up ||
        atomic_exchange_explicit(&ether->link_up, up, memory_order_relaxed) == up)
        return;
    const uint8_t *mac = ether->device->mac;
    if (!up)
        queue->queue.counters.link_downs++;
    log_warning("%s %02x:%02x:%02x:%02x:%02x:%02x: link is %s", ether->device->ops->name, mac[0], mac[1], mac[2],
                mac[3], mac[4], mac[5], up ? "up" : "down");
}

/* ---- Packets ---- */

static struct frame frame_of(const struct nic_packet *packet)
{
    return (struct frame){.data = packet->data - UDP_HEADERS_BYTES,
                          .length = packet->length + UDP_HEADERS_BYTES,
                          .capacity = packet->capacity + UDP_HEADERS_BYTES,
                          .priv = packet->priv};
}

bool ether_transmit_buffer(struct nic_queue *queue, struct nic_packet *packet)
{
    struct ether_queue *own = ether_queue_of(queue);
    struct frame frame;
    if (!own->frames->ops->transmit_buffer(own->frames, &frame))
        return false;
    uint32_t room = frame.capacity - UDP_HEADERS_BYTES, longest = ether_max_payload(own->ether);
    *packet = (struct nic_packet){
        .data = frame.data + UDP_HEADERS_BYTES, .capacity = room < longest ? room : longest, .priv = frame.priv};
    return true;
}

void ether_transmit_cancel(struct nic_queue *queue, struct nic_packet *packet)
{
    struct ether_queue *own = ether_queue_of(queue);
    struct frame frame = frame_of(packet);
    own->frames->ops->transmit_cancel(own->frames, &frame);
}

/* All but the destination's MAC. */
static void write_headers(struct ether_queue *queue, struct frame *frame, const struct nic_packet *packet)
{
    const struct ether *ether = queue->ether;
    uint32_t offered = ether->device->transmit_flags & (FRAME_IP_CHECKSUM_PLEASE | FRAME_UDP_CHECKSUM_PLEASE);
    struct ethernet_header ethernet = {.type = ETHERNET_IPV4};
    memcpy(ethernet.source, ether->device->mac, MAC_BYTES);
    struct ipv4_header ip = {.source = endpoint_ipv4(&packet->local),
                             .destination = endpoint_ipv4(&packet->remote),
                             .id = queue->ip_id++,
                             .protocol = IPV4_UDP,
                             .length = IPV4_BYTES + UDP_BYTES + packet->length};
    struct udp_header udp = {
        .source = packet->local.port, .destination = packet->remote.port, .payload_length = packet->length};
    ethernet_encode(frame->data, &ethernet);
    ipv4_encode(frame->data + ETHERNET_BYTES, &ip, (offered & FRAME_IP_CHECKSUM_PLEASE) == 0);
    udp_encode(frame->data + ETHERNET_BYTES + IPV4_BYTES, &ip, &udp,
               (offered & FRAME_UDP_CHECKSUM_PLEASE) != 0 ? UDP_CHECKSUM_PSEUDO_HEADER : UDP_CHECKSUM_FULL);
    frame->flags = offered;
}

void ether_transmit(struct nic_queue *queue, struct nic_packet *packet)
{
    struct ether_queue *own = ether_queue_of(queue);
    struct frame frame = frame_of(packet);
    uint32_t next_hop = 0, destination = endpoint_ipv4(&packet->remote), source = endpoint_ipv4(&packet->local);
    assert(packet->length <= packet->capacity);
    if (!endpoint_is_ipv4(&packet->local) || !endpoint_is_ipv4(&packet->remote)) {
        queue->counters.no_route++;
        own->frames->ops->transmit_cancel(own->frames, &frame);
        return;
    }
    if (!atomic_load_explicit(&own->ether->link_up, memory_order_relaxed)) {
        queue->counters.transmit_dropped++;
        own->frames->ops->transmit_cancel(own->frames, &frame);
        return;
    }
    write_headers(own, &frame, packet);
    int result = ether_resolve(own, destination, source, frame.data, &next_hop);
    if (result == NEIGHBOUR_KNOWN) {
        queue->counters.packets_sent++;
        queue->counters.bytes_sent += packet->length;
        own->frames->ops->transmit(own->frames, &frame);
        return;
    }
    if (result == NEIGHBOUR_ASKED)
        ether_wait(own, &frame, next_hop, destination, source);
    else if (result == NEIGHBOUR_UNREACHABLE)
        queue->counters.unresolved_drops++;
    else
        queue->counters.no_route++;
    own->frames->ops->transmit_cancel(own->frames, &frame);
}

void ether_count(struct ether_queue *queue)
{
    const struct frame_counters *counted = &queue->frames->counters;
    queue->queue.counters.transmit_dropped += counted->transmit_dropped - queue->seen.transmit_dropped;
    queue->queue.counters.truncated += counted->receive_dropped - queue->seen.receive_dropped;
    queue->seen = *counted;
}

void ether_flush(struct nic_queue *queue)
{
    struct ether_queue *own = ether_queue_of(queue);
    own->frames->ops->flush(own->frames);
    own->unflushed = false;
    queue->counters.transmit_calls++;
    ether_count(own);
}
