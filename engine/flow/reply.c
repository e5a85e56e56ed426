/* SPDX-License-Identifier: MIT */
/* Packets that belong to no flow: answers to strangers, probes. They keep no state but a bounded queue. */
#include "flow/flow.h"

#include <string.h>

enum {
    RESETS_PER_SECOND = 1000,
    RESETS_BURST = 100,
    COOKIE_BYTES = 8,
};

#define COOKIE_SLOT_NS (UINT64_C(5) * 1000000000)

struct reply *reply_new(struct transport *transport, const struct transport_path *path)
{
    if (deque_count(&transport->replies) >= REPLIES_MAX ||
        !deque_reserve(&transport->replies, &transport->pool, 1, sizeof(struct reply))) {
        return NULL;
    }
    struct reply *reply = deque_push(&transport->replies, sizeof(struct reply));
    reply->path = *path;
    reply->length = 0;
    return reply;
}

size_t reply_transmit(struct transport *transport, uint8_t *buffer, struct transport_path *path)
{
    struct deque *replies = &transport->replies;
    size_t length = 0;
    while (length == 0 && deque_count(replies) > 0) {
        const struct reply *reply = deque_at(replies, replies->base, sizeof(struct reply));
        length = reply->length;
        memcpy(buffer, reply->bytes, length);
        *path = reply->path;
        deque_drop(replies, 1);
    }
    if (length == 0) {
        deque_reset(replies, &transport->pool, sizeof(struct reply));
    }
    return length;
}

static bool reset_allowed(struct transport *transport, uint64_t now)
{
    const uint64_t interval = UINT64_C(1000000000) / RESETS_PER_SECOND;
    uint64_t earned = (now - transport->reset_refilled) / interval;
    if (earned > 0) {
        transport->reset_tokens = min_u64(RESETS_BURST, transport->reset_tokens + min_u64(earned, RESETS_BURST));
        transport->reset_refilled += earned * interval;
    }
    if (transport->reset_tokens == 0) {
        return false;
    }
    transport->reset_tokens--;
    return true;
}

void reply_reset(struct transport *transport, const struct transport_path *path, const struct wire_header *header,
                 uint64_t now)
{
    struct reply *reply = reset_allowed(transport, now) ? reply_new(transport, path) : NULL;
    if (reply) {
        reply->length =
            (uint16_t)wire_reset_encode(reply->bytes, header->dcid, header->packet_number, WIRE_REASON_UNKNOWN_FLOW);
        transport->counters.resets_sent++;
    }
}

/* An answer to an INIT: `handshake` holds what it says but the nonce. */
static void answer(struct transport *transport, const struct transport_path *path, uint8_t type, uint8_t version,
                   uint64_t number, uint64_t client_cid, struct wire_handshake *handshake)
{
    struct reply *reply = reply_new(transport, path);
    if (!reply) {
        return;
    }
    struct wire_header header = {.version = version, .type = type, .packet_number = number, .dcid = client_cid};
    handshake->present |= 1u << WIRE_TLV_NONCE;
    reply->length = (uint16_t)wire_handshake_encode(reply->bytes, sizeof reply->bytes, &header, handshake, 0);
}

void reply_version(struct transport *transport, const struct transport_path *path, const uint8_t *packet, size_t length,
                   const struct wire_header *header)
{
    uint64_t client_cid;
    struct wire_handshake handshake = {
        .present = 1u << WIRE_TLV_VERSION_RANGE, .version_min = WIRE_VERSION, .version_max = WIRE_VERSION};
    if (wire_init_prefix_decode(packet, length, &client_cid, &handshake.nonce) == WIRE_OK) {
        answer(transport, path, WIRE_VERSIONS, header->version, header->packet_number, client_cid, &handshake);
    }
}

void reply_refuse(struct transport *transport, const struct transport_path *path, const struct wire_header *init,
                  uint64_t client_cid, uint64_t nonce, uint16_t reason)
{
    struct wire_handshake handshake = {.present = 1u << WIRE_TLV_REASON, .nonce = nonce, .reason = reason};
    transport->counters.handshake_refused++;
    answer(transport, path, WIRE_REFUSE, WIRE_VERSION, init->packet_number, client_cid, &handshake);
}

static uint64_t cookie(const struct transport *transport, const struct transport_path *path,
                       const struct wire_handshake *handshake, uint64_t slot)
{
    struct {
        struct endpoint remote;
        uint8_t zero[6];
        uint64_t cid, nonce, slot;
    } input;
    memset(&input, 0, sizeof input);
    input.remote = path->remote;
    input.cid = handshake->source_cid;
    input.nonce = handshake->nonce;
    input.slot = slot;
    return siphash(&transport->key, &input, sizeof input);
}

void reply_retry(struct transport *transport, const struct transport_path *path, const struct wire_header *init,
                 const struct wire_handshake *handshake, uint64_t now)
{
    struct wire_handshake retry; /* not cleared: this is what a flood of forged INITs gets, and clearing it takes time */
    retry.present = 1u << WIRE_TLV_COOKIE;
    retry.nonce = handshake->nonce;
    retry.cookie_length = COOKIE_BYTES;
    uint64_t value = cookie(transport, path, handshake, now / COOKIE_SLOT_NS);
    memcpy(retry.cookie, &value, sizeof value);
    transport->counters.retries_sent++;
    answer(transport, path, WIRE_RETRY, WIRE_VERSION, init->packet_number, handshake->source_cid, &retry);
}

bool cookie_valid(const struct transport *transport, const struct transport_path *path,
                  const struct wire_handshake *handshake, uint64_t now)
{
    uint64_t slot = now / COOKIE_SLOT_NS;
    uint64_t value;
    if ((handshake->present & 1u << WIRE_TLV_COOKIE) == 0 || handshake->cookie_length != COOKIE_BYTES) {
        return false;
    }
    memcpy(&value, handshake->cookie, sizeof value);
    return value == cookie(transport, path, handshake, slot) ||
           (slot > 0 && value == cookie(transport, path, handshake, slot - 1));
}
