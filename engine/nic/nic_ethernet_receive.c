/* SPDX-License-Identifier: MIT */
#include "nic/nic_ethernet_internal.h"

#include <assert.h>
#include <string.h>

/* A device that calls a checksum bad is not taken at its word: it may not know what is left out on purpose. */
static bool ip_is_good(const struct frame *frame, const struct ipv4_header *ip)
{
    return (frame->flags & FRAME_IP_CHECKSUM_GOOD) != 0 ||
           ipv4_checksum_is_good(frame->data + ETHERNET_BYTES, ip->header_length);
}

static bool udp_is_good(const struct frame *frame, const uint8_t *packet, const struct ipv4_header *ip,
                        const struct udp_header *udp)
{
    return (frame->flags & FRAME_UDP_CHECKSUM_GOOD) != 0 || udp_checksum_is_good(packet, ip, udp);
}

/* Reads the UDP packet that `ip` carries. False: dropped. */
static bool receive_udp(struct ether_queue *queue, const struct frame *frame, const struct ipv4_header *ip,
                        struct nic_packet *packet)
{
    struct nic_counters *counters = &queue->queue.counters;
    const struct ether *ether = queue->ether;
    uint8_t *bytes = frame->data + ETHERNET_BYTES + ip->header_length;
    struct udp_header udp;
    if (!udp_decode(bytes, ip->length - ip->header_length, &udp) || udp.source == 0) {
        counters->malformed_frames++;
        return false;
    }
    if (udp.destination < ether->udp_port || udp.destination - ether->udp_port >= (int)ether->nic.queue_count) {
        counters->not_ours++;
        return false;
    }
    if (!udp_is_good(frame, bytes, ip, &udp)) {
        counters->bad_checksum++;
        return false;
    }
    if (udp.payload_length > WIRE_PACKET_MAX) {
        counters->truncated++;
        return false;
    }
    *packet = (struct nic_packet){.data = bytes + UDP_BYTES,
                                  .length = udp.payload_length,
                                  .capacity = udp.payload_length,
                                  .local = endpoint_from_ipv4(ip->destination, udp.destination),
                                  .remote = endpoint_from_ipv4(ip->source, udp.source)};
    counters->packets_received++;
    counters->bytes_received += udp.payload_length;
    return true;
}

/* True if the frame carries a packet for the worker. */
static bool receive_ipv4(struct ether_queue *queue, const struct frame *frame, const struct ethernet_header *ethernet,
                         struct nic_packet *packet)
{
    struct nic_counters *counters = &queue->queue.counters;
    struct ipv4_header ip;
    if (ipv4_decode(frame->data + ETHERNET_BYTES, frame->length - ETHERNET_BYTES, &ip) != IPV4_OK) {
        counters->malformed_frames++;
        return false;
    }
    if (!ip_is_good(frame, &ip)) {
        counters->bad_checksum++;
        return false;
    }
    if (ether_is_ours(queue->ether, ip.destination) && ipv4_is_host(ip.source) &&
        !ether_is_ours(queue->ether, ip.source)) {
        if (ip.protocol == IPV4_UDP)
            return receive_udp(queue, frame, &ip, packet);
        if (ip.protocol == IPV4_ICMP) {
            ether_receive_icmp(queue, ethernet, &ip, frame->data + ETHERNET_BYTES + ip.header_length);
            return false;
        }
    }
    counters->not_ours++;
    return false;
}

static bool receive_frame(struct ether_queue *queue, const struct frame *frame, struct nic_packet *packet)
{
    static const uint8_t broadcast[MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct ethernet_header ethernet;
    if (!ethernet_decode(frame->data, frame->length, &ethernet) || !mac_is_unicast(ethernet.source)) {
        queue->queue.counters.malformed_frames++;
        return false;
    }
    bool to_us = memcmp(ethernet.destination, queue->ether->device->mac, MAC_BYTES) == 0;
    if (to_us && ethernet.type == ETHERNET_IPV4)
        return receive_ipv4(queue, frame, &ethernet, packet);
    if (ethernet.type == ETHERNET_ARP && (to_us || memcmp(ethernet.destination, broadcast, MAC_BYTES) == 0))
        ether_receive_arp(queue, frame->data + ETHERNET_BYTES, frame->length - ETHERNET_BYTES);
    else
        queue->queue.counters.not_ours++;
    return false;
}

uint32_t ether_receive(struct nic_queue *queue, struct nic_packet *packets, uint32_t max)
{
    struct ether_queue *own = ether_queue_of(queue);
    uint32_t count = 0;
    assert(own->held_count == 0 && "receive_done comes before the next receive");
    ether_check_link(own);
    uint32_t held = own->frames->ops->receive(own->frames, own->held, max < NIC_BURST ? max : NIC_BURST);
    for (uint32_t i = 0; i < held; i++)
        count += receive_frame(own, &own->held[i], &packets[count]);
    queue->counters.receive_calls++;
    if (held > 0) {
        if (count > 0)
            own->held_count = held;
        else
            own->frames->ops->receive_done(own->frames, own->held, held);
        ether_count(own);
    }
    ether_hops_turn(own);
    if (own->unflushed)
        ether_flush(queue);
    return count;
}

void ether_receive_done(struct nic_queue *queue, struct nic_packet *packets, uint32_t count)
{
    struct ether_queue *own = ether_queue_of(queue);
    (void)packets, (void)count;
    assert(count > 0 && count <= own->held_count);
    own->frames->ops->receive_done(own->frames, own->held, own->held_count);
    own->held_count = 0;
}
