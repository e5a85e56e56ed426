/* SPDX-License-Identifier: MIT */
#include "client/flow.h"

#include <stdlib.h>
#include <string.h>

#include "channel/pages.h"

enum { CHUNK_FLOWS = 32 };

struct mn_flow_chunk {
    struct mn_flow_chunk *next;
    struct mn_flow flows[CHUNK_FLOWS];
};

int mn_flows_init(struct mn_flows *flows, uint32_t max)
{
    memset(flows, 0, sizeof *flows);
    pthread_mutex_init(&flows->lock, NULL);
    flows->max = max;
    flows->opened = mn_pages_new(max, sizeof *flows->opened);
    flows->accepted = mn_pages_new(max, sizeof *flows->accepted);
    flows->free_indices = mn_pages_new(max, sizeof *flows->free_indices);
    return flows->opened != NULL && flows->accepted != NULL && flows->free_indices != NULL ? 0 : -1;
}

void mn_flows_fini(struct mn_flows *flows)
{
    while (flows->chunks != NULL) {
        struct mn_flow_chunk *chunk = flows->chunks;
        flows->chunks = chunk->next;
        free(chunk);
    }
    mn_pages_free(flows->opened, flows->max, sizeof *flows->opened);
    mn_pages_free(flows->accepted, flows->max, sizeof *flows->accepted);
    mn_pages_free(flows->free_indices, flows->max, sizeof *flows->free_indices);
    memset(flows, 0, sizeof *flows);
}

/* Under lock. A flow with token 0 and nothing else; NULL if memory is short. */
static struct mn_flow *new_flow(struct mn_flows *flows)
{
    if (flows->free == NULL) {
        struct mn_flow_chunk *chunk = calloc(1, sizeof *chunk);
        if (chunk == NULL)
            return NULL;
        chunk->next = flows->chunks;
        flows->chunks = chunk;
        for (int i = 0; i < CHUNK_FLOWS; i++) {
            chunk->flows[i].next_free = flows->free;
            flows->free = &chunk->flows[i];
        }
    }
    struct mn_flow *flow = flows->free;
    flows->free = flow->next_free;
    flow->next_free = NULL;
    return flow;
}

static _Atomic(struct mn_flow *) *place_of(struct mn_flows *flows, uint64_t token)
{
    uint32_t low = (uint32_t)token;
    return (low & MN_TOKEN_ACCEPTED) != 0 ? &flows->accepted[low & ~MN_TOKEN_ACCEPTED] : &flows->opened[low];
}

/* Under lock: the flow can be found from here on. */
static void enter_flow(struct mn_flows *flows, struct mn_flow *flow, uint64_t token, uint32_t state)
{
    atomic_store_explicit(&flow->state, state, memory_order_relaxed);
    atomic_store_explicit(&flow->token, token, memory_order_release);
    atomic_store_explicit(place_of(flows, token), flow, memory_order_release);
    atomic_fetch_add_explicit(&flows->open_count, 1, memory_order_relaxed);
}

int32_t mn_flow_make(struct mn_flows *flows, uint32_t state, struct mn_flow **made)
{
    int32_t status = MACHNET_OK;

    pthread_mutex_lock(&flows->lock);
    bool full = flows->free_count == 0 && flows->fresh_index == flows->max;
    struct mn_flow *flow = full ? NULL : new_flow(flows);
    if (flow != NULL) {
        uint32_t index = flows->free_count > 0 ? flows->free_indices[--flows->free_count] : flows->fresh_index++;
        flows->generation += flows->generation == UINT32_MAX ? 2 : 1;
        enter_flow(flows, flow, (uint64_t)flows->generation << 32 | index, state);
        *made = flow;
    } else {
        status = full ? MACHNET_EQUOTA : MACHNET_ENOMEM;
    }
    pthread_mutex_unlock(&flows->lock);
    return status;
}

static machnet_address address_of(const uint8_t ip[16], uint16_t port)
{
    machnet_address address = {.port = port};
    memcpy(address.ip, ip, sizeof address.ip);
    return address;
}

/* Under lock. */
static void keep_addresses(struct mn_flow *flow, const struct mn_delivery_flow *delivery)
{
    flow->local = address_of(delivery->local_ip, delivery->local_port);
    flow->remote = address_of(delivery->remote_ip, delivery->remote_port);
}

void mn_flow_keep_addresses(struct mn_flows *flows, struct mn_flow *flow, const struct mn_delivery_flow *delivery)
{
    pthread_mutex_lock(&flows->lock);
    keep_addresses(flow, delivery);
    pthread_mutex_unlock(&flows->lock);
}

int32_t mn_flow_accept(struct mn_flows *flows, const struct mn_delivery_flow *delivery, struct mn_flow **accepted)
{
    uint32_t low = (uint32_t)delivery->flow;
    if ((low & MN_TOKEN_ACCEPTED) == 0 || (low & ~MN_TOKEN_ACCEPTED) >= flows->max || delivery->flow >> 32 == 0)
        return MACHNET_EPROTOCOL;
    if (atomic_load_explicit(place_of(flows, delivery->flow), memory_order_acquire) != NULL)
        return MACHNET_EPROTOCOL;
    pthread_mutex_lock(&flows->lock);
    struct mn_flow *flow = new_flow(flows);
    if (flow != NULL) {
        keep_addresses(flow, delivery);
        flow->listener = delivery->listener;
        enter_flow(flows, flow, delivery->flow, MN_FLOW_OPEN);
    }
    pthread_mutex_unlock(&flows->lock);
    *accepted = flow;
    return flow != NULL ? MACHNET_OK : MACHNET_ELOWMEMORY;
}

bool mn_flow_finish(struct mn_flows *flows, struct mn_flow *flow, uint32_t bit)
{
    const uint32_t both = MN_FLOW_ENDED | MN_FLOW_CLOSED;
    /* Each side sees what the other wrote before its bit. */
    uint32_t state = atomic_fetch_or_explicit(&flow->state, bit, memory_order_acq_rel) | bit;
    if ((state & both) != both)
        return false;
    uint64_t token = atomic_load_explicit(&flow->token, memory_order_relaxed);
    pthread_mutex_lock(&flows->lock);
    atomic_store_explicit(place_of(flows, token), NULL, memory_order_release);
    atomic_fetch_sub_explicit(&flows->open_count, 1, memory_order_relaxed);
    if (((uint32_t)token & MN_TOKEN_ACCEPTED) == 0)
        flows->free_indices[flows->free_count++] = (uint32_t)token;
    pthread_mutex_unlock(&flows->lock);
    return true;
}

/* Makes the flow as new_flow promises it. */
static void clear_flow(struct mn_flow *flow)
{
    atomic_store_explicit(&flow->token, 0, memory_order_release);
    atomic_store_explicit(&flow->state, 0, memory_order_relaxed);
    atomic_store_explicit(&flow->status, 0, memory_order_relaxed);
    atomic_store_explicit(&flow->space, MN_SPACE_NONE, memory_order_relaxed);
    atomic_store_explicit(&flow->messages_sent, 0, memory_order_relaxed);
    atomic_store_explicit(&flow->bytes_sent, 0, memory_order_relaxed);
    atomic_store_explicit(&flow->messages_acknowledged, 0, memory_order_relaxed);
    atomic_store_explicit(&flow->bytes_acknowledged, 0, memory_order_relaxed);
    atomic_store_explicit(&flow->messages_arrived, 0, memory_order_relaxed);
    atomic_store_explicit(&flow->messages_received, 0, memory_order_relaxed);
    flow->purged = false;
    flow->listener = 0;
    memset(&flow->local, 0, sizeof flow->local);
    memset(&flow->remote, 0, sizeof flow->remote);
}

void mn_flow_recycle(struct mn_flows *flows, struct mn_flow *flow)
{
    const uint32_t both = MN_FLOW_ENDED | MN_FLOW_CLOSED;
    if ((atomic_load_explicit(&flow->state, memory_order_acquire) & both) != both || flow->first != NULL ||
        flow->events != 0 || !flow->purged || atomic_load_explicit(&flow->waiter, memory_order_acquire))
        return;
    pthread_mutex_lock(&flows->lock);
    clear_flow(flow);
    flow->next_free = flows->free;
    flows->free = flow;
    pthread_mutex_unlock(&flows->lock);
}

static void fill_info(const struct mn_flow *flow, machnet_flow_info *info)
{
    uint32_t state = atomic_load_explicit(&flow->state, memory_order_acquire);
    uint64_t received = atomic_load_explicit(&flow->messages_received, memory_order_relaxed);
    uint64_t arrived = atomic_load_explicit(&flow->messages_arrived, memory_order_relaxed);
    uint64_t acknowledged = atomic_load_explicit(&flow->bytes_acknowledged, memory_order_relaxed);
    uint64_t sent = atomic_load_explicit(&flow->bytes_sent, memory_order_relaxed);

    memset(info, 0, sizeof *info);
    info->state = (state & MN_FLOW_ENDED) != 0  ? MACHNET_FLOW_ENDED
                  : (state & MN_FLOW_OPEN) != 0 ? MACHNET_FLOW_OPEN
                                                : MACHNET_FLOW_OPENING;
    if ((state & MN_FLOW_ENDED) != 0)
        info->status = atomic_load_explicit(&flow->status, memory_order_relaxed);
    info->listener = flow->listener;
    info->messages_sent = atomic_load_explicit(&flow->messages_sent, memory_order_relaxed);
    info->messages_acknowledged = atomic_load_explicit(&flow->messages_acknowledged, memory_order_relaxed);
    info->messages_received = received;
    info->messages_queued = arrived > received ? arrived - received : 0;
    info->bytes_unacknowledged = sent > acknowledged ? sent - acknowledged : 0;
}

int32_t mn_flow_describe(struct mn_flows *flows, uint64_t token, machnet_flow_info *info)
{
    pthread_mutex_lock(&flows->lock);
    const struct mn_flow *flow = mn_flow_usable(flows, token);
    if (flow != NULL)
        fill_info(flow, info);
    pthread_mutex_unlock(&flows->lock);
    return flow != NULL ? MACHNET_OK : MACHNET_EBADTOKEN;
}

int32_t mn_flow_read_addresses(struct mn_flows *flows, uint64_t token, machnet_address *local, machnet_address *remote)
{
    int32_t status = MACHNET_EBADTOKEN;

    pthread_mutex_lock(&flows->lock);
    const struct mn_flow *flow = mn_flow_usable(flows, token);
    if (flow != NULL) {
        uint32_t state = atomic_load_explicit(&flow->state, memory_order_acquire);
        status = (state & MN_FLOW_OPEN) != 0    ? MACHNET_OK
                 : (state & MN_FLOW_ENDED) != 0 ? atomic_load_explicit(&flow->status, memory_order_relaxed)
                                                : MACHNET_EAGAIN;
    }
    if (status == MACHNET_OK && local != NULL)
        *local = flow->local;
    if (status == MACHNET_OK && remote != NULL)
        *remote = flow->remote;
    pthread_mutex_unlock(&flows->lock);
    return status;
}
