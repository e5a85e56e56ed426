/* SPDX-License-Identifier: MIT */
/*
 * A timing wheel (Varghese and Lauck 1987) of flows whose next packet may not go out yet, as in Carousel (Saeed et al., SIGCOMM 2017):
 * slots of 1024 ns, for the next millisecond. Who waits for longer is given back after that, and waits again. Adding, removing and giving
 * back take constant time.
 */
#ifndef MACHNET_ENGINE_FLOW_PACING_H
#define MACHNET_ENGINE_FLOW_PACING_H

#include <stdint.h>

struct flow;

enum { PACING_SLOT_BITS = 10, PACING_SLOTS = 1024 };

struct pacing {
    struct flow *slots[PACING_SLOTS]; /* lists, by transmit_prev and transmit_next */
    uint64_t occupied[PACING_SLOTS / 64];
    uint64_t first; /* the slot number (time / 1024 ns) before which nobody waits */
    uint32_t count;
};

/* The flow, which is in no list of those that transmit, waits until `at` > `now`; sets flow->paced and flow->slot. */
void pacing_add(struct pacing *pacing, struct flow *flow, uint64_t at, uint64_t now);
void pacing_remove(struct pacing *pacing, struct flow *flow);
/* When pacing_take has something; UINT64_MAX: never. */
uint64_t pacing_next(const struct pacing *pacing);
/* Removes and returns a flow whose time has come, the longest waiting first; NULL: none has. */
struct flow *pacing_take(struct pacing *pacing, uint64_t now);

#endif /* MACHNET_ENGINE_FLOW_PACING_H */
