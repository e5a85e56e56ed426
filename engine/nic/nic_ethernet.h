/* SPDX-License-Identifier: MIT */
/*
 * A NIC (nic.h) made of a raw Ethernet device (frames.h): what a kernel does otherwise. IPv4 and UDP headers, ARP, routes, ICMP echo.
 *
 * - Received is what comes in one piece to our MAC, to one of our addresses and to the UDP port of one of our queues, from the address of some
 *   other host. Checksums that the device did not verify are verified here. All else is counted and dropped.
 * - ARP requests for our addresses, and echoes, are answered to the MAC they came from, up to a rate, and are not learnt from; what is learnt, and when,
 *   stands in path/neighbours.h. An answer may come in on any queue.
 * - Packets for a next hop that is being asked for are kept: a few per next hop and queue.
 * - While the link is down, packets are dropped and counted; that it went down or came up is seen and logged by the next turn of any
 *   queue's worker, 100 ms later at most if they turn.
 */
#ifndef MACHNET_ENGINE_NIC_NIC_ETHERNET_H
#define MACHNET_ENGINE_NIC_NIC_ETHERNET_H

#include <stdint.h>

#include "nic/frames.h"
#include "nic/nic.h"
#include "path/routes.h"

enum { NIC_ETHERNET_ADDRESSES_MAX = 64, NIC_ETHERNET_MTU_MIN = 1260 /* carries WIRE_PAYLOAD_MIN_MTU */ };

struct nic_ethernet_neighbour {
    uint32_t ip; /* host order */
    uint8_t mac[6];
};

/* All arrays are copied. */
struct nic_ethernet_config {
    const struct endpoint *addresses; /* ours; IPv4 */
    uint32_t address_count;
    const struct route *routes;       /* also those to the prefixes of our addresses; none at all: everything is on the link */
    uint32_t route_count;
    const struct nic_ethernet_neighbour *neighbours; /* static ones */
    uint32_t neighbour_count;
    uint32_t queues;                  /* at most the device's; queue i owns UDP port udp_port + i */
    uint16_t udp_port;
    uint32_t mtu;                     /* bytes behind the Ethernet header; 0: the device's */
};

/* Takes `device` in any case: closes it with the NIC, or when it fails. Returns NULL and a sentence in error[NIC_ERROR_BYTES]. */
struct nic *nic_ethernet_open(struct frame_device *device, const struct nic_ethernet_config *config, char *error);

#endif /* MACHNET_ENGINE_NIC_NIC_ETHERNET_H */
