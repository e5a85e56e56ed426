/* SPDX-License-Identifier: MIT */
/*
 * What test messages contain: bytes made from the message's number on its flow and its length, so that a message that is cut, mixed
 * up, repeated or out of order is noticed by whoever knows only how many came before.
 */
#ifndef MACHNET_TESTS_INTEGRATION_CONTENT_H
#define MACHNET_TESTS_INTEGRATION_CONTENT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define CONTENT_TAG_BASE UINT64_C(0x7a67000000000000)

struct content {
    uint64_t state;
};

static inline struct content content_of(uint64_t number, uint64_t length)
{
    return (struct content){(number + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (length + 1) * UINT64_C(0xd1b54a32d192ed03)};
}

/* xorshift64 */
static inline uint64_t content_next(struct content *content)
{
    uint64_t x = content->state != 0 ? content->state : 1;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    content->state = x;
    return x;
}

static inline void content_fill(uint8_t *data, uint64_t number, uint64_t length)
{
    struct content content = content_of(number, length);
    for (uint64_t at = 0; at < length; at += 8) {
        uint64_t word = content_next(&content);
        memcpy(data + at, &word, length - at < 8 ? (size_t)(length - at) : 8);
    }
}

/* True if it is what content_fill wrote. */
static inline bool content_check(const uint8_t *data, uint64_t number, uint64_t length)
{
    struct content content = content_of(number, length);
    for (uint64_t at = 0; at < length; at += 8) {
        uint64_t word = content_next(&content);
        if (memcmp(data + at, &word, length - at < 8 ? (size_t)(length - at) : 8) != 0)
            return false;
    }
    return true;
}

#endif /* MACHNET_TESTS_INTEGRATION_CONTENT_H */
