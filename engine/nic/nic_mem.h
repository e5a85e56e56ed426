/* SPDX-License-Identifier: MIT */
/*
 * The `mem` back end, for tests: a network inside the process that joins any number of nics under a virtual clock. What
 * happens to a packet depends on the seed, the links' impairments and the order of calls alone, so every run can be repeated.
 *
 * A *link* is one direction between two addresses (ports do not matter), also from an address to itself. One thread at a time
 * per network, including all its nics.
 */
#ifndef MACHNET_ENGINE_NIC_NIC_MEM_H
#define MACHNET_ENGINE_NIC_NIC_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nic/nic.h"

struct nic_mem_network;

enum { NIC_MEM_PAYLOAD_MAX = 8972 }; /* bytes behind the UDP header that a frame of 9000 carries */

/* What a link does to packets; all zero: they arrive at once, intact, in order. Shares are in parts per million. */
struct nic_mem_impairments {
    uint64_t delay_ns;    /* every packet */
    uint64_t jitter_ns;   /* besides, uniform in [0, jitter_ns]; does not change the order by itself */
    uint32_t reorder_ppm; /* packets that are late and that others may overtake ... */
    uint64_t reorder_ns;  /* ... by up to this much */
    uint32_t loss_ppm;
    uint32_t burst_ppm;     /* packets with which a burst begins of ... */
    uint32_t burst_packets; /* ... 1 to so many lost packets */
    uint32_t tail_ppm;      /* flushes that lose their last 1 to 4 packets */
    uint32_t repeat_ppm;  /* packets that arrive twice, each copy with its own delay and corruption */
    uint32_t corrupt_ppm; /* packets with 1 to 8 bits flipped */
    bool partitioned;     /* nothing gets through */
    uint32_t max_payload; /* longer packets are dropped and the sender gets NIC_TOO_LONG; 0: no limit */
    uint32_t black_hole_payload; /* longer packets vanish, and nobody is told; 0: no limit */
    uint64_t police_bits_per_second; /* of each UDP tuple, in frames on the wire; what is more is dropped at once. 0: no limit */
    uint32_t police_burst_bytes;     /* above that rate */
};

enum { NIC_MEM_FRAME_BYTES = 66 }; /* UDP, IPv4, Ethernet, its checksum, preamble and gap: what a packet takes of the wire besides */

/* A port of a switch, through which all packets to one address go, whoever sends them: first in, first out, before the link's delay. */
struct nic_mem_port {
    uint64_t bits_per_second;
    uint32_t queue_packets; /* with that on the wire; what finds the queue full is dropped */
};

#define NIC_MEM_COUNTERS(X)                                                                        \
    X(sent) X(arrived) X(lost) X(repeated) X(reordered) X(corrupted) X(too_long) X(unaddressed) X(overflowed)    \
    X(policed) X(queue_full) X(vanished)
struct nic_mem_counters {
#define X(name) uint64_t name;
    NIC_MEM_COUNTERS(X)
#undef X
};

/* At most `max_packets` exist at once (handed out for transmission, in flight, not yet received); what is too much is dropped and
 * counted as overflowed. Returns NULL if memory is short. */
struct nic_mem_network *nic_mem_network_new(uint64_t seed, uint32_t max_packets);
/* All nics of the network are closed before. Accepts NULL. */
void nic_mem_network_free(struct nic_mem_network *network);

/* Opens a nic with `queues` queues; queue i owns udp_port + i at each of the addresses (their ports are ignored), which no open nic of this
 * network has. `max_payload` is what the interface itself can send. Returns NULL if memory is short. */
struct nic *nic_mem_open(struct nic_mem_network *network, const struct endpoint *addresses,
                         uint32_t address_count, uint16_t udp_port, uint32_t queues,
                         uint32_t max_payload);

/* Sets the impairments of the link `from` -> `to`, or of all links, for packets sent from now on. Returns false if memory is short. */
bool nic_mem_impair(struct nic_mem_network *network, const struct endpoint *from,
                    const struct endpoint *to, const struct nic_mem_impairments *impairments);
void nic_mem_impair_all(struct nic_mem_network *network,
                        const struct nic_mem_impairments *impairments);

/* Packets to `to` go through a port from now on; infinitely fast before. Once for each address. Returns false if there are too many, or
 * memory is short. */
bool nic_mem_set_port(struct nic_mem_network *network, const struct endpoint *to, const struct nic_mem_port *port);

/* An opaque hash: from now on packets for a nic go into the queue that a hash of both their endpoints with `key` says, whatever worker they
 * are for, as in a NIC whose hash nobody may program. 0: by their port, as in the beginning. */
void nic_mem_set_hash(struct nic_mem_network *network, uint64_t key);

/* Sets the clock, which never goes back, and hands what has arrived by then to the queues it is for. */
void nic_mem_advance(struct nic_mem_network *network, uint64_t now_ns);
/* When the next packet in flight arrives; UINT64_MAX: nothing is in flight. */
uint64_t nic_mem_next_arrival(const struct nic_mem_network *network);

/* A packet that no nic sent: it goes over the link `from` -> `to` as if `from` had. `data` is copied. */
void nic_mem_inject(struct nic_mem_network *network, const struct endpoint *from,
                    const struct endpoint *to, const uint8_t *data, uint32_t length);

/* `tap` sees every packet that a nic or nic_mem_inject puts on a link (local: its sender), before any impairment; it must not
 * change or keep it. NULL: none. */
typedef void nic_mem_tap(void *arg, uint64_t now_ns, const struct nic_packet *packet);
void nic_mem_set_tap(struct nic_mem_network *network, nic_mem_tap *tap, void *arg);

/* `tap` sees every packet that comes to a port, and how long it waits there before its own turn; UINT64_MAX: the queue is full. NULL: none. */
typedef void nic_mem_queue_tap(void *arg, uint64_t now_ns, const struct nic_packet *packet, uint64_t waited_ns);
void nic_mem_set_queue_tap(struct nic_mem_network *network, nic_mem_queue_tap *tap, void *arg);

/* Whether packets wait to be received. */
bool nic_mem_arrived(const struct nic_queue *queue);

const struct nic_mem_counters *nic_mem_counters(const struct nic_mem_network *network);

#endif /* MACHNET_ENGINE_NIC_NIC_MEM_H */
