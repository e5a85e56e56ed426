/* SPDX-License-Identifier: MIT */
/* The scenarios: named ways to draw a plan from a seed. */
#ifndef MACHNET_TESTS_SIM_SCENARIO_H
#define MACHNET_TESTS_SIM_SCENARIO_H

#include "base/prng.h"
#include "plan.h"

struct scenario {
    const char *name, *text;
    void (*draw)(struct plan *plan, struct prng *prng); /* changes the ordinary plan */
    bool measured; /* the ordinary plan of a measurement; not for seeds without a name */
};

/* scenario_random.c, scenario_measured.c */
extern const struct scenario random_scenarios[], measured_scenarios[];
extern const uint32_t random_scenario_count, measured_scenario_count;

/* NULL if there is none of that name. */
const struct scenario *scenario_find(const char *name);
/* The scenario that a seed stands for when none is named. */
const struct scenario *scenario_of_seed(uint64_t seed);
/* What the draw functions start from, and what comes after those of the random ones. */
void scenario_ordinary_random(struct plan *plan, struct prng *prng);
void scenario_ordinary_measured(struct plan *plan);
void scenario_bound_acts(struct plan *plan);
void scenario_plan(const struct scenario *scenario, struct prng *prng, struct plan *plan);

#endif /* MACHNET_TESTS_SIM_SCENARIO_H */
