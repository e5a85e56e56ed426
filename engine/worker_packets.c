/* SPDX-License-Identifier: MIT */
/* Packets between the ports of a worker, other workers, and its transport. */
#include <assert.h>

#include "machnet/machnet.h"
#include "wire/wire.h"
#include "worker_internal.h"

enum {
    TRANSMIT_PER_TURN = 128,
    LOOP_BURSTS = 4, /* the loopback port is emptied when it is looked at */
    HANDOVER_BURSTS = 4,
    NOTICES_PER_TURN = 16,
};
static_assert(LOOP_BURSTS * NIC_BURST >= 2 * TRANSMIT_PER_TURN,
              "a turn that has sent may be followed by one that sends before it looks");

/* enum wire_type, or none of them. */
static unsigned type_of(const struct nic_packet *packet)
{
    return packet->data[0] & 0xf;
}

/* ---- Whose packet it is ---- */

/* Who listens where an INIT goes to; ourselves if nobody does, or if it cannot be read: the transport answers. */
static uint32_t owner_of_init(const struct worker *worker, struct nic_packet *packet)
{
    struct wire_handshake init;
    const size_t body = packet->length - WIRE_HEADER_BYTES - WIRE_TRAILER_BYTES;
    if (packet->data[0] >> 4 != WIRE_VERSION ||
        wire_handshake_decode(WIRE_INIT, packet->data + WIRE_HEADER_BYTES, body, &init) != WIRE_OK)
        return worker->index;
    struct endpoint wanted = packet->local;
    wanted.port = init.destination_port;
    int owner = directory_find(worker->config.directory, &wanted);
    if (owner == DIRECTORY_NOBODY)
        return worker->index;
    /* It is answered from the owner's own UDP port: what belongs to the flow goes there from then on. */
    packet->local.port = (uint16_t)(worker->config.paths->udp_port + owner);
    return (uint32_t)owner;
}

/* The worker that a packet belongs to. May change its local port. */
static uint32_t owner_of(const struct worker *worker, struct nic_packet *packet)
{
    uint32_t owner = worker->index;
    if (packet->length < WIRE_PACKET_MIN || packet->length > WIRE_PACKET_MAX)
        return owner;
    switch (type_of(packet)) {
    case WIRE_INIT:
        return owner_of_init(worker, packet);
    case WIRE_ACCEPT:
    case WIRE_REFUSE:
    case WIRE_RETRY:
    case WIRE_VERSIONS:
    case WIRE_FLOW:
        owner = packet->data[8] >> 2; /* of the dcid, which is ours */
        break;
    case WIRE_RESET:
    case WIRE_PROBE:
    case WIRE_PROBE_REPLY:
        owner = (uint32_t)packet->local.port - worker->config.paths->udp_port;
        break;
    default:
        break;
    }
    return owner < worker->worker_count ? owner : worker->index;
}

static void hand_over(struct worker *worker, uint32_t owner, const struct nic_packet *packet)
{
    if (handover_put(worker->config.handover, worker->index, owner, HANDOVER_PACKET, packet))
        worker->counters.handed_over++;
    else
        worker->counters.handover_dropped++;
}

/* ---- Reception ---- */

static struct nic_queue *port_towards(const struct worker *worker, const struct endpoint *remote)
{
    return worker->ports[path_is_local(worker->config.paths, remote) ? PORT_LOOP : PORT_NIC];
}

/* A packet of ours. */
static void receive_packet(struct worker *worker, const struct nic_packet *packet, uint64_t now)
{
    struct transport_path path = {
        .local = packet->local, .remote = packet->remote, .max_udp_payload = WIRE_PAYLOAD_MIN_MTU};
    transport_receive(worker->transport, &path, packet->data, packet->length, now);
}

static uint32_t receive_from(struct worker *worker, struct nic_queue *port, uint32_t bursts, uint64_t now)
{
    struct nic_packet packets[NIC_BURST];
    uint32_t total = 0, count = NIC_BURST;
    while (bursts-- > 0 && count == NIC_BURST) {
        count = port->ops->receive(port, packets, NIC_BURST);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t owner = worker->worker_count > 1 ? owner_of(worker, &packets[i]) : worker->index;
            if (owner == worker->index)
                receive_packet(worker, &packets[i], now);
            else
                hand_over(worker, owner, &packets[i]);
        }
        if (count > 0)
            port->ops->receive_done(port, packets, count);
        total += count;
    }
    return total;
}

/* ---- Other workers ---- */

static void take_item(struct worker *worker, const struct handover_item *item, uint64_t now)
{
    if (item->kind == HANDOVER_PACKET) {
        receive_packet(worker, &item->packet, now);
        worker->counters.handed_in++;
    } else {
        struct transport_claim claim = {.local = item->packet.local, .remote = item->packet.remote};
        memcpy(&claim.epoch, item->packet.data, sizeof claim.epoch);
        transport_claimed(worker->transport, &claim, now);
    }
}

/* What other workers have for us. */
static uint32_t take_over(struct worker *worker, uint64_t now)
{
    struct handover_item items[NIC_BURST];
    uint32_t total = 0, count = NIC_BURST;
    for (uint32_t bursts = 0; bursts < HANDOVER_BURSTS && count == NIC_BURST; bursts++) {
        count = handover_take(worker->config.handover, worker->index, items, NIC_BURST);
        for (uint32_t i = 0; i < count; i++)
            take_item(worker, &items[i], now);
        handover_done(worker->config.handover, worker->index);
        total += count;
    }
    return total;
}

/* What the others should hear. A ring that is full has no room for it either: then they find out by their own PROBEs. */
static void tell_others(struct worker *worker)
{
    struct transport_claim claim;
    while (transport_take_claim(worker->transport, &claim)) {
        const struct nic_packet packet = {.data = (uint8_t *)&claim.epoch,
                                          .length = sizeof claim.epoch,
                                          .local = claim.local,
                                          .remote = claim.remote};
        for (uint32_t to = 0; to < worker->worker_count; to++) {
            if (to != worker->index)
                (void)handover_put(worker->config.handover, worker->index, to, HANDOVER_CLAIM, &packet);
        }
    }
}

static uint32_t take_notices(struct worker *worker, uint64_t now)
{
    struct nic_queue *nic = worker->ports[PORT_NIC];
    struct nic_notice notice;
    uint32_t count = 0;
    for (; count < NOTICES_PER_TURN && nic->ops->notice(nic, &notice); count++) {
        /* PORT_UNREACHABLE proves nothing (anybody may send it) and is not acted upon. */
        if (notice.kind != NIC_TOO_LONG)
            continue;
        struct transport_path path = {
            .local = notice.local, .remote = notice.remote, .max_udp_payload = notice.max_payload};
        transport_path_too_long(worker->transport, &path, notice.max_payload, now);
    }
    return count;
}

/* A call of the kernel for nothing costs more than the rest of a turn. Who is about to sleep need not look at what will wake him. */
static uint32_t receive_from_nic(struct worker *worker, uint64_t now)
{
    const uint64_t timer_ns = worker->ports[PORT_NIC]->timer_ns;
    if (worker->nic_quiet && !worker->asked && (timer_ns == 0 || now < timer_ns)) {
        worker->nic_quiet = false;
        return 0;
    }
    const uint32_t bursts = 1 + worker->looks_owed;
    const uint32_t count = receive_from(worker, worker->ports[PORT_NIC], bursts, now);
    worker->nic_quiet = count < bursts * NIC_BURST && worker->nic_wakes && !worker_is_patient(worker, now);
    return count;
}

uint32_t worker_receive(struct worker *worker, uint64_t now)
{
    uint32_t count = receive_from_nic(worker, now);
    count += receive_from(worker, worker->ports[PORT_LOOP], LOOP_BURSTS, now) + take_notices(worker, now);
    if (worker->worker_count > 1) {
        handover_publish(worker->config.handover, worker->index);
        count += take_over(worker, now);
        tell_others(worker);
        handover_publish(worker->config.handover, worker->index);
    }
    return count;
}

/* ---- Transmission ---- */

/* A buffer of `port`, after a flush if need be. */
static bool fetch_buffer(struct nic_queue *port, struct nic_packet *packet)
{
    if (port->ops->transmit_buffer(port, packet))
        return true;
    port->ops->flush(port);
    return port->ops->transmit_buffer(port, packet);
}

/* The packet was built in a buffer of the wrong port: copies it to one of the right port. False: that is full. */
static bool move_packet(struct nic_queue *from, struct nic_queue *to, struct nic_packet *packet, size_t length)
{
    struct nic_packet moved;
    bool fits = fetch_buffer(to, &moved) && length <= moved.capacity;
    if (fits)
        memcpy(moved.data, packet->data, length);
    from->ops->transmit_cancel(from, packet);
    if (fits)
        *packet = moved;
    return fits;
}

/* Sends one packet. False: there is none, or no buffer for it. */
static bool transmit_packet(struct worker *worker, uint64_t now)
{
    struct nic_queue *guess = worker->ports[worker->last_port];
    struct nic_packet packet;
    struct transport_path path;
    if (!fetch_buffer(guess, &packet))
        return false;
    size_t length = transport_transmit(worker->transport, packet.data, packet.capacity, &path, now);
    if (length == 0) {
        guess->ops->transmit_cancel(guess, &packet);
        return false;
    }
    worker->last_port = path_is_local(worker->config.paths, &path.remote) ? PORT_LOOP : PORT_NIC;
    struct nic_queue *port = worker->ports[worker->last_port];
    if (port != guess && !move_packet(guess, port, &packet, length)) {
        port->counters.transmit_dropped++;
        return true;
    }
    packet.length = (uint32_t)length;
    packet.local = path.local;
    packet.remote = path.remote;
    port->ops->transmit(port, &packet);
    return true;
}

uint32_t worker_transmit(struct worker *worker, uint64_t now)
{
    uint32_t count = 0;
    while (count < TRANSMIT_PER_TURN && transport_wants_transmit(worker->transport) && transmit_packet(worker, now))
        count++;
    if (count > 0) {
        for (uint32_t i = 0; i < PORT_COUNT; i++)
            worker->ports[i]->ops->flush(worker->ports[i]);
    }
    return count;
}

uint32_t worker_path_limit(struct worker *worker, const struct transport_path *path)
{
    struct nic_queue *port = port_towards(worker, &path->remote);
    return port->ops->max_payload(port, &path->local, &path->remote);
}

int worker_path(struct worker *worker, const struct endpoint *local, const struct endpoint *remote,
                struct transport_path *path)
{
    const struct path_table *table = worker->config.paths;
    if (path_choose(table, worker->index, local, remote, &path->local, &path->remote) != PATH_OK)
        return MACHNET_EADDRNOTAVAIL;
    path->max_udp_payload = worker_path_limit(worker, path);
    return MACHNET_OK;
}
