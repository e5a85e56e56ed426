/* SPDX-License-Identifier: MIT */
/*
 * A blind attacker who forges addresses: his packets are well formed and pretend to come from an engine's peer, or from anywhere, but he
 * sees no packet of others, and knows neither connection ids nor nonces nor epochs. What is sent to an address that he invented must not
 * be more than he sent from it.
 */
#ifndef MACHNET_TESTS_SIM_SPOOF_H
#define MACHNET_TESTS_SIM_SPOOF_H

#include "base/prng.h"
#include "nic/nic_mem.h"

struct world;

struct spoof {
    struct prng prng;
    uint64_t sent_bytes, answered_bytes; /* from and to addresses that nobody has */
};

void spoof_init(struct spoof *spoof, uint64_t seed);
/* Sends a few packets, at times a flood of INITs. */
void spoof_act(struct spoof *spoof, struct world *world);
/* Looks at a packet that is sent. */
void spoof_observe(struct spoof *spoof, const struct world *world, const struct nic_packet *packet);
/* Judges. */
void spoof_finish(const struct spoof *spoof, struct world *world);

#endif /* MACHNET_TESTS_SIM_SPOOF_H */
