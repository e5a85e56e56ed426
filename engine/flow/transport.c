/* SPDX-License-Identifier: MIT */
/* The transport as a whole: made, freed, packets dispatched and turns taken. */
#include "flow/flow.h"

#include <stdlib.h>
#include <string.h>

enum {
    PACKETS_PER_INIT = 8,
    POOL_KEEP = 16 << 20,
};

struct transport *transport_new(const struct transport_config *config, const struct transport_ops *ops)
{
    struct transport *transport = calloc(1, sizeof *transport);
    if (!transport) {
        return NULL;
    }
    transport->config = *config;
    transport->ops = *ops;
    uint64_t seed = config->seed;
    prng_init(&transport->prng, prng_splitmix(&seed));
    transport->inits_held_until = NEVER;
    transport->key.k0 = prng_splitmix(&seed);
    transport->key.k1 = prng_splitmix(&seed);
    transport->next_port = (uint16_t)(49152 + (prng_splitmix(&seed) & 16383));
    pool_init(&transport->pool, POOL_KEEP);
    return transport;
}

/* The owner never hears of the flow again. */
static void owner_lose_flow(struct flow *flow)
{
    struct transport_owner *owner = flow->owner;
    incoming_drop_all(flow);
    flow_quiet(flow);
    if (flow->state == FLOW_ACCEPTING) {
        owner->half_open--;
    }
    if (flow->in_undelivered) {
        DL_DELETE2(owner->undelivered, flow, undelivered_prev, undelivered_next);
        flow->in_undelivered = false;
    }
    DL_DELETE2(owner->flows, flow, owner_prev, owner_next);
    owner->flow_count--;
    owner->lingering -= flow->through;
    flow->owner = NULL;
    flow->closed = true;
}

void transport_free(struct transport *transport)
{
    if (!transport) {
        return;
    }
    for (uint32_t i = 0; i < transport->flow_slots; i++) {
        struct flow *flow = transport->flows[i];
        if (flow && flow->owner) {
            owner_lose_flow(flow);
        }
        if (flow) {
            flow_forget(flow);
            flow_settle(flow);
        }
    }
    transport_reap(transport);
    listeners_drop(transport, NULL);
    deque_reset(&transport->replies, &transport->pool, sizeof(struct reply));
    heap_fini(&transport->heap);
    hash_index_fini(&transport->by_remote);
    hash_index_fini(&transport->peers);
    hash_index_fini(&transport->hosts);
    pool_fini(&transport->pool);
    free(transport->flows);
    free(transport->free_slots);
    free(transport);
}

uint64_t transport_random(struct transport *transport)
{
    uint64_t count = ++transport->cid_count;
    return siphash(&transport->key, &count, sizeof count);
}

void transport_owner_init(struct transport_owner *owner, void *user, uint64_t receive_budget)
{
    *owner = (struct transport_owner){.user = user, .receive_budget = receive_budget, .message_max = MESSAGE_MAX, .max_flows = UINT32_MAX};
}

void transport_owner_close(struct transport *transport, struct transport_owner *owner, uint16_t reason, uint64_t now)
{
    listeners_drop(transport, owner);
    while (owner->flows) {
        struct flow *flow = owner->flows;
        owner_lose_flow(flow);
        flow_abort(flow, TRANSPORT_ABORTED, reason, now);
        flow_settle(flow);
    }
    transport_reap(transport);
}

void transport_owner_resume(struct transport *transport, struct transport_owner *owner, uint64_t now)
{
    while (owner->undelivered) {
        struct flow *flow = owner->undelivered;
        flow_deliver(flow, now);
        if (owner->undelivered == flow) {
            break;
        }
    }
    transport_reap(transport);
}

void transport_memory_available(struct transport *transport, struct transport_owner *owner, uint64_t now)
{
    grant_run(transport, owner, now);
    refused_run(owner);
    transport_reap(transport);
}

/* A packet that was not decoded. */
static void receive_undecoded(struct transport *transport, const struct transport_path *path, const uint8_t *packet,
                              size_t length, const struct wire_header *header, int result)
{
    switch (result) {
    case WIRE_ECHECKSUM:
        transport->counters.bad_checksum++;
        break;
    case WIRE_EVERSION:
        transport->counters.bad_version++;
        reply_version(transport, path, packet, length, header);
        break;
    default:
        transport->counters.malformed++;
        break;
    }
}

static void receive_flow(struct transport *transport, const struct transport_path *path,
                         const struct wire_header *header, const uint8_t *body, size_t length, uint64_t now)
{
    struct flow *flow = flow_find(transport, header->dcid);
    if (!flow || flow->state == FLOW_OPENING || flow->state == FLOW_GONE ||
        !endpoint_equal(&flow->path.remote, &path->remote)) {
        transport->counters.unknown_flow++;
        reply_reset(transport, path, header, now);
        return;
    }
    flow_receive(flow, header, body, length, now);
}

static void receive_reset(struct transport *transport, const struct transport_path *path,
                          const struct wire_header *header, uint64_t now)
{
    struct flow *flow = flow_find_remote(transport, &path->remote, header->dcid);
    if (!flow || !flow_on_network(flow) || !deque_holds(&flow->tx.records, header->packet_number) ||
        !(RECORD(flow, header->packet_number)->flags & RECORD_LIVE)) {
        transport->counters.resets_ignored++;
        return;
    }
    close_reset_packet(flow, now);
}

static void receive_handshake(struct transport *transport, const struct transport_path *path,
                              const struct wire_header *header, const uint8_t *body, size_t length, uint64_t now)
{
    struct wire_handshake handshake;
    if (header->type != WIRE_INIT && !flow_opening(transport, path, header->dcid)) {
        transport->counters.unknown_flow++;
        return;
    }
    int result = wire_handshake_decode(header->type, body, length, &handshake);
    if (result != WIRE_OK) {
        transport->counters.malformed++;
        if (result == WIRE_ECRITICAL && header->type == WIRE_INIT && handshake.source_cid != 0) {
            reply_refuse(transport, path, header, handshake.source_cid, handshake.nonce, WIRE_REASON_PROTOCOL);
        }
        return;
    }
    if (header->type == WIRE_INIT) {
        handshake_init(transport, path, header, &handshake, now);
    } else {
        handshake_answer(transport, path, header, &handshake, now);
    }
}

static void receive_probe(struct transport *transport, const struct transport_path *path, uint8_t type,
                          const uint8_t *body, size_t length, uint64_t now)
{
    struct wire_probe probe;
    if (wire_probe_decode(type, body, length, &probe) != WIRE_OK) {
        transport->counters.malformed++;
    } else if (type == WIRE_PROBE) {
        peer_probe(transport, path, &probe);
    } else {
        peer_probe_reply(transport, path, &probe, now);
    }
}

void transport_receive(struct transport *transport, const struct transport_path *path, const uint8_t *packet,
                       size_t length, uint64_t now)
{
    struct wire_header header;
    size_t body_length;
    const uint8_t *body = packet + WIRE_HEADER_BYTES;

    transport->counters.packets_received++;
    transport->counters.bytes_received += length;
    int result = wire_packet_decode(packet, length, &header, &body_length);
    if (result != WIRE_OK) {
        receive_undecoded(transport, path, packet, length, &header, result);
        return;
    }
    switch (header.type) {
    case WIRE_FLOW:
        receive_flow(transport, path, &header, body, body_length, now);
        break;
    case WIRE_RESET:
        receive_reset(transport, path, &header, now);
        break;
    case WIRE_PROBE:
    case WIRE_PROBE_REPLY:
        receive_probe(transport, path, header.type, body, body_length, now);
        break;
    default:
        receive_handshake(transport, path, &header, body, body_length, now);
        break;
    }
    transport_reap(transport);
}

static size_t flow_transmit(struct flow *flow, uint8_t *buffer, size_t capacity, uint64_t now)
{
    switch (flow->state) {
    case FLOW_ACCEPTING:
        return handshake_transmit(flow, buffer, capacity, now);
    case FLOW_OPEN:
    case FLOW_CLOSING:
    case FLOW_ENDED:
        return send_transmit(flow, buffer, capacity, now);
    default:
        return 0;
    }
}

/*
 * Turns by deficit round robin (Shreedhar and Varghese, SIGCOMM 1995), by bytes. As in FQ-CoDel (RFC 8290) a flow that becomes active goes
 * before those that always have something to send, as long as it has not used up the bytes of a turn; it keeps count while it is quiet.
 */
static struct flow *next_in_turn(const struct transport *transport)
{
    return transport->transmit_first ? transport->transmit_first : transport->transmit;
}

/* After a packet: whose turn is next? */
static void count_turn(struct flow *flow, size_t length, uint64_t now)
{
    flow->deficit -= (int32_t)length;
    if (!flow->in_transmit) {
        return;
    }
    const bool on_network = flow_on_network(flow);
    const uint64_t paused = on_network && !send_urgent(flow) ? send_paused_until(flow, now) : NEVER;
    if (on_network && !send_wanted(flow)) {
        flow_quiet(flow);
    } else if (paused != NEVER) {
        flow_pause(flow, paused, now);
    } else if (flow->deficit <= 0) {
        flow_turn_over(flow);
    }
}

/* The next packet of a flow, which may be its INIT; 0: none has one. */
static size_t transmit_of_flows(struct transport *transport, uint8_t *buffer, size_t capacity,
                                struct transport_path *path, uint64_t now)
{
    size_t length = 0;
    if (!next_in_turn(transport) || ++transport->since_init >= PACKETS_PER_INIT) {
        transport->since_init = 0;
        length = opening_transmit(transport, buffer, capacity, path, now);
    }
    while (length == 0 && next_in_turn(transport)) {
        struct flow *flow = next_in_turn(transport);
        length = flow_transmit(flow, buffer, capacity, now);
        if (length > 0) {
            *path = flow->path;
            flow->packets_sent++;
            count_turn(flow, length, now);
            flow_timer(flow);
            break;
        }
        if (flow->in_transmit) {
            const uint64_t paused = flow_on_network(flow) ? send_paused_until(flow, now) : NEVER;
            if (paused != NEVER) {
                flow_pause(flow, paused, now);
            } else {
                flow_quiet(flow);
            }
        }
        transport_reap(transport);
    }
    return length;
}

/* Replies and flows alternate while both have something: strangers who ask for replies, however many, leave the flows at least half. */
size_t transport_transmit(struct transport *transport, uint8_t *buffer, size_t capacity, struct transport_path *path,
                          uint64_t now)
{
    const bool flows_first = transport->replied;
    size_t length = flows_first ? 0 : reply_transmit(transport, buffer, path);
    transport->replied = length > 0;
    if (length == 0) {
        length = transmit_of_flows(transport, buffer, capacity, path, now);
    }
    if (length == 0 && flows_first) {
        length = reply_transmit(transport, buffer, path);
        transport->replied = length > 0;
    }
    if (length > 0) {
        transport->counters.packets_sent++;
        transport->counters.bytes_sent += length;
    }
    return length;
}

bool transport_wants_transmit(const struct transport *transport)
{
    return next_in_turn(transport) || deque_count(&transport->replies) > 0 || opening_ready(transport);
}

void transport_path_too_long(struct transport *transport, const struct transport_path *path, uint32_t max_udp_payload,
                             uint64_t now)
{
    struct peer *peer = peer_find(transport, path);
    if (peer && peer->mtu.ceiling != 0) {
        mtu_too_long(&peer->mtu, max_udp_payload, now);
    }
}

uint64_t transport_next_timeout(const struct transport *transport)
{
    const struct heap_timer *first = heap_first(&transport->heap);
    const uint64_t at = min_u64(first ? first->at : NEVER, transport->inits_held_until);
    return min_u64(at, pacing_next(&transport->pacing));
}

void transport_shutdown(struct transport *transport, uint64_t now)
{
    for (uint32_t i = 0; i < transport->flow_slots; i++) {
        struct flow *flow = transport->flows[i];
        if (flow && (flow->state == FLOW_OPEN || flow->state == FLOW_CLOSING)) {
            flow_abort(flow, TRANSPORT_RESET, WIRE_REASON_ENGINE_SHUTDOWN, now);
        } else if (flow && (flow->state == FLOW_OPENING || flow->state == FLOW_ACCEPTING)) {
            flow_end(flow, TRANSPORT_ABORTED, now);
        }
    }
    transport_reap(transport);
}

const struct transport_counters *transport_counters(const struct transport *transport)
{
    return &transport->counters;
}
