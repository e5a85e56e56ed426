/* SPDX-License-Identifier: MIT */
/* Machines on one switch for the tests of nic_ethernet: each a NIC over a device of frame_mem, under one virtual clock. Machine i has address
 * 10.0.0.(1 + i) unless told otherwise, MAC 02:00:00:00:00:(1 + i), UDP ports from ETHER_PORT on. What a helper finds wrong aborts the test. */
#ifndef MACHNET_TESTS_SUPPORT_ETHER_NET_H
#define MACHNET_TESTS_SUPPORT_ETHER_NET_H

#include "nic/nic_ethernet.h"
#include "support/frame_mem.h"
#include "wire/headers.h"

enum { ETHER_MACHINES = 3, ETHER_PORT = 31700 };

#define ETHER_IP(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define ETHER_SECOND UINT64_C(1000000000)

struct ether_net {
    struct frame_mem_switch *network;
    struct frame_device *devices[ETHER_MACHINES];
    struct nic *nics[ETHER_MACHINES];
    uint64_t now;
};

/* What differs from machine to machine; all zero: as above, one queue, MTU 1500, no offloads, everything on the link. */
struct ether_machine {
    uint32_t ip;
    uint32_t queues, mtu, transmit_flags, receive_flags;
    const struct route *routes;
    uint32_t route_count;
    const struct nic_ethernet_neighbour *neighbours;
    uint32_t neighbour_count;
};

void ether_net_open(struct ether_net *net);
void ether_net_close(struct ether_net *net);
void ether_net_add(struct ether_net *net, uint32_t machine, const struct ether_machine *config);
uint32_t ether_net_ip(uint32_t machine);
void ether_net_mac(uint32_t machine, uint8_t mac[MAC_BYTES]);

/* Machine `from` sends `length` bytes that tell `tag` from queue `queue` to `to`. False: it has no buffer. */
bool ether_net_send(struct ether_net *net, uint32_t from, uint32_t queue, uint32_t to_ip, uint16_t to_port, uint32_t tag, uint32_t length);

struct ether_received {
    uint32_t count;
    uint32_t tags[256];
    struct nic_packet last; /* its data is gone */
};

/* A turn of one queue: receives; packets of ether_net_send are added to `received` (NULL: counted only), their bytes checked. How many. */
uint32_t ether_net_turn(struct ether_net *net, uint32_t machine, uint32_t queue, struct ether_received *received);
/* Turns of all queues of all machines until nothing happens, all at `now`. `received`: of machine `to`. */
void ether_net_settle(struct ether_net *net, uint32_t to, struct ether_received *received);
/* Lets time pass in steps of 10 ms, settling each. */
void ether_net_pass(struct ether_net *net, uint64_t ns, uint32_t to, struct ether_received *received);
const struct nic_counters *ether_net_counters(const struct ether_net *net, uint32_t machine, uint32_t queue);

/* A whole UDP frame with 8 bytes of payload from machine `from` to machine `to`; returns its length. */
uint32_t ether_net_frame(uint8_t *frame, uint32_t from, uint32_t to, uint16_t port);
/* An ARP frame. */
uint32_t ether_net_arp(uint8_t *frame, const uint8_t destination[MAC_BYTES], const struct arp *arp);

#endif /* MACHNET_TESTS_SUPPORT_ETHER_NET_H */
