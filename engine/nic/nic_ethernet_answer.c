/* SPDX-License-Identifier: MIT */
#include "nic/nic_ethernet_internal.h"

#include <string.h>

enum { ANSWERS_AT_ONCE = 100 }; /* of a kind, by a queue; and so many a ... */
#define ANSWER_INTERVAL_NS UINT64_C(1000000)

/* A frame to `destination` with room for `length` bytes behind its header, at least. False: the device has none now. */
static bool begin_frame(struct ether_queue *queue, const uint8_t destination[MAC_BYTES], uint16_t type, uint32_t length,
                        struct frame *frame)
{
    const struct frame_ops *ops = queue->frames->ops;
    if (!ops->transmit_buffer(queue->frames, frame))
        return false;
    frame->length = ETHERNET_BYTES + length;
    if (frame->length > ETHERNET_BYTES + queue->ether->mtu || frame->length > frame->capacity) {
        ops->transmit_cancel(queue->frames, frame);
        return false;
    }
    struct ethernet_header ethernet = {.type = type};
    memcpy(ethernet.destination, destination, MAC_BYTES);
    memcpy(ethernet.source, queue->ether->device->mac, MAC_BYTES);
    ethernet_encode(frame->data, &ethernet);
    frame->flags = 0;
    return true;
}

static void send_frame(struct ether_queue *queue, struct frame *frame)
{
    if (frame->length < ETHER_FRAME_MIN) {
        memset(frame->data + frame->length, 0, ETHER_FRAME_MIN - frame->length);
        frame->length = ETHER_FRAME_MIN;
    }
    queue->frames->ops->transmit(queue->frames, frame);
    queue->unflushed = true;
}

/* ---- ARP ---- */

static bool send_arp(struct ether_queue *queue, const uint8_t destination[MAC_BYTES], struct arp *arp)
{
    struct frame frame;
    if (!begin_frame(queue, destination, ETHERNET_ARP, ARP_BYTES, &frame))
        return false;
    memcpy(arp->sender_mac, queue->ether->device->mac, MAC_BYTES);
    arp_encode(frame.data + ETHERNET_BYTES, arp);
    send_frame(queue, &frame);
    return true;
}

void ether_ask(struct ether_queue *queue, const struct neighbour_question *question)
{
    static const uint8_t broadcast[MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct arp arp = {.operation = ARP_REQUEST, .sender_ip = question->source, .target_ip = question->target};
    /* A question that finds no buffer is as one that was lost: it is repeated. */
    if (send_arp(queue, question->unicast ? question->mac : broadcast, &arp))
        queue->queue.counters.arp_requests_sent++;
}

static void answer_request(struct ether_queue *queue, const struct arp *request)
{
    struct arp reply = {.operation = ARP_REPLY, .sender_ip = request->target_ip, .target_ip = request->sender_ip};
    memcpy(reply.target_mac, request->sender_mac, MAC_BYTES);
    if (rate_take(&queue->arp_rate, queue->queue.now_ns, ANSWER_INTERVAL_NS, ANSWERS_AT_ONCE) &&
        send_arp(queue, request->sender_mac, &reply))
        queue->queue.counters.arp_replies_sent++;
    else
        queue->queue.counters.unanswered++;
}

void ether_receive_arp(struct ether_queue *queue, const uint8_t *packet, size_t length)
{
    struct nic_counters *counters = &queue->queue.counters;
    const struct ether *ether = queue->ether;
    struct arp arp;
    if (!arp_decode(packet, length, &arp) || !mac_is_unicast(arp.sender_mac)) {
        counters->malformed_frames++;
        return;
    }
    if (ether_is_ours(ether, arp.sender_ip)) { /* somebody else claims it, or our own question came back */
        counters->arp_ignored++;
        return;
    }
    if (!ether_is_ours(ether, arp.target_ip)) {
        counters->not_ours++;
        return;
    }
    if (arp.operation == ARP_REQUEST) {
        counters->arp_requests_received++;
        answer_request(queue, &arp);
        return;
    }
    counters->arp_replies_received++;
    if (!ether_hear(queue, arp.sender_ip, arp.sender_mac))
        counters->arp_ignored++;
}

/* ---- ICMP ---- */

static bool answer_echo(struct ether_queue *queue, const struct ethernet_header *ethernet, const struct ipv4_header *ip,
                        const uint8_t *message)
{
    struct frame frame;
    uint32_t length = ip->length - ip->header_length;
    if (!rate_take(&queue->icmp_rate, queue->queue.now_ns, ANSWER_INTERVAL_NS, ANSWERS_AT_ONCE) ||
        !begin_frame(queue, ethernet->source, ETHERNET_IPV4, IPV4_BYTES + length, &frame))
        return false;
    struct ipv4_header reply = {.source = ip->destination,
                                .destination = ip->source,
                                .id = queue->ip_id++,
                                .protocol = IPV4_ICMP,
                                .length = IPV4_BYTES + length};
    uint8_t *body = frame.data + ETHERNET_BYTES + IPV4_BYTES;
    ipv4_encode(frame.data + ETHERNET_BYTES, &reply, true);
    memcpy(body, message, length);
    icmp_reply(body, length);
    send_frame(queue, &frame);
    return true;
}

/* The packet is one that the worker of its source port could have sent. More cannot be known here: that payloads become shorter, within what every path carries, is all
 * that a forger gets. */
static void tell_too_long(struct ether *ether, const struct icmp_too_long *too_long)
{
    uint32_t port = too_long->source_port;
    if (!ether_is_ours(ether, too_long->source) || port < ether->udp_port ||
        port - ether->udp_port >= ether->nic.queue_count)
        return;
    uint32_t payload =
        too_long->mtu < NIC_ETHERNET_MTU_MIN ? WIRE_PAYLOAD_MIN_MTU : too_long->mtu - IPV4_BYTES - UDP_BYTES;
    if (payload >= ether_max_payload(ether))
        return;
    struct ether_queue *owner = &ether->queues[port - ether->udp_port];
    pthread_mutex_lock(&ether->lock);
    uint32_t count = atomic_load_explicit(&owner->notice_count, memory_order_relaxed);
    if (count < ETHER_NOTICES) {
        owner->notices[count] =
            (struct nic_notice){.kind = NIC_TOO_LONG,
                                .local = endpoint_from_ipv4(too_long->source, too_long->source_port),
                                .remote = endpoint_from_ipv4(too_long->destination, too_long->destination_port),
                                .max_payload = payload};
        atomic_store_explicit(&owner->notice_count, count + 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&ether->lock);
}

void ether_receive_icmp(struct ether_queue *queue, const struct ethernet_header *ethernet, const struct ipv4_header *ip,
                        const uint8_t *message)
{
    struct nic_counters *counters = &queue->queue.counters;
    struct icmp_too_long too_long;
    uint32_t length = ip->length - ip->header_length;
    if (!icmp_is_good(message, length)) {
        counters->bad_checksum++;
    } else if (message[0] == ICMP_ECHO) {
        if (answer_echo(queue, ethernet, ip, message))
            counters->icmp_echoes++;
        else
            counters->unanswered++;
    } else if (icmp_too_long_decode(message, length, &too_long)) {
        tell_too_long(queue->ether, &too_long);
    } else {
        counters->not_ours++;
    }
}

bool ether_notice(struct nic_queue *queue, struct nic_notice *notice)
{
    struct ether_queue *own = ether_queue_of(queue);
    if (atomic_load_explicit(&own->notice_count, memory_order_relaxed) == 0)
        return false;
    pthread_mutex_lock(&own->ether->lock);
    uint32_t count = atomic_load_explicit(&own->notice_count, memory_order_relaxed) - 1;
    *notice = own->notices[count];
    atomic_store_explicit(&own->notice_count, count, memory_order_relaxed);
    pthread_mutex_unlock(&own->ether->lock);
    return true;
}
