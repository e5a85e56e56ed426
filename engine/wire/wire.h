/* SPDX-License-Identifier: MIT */
/*
 * Encode and decode every byte that engines exchange; PROTOCOL.md is the specification. Pure: no state, no clock, no
 * allocation, no system call. Decoders never read past the length they are given and reject what the specification
 * rejects; encoders never write past the capacity they are given.
 */
#ifndef MACHNET_ENGINE_WIRE_WIRE_H
#define MACHNET_ENGINE_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_VERSION = 1,
    WIRE_HEADER_BYTES = 16,
    WIRE_TRAILER_BYTES = 4,         /* CRC32C */
    WIRE_TRAILER_RESERVED = 16,     /* what sizes reserve, for an AEAD tag */
    WIRE_PACKET_MIN = WIRE_HEADER_BYTES + WIRE_TRAILER_BYTES,
    WIRE_PAYLOAD_MIN_MTU = 1232,    /* UDP payload that every path carries */
    WIRE_PACKET_MAX = 8972,         /* longest UDP payload we send or accept: 9000 - 20 - 8 */
    WIRE_INIT_MIN = 256,            /* an INIT is padded to this many bytes, in every version */
    WIRE_FLOW_MIN = 24,             /* a FLOW packet; any frame but lone PADDING fills it */
    WIRE_ACK_RANGES_MAX = 32,
    WIRE_COOKIE_MAX = 64,
    WIRE_MESSAGE_MIN = 65536,       /* every receiver takes messages of so many bytes */
    WIRE_MESSAGE_DEFAULT = 8 << 20, /* the longest message of a receiver that does not say */
    WIRE_WORKER_PORTS_MAX = 64,
    WIRE_TLV_CRITICAL = 0x8000,
};

#define WIRE_PACKET_NUMBER_MAX ((UINT64_C(1) << 48) - 1)

enum wire_type {
    WIRE_INIT = 1,
    WIRE_ACCEPT = 2,
    WIRE_REFUSE = 3,
    WIRE_RETRY = 4,
    WIRE_VERSIONS = 5,
    WIRE_FLOW = 6,
    WIRE_RESET = 7,
    WIRE_PROBE = 8,
    WIRE_PROBE_REPLY = 9,
};

enum wire_reason {
    WIRE_REASON_NONE = 0,
    WIRE_REASON_CLOSED = 1,
    WIRE_REASON_ABORTED = 2,
    WIRE_REASON_NO_LISTENER = 3,
    WIRE_REASON_LIMIT = 4,
    WIRE_REASON_PROTOCOL = 5,
    WIRE_REASON_UNKNOWN_FLOW = 6,
    WIRE_REASON_APPLICATION_DIED = 7,
    WIRE_REASON_ENGINE_SHUTDOWN = 8,
    WIRE_REASON_VERSION = 9,
    WIRE_REASON_NO_SPACE = 10,
};

/* Why a packet or frame was not decoded. */
enum wire_result {
    WIRE_OK = 0,
    WIRE_END = 1,            /* frames: nothing left */
    WIRE_ESHORT = -1,        /* cut off */
    WIRE_ECHECKSUM = -2,     /* the trailer does not match */
    WIRE_EVERSION = -3,      /* not our version; the header is filled in */
    WIRE_ETYPE = -4,         /* unknown packet type */
    WIRE_EFLAGS = -5,        /* unknown critical flag */
    WIRE_EMALFORMED = -6,    /* lengths or values contradict the specification */
    WIRE_ECRITICAL = -7,     /* unknown critical frame or TLV */
};

/* ---- Packets ---- */

struct wire_header {
    uint8_t version;
    uint8_t type;            /* enum wire_type */
    uint8_t flags;
    uint64_t packet_number;  /* 48 bits */
    uint64_t dcid;
};

/* Decodes and checks header and trailer of a packet of `length` bytes; *body_length is set to the bytes between them (the body
 * begins at packet + WIRE_HEADER_BYTES). Returns enum wire_result. */
int wire_packet_decode(const uint8_t *packet, size_t length, struct wire_header *header, size_t *body_length);

/* Writes the header at packet[0 .. 16). */
void wire_header_encode(uint8_t *packet, const struct wire_header *header);

/* Writes the trailer behind `length` bytes of header and body; the caller has room. Returns the packet's whole length. */
size_t wire_packet_seal(uint8_t *packet, size_t length);

/* CRC32C (Castagnoli, RFC 3720 appendix B.4) of `length` bytes; `crc` is 0 to begin, or an earlier result to go on. */
uint32_t wire_crc32c(uint32_t crc, const uint8_t *data, size_t length);

/* ---- Handshake: INIT, ACCEPT, REFUSE, RETRY, VERSIONS ---- */

/* The TLVs of a handshake packet; `present` is an OR of 1 << enum wire_tlv. */
struct wire_handshake {
    uint32_t present;
    uint8_t version_min, version_max;
    uint64_t source_cid;
    uint64_t epoch;
    uint64_t nonce;
    uint16_t source_port, destination_port;    /* flow ports */
    uint64_t credit_bytes;
    uint32_t credit_messages;
    uint32_t max_udp_payload;
    uint32_t max_message;                      /* bytes; WIRE_MESSAGE_DEFAULT if it was not said */
    uint16_t reason;                           /* enum wire_reason */
    uint16_t worker_port_count, cookie_length;
    /* As much of them as the lengths say; last, because the rest is cleared when a packet is decoded. */
    uint16_t worker_ports[WIRE_WORKER_PORTS_MAX]; /* UDP ports */
    uint8_t cookie[WIRE_COOKIE_MAX];
};

enum wire_tlv {
    WIRE_TLV_VERSION_RANGE = 1,
    WIRE_TLV_SOURCE_CID = 2,
    WIRE_TLV_EPOCH = 3,
    WIRE_TLV_NONCE = 4,
    WIRE_TLV_PORTS = 5,
    WIRE_TLV_LIMITS = 6,
    WIRE_TLV_WORKER_PORTS = 7,
    WIRE_TLV_COOKIE = 8,
    WIRE_TLV_REASON = 9,
    WIRE_TLV_KEYS = 10,
    WIRE_TLV_PADDING = 11,
    WIRE_TLV_MAX_MESSAGE = 12,
};

/* Decodes the body of a handshake packet of type `type` and checks that it has the TLVs that type must have, each once.
 * Returns enum wire_result. */
int wire_handshake_decode(uint8_t type, const uint8_t *body, size_t length, struct wire_handshake *handshake);

/* Encodes header, the TLVs in `present` (the other fields are not read) and the trailer into packet[0 .. capacity), padded with TLV PADDING to at least `min_length`.
 * Returns the packet's length, or 0 if it does not fit. */
size_t wire_handshake_encode(uint8_t *packet, size_t capacity, const struct wire_header *header,
                             const struct wire_handshake *handshake, size_t min_length);

/* Reads what is the same in every version from an INIT for which wire_packet_decode() returned WIRE_EVERSION: enough to answer it
 * with VERSIONS (in the header's version). Returns WIRE_OK, or what is wrong with it: then it gets no answer. */
int wire_init_prefix_decode(const uint8_t *packet, size_t length, uint64_t *source_cid, uint64_t *nonce);

/* ---- RESET, PROBE, PROBE_REPLY: whole packets ---- */

enum { WIRE_RESET_BYTES = 24, WIRE_PROBE_BYTES = 52 };

struct wire_probe {
    uint64_t nonce;
    uint64_t epoch;   /* PROBE: the receiver's epoch as the sender knows it */
    uint64_t own_epoch; /* the sender's */
    uint8_t result;   /* PROBE_REPLY: enum wire_probe_result */
};
enum wire_probe_result { WIRE_PROBE_SAME_EPOCH = 1, WIRE_PROBE_OTHER_EPOCH = 2, WIRE_PROBE_NO_FLOWS = 3 };

/* Encoders need WIRE_RESET_BYTES or WIRE_PROBE_BYTES of room and return the packet's length. Decoders take the body; a later sender's PROBE may
 * be longer. */
size_t wire_reset_encode(uint8_t *packet, uint64_t dcid, uint64_t packet_number, uint16_t reason);
int wire_reset_decode(const uint8_t *body, size_t length, uint16_t *reason);
size_t wire_probe_encode(uint8_t *packet, uint8_t type, const struct wire_probe *probe);
int wire_probe_decode(uint8_t type, const uint8_t *body, size_t length, struct wire_probe *probe);

/* ---- Frames of FLOW packets ---- */

enum wire_frame_type {
    WIRE_FRAME_PADDING = 0x00,
    WIRE_FRAME_PING = 0x01,
    WIRE_FRAME_ACK = 0x02,
    WIRE_FRAME_CREDIT = 0x03,
    WIRE_FRAME_GRANT = 0x04,
    WIRE_FRAME_FIN = 0x05,
    WIRE_FRAME_RESET = 0x06,
    WIRE_FRAME_BLOCKED = 0x07,
    WIRE_FRAME_DATA = 0x40,          /* | WIRE_DATA_FRAGMENT | WIRE_DATA_TAG */
    WIRE_FRAME_SKIPPABLE = 0x80,     /* 0x80..0xff: unknown ones are skipped by their length */
};
enum { WIRE_DATA_FRAGMENT = 1, WIRE_DATA_TAG = 2 };
enum { WIRE_DATA_BYTES = 8, WIRE_FRAGMENT_BYTES = 8, WIRE_TAG_BYTES = 8 };
enum {
    WIRE_PING_BYTES = 4, WIRE_ACK_BYTES = 16, WIRE_ACK_RANGE_BYTES = 4, WIRE_CREDIT_BYTES = 16, WIRE_GRANT_BYTES = 12,
    WIRE_FIN_BYTES = 8, WIRE_RESET_FRAME_BYTES = 4, WIRE_BLOCKED_BYTES = 16,
};
#define WIRE_HOLDING_UNKNOWN UINT32_MAX

struct wire_ack_range { uint16_t gap, length; };

struct wire_frame {
    uint8_t type;                     /* enum wire_frame_type; DATA with its bits */
    union {
        struct {
            uint32_t largest;         /* low 32 bits of the packet number */
            uint32_t holding_ns;      /* from receiving `largest` to sending this */
            uint32_t messages;        /* low 32 bits: all messages below are complete */
            uint16_t first;           /* numbers directly below largest that are received too */
            uint16_t count;
            struct wire_ack_range ranges[WIRE_ACK_RANGES_MAX];
        } ack;
        struct { uint64_t bytes; uint32_t messages; } credit;
        struct { uint32_t message, bytes; } grant;
        struct { uint32_t messages; uint16_t reason; } fin;
        struct { uint16_t reason; } reset;
        struct { uint64_t bytes; uint32_t message; } blocked;
        struct {
            const uint8_t *payload;   /* inside the packet, not owned */
            uint64_t tag;             /* 0 if none */
            uint32_t message;         /* low 32 bits of the message number */
            uint32_t length;          /* payload bytes */
            uint32_t total, offset;   /* of the message; without FRAGMENT: length, 0 */
        } data;
    };
};

/* Decodes the frame at body[*position] and moves *position behind it; runs of PADDING and skippable frames are passed over. Returns
 * WIRE_OK, WIRE_END, or a negative enum wire_result. Enforced for DATA: offset + length <= total, length >= 1 unless total is
 * 0, a TAG only at offset 0. */
int wire_frame_decode(const uint8_t *body, size_t length, size_t *position, struct wire_frame *frame);

/* The bytes that `frame` takes on the wire, for DATA without its payload. */
size_t wire_frame_bytes(const struct wire_frame *frame);

/* Writes `frame` at out[0 .. capacity); for DATA only its header: the caller copies the payload behind it. Returns the bytes written, or
 * 0 if they do not fit. */
size_t wire_frame_encode(uint8_t *out, size_t capacity, const struct wire_frame *frame);

/* The same for the DATA frame of a whole message, which is what most frames are: its bytes, and its encoder, for which there is room. */
static inline size_t wire_whole_bytes(uint64_t tag)
{
    return WIRE_DATA_BYTES + (tag != 0 ? WIRE_TAG_BYTES : 0u);
}
size_t wire_whole_encode(uint8_t *out, uint32_t message, uint32_t length, uint64_t tag);

/* The full number nearest to `expected` whose low 32 bits are `low`. */
uint64_t wire_expand32(uint32_t low, uint64_t expected);

#endif /* MACHNET_ENGINE_WIRE_WIRE_H */
