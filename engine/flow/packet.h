/* SPDX-License-Identifier: MIT */
/* A packet that is being filled. For packet.c and packet_messages.c. */
#ifndef MACHNET_ENGINE_FLOW_PACKET_H
#define MACHNET_ENGINE_FLOW_PACKET_H

#include "flow/flow.h"

enum { SPLIT_MIN = 256 /* a message that fits into one packet is not split for less room than this */ };

struct packet {
    uint8_t *bytes;
    size_t used, limit;   /* without the trailer */
    uint32_t first_piece; /* low 32 bits */
    uint32_t piece_count;
    uint16_t flags;  /* enum record_flag */
    uint32_t copied; /* low 32 bits of the number of the packet that this one is a copy of */
    bool eliciting;
    bool more;   /* something was left out because the packet is full */
    bool again;  /* holds what was sent before */
    bool single; /* is to hold one piece only */
};

/* Adds a frame that elicits an ACK; false: it does not fit. */
bool packet_add_control(struct packet *packet, const struct wire_frame *frame, uint16_t flag);

/* ---- packet_messages.c ---- */

/* What was lost comes first: the receiver waits for it. */
void packet_add_again(struct flow *flow, struct packet *packet);
/* Large messages whose grant has come, the oldest first. */
void packet_add_held(struct flow *flow, struct packet *packet);
/* Messages that begin now, as far as credit goes. */
void packet_add_new(struct flow *flow, struct packet *packet);
/* What the last packet in flight holds, as far as there is room: that packet stays in flight, and keeps its pieces. */
void packet_add_copy(struct flow *flow, struct packet *packet);

#endif /* MACHNET_ENGINE_FLOW_PACKET_H */
