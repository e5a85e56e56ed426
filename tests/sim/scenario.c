/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include <string.h>

static const struct scenario *find_among(const struct scenario *scenarios, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(scenarios[i].name, name) == 0) {
            return &scenarios[i];
        }
    }
    return NULL;
}

const struct scenario *scenario_find(const char *name)
{
    const struct scenario *found = find_among(random_scenarios, random_scenario_count, name);
    return found ? found : find_among(measured_scenarios, measured_scenario_count, name);
}

const struct scenario *scenario_of_seed(uint64_t seed)
{
    return &random_scenarios[seed % random_scenario_count];
}

void scenario_plan(const struct scenario *scenario, struct prng *prng, struct plan *plan)
{
    if (scenario->measured) {
        scenario_ordinary_measured(plan);
        scenario->draw(plan, prng);
    } else {
        scenario_ordinary_random(plan, prng);
        scenario->draw(plan, prng);
        scenario_bound_acts(plan);
    }
}
