/* SPDX-License-Identifier: MIT */
/*
 * Arbitrary bytes as a packet, as the body of every type of packet, and as frames. What is decoded lies inside the bytes and keeps
 * the specification's promises; encoded and decoded again it is the same.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "wire/wire.h"

#define CID UINT64_C(0x0401a29f3c77d1e5)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_result(int result)
{
    return result <= WIRE_OK && result >= WIRE_ECRITICAL;
}

static bool is_data(const struct wire_frame *frame)
{
    return frame->type >= WIRE_FRAME_DATA;
}

static void check_data(const uint8_t *end, const struct wire_frame *frame)
{
    uint32_t length = frame->data.length;

    assert(frame->type <= (WIRE_FRAME_DATA | WIRE_DATA_FRAGMENT | WIRE_DATA_TAG));
    assert(frame->data.payload == end - length);
    assert(frame->data.offset <= frame->data.total);
    assert(length <= frame->data.total - frame->data.offset);
    assert(length > 0 || frame->data.total == 0);
    if ((frame->type & WIRE_DATA_FRAGMENT) == 0) {
        assert(frame->data.offset == 0 && frame->data.total == length);
    }
    if ((frame->type & WIRE_DATA_TAG) == 0) {
        assert(frame->data.tag == 0);
    } else {
        assert(frame->data.offset == 0);
    }
}

static void check_ack(const struct wire_frame *frame)
{
    assert(frame->ack.count <= WIRE_ACK_RANGES_MAX);
    for (uint16_t i = 0; i < frame->ack.count; i++) {
        assert(frame->ack.ranges[i].gap >= 1 && frame->ack.ranges[i].length >= 1);
    }
}

/* Encodes, decodes and encodes: twice the same bytes, as many as were said. */
static void check_frame_again(const struct wire_frame *frame)
{
    static uint8_t first[256 + UINT16_MAX];
    uint8_t second[256];
    struct wire_frame again;
    size_t payload = is_data(frame) ? frame->data.length : 0;
    size_t bytes = wire_frame_bytes(frame);
    size_t at = 0;

    assert(wire_frame_encode(first, bytes - 1, frame) == 0);
    assert(wire_frame_encode(first, bytes, frame) == bytes);
    assert(wire_frame_decode(first, bytes + payload, &at, &again) == WIRE_OK);
    assert(at == bytes + payload);
    assert(wire_frame_encode(second, sizeof(second), &again) == bytes);
    assert(memcmp(first, second, bytes) == 0);
}

static void check_frames(const uint8_t *body, size_t length)
{
    struct wire_frame frame;
    size_t position = 0;
    int result;

    for (;;) {
        size_t before = position;

        result = wire_frame_decode(body, length, &position, &frame);
        assert(position >= before && position <= length);
        if (result != WIRE_OK) {
            break;
        }
        assert(position > before);
        if (is_data(&frame)) {
            check_data(body + position, &frame);
        } else if (frame.type == WIRE_FRAME_ACK) {
            check_ack(&frame);
        }
        check_frame_again(&frame);
    }
    assert(result == WIRE_END ? position == length : is_result(result));
}

static void check_handshake(uint8_t type, const uint8_t *body, size_t length)
{
    struct wire_header header = {.version = WIRE_VERSION, .type = type, .dcid = type == WIRE_INIT ? 0 : CID};
    struct wire_handshake first, second;
    uint8_t packet[1024], again[1024];
    size_t body_length;
    int result = wire_handshake_decode(type, body, length, &first);

    assert(is_result(result));
    if (result != WIRE_OK) {
        return;
    }
    assert(first.cookie_length <= WIRE_COOKIE_MAX);
    assert(first.worker_port_count <= WIRE_WORKER_PORTS_MAX);
    size_t packet_length = wire_handshake_encode(packet, sizeof(packet), &header, &first, WIRE_INIT_MIN);

    assert(packet_length >= WIRE_INIT_MIN);
    assert(wire_packet_decode(packet, packet_length, &header, &body_length) == WIRE_OK);
    result = wire_handshake_decode(type, packet + WIRE_HEADER_BYTES, body_length, &second);
    assert(result == WIRE_OK && first.present == second.present);
    size_t again_length = wire_handshake_encode(again, sizeof(again), &header, &second, WIRE_INIT_MIN);

    assert(again_length == packet_length && memcmp(packet, again, packet_length) == 0);
}

static void check_probe(uint8_t type, const uint8_t *body, size_t length)
{
    uint8_t packet[WIRE_PROBE_BYTES];
    struct wire_probe first, second;

    if (wire_probe_decode(type, body, length, &first) != WIRE_OK) {
        return;
    }
    assert(wire_probe_encode(packet, type, &first) == sizeof(packet));
    int result = wire_probe_decode(type, packet + WIRE_HEADER_BYTES, sizeof(packet) - WIRE_PACKET_MIN, &second);

    assert(result == WIRE_OK);
    assert(first.nonce == second.nonce && first.epoch == second.epoch && first.own_epoch == second.own_epoch);
    assert(first.result == second.result);
}

static void check_reset(const uint8_t *body, size_t length)
{
    uint8_t packet[WIRE_RESET_BYTES];
    uint16_t first, second;

    if (wire_reset_decode(body, length, &first) != WIRE_OK) {
        return;
    }
    assert(wire_reset_encode(packet, CID, 1, first) == sizeof(packet));
    assert(wire_reset_decode(packet + WIRE_HEADER_BYTES, length, &second) == WIRE_OK);
    assert(first == second);
}

static void check_body(const uint8_t *body, size_t length)
{
    for (int type = WIRE_INIT; type <= WIRE_VERSIONS; type++) {
        check_handshake((uint8_t)type, body, length);
    }
    check_probe(WIRE_PROBE, body, length);
    check_probe(WIRE_PROBE_REPLY, body, length);
    check_reset(body, length);
    check_frames(body, length);
}

static void check_packet(const uint8_t *packet, size_t length)
{
    struct wire_header header;
    uint8_t again[WIRE_HEADER_BYTES];
    uint64_t source_cid, nonce;
    size_t body_length;
    int result = wire_packet_decode(packet, length, &header, &body_length);

    assert(is_result(result));
    if (result == WIRE_EVERSION) {
        assert(header.version != WIRE_VERSION);
        assert(is_result(wire_init_prefix_decode(packet, length, &source_cid, &nonce)));
    }
    if (result != WIRE_OK) {
        return;
    }
    assert(body_length + WIRE_PACKET_MIN == length && length <= WIRE_PACKET_MAX);
    wire_header_encode(again, &header);
    assert(memcmp(again, packet, sizeof(again)) == 0);
    assert((header.dcid == 0) == (header.type == WIRE_INIT || header.type >= WIRE_PROBE));
    check_body(packet + WIRE_HEADER_BYTES, body_length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t sealed[WIRE_PACKET_MAX];

    check_packet(data, size);
    check_body(data, size);
    /* Nobody guesses a checksum. */
    if (size >= WIRE_PACKET_MIN && size <= WIRE_PACKET_MAX) {
        memcpy(sealed, data, size);
        wire_packet_seal(sealed, size - WIRE_TRAILER_BYTES);
        check_packet(sealed, size);
    }
    return 0;
}
