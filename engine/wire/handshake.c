/* SPDX-License-Identifier: MIT */
#include "bytes.h"
#include "wire.h"

#include <assert.h>
#include <string.h>

enum {
    TLV_HEADER_BYTES = 4,
    TLV_CID_BYTES = 8,
    TLV_NONCE_BYTES = 8
};
enum {
    TLV_LAST = WIRE_TLV_MAX_MESSAGE
};

_Static_assert((int)TLV_LAST < 32, "`present` has 32 bits");
_Static_assert(WIRE_HEADER_BYTES + 10 * TLV_HEADER_BYTES + 2 + 8 + 8 + 8 + 4 + 16 + 4 +
                       2 * WIRE_WORKER_PORTS_MAX + 2 + WIRE_TRAILER_BYTES <=
                   WIRE_INIT_MIN,
               "no answer to an INIT is longer than the INIT");

/* The lengths that a TLV may have: min, min + step, ..., max. */
struct lengths {
    uint16_t min, max, step;
};
static const struct lengths tlv_lengths[TLV_LAST + 1] = {
    [WIRE_TLV_VERSION_RANGE] = {2, 2, 1},
    [WIRE_TLV_SOURCE_CID] = {TLV_CID_BYTES, TLV_CID_BYTES, 1},
    [WIRE_TLV_EPOCH] = {8, 8, 1},
    [WIRE_TLV_NONCE] = {TLV_NONCE_BYTES, TLV_NONCE_BYTES, 1},
    [WIRE_TLV_PORTS] = {4, 4, 1},
    [WIRE_TLV_LIMITS] = {16, 16, 1},
    [WIRE_TLV_WORKER_PORTS] = {0, 2 * WIRE_WORKER_PORTS_MAX, 2},
    [WIRE_TLV_COOKIE] = {1, WIRE_COOKIE_MAX, 1},
    [WIRE_TLV_REASON] = {2, 2, 1},
    [WIRE_TLV_PADDING] = {0, UINT16_MAX, 1},
    [WIRE_TLV_MAX_MESSAGE] = {4, 4, 1},
};

#define TLV_BIT(tlv) (UINT32_C(1) << (tlv))

/* What a packet of each handshake type cannot do without. */
static const uint32_t required[] = {
    [WIRE_INIT] = TLV_BIT(WIRE_TLV_SOURCE_CID) | TLV_BIT(WIRE_TLV_NONCE) |
                  TLV_BIT(WIRE_TLV_VERSION_RANGE) | TLV_BIT(WIRE_TLV_EPOCH) |
                  TLV_BIT(WIRE_TLV_PORTS) | TLV_BIT(WIRE_TLV_LIMITS),
    [WIRE_ACCEPT] = TLV_BIT(WIRE_TLV_SOURCE_CID) | TLV_BIT(WIRE_TLV_NONCE) |
                    TLV_BIT(WIRE_TLV_VERSION_RANGE) | TLV_BIT(WIRE_TLV_EPOCH) |
                    TLV_BIT(WIRE_TLV_LIMITS),
    [WIRE_REFUSE] = TLV_BIT(WIRE_TLV_NONCE) | TLV_BIT(WIRE_TLV_REASON),
    [WIRE_RETRY] = TLV_BIT(WIRE_TLV_NONCE) | TLV_BIT(WIRE_TLV_COOKIE),
    [WIRE_VERSIONS] = TLV_BIT(WIRE_TLV_NONCE) | TLV_BIT(WIRE_TLV_VERSION_RANGE),
};

/* The order of encoding. The first two are where every version has them in an INIT; all of VERSIONS
 * is in its fixed order. */
static const uint8_t encode_order[] = {
    WIRE_TLV_SOURCE_CID, WIRE_TLV_NONCE,  WIRE_TLV_VERSION_RANGE, WIRE_TLV_EPOCH,  WIRE_TLV_PORTS,
    WIRE_TLV_LIMITS,     WIRE_TLV_MAX_MESSAGE, WIRE_TLV_REASON,   WIRE_TLV_WORKER_PORTS,
    WIRE_TLV_COOKIE,
};

static int decode_value(uint16_t tlv, const uint8_t *value, uint16_t length,
                        struct wire_handshake *to)
{
    bool valid = true;

    switch (tlv) {
    case WIRE_TLV_VERSION_RANGE:
        to->version_min = value[0];
        to->version_max = value[1];
        valid = 1 <= value[0] && value[0] <= value[1] && value[1] <= 15;
        break;
    case WIRE_TLV_SOURCE_CID:
        to->source_cid = get_u64(value);
        valid = to->source_cid != 0;
        break;
    case WIRE_TLV_EPOCH:
        to->epoch = get_u64(value);
        break;
    case WIRE_TLV_NONCE:
        to->nonce = get_u64(value);
        break;
    case WIRE_TLV_PORTS:
        to->source_port = get_u16(value);
        to->destination_port = get_u16(value + 2);
        break;
    case WIRE_TLV_LIMITS:
        to->credit_bytes = get_u64(value);
        to->credit_messages = get_u32(value + 8);
        to->max_udp_payload = get_u32(value + 12);
        valid = to->max_udp_payload >= WIRE_PAYLOAD_MIN_MTU;
        break;
    case WIRE_TLV_MAX_MESSAGE:
        to->max_message = get_u32(value);
        valid = to->max_message >= WIRE_MESSAGE_MIN;
        break;
    case WIRE_TLV_WORKER_PORTS:
        to->worker_port_count = length / 2;
        for (size_t i = 0; i < to->worker_port_count; i++) {
            to->worker_ports[i] = get_u16(value + 2 * i);
        }
        break;
    case WIRE_TLV_COOKIE:
        to->cookie_length = length;
        memcpy(to->cookie, value, length);
        break;
    case WIRE_TLV_REASON:
        to->reason = get_u16(value);
        break;
    default:
        break;
    }
    return valid ? WIRE_OK : WIRE_EMALFORMED;
}

static bool is_known(uint16_t tlv)
{
    return tlv != 0 && tlv <= TLV_LAST && tlv != WIRE_TLV_KEYS;
}

static int decode_tlv(uint16_t type, const uint8_t *value, uint16_t length,
                      struct wire_handshake *to)
{
    uint16_t tlv = type & (uint16_t)~WIRE_TLV_CRITICAL;

    if (!is_known(tlv)) {
        return (type & WIRE_TLV_CRITICAL) != 0 ? WIRE_ECRITICAL : WIRE_OK;
    }
    if (tlv == WIRE_TLV_PADDING) {
        return WIRE_OK;
    }
    const struct lengths *allowed = &tlv_lengths[tlv];

    if (length < allowed->min || length > allowed->max || length % allowed->step != 0 ||
        (to->present & TLV_BIT(tlv)) != 0) {
        return WIRE_EMALFORMED;
    }
    to->present |= TLV_BIT(tlv);
    return decode_value(tlv, value, length, to);
}

/* The TLV `tlv` of `length` bytes at `bytes`, spelled exactly as every version spells it. */
static bool is_tlv(const uint8_t *bytes, uint16_t tlv, uint16_t length)
{
    return get_u16(bytes) == tlv && get_u16(bytes + 2) == length;
}

/* What every version has at the same place: `body` has at least WIRE_INIT_MIN - WIRE_PACKET_MIN
 * bytes. */
static bool has_prefix(const uint8_t *body)
{
    return is_tlv(body, WIRE_TLV_SOURCE_CID, TLV_CID_BYTES) &&
           is_tlv(body + TLV_HEADER_BYTES + TLV_CID_BYTES, WIRE_TLV_NONCE, TLV_NONCE_BYTES);
}

int wire_handshake_decode(uint8_t type, const uint8_t *body, size_t length,
                          struct wire_handshake *handshake)
{
    assert(type >= WIRE_INIT && type <= WIRE_VERSIONS);
    memset(handshake, 0, offsetof(struct wire_handshake, worker_ports));
    handshake->max_message = WIRE_MESSAGE_DEFAULT;
    if (type == WIRE_INIT && length < WIRE_INIT_MIN - WIRE_PACKET_MIN) {
        return WIRE_ESHORT;
    }
    if (type == WIRE_INIT && !has_prefix(body)) {
        return WIRE_EMALFORMED;
    }
    for (size_t at = 0; at < length;) {
        if (length - at < TLV_HEADER_BYTES) {
            return WIRE_ESHORT;
        }
        uint16_t tlv = get_u16(body + at);
        uint16_t tlv_length = get_u16(body + at + 2);

        at += TLV_HEADER_BYTES;
        if (length - at < tlv_length) {
            return WIRE_ESHORT;
        }
        int result = decode_tlv(tlv, body + at, tlv_length, handshake);

        if (result != WIRE_OK) {
            return result;
        }
        at += tlv_length;
    }
    return (required[type] & ~handshake->present) == 0 ? WIRE_OK : WIRE_EMALFORMED;
}

int wire_init_prefix_decode(const uint8_t *packet, size_t length, uint64_t *source_cid,
                            uint64_t *nonce)
{
    const uint8_t *body = packet + WIRE_HEADER_BYTES;

    if (length < WIRE_INIT_MIN) {
        return WIRE_ESHORT;
    }
    if ((packet[0] & 0xf) != WIRE_INIT) {
        return WIRE_ETYPE;
    }
    if (!has_prefix(body)) {
        return WIRE_EMALFORMED;
    }
    *source_cid = get_u64(body + TLV_HEADER_BYTES);
    *nonce = get_u64(body + TLV_HEADER_BYTES + TLV_CID_BYTES + TLV_HEADER_BYTES);
    return get_u64(packet + 8) == 0 && *source_cid != 0 ? WIRE_OK : WIRE_EMALFORMED;
}

static uint16_t value_length(uint8_t tlv, const struct wire_handshake *from)
{
    switch (tlv) {
    case WIRE_TLV_WORKER_PORTS:
        assert(from->worker_port_count <= WIRE_WORKER_PORTS_MAX);
        return (uint16_t)(2 * from->worker_port_count);
    case WIRE_TLV_COOKIE:
        assert(from->cookie_length >= 1 && from->cookie_length <= WIRE_COOKIE_MAX);
        return from->cookie_length;
    default:
        return tlv_lengths[tlv].min;
    }
}

static void encode_value(uint8_t tlv, const struct wire_handshake *from, uint8_t *value)
{
    switch (tlv) {
    case WIRE_TLV_VERSION_RANGE:
        value[0] = from->version_min;
        value[1] = from->version_max;
        break;
    case WIRE_TLV_SOURCE_CID:
        put_u64(value, from->source_cid);
        break;
    case WIRE_TLV_EPOCH:
        put_u64(value, from->epoch);
        break;
    case WIRE_TLV_NONCE:
        put_u64(value, from->nonce);
        break;
    case WIRE_TLV_PORTS:
        put_u16(value, from->source_port);
        put_u16(value + 2, from->destination_port);
        break;
    case WIRE_TLV_LIMITS:
        put_u64(value, from->credit_bytes);
        put_u32(value + 8, from->credit_messages);
        put_u32(value + 12, from->max_udp_payload);
        break;
    case WIRE_TLV_MAX_MESSAGE:
        put_u32(value, from->max_message);
        break;
    case WIRE_TLV_WORKER_PORTS:
        for (size_t i = 0; i < from->worker_port_count; i++) {
            put_u16(value + 2 * i, from->worker_ports[i]);
        }
        break;
    case WIRE_TLV_COOKIE:
        memcpy(value, from->cookie, from->cookie_length);
        break;
    case WIRE_TLV_REASON:
        put_u16(value, from->reason);
        break;
    default:
        break;
    }
}

static void put_tlv_header(uint8_t *to, uint8_t tlv, size_t length)
{
    put_u16(to, tlv);
    put_u16(to + 2, (uint16_t)length);
}

/* The packet's length before padding, trailer included. */
static size_t encoded_length(const struct wire_handshake *from)
{
    size_t length = WIRE_PACKET_MIN;

    for (size_t i = 0; i < sizeof(encode_order); i++) {
        if ((from->present & TLV_BIT(encode_order[i])) != 0) {
            length += TLV_HEADER_BYTES + value_length(encode_order[i], from);
        }
    }
    return length;
}

size_t wire_handshake_encode(uint8_t *packet, size_t capacity, const struct wire_header *header,
                             const struct wire_handshake *handshake, size_t min_length)
{
    size_t length = encoded_length(handshake);
    size_t padding = 0;

    assert(min_length <= WIRE_PACKET_MAX);
    if (length < min_length) {
        padding = min_length - length < TLV_HEADER_BYTES ? TLV_HEADER_BYTES : min_length - length;
    }
    if (length + padding > capacity) {
        return 0;
    }
    size_t at = WIRE_HEADER_BYTES;

    wire_header_encode(packet, header);
    for (size_t i = 0; i < sizeof(encode_order); i++) {
        uint8_t tlv = encode_order[i];

        if ((handshake->present & TLV_BIT(tlv)) != 0) {
            put_tlv_header(packet + at, tlv, value_length(tlv, handshake));
            encode_value(tlv, handshake, packet + at + TLV_HEADER_BYTES);
            at += TLV_HEADER_BYTES + value_length(tlv, handshake);
        }
    }
    if (padding > 0) {
        put_tlv_header(packet + at, WIRE_TLV_PADDING, padding - TLV_HEADER_BYTES);
        memset(packet + at + TLV_HEADER_BYTES, 0, padding - TLV_HEADER_BYTES);
        at += padding;
    }
    return wire_packet_seal(packet, at);
}
