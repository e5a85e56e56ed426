/* SPDX-License-Identifier: MIT */
#include "nic/nic_udp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

void udp_transmit_init(struct udp_queue *queue)
{
    struct udp_transmit *transmit = &queue->transmit;
    for (uint32_t i = 0; i < UDP_TRANSMIT_PACKETS; i++)
        transmit->free[i] = (uint16_t)(UDP_TRANSMIT_PACKETS - 1 - i);
    transmit->free_count = UDP_TRANSMIT_PACKETS;
}

static uint8_t *buffer_at(const struct udp_transmit *transmit, uint16_t buffer)
{
    return transmit->buffers + (size_t)buffer * UDP_TRANSMIT_STRIDE;
}

bool udp_transmit_buffer(struct nic_queue *queue, struct nic_packet *packet)
{
    struct udp_transmit *transmit = &udp_queue_of(queue)->transmit;
    if (transmit->free_count == 0)
        return false;
    packet->data = buffer_at(transmit, transmit->free[--transmit->free_count]);
    packet->capacity = WIRE_PACKET_MAX;
    return true;
}

static uint16_t buffer_of(const struct udp_transmit *transmit, const struct nic_packet *packet)
{
    size_t buffer = (size_t)(packet->data - transmit->buffers) / UDP_TRANSMIT_STRIDE;
    assert(packet->data == buffer_at(transmit, (uint16_t)buffer) && buffer < UDP_TRANSMIT_PACKETS);
    return (uint16_t)buffer;
}

static void give_back(struct udp_transmit *transmit, uint16_t buffer)
{
    assert(transmit->free_count < UDP_TRANSMIT_PACKETS);
    transmit->free[transmit->free_count++] = buffer;
}

void udp_transmit_cancel(struct nic_queue *queue, struct nic_packet *packet)
{
    struct udp_transmit *transmit = &udp_queue_of(queue)->transmit;
    give_back(transmit, buffer_of(transmit, packet));
}

void udp_transmit(struct nic_queue *queue, struct nic_packet *packet)
{
    struct udp_queue *udp = udp_queue_of(queue);
    struct udp_transmit *transmit = &udp->transmit;
    assert(packet->length > 0 && packet->length <= WIRE_PACKET_MAX);
    for (uint32_t i = 0; i < udp->socket_count; i++) {
        if (endpoint_equal(&udp->sockets[i].local, &packet->local)) {
            transmit->queue[transmit->count++] = (struct udp_packet){
                .buffer = buffer_of(transmit, packet),
                .length = (uint16_t)packet->length,
                .socket = (uint16_t)i,
                .remote = packet->remote,
            };
            return;
        }
    }
    udp_transmit_cancel(queue, packet);
    queue->counters.transmit_dropped++;
}

/* How many packets from queue[first] on go as one message: to one destination, of one length, of which the last may fall short. */
static uint32_t message_packets(const struct udp_queue *queue, uint32_t first)
{
    const struct udp_transmit *transmit = &queue->transmit;
    const struct udp_packet *head = &transmit->queue[first];
    uint32_t bytes = head->length, count = 1;
    if (!queue->sockets[head->socket].segment)
        return 1;
    for (uint32_t i = first + 1; i < transmit->count && count < UDP_SEGMENTS_MAX; i++, count++) {
        const struct udp_packet *packet = &transmit->queue[i];
        bytes += packet->length;
        if (packet->socket != head->socket || packet->length > head->length || bytes > UDP_MESSAGE_BYTES_MAX ||
            !endpoint_equal(&packet->remote, &head->remote))
            break;
        if (packet->length < head->length)
            return count + 1;
    }
    return count;
}

static void set_segment_bytes(struct udp_burst *burst, uint32_t message, uint16_t bytes)
{
    struct msghdr *header = &burst->headers[message].msg_hdr;
    header->msg_control = burst->ancillary[message].bytes;
    header->msg_controllen = CMSG_SPACE(sizeof bytes);
    struct cmsghdr *item = CMSG_FIRSTHDR(header);
    item->cmsg_level = IPPROTO_UDP;
    item->cmsg_type = UDP_SEGMENT;
    item->cmsg_len = CMSG_LEN(sizeof bytes);
    memcpy(CMSG_DATA(item), &bytes, sizeof bytes);
}

/* Makes messages of the packets from queue[first] on, as far as they leave by the same socket. */
static void build_burst(struct udp_queue *queue, uint32_t first)
{
    struct udp_transmit *transmit = &queue->transmit;
    struct udp_burst *burst = &transmit->burst;
    uint16_t socket = transmit->queue[first].socket;
    burst->count = 0;
    for (uint32_t at = first; at < transmit->count && burst->count < UDP_BURST_MESSAGES;) {
        const struct udp_packet *head = &transmit->queue[at];
        if (head->socket != socket)
            break;
        uint32_t message = burst->count++, packets = message_packets(queue, at);
        burst->packets[message] = packets;
        burst->headers[message].msg_hdr = (struct msghdr){
            .msg_name = &burst->remotes[message],
            .msg_namelen = udp_sockaddr(&head->remote, &burst->remotes[message]),
            .msg_iov = &burst->spans[at],
            .msg_iovlen = packets,
        };
        if (packets > 1)
            set_segment_bytes(burst, message, head->length);
        for (uint32_t end = at + packets; at < end; at++) {
            const struct udp_packet *packet = &transmit->queue[at];
            burst->spans[at] =
                (struct iovec){.iov_base = buffer_at(transmit, packet->buffer), .iov_len = packet->length};
        }
    }
}

static bool is_full(int error)
{
    return error == EAGAIN || error == ENOBUFS || error == EINTR;
}

static void count_sent(struct udp_queue *queue, const struct udp_packet *packet)
{
    queue->queue.counters.packets_sent++;
    queue->queue.counters.bytes_sent += packet->length;
}

static void drop(struct udp_queue *queue, const struct udp_packet *packet, int error)
{
    queue->queue.counters.transmit_dropped++;
    if (error == EMSGSIZE)
        udp_too_long(queue, &queue->sockets[packet->socket].local, &packet->remote);
    else
        queue->queue.counters.errors++;
}

/* Sends the packets of a message that the kernel refused with `error` one by one. Returns how many are sent or dropped; the first that
 * does not fit now ends it. */
static uint32_t send_singly(struct udp_queue *queue, uint32_t first, uint32_t count, int error)
{
    struct udp_transmit *transmit = &queue->transmit;
    struct udp_socket *socket = &queue->sockets[transmit->queue[first].socket];
    bool all_sent = true;
    if (count == 1) {
        drop(queue, &transmit->queue[first], error);
        return 1;
    }
    for (uint32_t i = first; i < first + count; i++) {
        const struct udp_packet *packet = &transmit->queue[i];
        struct sockaddr_in6 remote;
        socklen_t length = udp_sockaddr(&packet->remote, &remote);
        queue->queue.counters.transmit_calls++;
        if (sendto(socket->fd, buffer_at(transmit, packet->buffer), packet->length, MSG_DONTWAIT,
                   (struct sockaddr *)&remote, length) >= 0) {
            count_sent(queue, packet);
            continue;
        }
        if (is_full(errno))
            return i - first;
        all_sent = false;
        drop(queue, packet, errno);
    }
    /* Alone they went: so it is segmentation that this kernel or device does not do. */
    if (all_sent && error != EMSGSIZE)
        socket->segment = false;
    return count;
}

/* Sends what begins at queue[first]. Returns how many packets are sent or dropped, 0 if none fits now. */
static uint32_t send_burst(struct udp_queue *queue, uint32_t first)
{
    struct udp_transmit *transmit = &queue->transmit;
    struct udp_burst *burst = &transmit->burst;
    build_burst(queue, first);
    int messages =
        sendmmsg(queue->sockets[transmit->queue[first].socket].fd, burst->headers, burst->count, MSG_DONTWAIT);
    queue->queue.counters.transmit_calls++;
    if (messages < 0)
        return is_full(errno) ? 0 : send_singly(queue, first, burst->packets[0], errno);
    uint32_t packets = 0;
    for (int i = 0; i < messages; i++)
        packets += burst->packets[i];
    for (uint32_t i = first; i < first + packets; i++)
        count_sent(queue, &transmit->queue[i]);
    return packets;
}

/* The queue's first `count` packets have left it. */
static void remove_first(struct udp_transmit *transmit, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        give_back(transmit, transmit->queue[i].buffer);
    transmit->count -= count;
    memmove(transmit->queue, transmit->queue + count, transmit->count * sizeof transmit->queue[0]);
}

void udp_flush(struct nic_queue *queue)
{
    struct udp_queue *udp = udp_queue_of(queue);
    struct udp_transmit *transmit = &udp->transmit;
    uint32_t done = 0, more = 1;
    if (transmit->count == 0)
        return;
    for (; done < transmit->count && more > 0; done += more)
        more = send_burst(udp, done);
    transmit->stalls = done > 0 ? 0 : transmit->stalls + 1;
    if (transmit->stalls > UDP_STALLS_MAX) {
        transmit->stalls = 0;
        queue->counters.transmit_dropped += transmit->count;
        done = transmit->count;
    }
    remove_first(transmit, done);
}
