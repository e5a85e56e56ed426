/* SPDX-License-Identifier: MIT */
#include "node.h"

#include "algorithm.h"
#include "world.h"

enum { TRANSMIT_PER_TURN = 128 }; /* as worker_packets.c */

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
        .window_packets = plan->load_count > 0 ? 1024 : (uint32_t)prng_between(&node->prng, 256, 1024),
    };
    algorithm_set(&config, node->world->options->algorithm);
    node->transport = transport_new(&config, &app_ops);
}

void node_start(struct node *node, struct world *world, uint32_t index, uint64_t seed)
{
    *node = (struct node){.world = world, .index = index, .polled_ns = UINT64_MAX};
    prng_init(&node->prng, seed);
    node->phase_ns = prng_below(&node->prng, world->plan.step_ns);
    node->udp = (struct endpoint){.ip = {[10] = 0xff, 0xff, 10, 0, 0, (uint8_t)(index + 1)}, .port = NODE_UDP_PORT};
    uint32_t max_payload =
        (uint32_t)prng_between(&node->prng, world->plan.max_payload_low, world->plan.max_payload_high);
    node->nic = nic_mem_open(world->network, &node->udp, 1, NODE_UDP_PORT, 1, max_payload);
    start_transport(node);
    if (world->plan.port_bits_per_second > 0) {
        struct nic_mem_port port = {.bits_per_second = world->plan.port_bits_per_second,
                                    .queue_packets = world->plan.port_queue_packets};
        nic_mem_set_port(world->network, &node->udp, &port);
    }
}

uint64_t node_now(const struct node *node)
{
    return node->world->now_ns + node->clock_ahead_ns;
}

static void receive(struct node *node)
{
    struct nic_queue *queue = node->nic->queues[0];
    struct nic_packet packets[NIC_BURST];
    uint32_t count = queue->ops->receive(queue, packets, NIC_BURST);
    for (uint32_t i = 0; i < count; i++) {
        const struct nic_packet *packet = &packets[i];
        struct transport_path path = {
            .local = packet->local,
            .remote = packet->remote,
            .max_udp_payload = queue->ops->max_payload(queue, &packet->local, &packet->remote),
        };
        transport_receive(node->transport, &path, packet->data, packet->length, node_now(node));
    }
    queue->ops->receive_done(queue, packets, count);
    struct nic_notice notice;
    while (queue->ops->notice(queue, &notice)) {
        struct transport_path path = {
            .local = notice.local, .remote = notice.remote, .max_udp_payload = notice.max_payload};
        transport_path_too_long(node->transport, &path, notice.max_payload, node_now(node));
    }
}

static void transmit(struct node *node)
{
    struct nic_queue *queue = node->nic->queues[0];
    struct nic_packet packet;
    uint32_t count = 0;
    while (count < TRANSMIT_PER_TURN && transport_wants_transmit(node->transport) &&
           queue->ops->transmit_buffer(queue, &packet)) {
        struct transport_path path;
        packet.length =
            (uint32_t)transport_transmit(node->transport, packet.data, packet.capacity, &path, node_now(node));
        if (packet.length == 0) {
            queue->ops->transmit_cancel(queue, &packet);
            break;
        }
        packet.local = path.local;
        packet.remote = path.remote;
        queue->ops->transmit(queue, &packet);
        count++;
    }
    if (count > 0) {
        queue->ops->flush(queue);
    }
}

void node_poll(struct node *node)
{
    node->polled_ns = node->world->now_ns;
    receive(node);
    if (transport_next_timeout(node->transport) <= node_now(node)) {
        transport_timeout(node->transport, node_now(node));
    }
    transmit(node);
}

/* When the poll loop, which never rests, comes by after `wanted_ns`. */
static uint64_t next_step(const struct node *node, uint64_t wanted_ns)
{
    const uint64_t step_ns = node->world->plan.step_ns;
    if (step_ns == 0) {
        return wanted_ns;
    }
    if (node->polled_ns != UINT64_MAX && wanted_ns <= node->polled_ns) {
        wanted_ns = node->polled_ns + 1;
    }
    if (wanted_ns <= node->phase_ns) {
        return node->phase_ns;
    }
    return (wanted_ns + step_ns - 1 - node->phase_ns) / step_ns * step_ns + node->phase_ns;
}

uint64_t node_next_poll(const struct node *node)
{
    const uint64_t now_ns = node->world->now_ns;
    uint64_t wanted_ns = now_ns;
    if (!nic_mem_arrived(node->nic->queues[0]) && !transport_wants_transmit(node->transport)) {
        wanted_ns = transport_next_timeout(node->transport);
        if (wanted_ns == UINT64_MAX) {
            return UINT64_MAX;
        }
        wanted_ns = wanted_ns > node_now(node) ? wanted_ns - node->clock_ahead_ns : now_ns;
    }
    if (wanted_ns < node->stalled_until_ns) {
        wanted_ns = node->stalled_until_ns;
    }
    return next_step(node, wanted_ns);
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
