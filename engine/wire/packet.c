/* SPDX-License-Identifier: MIT */
#include "bytes.h"
#include "wire.h"

#include <assert.h>

_Static_assert(WIRE_RESET_BYTES == WIRE_PACKET_MIN + 2 + 2, "RESET: reason, reserved");
_Static_assert(WIRE_PROBE_BYTES == WIRE_PACKET_MIN + 8 + 8 + 8 + 8, "PROBE: nonce, epoch, own epoch, reserved");
_Static_assert((int)WIRE_FLOW_MIN >= (int)WIRE_RESET_BYTES,
               "a RESET is never longer than what it answers");
_Static_assert(WIRE_PROBE_BYTES == WIRE_PACKET_MIN + 8 + 1 + 7 + 8 + 8,
               "PROBE_REPLY: nonce, result, reserved, own epoch, reserved");

enum {
    FLAGS_CRITICAL = 0xf0
};

/* What the packets of each type have in common; an unassigned type has max 0. */
struct rule {
    uint16_t min, max; /* length of the packet */
    bool addressed;    /* dcid must not be 0; otherwise it must be */
};
static const struct rule rules[16] = {
    [WIRE_INIT] = {WIRE_INIT_MIN, WIRE_PACKET_MAX, false},
    [WIRE_ACCEPT] = {WIRE_PACKET_MIN, WIRE_PACKET_MAX, true},
    [WIRE_REFUSE] = {WIRE_PACKET_MIN, WIRE_PACKET_MAX, true},
    [WIRE_RETRY] = {WIRE_PACKET_MIN, WIRE_PACKET_MAX, true},
    [WIRE_VERSIONS] = {WIRE_PACKET_MIN, WIRE_PACKET_MAX, true},
    [WIRE_FLOW] = {WIRE_FLOW_MIN, WIRE_PACKET_MAX, true},
    [WIRE_RESET] = {WIRE_RESET_BYTES, WIRE_RESET_BYTES, true},
    [WIRE_PROBE] = {WIRE_PROBE_BYTES, WIRE_PACKET_MAX, false},
    [WIRE_PROBE_REPLY] = {WIRE_PROBE_BYTES, WIRE_PACKET_MAX, false},
};

static int check_rule(const struct wire_header *header, size_t length)
{
    const struct rule *rule = &rules[header->type];

    if (rule->max == 0) {
        return WIRE_ETYPE;
    }
    if (length < rule->min) {
        return WIRE_ESHORT;
    }
    if (length > rule->max || rule->addressed != (header->dcid != 0)) {
        return WIRE_EMALFORMED;
    }
    return WIRE_OK;
}

int wire_packet_decode(const uint8_t *packet, size_t length, struct wire_header *header,
                       size_t *body_length)
{
    if (length < WIRE_PACKET_MIN) {
        return WIRE_ESHORT;
    }
    uint64_t word = get_u64(packet);

    header->version = (uint8_t)(word >> 60);
    header->type = (uint8_t)(word >> 56) & 0xf;
    header->flags = (uint8_t)(word >> 48);
    header->packet_number = word & WIRE_PACKET_NUMBER_MAX;
    header->dcid = get_u64(packet + 8);
    if (header->version != WIRE_VERSION) {
        return WIRE_EVERSION;
    }
    /* Before the checksum: a critical flag may say that there is none. */
    if ((header->flags & FLAGS_CRITICAL) != 0) {
        return WIRE_EFLAGS;
    }
    size_t covered = length - WIRE_TRAILER_BYTES;

    if (length > WIRE_PACKET_MAX) {
        return WIRE_EMALFORMED;
    }
    if (wire_crc32c(0, packet, covered) != get_u32(packet + covered)) {
        return WIRE_ECHECKSUM;
    }
    *body_length = covered - WIRE_HEADER_BYTES;
    return check_rule(header, length);
}

void wire_header_encode(uint8_t *packet, const struct wire_header *header)
{
    assert(header->version <= 0xf && header->type <= 0xf);
    assert(header->packet_number <= WIRE_PACKET_NUMBER_MAX);
    put_u64(packet, (uint64_t)header->version << 60 | (uint64_t)header->type << 56 |
                        (uint64_t)header->flags << 48 | header->packet_number);
    put_u64(packet + 8, header->dcid);
}

size_t wire_packet_seal(uint8_t *packet, size_t length)
{
    assert(length >= WIRE_HEADER_BYTES && length <= WIRE_PACKET_MAX - WIRE_TRAILER_BYTES);
    put_u32(packet + length, wire_crc32c(0, packet, length));
    return length + WIRE_TRAILER_BYTES;
}

size_t wire_reset_encode(uint8_t *packet, uint64_t dcid, uint64_t packet_number, uint16_t reason)
{
    wire_header_encode(packet, &(struct wire_header){.version = WIRE_VERSION,
                                                     .type = WIRE_RESET,
                                                     .packet_number = packet_number,
                                                     .dcid = dcid});
    put_u16(packet + WIRE_HEADER_BYTES, reason);
    put_u16(packet + WIRE_HEADER_BYTES + 2, 0);
    return wire_packet_seal(packet, WIRE_RESET_BYTES - WIRE_TRAILER_BYTES);
}

int wire_reset_decode(const uint8_t *body, size_t length, uint16_t *reason)
{
    if (length != WIRE_RESET_BYTES - WIRE_PACKET_MIN) {
        return WIRE_EMALFORMED;
    }
    *reason = get_u16(body);
    return WIRE_OK;
}

size_t wire_probe_encode(uint8_t *packet, uint8_t type, const struct wire_probe *probe)
{
    uint8_t *body = packet + WIRE_HEADER_BYTES;

    assert(type == WIRE_PROBE || type == WIRE_PROBE_REPLY);
    wire_header_encode(packet, &(struct wire_header){.version = WIRE_VERSION, .type = type});
    put_u64(body, probe->nonce);
    put_u64(body + 8, type == WIRE_PROBE ? probe->epoch : (uint64_t)probe->result << 56);
    put_u64(body + 16, probe->own_epoch);
    put_u64(body + 24, 0);
    return wire_packet_seal(packet, WIRE_PROBE_BYTES - WIRE_TRAILER_BYTES);
}

int wire_probe_decode(uint8_t type, const uint8_t *body, size_t length, struct wire_probe *probe)
{
    if (length < WIRE_PROBE_BYTES - WIRE_PACKET_MIN) {
        return WIRE_ESHORT;
    }
    *probe = (struct wire_probe){.nonce = get_u64(body), .own_epoch = get_u64(body + 16)};
    if (type == WIRE_PROBE) {
        probe->epoch = get_u64(body + 8);
        return WIRE_OK;
    }
    probe->result = body[8];
    return probe->result >= WIRE_PROBE_SAME_EPOCH && probe->result <= WIRE_PROBE_NO_FLOWS
               ? WIRE_OK
               : WIRE_EMALFORMED;
}

uint64_t wire_expand32(uint32_t low, uint64_t expected)
{
    uint32_t ahead = low - (uint32_t)expected;
    uint32_t behind = 0u - ahead;

    return ahead < UINT32_C(1) << 31 || expected < behind ? expected + ahead : expected - behind;
}
