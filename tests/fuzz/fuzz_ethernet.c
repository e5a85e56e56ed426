/* SPDX-License-Identifier: MIT */
/*
 * Frames from a hostile link into nic_ethernet, between packets of its own and passing time. The input is a list of steps: a byte that says what,
 * one that says how much, and for frames so many bytes (times 4) of frame. fuzz-runs: 5000
 */
#include <assert.h>
#include <string.h>

#include "path/neighbours.h"
#include "support/ether_net.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/wire.h"

enum { QUEUES = 2, FRAME_MAX = 1514 };
enum step { STEP_FRAME, STEP_SEND, STEP_TIME, STEP_ANSWER, STEP_COUNT };
/* Bits beside the step, for frames: nobody guesses checksums and MACs. */
enum { TO_US = 0x10, TO_ALL = 0x20, GOOD = 0x40, GOOD_ICMP = 0x80 };

static struct ether_net net;
static uint64_t frames_in, frames_out;

/* Each frame that leaves us is one that a strict receiver takes. */
static bool check_frame(void *arg, const struct frame_device *from, struct frame *frame)
{
    struct ethernet_header ethernet;
    struct ipv4_header ip;
    struct udp_header udp;
    struct arp arp;
    const uint8_t *body = frame->data + ETHERNET_BYTES;
    (void)arg, (void)from;
    frames_out++;
    assert(frame->length >= 46 && frame->length <= FRAME_MAX && ethernet_decode(frame->data, frame->length, &ethernet));
    if (ethernet.type == ETHERNET_ARP) {
        assert(arp_decode(body, frame->length - ETHERNET_BYTES, &arp) && arp.sender_ip == ether_net_ip(0));
        return false;
    }
    assert(ethernet.type == ETHERNET_IPV4 && mac_is_unicast(ethernet.destination));
    assert(ipv4_decode(body, frame->length - ETHERNET_BYTES, &ip) == IPV4_OK && ip.source == ether_net_ip(0));
    assert(ipv4_checksum_is_good(body, IPV4_BYTES));
    body += IPV4_BYTES;
    if (ip.protocol == IPV4_ICMP)
        assert(icmp_is_good(body, ip.length - IPV4_BYTES) && body[0] == ICMP_ECHO_REPLY);
    else
        assert(udp_decode(body, ip.length - IPV4_BYTES, &udp) && get_u16(body + 6) != 0 &&
               udp_checksum_is_good(body, &ip, &udp));
    return false;
}

static void turn(uint32_t index)
{
    struct nic_queue *queue = net.nics[0]->queues[index];
    struct nic_packet packets[NIC_BURST];
    struct nic_notice notice;
    queue->now_ns = net.now;
    uint32_t count = queue->ops->receive(queue, packets, NIC_BURST);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t last = 0;
        assert(packets[i].length <= WIRE_PACKET_MAX && endpoint_ipv4(&packets[i].local) == ether_net_ip(0));
        assert(packets[i].local.port >= ETHER_PORT && packets[i].local.port < ETHER_PORT + QUEUES &&
               packets[i].remote.port != 0);
        for (uint32_t at = 0; at < packets[i].length; at++)
            last ^= packets[i].data[at];
        packets[i].data = &last; /* the NIC knows its frames without us */
    }
    if (count > 0)
        queue->ops->receive_done(queue, packets, count);
    while (queue->ops->notice(queue, &notice)) {
        assert(notice.max_payload >= WIRE_PAYLOAD_MIN_MTU && notice.max_payload < 1472);
        assert(notice.local.port == ETHER_PORT + index);
    }
    assert(queue->timer_ns == 0 || queue->timer_ns > net.now);
}

static void put_frame(uint8_t what, const uint8_t *data, uint32_t length)
{
    uint8_t frame[FRAME_MAX];
    memcpy(frame, data, length);
    if ((what & TO_US) != 0 && length >= 34) {
        ether_net_mac(0, frame);
        if (get_u16(frame + 12) == ETHERNET_IPV4)
            put_u32(frame + 30, ether_net_ip(0));
    }
    if ((what & TO_ALL) != 0 && length >= MAC_BYTES)
        memset(frame, 0xff, MAC_BYTES);
    if ((what & GOOD_ICMP) != 0 && length > 38) {
        put_u16(frame + 36, 0);
        put_u16(frame + 36, (uint16_t)~checksum_add(0, frame + 34, length - 34));
    }
    frame_mem_inject(net.devices[0], what & 1, frame, length,
                     what & GOOD ? FRAME_IP_CHECKSUM_GOOD | FRAME_UDP_CHECKSUM_GOOD : 0);
    frames_in++;
}

/* An answer to what may be a question of ours: ARP that fuzzing by itself seldom gets right. */
static void put_answer(uint8_t who)
{
    uint8_t frame[64], us[MAC_BYTES];
    struct arp arp = {.operation = ARP_REPLY,
                      .sender_mac = {2, 0, 0, 0, 1, who},
                      .sender_ip = ETHER_IP(10, 0, 0, who & 7),
                      .target_ip = ether_net_ip(0)};
    ether_net_mac(0, us);
    frame_mem_inject(net.devices[0], who >> 7, frame, ether_net_arp(frame, us, &arp), 0);
    frames_in++;
}

static uint64_t questions(void)
{
    return ether_net_counters(&net, 0, 0)->arp_requests_sent + ether_net_counters(&net, 0, 1)->arp_requests_sent;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t sent = 0;
    frames_in = frames_out = 0;
    ether_net_open(&net);
    ether_net_add(&net, 0, &(struct ether_machine){.queues = QUEUES});
    frame_mem_set_filter(net.network, check_frame, NULL);
    while (size >= 2) {
        uint8_t what = data[0], much = data[1];
        uint32_t length = 4u * much < size - 2 ? 4u * much : (uint32_t)(size - 2);
        data += 2, size -= 2;
        switch ((enum step)((what >> 1) % STEP_COUNT)) {
        case STEP_FRAME:
            put_frame(what, data, length);
            data += length, size -= length;
            break;
        case STEP_SEND:
            sent += ether_net_send(&net, 0, what & 1, ETHER_IP(10, 0, 0, much & 7), ETHER_PORT, much, 20);
            break;
        case STEP_TIME:
            net.now += (uint64_t)much * ETHER_SECOND / 32;
            break;
        case STEP_ANSWER:
        default:
            put_answer(much);
            break;
        }
        turn(0);
        turn(1);
    }
    /* Never more out than in, besides what we say by ourselves. */
    assert(frames_out <= frames_in + sent + questions());
    ether_net_close(&net);
    return 0;
}
