/* SPDX-License-Identifier: MIT */
/* Queues of one NIC on threads of their own share the table of neighbours. ctest-labels: tsan */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

#include "support/ether_net.h"
#include "wire/bytes.h"

enum { QUEUES = 4, PEERS = 40, ROUNDS = 2000 };

static struct ether_net net;
static atomic_bool stop, delivered;

/* Whatever RSS does with ARP, here it is the same for all. */
static uint32_t by_port(const struct frame_device *device, const struct frame *frame)
{
    return get_u16(frame->data + 12) == ETHERNET_IPV4 ? get_u16(frame->data + 36) % device->queue_count : 0;
}

/* One worker: sends to many next hops, of which one exists, while time passes quickly, so that it is asked for and confirmed again and again. */
static void *work(void *arg)
{
    struct nic_queue *queue = arg;
    struct nic_packet packets[NIC_BURST];
    /* The peer's thread may be late on a busy machine. */
    for (uint32_t round = 0; round < ROUNDS || !atomic_load(&delivered); round++) {
        queue->now_ns += ETHER_SECOND / 100;
        uint32_t count = queue->ops->receive(queue, packets, NIC_BURST);
        if (count > 0)
            queue->ops->receive_done(queue, packets, count);
        struct nic_packet packet;
        if (queue->ops->transmit_buffer(queue, &packet)) {
            packet.data[0] = 1;
            packet.length = 1;
            packet.local = endpoint_from_ipv4(ether_net_ip(0), ETHER_PORT);
            packet.remote = endpoint_from_ipv4(ether_net_ip(1 + (round % 2 == 0 ? 0 : round % PEERS)), ETHER_PORT);
            queue->ops->transmit(queue, &packet);
        }
        queue->ops->flush(queue);
    }
    return NULL;
}

static void *peer(void *arg)
{
    struct nic_queue *queue = arg;
    struct nic_packet packets[NIC_BURST];
    while (!atomic_load(&stop)) {
        queue->now_ns += ETHER_SECOND / 100;
        uint32_t count = queue->ops->receive(queue, packets, NIC_BURST);
        if (count > 0) {
            queue->ops->receive_done(queue, packets, count);
            atomic_store(&delivered, true);
        }
    }
    return NULL;
}

Test(nic_ethernet_threads, queues__share_what_they_learn, .timeout = 60)
{
    pthread_t threads[QUEUES], other;
    uint64_t sent = 0, questions = 0;
    ether_net_open(&net);
    ether_net_add(&net, 0, &(struct ether_machine){.queues = QUEUES});
    ether_net_add(&net, 1, &(struct ether_machine){0});
    frame_mem_set_rss(net.devices[0], by_port);
    pthread_create(&other, NULL, peer, net.nics[1]->queues[0]);
    for (uint32_t i = 0; i < QUEUES; i++)
        pthread_create(&threads[i], NULL, work, net.nics[0]->queues[i]);
    for (uint32_t i = 0; i < QUEUES; i++) {
        pthread_join(threads[i], NULL);
        sent += ether_net_counters(&net, 0, i)->packets_sent;
        questions += ether_net_counters(&net, 0, i)->arp_requests_sent;
    }
    atomic_store(&stop, true);
    pthread_join(other, NULL);
    cr_assert_gt(sent, 0);
    cr_assert_gt(questions, PEERS);
    cr_assert_gt(ether_net_counters(&net, 1, 0)->packets_received, 0);
    ether_net_close(&net);
}
