/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "nic/nic.h"
#include "nic/nic_udp.h"

/* Tests run at the same time, each in its process: each has a few ports of its own. */
#define PORT (uint16_t)(20000 + (unsigned)getpid() % 2500 * 4)

static char error[NIC_ERROR_BYTES];

static struct endpoint at(const char *ip, uint16_t port)
{
    struct endpoint endpoint;
    cr_assert(address_parse_ip(ip, &endpoint));
    endpoint.port = port;
    return endpoint;
}

static struct nic *open_at(const char *ip, uint16_t port)
{
    const struct endpoint address = at(ip, 0);
    struct nic *nic = nic_udp_open(&address, 1, port, 1, error);
    cr_assert_not_null(nic, "%s", error);
    return nic;
}

/* The bytes of packet `number`: its number, then a pattern of it. */
static void fill(uint8_t *data, uint32_t length, uint32_t number)
{
    memset(data, (int)(number * 7 + length), length);
    memcpy(data, &number, length < sizeof number ? length : sizeof number);
}

static bool put(struct nic_queue *queue, const struct endpoint *from, const struct endpoint *to, uint32_t length,
                uint32_t number)
{
    struct nic_packet packet;
    if (!queue->ops->transmit_buffer(queue, &packet))
        return false;
    cr_assert_geq(packet.capacity, WIRE_PACKET_MAX);
    fill(packet.data, length, number);
    packet.length = length;
    packet.local = *from;
    packet.remote = *to;
    queue->ops->transmit(queue, &packet);
    return true;
}

static void flush(struct nic *nic)
{
    nic->ops->flush(nic->queues[0]);
}

/* Receives packets 0 .. count in order, at most `max` at a time. */
static void expect(struct nic_queue *queue, const struct endpoint *from, const struct endpoint *to,
                   const uint32_t *lengths, uint32_t count, uint32_t max)
{
    uint8_t wanted[WIRE_PACKET_MAX];
    uint32_t seen = 0;
    for (int idle = 0; seen < count && idle < 100;) {
        struct nic_packet packets[NIC_BURST];
        uint32_t got = queue->ops->receive(queue, packets, max);
        cr_assert_leq(got, max);
        for (uint32_t i = 0; i < got; i++, seen++) {
            cr_assert_eq(packets[i].length, lengths[seen], "packet %u: %u bytes, not %u", seen, packets[i].length,
                         lengths[seen]);
            fill(wanted, lengths[seen], seen);
            cr_assert_arr_eq(packets[i].data, wanted, lengths[seen], "packet %u", seen);
            cr_assert(endpoint_equal(&packets[i].remote, from) && endpoint_equal(&packets[i].local, to));
        }
        queue->ops->receive_done(queue, packets, got);
        if (got == 0) {
            int fd;
            cr_assert_eq(queue->ops->fds(queue, &fd, 1), 1);
            idle += poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 10) == 0;
        }
    }
    cr_assert_eq(seen, count, "%u of %u packets came", seen, count);
}

/* Sends packets of these lengths in one flush and receives them again. */
static void carry(const char *from_ip, const char *to_ip, const uint32_t *lengths, uint32_t count, uint32_t max)
{
    struct nic *a = open_at(from_ip, PORT), *b = open_at(to_ip, PORT + 1);
    const struct endpoint from = at(from_ip, PORT), to = at(to_ip, PORT + 1);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(put(a->queues[0], &from, &to, lengths[i], i));
    flush(a);
    expect(b->queues[0], &from, &to, lengths, count, max);
    cr_assert_eq(a->queues[0]->counters.packets_sent, count);
    cr_assert_eq(b->queues[0]->counters.packets_received, count);
    cr_assert_eq(a->queues[0]->counters.transmit_dropped, 0);
    a->ops->close(a);
    b->ops->close(b);
}

static uint32_t same_lengths(uint32_t *lengths, uint32_t count, uint32_t length, uint32_t last)
{
    for (uint32_t i = 0; i < count; i++)
        lengths[i] = i + 1 < count ? length : last;
    return count;
}

Test(nic_udp, carry__segments_are_cut_where_they_were_joined)
{
    uint32_t lengths[UDP_TRANSMIT_PACKETS];
    carry("127.0.0.1", "127.0.0.2", lengths, same_lengths(lengths, 200, 1400, 1400), NIC_BURST);
    carry("127.0.0.1", "127.0.0.2", lengths, same_lengths(lengths, 64, 1000, 1), NIC_BURST);
    carry("127.0.0.1", "127.0.0.2", lengths, same_lengths(lengths, 256, WIRE_PACKET_MAX, 5), 3);
    carry("127.0.0.1", "127.0.0.2", lengths, same_lengths(lengths, 256, 1, 1), NIC_BURST);
}

Test(nic_udp, carry__ipv6)
{
    uint32_t lengths[UDP_TRANSMIT_PACKETS];
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool there = fd >= 0 && bind(fd, (struct sockaddr *)&loopback, sizeof loopback) == 0;
    if (fd >= 0)
        close(fd);
    if (!there)
        cr_skip_test("SKIPPED: this machine has no IPv6");
    carry("::1", "::1", lengths, same_lengths(lengths, 200, 1400, 700), NIC_BURST);
}

Test(nic_udp, carry__mixed_lengths_keep_their_order_and_bounds)
{
    uint32_t lengths[UDP_TRANSMIT_PACKETS], state = 12345;
    for (uint32_t i = 0; i < UDP_TRANSMIT_PACKETS; i++) {
        state = state * 1664525 + 1013904223;
        lengths[i] = (state >> 28) < 8 ? 1200 : 1 + (state >> 8) % WIRE_PACKET_MAX;
    }
    carry("127.0.0.1", "127.0.0.2", lengths, UDP_TRANSMIT_PACKETS, 1);
    carry("127.0.0.1", "127.0.0.2", lengths, UDP_TRANSMIT_PACKETS, NIC_BURST);
}

Test(nic_udp, carry__without_segmentation_all_goes_as_well)
{
    uint32_t lengths[UDP_TRANSMIT_PACKETS], count = same_lengths(lengths, 200, 1400, 9);
    struct nic *a = open_at("127.0.0.1", PORT), *b = open_at("127.0.0.2", PORT + 1);
    const struct endpoint from = at("127.0.0.1", PORT), to = at("127.0.0.2", PORT + 1);
    udp_queue_of(a->queues[0])->sockets[0].segment = false;
    for (uint32_t i = 0; i < count; i++)
        cr_assert(put(a->queues[0], &from, &to, lengths[i], i));
    flush(a);
    expect(b->queues[0], &from, &to, lengths, count, NIC_BURST);
    cr_assert_eq(a->queues[0]->counters.transmit_calls, (count + UDP_BURST_MESSAGES - 1) / UDP_BURST_MESSAGES);
    a->ops->close(a);
    b->ops->close(b);
}

Test(nic_udp, flush__joins_packets_into_few_calls)
{
    struct nic *a = open_at("127.0.0.1", PORT), *b = open_at("127.0.0.2", PORT + 1);
    const struct endpoint from = at("127.0.0.1", PORT), to = at("127.0.0.2", PORT + 1);
    for (uint32_t i = 0; i < 128; i++)
        put(a->queues[0], &from, &to, 1000, i);
    flush(a);
    cr_assert_eq(a->queues[0]->counters.transmit_calls, 1);
    struct nic_packet packets[NIC_BURST];
    cr_assert_eq(b->queues[0]->ops->receive(b->queues[0], packets, NIC_BURST), NIC_BURST);
    b->queues[0]->ops->receive_done(b->queues[0], packets, NIC_BURST);
    cr_assert_eq(b->queues[0]->ops->receive(b->queues[0], packets, NIC_BURST), NIC_BURST);
    b->queues[0]->ops->receive_done(b->queues[0], packets, NIC_BURST);
    cr_assert_eq(b->queues[0]->counters.receive_calls, 1, "UDP_GRO joins them again");
    a->ops->close(a);
    b->ops->close(b);
}

Test(nic_udp, flush__two_destinations_and_a_foreign_source)
{
    struct nic *a = open_at("127.0.0.1", PORT), *b = open_at("127.0.0.2", PORT + 1),
               *c = open_at("127.0.0.3", PORT + 1);
    const struct endpoint from = at("127.0.0.1", PORT), foreign = at("127.0.0.9", PORT),
                          to[2] = {at("127.0.0.2", PORT + 1), at("127.0.0.3", PORT + 1)};
    const uint32_t lengths[3] = {500, 500, 500};
    for (uint32_t i = 0; i < 3; i++) {
        put(a->queues[0], &from, &to[0], 500, i);
        put(a->queues[0], &from, &to[1], 500, i);
    }
    put(a->queues[0], &foreign, &to[0], 500, 9);
    flush(a);
    expect(b->queues[0], &from, &to[0], lengths, 3, NIC_BURST);
    expect(c->queues[0], &from, &to[1], lengths, 3, NIC_BURST);
    cr_assert_eq(a->queues[0]->counters.transmit_dropped, 1);
    a->ops->close(a);
    b->ops->close(b);
    c->ops->close(c);
}

Test(nic_udp, transmit_buffer__is_refused_when_all_are_out_and_comes_back)
{
    struct nic *a = open_at("127.0.0.1", PORT);
    struct nic_queue *queue = a->queues[0];
    const struct endpoint from = at("127.0.0.1", PORT), to = at("127.0.0.2", PORT + 1);
    struct nic_packet packets[UDP_TRANSMIT_PACKETS], one_more;
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < UDP_TRANSMIT_PACKETS; i++)
            cr_assert(queue->ops->transmit_buffer(queue, &packets[i]));
        cr_assert_not(queue->ops->transmit_buffer(queue, &one_more));
        for (uint32_t i = 0; i < UDP_TRANSMIT_PACKETS; i++) {
            packets[i].length = 100;
            packets[i].local = from;
            packets[i].remote = to;
            if (i % 2 == 0)
                queue->ops->transmit_cancel(queue, &packets[i]);
            else
                queue->ops->transmit(queue, &packets[i]);
        }
        flush(a);
    }
    a->ops->close(a);
}

/* A connected TCP socket that takes no more: to sendmmsg it looks like a UDP socket whose send buffer is full. */
static int full_socket(int others[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    static const uint8_t filler[65536];
    const int small = 16384;
    others[0] = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(others[0], (struct sockaddr *)&address, length), 0);
    /* Buffers of a size that is given do not grow by themselves. */
    cr_assert_eq(setsockopt(others[0], SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    cr_assert_eq(listen(others[0], 1), 0);
    cr_assert_eq(getsockname(others[0], (struct sockaddr *)&address, &length), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, length), 0);
    others[1] = accept(others[0], NULL, NULL);
    for (int quiet = 0; quiet < 10; quiet++) { /* what was sent is taken in a moment later */
        while (send(fd, filler, sizeof filler, MSG_DONTWAIT) > 0)
            quiet = 0;
        usleep(10000);
    }
    return fd;
}

Test(nic_udp, flush__keeps_what_does_not_fit_and_drops_it_in_the_end)
{
    enum { COUNT = 10 };
    struct nic *a = open_at("127.0.0.1", PORT), *b = open_at("127.0.0.2", PORT + 1);
    struct udp_queue *udp = udp_queue_of(a->queues[0]);
    const struct endpoint from = at("127.0.0.1", PORT), to = at("127.0.0.2", PORT + 1);
    uint32_t lengths[COUNT];
    int others[2], full = full_socket(others), real = udp->sockets[0].fd;
    udp->sockets[0].fd = full;
    for (uint32_t i = 0; i < COUNT; i++) {
        lengths[i] = 500;
        put(a->queues[0], &from, &to, 500, i);
    }
    for (int i = 0; i < UDP_STALLS_MAX; i++) {
        flush(a);
        cr_assert_eq(udp->transmit.count, COUNT);
    }
    udp->sockets[0].fd = real;
    flush(a);
    expect(b->queues[0], &from, &to, lengths, COUNT, NIC_BURST);
    cr_assert_eq(a->queues[0]->counters.transmit_dropped, 0);

    udp->sockets[0].fd = full;
    for (uint32_t i = 0; i < COUNT; i++)
        put(a->queues[0], &from, &to, 500, i);
    for (int i = 0; i <= UDP_STALLS_MAX; i++)
        flush(a);
    udp->sockets[0].fd = real;
    cr_assert_eq(a->queues[0]->counters.transmit_dropped, COUNT);
    cr_assert_eq(udp->transmit.count, 0);
    cr_assert_eq(udp->transmit.free_count, UDP_TRANSMIT_PACKETS);
    close(full);
    close(others[0]);
    close(others[1]);
    a->ops->close(a);
    b->ops->close(b);
}

/* Loopback of a network of our own, with this MTU. */
static void set_loopback_mtu(int mtu)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    request.ifr_mtu = mtu;
    cr_assert_eq(ioctl(fd, SIOCSIFMTU, &request), 0);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
}

Test(nic_udp, flush__a_packet_that_is_too_long_gives_a_notice)
{
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        cr_skip_test("SKIPPED: this user may not make a network namespace");
    set_loopback_mtu(65536);
    struct nic *a = open_at("127.0.0.1", PORT), *b = open_at("127.0.0.2", PORT + 1);
    struct nic_queue *queue = a->queues[0];
    const struct endpoint from = at("127.0.0.1", PORT), to = at("127.0.0.2", PORT + 1);
    cr_assert_eq(queue->ops->max_payload(queue, &from, &to), WIRE_PACKET_MAX);
    set_loopback_mtu(1400);
    const uint32_t too_long[5] = {1373, 1373, 1373, 1372, 9};
    for (uint32_t i = 0; i < 5; i++)
        put(queue, &from, &to, too_long[i], i);
    flush(a);
    struct nic_notice notice;
    cr_assert(queue->ops->notice(queue, &notice));
    cr_assert_eq(notice.kind, NIC_TOO_LONG);
    cr_assert_eq(notice.max_payload, 1372);
    cr_assert(endpoint_equal(&notice.local, &from) && endpoint_equal(&notice.remote, &to));
    cr_assert_not(queue->ops->notice(queue, &notice));
    cr_assert_eq(queue->ops->max_payload(queue, &from, &to), 1372);
    cr_assert_eq(queue->counters.transmit_dropped, 3);
    cr_assert_eq(queue->counters.packets_sent, 2);
    cr_assert(udp_queue_of(queue)->sockets[0].segment, "the length was wrong, not the joining");
    struct nic_packet packets[NIC_BURST];
    cr_assert_eq(b->queues[0]->ops->receive(b->queues[0], packets, NIC_BURST), 2);
    cr_assert(packets[0].length == 1372 && packets[1].length == 9);
    b->queues[0]->ops->receive_done(b->queues[0], packets, 2);
    a->ops->close(a);
    b->ops->close(b);
}

Test(nic_udp, max_payload__of_loopback_and_of_nowhere)
{
    struct nic *a = open_at("127.0.0.1", PORT);
    struct nic_queue *queue = a->queues[0];
    const struct endpoint from = at("127.0.0.1", PORT), to = at("127.0.0.2", PORT), any = {.port = 0},
                          nowhere = at("240.0.0.1", PORT);
    cr_assert_eq(queue->ops->max_payload(queue, &from, &to), WIRE_PACKET_MAX);
    cr_assert_eq(queue->ops->max_payload(queue, &any, &to), WIRE_PACKET_MAX);
    cr_assert_eq(queue->ops->max_payload(queue, &from, &nowhere), WIRE_PAYLOAD_MIN_MTU);
    for (uint32_t i = 0; i < 3 * UDP_ROUTES; i++) {
        struct endpoint many = at("127.0.1.0", 0);
        many.ip[15] = (uint8_t)i;
        cr_assert_eq(queue->ops->max_payload(queue, &from, &many), WIRE_PACKET_MAX);
    }
    a->ops->close(a);
}

Test(nic_udp, open__queues_and_addresses_have_sockets_of_their_own)
{
    const struct endpoint addresses[2] = {at("127.0.0.1", 0), at("127.0.0.2", 0)};
    struct nic *nic = nic_udp_open(addresses, 2, PORT, 3, error);
    cr_assert_not_null(nic, "%s", error);
    cr_assert_eq(nic->queue_count, 3);
    int fds[8];
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(nic->ops->fds(nic->queues[i], fds, 8), 2);
        struct sockaddr_in bound;
        socklen_t length = sizeof bound;
        cr_assert_eq(getsockname(fds[1], (struct sockaddr *)&bound, &length), 0);
        cr_assert_eq(ntohs(bound.sin_port), PORT + i);
        cr_assert_eq(ntohl(bound.sin_addr.s_addr), 0x7f000002);
    }
    nic->ops->close(nic);
}

Test(nic_udp, open__says_what_is_wrong_and_what_to_do)
{
    const struct endpoint own = at("127.0.0.1", 0), foreign = at("192.0.2.77", 0);
    struct nic *first = open_at("127.0.0.1", PORT);
    cr_assert_null(nic_udp_open(&own, 1, PORT, 1, error));
    char port[8];
    snprintf(port, sizeof port, "%u", PORT);
    cr_assert(strstr(error, port) && strstr(error, "127.0.0.1") && strstr(error, "--udp-port"), "%s", error);
    first->ops->close(first);
    cr_assert_null(nic_udp_open(&foreign, 1, PORT, 1, error));
    cr_assert(strstr(error, "192.0.2.77") && strstr(error, "--ip"), "%s", error);
    cr_assert_null(nic_udp_open(&own, 1, 65535, 2, error));
    cr_assert(strstr(error, "--udp-port"), "%s", error);
}

Test(nic_udp, receive__a_truncated_or_empty_datagram_is_passed_over)
{
    struct nic *a = open_at("127.0.0.1", PORT), *b = open_at("127.0.0.2", PORT + 1);
    const struct endpoint from = at("127.0.0.1", PORT), to = at("127.0.0.2", PORT + 1);
    struct sockaddr_in6 address;
    socklen_t length = udp_sockaddr(&to, &address);
    struct udp_queue *receiver = udp_queue_of(b->queues[0]);
    receiver->batch.spans[0].iov_len = 99;
    put(a->queues[0], &from, &to, 100, 0);
    flush(a);
    cr_assert_eq(sendto(udp_queue_of(a->queues[0])->sockets[0].fd, "", 0, 0, (struct sockaddr *)&address, length), 0);
    put(a->queues[0], &from, &to, 100, 0);
    flush(a);
    struct nic_packet packets[NIC_BURST];
    cr_assert_eq(b->queues[0]->ops->receive(b->queues[0], packets, NIC_BURST), 1);
    cr_assert_eq(packets[0].length, 100);
    b->queues[0]->ops->receive_done(b->queues[0], packets, 1);
    cr_assert_eq(b->queues[0]->counters.truncated, 1);
    a->ops->close(a);
    b->ops->close(b);
}
