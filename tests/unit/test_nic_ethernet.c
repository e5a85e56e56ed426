/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "support/ether_net.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/wire.h"

static struct ether_net net;
static struct ether_received received;

static void setup(void)
{
    ether_net_open(&net);
    received = (struct ether_received){0};
}

static void teardown(void)
{
    ether_net_close(&net);
}

TestSuite(nic_ethernet, .init = setup, .fini = teardown);

static void add_two(const struct ether_machine *config)
{
    ether_net_add(&net, 0, config);
    ether_net_add(&net, 1, config);
}

static const struct nic_counters *counters(uint32_t machine)
{
    return ether_net_counters(&net, machine, 0);
}

static bool send(uint32_t from, uint32_t to, uint32_t tag, uint32_t length)
{
    return ether_net_send(&net, from, 0, ether_net_ip(to), ETHER_PORT, tag, length);
}

/* ---- Packets ---- */

Test(nic_ethernet, transmit__asks_and_delivers_in_order)
{
    add_two(&(struct ether_machine){0});
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(send(0, 1, i, 100 + i));
    ether_net_settle(&net, 1, &received);
    for (uint32_t i = 3; i < 60; i++)
        cr_assert(send(0, 1, i, 100 + i));
    ether_net_settle(&net, 1, &received);
    cr_assert_eq(received.count, 60);
    for (uint32_t i = 0; i < 60; i++)
        cr_assert_eq(received.tags[i], i);
    struct endpoint from = endpoint_from_ipv4(ether_net_ip(0), ETHER_PORT),
                    to = endpoint_from_ipv4(ether_net_ip(1), ETHER_PORT);
    cr_assert(endpoint_equal(&received.last.remote, &from));
    cr_assert(endpoint_equal(&received.last.local, &to));
    cr_assert_eq(received.last.length, 159);
    cr_assert_eq(counters(0)->arp_requests_sent, 1);
    cr_assert_eq(counters(1)->arp_requests_received, 1);
    cr_assert_eq(counters(1)->arp_replies_sent, 1);
    cr_assert_eq(counters(0)->arp_replies_received, 1);
    cr_assert_eq(counters(0)->packets_sent, 60);
    cr_assert_eq(counters(1)->packets_received, 60);
    cr_assert_eq(counters(0)->bytes_sent, counters(1)->bytes_received);
    cr_assert_eq(counters(0)->unresolved_drops, 0);
}

Test(nic_ethernet, transmit__every_length_of_every_mtu)
{
    static const uint32_t mtus[] = {1300, 1500, 8971, 9001};
    for (size_t i = 0; i < sizeof mtus / sizeof mtus[0]; i++) {
        struct ether_net other;
        struct ether_received got = {0};
        struct endpoint peer = endpoint_from_ipv4(ether_net_ip(1), ETHER_PORT);
        ether_net_open(&other);
        ether_net_add(&other, 0, &(struct ether_machine){.mtu = mtus[i]});
        ether_net_add(&other, 1, &(struct ether_machine){.mtu = mtus[i]});
        struct nic_queue *queue = other.nics[0]->queues[0];
        uint32_t longest = queue->ops->max_payload(queue, &peer, &peer);
        cr_assert_eq(longest, mtus[i] - 28 < WIRE_PACKET_MAX ? mtus[i] - 28 : WIRE_PACKET_MAX);
        cr_assert(ether_net_send(&other, 0, 0, ether_net_ip(1), ETHER_PORT, 1, longest));
        ether_net_settle(&other, 1, &got);
        cr_assert(ether_net_send(&other, 0, 0, ether_net_ip(1), ETHER_PORT, 2, longest));
        cr_assert(ether_net_send(&other, 0, 0, ether_net_ip(1), ETHER_PORT, 3, 5)); /* padded? it must not matter */
        ether_net_settle(&other, 1, &got);
        cr_assert_eq(got.count, 3);
        cr_assert_eq(got.last.length, 5);
        ether_net_close(&other);
    }
}

Test(nic_ethernet, transmit__checksums_by_the_device_if_it_offers)
{
    ether_net_add(&net, 0,
                  &(struct ether_machine){.transmit_flags = FRAME_IP_CHECKSUM_PLEASE | FRAME_UDP_CHECKSUM_PLEASE});
    ether_net_add(&net, 1, &(struct ether_machine){0});
    cr_assert(send(0, 1, 1, 77)); /* this one waits for the answer, the next does not */
    ether_net_settle(&net, 1, &received);
    cr_assert(send(0, 1, 2, 78));
    cr_assert(send(1, 0, 3, 79));
    ether_net_settle(&net, 1, &received);
    cr_assert_eq(received.count, 2);
    cr_assert_eq(counters(1)->bad_checksum, 0);
}

Test(nic_ethernet, transmit__to_nowhere)
{
    static const struct route route = {.network = ETHER_IP(10, 0, 0, 0), .length = 24};
    struct nic_packet packet;
    add_two(&(struct ether_machine){.routes = &route, .route_count = 1});
    cr_assert(ether_net_send(&net, 0, 0, ETHER_IP(10, 0, 1, 1), ETHER_PORT, 1, 10));
    cr_assert(ether_net_send(&net, 0, 0, ETHER_IP(255, 255, 255, 255), ETHER_PORT, 1, 10));
    struct nic_queue *queue = net.nics[0]->queues[0];
    cr_assert(queue->ops->transmit_buffer(queue, &packet));
    packet.length = 10;
    packet.local = endpoint_from_ipv4(ether_net_ip(0), ETHER_PORT);
    packet.remote = (struct endpoint){.ip = {0xfd, [15] = 1}, .port = ETHER_PORT};
    queue->ops->transmit(queue, &packet);
    cr_assert_eq(counters(0)->no_route, 3);
    cr_assert_eq(counters(0)->packets_sent, 0);
    cr_assert_eq(queue->timer_ns, 0);
}

Test(nic_ethernet, transmit_buffer__none)
{
    struct nic_packet packet;
    add_two(&(struct ether_machine){0});
    struct nic_queue *queue = net.nics[0]->queues[0];
    frame_mem_set_starved(net.devices[0], true);
    cr_assert_not(queue->ops->transmit_buffer(queue, &packet));
    frame_mem_set_starved(net.devices[0], false);
    cr_assert(queue->ops->transmit_buffer(queue, &packet));
    queue->ops->transmit_cancel(queue, &packet);
}

/* ---- What is not taken ---- */

static void inject(uint8_t *frame, uint32_t length)
{
    frame_mem_inject(net.devices[1], 0, frame, length, 0);
    ether_net_settle(&net, 1, &received);
}

static void put_ip_checksum(uint8_t *frame)
{
    put_u16(frame + 24, 0);
    put_u16(frame + 24, (uint16_t)~checksum_add(0, frame + ETHERNET_BYTES, (frame[14] & 0xfu) * 4));
}

Test(nic_ethernet, receive__wrong_checksums_are_counted_and_dropped)
{
    uint8_t frame[64];
    uint32_t length = ether_net_frame(frame, 0, 1, ETHER_PORT);
    add_two(&(struct ether_machine){0});
    inject(frame, length);
    cr_assert_eq(received.count, 1);
    frame[length - 1] ^= 1; /* payload */
    inject(frame, length);
    cr_assert_eq(counters(1)->bad_checksum, 1);
    put_u16(frame + 40, 0); /* none: whoever reads it has his own */
    frame[length - 1] ^= 1;
    inject(frame, length);
    cr_assert_eq(received.count, 2);
    frame[22] ^= 1; /* TTL */
    inject(frame, length);
    cr_assert_eq(counters(1)->bad_checksum, 2);
    cr_assert_eq(received.count, 2);
}

Test(nic_ethernet, receive__what_the_device_verified_is_not_verified_again)
{
    uint8_t frame[64];
    uint32_t length = ether_net_frame(frame, 0, 1, ETHER_PORT);
    add_two(&(struct ether_machine){0});
    frame[22] ^= 1;
    frame_mem_inject(net.devices[1], 0, frame, length, FRAME_IP_CHECKSUM_GOOD);
    ether_net_settle(&net, 1, &received);
    cr_assert_eq(received.count, 1);
    put_u16(frame + 40, 0x1234);
    frame_mem_inject(net.devices[1], 0, frame, length, FRAME_IP_CHECKSUM_GOOD | FRAME_UDP_CHECKSUM_GOOD);
    ether_net_settle(&net, 1, &received);
    cr_assert_eq(received.count, 2);
    frame_mem_inject(net.devices[1], 0, frame, length, FRAME_UDP_CHECKSUM_GOOD);
    frame_mem_inject(net.devices[1], 0, frame, length, FRAME_IP_CHECKSUM_GOOD);
    ether_net_settle(&net, 1, &received);
    cr_assert_eq(received.count, 2);
    cr_assert_eq(counters(1)->bad_checksum, 2);
}

Test(nic_ethernet, receive__not_ours)
{
    uint8_t frame[64];
    uint32_t length, expected = 0;
    add_two(&(struct ether_machine){.queues = 2});
    length = ether_net_frame(frame, 0, 1, ETHER_PORT - 1);
    inject(frame, length), expected++;
    length = ether_net_frame(frame, 0, 1, ETHER_PORT + 2);
    inject(frame, length), expected++;
    length = ether_net_frame(frame, 0, 2, ETHER_PORT); /* another MAC */
    inject(frame, length), expected++;
    frame[5] = 2; /* our MAC, another address: a host does not route */
    inject(frame, length), expected++;
    length = ether_net_frame(frame, 0, 1, ETHER_PORT);
    memset(frame, 0xff, MAC_BYTES); /* broadcast */
    inject(frame, length), expected++;
    length = ether_net_frame(frame, 1, 1, ETHER_PORT); /* from ourselves */
    inject(frame, length), expected++;
    length = ether_net_frame(frame, 0, 1, ETHER_PORT);
    put_u32(frame + 26, ETHER_IP(224, 0, 0, 1)); /* from a group */
    put_ip_checksum(frame);
    inject(frame, length), expected++;
    length = ether_net_frame(frame, 0, 1, ETHER_PORT);
    frame[23] = 6; /* TCP */
    put_ip_checksum(frame);
    inject(frame, length), expected++;
    length = ether_net_frame(frame, 0, 1, ETHER_PORT);
    put_u16(frame + 12, 0x86dd); /* IPv6 */
    inject(frame, length), expected++;
    cr_assert_eq(counters(1)->not_ours, expected);
    cr_assert_eq(received.count, 0);
    length = ether_net_frame(frame, 0, 1, ETHER_PORT + 1);
    inject(frame, length);
    cr_assert_eq(received.count, 1, "port of the other queue: that worker's packet, but ours");
}

Test(nic_ethernet, receive__malformed)
{
    uint8_t frame[64];
    uint32_t length = ether_net_frame(frame, 0, 1, ETHER_PORT), expected = 0;
    add_two(&(struct ether_machine){0});
    for (uint32_t cut = 1; cut < length; cut++) { /* the last byte, two, ... missing */
        inject(frame, length - cut);
        expected++;
    }
    frame[6] |= 1; /* from a group */
    inject(frame, length), expected++;
    length = ether_net_frame(frame, 0, 1, ETHER_PORT);
    frame[20] = 0x20; /* more fragments */
    put_ip_checksum(frame);
    inject(frame, length), expected++;
    length = ether_net_frame(frame, 0, 1, ETHER_PORT);
    put_u16(frame + 38, 9 + 8); /* UDP longer than IP */
    inject(frame, length), expected++;
    length = ether_net_frame(frame, 0, 1, ETHER_PORT);
    put_u16(frame + 34, 0); /* from port 0 */
    inject(frame, length), expected++;
    cr_assert_eq(counters(1)->malformed_frames, expected);
    cr_assert_eq(received.count, 0);
}

Test(nic_ethernet, receive__options_and_padding_are_passed_over)
{
    uint8_t frame[80] = {0}, with[80] = {0};
    uint32_t length = ether_net_frame(frame, 0, 1, ETHER_PORT);
    add_two(&(struct ether_machine){0});
    memcpy(with, frame, 34);
    memset(with + 34, 1, 8); /* no operation */
    memcpy(with + 42, frame + 34, length - 34);
    with[14] = 0x47;
    put_u16(with + 16, (uint16_t)(length - 14 + 8));
    put_ip_checksum(with);
    inject(with, length + 8 + 6);
    cr_assert_eq(received.count, 1);
    cr_assert_eq(received.last.length, 8);
}

Test(nic_ethernet, receive__longer_than_any_packet_of_ours)
{
    enum { TOO_LONG = WIRE_PACKET_MAX + 1 };
    static uint8_t frame[UDP_HEADERS_BYTES + TOO_LONG];
    struct ipv4_header ip = {.source = ether_net_ip(0),
                             .destination = ether_net_ip(1),
                             .protocol = IPV4_UDP,
                             .length = IPV4_BYTES + UDP_BYTES + TOO_LONG};
    struct udp_header udp = {.source = ETHER_PORT, .destination = ETHER_PORT, .payload_length = TOO_LONG};
    add_two(&(struct ether_machine){.mtu = 9001});
    ether_net_frame(frame, 0, 1, ETHER_PORT);
    ipv4_encode(frame + ETHERNET_BYTES, &ip, true);
    udp_encode(frame + ETHERNET_BYTES + IPV4_BYTES, &ip, &udp, UDP_CHECKSUM_FULL);
    inject(frame, sizeof frame);
    cr_assert_eq(counters(1)->truncated, 1);
    cr_assert_eq(received.count, 0);
}

/* ---- The link ---- */

Test(nic_ethernet, link__down_and_up)
{
    add_two(&(struct ether_machine){0});
    send(0, 1, 1, 10);
    ether_net_settle(&net, 1, &received);
    cr_assert_eq(received.count, 1);
    frame_mem_set_link(net.devices[0], false);
    ether_net_pass(&net, ETHER_SECOND / 10, 1, &received);
    for (uint32_t i = 0; i < 10; i++)
        cr_assert(send(0, 1, 2, 10), "it goes on giving buffers");
    ether_net_pass(&net, ETHER_SECOND, 1, &received);
    cr_assert_eq(received.count, 1);
    cr_assert_eq(counters(0)->link_downs, 1);
    cr_assert_eq(counters(0)->transmit_dropped, 10);
    frame_mem_set_link(net.devices[0], true);
    ether_net_pass(&net, ETHER_SECOND / 10, 1, &received);
    send(0, 1, 3, 10);
    ether_net_settle(&net, 1, &received);
    cr_assert_eq(received.count, 2);
    cr_assert_eq(received.tags[1], 3, "nothing that is out of date");
    cr_assert_eq(counters(0)->link_downs, 1);
}

Test(nic_ethernet, link__what_the_device_drops_is_counted)
{
    add_two(&(struct ether_machine){0});
    send(0, 1, 1, 10);
    ether_net_settle(&net, 1, &received);
    frame_mem_set_link(net.devices[0], false); /* it has not been looked at yet */
    for (uint32_t i = 0; i < FRAME_MEM_RING + 2; i++)
        send(0, 1, 2, 10);
    cr_assert_eq(counters(0)->transmit_dropped, 2);
    send(0, 1, 2, 10);
    cr_assert_eq(counters(0)->transmit_dropped, 3);
}

/* ---- Opening ---- */

static void expect_refusal(const struct nic_ethernet_config *config, const char *word)
{
    char error[NIC_ERROR_BYTES] = "";
    static const uint8_t mac[MAC_BYTES] = {2, 0, 0, 0, 0, 9};
    struct frame_device *device = frame_mem_open(net.network, mac, 1500, 2, 0, 0);
    cr_assert_null(nic_ethernet_open(device, config, error)); /* the switch checks that the device is closed */
    cr_assert_not_null(strstr(error, word), "%s", error);
}

Test(nic_ethernet, open__refuses_with_a_sentence)
{
    const struct endpoint ours = endpoint_from_ipv4(ether_net_ip(0), 0),
                          group = endpoint_from_ipv4(ETHER_IP(224, 0, 0, 1), 0);
    const struct endpoint ipv6 = {.ip = {0xfd, [15] = 1}};
    const struct nic_ethernet_config good = {
        .addresses = &ours, .address_count = 1, .queues = 1, .udp_port = ETHER_PORT};
    struct nic_ethernet_config config = good;
    config.addresses = &ipv6;
    expect_refusal(&config, "fd00::1: IPv6");
    config.addresses = &group;
    expect_refusal(&config, "224.0.0.1");
    config = good, config.address_count = 0;
    expect_refusal(&config, "--ip");
    config = good, config.queues = 3;
    expect_refusal(&config, "--workers 2");
    config = good, config.udp_port = UINT16_MAX, config.queues = 2;
    expect_refusal(&config, "UDP ports");
    config = good, config.mtu = 1501;
    expect_refusal(&config, "MTU of 1501");
    config.mtu = 1259;
    expect_refusal(&config, "MTU of 1259");

    struct route routes[2] = {{.network = ETHER_IP(10, 0, 0, 1), .length = 24}};
    config = good, config.routes = routes, config.route_count = 1;
    expect_refusal(&config, "10.0.0.1/24");
    routes[0] = (struct route){.gateway = ether_net_ip(0)};
    expect_refusal(&config, "0.0.0.0/0 via 10.0.0.1");
    routes[0] = (struct route){.gateway = ether_net_ip(1)};
    routes[1] = (struct route){.gateway = ether_net_ip(2)};
    config.route_count = 2;
    expect_refusal(&config, "another gateway");

    struct nic_ethernet_neighbour neighbours[2] = {{.ip = ether_net_ip(1), .mac = {1}}};
    config = good, config.neighbours = neighbours, config.neighbour_count = 1;
    expect_refusal(&config, "10.0.0.2");
    neighbours[0].mac[0] = neighbours[1].mac[0] = 2;
    neighbours[1].mac[5] = 7, neighbours[1].ip = neighbours[0].ip;
    config.neighbour_count = 2;
    expect_refusal(&config, "twice");
}

Test(nic_ethernet, open__a_smaller_mtu)
{
    char error[NIC_ERROR_BYTES];
    static const uint8_t mac[MAC_BYTES] = {2, 0, 0, 0, 0, 9};
    const struct endpoint ours = endpoint_from_ipv4(ether_net_ip(0), 0);
    struct nic_ethernet_config config = {
        .addresses = &ours, .address_count = 1, .queues = 1, .udp_port = ETHER_PORT, .mtu = 1300};
    struct nic_packet packet;
    net.nics[0] = nic_ethernet_open(frame_mem_open(net.network, mac, 9001, 1, 0, 0), &config, error);
    cr_assert_not_null(net.nics[0], "%s", error);
    cr_assert_str_eq(net.nics[0]->ops->name, "frame_mem");
    struct nic_queue *queue = net.nics[0]->queues[0];
    cr_assert(queue->ops->transmit_buffer(queue, &packet));
    cr_assert_eq(packet.capacity, 1272);
    queue->ops->transmit_cancel(queue, &packet);
}
