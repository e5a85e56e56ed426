/* SPDX-License-Identifier: MIT */
/* What nic_ethernet says as a host: echoes, padding, what routers tell it. For ARP see test_nic_ethernet_hops.c. */
#include <criterion/criterion.h>
#include <string.h>

#include "support/ether_net.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/wire.h"

static struct ether_net net;

static void setup(void)
{
    ether_net_open(&net);
}

static void teardown(void)
{
    ether_net_close(&net);
}

TestSuite(nic_ethernet_answer, .init = setup, .fini = teardown);

static void add_two(const struct ether_machine *config)
{
    ether_net_add(&net, 0, config);
    ether_net_add(&net, 1, config);
}

static const struct nic_counters *counters(uint32_t machine)
{
    return ether_net_counters(&net, machine, 0);
}

static void inject(uint8_t *frame, uint32_t length)
{
    frame_mem_inject(net.devices[1], 0, frame, length, 0);
    ether_net_settle(&net, 1, NULL);
}

static uint8_t seen[2048];
static uint32_t seen_length;

static bool see(void *arg, const struct frame_device *from, struct frame *frame)
{
    (void)arg, (void)from;
    memcpy(seen, frame->data, frame->length);
    seen_length = frame->length;
    return true;
}

/* From machine 0, or somebody behind a gateway with its MAC, to machine 1. */
static uint32_t echo_frame(uint8_t *frame, uint32_t source, uint32_t body)
{
    struct ipv4_header ip = {.source = source,
                             .destination = ether_net_ip(1),
                             .protocol = IPV4_ICMP,
                             .length = IPV4_BYTES + ICMP_BYTES + body};
    ether_net_frame(frame, 0, 1, ETHER_PORT);
    ipv4_encode(frame + ETHERNET_BYTES, &ip, true);
    uint8_t *message = frame + ETHERNET_BYTES + IPV4_BYTES;
    memset(message, 0x77, ICMP_BYTES + body);
    message[0] = ICMP_ECHO, message[1] = 0;
    put_u16(message + 2, 0);
    put_u16(message + 2, (uint16_t)~checksum_add(0, message, ICMP_BYTES + body));
    return ETHERNET_BYTES + IPV4_BYTES + ICMP_BYTES + body;
}

Test(nic_ethernet_answer, receive__an_echo_is_answered_to_where_it_came_from)
{
    uint8_t frame[2048];
    uint8_t mac[MAC_BYTES];
    add_two(&(struct ether_machine){0});
    frame_mem_set_filter(net.network, see, NULL);
    uint32_t length = echo_frame(frame, ETHER_IP(192, 168, 7, 7), 1000);
    inject(frame, length);
    cr_assert_eq(counters(1)->icmp_echoes, 1);
    cr_assert_eq(counters(1)->arp_requests_sent, 0, "nothing is learnt or asked for it");
    cr_assert_eq(seen_length, length);
    ether_net_mac(0, mac);
    cr_assert_arr_eq(seen, mac, MAC_BYTES);
    struct ipv4_header ip;
    cr_assert_eq(ipv4_decode(seen + ETHERNET_BYTES, seen_length - ETHERNET_BYTES, &ip), IPV4_OK);
    cr_assert_eq(ip.source, ether_net_ip(1));
    cr_assert_eq(ip.destination, ETHER_IP(192, 168, 7, 7));
    cr_assert(ipv4_checksum_is_good(seen + ETHERNET_BYTES, IPV4_BYTES));
    cr_assert(icmp_is_good(seen + 34, 1008));
    cr_assert_eq(seen[34], ICMP_ECHO_REPLY);
    cr_assert_arr_eq(seen + 38, frame + 38, 1004);
    frame[length - 1] ^= 1;
    inject(frame, length);
    cr_assert_eq(counters(1)->bad_checksum, 1);
    inject(frame, echo_frame(frame, ETHER_IP(192, 168, 7, 7), 1500 - IPV4_BYTES - ICMP_BYTES));
    inject(frame, echo_frame(frame, ETHER_IP(192, 168, 7, 7), 1501 - IPV4_BYTES - ICMP_BYTES));
    cr_assert_eq(counters(1)->icmp_echoes, 2);
    cr_assert_eq(counters(1)->unanswered, 1, "longer than what we can send");
}

Test(nic_ethernet_answer, transmit__short_frames_of_our_own_are_padded)
{
    uint8_t frame[2048];
    add_two(&(struct ether_machine){0});
    frame_mem_set_filter(net.network, see, NULL);
    ether_net_send(&net, 0, 0, ether_net_ip(1), ETHER_PORT, 1, 10);
    cr_assert_eq(get_u16(seen + 12), ETHERNET_ARP);
    cr_assert_eq(seen_length, 60);
    ether_net_settle(&net, 1, NULL);
    inject(frame, echo_frame(frame, ether_net_ip(0), 0));
    cr_assert_eq(seen[34], ICMP_ECHO_REPLY);
    cr_assert_eq(seen_length, 60);
}

Test(nic_ethernet_answer, receive__echoes_are_answered_up_to_a_rate)
{
    enum { ECHOES = 1000 };
    uint8_t frame[2048];
    add_two(&(struct ether_machine){0});
    uint32_t length = echo_frame(frame, ether_net_ip(0), 10);
    for (uint32_t i = 0; i < ECHOES; i++)
        inject(frame, length);
    cr_assert_eq(counters(1)->icmp_echoes, 100);
    cr_assert_eq(counters(1)->unanswered, ECHOES - 100);
    net.now += ETHER_SECOND / 100;
    for (uint32_t i = 0; i < ECHOES; i++)
        inject(frame, length);
    cr_assert_eq(counters(1)->icmp_echoes, 110);
}

static uint32_t too_long_frame(uint8_t *frame, uint32_t source, uint16_t port, uint16_t mtu)
{
    uint32_t length = echo_frame(frame, ETHER_IP(10, 0, 0, 254), IPV4_BYTES + UDP_BYTES);
    uint8_t *message = frame + ETHERNET_BYTES + IPV4_BYTES, *ours = message + ICMP_BYTES;
    struct ipv4_header ip = {.source = source, .destination = ether_net_ip(0), .protocol = IPV4_UDP, .length = 9000};
    ipv4_encode(ours, &ip, true);
    put_u16(ours + IPV4_BYTES, port);
    put_u16(ours + IPV4_BYTES + 2, ETHER_PORT);
    message[0] = ICMP_UNREACHABLE, message[1] = ICMP_FRAGMENTATION_NEEDED;
    put_u16(message + 2, 0);
    put_u16(message + 6, mtu);
    put_u16(message + 2, (uint16_t)~checksum_add(0, message, length - ETHERNET_BYTES - IPV4_BYTES));
    return length;
}

Test(nic_ethernet_answer, notice__a_router_says_that_packets_are_too_long)
{
    uint8_t frame[2048];
    struct nic_notice notice;
    add_two(&(struct ether_machine){.mtu = 9001, .queues = 2});
    struct nic_queue *first = net.nics[1]->queues[0], *second = net.nics[1]->queues[1];
    inject(frame, too_long_frame(frame, ether_net_ip(1), ETHER_PORT + 1, 1500));
    cr_assert_not(first->ops->notice(first, &notice), "it is about a packet of the other worker");
    cr_assert(second->ops->notice(second, &notice));
    struct endpoint local = endpoint_from_ipv4(ether_net_ip(1), ETHER_PORT + 1),
                    remote = endpoint_from_ipv4(ether_net_ip(0), ETHER_PORT);
    cr_assert_eq(notice.kind, NIC_TOO_LONG);
    cr_assert_eq(notice.max_payload, 1472);
    cr_assert(endpoint_equal(&notice.local, &local));
    cr_assert(endpoint_equal(&notice.remote, &remote));
    cr_assert_not(second->ops->notice(second, &notice));

    inject(frame, too_long_frame(frame, ether_net_ip(1), ETHER_PORT, 0));
    cr_assert(first->ops->notice(first, &notice));
    cr_assert_eq(notice.max_payload, WIRE_PAYLOAD_MIN_MTU, "an old router");
    inject(frame, too_long_frame(frame, ether_net_ip(2), ETHER_PORT, 1500));
    inject(frame, too_long_frame(frame, ether_net_ip(1), ETHER_PORT + 2, 1500));
    inject(frame, too_long_frame(frame, ether_net_ip(1), ETHER_PORT, 9001));
    cr_assert_not(first->ops->notice(first, &notice), "not ours, or no news");
    for (int i = 0; i < 100; i++)
        inject(frame, too_long_frame(frame, ether_net_ip(1), ETHER_PORT, 1500));
    int count = 0;
    while (first->ops->notice(first, &notice))
        count++;
    cr_assert_leq(count, 16);
    cr_assert_gt(count, 0);
}
