/* SPDX-License-Identifier: MIT */
/*
 * How long packets to one peer may be: packetization layer path MTU discovery (RFC 8899, after RFC 4821). Decisions only; it sees sizes, losses and
 * acknowledgements, and knows nothing of packets. What passes is found out by packets that can be missed (probes); that messages get lost
 * in packets of some size, while smaller ones pass, makes all flows of the peer fall back to what every path carries, and probe again.
 *
 * Sizes are bytes of UDP payload, with the room that a packet leaves for a longer trailer. MTU_MIN <= payload <= ceiling always. There is no timer:
 * who has more to send than fits into a packet asks whether a probe is due.
 *
 *   names of RFC 8899: payload < ceiling and next_at near: Search;  NEVER, or a pause: Search Complete;  payload = MTU_MIN: Base
 */
#ifndef MACHNET_ENGINE_FLOW_MTU_H
#define MACHNET_ENGINE_FLOW_MTU_H

#include <stdbool.h>
#include <stdint.h>

enum { MTU_MIN = 1232 /* passes everywhere: BASE_PLPMTU */ };

struct mtu {
    uint64_t next_at;   /* a probe may be sent from then on; UINT64_MAX: there is nothing to find out */
    uint64_t pause;     /* ns from the end of the next search that fails to the search after it */
    const void *prober; /* who sent the probe that is under way, not owned; NULL: none is */
    uint64_t number;    /* its packet number there */
    uint64_t sent_at;
    uint64_t lost_at;     /* the newest loss was counted; packets sent before belong to it */
    uint16_t payload;     /* what may be sent */
    uint16_t ceiling;     /* what interface and peer allow; 0: not known yet */
    uint16_t size;        /* of the next probe, or of that under way */
    uint16_t too_big;     /* the smallest size that did not pass in this search */
    uint16_t proven;      /* the longest acknowledged since `payload` rose */
    uint16_t lost_length; /* the shortest of those counted in `lost` */
    uint8_t failures;     /* probes of `size` that were lost */
    uint8_t
        lost; /* losses in a row, each of packets sent after the one before, with none of lost_length acknowledged */
    bool smaller_pass; /* shorter packets were acknowledged meanwhile */
};

/* `trusted` is used at once, as far as the ceiling allows; up to the ceiling it is found out. */
void mtu_init(struct mtu *mtu, uint32_t ceiling, uint32_t trusted);
/* Another flow of the peer may send so long packets. */
void mtu_allow(struct mtu *mtu, uint32_t ceiling);

/* A probe of `size` bytes went out. Without word of what was sent after it, it is due again `patience` ns later. */
void mtu_probe_sent(struct mtu *mtu, const void *prober, uint64_t number, uint64_t now, uint64_t patience);
void mtu_probe_acknowledged(struct mtu *mtu, uint64_t now);
/* What was sent after it was acknowledged, and it was not. Silence proves nothing: then this is not called. */
void mtu_probe_lost(struct mtu *mtu, uint64_t now);
/* The prober ends. */
void mtu_forget(struct mtu *mtu, const void *prober);

/* A packet of `length` bytes, sent at `sent`, was acknowledged, or given up. */
void mtu_delivered(struct mtu *mtu, uint32_t length, uint64_t sent);
void mtu_lost(struct mtu *mtu, uint32_t length, uint64_t sent, uint64_t now);
/* To be called when an ACK frame has been worked off. Returns true if big packets do not get through any more: `payload` has fallen. */
bool mtu_judge(struct mtu *mtu, uint64_t now);
/* The network says that no more than `limit` passes. That may be forged: so it is believed for a while. */
void mtu_too_long(struct mtu *mtu, uint32_t limit, uint64_t now);

#endif /* MACHNET_ENGINE_FLOW_MTU_H */
