/* SPDX-License-Identifier: MIT */
#include "nic/nic_udp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

void udp_receive_init(struct udp_queue *queue)
{
    struct udp_batch *batch = &queue->batch;
    for (uint32_t i = 0; i < UDP_RECEIVE_MESSAGES; i++) {
        batch->spans[i] = (struct iovec){
            .iov_base = batch->buffers + (size_t)i * UDP_RECEIVE_STRIDE,
            .iov_len = UDP_RECEIVE_BYTES,
        };
        batch->headers[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->remotes[i],
            .msg_iov = &batch->spans[i],
            .msg_iovlen = 1,
            .msg_control = batch->ancillary[i].bytes,
        };
    }
}

/* What the kernel wrote into the headers of the last batch is set back: it takes these as the room there is. */
static void rearm(struct udp_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        batch->headers[i].msg_hdr.msg_namelen = sizeof batch->remotes[i];
        batch->headers[i].msg_hdr.msg_controllen = sizeof batch->ancillary[i].bytes;
    }
}

static void fill_batch(struct udp_queue *queue)
{
    struct udp_batch *batch = &queue->batch;
    batch->count = UDP_RECEIVE_MESSAGES;
    rearm(batch);
    batch->message = batch->count = batch->offset = 0;
    for (uint32_t i = 0; i < queue->socket_count; i++) {
        const struct udp_socket *from = &queue->sockets[queue->next_socket];
        queue->next_socket = (queue->next_socket + 1) % queue->socket_count;
        int count = recvmmsg(from->fd, batch->headers, UDP_RECEIVE_MESSAGES, MSG_DONTWAIT, NULL);
        queue->queue.counters.receive_calls++;
        if (count > 0) {
            batch->from = from;
            batch->count = (uint32_t)count;
            return;
        }
        if (errno != EAGAIN && errno != EINTR)
            queue->queue.counters.errors++;
    }
}

/* The length of each segment but the last of a message; that of the whole message if it is only one. */
static uint32_t segment_bytes(struct msghdr *header, uint32_t length)
{
    for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item != NULL; item = CMSG_NXTHDR(header, item)) {
        if (item->cmsg_level == IPPROTO_UDP && item->cmsg_type == UDP_GRO) {
            int bytes;
            memcpy(&bytes, CMSG_DATA(item), sizeof bytes);
            return bytes > 0 ? (uint32_t)bytes : length;
        }
    }
    return length;
}

static void next_message(struct udp_batch *batch)
{
    batch->message++;
    batch->offset = 0;
}

/* Cuts packets from the present message of the batch. */
static uint32_t cut_message(struct udp_queue *queue, struct nic_packet *packets, uint32_t max)
{
    struct udp_batch *batch = &queue->batch;
    struct mmsghdr *message = &batch->headers[batch->message];
    if (message->msg_hdr.msg_flags & MSG_TRUNC) {
        queue->queue.counters.truncated++;
        next_message(batch);
        return 0;
    }
    uint32_t segment = segment_bytes(&message->msg_hdr, message->msg_len);
    struct endpoint remote;
    udp_endpoint(&batch->remotes[batch->message], &remote);
    uint32_t count = 0;
    while (count < max && batch->offset < message->msg_len) {
        uint32_t left = message->msg_len - batch->offset;
        uint32_t length = left < segment ? left : segment;
        packets[count++] = (struct nic_packet){
            .data = (uint8_t *)batch->spans[batch->message].iov_base + batch->offset,
            .length = length,
            .capacity = length,
            .local = batch->from->local,
            .remote = remote,
        };
        batch->offset += length;
        queue->queue.counters.bytes_received += length;
    }
    if (batch->offset == message->msg_len) /* an empty datagram is passed over */
        next_message(batch);
    return count;
}

uint32_t udp_receive(struct nic_queue *queue, struct nic_packet *packets, uint32_t max)
{
    struct udp_queue *udp = udp_queue_of(queue);
    struct udp_batch *batch = &udp->batch;
    assert(batch->lent == 0);
    if (batch->message == batch->count)
        fill_batch(udp);
    uint32_t count = 0;
    while (count < max && batch->message < batch->count)
        count += cut_message(udp, packets + count, max - count);
    batch->lent = count;
    queue->counters.packets_received += count;
    return count;
}

void udp_receive_done(struct nic_queue *queue, struct nic_packet *packets, uint32_t count)
{
    (void)packets;
    struct udp_batch *batch = &udp_queue_of(queue)->batch;
    assert(count <= batch->lent);
    batch->lent -= count;
}
