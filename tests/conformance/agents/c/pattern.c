/* SPDX-License-Identifier: MIT */
/* Payloads that follow from a seed, and CRC-32. */
#include "agent.h"

#include <stdlib.h>
#include <string.h>

enum { TABLE_BYTES = 65521, PATTERN_BYTES = TABLE_BYTES + MACHNET_MESSAGE_MAX + 4096 };

static uint8_t *pattern; /* the table, again and again: each payload is a part of it */
static uint32_t crc_table[256];

void pattern_init(void)
{
    uint64_t x = UINT64_C(0x9E3779B97F4A7C15);

    pattern = malloc(PATTERN_BYTES);
    if (pattern == NULL)
        abort();
    for (uint32_t i = 0; i < TABLE_BYTES; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        pattern[i] = (uint8_t)(x >> 56);
    }
    for (uint32_t i = TABLE_BYTES; i < PATTERN_BYTES; i++)
        pattern[i] = pattern[i - TABLE_BYTES];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ 0xEDB88320 : c >> 1;
        crc_table[i] = c;
    }
}

const uint8_t *payload(uint64_t seed, uint64_t length)
{
    if (length > MACHNET_MESSAGE_MAX + 4096)
        fault("a payload of %llu bytes", (unsigned long long)length);
    return pattern + 31 * seed % TABLE_BYTES;
}

uint32_t crc32_of(uint32_t crc, const void *data, uint64_t length)
{
    const uint8_t *bytes = data;
    crc = ~crc;
    for (uint64_t i = 0; i < length; i++)
        crc = crc >> 8 ^ crc_table[(uint8_t)crc ^ bytes[i]];
    return ~crc;
}

struct stream stream_of(const json_t *request)
{
    json_t *lengths = json_object_get(request, "lengths");
    struct stream stream = {
        .seed = number_of(request, "seed"),
        .tag = tag_of(request),
        .count = number_of(request, "count"),
        .size = json_array_size(lengths),
    };
    if (stream.size == 0 || stream.size > sizeof stream.lengths / sizeof *stream.lengths)
        fault("a stream of %llu lengths", (unsigned long long)stream.size);
    for (uint64_t i = 0; i < stream.size; i++)
        stream.lengths[i] = (uint64_t)json_integer_value(json_array_get(lengths, i));
    return stream;
}

uint64_t stream_length(const struct stream *stream, uint64_t k)
{
    return stream->lengths[k % stream->size];
}

uint64_t stream_tag(const struct stream *stream, uint64_t k)
{
    return stream->tag + k;
}

const uint8_t *stream_payload(const struct stream *stream, uint64_t k)
{
    return pattern + 31 * (stream->seed + k) % TABLE_BYTES;
}

void stream_add(struct stream *stream, uint64_t tag, const void *data, uint64_t length)
{
    uint8_t number[8];
    for (int i = 0; i < 8; i++)
        number[i] = (uint8_t)(tag >> 8 * i);
    stream->crc = crc32_of(crc32_of(stream->crc, number, sizeof number), data, length);
    stream->received++;
    stream->bytes += length;
}

json_t *stream_result(const struct stream *stream)
{
    return json_pack("{s:I, s:I, s:I}", "count", (json_int_t)stream->received, "bytes", (json_int_t)stream->bytes,
                     "crc", (json_int_t)stream->crc);
}
