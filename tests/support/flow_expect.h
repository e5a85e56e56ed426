/* SPDX-License-Identifier: MIT */
/* What tests of flows expect of both sides of a pair. */
#ifndef MACHNET_TESTS_SUPPORT_FLOW_EXPECT_H
#define MACHNET_TESTS_SUPPORT_FLOW_EXPECT_H

#include <criterion/criterion.h>

#include "support/flow_pair.h"

static inline uint32_t flows_of(const struct pair_side *side)
{
    return transport_flows(side->transport, 0, NULL, NULL);
}

static inline void expect_end(const struct pair_flow *flow, enum transport_status status)
{
    cr_assert_eq(flow->ended, 1, "not ended");
    cr_assert_eq(flow->status, status, "status %d", flow->status);
}

/* All that one end has sent is acknowledged, and the other got it. */
static inline void expect_all(const struct pair_flow *from, const struct pair_flow *to)
{
    cr_assert_eq(from->sent_ok, from->sent, "%u of %u acknowledged", from->sent_ok, from->sent);
    cr_assert_eq(to->received, from->sent, "%u of %u received", to->received, from->sent);
}

static inline void expect_nothing_left(struct pair *pair)
{
    pair_settle(pair);
    cr_assert_eq(flows_of(&pair->a), 0);
    cr_assert_eq(flows_of(&pair->b), 0);
    cr_assert_eq(pair->a.owner.promised_bytes, 0);
    cr_assert_eq(pair->b.owner.promised_bytes, 0);
    cr_assert_eq(pair->a.owner.granted_bytes, 0);
    cr_assert_eq(pair->b.owner.granted_bytes, 0);
    cr_assert_eq(transport_next_timeout(pair->a.transport), UINT64_MAX);
    cr_assert_eq(transport_next_timeout(pair->b.transport), UINT64_MAX);
}

/* Whether it is a packet of a flow with a frame of this type. */
static inline bool packet_holds(const uint8_t *packet, size_t length, uint8_t type)
{
    struct wire_header header;
    struct wire_frame frame;
    size_t body, at = 0;
    if (wire_packet_decode(packet, length, &header, &body) != WIRE_OK || header.type != WIRE_FLOW) {
        return false;
    }
    while (wire_frame_decode(packet + WIRE_HEADER_BYTES, body, &at, &frame) == WIRE_OK) {
        if (frame.type == type) {
            return true;
        }
    }
    return false;
}

static inline enum pair_fate drop_all(struct pair *pair, uint64_t index, const struct pair_side *from,
                                      const uint8_t *packet, size_t length)
{
    (void)pair, (void)index, (void)from, (void)packet, (void)length;
    return PAIR_DROP;
}

#endif /* MACHNET_TESTS_SUPPORT_FLOW_EXPECT_H */
