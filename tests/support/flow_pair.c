/* SPDX-License-Identifier: MIT */
#include "support/flow_pair.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t canary = UINT64_C(0x6372656469747321);

static uint8_t pattern(uint32_t message, uint32_t length, uint32_t offset)
{
    return (uint8_t)((message + 1) * 37 + length * 11 + offset * 7 + (offset >> 8));
}

static bool op_reserve(struct transport_owner *owner, uint32_t length, bool last_reserve,
                       struct transport_extent *extent)
{
    struct pair_side *side = owner->user;
    if (length > side->memory_left) {
        if (!last_reserve || length > side->memory_left + side->reserve_left) {
            return false;
        }
        side->reserve_used += length - side->memory_left;
        side->reserve_left -= length - side->memory_left;
        side->memory_left = 0;
    } else {
        side->memory_left -= length;
    }
    extent->data = malloc(length + sizeof canary);
    memset(extent->data, PAIR_FRESH, length);
    memcpy(extent->data + length, &canary, sizeof canary);
    extent->length = length;
    extent->handle = (uintptr_t)extent->data;
    side->extents++;
    side->newest = *extent;
    return true;
}

static void give_back(struct pair_side *side, uint8_t *data, uint32_t length)
{
    assert(memcmp(data + length, &canary, sizeof canary) == 0); /* nobody wrote behind it */
    free(data);
    /* The reserve is filled up first. */
    const uint64_t reserve = length < side->reserve_used ? length : side->reserve_used;
    side->reserve_used -= reserve;
    side->reserve_left += reserve;
    side->memory_left += length - reserve;
    side->extents--;
}

static void op_abandon(struct transport_owner *owner, const struct transport_extent *extent)
{
    assert(extent->handle == (uintptr_t)extent->data);
    give_back(owner->user, extent->data, extent->length);
}

static uint32_t held_of(const struct pair_side *side, const struct pair_flow *flow)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < side->lent_count; i++) {
        count += side->lent_flow[i] == flow;
    }
    return count;
}

static enum transport_delivery op_deliver(struct transport_owner *owner, void *flow_user, const struct transport_extent *extent,
                       uint64_t tag)
{
    struct pair_side *side = owner->user;
    struct pair_flow *flow = flow_user;
    assert(flow->ended == 0 && flow->established + flow->accepted == 1 && !flow->closed);
    if (side->share > 0 && held_of(side, flow) >= side->share) {
        return TRANSPORT_OVER_SHARE;
    }
    if (side->no_room || side->lent_count == PAIR_LENT_MAX) {
        return TRANSPORT_NO_ROOM;
    }
    for (uint32_t i = 0; i < extent->length && !side->pair->unchecked; i++) {
        assert(extent->data[i] == pattern(flow->received, extent->length, i));
    }
    assert(tag == (flow->received % 3 == 0 ? 0 : flow->received) || side->pair->unchecked);
    flow->received++;
    side->lent_flow[side->lent_count] = flow;
    side->lent[side->lent_count++] = (struct pair_extent){extent->data, extent->length, true};
    return TRANSPORT_DELIVERED;
}

static bool op_established(struct transport_owner *owner, void *flow_user, struct flow *flow)
{
    struct pair_flow *user = flow_user;
    struct pair_side *side = owner->user;
    assert(flow == user->flow && user->established == 0 && user->ended == 0);
    user->established += !side->no_room;
    return !side->no_room;
}

static bool op_ended(struct transport_owner *owner, void *flow_user, enum transport_status status)
{
    struct pair_flow *flow = flow_user;
    struct pair_side *side = owner->user;
    assert(flow->ended == 0);
    assert(flow->sent == flow->sent_ok + flow->sent_failed);
    if (side->no_room) {
        return false;
    }
    flow->ended = 1;
    flow->status = status;
    return true;
}

static bool op_accepted(struct transport_owner *owner, uint64_t listener, struct flow *flow, void **flow_user)
{
    struct pair_side *side = owner->user;
    assert(listener == 1);
    if (side->no_room) {
        return false;
    }
    if (side->refuse || side->flow_count == PAIR_FLOWS_MAX) {
        *flow_user = NULL;
        return true;
    }
    struct pair_flow *user = &side->flows[side->flow_count++];
    *user = (struct pair_flow){.side = side, .flow = flow, .accepted = 1};
    side->accepted_count++;
    *flow_user = user;
    return true;
}

static void op_sent(struct transport_owner *owner, void *flow_user, uint64_t cookie, enum transport_status status)
{
    struct pair_side *side = owner->user;
    struct pair_flow *flow = flow_user;
    assert(flow->ended == 0 && cookie < side->next_cookie && side->cookies[cookie] == 0);
    side->cookies[cookie] = 1;
    free(side->buffers[cookie]);
    side->buffers[cookie] = NULL;
    flow->sent_ok += status == TRANSPORT_OK;
    flow->sent_failed += status != TRANSPORT_OK;
}

static bool op_stalled(struct transport_owner *owner, void *flow_user)
{
    struct pair_flow *flow = flow_user;
    (void)owner;
    flow->stalled++;
    return !flow->side->stalls_later;
}

static const struct transport_ops ops = {
    .extent_reserve = op_reserve,
    .extent_abandon = op_abandon,
    .deliver = op_deliver,
    .established = op_established,
    .ended = op_ended,
    .accepted = op_accepted,
    .sent = op_sent,
    .stalled = op_stalled,
};

static void side_init(struct pair *pair, struct pair_side *side, uint8_t from, uint8_t to)
{
    struct endpoint local = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, from}, 31700};
    struct endpoint remote = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, to}, 31700};
    side->pair = pair;
    side->path = (struct transport_path){.local = local, .remote = remote, .max_udp_payload = 1472};
    side->memory_left = 64 << 20;
    side->reserve_left = 8 << 20;
    side->config = (struct transport_config){.epoch = 1000u + from,
                                             .seed = 77u + from,
                                             .max_flows = 1024,
                                             .max_half_open = 256,
                                             .max_udp_payload = WIRE_PACKET_MAX,
                                             .dead_peer_ns = 10000 * PAIR_MS,
                                             .probe_ns = 2500 * PAIR_MS,
                                             .window_packets = 1024};
    pair_start(side);
}

void pair_start(struct pair_side *side)
{
    struct endpoint any = {.port = PAIR_PORT};
    side->transport = transport_new(&side->config, &ops);
    transport_owner_init(&side->owner, side, 16 << 20);
    bool listening = transport_listen(side->transport, &side->owner, &any, 1);
    assert(side->transport && listening);
    (void)listening;
}

void pair_stop(struct pair_side *side)
{
    transport_free(side->transport);
    side->transport = NULL;
    for (uint32_t i = 0; i < side->lent_count; i++) {
        give_back(side, side->lent[i].data, side->lent[i].length);
    }
    side->lent_count = 0;
    for (uint64_t i = 0; i < side->next_cookie; i++) {
        free(side->buffers[i]);
        side->buffers[i] = NULL;
    }
    assert(side->extents == 0);
}

void pair_init(struct pair *pair)
{
    memset(pair, 0, sizeof *pair);
    pair->now = 1000 * PAIR_MS;
    pair->delay = 50000;
    pair->late = PAIR_MS;
    side_init(pair, &pair->a, 2, 3);
    side_init(pair, &pair->b, 3, 2);
}

void pair_fini(struct pair *pair)
{
    pair_stop(&pair->a);
    pair_stop(&pair->b);
    while (pair->wire) {
        struct pair_packet *packet = pair->wire;
        pair->wire = packet->next;
        free(packet);
    }
}

struct pair_flow *pair_open(struct pair_side *side, uint16_t port)
{
    enum transport_status status;
    struct pair_flow *flow = &side->flows[side->flow_count++];
    *flow = (struct pair_flow){.side = side};
    flow->flow = transport_open(side->transport, &side->owner, flow, &side->path, 0, port, 3000 * PAIR_MS,
                                side->pair->now, &status);
    assert(flow->flow);
    return flow;
}

void pair_send(struct pair_flow *flow, uint32_t length)
{
    struct pair_side *side = flow->side;
    uint64_t cookie = side->next_cookie++;
    assert(cookie < PAIR_COOKIES_MAX);
    uint8_t *data = malloc(length ? length : 1);
    for (uint32_t i = 0; i < length; i++) {
        data[i] = pattern(flow->sent, length, i);
    }
    side->buffers[cookie] = data;
    struct transport_span span = {
        .data = data, .length = length, .tag = flow->sent % 3 == 0 ? 0 : flow->sent, .cookie = cookie};
    if (transport_send(side->transport, flow->flow, &span, side->pair->now)) {
        flow->sent++;
    } else {
        free(data);
        side->buffers[cookie] = NULL;
    }
}

void pair_close(struct pair_flow *flow, bool abort)
{
    struct pair_side *side = flow->side;
    flow->closed = true;
    transport_close(side->transport, flow->flow, abort, side->pair->now);
}

void pair_release_one(struct pair_side *side)
{
    struct pair_extent extent = side->lent[0];
    struct pair_flow *flow = side->lent_flow[0];
    assert(side->lent_count > 0);
    side->lent_count--;
    memmove(side->lent, side->lent + 1, side->lent_count * sizeof side->lent[0]);
    memmove(side->lent_flow, side->lent_flow + 1, side->lent_count * sizeof side->lent_flow[0]);
    give_back(side, extent.data, extent.length);
    if (flow->closed) {
        transport_released_orphan(side->transport, &side->owner, extent.length);
    } else {
        transport_released(side->transport, flow->flow, extent.length, side->pair->now);
    }
    transport_memory_available(side->transport, &side->owner, side->pair->now);
}

void pair_release(struct pair_side *side)
{
    while (side->lent_count > 0) {
        pair_release_one(side);
    }
}

void pair_inject(struct pair_side *to, const struct endpoint *from, const uint8_t *packet, size_t length)
{
    struct transport_path path = to->path;
    path.remote = *from;
    transport_receive(to->transport, &path, packet, length, to->pair->now);
}

static void put(struct pair *pair, struct pair_side *to, const struct transport_path *path, const uint8_t *bytes,
                size_t length, uint64_t extra)
{
    struct pair_packet *packet = malloc(sizeof *packet + length);
    struct pair_packet **link = &pair->wire;
    *packet = (struct pair_packet){.at = pair->now + pair->delay + extra,
                                   .to = to,
                                   .from_endpoint = path->local,
                                   .to_endpoint = path->remote,
                                   .length = (uint32_t)length};
    memcpy(packet->bytes, bytes, length);
    while (*link && (*link)->at <= packet->at) {
        link = &(*link)->next;
    }
    packet->next = *link;
    *link = packet;
}

static void carry(struct pair *pair, struct pair_side *from, struct pair_side *to, const struct transport_path *path,
                  uint8_t *bytes, size_t length)
{
    uint64_t index = pair->packets++;
    enum pair_fate fate = pair->fate ? pair->fate(pair, index, from, bytes, length) : PAIR_PASS;
    if (fate == PAIR_DROP) {
        return;
    }
    if (fate == PAIR_CORRUPT) {
        bytes[length / 2] ^= 0x10;
    }
    put(pair, to, path, bytes, length, fate == PAIR_DELAY ? pair->late : 0);
    if (fate == PAIR_DUPLICATE) {
        put(pair, to, path, bytes, length, 0);
    }
}

static void transmit(struct pair *pair, struct pair_side *from, struct pair_side *to)
{
    uint8_t buffer[WIRE_PACKET_MAX];
    struct transport_path path;
    size_t length;
    while (from->transport &&
           (length = transport_transmit(from->transport, buffer, sizeof buffer, &path, pair->now)) > 0) {
        bool for_self = endpoint_equal(&path.remote, &from->path.local);
        carry(pair, from, for_self ? from : to, &path, buffer, length);
    }
}

static void receive_due(struct pair *pair)
{
    while (pair->wire && pair->wire->at <= pair->now) {
        struct pair_packet *packet = pair->wire;
        pair->wire = packet->next;
        if (packet->to->transport) {
            struct transport_path path = packet->to->path;
            path.local = packet->to_endpoint;
            path.remote = packet->from_endpoint;
            transport_receive(packet->to->transport, &path, packet->bytes, packet->length, pair->now);
        }
        free(packet);
    }
}

static uint64_t next_event(const struct pair *pair)
{
    uint64_t at = pair->wire ? pair->wire->at : UINT64_MAX;
    const struct pair_side *sides[2] = {&pair->a, &pair->b};
    for (int i = 0; i < 2; i++) {
        uint64_t timeout = sides[i]->transport ? transport_next_timeout(sides[i]->transport) : UINT64_MAX;
        at = timeout < at ? timeout : at;
    }
    return at;
}

static void step(struct pair *pair)
{
    receive_due(pair);
    for (int i = 0; i < 2; i++) {
        struct pair_side *side = i == 0 ? &pair->a : &pair->b;
        if (!side->transport) {
            continue;
        }
        transport_timeout(side->transport, pair->now);
        if (!side->keep) {
            pair_release(side);
        }
        if (!side->no_room) {
            transport_owner_resume(side->transport, &side->owner, pair->now);
        }
    }
    transmit(pair, &pair->a, &pair->b);
    transmit(pair, &pair->b, &pair->a);
}

void pair_run(struct pair *pair, uint64_t duration_ns)
{
    uint64_t end = pair->now + duration_ns;
    for (;;) {
        step(pair);
        uint64_t at = next_event(pair);
        if (at > end) {
            break;
        }
        pair->now = at > pair->now ? at : pair->now;
    }
    pair->now = end;
}

void pair_settle(struct pair *pair)
{
    uint64_t quiet = 0, last = UINT64_MAX;
    for (int i = 0; i < 30000 && quiet < 1200; i++) {
        pair_run(pair, PAIR_MS);
        quiet = pair->packets == last && !pair->wire ? quiet + 1 : 0;
        last = pair->packets;
    }
}

struct pair_flow *pair_connect(struct pair *pair)
{
    struct pair_flow *flow = pair_open(&pair->a, PAIR_PORT);
    pair_run(pair, 5 * PAIR_MS);
    assert(flow->established == 1 && pair->b.accepted_count == 1);
    return flow;
}
