/* SPDX-License-Identifier: MIT */
/* What the files of the `mem` back end share: nic_mem.c (queues), nic_mem_network.c (packets under way), nic_mem_links.c (what happens to them). */
#ifndef MACHNET_ENGINE_NIC_NIC_MEM_INTERNAL_H
#define MACHNET_ENGINE_NIC_NIC_MEM_INTERNAL_H

#include <string.h>

#include "base/prng.h"
#include "nic/nic_mem.h"

enum { LINKS_MAX = 1024, LINK_SLOTS = 4096, PORTS_MAX = 256, BUCKETS = 256 };

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
    uint32_t burst_left;      /* packets still to be lost of a burst */
    struct port *port;        /* NULL: infinitely fast */
};

/* Where the packets to one address stand in line. */
struct port {
    uint8_t ip[16];
    struct nic_mem_port shape;
    uint64_t free_at_ns;  /* all that is queued has been put on the wire */
    uint64_t *departures; /* ring of queue_packets: when each of those queued will be */
    uint32_t head, count;
};

/* Token bucket of a policer; tuples whose hashes collide share one. */
struct bucket {
    uint64_t filled_at_ns;
    uint64_t tokens; /* bits times 10^9, so that no time is rounded away */
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
    uint16_t *link_slots; /* hash of both addresses: index of the link + 1, 0: empty */
    struct port *ports;
    uint32_t port_count;
    struct bucket buckets[BUCKETS];
    struct mem_nic *nics;
    uint64_t hash_key; /* 0: none */
    nic_mem_tap *tap;
    void *tap_arg;
    nic_mem_queue_tap *queue_tap;
    void *queue_tap_arg;
    struct nic_mem_counters counters;
};

static inline bool same_ip(const struct endpoint *a, const struct endpoint *b)
{
    return memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* ---- nic_mem_network.c ---- */

/* NULL: there are too many, or memory is short. */
struct mem_packet *mem_packet_new(struct nic_mem_network *network, uint32_t capacity);
void mem_packet_free(struct nic_mem_network *network, struct mem_packet *packet);
void fifo_init(struct packet_fifo *fifo);
void fifo_push(struct packet_fifo *fifo, struct mem_packet *packet);
struct mem_packet *fifo_pop(struct packet_fifo *fifo);
/* Takes over the packet, which arrives at its arrival_ns. */
void mem_in_flight(struct nic_mem_network *network, struct mem_packet *packet);

/* ---- nic_mem_links.c ---- */

/* Makes it if need be; NULL: there are too many, and packets over such links are lost. */
struct link *link_find(struct nic_mem_network *network, const struct endpoint *from, const struct endpoint *to);
/* Takes over a packet and puts it on its link, where it is lost if `doomed`. Returns false, and the length that would have passed, if it is too
 * long. */
bool network_send(struct nic_mem_network *network, struct mem_packet *packet, bool doomed, uint32_t *max_payload);
/* How many of a flush's `count` packets to the last one's address are lost, from its end. */
uint32_t link_tail_loss(struct nic_mem_network *network, const struct mem_packet *last, uint32_t count);

#endif /* MACHNET_ENGINE_NIC_NIC_MEM_INTERNAL_H */
