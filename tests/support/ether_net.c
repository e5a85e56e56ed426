/* SPDX-License-Identifier: MIT */
#include "support/ether_net.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILL = 0x5a };
#define STEP_NS UINT64_C(10000000)

uint32_t ether_net_ip(uint32_t machine)
{
    return ETHER_IP(10, 0, 0, 1 + machine);
}

void ether_net_mac(uint32_t machine, uint8_t mac[MAC_BYTES])
{
    const uint8_t bytes[MAC_BYTES] = {2, 0, 0, 0, 0, (uint8_t)(1 + machine)};
    memcpy(mac, bytes, MAC_BYTES);
}

void ether_net_open(struct ether_net *net)
{
    *net = (struct ether_net){.network = frame_mem_switch_new(), .now = 100 * ETHER_SECOND};
}

void ether_net_close(struct ether_net *net)
{
    for (uint32_t i = 0; i < ETHER_MACHINES; i++) {
        if (net->nics[i] != NULL)
            net->nics[i]->ops->close(net->nics[i]);
    }
    frame_mem_switch_free(net->network);
}

void ether_net_add(struct ether_net *net, uint32_t machine, const struct ether_machine *config)
{
    char error[NIC_ERROR_BYTES];
    uint8_t mac[MAC_BYTES];
    struct endpoint address = endpoint_from_ipv4(config->ip != 0 ? config->ip : ether_net_ip(machine), 0);
    const uint32_t queues = config->queues != 0 ? config->queues : 1, mtu = config->mtu != 0 ? config->mtu : 1500;
    struct nic_ethernet_config nic = {.addresses = &address,
                                      .address_count = 1,
                                      .routes = config->routes,
                                      .route_count = config->route_count,
                                      .neighbours = config->neighbours,
                                      .neighbour_count = config->neighbour_count,
                                      .queues = queues,
                                      .udp_port = ETHER_PORT};
    ether_net_mac(machine, mac);
    net->devices[machine] =
        frame_mem_open(net->network, mac, mtu, queues, config->transmit_flags, config->receive_flags);
    net->nics[machine] = nic_ethernet_open(net->devices[machine], &nic, error);
    if (net->nics[machine] == NULL) {
        fprintf(stderr, "nic_ethernet_open: %s\n", error);
        abort();
    }
    for (uint32_t i = 0; i < queues; i++)
        net->nics[machine]->queues[i]->now_ns = net->now;
}

bool ether_net_send(struct ether_net *net, uint32_t from, uint32_t queue, uint32_t to_ip, uint16_t to_port,
                    uint32_t tag, uint32_t length)
{
    struct nic_queue *nic = net->nics[from]->queues[queue];
    struct nic_packet packet;
    nic->now_ns = net->now;
    if (!nic->ops->transmit_buffer(nic, &packet))
        return false;
    assert(length >= sizeof tag && length <= packet.capacity);
    memset(packet.data, FILL, length);
    memcpy(packet.data, &tag, sizeof tag);
    packet.length = length;
    packet.local = endpoint_from_ipv4(ether_net_ip(from), (uint16_t)(ETHER_PORT + queue));
    packet.remote = endpoint_from_ipv4(to_ip, to_port);
    nic->ops->transmit(nic, &packet);
    nic->ops->flush(nic);
    return true;
}

static void note(struct ether_received *received, const struct nic_packet *packet)
{
    uint32_t tag;
    assert(packet->length >= sizeof tag && received->count < sizeof received->tags / sizeof received->tags[0]);
    memcpy(&tag, packet->data, sizeof tag);
    for (uint32_t i = sizeof tag; i < packet->length; i++)
        assert(packet->data[i] == FILL);
    received->tags[received->count++] = tag;
    received->last = *packet;
}

uint32_t ether_net_turn(struct ether_net *net, uint32_t machine, uint32_t queue, struct ether_received *received)
{
    struct nic_queue *nic = net->nics[machine]->queues[queue];
    struct nic_packet packets[NIC_BURST];
    nic->now_ns = net->now;
    uint32_t count = nic->ops->receive(nic, packets, NIC_BURST);
    for (uint32_t i = 0; received != NULL && i < count; i++)
        note(received, &packets[i]);
    if (count > 0)
        nic->ops->receive_done(nic, packets, count);
    return count;
}

void ether_net_settle(struct ether_net *net, uint32_t to, struct ether_received *received)
{
    /* A question, its answer, what waited for it, what that caused: a few rounds are enough. */
    for (int round = 0; round < 8; round++) {
        for (uint32_t i = 0; i < ETHER_MACHINES; i++) {
            for (uint32_t queue = 0; net->nics[i] != NULL && queue < net->nics[i]->queue_count; queue++)
                ether_net_turn(net, i, queue, i == to ? received : NULL);
        }
    }
}

void ether_net_pass(struct ether_net *net, uint64_t ns, uint32_t to, struct ether_received *received)
{
    for (uint64_t end = net->now + ns; net->now < end;) {
        net->now += STEP_NS;
        ether_net_settle(net, to, received);
    }
}

const struct nic_counters *ether_net_counters(const struct ether_net *net, uint32_t machine, uint32_t queue)
{
    return &net->nics[machine]->queues[queue]->counters;
}

static void ethernet_to(uint8_t *frame, const uint8_t destination[MAC_BYTES], const uint8_t source[MAC_BYTES],
                        uint16_t type)
{
    struct ethernet_header ethernet = {.type = type};
    memcpy(ethernet.destination, destination, MAC_BYTES);
    memcpy(ethernet.source, source, MAC_BYTES);
    ethernet_encode(frame, &ethernet);
}

uint32_t ether_net_frame(uint8_t *frame, uint32_t from, uint32_t to, uint16_t port)
{
    enum { PAYLOAD = 8 };
    uint8_t source[MAC_BYTES], destination[MAC_BYTES];
    struct ipv4_header ip = {.source = ether_net_ip(from),
                             .destination = ether_net_ip(to),
                             .protocol = IPV4_UDP,
                             .length = IPV4_BYTES + UDP_BYTES + PAYLOAD};
    struct udp_header udp = {.source = ETHER_PORT, .destination = port, .payload_length = PAYLOAD};
    ether_net_mac(from, source);
    ether_net_mac(to, destination);
    memset(frame + UDP_HEADERS_BYTES, FILL, PAYLOAD);
    ethernet_to(frame, destination, source, ETHERNET_IPV4);
    ipv4_encode(frame + ETHERNET_BYTES, &ip, true);
    udp_encode(frame + ETHERNET_BYTES + IPV4_BYTES, &ip, &udp, UDP_CHECKSUM_FULL);
    return UDP_HEADERS_BYTES + PAYLOAD;
}

uint32_t ether_net_arp(uint8_t *frame, const uint8_t destination[MAC_BYTES], const struct arp *arp)
{
    ethernet_to(frame, destination, arp->sender_mac, ETHERNET_ARP);
    arp_encode(frame + ETHERNET_BYTES, arp);
    return ETHERNET_BYTES + ARP_BYTES;
}
