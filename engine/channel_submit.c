/* SPDX-License-Identifier: MIT */
/*
 * Submissions. The rule for what closes the channel: whatever a correct library can never submit, however its calls
 * cross with what the engine does at the same time. A flow that ended, a path that does not exist, a quota are
 * answered; a field out of range is not.
 */
#include "channel_internal.h"
#include "worker.h"

enum { SUBMISSIONS_PER_POLL = 256, SUBMISSIONS_WHOLE = 16 };

#define OPEN_TIMEOUT_MIN_NS UINT64_C(1000000)       /* 1 ms */
#define OPEN_TIMEOUT_MAX_NS UINT64_C(3600000000000) /* 1 h */

union submission {
    struct mn_submission common;
    struct mn_submission_open open;
};

static bool zeros_kept(const struct mn_submission *submission)
{
    return (submission->zero[0] | submission->zero[1] | submission->zero[2]) == 0;
}

/* Whether one more completion is sure to find room when those for all SENDs under way are posted. */
static bool completion_room(struct channel *channel)
{
    uint32_t want = channel->sends_in_flight + 1;
    return mn_ring_space(&channel->completions, want) >= want;
}

/*
 * A token that names no flow here is a broken rule: an entry is freed only after the flow's CLOSE was taken from this
 * same ring, so a SEND or CLOSE that a library submitted before it always finds the entry, and after it a library
 * submits none.
 */
static int submit_send(struct channel *channel, const struct mn_submission *send, uint64_t now)
{
    struct channel_flow *flow = channel_flow_find(channel, send->flow);
    if (flow == NULL || send->flags != 0 || !zeros_kept(send) || send->length > MN_MESSAGE_MAX)
        return MACHNET_EPROTOCOL;
    const uint8_t *data = channel_send_bytes(channel, send->region, send->offset, send->length);
    if (data == NULL || !completion_room(channel))
        return MACHNET_EPROTOCOL;

    channel->sends_in_flight++;
    struct transport_span span = {.data = data, .length = send->length, .tag = send->tag, .cookie = send->cookie};
    if (flow->flow != NULL && transport_send(channel->transport, flow->flow, &span, now)) {
        channel->messages_sent++;
        channel->bytes_sent += send->length;
        return MACHNET_OK;
    }
    channel_complete(channel, send->cookie, flow->status != MACHNET_OK ? flow->status : MACHNET_ECLOSED);
    return MACHNET_OK;
}

static int submit_close(struct channel *channel, const struct mn_submission *close, uint64_t now)
{
    struct channel_flow *flow = channel_flow_find(channel, close->flow);
    if (flow == NULL || flow->close_taken || (close->flags & ~MN_CLOSE_ABORT) != 0 || !zeros_kept(close))
        return MACHNET_EPROTOCOL;
    if ((close->length | close->tag | close->offset | close->cookie | close->region) != 0)
        return MACHNET_EPROTOCOL;
    flow->close_taken = true;
    struct flow *closing = flow->flow;
    flow->flow = NULL;
    /* First, because the entry is gone when its CLOSED is posted, and that may happen inside transport_close. */
    channel_flow_settle(channel, flow);
    if (closing != NULL)
        transport_close(channel->transport, closing, close->flags & MN_CLOSE_ABORT, now);
    return MACHNET_OK;
}

static int32_t status_of_open_failure(enum transport_status status)
{
    return status == TRANSPORT_NO_MEMORY ? MACHNET_ENOMEM : MACHNET_EQUOTA;
}

/* Tries to open `flow`; MACHNET_OK, or why it is not possible. */
static int32_t open_flow(struct channel *channel, struct channel_flow *flow, const struct mn_submission_open *open,
                         uint64_t now)
{
    struct endpoint local = {.port = open->local_port}, remote = {.port = open->remote_port};
    memcpy(local.ip, open->local_ip, sizeof local.ip);
    memcpy(remote.ip, open->remote_ip, sizeof remote.ip);
    if (remote.port == 0 || endpoint_ip_is_any(&remote))
        return MACHNET_EINVAL;
    if (!flow->counted || channel->flow_count > channel->max_flows)
        return MACHNET_EQUOTA;
    struct transport_path path;
    int status = worker_path(channel->worker, &local, &remote, &path);
    if (status != MACHNET_OK)
        return status;
    uint64_t timeout = open->timeout_ns;
    timeout = timeout < OPEN_TIMEOUT_MIN_NS ? OPEN_TIMEOUT_MIN_NS : timeout;
    timeout = timeout > OPEN_TIMEOUT_MAX_NS ? OPEN_TIMEOUT_MAX_NS : timeout;
    enum transport_status why = TRANSPORT_OK;
    flow->flow =
        transport_open(channel->transport, &channel->owner, flow, &path, local.port, remote.port, timeout, now, &why);
    return flow->flow != NULL ? MACHNET_OK : status_of_open_failure(why);
}

static int submit_open(struct channel *channel, const struct mn_submission_open *open, uint64_t now)
{
    if (open->flags != 0 || open->zero16 != 0 || open->zero != 0 || !channel_flow_token_free(channel, open->flow))
        return MACHNET_EPROTOCOL;
    struct channel_flow *flow = channel_flow_add(channel, open->flow);
    int32_t status = open_flow(channel, flow, open, now);
    if (status != MACHNET_OK)
        channel_flow_fail(channel, flow, status);
    return MACHNET_OK;
}

static int submit(struct channel *channel, const union submission *submission, uint64_t now)
{
    switch (submission->common.op) {
    case MN_OP_SEND:
        return submit_send(channel, &submission->common, now);
    case MN_OP_OPEN:
        return submit_open(channel, &submission->open, now);
    case MN_OP_CLOSE:
        return submit_close(channel, &submission->common, now);
    default:
        return MACHNET_EPROTOCOL;
    }
}

/*
 * How many to take now; MN_RING_BROKEN. If nothing of this application is under way, the other side most likely waits: it gets the first half while
 * we take the second, and then both have work.
 */
static int64_t share_of_submissions(struct channel *channel)
{
    int64_t ready = mn_ring_ready(&channel->submissions);
    if (ready > SUBMISSIONS_WHOLE && channel->sends_in_flight == 0)
        ready = ready / 2 > SUBMISSIONS_WHOLE ? ready / 2 : SUBMISSIONS_WHOLE;
    return ready < SUBMISSIONS_PER_POLL ? ready : SUBMISSIONS_PER_POLL;
}

int channel_take_submissions(struct channel *channel, uint64_t now)
{
    int taken = 0, status = MACHNET_OK;
    const int64_t share = share_of_submissions(channel);
    if (share < 0)
        return MACHNET_EPROTOCOL;
    while (taken < share && status == MACHNET_OK) {
        union submission submission;
        channel_take(&channel->submissions, &submission, sizeof submission);
        status = submit(channel, &submission, now);
        taken++;
    }
    if (taken > 0) {
        mn_ring_publish(&channel->submissions);
        channel->submissions_taken = true;
        worker_schedule(channel->worker, channel);
    }
    channel->submitted += (uint64_t)taken;
    return status != MACHNET_OK ? status : taken;
}
