/* SPDX-License-Identifier: MIT */
#include "sizes.h"

#include "wire/wire.h"

enum { LARGE = 65536 };

/* Around a whole number of packets of the shortest or longest kind on this network. */
static uint64_t around_fragments(struct prng *prng, const struct plan *plan)
{
    uint64_t payload = prng_chance(prng, 500000) ? plan->max_payload_low : plan->max_payload_high;
    uint64_t room = payload - WIRE_HEADER_BYTES - WIRE_TRAILER_RESERVED;
    return prng_between(prng, 1, 4) * room - prng_below(prng, 80);
}

static uint64_t around_power_of_two(struct prng *prng)
{
    return (UINT64_C(1) << prng_between(prng, 1, 15)) + prng_between(prng, 0, 2) - 1;
}

uint32_t sizes_draw(struct prng *prng, const struct plan *plan)
{
    const struct behaviour *behaviour = &plan->behaviour;
    uint64_t length;
    if (prng_chance(prng, behaviour->big_ppm)) {
        length = prng_between(prng, LARGE + 2, behaviour->message_max);
        if (prng_chance(prng, 200000)) {
            length = behaviour->message_max;
        }
    } else if (prng_chance(prng, behaviour->small_ppm)) {
        length = prng_below(prng, 256);
        if (prng_chance(prng, 300000)) {
            length = prng_below(prng, 2);
        }
    } else {
        switch (prng_below(prng, 4)) {
        case 0:
            length = around_fragments(prng, plan);
            break;
        case 1:
            length = around_power_of_two(prng);
            break;
        case 2:
            length = LARGE + prng_between(prng, 0, 2) - 1;
            break;
        default:
            length = prng_below(prng, 20000);
            break;
        }
    }
    return (uint32_t)(length < behaviour->message_max ? length : behaviour->message_max);
}
