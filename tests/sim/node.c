/* SPDX-License-Identifier: MIT */
#include "node.h"

#include "world.h"

enum { TRANSMITTED_MAX = 256 }; /* packets between two looks at what came in */

static void start_transport(struct node *node)
{
    const struct plan *plan = &node->world->plan;
    struct transport_config config = {
        .epoch = prng_next(&node->prng),
        .seed = prng_next(&node->prng),
        .worker = 0,
        .max_flows = plan->max_flows,
        .max_half_open = plan->max_half_open,
        .max_udp_payload = node->nic->ops->max_payload(node->nic->queues[0], &node->udp, &node->udp),
        .dead_peer_ns = plan->dead_peer_ns,
        .probe_ns = plan->probe_ns,
        .window_packets = (uint32_t)prng_between(&node->prng, 256, 1024),
    };
    node->transport = transport_new(&config, &app_ops);
}

void node_start(struct node *node, struct world *world, uint32_t index, uint64_t seed)
{
    *node = (struct node){.world = world, .index = index};
    prng_init(&node->prng, seed);
    node->udp = (struct endpoint){
        .ip = {[10] = 0xff, 0xff, 10, 0, 0, (uint8_t)(index + 1)}, .port = NODE_UDP_PORT};
    uint32_t max_payload = (uint32_t)prng_between(&node->prng, world->plan.max_payload_low,
                                                  world->plan.max_payload_high);
    node->nic = nic_mem_open(world->network, &node->udp, 1, NODE_UDP_PORT, 1, max_payload);
    start_transport(node);
}

static void receive(struct node *node)
{
    struct nic_queue *queue = node->nic->queues[0];
    struct nic_packet packets[NIC_BURST];
    uint32_t count;
    while ((count = queue->ops->receive(queue, packets, NIC_BURST)) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            const struct nic_packet *packet = &packets[i];
            struct transport_path path = {
                .local = packet->local,
                .remote = packet->remote,
                .max_udp_payload = queue->ops->max_payload(queue, &packet->local, &packet->remote),
            };
            transport_receive(node->transport, &path, packet->data, packet->length,
                              node->world->now_ns);
        }
        queue->ops->receive_done(queue, packets, count);
    }
    struct nic_notice notice;
    while (queue->ops->notice(queue, &notice)) {
        struct transport_path path = {.local = notice.local, .remote = notice.remote,
                                      .max_udp_payload = notice.max_payload};
        transport_path_too_long(node->transport, &path, notice.max_payload, node->world->now_ns);
    }
}

static void transmit(struct node *node)
{
    struct nic_queue *queue = node->nic->queues[0];
    struct nic_packet packet;
    uint32_t count = 0;
    while (count < TRANSMITTED_MAX && queue->ops->transmit_buffer(queue, &packet)) {
        struct transport_path path;
        packet.length = (uint32_t)transport_transmit(node->transport, packet.data, packet.capacity,
                                                     &path, node->world->now_ns);
        if (packet.length == 0) {
            queue->ops->transmit_cancel(queue, &packet);
            break;
        }
        packet.local = path.local;
        packet.remote = path.remote;
        queue->ops->transmit(queue, &packet);
        count++;
    }
    queue->ops->flush(queue);
    node->transmitted += count;
}

void node_poll(struct node *node)
{
    receive(node);
    if (transport_next_timeout(node->transport) <= node->world->now_ns) {
        transport_timeout(node->transport, node->world->now_ns);
    }
    transmit(node);
}

uint64_t node_next_timeout(const struct node *node)
{
    if (transport_wants_transmit(node->transport)) {
        return node->world->now_ns;
    }
    return transport_next_timeout(node->transport);
}

void node_stop(struct node *node)
{
    struct world *world = node->world;
    transport_free(node->transport);
    node->transport = NULL;
    for (uint32_t i = 0; i < world->app_count; i++) {
        if (world->apps[i].node == node && world->apps[i].alive) {
            app_forget(&world->apps[i]);
        }
    }
}

void node_restart(struct node *node)
{
    world_trace(node->world, "node %u: restarts", node->index);
    node->world->ledger.engines_restart = true;
    node->world->ledger.nobody_listens = true;
    node_stop(node);
    start_transport(node);
}

void node_fini(struct node *node)
{
    node->nic->ops->close(node->nic);
}
