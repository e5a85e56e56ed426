/* SPDX-License-Identifier: MIT */
/*
 * The least-common-denominator NIC: send a packet, receive a packet, a few queues. A *packet* here is what stands behind
 * the UDP header, with both UDP endpoints beside it; back ends add and take off what is in front of it.
 *
 * One struct nic_queue belongs to one worker thread. No call blocks; a worker sleeps on the descriptors of `fds`.
 */
#ifndef MACHNET_ENGINE_NIC_NIC_H
#define MACHNET_ENGINE_NIC_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"

enum { NIC_BURST = 64, NIC_ERROR_BYTES = 256 };

struct nic_packet {
    uint8_t *data;
    uint32_t length;
    uint32_t capacity;            /* tx: bytes that may be written at data */
    struct endpoint local;        /* our UDP endpoint */
    struct endpoint remote;       /* the peer's */
    void *priv;                   /* the back end's own */
};

struct nic;
struct nic_queue;

/* Something the interface tells about a path: a packet of ours was too long, or the peer's machine says nobody is there. */
struct nic_notice {
    enum { NIC_TOO_LONG = 1, NIC_PORT_UNREACHABLE = 2 } kind;
    struct endpoint local, remote;
    uint32_t max_payload;         /* TOO_LONG: longest UDP payload that passes */
};

struct nic_ops {
    const char *name;
    /* Receives up to `max` packets into packets[]; they are valid until nic_receive_done. Returns how many. */
    uint32_t (*receive)(struct nic_queue *queue, struct nic_packet *packets, uint32_t max);
    void (*receive_done)(struct nic_queue *queue, struct nic_packet *packets, uint32_t count);
    /* Fetches a buffer to write a packet into (data, capacity set), or returns false when the queue is full now. */
    bool (*transmit_buffer)(struct nic_queue *queue, struct nic_packet *packet);
    /* Queues a filled packet (length, local, remote set); `flush` hands all queued ones to the interface. A packet the interface does not
     * take is dropped and counted, as a network may. */
    void (*transmit)(struct nic_queue *queue, struct nic_packet *packet);
    void (*transmit_cancel)(struct nic_queue *queue, struct nic_packet *packet);
    void (*flush)(struct nic_queue *queue);
    /* Takes one notice; false if there is none. */
    bool (*notice)(struct nic_queue *queue, struct nic_notice *notice);
    /* Descriptors that become readable when packets come in, for epoll; returns how many (0: this back end can only be polled). */
    uint32_t (*fds)(struct nic_queue *queue, int *fds, uint32_t max);
    /* Longest UDP payload towards `remote` from `local`, as far as this machine knows. */
    uint32_t (*max_payload)(struct nic_queue *queue, const struct endpoint *local, const struct endpoint *remote);
    void (*close)(struct nic *nic);
};

/* Packets and bytes are those behind the UDP header. The second group belongs to back ends that make the headers themselves. */
#define NIC_COUNTERS(X)                                                                                                \
    X(packets_received) X(packets_sent) X(bytes_received) X(bytes_sent) X(receive_calls) X(transmit_calls)             \
    X(transmit_dropped) X(truncated) X(errors)                                                                         \
    X(bad_checksum)          /* IPv4, UDP or ICMP: dropped */                                                          \
    X(not_ours)              /* other machines' frames, addresses, ports and protocols */                              \
    X(malformed_frames)      /* and fragments */                                                                       \
    X(arp_requests_sent) X(arp_requests_received) X(arp_replies_sent) X(arp_replies_received)                          \
    X(arp_ignored)           /* answers that nobody asked for, claims to our own addresses */                          \
    X(unresolved_drops)      /* packets whose next hop does not answer, or too many wait for */                        \
    X(no_route) X(icmp_echoes)                                                                                         \
    X(unanswered)            /* ARP requests and echoes over the rate that is answered */                              \
    X(link_downs)

struct nic_counters {
#define X(name) uint64_t name;
    NIC_COUNTERS(X)
#undef X
};

struct nic_queue {
    const struct nic_ops *ops;
    struct nic *nic;
    uint32_t index;
    /* For back ends that have to do something at a time of their own. The worker sets now_ns before each turn, and calls `receive` in the
     * first turn after timer_ns (0: never) or the next one. */
    uint64_t now_ns;
    uint64_t timer_ns;
    struct nic_counters counters;
};

struct nic {
    const struct nic_ops *ops;
    uint32_t queue_count;
    struct nic_queue **queues;
};

/* True if `ip` (its port is not looked at) is an address of this machine. */
bool nic_udp_has_address(const struct endpoint *ip);

/* Opens kernel UDP sockets: one for each address and queue, at udp_port + queue. Returns NULL and a sentence in error[NIC_ERROR_BYTES] (what
 * failed, what to do: port taken, address not on this machine). */
struct nic *nic_udp_open(const struct endpoint *addresses, uint32_t address_count, uint16_t udp_port, uint32_t queues, char *error);

/* The loopback port inside the engine: what one worker transmits to an address of its own engine, it receives again. No descriptors: packets
 * can only come from the worker itself. Returns NULL if memory is short. */
struct nic *nic_loop_open(void);

#endif /* MACHNET_ENGINE_NIC_NIC_H */
