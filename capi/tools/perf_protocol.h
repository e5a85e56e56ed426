/* SPDX-License-Identifier: MIT */
/*
 * What the two sides of `machnet perf` say to each other. On each flow the client begins with HELLO and gets READY; then come
 * messages of the load and, between them, QUERY, answered by REPORT.
 *
 * Tag of every message, from the top: kind, 4 bits; flow of the client, 20 bits (0, 1, ...); number on that flow, 40 bits (0, 1, ...).
 *   PERF_REQUEST  payload of the load; comes back as it is
 *   PERF_STREAM   payload of the load; not answered
 *   PERF_PROBE    as PERF_STREAM, and answered by an empty message with the same tag
 *   PERF_CONTROL  a struct perf_control
 *
 * The layout of a control message, 64 bytes, integers big-endian, holds for all versions up to `type`:
 *   0 u64 magic "MNETPERF"   8 u16 version   10 u16 type   12 u32 flags   16 u64 x 6 values
 */
#ifndef MACHNET_TOOLS_PERF_PROTOCOL_H
#define MACHNET_TOOLS_PERF_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

enum { PERF_VERSION = 1, PERF_CONTROL_BYTES = 64, PERF_VALUES = 6, PERF_FLOWS_MAX = 1 << 20 };
enum perf_kind { PERF_REQUEST = 1, PERF_STREAM = 2, PERF_PROBE = 3, PERF_CONTROL = 15 };

enum perf_type {
    PERF_HELLO = 1,  /* flags; value 0: bytes of a message of the load */
    PERF_READY = 2,  /* a server of another version answers with its own and understands nothing else */
    PERF_QUERY = 3,  /* flags */
    PERF_REPORT = 4, /* values: enum perf_value */
};

enum perf_flag {
    PERF_FLAG_VERIFY = 1, /* HELLO: payloads have the pattern whose seed is their tag's flow and number */
    PERF_FLAG_CPU = 2,    /* QUERY: with processor times, which costs the server a question to its engine */
};

enum perf_value {
    PERF_MESSAGES = 0, /* of the load, received on this flow */
    PERF_ERRORS = 1,   /* of these, with wrong length, number or payload */
    PERF_PROCESS_CPU_NS = 2,
    PERF_ENGINE_CPU_NS = 3, /* all workers */
    PERF_ENGINE_EPOCH = 4,  /* tells engines apart; 0: the engine could not be asked */
};

struct perf_control {
    uint16_t version, type;
    uint32_t flags;
    uint64_t values[PERF_VALUES];
};

uint64_t perf_tag(enum perf_kind kind, uint32_t flow, uint64_t number);
uint32_t perf_tag_kind(uint64_t tag);
uint32_t perf_tag_flow(uint64_t tag);
uint64_t perf_tag_number(uint64_t tag);
/* Of the payload's pattern. */
uint64_t perf_tag_seed(uint64_t tag);

void perf_control_write(const struct perf_control *control, uint8_t bytes[PERF_CONTROL_BYTES]);
/* False: not a control message of any version. */
bool perf_control_read(struct perf_control *control, uint64_t tag, const uint8_t *bytes, uint64_t length);

#endif /* MACHNET_TOOLS_PERF_PROTOCOL_H */
