/* SPDX-License-Identifier: MIT */
/* How flows begin: INIT, ACCEPT, REFUSE, RETRY (PROTOCOL.md, section 3). */
#include "flow/flow.h"

#include <stdlib.h>
#include <string.h>

enum { RETRIES_MAX = 3, PATIENT_ATTEMPTS = 64 /* about 6 s */, LINGERING_MIN = 1024 /* flows */ };

#define PAUSE_FIRST MILLISECONDS(2)
#define PAUSE_MAX MILLISECONDS(100)
#define PAUSE_LATER_MAX MILLISECONDS(5000)
#define HALF_OPEN_NS MILLISECONDS(3000)

struct flow *transport_open(struct transport *transport, struct transport_owner *owner, void *flow_user,
                            const struct transport_path *path, uint16_t local_port, uint16_t remote_port,
                            uint64_t timeout_ns, uint64_t now, enum transport_status *status)
{
    struct opening *opening = calloc(1, sizeof *opening);
    if (!opening) {
        *status = TRANSPORT_NO_MEMORY;
        return NULL;
    }
    struct flow *flow = flow_new(transport, owner, path, status, now);
    if (!flow) {
        free(opening);
        return NULL;
    }
    if (local_port == 0) {
        local_port = transport->next_port;
        transport->next_port = transport->next_port == UINT16_MAX ? 49152 : (uint16_t)(transport->next_port + 1);
    }
    credit_init(flow);
    opening->repeat_at = NEVER;
    opening->pause = PAUSE_FIRST;
    flow->opening = opening;
    flow->state = FLOW_OPENING;
    flow->user = flow_user;
    flow->nonce = transport_random(transport);
    flow->local_port = local_port;
    flow->remote_port = remote_port;
    flow->deadline = now + timeout_ns;
    flow->handshake_wanted = true;
    transport->counters.flows_opened++;
    flow_activate(flow);
    flow_timer(flow);
    return flow;
}

static void describe(const struct flow *flow, struct wire_handshake *handshake)
{
    *handshake = (struct wire_handshake){
        .present = 1u << WIRE_TLV_SOURCE_CID | 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_VERSION_RANGE |
                   1u << WIRE_TLV_EPOCH | 1u << WIRE_TLV_PORTS | 1u << WIRE_TLV_LIMITS | 1u << WIRE_TLV_MAX_MESSAGE,
        .version_min = WIRE_VERSION,
        .version_max = WIRE_VERSION,
        .source_cid = flow->cid,
        .nonce = flow->nonce,
        .epoch = flow->transport->config.epoch,
        .source_port = flow->local_port,
        .destination_port = flow->remote_port,
        .credit_bytes = flow->rx.told_bytes,
        .credit_messages = (uint32_t)flow->rx.told_messages,
        .max_udp_payload = flow->transport->config.max_udp_payload,
        .max_message = (uint32_t)max_u64(flow->owner ? flow->owner->message_max : MESSAGE_MAX, WIRE_MESSAGE_MIN),
    };
}

static size_t transmit_init(struct flow *flow, uint8_t *buffer, size_t capacity, uint64_t now)
{
    struct opening *opening = flow->opening;
    struct wire_handshake handshake;
    struct wire_header header = {.version = WIRE_VERSION, .type = WIRE_INIT, .packet_number = ++opening->attempts};

    describe(flow, &handshake);
    if (opening->cookie_length > 0) {
        handshake.present |= 1u << WIRE_TLV_COOKIE;
        handshake.cookie_length = opening->cookie_length;
        memcpy(handshake.cookie, opening->cookie, opening->cookie_length);
    }
    opening->sent = now;
    opening->repeat_at = now + opening->pause;
    opening->pause = min_u64(2 * opening->pause, opening->attempts < PATIENT_ATTEMPTS ? PAUSE_MAX : PAUSE_LATER_MAX);
    return wire_handshake_encode(buffer, capacity, &header, &handshake, WIRE_INIT_MIN);
}

size_t handshake_transmit(struct flow *flow, uint8_t *buffer, size_t capacity, uint64_t now)
{
    if (!flow->handshake_wanted) {
        return 0;
    }
    flow->handshake_wanted = false;
    if (flow->state == FLOW_OPENING) {
        return transmit_init(flow, buffer, capacity, now);
    }
    flow->tx.backoff = count_on(flow->tx.backoff); /* until the flow is open: how many ACCEPTs went out, the last at: */
    flow->tx.probe_from = now;
    struct wire_handshake handshake;
    struct wire_header header = {
        .version = WIRE_VERSION, .type = WIRE_ACCEPT, .packet_number = flow->init_number, .dcid = flow->remote_cid};
    describe(flow, &handshake);
    return wire_handshake_encode(buffer, capacity, &header, &handshake, 0);
}

static void take_limits(struct flow *flow, const struct wire_handshake *handshake)
{
    flow->peer_epoch = handshake->epoch;
    flow->tx.credit_bytes = handshake->credit_bytes;
    flow->tx.credit_messages = handshake->credit_messages;
    flow->tx.max_message = handshake->max_message;
    peer_limit_payload(flow, handshake->max_udp_payload);
}

/* Why the INIT gets no flow, or WIRE_REASON_NONE. */
static uint16_t refuse_reason(const struct wire_handshake *handshake, const struct listener *listener)
{
    if (handshake->version_min > WIRE_VERSION || handshake->version_max < WIRE_VERSION) {
        return WIRE_REASON_VERSION;
    }
    return listener ? WIRE_REASON_NONE : WIRE_REASON_NO_LISTENER;
}

static struct flow *accept_new(struct transport *transport, const struct transport_path *path,
                               const struct wire_handshake *handshake, const struct listener *listener, uint64_t now)
{
    enum transport_status status;
    struct transport_path known = *path;
    if (transport->ops.path_limit) {
        known.max_udp_payload = transport->ops.path_limit(listener->owner, path);
    }
    struct flow *flow = flow_new(transport, listener->owner, &known, &status, now);
    if (!flow) {
        return NULL;
    }
    flow->state = FLOW_ACCEPTING;
    credit_tell_first(flow);
    transport->half_open++;
    listener->owner->half_open++;
    flow->accepted_side = true;
    flow->listener = listener->id;
    flow->nonce = handshake->nonce;
    flow->local_port = handshake->destination_port;
    flow->remote_port = handshake->source_port;
    take_limits(flow, handshake);
    if (!flow_hash(flow, handshake->source_cid)) {
        flow_end(flow, TRANSPORT_NO_MEMORY, now);
        return NULL;
    }
    return flow;
}

static void repeat_accept(struct flow *flow, const struct wire_header *header, uint64_t now)
{
    flow->init_number = (uint16_t)header->packet_number;
    flow->deadline = now + HALF_OPEN_NS;
    flow->handshake_wanted = true;
    flow_activate(flow);
    flow_timer(flow);
}

/* So many half-open flows that a client must show that it is where it says. */
static bool crowded(const struct transport *transport, const struct transport_owner *owner)
{
    uint32_t max = transport->config.max_half_open;
    return transport->half_open >= max || owner->half_open >= (max + 3) / 4;
}

/* Flows that only linger take nobody's place, unless somebody opens and closes without end. */
static bool has_room(const struct transport_owner *owner)
{
    return owner->flow_count - owner->lingering < owner->max_flows &&
           owner->lingering < max_u64(owner->max_flows, LINGERING_MIN);
}

void handshake_init(struct transport *transport, const struct transport_path *path, const struct wire_header *header,
                    const struct wire_handshake *handshake, uint64_t now)
{
    struct flow *flow = flow_find_remote(transport, &path->remote, handshake->source_cid);
    if (flow) {
        peer_claimed(transport, path, handshake->epoch, now);
        if (flow->state == FLOW_ACCEPTING && flow->nonce == handshake->nonce) {
            repeat_accept(flow, header, now);
        }
        return;
    }
    transport->counters.handshakes++;
    struct endpoint wanted = path->local;
    wanted.port = handshake->destination_port;
    const struct listener *listener = listener_find(transport, &wanted);
    uint16_t reason = refuse_reason(handshake, listener);
    if (reason == WIRE_REASON_NONE && crowded(transport, listener->owner) &&
        !cookie_valid(transport, path, handshake, now)) {
        reply_retry(transport, path, header, handshake, now);
        return;
    }
    peer_claimed(transport, path, handshake->epoch, now);
    if (reason != WIRE_REASON_NONE) {
        reply_refuse(transport, path, header, handshake->source_cid, handshake->nonce, reason);
        return;
    }
    flow = has_room(listener->owner) ? accept_new(transport, path, handshake, listener, now) : NULL;
    if (!flow) {
        reply_refuse(transport, path, header, handshake->source_cid, handshake->nonce, WIRE_REASON_LIMIT);
        return;
    }
    repeat_accept(flow, header, now);
}

void handshake_confirmed(struct flow *flow, uint64_t now)
{
    struct transport *transport = flow->transport;
    if (flow->tx.backoff == 1) {
        recovery_first_guess(flow, now - flow->tx.probe_from, now);
    }
    flow->tx.backoff = 0;
    flow->state = FLOW_OPEN;
    flow->deadline = NEVER;
    flow->announce_owed = true;
    transport->half_open--;
    if (flow->owner) {
        flow->owner->half_open--;
        credit_init(flow);
    }
    transport->counters.flows_accepted++;
    peer_believe(transport, flow->peer, flow->peer_epoch, now);
}

/* The answer may come from another worker of the peer: from then on that is whom we talk to. */
static bool move_to(struct flow *flow, const struct transport_path *path, uint64_t now)
{
    if (endpoint_equal(&flow->path.remote, &path->remote)) {
        return true;
    }
    peer_leave(flow);
    flow->path.remote = path->remote;
    return peer_join(flow, now);
}

static void opened(struct flow *flow, const struct transport_path *path, uint64_t attempt,
                   const struct wire_handshake *handshake, uint64_t now)
{
    if (handshake->version_min > WIRE_VERSION || handshake->version_max < WIRE_VERSION) {
        flow_end(flow, TRANSPORT_VERSION, now);
        return;
    }
    if (flow_find_remote(flow->transport, &path->remote, handshake->source_cid)) {
        flow_end(flow, TRANSPORT_PROTOCOL, now); /* two flows of one name: a table of many would be slow for all */
        return;
    }
    if (!move_to(flow, path, now) || !flow_hash(flow, handshake->source_cid)) {
        flow_end(flow, TRANSPORT_NO_MEMORY, now);
        return;
    }
    take_limits(flow, handshake);
    if (attempt == flow->opening->attempts) {
        recovery_first_guess(flow, now - flow->opening->sent, now);
    }
    free(flow->opening);
    flow->opening = NULL;
    flow_quiet(flow);
    flow->state = flow->closed ? FLOW_CLOSING : FLOW_OPEN;
    flow->fin_wanted = flow->closed;
    flow->announce_owed = !flow->closed;
    flow->deadline = NEVER;
    flow->tx.probe = true; /* the server waits for a packet */
    peer_believe(flow->transport, flow->peer, flow->peer_epoch, now);
    flow_deliver(flow, now);
    flow_activate(flow);
    send_check_lengths(flow, now);
}

static void retry(struct flow *flow, const struct wire_handshake *handshake)
{
    struct opening *opening = flow->opening;
    if (opening->retries++ >= RETRIES_MAX) {
        return;
    }
    opening->cookie_length = handshake->cookie_length;
    memcpy(opening->cookie, handshake->cookie, handshake->cookie_length);
    flow->handshake_wanted = true;
    flow_activate(flow);
}

struct flow *flow_opening(const struct transport *transport, const struct transport_path *path, uint64_t cid)
{
    struct flow *flow = flow_find(transport, cid);
    if (!flow || flow->state != FLOW_OPENING ||
        memcmp(flow->path.remote.ip, path->remote.ip, sizeof path->remote.ip) != 0) {
        return NULL;
    }
    return flow;
}

static enum transport_status refusal(uint16_t reason)
{
    switch (reason) {
    case WIRE_REASON_VERSION:
        return TRANSPORT_VERSION;
    case WIRE_REASON_LIMIT:
    case WIRE_REASON_NO_SPACE:
        return TRANSPORT_LIMIT;
    default:
        return TRANSPORT_REFUSED;
    }
}

void handshake_answer(struct transport *transport, const struct transport_path *path, const struct wire_header *header,
                      const struct wire_handshake *handshake, uint64_t now)
{
    struct flow *flow = flow_opening(transport, path, header->dcid);
    if (!flow || flow->nonce != handshake->nonce) {
        return;
    }
    switch (header->type) {
    case WIRE_ACCEPT:
        opened(flow, path, header->packet_number, handshake, now);
        break;
    case WIRE_REFUSE:
        flow_end(flow, refusal(handshake->reason), now);
        break;
    case WIRE_RETRY:
        retry(flow, handshake);
        break;
    case WIRE_VERSIONS:
        if (handshake->version_min > WIRE_VERSION || handshake->version_max < WIRE_VERSION) {
            flow_end(flow, TRANSPORT_VERSION, now);
        }
        break;
    default:
        break;
    }
}

void handshake_timeout(struct flow *flow, uint64_t now)
{
    if (flow->deadline <= now) {
        flow_end(flow, TRANSPORT_UNREACHABLE, now);
    } else if (flow->state == FLOW_OPENING && flow->opening->repeat_at <= now) {
        flow->opening->repeat_at = now + flow->opening->pause;
        flow->handshake_wanted = true;
        flow_activate(flow);
    }
}
