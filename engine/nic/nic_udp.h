/* SPDX-License-Identifier: MIT */
/*
 * What the files of the UDP back end share: sockets, the receive batch, the transmit queue, routes. One struct udp_queue is used by one thread.
 *
 *   nic_udp.c           opening and closing
 *   nic_udp_receive.c   recvmmsg with UDP_GRO
 *   nic_udp_transmit.c  sendmmsg with UDP_SEGMENT
 *   nic_udp_route.c     how long a packet may be
 */
#ifndef MACHNET_ENGINE_NIC_NIC_UDP_H
#define MACHNET_ENGINE_NIC_NIC_UDP_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "nic/nic.h"
#include "wire/wire.h"

enum {
    UDP_RECEIVE_MESSAGES = 32,
    UDP_RECEIVE_BYTES = 65536, /* UDP_GRO gives at most 65535 */
    UDP_RECEIVE_STRIDE =
        UDP_RECEIVE_BYTES + 512, /* so that the starts of buffers do not all fall into the same cache sets */
    UDP_TRANSMIT_PACKETS = 256,
    UDP_TRANSMIT_STRIDE = 9024,
    UDP_BURST_MESSAGES = 64,
    UDP_SEGMENTS_MAX = 64,
    UDP_MESSAGE_BYTES_MAX = 65507, /* of one UDP_SEGMENT message, as of any datagram */
    UDP_STALLS_MAX = 16,           /* flushes in a row that sent nothing: then the queue is dropped */
    UDP_ROUTES = 64,
    UDP_NOTICES = 16,
};

/* Room for the one ancillary item of a message: the segment size. */
union udp_ancillary {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

struct udp_socket {
    int fd;
    struct endpoint local;
    bool segment; /* the kernel takes UDP_SEGMENT */
};

/* What recvmmsg gave last: packets are cut from message `message` at `offset` next. Empty: message == count. */
struct udp_batch {
    const struct udp_socket *from;
    uint32_t message, count;
    uint32_t offset;
    uint32_t lent; /* packets that the worker holds */
    struct mmsghdr headers[UDP_RECEIVE_MESSAGES];
    struct iovec spans[UDP_RECEIVE_MESSAGES];
    struct sockaddr_in6 remotes[UDP_RECEIVE_MESSAGES];
    union udp_ancillary ancillary[UDP_RECEIVE_MESSAGES];
    uint8_t *buffers; /* UDP_RECEIVE_MESSAGES of UDP_RECEIVE_STRIDE */
};

struct udp_packet {
    uint16_t buffer, length;
    uint16_t socket;
    struct endpoint remote;
};

/* One call of sendmmsg: message i is made of packets[i] packets of the queue, which follow those of message i - 1. */
struct udp_burst {
    uint32_t count;
    uint32_t packets[UDP_BURST_MESSAGES];
    struct mmsghdr headers[UDP_BURST_MESSAGES];
    struct sockaddr_in6 remotes[UDP_BURST_MESSAGES];
    union udp_ancillary ancillary[UDP_BURST_MESSAGES];
    struct iovec spans[UDP_TRANSMIT_PACKETS];
};

/* Every buffer is free, queued, or with the worker. */
struct udp_transmit {
    uint32_t free_count, count, stalls;
    uint16_t free[UDP_TRANSMIT_PACKETS];
    struct udp_packet queue[UDP_TRANSMIT_PACKETS];
    struct udp_burst burst;
    uint8_t *buffers; /* UDP_TRANSMIT_PACKETS of UDP_TRANSMIT_STRIDE */
};

struct udp_route {
    struct endpoint local, remote; /* ports 0 */
    uint64_t expires_ns;           /* 0: unused */
    uint32_t max_payload;
};

struct udp_queue {
    struct nic_queue queue;
    struct udp_socket *sockets;
    uint32_t socket_count, next_socket;
    struct udp_batch batch;
    struct udp_transmit transmit;
    struct udp_route routes[UDP_ROUTES];
    struct nic_notice notices[UDP_NOTICES];
    uint32_t notice_count;
};

static inline struct udp_queue *udp_queue_of(struct nic_queue *queue)
{
    return (struct udp_queue *)(void *)((char *)queue - offsetof(struct udp_queue, queue));
}

/* Fills `address` for the family of `endpoint` and returns its length. */
socklen_t udp_sockaddr(const struct endpoint *endpoint, struct sockaddr_in6 *address);
/* Reads what the kernel filled in. */
void udp_endpoint(const struct sockaddr_in6 *address, struct endpoint *endpoint);

void udp_receive_init(struct udp_queue *queue);
uint32_t udp_receive(struct nic_queue *queue, struct nic_packet *packets, uint32_t max);
void udp_receive_done(struct nic_queue *queue, struct nic_packet *packets, uint32_t count);

void udp_transmit_init(struct udp_queue *queue);
bool udp_transmit_buffer(struct nic_queue *queue, struct nic_packet *packet);
void udp_transmit(struct nic_queue *queue, struct nic_packet *packet);
void udp_transmit_cancel(struct nic_queue *queue, struct nic_packet *packet);
void udp_flush(struct nic_queue *queue);

uint32_t udp_max_payload(struct nic_queue *queue, const struct endpoint *local, const struct endpoint *remote);
/* The kernel refused a packet as too long: asks it anew and queues a notice. */
void udp_too_long(struct udp_queue *queue, const struct endpoint *local, const struct endpoint *remote);
bool udp_notice(struct nic_queue *queue, struct nic_notice *notice);

#endif /* MACHNET_ENGINE_NIC_NIC_UDP_H */
