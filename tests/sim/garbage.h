/* SPDX-License-Identifier: MIT */
/*
 * An attacker off the path: sends packets of random bytes, mutated, truncated and repeated real ones, also with valid checksums and from
 * forged addresses, and RESETs without proof; but never a real connection id with a valid checksum and changed contents.
 */
#ifndef MACHNET_TESTS_SIM_GARBAGE_H
#define MACHNET_TESTS_SIM_GARBAGE_H

#include "base/prng.h"
#include "nic/nic_mem.h"

struct world;

enum { GARBAGE_SEEN = 16 };

struct garbage {
    struct prng prng;
    struct {
        struct endpoint from, to;
        uint32_t length;
        uint8_t data[NIC_MEM_PAYLOAD_MAX];
    } seen[GARBAGE_SEEN]; /* real packets */
    uint32_t seen_count;
};

void garbage_init(struct garbage *garbage, uint64_t seed);
/* Looks at a real packet. */
void garbage_observe(struct garbage *garbage, const struct nic_packet *packet);
/* Injects a packet. */
void garbage_act(struct garbage *garbage, struct world *world);

#endif /* MACHNET_TESTS_SIM_GARBAGE_H */
