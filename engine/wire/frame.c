/* SPDX-License-Identifier: MIT */
#include "bytes.h"
#include "wire.h"

#include <assert.h>

_Static_assert(WIRE_PING_BYTES == 1 + 3, "type, reserved");
_Static_assert(WIRE_ACK_BYTES == 1 + 1 + 2 + 4 + 4 + 4, "type, count, first, largest, holding, messages");
_Static_assert(WIRE_ACK_RANGE_BYTES == 2 + 2, "gap, length");
_Static_assert(WIRE_CREDIT_BYTES == 1 + 3 + 4 + 8, "type, reserved, messages, bytes");
_Static_assert(WIRE_GRANT_BYTES == 1 + 3 + 4 + 4, "type, reserved, message, bytes");
_Static_assert(WIRE_FIN_BYTES == 1 + 1 + 2 + 4, "type, reserved, reason, messages");
_Static_assert(WIRE_RESET_FRAME_BYTES == 1 + 1 + 2, "type, reserved, reason");
_Static_assert(WIRE_BLOCKED_BYTES == 1 + 3 + 4 + 8, "type, reserved, message, bytes");
_Static_assert(WIRE_DATA_BYTES == 1 + 1 + 2 + 4, "type, reserved, length, message");
_Static_assert(WIRE_FRAGMENT_BYTES == 4 + 4, "total, offset");
_Static_assert(WIRE_TAG_BYTES == 8, "tag");
_Static_assert(WIRE_PACKET_MIN + WIRE_PING_BYTES >= WIRE_FLOW_MIN, "one frame fills a FLOW packet");

enum { DATA_BITS = WIRE_DATA_FRAGMENT | WIRE_DATA_TAG, SKIPPABLE_HEADER_BYTES = 4 };

static bool is_data(uint8_t type)
{
    return (type & ~DATA_BITS) == WIRE_FRAME_DATA;
}

static size_t data_header_bytes(uint8_t type)
{
    return WIRE_DATA_BYTES + ((type & WIRE_DATA_FRAGMENT) != 0 ? WIRE_FRAGMENT_BYTES : 0u) +
           ((type & WIRE_DATA_TAG) != 0 ? WIRE_TAG_BYTES : 0u);
}

/* Each decoder gets what is left of the body and returns the frame's bytes or a negative enum
 * wire_result. */

static int decode_data(const uint8_t *from, size_t left, struct wire_frame *frame)
{
    size_t header = data_header_bytes(from[0]);

    if (left < header) {
        return WIRE_ESHORT;
    }
    uint32_t length = get_u16(from + 2);

    frame->data.length = length;
    frame->data.message = get_u32(from + 4);
    frame->data.total = length;
    frame->data.offset = 0;
    frame->data.tag = 0;
    frame->data.payload = from + header;
    if ((from[0] & WIRE_DATA_FRAGMENT) != 0) {
        frame->data.total = get_u32(from + 8);
        frame->data.offset = get_u32(from + 12);
    }
    if ((from[0] & WIRE_DATA_TAG) != 0) {
        frame->data.tag = get_u64(from + header - WIRE_TAG_BYTES);
        if (frame->data.offset != 0) {
            return WIRE_EMALFORMED;
        }
    }
    if ((uint64_t)frame->data.offset + length > frame->data.total || (length == 0 && frame->data.total != 0)) {
        return WIRE_EMALFORMED;
    }
    return left - header >= length ? (int)(header + length) : WIRE_ESHORT;
}

static int decode_ack(const uint8_t *from, size_t left, struct wire_frame *frame)
{
    if (left < WIRE_ACK_BYTES) {
        return WIRE_ESHORT;
    }
    uint16_t count = from[1];

    if (count > WIRE_ACK_RANGES_MAX) {
        return WIRE_EMALFORMED;
    }
    size_t bytes = WIRE_ACK_BYTES + (size_t)count * WIRE_ACK_RANGE_BYTES;

    if (left < bytes) {
        return WIRE_ESHORT;
    }
    frame->ack.count = count;
    frame->ack.first = get_u16(from + 2);
    frame->ack.largest = get_u32(from + 4);
    frame->ack.holding_ns = get_u32(from + 8);
    frame->ack.messages = get_u32(from + 12);
    from += WIRE_ACK_BYTES;
    for (uint16_t i = 0; i < count; i++, from += WIRE_ACK_RANGE_BYTES) {
        frame->ack.ranges[i] = (struct wire_ack_range){get_u16(from), get_u16(from + 2)};
        if (frame->ack.ranges[i].gap == 0 || frame->ack.ranges[i].length == 0) {
            return WIRE_EMALFORMED;
        }
    }
    return (int)bytes;
}

static size_t fixed_bytes(uint8_t type)
{
    switch (type) {
    case WIRE_FRAME_PADDING:
        return 1;
    case WIRE_FRAME_PING:
        return WIRE_PING_BYTES;
    case WIRE_FRAME_CREDIT:
        return WIRE_CREDIT_BYTES;
    case WIRE_FRAME_GRANT:
        return WIRE_GRANT_BYTES;
    case WIRE_FRAME_FIN:
        return WIRE_FIN_BYTES;
    case WIRE_FRAME_RESET:
        return WIRE_RESET_FRAME_BYTES;
    case WIRE_FRAME_BLOCKED:
        return WIRE_BLOCKED_BYTES;
    default:
        return 0;
    }
}

static int decode_fixed(const uint8_t *from, size_t left, struct wire_frame *frame)
{
    size_t bytes = fixed_bytes(from[0]);

    if (bytes == 0) {
        return WIRE_ECRITICAL;
    }
    if (left < bytes) {
        return WIRE_ESHORT;
    }
    switch (from[0]) {
    case WIRE_FRAME_CREDIT:
        frame->credit.messages = get_u32(from + 4);
        frame->credit.bytes = get_u64(from + 8);
        break;
    case WIRE_FRAME_GRANT:
        frame->grant.message = get_u32(from + 4);
        frame->grant.bytes = get_u32(from + 8);
        break;
    case WIRE_FRAME_FIN:
        if (from[1] != 0) {
            return WIRE_ECRITICAL;
        }
        frame->fin.reason = get_u16(from + 2);
        frame->fin.messages = get_u32(from + 4);
        break;
    case WIRE_FRAME_RESET:
        frame->reset.reason = get_u16(from + 2);
        break;
    case WIRE_FRAME_BLOCKED:
        frame->blocked.message = get_u32(from + 4);
        frame->blocked.bytes = get_u64(from + 8);
        break;
    default:
        break;
    }
    return (int)bytes;
}

static int decode_skippable(const uint8_t *from, size_t left)
{
    if (left < SKIPPABLE_HEADER_BYTES) {
        return WIRE_ESHORT;
    }
    uint16_t bytes = get_u16(from + 2);

    if (bytes < SKIPPABLE_HEADER_BYTES) {
        return WIRE_EMALFORMED;
    }
    return left >= bytes ? bytes : WIRE_ESHORT;
}

static int decode_passed_over(const uint8_t *from, size_t left)
{
    return from[0] == WIRE_FRAME_PADDING ? 1 : decode_skippable(from, left);
}

static bool is_passed_over(uint8_t type)
{
    return type == WIRE_FRAME_PADDING || type >= WIRE_FRAME_SKIPPABLE;
}

/* What is no DATA. */
static int decode_other(const uint8_t *body, size_t length, size_t *position, struct wire_frame *frame)
{
    size_t at = *position;
    int bytes = frame->type == WIRE_FRAME_ACK ? decode_ack(body + at, length - at, frame)
                                              : decode_fixed(body + at, length - at, frame);
    if (bytes < 0) {
        return bytes;
    }
    *position = at + (size_t)bytes;
    return WIRE_OK;
}

int wire_frame_decode(const uint8_t *body, size_t length, size_t *position, struct wire_frame *frame)
{
    size_t at = *position;
    int bytes;

    while (at < length && is_passed_over(body[at])) {
        bytes = decode_passed_over(body + at, length - at);
        if (bytes < 0) {
            return bytes;
        }
        at += (size_t)bytes;
    }
    *position = at;
    if (at >= length) {
        return WIRE_END;
    }
    frame->type = body[at];
    if (!is_data(frame->type)) {
        return decode_other(body, length, position, frame);
    }
    bytes = decode_data(body + at, length - at, frame);
    if (bytes < 0) {
        return bytes;
    }
    *position = at + (size_t)bytes;
    return WIRE_OK;
}

size_t wire_frame_bytes(const struct wire_frame *frame)
{
    if (is_data(frame->type)) {
        return data_header_bytes(frame->type);
    }
    if (frame->type == WIRE_FRAME_ACK) {
        return WIRE_ACK_BYTES + (size_t)frame->ack.count * WIRE_ACK_RANGE_BYTES;
    }
    return fixed_bytes(frame->type);
}

static void encode_data(uint8_t *out, const struct wire_frame *frame)
{
    assert(frame->data.length <= UINT16_MAX);
    put_u16(out + 2, (uint16_t)frame->data.length);
    put_u32(out + 4, frame->data.message);
    if ((frame->type & WIRE_DATA_FRAGMENT) != 0) {
        put_u32(out + 8, frame->data.total);
        put_u32(out + 12, frame->data.offset);
    }
    if ((frame->type & WIRE_DATA_TAG) != 0) {
        put_u64(out + data_header_bytes(frame->type) - WIRE_TAG_BYTES, frame->data.tag);
    }
}

static void encode_ack(uint8_t *out, const struct wire_frame *frame)
{
    assert(frame->ack.count <= WIRE_ACK_RANGES_MAX);
    out[1] = (uint8_t)frame->ack.count;
    put_u16(out + 2, frame->ack.first);
    put_u32(out + 4, frame->ack.largest);
    put_u32(out + 8, frame->ack.holding_ns);
    put_u32(out + 12, frame->ack.messages);
    out += WIRE_ACK_BYTES;
    for (uint16_t i = 0; i < frame->ack.count; i++, out += WIRE_ACK_RANGE_BYTES) {
        put_u16(out, frame->ack.ranges[i].gap);
        put_u16(out + 2, frame->ack.ranges[i].length);
    }
}

static void encode_fixed(uint8_t *out, const struct wire_frame *frame)
{
    switch (frame->type) {
    case WIRE_FRAME_CREDIT:
        put_u32(out + 4, frame->credit.messages);
        put_u64(out + 8, frame->credit.bytes);
        break;
    case WIRE_FRAME_GRANT:
        put_u32(out + 4, frame->grant.message);
        put_u32(out + 8, frame->grant.bytes);
        break;
    case WIRE_FRAME_FIN:
        put_u16(out + 2, frame->fin.reason);
        put_u32(out + 4, frame->fin.messages);
        break;
    case WIRE_FRAME_RESET:
        put_u16(out + 2, frame->reset.reason);
        break;
    case WIRE_FRAME_BLOCKED:
        put_u32(out + 4, frame->blocked.message);
        put_u64(out + 8, frame->blocked.bytes);
        break;
    default:
        break;
    }
}

size_t wire_frame_encode(uint8_t *out, size_t capacity, const struct wire_frame *frame)
{
    size_t bytes = wire_frame_bytes(frame);

    assert(bytes != 0);
    if (bytes > capacity) {
        return 0;
    }
    if (bytes >= sizeof(uint32_t)) {
        put_u32(out, 0);
    }
    out[0] = frame->type;
    if (is_data(frame->type)) {
        encode_data(out, frame);
    } else if (frame->type == WIRE_FRAME_ACK) {
        encode_ack(out, frame);
    } else {
        encode_fixed(out, frame);
    }
    return bytes;
}

size_t wire_whole_encode(uint8_t *out, uint32_t message, uint32_t length, uint64_t tag)
{
    assert(length <= UINT16_MAX);
    const uint64_t type = WIRE_FRAME_DATA | (tag != 0 ? WIRE_DATA_TAG : 0u);

    put_u64(out, type << 56 | (uint64_t)length << 32 | message); /* type, reserved, length, message */
    if (tag == 0) {
        return WIRE_DATA_BYTES;
    }
    put_u64(out + WIRE_DATA_BYTES, tag);
    return WIRE_DATA_BYTES + WIRE_TAG_BYTES;
}
