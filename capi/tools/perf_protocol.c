/* SPDX-License-Identifier: MIT */
#include "perf_protocol.h"

#include <endian.h>
#include <string.h>

#define MAGIC UINT64_C(0x4d4e455450455246) /* "MNETPERF" */

enum { NUMBER_BITS = 40, FLOW_BITS = 20, KIND_SHIFT = NUMBER_BITS + FLOW_BITS };

_Static_assert(PERF_FLOWS_MAX == 1 << FLOW_BITS, "every flow has its bits");
_Static_assert(PERF_CONTROL_BYTES == 16 + 8 * PERF_VALUES, "no bytes are left over");

uint64_t perf_tag(enum perf_kind kind, uint32_t flow, uint64_t number)
{
    return (uint64_t)kind << KIND_SHIFT | (uint64_t)flow << NUMBER_BITS | number;
}

uint32_t perf_tag_kind(uint64_t tag)
{
    return (uint32_t)(tag >> KIND_SHIFT);
}

uint32_t perf_tag_flow(uint64_t tag)
{
    return (uint32_t)(tag >> NUMBER_BITS) & (PERF_FLOWS_MAX - 1);
}

uint64_t perf_tag_number(uint64_t tag)
{
    return tag & ((UINT64_C(1) << NUMBER_BITS) - 1);
}

uint64_t perf_tag_seed(uint64_t tag)
{
    return tag & ((UINT64_C(1) << KIND_SHIFT) - 1);
}

void perf_control_write(const struct perf_control *control, uint8_t bytes[PERF_CONTROL_BYTES])
{
    uint64_t words[PERF_CONTROL_BYTES / 8] = {
        htobe64(MAGIC), htobe64((uint64_t)control->version << 48 | (uint64_t)control->type << 32 | control->flags)};
    for (int i = 0; i < PERF_VALUES; i++)
        words[2 + i] = htobe64(control->values[i]);
    memcpy(bytes, words, sizeof words);
}

bool perf_control_read(struct perf_control *control, uint64_t tag, const uint8_t *bytes, uint64_t length)
{
    uint64_t words[PERF_CONTROL_BYTES / 8];
    if (perf_tag_kind(tag) != PERF_CONTROL || length != sizeof words)
        return false;
    memcpy(words, bytes, sizeof words);
    if (words[0] != htobe64(MAGIC))
        return false;
    uint64_t head = be64toh(words[1]);
    *control = (struct perf_control){
        .version = (uint16_t)(head >> 48), .type = (uint16_t)(head >> 32), .flags = (uint32_t)head};
    for (int i = 0; i < PERF_VALUES; i++)
        control->values[i] = be64toh(words[2 + i]);
    return true;
}
