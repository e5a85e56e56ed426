/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "base/prng.h"
#include "nic/nic_mem.h"

enum { PORT = 31700, BURST = 1000 };

static struct nic_mem_network *network;
static struct nic *nics[2];

static struct endpoint address(uint8_t host, uint16_t port)
{
    return (struct endpoint){
        .ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, host}, .port = port};
}

static void open_network(uint64_t seed)
{
    network = nic_mem_network_new(seed, 3 * BURST);
    for (uint8_t i = 0; i < 2; i++) {
        struct endpoint own = address(i, 0);
        nics[i] = nic_mem_open(network, &own, 1, PORT, 2, NIC_MEM_PAYLOAD_MAX);
    }
}

static void setup(void)
{
    open_network(1);
}

static void teardown(void)
{
    nics[0]->ops->close(nics[0]);
    nics[1]->ops->close(nics[1]);
    nic_mem_network_free(network);
}

TestSuite(nic_mem, .init = setup, .fini = teardown);

/* A packet that tells its number and has `length` >= 4 bytes. */
static bool send_numbered(uint8_t from, uint8_t to, uint16_t port, uint32_t number, uint32_t length)
{
    struct nic_queue *queue = nics[from]->queues[0];
    struct nic_packet packet;
    if (!queue->ops->transmit_buffer(queue, &packet)) {
        return false;
    }
    cr_assert_eq(packet.capacity, NIC_MEM_PAYLOAD_MAX);
    memset(packet.data, 0x5a, length);
    memcpy(packet.data, &number, sizeof number);
    packet.length = length;
    packet.local = address(from, PORT);
    packet.remote = address(to, port);
    queue->ops->transmit(queue, &packet);
    queue->ops->flush(queue);
    return true;
}

struct received {
    uint32_t count, intact;
    uint32_t numbers[3 * BURST];
};

static void receive_all(struct nic_queue *queue, struct received *received)
{
    struct nic_packet packets[NIC_BURST];
    uint32_t count;
    while ((count = queue->ops->receive(queue, packets, NIC_BURST)) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            const struct nic_packet *packet = &packets[i];
            memcpy(&received->numbers[received->count++], packet->data, 4);
            bool intact = true;
            for (uint32_t j = 4; j < packet->length; j++) {
                intact = intact && packet->data[j] == 0x5a;
            }
            received->intact += intact;
        }
        queue->ops->receive_done(queue, packets, count);
    }
}

/* Sends a burst over links with `impairments` and receives what arrives within `until_ns`. */
static void burst(const struct nic_mem_impairments *impairments, uint64_t until_ns,
                  struct received *received)
{
    *received = (struct received){0};
    nic_mem_impair_all(network, impairments);
    for (uint32_t i = 0; i < BURST; i++) {
        cr_assert(send_numbered(0, 1, PORT, i, 100));
    }
    nic_mem_advance(network, until_ns);
    receive_all(nics[1]->queues[0], received);
}

static uint32_t out_of_order(const struct received *received)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i < received->count; i++) {
        count += received->numbers[i] < received->numbers[i - 1];
    }
    return count;
}

Test(nic_mem, clean__all_arrive_in_order_after_the_delay)
{
    struct received received;
    burst(&(struct nic_mem_impairments){.delay_ns = 1000}, 999, &received);
    cr_assert_eq(received.count, 0);
    cr_assert_eq(nic_mem_next_arrival(network), 1000);
    nic_mem_advance(network, 1000);
    cr_assert_eq(nic_mem_next_arrival(network), UINT64_MAX);
    receive_all(nics[1]->queues[0], &received);
    cr_assert_eq(received.count, BURST);
    cr_assert_eq(received.intact, BURST);
    cr_assert_eq(out_of_order(&received), 0);
    cr_assert_eq(nics[1]->queues[0]->counters.packets_received, BURST);
    cr_assert_eq(nics[0]->queues[0]->counters.bytes_sent, BURST * 100);
}

Test(nic_mem, endpoints__come_out_swapped)
{
    send_numbered(0, 1, PORT + 1, 7, 4);
    nic_mem_advance(network, 0);
    struct nic_packet packet;
    cr_assert_eq(nics[1]->ops->receive(nics[1]->queues[0], &packet, 1), 0);
    struct nic_queue *queue = nics[1]->queues[1];
    cr_assert_eq(queue->ops->receive(queue, &packet, 1), 1);
    struct endpoint local = address(1, PORT + 1), remote = address(0, PORT);
    cr_assert(endpoint_equal(&packet.local, &local));
    cr_assert(endpoint_equal(&packet.remote, &remote));
    cr_assert_eq(packet.length, 4);
    queue->ops->receive_done(queue, &packet, 1);
}

Test(nic_mem, endpoints__own_address_and_nobody)
{
    struct received received = {0};
    send_numbered(0, 0, PORT, 1, 4);
    send_numbered(0, 1, PORT + 2, 2, 4);
    send_numbered(0, 1, PORT - 1, 3, 4);
    send_numbered(0, 9, PORT, 4, 4);
    nic_mem_advance(network, 0);
    receive_all(nics[0]->queues[0], &received);
    cr_assert_eq(received.count, 1);
    cr_assert_eq(received.numbers[0], 1);
    cr_assert_eq(nic_mem_counters(network)->unaddressed, 3);
}

Test(nic_mem, loss__about_the_share_asked_for)
{
    struct received received;
    burst(&(struct nic_mem_impairments){.loss_ppm = 300000}, 0, &received);
    cr_assert(received.count > 620 && received.count < 780, "%u arrived", received.count);
    cr_assert_eq(received.count + nic_mem_counters(network)->lost, BURST);
    cr_assert_eq(out_of_order(&received), 0);
}

Test(nic_mem, repeat__copies_are_intact)
{
    struct received received;
    burst(&(struct nic_mem_impairments){.repeat_ppm = 300000}, 0, &received);
    cr_assert(received.count > 1220 && received.count < 1380, "%u arrived", received.count);
    cr_assert_eq(received.intact, received.count);
    cr_assert_eq(nic_mem_counters(network)->repeated, received.count - BURST);
}

Test(nic_mem, jitter__keeps_the_order)
{
    struct received received;
    burst(&(struct nic_mem_impairments){.delay_ns = 10, .jitter_ns = 1000}, 500, &received);
    cr_assert(received.count < BURST);
    nic_mem_advance(network, 1010);
    receive_all(nics[1]->queues[0], &received);
    cr_assert_eq(received.count, BURST);
    cr_assert_eq(out_of_order(&received), 0);
}

Test(nic_mem, reorder__some_are_overtaken)
{
    struct received received;
    burst(&(struct nic_mem_impairments){.reorder_ppm = 200000, .reorder_ns = 1000}, 1000, &received);
    cr_assert_eq(received.count, BURST);
    cr_assert(out_of_order(&received) > 0);
    cr_assert(nic_mem_counters(network)->reordered > 120);
    cr_assert(nic_mem_counters(network)->reordered < 280);
}

Test(nic_mem, corrupt__some_bits_are_flipped)
{
    struct received received;
    burst(&(struct nic_mem_impairments){.corrupt_ppm = 300000}, 0, &received);
    cr_assert_eq(received.count, BURST);
    cr_assert(received.intact > 620 && received.intact < 800, "%u intact", received.intact);
    cr_assert(nic_mem_counters(network)->corrupted >= BURST - received.intact);
}

Test(nic_mem, partition__one_direction_and_healing)
{
    struct endpoint a = address(0, 0), b = address(1, 0);
    struct received received = {0};
    cr_assert(nic_mem_impair(network, &a, &b, &(struct nic_mem_impairments){.partitioned = true}));
    send_numbered(0, 1, PORT, 1, 4);
    send_numbered(1, 0, PORT, 2, 4);
    nic_mem_advance(network, 1);
    receive_all(nics[1]->queues[0], &received);
    cr_assert_eq(received.count, 0);
    receive_all(nics[0]->queues[0], &received);
    cr_assert_eq(received.count, 1);
    cr_assert(nic_mem_impair(network, &a, &b, &(struct nic_mem_impairments){0}));
    send_numbered(0, 1, PORT, 3, 4);
    nic_mem_advance(network, 2);
    receive_all(nics[1]->queues[0], &received);
    cr_assert_eq(received.count, 2);
}

Test(nic_mem, too_long__dropped_with_a_notice)
{
    struct nic_queue *queue = nics[0]->queues[0];
    struct nic_notice notice;
    nic_mem_impair_all(network, &(struct nic_mem_impairments){.max_payload = 1400});
    send_numbered(0, 1, PORT, 1, 1400);
    cr_assert_not(queue->ops->notice(queue, &notice));
    send_numbered(0, 1, PORT, 2, 1401);
    cr_assert(queue->ops->notice(queue, &notice));
    cr_assert_eq(notice.kind, NIC_TOO_LONG);
    cr_assert_eq(notice.max_payload, 1400);
    struct endpoint remote = address(1, PORT);
    cr_assert(endpoint_equal(&notice.remote, &remote));
    cr_assert_not(queue->ops->notice(queue, &notice));
    struct received received = {0};
    nic_mem_advance(network, 0);
    receive_all(nics[1]->queues[0], &received);
    cr_assert_eq(received.count, 1);
    cr_assert_eq(nic_mem_counters(network)->too_long, 1);
}

static struct received arrived_by(uint64_t now_ns)
{
    struct received received = {0};
    nic_mem_advance(network, now_ns);
    receive_all(nics[1]->queues[0], &received);
    return received;
}

Test(nic_mem, black_hole__drops_without_a_word)
{
    struct nic_queue *queue = nics[0]->queues[0];
    struct nic_notice notice;
    nic_mem_impair_all(network, &(struct nic_mem_impairments){.black_hole_payload = 1400});
    send_numbered(0, 1, PORT, 1, 1400);
    send_numbered(0, 1, PORT, 2, 1401);
    cr_assert_not(queue->ops->notice(queue, &notice));
    cr_assert_eq(arrived_by(0).count, 1);
    cr_assert_eq(nic_mem_counters(network)->vanished, 1);
}

static void sum_waits(void *arg, uint64_t now_ns, const struct nic_packet *packet, uint64_t waited_ns)
{
    uint64_t *sum = arg;
    (void)now_ns;
    (void)packet;
    *sum += waited_ns == UINT64_MAX ? 1000000 : waited_ns;
}

Test(nic_mem, port__takes_its_time_and_drops_what_finds_its_queue_full)
{
    const struct endpoint to = address(1, 0);
    uint64_t waits = 0;
    /* 934 + 66 bytes on a wire of 8 Gbps: 1 us. */
    cr_assert(nic_mem_set_port(network, &to, &(struct nic_mem_port){.bits_per_second = 8000000000, .queue_packets = 3}));
    cr_assert_not(nic_mem_set_port(network, &to, &(struct nic_mem_port){.bits_per_second = 1, .queue_packets = 1}));
    nic_mem_set_queue_tap(network, sum_waits, &waits);
    nic_mem_impair_all(network, &(struct nic_mem_impairments){.delay_ns = 500});
    for (uint32_t i = 0; i < 4; i++) {
        send_numbered(0, 1, PORT, i, 934);
    }
    cr_assert_eq(waits, 0 + 1000 + 2000 + 1000000);
    cr_assert_eq(nic_mem_counters(network)->queue_full, 1);
    cr_assert_eq(arrived_by(1499).count, 0);
    cr_assert_eq(arrived_by(1500).count, 1);
    send_numbered(0, 1, PORT, 4, 934); /* there is room again, behind the others */
    cr_assert_eq(arrived_by(3500).count, 2);
    cr_assert_eq(arrived_by(4499).count, 0);
    cr_assert_eq(arrived_by(4500).count, 1);
    send_numbered(0, 1, PORT, 5, 934); /* the port was idle */
    cr_assert_eq(arrived_by(6000).count, 1);
}

Test(nic_mem, policer__lets_a_burst_pass_and_then_its_rate_for_each_tuple)
{
    /* 934 + 66 bytes: one for each us, and a burst of three. */
    nic_mem_impair_all(network, &(struct nic_mem_impairments){.police_bits_per_second = 8000000000,
                                                              .police_burst_bytes = 3000});
    nic_mem_advance(network, 1);
    for (uint32_t i = 0; i < 5; i++) {
        send_numbered(0, 1, PORT, i, 934);
    }
    cr_assert_eq(arrived_by(1).count, 3);
    cr_assert_eq(nic_mem_counters(network)->policed, 2);
    send_numbered(0, 1, PORT + 1, 0, 934); /* another tuple */
    nic_mem_advance(network, 1000);
    send_numbered(0, 1, PORT, 5, 934); /* 1 ns too early */
    cr_assert_eq(nic_mem_counters(network)->policed, 3);
    nic_mem_advance(network, 1001);
    send_numbered(0, 1, PORT, 6, 934);
    cr_assert_eq(nic_mem_counters(network)->policed, 3);
    cr_assert_eq(arrived_by(1001).count, 1);
}

Test(nic_mem, burst__loses_packets_in_a_row)
{
    static struct received received;
    nic_mem_impair_all(network, &(struct nic_mem_impairments){.burst_ppm = 10000, .burst_packets = 20});
    uint32_t lost = 0, rows = 0, last = 0;
    for (uint32_t i = 0; i < BURST; i++) {
        send_numbered(0, 1, PORT, i, 4);
    }
    received = arrived_by(0);
    lost = BURST - received.count;
    for (uint32_t i = 0; i < received.count; i++) {
        rows += received.numbers[i] > last + 1;
        last = received.numbers[i];
    }
    cr_assert_gt(rows, 0);
    cr_assert_gt(lost, 3 * rows, "%u lost in %u rows", lost, rows);
    cr_assert_leq(lost, 20 * (rows + 1));
}

Test(nic_mem, tail__loses_the_last_packets_of_a_flush)
{
    struct nic_queue *queue = nics[0]->queues[0];
    struct nic_packet packet;
    nic_mem_impair_all(network, &(struct nic_mem_impairments){.tail_ppm = 1000000});
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert(queue->ops->transmit_buffer(queue, &packet));
        memcpy(packet.data, &i, sizeof i);
        packet.length = 4;
        packet.local = address(0, PORT);
        packet.remote = address(1, PORT);
        queue->ops->transmit(queue, &packet);
    }
    queue->ops->flush(queue);
    struct received received = arrived_by(0);
    cr_assert(received.count >= 6 && received.count < 10);
    cr_assert_eq(received.numbers[received.count - 1], received.count - 1);
    cr_assert_eq(nic_mem_counters(network)->lost, 10 - received.count);
}

Test(nic_mem, bound__no_buffer_when_the_network_is_full)
{
    uint32_t sent = 0;
    while (sent <= 3 * BURST && send_numbered(0, 1, PORT, sent, 4)) {
        sent++;
    }
    cr_assert_eq(sent, 3 * BURST);
    struct received received = {0};
    nic_mem_advance(network, 0);
    receive_all(nics[1]->queues[0], &received);
    cr_assert_eq(received.count, sent);
    cr_assert(send_numbered(0, 1, PORT, 0, 4));
}

Test(nic_mem, cancel__gives_the_buffer_back)
{
    struct nic_queue *queue = nics[0]->queues[0];
    struct nic_packet packet;
    for (uint32_t i = 0; i <= 3 * BURST; i++) {
        cr_assert(queue->ops->transmit_buffer(queue, &packet));
        queue->ops->transmit_cancel(queue, &packet);
    }
}

Test(nic_mem, close__packets_for_it_are_unaddressed)
{
    nic_mem_impair_all(network, &(struct nic_mem_impairments){.delay_ns = 5});
    send_numbered(0, 1, PORT, 1, 4);
    nics[1]->ops->close(nics[1]);
    nic_mem_advance(network, 5);
    cr_assert_eq(nic_mem_counters(network)->unaddressed, 1);
    struct endpoint own = address(1, 0);
    nics[1] = nic_mem_open(network, &own, 1, PORT, 1, NIC_MEM_PAYLOAD_MAX);
    send_numbered(0, 1, PORT, 2, 4);
    nic_mem_advance(network, 10);
    struct received received = {0};
    receive_all(nics[1]->queues[0], &received);
    cr_assert_eq(received.count, 1);
}

static void count_tapped(void *arg, uint64_t now_ns, const struct nic_packet *packet)
{
    uint32_t *count = arg;
    cr_assert_eq(now_ns, 3);
    cr_assert_eq(packet->length, 4);
    ++*count;
}

Test(nic_mem, tap__sees_lost_and_injected_packets)
{
    uint32_t tapped = 0;
    struct endpoint from = address(7, 9), to = address(1, PORT);
    nic_mem_set_tap(network, count_tapped, &tapped);
    nic_mem_advance(network, 3);
    nic_mem_inject(network, &from, &to, (const uint8_t[]){1, 2, 3, 4}, 4);
    nic_mem_impair_all(network, &(struct nic_mem_impairments){.loss_ppm = 1000000});
    send_numbered(0, 1, PORT, 1, 4);
    cr_assert_eq(tapped, 2);
    nic_mem_advance(network, 4);
    struct received received = {0};
    receive_all(nics[1]->queues[0], &received);
    cr_assert_eq(received.count, 1);
    cr_assert_eq(received.numbers[0], 0x04030201);
}

Test(nic_mem, seed__decides_everything)
{
    static const struct nic_mem_impairments all = {
        .delay_ns = 100, .jitter_ns = 1000, .reorder_ppm = 50000, .reorder_ns = 10000,
        .loss_ppm = 100000, .repeat_ppm = 100000, .corrupt_ppm = 100000};
    static struct received runs[3];
    static const uint64_t seeds[3] = {5, 5, 6};
    for (int i = 0; i < 3; i++) {
        teardown();
        open_network(seeds[i]);
        burst(&all, 20000, &runs[i]);
    }
    cr_assert_eq(memcmp(&runs[0], &runs[1], sizeof runs[0]), 0);
    cr_assert_neq(memcmp(&runs[0], &runs[2], sizeof runs[0]), 0);
}
