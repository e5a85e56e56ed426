/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "channel/wakeup.h"
#include "channel_internal.h"
#include "worker.h"

static void bind_rings(struct channel *channel, void *base, const struct mn_ring_place *places)
{
    mn_ring_bind_consumer(&channel->submissions, base, &places[MN_RING_SUBMISSIONS]);
    mn_ring_bind_producer(&channel->completions, base, &places[MN_RING_COMPLETIONS]);
    mn_ring_bind_producer(&channel->deliveries, base, &places[MN_RING_DELIVERIES]);
    mn_ring_bind_consumer(&channel->releases, base, &places[MN_RING_RELEASES]);
}

static void channel_release_memory(struct channel *channel)
{
    channel_flows_fini(channel);
    channel_memory_fini(channel);
    free(channel);
}

struct channel *channel_new(struct worker *worker, struct transport *transport, const struct channel_memory *memory)
{
    struct channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL)
        return NULL;
    channel->worker = worker;
    channel->transport = transport;
    channel->signal_fd = memory->signal_fd;
    channel->event = memory->event;
    channel->max_flows = memory->max_flows;
    channel->user_flows = memory->flows;
    channel->pid = memory->pid;
    channel->uid = memory->uid;
    channel->id = memory->id;
    memcpy(channel->name, memory->name, sizeof channel->name);
    channel->name[MN_NAME_BYTES - 1] = '\0';
    channel->seat.active_index = CHANNEL_NOWHERE;
    channel->seat.deadline = UINT64_MAX;
    if (!channel_flows_init(channel) || !channel_memory_init(channel, memory)) {
        channel_release_memory(channel);
        return NULL;
    }
    channel->header = memory->regions[MN_REGION_RINGS].base;
    bind_rings(channel, channel->header, memory->rings);
    channel_memory_promise(channel);
    return channel;
}

void channel_free(struct channel *channel, uint16_t reason, uint64_t now)
{
    if (channel == NULL)
        return;
    channel->broken = MACHNET_ESHUTDOWN;
    transport_owner_close(channel->transport, &channel->owner, reason, now);
    channel_release_memory(channel);
}

void channel_break(struct channel *channel, int32_t status)
{
    if (channel->broken == MACHNET_OK)
        channel->broken = status;
    worker_schedule(channel->worker, channel);
}

int channel_poll(struct channel *channel, uint64_t now)
{
    channel->now = now;
    int released = channel->broken == MACHNET_OK ? channel_take_releases(channel, now) : 0;
    if (released < 0)
        channel_break(channel, released);
    int submitted = channel->broken == MACHNET_OK ? channel_take_submissions(channel, now) : 0;
    if (submitted < 0)
        channel_break(channel, submitted);
    if (channel->broken != MACHNET_OK)
        return channel->broken;
    int retried = channel_memory_retry(channel, now) + channel_deliver_retry(channel, now);
    return released + submitted + retried;
}

bool channel_submitted(const struct channel *channel)
{
    return channel->submissions_taken;
}

/* ---- Waking the application ---- */

static void signal_application(struct channel *channel)
{
    mn_wakeup_send(channel->signal_fd);
    channel->wakeups++;
}

uint32_t channel_flush(struct channel *channel)
{
    uint32_t news = 0;
    if (channel->deliveries_posted) {
        mn_ring_publish(&channel->deliveries);
        news |= MN_WAKE_DELIVERIES;
    }
    if (channel->completions_posted) {
        mn_ring_publish(&channel->completions);
        news |= MN_WAKE_COMPLETIONS;
    }
    if (channel->submissions_taken)
        news |= MN_WAKE_ROOM;
    channel->deliveries_posted = channel->completions_posted = channel->submissions_taken = false;
    if (news == 0)
        return 0;
    /* Either we see that it sleeps, or its last look at the rings, behind its own fence, sees what we published (here, or
     * when we took submissions). */
    atomic_thread_fence(memory_order_seq_cst);
    if ((atomic_load_explicit(&channel->header->client_sleeping, memory_order_relaxed) & news) != 0 &&
        (atomic_exchange_explicit(&channel->header->client_sleeping, 0, memory_order_relaxed) & news) != 0)
        signal_application(channel);
    return news;
}

void channel_announce_closed(struct channel *channel, int32_t status)
{
    atomic_store_explicit(&channel->header->closed, (uint32_t)-status, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    atomic_store_explicit(&channel->header->client_sleeping, 0, memory_order_relaxed);
    signal_application(channel);
}

/* ---- Our own sleep ---- */

/* The need-wakeup bits: while anything is lent, a release may be what a peer that is out of credit waits for. */
static uint32_t wake_bits(const struct channel *channel)
{
    uint32_t bits = MN_WAKE_SUBMISSIONS;
    if (channel->lent_extents > 0)
        bits |= MN_WAKE_RELEASES;
    if (channel->blocked & BLOCKED_RING)
        bits |= MN_WAKE_ROOM;
    return bits;
}

/* Whether there is what would have woken us, had it come later. */
static bool has_news(struct channel *channel)
{
    return mn_ring_ready(&channel->submissions) != 0 || mn_ring_ready(&channel->releases) != 0 ||
           ((channel->blocked & BLOCKED_RING) != 0 && mn_ring_space(&channel->deliveries, 1) != 0);
}

bool channel_sleep(struct channel *channel, uint64_t *deadline)
{
    atomic_store_explicit(&channel->header->engine_sleeping, wake_bits(channel), memory_order_relaxed);
    /* Pairs with the client's fence between publishing and reading engine_sleeping. */
    atomic_thread_fence(memory_order_seq_cst);
    if (has_news(channel)) {
        channel_awake(channel);
        return false;
    }
    *deadline = channel->memory_short && channel->grow_after != 0 ? channel->grow_after : UINT64_MAX;
    return true;
}

void channel_awake(struct channel *channel)
{
    atomic_store_explicit(&channel->header->engine_sleeping, 0, memory_order_relaxed);
}

/* ---- Looking in from outside ---- */

int channel_event_fd(const struct channel *channel)
{
    return channel->event;
}

struct channel_seat *channel_seat(struct channel *channel)
{
    return &channel->seat;
}

struct transport_owner *channel_owner(struct channel *channel)
{
    return &channel->owner;
}

const struct channel *channel_of_owner(const struct transport_owner *owner)
{
    return owner->user;
}

void channel_info(const struct channel *channel, struct channel_info *info)
{
    *info = (struct channel_info){
        .name = channel->name,
        .id = channel->id,
        .pid = channel->pid,
        .uid = channel->uid,
        .flows = channel->flow_count,
        .receive_bytes = mn_arena_bytes(channel->arena),
        .receive_used_bytes = mn_arena_used_bytes(channel->arena),
        .lent_extents = channel->lent_extents,
        .messages_sent = channel->messages_sent,
        .messages_received = channel->messages_received,
        .bytes_sent = channel->bytes_sent,
        .bytes_received = channel->bytes_received,
        .submissions = channel->submitted,
        .wakeups = channel->wakeups,
    };
    for (uint32_t i = 0; i < MN_REGIONS_MAX; i++)
        info->send_bytes += channel->regions[i].kind == MN_REGION_SEND ? channel->regions[i].bytes : 0;
}
