/* SPDX-License-Identifier: MIT */
/* From the transport to the application: deliveries, completions, and what waits because they find no room. */
#include <assert.h>

#include "channel_internal.h"
#include "worker.h"

static int32_t status_of(enum transport_status status)
{
    switch (status) {
    case TRANSPORT_OK:
        return MACHNET_OK;
    case TRANSPORT_CLOSED:
        return MACHNET_ECLOSED;
    case TRANSPORT_RESET:
        return MACHNET_ERESET;
    case TRANSPORT_REFUSED:
        return MACHNET_EREFUSED;
    case TRANSPORT_UNREACHABLE:
        return MACHNET_EUNREACHABLE;
    case TRANSPORT_PEER_DEAD:
        return MACHNET_EPEERDEAD;
    case TRANSPORT_PEER_RESTARTED:
        return MACHNET_EPEERRESTARTED;
    case TRANSPORT_PROTOCOL:
        return MACHNET_EPEERPROTOCOL;
    case TRANSPORT_VERSION:
        return MACHNET_EVERSION;
    case TRANSPORT_ABORTED:
        return MACHNET_ECLOSED;
    case TRANSPORT_NO_MEMORY:
        return MACHNET_ENOMEM;
    case TRANSPORT_LIMIT:
        return MACHNET_EQUOTA;
    case TRANSPORT_TOO_LONG:
        return MACHNET_EPEERMSGSIZE;
    }
    assert(false);
    return MACHNET_ESYSTEM;
}

/* Something was posted: channel_flush tells of it. Once is enough till then. */
static void to_flush(struct channel *channel, bool *posted)
{
    if (!*posted) {
        *posted = true;
        worker_schedule(channel->worker, channel);
    }
}

/* ---- Completions ---- */

void channel_complete(struct channel *channel, uint64_t cookie, int32_t status)
{
    assert(channel->sends_in_flight > 0);
    channel->sends_in_flight--;
    if (mn_ring_space(&channel->completions, 1) < 1) {
        channel_break(channel, MACHNET_EPROTOCOL); /* there was room when the SEND was taken: the index went back */
        return;
    }
    struct mn_completion completion = {.cookie = cookie, .status = status};
    memcpy(mn_ring_entry(&channel->completions, 0), &completion, sizeof completion);
    mn_ring_advance(&channel->completions, 1);
    to_flush(channel, &channel->completions_posted);
}

static void op_sent(struct transport_owner *owner, void *flow_user, uint64_t cookie, enum transport_status status)
{
    (void)flow_user;
    channel_complete(owner->user, cookie, status_of(status));
}

/* ---- Deliveries ---- */

/* Notes that something waits. Always false, as what could not be done. */
static bool blocked(struct channel *channel, uint32_t by)
{
    channel->blocked |= by;
    worker_schedule(channel->worker, channel);
    return false;
}

static bool delivery_room(struct channel *channel)
{
    int64_t space = channel->broken != MACHNET_OK ? 0 : mn_ring_space(&channel->deliveries, 1);
    if (space < 0)
        channel_break(channel, MACHNET_EPROTOCOL);
    return space > 0 || blocked(channel, BLOCKED_RING);
}

static void post(struct channel *channel, const void *entry)
{
    memcpy(mn_ring_entry(&channel->deliveries, 0), entry, sizeof(struct mn_delivery));
    mn_ring_advance(&channel->deliveries, 1);
    to_flush(channel, &channel->deliveries_posted);
}

/* Half of the leases are for whoever comes first, the others are shared evenly: flows that nobody reads leave some to those that are. */
static bool over_share(const struct channel *channel, const struct channel_flow *flow)
{
    uint32_t half = channel->lease_capacity / 2;
    return channel->lent_extents >= half && flow->lent > 0 && flow->lent >= half / channel->flow_count;
}

static enum transport_delivery op_deliver(struct transport_owner *owner, void *flow_user,
                                          const struct transport_extent *extent, uint64_t tag)
{
    struct channel *channel = owner->user;
    struct channel_flow *flow = flow_user;
    if (over_share(channel, flow))
        return TRANSPORT_OVER_SHARE;
    if (!delivery_room(channel))
        return TRANSPORT_NO_ROOM;
    if (!channel_may_lend(channel)) {
        blocked(channel, BLOCKED_LEASES);
        return TRANSPORT_NO_ROOM;
    }
    struct mn_delivery delivery = {.op = MN_OP_MESSAGE, .length = extent->length, .flow = flow->token, .tag = tag};
    channel_extent_place(extent, &delivery.region, &delivery.offset);
    delivery.lease = channel_lend(channel, flow, extent);
    post(channel, &delivery);
    channel->messages_received++;
    channel->bytes_received += extent->length;
    return TRANSPORT_DELIVERED;
}

static void post_flow(struct channel *channel, uint8_t op, uint64_t token, const struct flow *flow, uint64_t listener)
{
    struct transport_flow_info info;
    transport_flow_info(flow, &info);
    struct mn_delivery_flow delivery = {
        .op = op,
        .local_port = info.local.port,
        .remote_port = info.remote.port,
        .flow = token,
        .listener = listener,
    };
    memcpy(delivery.local_ip, info.local.ip, sizeof delivery.local_ip);
    memcpy(delivery.remote_ip, info.remote.ip, sizeof delivery.remote_ip);
    post(channel, &delivery);
}

static bool op_established(struct transport_owner *owner, void *flow_user, struct flow *flow)
{
    struct channel *channel = owner->user;
    if (!delivery_room(channel))
        return false;
    post_flow(channel, MN_OP_ESTABLISHED, ((const struct channel_flow *)flow_user)->token, flow, 0);
    return true;
}

static bool op_accepted(struct transport_owner *owner, uint64_t listener, struct flow *flow, void **flow_user)
{
    struct channel *channel = owner->user;
    if (!delivery_room(channel))
        return false;
    struct channel_flow *accepted = channel_flow_add_accepted(channel);
    *flow_user = accepted;
    if (accepted == NULL)
        return true; /* refused: nobody else of the channel shall wait for it */
    accepted->flow = flow;
    post_flow(channel, MN_OP_ACCEPTED, accepted->token, flow, listener);
    return true;
}

/* ---- The end of a flow ---- */

static bool post_closed(struct channel *channel, struct channel_flow *flow)
{
    if (!delivery_room(channel))
        return false;
    struct mn_delivery delivery = {.op = MN_OP_CLOSED, .flow = flow->token, .status = flow->status};
    post(channel, &delivery);
    flow->closed_posted = true;
    channel_flow_settle(channel, flow);
    return true;
}

static bool op_ended(struct transport_owner *owner, void *flow_user, enum transport_status status)
{
    struct channel_flow *flow = flow_user;
    bool as_asked = flow->close_taken && status == TRANSPORT_ABORTED;
    flow->status = (int16_t)(as_asked ? MACHNET_OK : status_of(status));
    return post_closed(owner->user, flow);
}

/* Only what the client opened fails so. */
static void failed_append(struct channel *channel, const struct channel_flow *flow)
{
    uint32_t index = (uint32_t)(flow - channel->opened);
    if (channel->failed_count++ == 0)
        channel->failed = index;
    else
        channel->opened[channel->failed_tail].next_failed = index;
    channel->failed_tail = index;
}

void channel_flow_fail(struct channel *channel, struct channel_flow *flow, int32_t status)
{
    flow->status = (int16_t)status;
    if (channel->failed_count > 0 || !post_closed(channel, flow))
        failed_append(channel, flow);
}

static void post_failed(struct channel *channel)
{
    while (channel->failed_count > 0) {
        struct channel_flow *flow = &channel->opened[channel->failed];
        uint32_t next = flow->next_failed;
        if (!post_closed(channel, flow))
            return;
        channel->failed = next;
        channel->failed_count--;
    }
}

/* ---- When there is room again ---- */

static bool unblocked(struct channel *channel)
{
    if (channel->blocked & BLOCKED_RING) {
        int64_t space = mn_ring_space(&channel->deliveries, 1);
        if (space < 0)
            channel_break(channel, MACHNET_EPROTOCOL);
        if (space <= 0)
            return false; /* everything else needs the ring, too */
    }
    bool leases = (channel->blocked & BLOCKED_LEASES) != 0 && channel_may_lend(channel);
    return (channel->blocked & BLOCKED_RING) != 0 || leases;
}

int channel_deliver_retry(struct channel *channel, uint64_t now)
{
    if (channel->blocked == 0 || channel->broken != MACHNET_OK || !unblocked(channel))
        return 0;
    channel->blocked = 0;
    post_failed(channel);
    transport_owner_resume(channel->transport, &channel->owner, now);
    return 1;
}

/*
 * The application stalls itself only while it holds something, and no more memory is on its way: that it maps a region late is no refusal.
 * Advisory: not worth the last place in the ring.
 */
static bool op_stalled(struct transport_owner *owner, void *flow_user)
{
    struct channel *channel = owner->user;
    if (channel->region_wanted || channel->lent_bytes == 0)
        return false;
    if (channel->broken != MACHNET_OK || mn_ring_space(&channel->deliveries, 2) < 2)
        return true;
    struct mn_delivery delivery = {
        .op = MN_OP_STALLED, .flow = ((const struct channel_flow *)flow_user)->token, .value = channel->lent_bytes};
    post(channel, &delivery);
    return true;
}

static uint32_t op_path_limit(struct transport_owner *owner, const struct transport_path *path)
{
    const struct channel *channel = owner->user;
    return worker_path_limit(channel->worker, path);
}

const struct transport_ops channel_transport_ops = {
    .extent_reserve = channel_extent_reserve,
    .extent_abandon = channel_extent_abandon,
    .deliver = op_deliver,
    .established = op_established,
    .ended = op_ended,
    .accepted = op_accepted,
    .sent = op_sent,
    .stalled = op_stalled,
    .path_limit = op_path_limit,
};
