/* SPDX-License-Identifier: MIT */
/* What the files of nic_ethernet share. A queue is touched by its worker alone; what queues share is in struct ether. */
#ifndef MACHNET_ENGINE_NIC_NIC_ETHERNET_INTERNAL_H
#define MACHNET_ENGINE_NIC_NIC_ETHERNET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/rate.h"
#include "nic/nic_ethernet.h"
#include "path/neighbours.h"
#include "wire/headers.h"
#include "wire/wire.h"

enum {
    ETHER_FRAME_MIN = 60,      /* shorter ones are padded: not every device does it */
    ETHER_CACHE_LOG2 = 10,
    ETHER_WAITING = 32,        /* packets that a queue keeps ... */
    ETHER_WAITING_PER_HOP = 4, /* ... and for one next hop */
    ETHER_NOTICES = 16,
};

struct ether {
    struct nic nic;
    struct nic_ops ops;
    struct frame_device *device;
    uint32_t addresses[NIC_ETHERNET_ADDRESSES_MAX];
    uint32_t address_count;
    uint16_t udp_port;
    uint32_t mtu;
    struct routes routes;
    struct ether_queue *queues;

    pthread_mutex_t lock; /* of `neighbours`; held for a few instructions, rarely */
    struct neighbours *neighbours;
    _Atomic uint32_t generation; /* neighbours_generation(), written under the lock. A queue that reads it late is as if the answer had come late */
    atomic_bool link_up;
};

/* The MAC behind which an address was found. Valid while the generation is the same and the time has not come. */
struct ether_hop {
    uint64_t valid_ns;
    uint32_t destination, generation;
    uint8_t mac[MAC_BYTES];
};

/* A whole frame but for its MACs, copied, so that the device's buffer is free. */
struct ether_waiting {
    uint8_t *bytes; /* ETHERNET_BYTES + mtu of them */
    uint32_t length, flags;
    uint32_t next_hop, destination, source;
    uint64_t expires_ns;
};

struct ether_queue {
    struct nic_queue queue;
    struct ether *ether;
    struct frame_queue *frames;
    struct frame held[NIC_BURST]; /* received, not yet given back to the device */
    uint32_t held_count;
    bool unflushed; /* answers and questions of our own wait in the device's queue */
    uint16_t ip_id;
    struct rate arp_rate, icmp_rate;
    uint64_t link_check_ns; /* when to look again */
    struct frame_counters seen;

    uint64_t ask_ns; /* when to look for questions to repeat; UINT64_MAX: never */
    struct ether_hop hops[1 << ETHER_CACHE_LOG2];
    struct ether_waiting waiting[ETHER_WAITING]; /* oldest first; each has its own bytes, used or not */
    uint8_t *waiting_bytes;
    uint32_t waiting_count;
    uint32_t waiting_generation; /* when they were last looked through */
    uint32_t asked_generation;   /* when a next hop was last found to be unknown */

    struct nic_notice notices[ETHER_NOTICES]; /* they come in on any queue: under the lock ... */
    _Atomic uint32_t notice_count;            /* ... but to see that there is none */
};

static inline struct ether_queue *ether_queue_of(struct nic_queue *queue)
{
    return (struct ether_queue *)(void *)((char *)queue - offsetof(struct ether_queue, queue));
}

static inline bool ether_is_ours(const struct ether *ether, uint32_t ip)
{
    for (uint32_t i = 0; i < ether->address_count; i++) {
        if (ether->addresses[i] == ip)
            return true;
    }
    return false;
}

static inline uint32_t ether_max_payload(const struct ether *ether)
{
    uint32_t payload = ether->mtu - IPV4_BYTES - UDP_BYTES;
    return payload < WIRE_PACKET_MAX ? payload : WIRE_PACKET_MAX;
}

/* ---- nic_ethernet_receive.c ---- */

uint32_t ether_receive(struct nic_queue *queue, struct nic_packet *packets, uint32_t max);
void ether_receive_done(struct nic_queue *queue, struct nic_packet *packets, uint32_t count);

/* ---- nic_ethernet_answer.c: what a host says for itself ---- */

/* What a frame carries, with its padding. */
void ether_receive_arp(struct ether_queue *queue, const uint8_t *packet, size_t length);
/* The ICMP message that `ip` carries. */
void ether_receive_icmp(struct ether_queue *queue, const struct ethernet_header *ethernet, const struct ipv4_header *ip,
                        const uint8_t *message);
void ether_ask(struct ether_queue *queue, const struct neighbour_question *question);
bool ether_notice(struct nic_queue *queue, struct nic_notice *notice);

/* ---- nic_ethernet_transmit.c ---- */

bool ether_transmit_buffer(struct nic_queue *queue, struct nic_packet *packet);
void ether_transmit(struct nic_queue *queue, struct nic_packet *packet);
void ether_transmit_cancel(struct nic_queue *queue, struct nic_packet *packet);
void ether_flush(struct nic_queue *queue);
/* Looks at the link if it is time. */
void ether_check_link(struct ether_queue *queue);
/* Takes over what the device counted. */
void ether_count(struct ether_queue *queue);

/* ---- nic_ethernet_hops.c: next hops, and packets that wait for them ---- */

/* Finds the MAC of the next hop to `destination`. Returns enum neighbour_result, or ETHER_NO_ROUTE; *next_hop is set unless KNOWN. */
enum { ETHER_NO_ROUTE = -1 };
int ether_resolve(struct ether_queue *queue, uint32_t destination, uint32_t source, uint8_t mac[MAC_BYTES], uint32_t *next_hop);
/* Keeps a copy of the frame until its next hop answers, or counts it as dropped. */
void ether_wait(struct ether_queue *queue, const struct frame *frame, uint32_t next_hop, uint32_t destination, uint32_t source);
/* Hears a reply. False: nobody asked. */
bool ether_hear(struct ether_queue *queue, uint32_t ip, const uint8_t mac[MAC_BYTES]);
/* Repeats questions and sends what need not wait any more, as far as it is time; sets timer_ns. */
void ether_hops_turn(struct ether_queue *queue);

#endif /* MACHNET_ENGINE_NIC_NIC_ETHERNET_INTERNAL_H */
