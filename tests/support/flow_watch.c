/* SPDX-License-Identifier: MIT */
#include "support/flow_watch.h"

#include <criterion/criterion.h>

#include "flow/flow.h"

struct watched sent[WATCH_MAX];
uint32_t sent_count;
static uint64_t drop_from, drop_to, drop_each; /* of these each n-th is lost */

static void note(const uint8_t *packet, size_t length)
{
    struct wire_header header;
    struct wire_frame frame;
    size_t body_length, position = 0;
    cr_assert_lt(sent_count, WATCH_MAX);
    cr_assert_eq(wire_packet_decode(packet, length, &header, &body_length), WIRE_OK);
    sent[sent_count].dcid = header.dcid;
    sent[sent_count].length = (uint32_t)length;
    sent[sent_count].messages = 0;
    while (wire_frame_decode(packet + WIRE_HEADER_BYTES, body_length, &position, &frame) == WIRE_OK) {
        if ((frame.type & WIRE_FRAME_DATA) == 0) {
            continue;
        }
        if (sent[sent_count].messages++ == 0) {
            sent[sent_count].first = frame.data.message;
            sent[sent_count].offset = frame.data.offset;
        }
    }
    sent_count++;
}

enum pair_fate watch(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                     size_t length)
{
    (void)index;
    if (from != &pair->a || (packet[0] & 15) != WIRE_FLOW) {
        return PAIR_PASS;
    }
    const uint64_t n = sent_count;
    note(packet, length);
    return n >= drop_from && n < drop_to && (n - drop_from) % drop_each == 0 ? PAIR_DROP : PAIR_PASS;
}

void watch_lose(uint64_t from, uint64_t to, uint64_t each)
{
    sent_count = 0;
    drop_from = from;
    drop_to = to;
    drop_each = each;
}

void send_all(struct pair_flow *flow, uint32_t count, uint32_t length)
{
    for (uint32_t i = 0; i < count; i++) {
        pair_send(flow, length);
    }
}

struct pair_flow *watch_wide(struct pair *pair, uint64_t delay, uint32_t packets)
{
    pair_init(pair);
    pair->delay = delay;
    pair_stop(&pair->a);
    pair->a.config.algorithm = CONGESTION_AIMD;
    pair->a.config.window_packets = packets;
    pair_start(&pair->a);
    pair->fate = watch;
    watch_lose(0, 0, 1);
    struct pair_flow *flow = pair_connect(pair);
    for (int i = 0; i < 12 && congestion_window(&flow->flow->tx.congestion) < packets; i++) {
        send_all(flow, packets / 2, WATCH_FULL);
        pair_run(pair, 10 * PAIR_MS);
    }
    return flow;
}
