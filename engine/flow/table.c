/* SPDX-License-Identifier: MIT */
/* The table of flows: made, found, freed; and their timers. */
#include "flow/flow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A cid is worker (6 bits), index in the table (18), random (40). */
enum { INDEX_BITS = 18, RANDOM_BITS = 40 };
#define INDEX_MASK ((UINT64_C(1) << INDEX_BITS) - 1)
#define RANDOM_MASK ((UINT64_C(1) << RANDOM_BITS) - 1)

/* Falling asleep and being woken by a timer, about: more than an ACK ahead of its time costs. */
#define SLEEP_COST_NS MICROSECONDS(30)

/* What was never used is not touched, so that it takes no memory. */
static bool table_grow(struct transport *transport)
{
    uint32_t slots = transport->flow_capacity ? 2 * transport->flow_capacity : 64;
    struct flow **flows = realloc(transport->flows, slots * sizeof(struct flow *));
    if (!flows) {
        return false;
    }
    transport->flows = flows;
    uint32_t *free_slots = realloc(transport->free_slots, slots * sizeof *free_slots);
    if (!free_slots) {
        return false;
    }
    transport->free_slots = free_slots;
    transport->flow_capacity = slots;
    return true;
}

static uint64_t cid_new(struct transport *transport, uint32_t index)
{
    uint64_t cid;
    do {
        cid = (uint64_t)transport->config.worker << (INDEX_BITS + RANDOM_BITS) | (uint64_t)index << RANDOM_BITS |
              (transport_random(transport) & RANDOM_MASK);
    } while (cid == 0);
    return cid;
}

static void flow_init(struct flow *flow, struct transport *transport, struct transport_owner *owner,
                      const struct transport_path *path)
{
    flow->transport = transport;
    flow->owner = owner;
    flow->path = *path;
    flow->deadline = NEVER;
    flow->stall_at = NEVER;
    flow->fin_reason = WIRE_REASON_CLOSED;
    flow->tx.loss_at = NEVER;
    flow->rx.ack_at = NEVER;
    congestion_init(&flow->tx.congestion, transport->config.algorithm, transport->config.window_packets,
                    transport->config.host_noise_ns);
}

struct flow *flow_new(struct transport *transport, struct transport_owner *owner, const struct transport_path *path,
                      enum transport_status *status, uint64_t now)
{
    uint32_t max_flows = transport->config.max_flows <= INDEX_MASK + 1 ? transport->config.max_flows : INDEX_MASK + 1;
    *status = TRANSPORT_NO_MEMORY;
    const bool full = transport->flow_count == transport->flow_capacity;
    if (transport->flow_count >= max_flows || (full && !table_grow(transport))) {
        return NULL;
    }
    struct flow *flow = calloc(1, sizeof *flow);
    if (!flow) {
        return NULL;
    }
    flow_init(flow, transport, owner, path);
    if (!heap_add(&transport->heap, &flow->timer, TIMER_FLOW)) {
        free(flow);
        return NULL;
    }
    if (!peer_join(flow, now)) {
        heap_remove(&transport->heap, &flow->timer);
        free(flow);
        return NULL;
    }
    uint32_t index = transport->free_count > 0 ? transport->free_slots[--transport->free_count] : transport->flow_slots++;
    flow->cid = cid_new(transport, index);
    transport->flows[index] = flow;
    transport->flow_count++;
    DL_APPEND2(owner->flows, flow, owner_prev, owner_next);
    owner->flow_count++;
    *status = TRANSPORT_OK;
    return flow;
}

static uint32_t index_of(uint64_t cid)
{
    return (uint32_t)(cid >> RANDOM_BITS & INDEX_MASK);
}

struct flow *flow_find(const struct transport *transport, uint64_t cid)
{
    uint32_t index = index_of(cid);
    struct flow *flow = index < transport->flow_slots ? transport->flows[index] : NULL;
    return flow && flow->cid == cid ? flow : NULL;
}

static uint32_t hash_remote(const struct transport *transport, const struct endpoint *remote, uint64_t remote_cid)
{
    struct {
        uint64_t cid;
        struct endpoint endpoint;
        uint8_t zero[6];
    } key = {.cid = remote_cid, .endpoint = *remote};
    _Static_assert(sizeof key == 32, "hashed as bytes: no padding");
    return (uint32_t)siphash_place(&transport->key, &key, sizeof key);
}

bool flow_hash(struct flow *flow, uint64_t remote_cid)
{
    struct transport *transport = flow->transport;
    flow->remote_cid = remote_cid;
    flow->hashed = hash_index_add(&transport->by_remote, hash_remote(transport, &flow->path.remote, remote_cid), flow);
    return flow->hashed;
}

struct flow *flow_find_remote(const struct transport *transport, const struct endpoint *remote, uint64_t remote_cid)
{
    const uint32_t hash = hash_remote(transport, remote, remote_cid);
    uint32_t position = 0;
    struct flow *flow;
    do {
        flow = hash_index_next(&transport->by_remote, hash, &position);
    } while (flow && (flow->remote_cid != remote_cid || !endpoint_equal(&flow->path.remote, remote)));
    return flow;
}

static void enter_turns(struct flow *flow)
{
    struct transport *transport = flow->transport;
    flow->in_first = flow->deficit > 0;
    if (flow->in_first) {
        DL_APPEND2(transport->transmit_first, flow, transmit_prev, transmit_next);
    } else {
        flow->deficit += TURN_BYTES;
        DL_APPEND2(transport->transmit, flow, transmit_prev, transmit_next);
    }
    flow->in_transmit = true;
}

static void leave_turns(struct flow *flow)
{
    struct transport *transport = flow->transport;
    if (flow->in_first) {
        DL_DELETE2(transport->transmit_first, flow, transmit_prev, transmit_next);
    } else {
        DL_DELETE2(transport->transmit, flow, transmit_prev, transmit_next);
    }
    flow->in_transmit = false;
}

void flow_turn_over(struct flow *flow)
{
    leave_turns(flow);
    enter_turns(flow);
}

void flow_pause(struct flow *flow, uint64_t at, uint64_t now)
{
    leave_turns(flow);
    pacing_add(&flow->transport->pacing, flow, at, now);
}

void flow_activate(struct flow *flow)
{
    if (flow->paced) {
        if (flow_on_network(flow) && !send_urgent(flow)) {
            return;
        }
        pacing_remove(&flow->transport->pacing, flow);
    }
    if (flow->in_opening && flow->state != FLOW_OPENING) {
        flow_quiet(flow);
    }
    if (!flow->in_transmit && flow->state != FLOW_GONE) {
        if (flow->state == FLOW_OPENING) {
            flow->in_transmit = true;
            opening_append(flow);
        } else {
            enter_turns(flow);
        }
    }
}

void flow_quiet(struct flow *flow)
{
    if (flow->in_opening) {
        opening_remove(flow);
    } else if (flow->in_transmit) {
        leave_turns(flow);
    } else if (flow->paced) {
        pacing_remove(&flow->transport->pacing, flow);
    }
    flow->in_transmit = false;
}

void flow_forget(struct flow *flow)
{
    struct transport *transport = flow->transport;
    if (flow->state == FLOW_GONE) {
        return;
    }
    if (flow->state == FLOW_ACCEPTING) {
        transport->half_open--;
        if (flow->owner) {
            flow->owner->half_open--;
        }
    }
    flow_quiet(flow);
    flow->state = FLOW_GONE;
    if (flow->hashed) {
        hash_index_remove(&transport->by_remote, hash_remote(transport, &flow->path.remote, flow->remote_cid), flow);
        flow->hashed = false;
    }
    send_fail(flow, (enum transport_status)flow->status);
    records_free(flow);
    numbers_forget(flow);
    heap_set(&transport->heap, &flow->timer, NEVER);
    peer_leave(flow);
    if (!flow->accepted_side) {
        free(flow->opening);
        flow->opening = NULL;
    }
    flow_settle(flow);
}

void flow_settle(struct flow *flow)
{
    bool through = !flow->owner || (flow->closed && flow->ended_told);
    if (through && flow->owner && !flow->through) {
        flow->through = true;
        flow->owner->lingering++;
    }
    if (flow->state == FLOW_GONE && through && !flow->in_reap) {
        flow->in_reap = true;
        flow->reap_next = flow->transport->reap;
        flow->transport->reap = flow;
    }
}

static void flow_free(struct flow *flow)
{
    struct transport *transport = flow->transport;
    incoming_drop_all(flow);
    if (flow->owner) {
        if (flow->in_undelivered) {
            DL_DELETE2(flow->owner->undelivered, flow, undelivered_prev, undelivered_next);
        }
        DL_DELETE2(flow->owner->flows, flow, owner_prev, owner_next);
        flow->owner->flow_count--;
        flow->owner->lingering -= flow->through;
    }
    heap_remove(&transport->heap, &flow->timer);
    uint32_t index = index_of(flow->cid);
    transport->flows[index] = NULL;
    transport->free_slots[transport->free_count++] = index;
    transport->flow_count--;
    transport->counters.flows_ended++;
    free(flow);
}

void transport_reap(struct transport *transport)
{
    while (transport->reap) {
        struct flow *flow = transport->reap;
        transport->reap = flow->reap_next;
        flow_free(flow);
    }
}

static uint64_t flow_deadline(const struct flow *flow)
{
    uint64_t at = min_u64(flow->deadline, flow->stall_at);
    if (flow->state == FLOW_OPENING) {
        return min_u64(at, flow->opening->repeat_at);
    }
    if (flow_on_network(flow)) {
        at = min_u64(at, flow->rx.ack_at);
        at = min_u64(at, numbers_forget_at(flow));
        at = min_u64(at, flow->tx.loss_at);
        at = min_u64(at, probe_at(flow));
    }
    return at;
}

/* A deadline that moves away is left where it is until it fires: that is cheaper than moving it with every packet. */
void flow_timer(struct flow *flow)
{
    if (flow->state == FLOW_GONE) {
        return;
    }
    uint64_t at = flow_deadline(flow);
    if (at < flow->timer.at) {
        heap_set(&flow->transport->heap, &flow->timer, at);
    }
}

static void flow_timeout(struct flow *flow, uint64_t now)
{
    if (flow->state == FLOW_OPENING || flow->state == FLOW_ACCEPTING) {
        handshake_timeout(flow, now);
    } else if (flow_on_network(flow)) {
        if (numbers_forget_at(flow) <= now) {
            numbers_forget(flow);
        }
        if (flow->rx.ack_at <= now) {
            ack_held(flow);
        }
        recovery_timeout(flow, now);
        if (flow_on_network(flow)) {
            close_timeout(flow, now);
            grant_stalled(flow, now);
        }
    }
    if (flow->state != FLOW_GONE) {
        uint64_t at = flow_deadline(flow);
        heap_set(&flow->transport->heap, &flow->timer, at == NEVER ? NEVER : max_u64(at, now + 1));
    }
}

uint64_t transport_sleep_until(struct transport *transport, uint64_t now)
{
    struct heap_timer *first;
    bool acknowledges = false;
    while ((first = heap_first(&transport->heap)) && first->kind == TIMER_FLOW) {
        struct flow *flow = (struct flow *)((char *)first - offsetof(struct flow, timer));
        uint64_t at = flow_deadline(flow);
        if (flow_on_network(flow) && at == flow->rx.ack_at && at <= now + SLEEP_COST_NS) {
            acknowledges = true;
            ack_held(flow);
            at = flow_deadline(flow);
        }
        if (at <= first->at) {
            break;
        }
        heap_set(&transport->heap, first, at);
    }
    return acknowledges ? now : transport_next_timeout(transport);
}

void transport_timeout(struct transport *transport, uint64_t now)
{
    struct heap_timer *first;
    if (transport->inits_held_until <= now) {
        transport->inits_held_until = NEVER;
    }
    for (struct flow *flow = pacing_take(&transport->pacing, now); flow; flow = pacing_take(&transport->pacing, now)) {
        enter_turns(flow);
    }
    while ((first = heap_first(&transport->heap)) && first->at <= now) {
        if (first->kind == TIMER_FLOW) {
            flow_timeout((struct flow *)((char *)first - offsetof(struct flow, timer)), now);
        } else {
            peer_timeout(transport, (struct peer *)((char *)first - offsetof(struct peer, timer)), now);
        }
    }
    transport_reap(transport);
}
