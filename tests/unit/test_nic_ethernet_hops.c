/* SPDX-License-Identifier: MIT */
/* Next hops of nic_ethernet: ARP, gateways, and what attackers on the link can do about them. */
#include <criterion/criterion.h>
#include <string.h>

#include "path/neighbours.h"
#include "support/ether_net.h"
#include "wire/bytes.h"

enum { ALICE, BOB, MALLORY };

static struct ether_net net;
static struct ether_received received;
static uint8_t macs[ETHER_MACHINES][MAC_BYTES];

static void setup(void)
{
    ether_net_open(&net);
    received = (struct ether_received){0};
    for (uint32_t i = 0; i < ETHER_MACHINES; i++)
        ether_net_mac(i, macs[i]);
}

static void teardown(void)
{
    ether_net_close(&net);
}

TestSuite(nic_ethernet_hops, .init = setup, .fini = teardown);

static const struct nic_counters *counters(uint32_t machine)
{
    return ether_net_counters(&net, machine, 0);
}

static bool send(uint32_t from, uint32_t to_ip, uint32_t tag)
{
    return ether_net_send(&net, from, 0, to_ip, ETHER_PORT, tag, 100);
}

/* What Bob gets of packets that Alice sends each `pause` ns for `ns`. */
static uint32_t stream(uint64_t pause, uint64_t ns)
{
    uint32_t sent = 0, before = received.count;
    for (uint64_t end = net.now + ns; net.now < end; sent++) {
        cr_assert(send(ALICE, ether_net_ip(BOB), sent));
        ether_net_pass(&net, pause, BOB, &received);
    }
    return received.count - before;
}

static uint32_t stream_to_bob(uint64_t ns)
{
    return stream(ETHER_SECOND / 10, ns);
}

/* Mallory says to Alice that `ip` has his MAC: as an answer, as a request, and as announcements of both kinds. */
static void spoof(uint32_t ip)
{
    static const uint8_t broadcast[MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint8_t frame[64];
    struct arp arp = {.sender_ip = ip};
    memcpy(arp.sender_mac, macs[MALLORY], MAC_BYTES);
    for (uint16_t operation = ARP_REQUEST; operation <= ARP_REPLY; operation++) {
        arp.operation = operation;
        arp.target_ip = ether_net_ip(ALICE);
        frame_mem_inject(net.devices[ALICE], 0, frame, ether_net_arp(frame, macs[ALICE], &arp), 0);
        arp.target_ip = ip;
        frame_mem_inject(net.devices[ALICE], 0, frame, ether_net_arp(frame, broadcast, &arp), 0);
    }
}

static void add_all(const struct ether_machine *config)
{
    for (uint32_t i = 0; i < ETHER_MACHINES; i++)
        ether_net_add(&net, i, config);
}

/* ---- Unresolved ---- */

Test(nic_ethernet_hops, unresolved__a_few_packets_are_kept)
{
    ether_net_add(&net, ALICE, &(struct ether_machine){0});
    for (uint32_t i = 0; i < 10; i++)
        cr_assert(send(ALICE, ether_net_ip(BOB), i));
    cr_assert_eq(counters(ALICE)->unresolved_drops, 6);
    cr_assert_neq(net.nics[ALICE]->queues[0]->timer_ns, 0);
    ether_net_add(&net, BOB, &(struct ether_machine){0}); /* he comes in time for the second question */
    ether_net_pass(&net, ETHER_SECOND, BOB, &received);
    cr_assert_eq(received.count, 4);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(received.tags[i], i);
    cr_assert_eq(counters(ALICE)->arp_requests_sent, 2);
    cr_assert_eq(net.nics[ALICE]->queues[0]->timer_ns, 0, "nothing is left to do");
}

Test(nic_ethernet_hops, unresolved__nobody_is_there)
{
    ether_net_add(&net, ALICE, &(struct ether_machine){0});
    for (uint32_t i = 0; i < 4; i++)
        cr_assert(send(ALICE, ether_net_ip(BOB), i));
    ether_net_pass(&net, 2 * ETHER_SECOND, BOB, NULL);
    cr_assert_eq(counters(ALICE)->arp_requests_sent, NEIGHBOURS_QUESTIONS);
    cr_assert_eq(counters(ALICE)->unresolved_drops, 4);
    cr_assert_eq(counters(ALICE)->packets_sent, 0);
    cr_assert_eq(net.nics[ALICE]->queues[0]->timer_ns, 0);
}

Test(nic_ethernet_hops, unresolved__a_scan_is_bounded)
{
    ether_net_add(&net, ALICE, &(struct ether_machine){0});
    ether_net_add(&net, BOB, &(struct ether_machine){0});
    cr_assert_eq(stream_to_bob(ETHER_SECOND / 10), 1);
    uint64_t before = counters(ALICE)->arp_requests_sent;
    for (uint32_t i = 0; i < 20000; i++)
        cr_assert(send(ALICE, ETHER_IP(10, 1, 0, 0) + i, i));
    cr_assert_leq(counters(ALICE)->arp_requests_sent - before, NEIGHBOURS_RATE);
    cr_assert_geq(counters(ALICE)->unresolved_drops, 20000 - 32);
    cr_assert_eq(stream_to_bob(ETHER_SECOND), 10, "those who are known do not suffer");
}

Test(nic_ethernet_hops, unresolved__no_buffer_for_a_question_is_as_if_it_were_lost)
{
    ether_net_add(&net, ALICE, &(struct ether_machine){0});
    ether_net_add(&net, BOB, &(struct ether_machine){0});
    struct nic_queue *queue = net.nics[ALICE]->queues[0];
    struct nic_packet packet;
    cr_assert(queue->ops->transmit_buffer(queue, &packet));
    memset(packet.data, 0x5a, 10);
    packet.length = 10;
    packet.local = endpoint_from_ipv4(ether_net_ip(ALICE), ETHER_PORT);
    packet.remote = endpoint_from_ipv4(ether_net_ip(BOB), ETHER_PORT);
    frame_mem_set_starved(net.devices[ALICE], true);
    queue->ops->transmit(queue, &packet);
    frame_mem_set_starved(net.devices[ALICE], false);
    cr_assert_eq(counters(ALICE)->arp_requests_sent, 0);
    ether_net_pass(&net, ETHER_SECOND, BOB, &received);
    cr_assert_eq(received.count, 1);
}

/* The answer comes in on another queue than the one whose packets wait. */
static uint32_t arp_to_queue_0(const struct frame_device *device, const struct frame *frame)
{
    if (get_u16(frame->data + 12) == ETHERNET_ARP)
        return 0;
    return get_u16(frame->data + 36) - (uint32_t)ETHER_PORT < device->queue_count
               ? get_u16(frame->data + 36) - (uint32_t)ETHER_PORT
               : 0;
}

Test(nic_ethernet_hops, unresolved__the_answer_comes_to_another_queue)
{
    ether_net_add(&net, ALICE, &(struct ether_machine){.queues = 2});
    ether_net_add(&net, BOB, &(struct ether_machine){.queues = 2});
    frame_mem_set_rss(net.devices[ALICE], arp_to_queue_0);
    frame_mem_set_rss(net.devices[BOB], arp_to_queue_0);
    cr_assert(ether_net_send(&net, ALICE, 1, ether_net_ip(BOB), ETHER_PORT + 1, 7, 100));
    ether_net_turn(&net, BOB, 0, NULL);
    ether_net_turn(&net, ALICE, 0, NULL);
    cr_assert_eq(ether_net_counters(&net, ALICE, 0)->arp_replies_received, 1);
    struct nic_queue *keeper = net.nics[ALICE]->queues[1];
    cr_assert_leq(keeper->timer_ns, net.now + ETHER_SECOND / 1000, "its worker looks soon, though nobody wakes it");
    net.now = keeper->timer_ns;
    ether_net_turn(&net, ALICE, 1, NULL);
    cr_assert_eq(ether_net_turn(&net, BOB, 1, &received), 1);
    cr_assert_eq(received.tags[0], 7);
    cr_assert_eq(keeper->timer_ns, 0);
}

/* ---- Attacks ---- */

static uint32_t stolen, asked_all;

static bool count_stolen(void *arg, const struct frame_device *from, struct frame *frame)
{
    (void)arg;
    asked_all += from == net.devices[ALICE] && frame->data[0] == 0xff;
    stolen += memcmp(frame->data, macs[MALLORY], MAC_BYTES) == 0 && get_u16(frame->data + 12) == ETHERNET_IPV4;
    return true;
}

Test(nic_ethernet_hops, spoofing__does_not_redirect_a_flow)
{
    add_all(&(struct ether_machine){0});
    frame_mem_set_filter(net.network, count_stolen, NULL);
    cr_assert_eq(stream_to_bob(ETHER_SECOND / 10), 1);
    uint32_t sent = 0, before = received.count;
    for (; sent < 200; sent++) { /* twenty seconds: through all states of an entry in use */
        spoof(ether_net_ip(BOB));
        ether_net_turn(&net, ALICE, 0, NULL);
        cr_assert(send(ALICE, ether_net_ip(BOB), sent));
        spoof(ether_net_ip(BOB)); /* while a question may be open */
        ether_net_turn(&net, ALICE, 0, NULL);
        ether_net_pass(&net, ETHER_SECOND / 10, BOB, &received);
    }
    cr_assert_eq(received.count - before, sent);
    cr_assert_eq(stolen, 0);
    cr_assert_eq(asked_all, 1, "then only who was known");
    cr_assert_geq(counters(ALICE)->arp_ignored, 400);
    cr_assert_geq(counters(ALICE)->arp_requests_sent, 4, "it was confirmed all the time");
}

Test(nic_ethernet_hops, spoofing__is_not_learnt_before_it_is_asked_for)
{
    add_all(&(struct ether_machine){0});
    spoof(ether_net_ip(BOB));
    ether_net_settle(&net, BOB, &received);
    cr_assert_eq(stream_to_bob(ETHER_SECOND / 10), 1);
    cr_assert_eq(counters(ALICE)->arp_requests_sent, 1);
}

Test(nic_ethernet_hops, spoofing__our_own_address_is_ignored)
{
    uint8_t frame[64];
    add_all(&(struct ether_machine){0});
    struct arp arp = {.operation = ARP_REQUEST, .sender_ip = ether_net_ip(ALICE), .target_ip = ether_net_ip(ALICE)};
    memcpy(arp.sender_mac, macs[MALLORY], MAC_BYTES);
    frame_mem_inject(net.devices[ALICE], 0, frame, ether_net_arp(frame, macs[ALICE], &arp), 0);
    ether_net_settle(&net, ALICE, NULL);
    cr_assert_eq(counters(ALICE)->arp_ignored, 1);
    cr_assert_eq(counters(ALICE)->arp_replies_sent, 0);
}

Test(nic_ethernet_hops, flood__of_requests_is_answered_up_to_a_rate_and_not_learnt)
{
    enum { REQUESTS = 5000 };
    uint8_t frame[64];
    ether_net_add(&net, ALICE, &(struct ether_machine){0});
    for (uint32_t i = 0; i < REQUESTS; i++) {
        struct arp arp = {
            .operation = ARP_REQUEST, .sender_ip = ETHER_IP(10, 2, 0, 0) + i, .target_ip = ether_net_ip(ALICE)};
        memcpy(arp.sender_mac, macs[MALLORY], MAC_BYTES);
        frame_mem_inject(net.devices[ALICE], 0, frame, ether_net_arp(frame, macs[ALICE], &arp), 0);
        ether_net_turn(&net, ALICE, 0, NULL);
    }
    cr_assert_eq(counters(ALICE)->arp_requests_received, REQUESTS);
    cr_assert_eq(counters(ALICE)->arp_replies_sent, 100);
    cr_assert_eq(counters(ALICE)->unanswered, REQUESTS - 100);
    cr_assert(send(ALICE, ETHER_IP(10, 2, 0, 1), 1));
    cr_assert_eq(counters(ALICE)->arp_requests_sent, 1);
}

Test(nic_ethernet_hops, probe__for_our_address_is_answered) /* RFC 5227: somebody wants to know whether it is taken */
{
    uint8_t frame[64];
    ether_net_add(&net, ALICE, &(struct ether_machine){0});
    struct arp arp = {.operation = ARP_REQUEST, .target_ip = ether_net_ip(ALICE)};
    memcpy(arp.sender_mac, macs[MALLORY], MAC_BYTES);
    frame_mem_inject(net.devices[ALICE], 0, frame, ether_net_arp(frame, macs[ALICE], &arp), 0);
    ether_net_turn(&net, ALICE, 0, NULL);
    cr_assert_eq(counters(ALICE)->arp_replies_sent, 1);
}

/* ---- Changes ---- */

Test(nic_ethernet_hops, mac_change__is_found_within_the_bound)
{
    static const uint8_t new_mac[MAC_BYTES] = {2, 0, 0, 0, 0, 0x42};
    ether_net_add(&net, ALICE, &(struct ether_machine){0});
    ether_net_add(&net, BOB, &(struct ether_machine){0});
    cr_assert_eq(stream_to_bob(ETHER_SECOND), 10);
    frame_mem_set_mac(net.devices[BOB], new_mac);
    uint64_t change = net.now;
    while (stream(ETHER_SECOND / 100, ETHER_SECOND / 100) == 0)
        cr_assert_leq(net.now - change, NEIGHBOURS_CHANGE_NS + ETHER_SECOND / 50);
    cr_assert_eq(stream_to_bob(ETHER_SECOND), 10);
}

Test(nic_ethernet_hops, mac_change__the_next_packet_after_the_answer_goes_there)
{
    static const uint8_t new_mac[MAC_BYTES] = {2, 0, 0, 0, 0, 0x42};
    ether_net_add(&net, ALICE, &(struct ether_machine){0});
    ether_net_add(&net, BOB, &(struct ether_machine){0});
    frame_mem_set_filter(net.network, count_stolen, NULL);
    cr_assert_eq(stream_to_bob(ETHER_SECOND), 10);
    cr_assert_eq(asked_all, 1);
    frame_mem_set_mac(net.devices[BOB], new_mac);
    while (asked_all == 1) {
        net.now += ETHER_SECOND / 100;
        ether_net_turn(&net, ALICE, 0, NULL);         /* asks ... */
        cr_assert(send(ALICE, ether_net_ip(BOB), 1)); /* ... has no answer yet ... */
        ether_net_settle(&net, BOB, &received);       /* ... and gets it */
    }
    cr_assert_eq(received.count, 10);
    cr_assert(send(ALICE, ether_net_ip(BOB), 2));
    ether_net_settle(&net, BOB, &received);
    cr_assert_eq(received.count, 11);
}

Test(nic_ethernet_hops, peer__away_and_back)
{
    ether_net_add(&net, ALICE, &(struct ether_machine){0});
    ether_net_add(&net, BOB, &(struct ether_machine){0});
    cr_assert_eq(stream_to_bob(ETHER_SECOND), 10);
    frame_mem_set_link(net.devices[BOB], false);
    cr_assert_eq(stream_to_bob(20 * ETHER_SECOND), 0);
    cr_assert_gt(counters(ALICE)->unresolved_drops, 0);
    frame_mem_set_link(net.devices[BOB], true);
    stream_to_bob(3 * ETHER_SECOND);
    cr_assert_eq(stream_to_bob(ETHER_SECOND), 10);
}

Test(nic_ethernet_hops, static__is_not_asked_for)
{
    const struct nic_ethernet_neighbour bob = {.ip = ether_net_ip(BOB), .mac = {2, 0, 0, 0, 0, 1 + BOB}};
    ether_net_add(&net, ALICE, &(struct ether_machine){.neighbours = &bob, .neighbour_count = 1});
    ether_net_add(&net, BOB, &(struct ether_machine){0});
    ether_net_add(&net, MALLORY, &(struct ether_machine){0});
    for (int i = 0; i < 10; i++) {
        spoof(ether_net_ip(BOB));
        cr_assert_eq(stream_to_bob(ETHER_SECOND), 10);
    }
    cr_assert_eq(counters(ALICE)->arp_requests_sent, 0);
}

/* ---- Gateways ---- */

static const uint32_t far_ip = ETHER_IP(192, 168, 1, 1);

static uint64_t towards_gateway;

/* A router with the MAC of MALLORY's place: takes frames to `far_ip` and counts them. */
static bool gateway(void *arg, const struct frame_device *from, struct frame *frame)
{
    (void)arg, (void)from;
    if (get_u16(frame->data + 12) == ETHERNET_IPV4 && get_u32(frame->data + 30) == far_ip)
        towards_gateway += memcmp(frame->data, macs[MALLORY], MAC_BYTES) == 0;
    return true;
}

Test(nic_ethernet_hops, gateway__gets_what_is_not_on_the_link)
{
    const struct route routes[] = {{.network = ETHER_IP(10, 0, 0, 0), .length = 24},
                                   {.gateway = ether_net_ip(MALLORY)}};
    towards_gateway = 0;
    add_all(&(struct ether_machine){0});
    net.nics[ALICE]->ops->close(net.nics[ALICE]);
    ether_net_add(&net, ALICE, &(struct ether_machine){.routes = routes, .route_count = 2});
    frame_mem_set_filter(net.network, gateway, NULL);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(send(ALICE, far_ip, i));
    cr_assert_eq(stream_to_bob(ETHER_SECOND), 10);
    for (uint32_t i = 0; i < 7; i++)
        cr_assert(send(ALICE, far_ip + (i % 2), i));
    ether_net_settle(&net, BOB, NULL);
    cr_assert_eq(towards_gateway, 3 + 4);
    cr_assert_eq(counters(MALLORY)->not_ours, 1 + 3 + 7, "Alice's question for Bob, and what he should route");
    cr_assert_eq(counters(ALICE)->arp_requests_sent, 2, "two next hops, however many addresses");
}

/* As in clouds that give each machine a /32: the gateway is in no prefix of ours. */
Test(nic_ethernet_hops, gateway__of_a_32_is_on_the_link)
{
    const struct route routes[] = {{.network = ether_net_ip(ALICE), .length = 32}, {.gateway = ether_net_ip(MALLORY)}};
    towards_gateway = 0;
    ether_net_add(&net, ALICE, &(struct ether_machine){.routes = routes, .route_count = 2});
    ether_net_add(&net, MALLORY, &(struct ether_machine){0});
    frame_mem_set_filter(net.network, gateway, NULL);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(send(ALICE, far_ip, i));
    ether_net_settle(&net, MALLORY, NULL);
    cr_assert_eq(towards_gateway, 3);
    /* What a peer behind the gateway sends comes with the gateway's MAC. */
    uint8_t frame[64];
    uint32_t length = ether_net_frame(frame, MALLORY, ALICE, ETHER_PORT);
    struct ipv4_header ip = {
        .source = far_ip, .destination = ether_net_ip(ALICE), .protocol = IPV4_UDP, .length = length - ETHERNET_BYTES};
    ipv4_encode(frame + ETHERNET_BYTES, &ip, true);
    put_u16(frame + 40, 0);
    frame_mem_inject(net.devices[ALICE], 0, frame, length, 0);
    cr_assert_eq(ether_net_turn(&net, ALICE, 0, &received), 1);
    struct endpoint far = endpoint_from_ipv4(far_ip, ETHER_PORT);
    cr_assert(endpoint_equal(&received.last.remote, &far));
}
