/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "nic/nic.h"
#include "wire/wire.h"

static struct nic *nic;
static struct nic_queue *queue;

static void setup(void)
{
    nic = nic_loop_open();
    cr_assert_not_null(nic);
    cr_assert_eq(nic->queue_count, 1);
    queue = nic->queues[0];
}

static void teardown(void)
{
    nic->ops->close(nic);
}

TestSuite(nic_loop, .init = setup, .fini = teardown);

static const struct endpoint here = {.ip = {1}, .port = 1}, there = {.ip = {2}, .port = 2};

static bool send_number(uint32_t number)
{
    struct nic_packet packet;
    if (!queue->ops->transmit_buffer(queue, &packet))
        return false;
    cr_assert_geq(packet.capacity, WIRE_PACKET_MAX);
    memset(packet.data, (int)number, packet.capacity);
    memcpy(packet.data, &number, sizeof number);
    packet.length = WIRE_PACKET_MAX - number % 7;
    packet.local = here;
    packet.remote = there;
    queue->ops->transmit(queue, &packet);
    return true;
}

/* Receives one burst and checks that it goes on with `*next`. */
static uint32_t receive_numbers(uint32_t *next)
{
    struct nic_packet packets[NIC_BURST];
    uint32_t count = queue->ops->receive(queue, packets, NIC_BURST);
    for (uint32_t i = 0; i < count; i++, ++*next) {
        uint32_t number;
        memcpy(&number, packets[i].data, sizeof number);
        cr_assert_eq(number, *next);
        cr_assert_eq(packets[i].length, WIRE_PACKET_MAX - number % 7);
        cr_assert_eq(packets[i].data[packets[i].length - 1], (uint8_t)number);
        cr_assert(endpoint_equal(&packets[i].local, &there), "the receiver's own endpoint is the one that was sent to");
        cr_assert(endpoint_equal(&packets[i].remote, &here));
    }
    queue->ops->receive_done(queue, packets, count);
    return count;
}

Test(nic_loop, gives_back_what_was_sent_in_order)
{
    uint32_t sent = 0, received = 0;
    for (uint32_t round = 0; round < 1000; round++) {
        for (uint32_t i = 0; i < round % (NIC_BURST + 20); i++)
            cr_assert(send_number(sent++));
        queue->ops->flush(queue);
        while (receive_numbers(&received) > 0)
            ;
        cr_assert_eq(received, sent);
    }
    cr_assert_eq(queue->counters.packets_sent, sent);
    cr_assert_eq(queue->counters.packets_received, sent);
    cr_assert_eq(queue->counters.bytes_received, queue->counters.bytes_sent);
}

Test(nic_loop, is_full_at_its_bound_and_loses_nothing)
{
    uint32_t sent = 0, received = 0;
    while (send_number(sent))
        cr_assert_leq(++sent, 4096);
    cr_assert_geq(sent, 2 * NIC_BURST);
    while (receive_numbers(&received) > 0)
        ;
    cr_assert_eq(received, sent);
    cr_assert(send_number(sent));
    receive_numbers(&received);
    cr_assert_eq(received, sent + 1);
}

Test(nic_loop, takes_cancelled_buffers_back)
{
    for (uint32_t i = 0; i < 10000; i++) {
        struct nic_packet packet;
        cr_assert(queue->ops->transmit_buffer(queue, &packet));
        queue->ops->transmit_cancel(queue, &packet);
    }
    struct nic_packet packets[NIC_BURST];
    cr_assert_eq(queue->ops->receive(queue, packets, NIC_BURST), 0);
}

Test(nic_loop, has_no_descriptor_and_no_notice)
{
    int fd;
    struct nic_notice notice;
    cr_assert_eq(queue->ops->fds(queue, &fd, 1), 0);
    cr_assert_not(queue->ops->notice(queue, &notice));
    cr_assert_eq(queue->ops->max_payload(queue, &here, &there), WIRE_PACKET_MAX);
}
