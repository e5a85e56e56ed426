/* SPDX-License-Identifier: MIT */
/* Lengths of messages that are likely to find something. */
#ifndef MACHNET_TESTS_SIM_SIZES_H
#define MACHNET_TESTS_SIM_SIZES_H

#include "scenario.h"

uint32_t sizes_draw(struct prng *prng, const struct plan *plan);

#endif /* MACHNET_TESTS_SIM_SIZES_H */
