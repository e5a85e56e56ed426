/* SPDX-License-Identifier: MIT */
/* Keeps what side a of a pair sends, and loses some of it. */
#ifndef MACHNET_TESTS_SUPPORT_FLOW_WATCH_H
#define MACHNET_TESTS_SUPPORT_FLOW_WATCH_H

#include "support/flow_pair.h"

enum { WATCH_MAX = 8192, WATCH_FULL = 1400 };

/* What a has sent since the last watch_lose. */
extern struct watched {
    uint64_t dcid;
    uint32_t length;
    uint32_t first, messages; /* low 32 bits; DATA frames */
    uint32_t offset;          /* of the first DATA frame */
} sent[WATCH_MAX];
extern uint32_t sent_count;

/* For pair.fate. */
enum pair_fate watch(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                     size_t length);
/* From now on packets are counted, and each n-th of [from, to) is lost. */
void watch_lose(uint64_t from, uint64_t to, uint64_t each);

void send_all(struct pair_flow *flow, uint32_t count, uint32_t length);
/* A watched flow whose window holds `packets`, and nothing under way. */
struct pair_flow *watch_wide(struct pair *pair, uint64_t delay, uint32_t packets);

#endif /* MACHNET_TESTS_SUPPORT_FLOW_WATCH_H */
