/* SPDX-License-Identifier: MIT */
#include "perf_pacing.h"

#include "perf_pattern.h"

#include <math.h>

#define POLLED_NS UINT64_C(50000)    /* an adaptive wait with a deadline so near polls */
#define LATE_MAX_NS UINT64_C(250000) /* and for this we are willing to poll */
#define LATE_STEP_NS UINT64_C(8000)

void perf_pacing_start(struct perf_pacing *pacing, uint64_t start_ns, double rate, bool poisson, uint64_t seed)
{
    *pacing = (struct perf_pacing){.start_ns = start_ns, .interval_ns = 1e9 / rate, .poisson = poisson, .random = seed};
}

uint64_t perf_pacing_due(const struct perf_pacing *pacing)
{
    double offset = pacing->poisson ? pacing->offset_ns : (double)pacing->sent * pacing->interval_ns;
    return pacing->start_ns + (uint64_t)offset;
}

void perf_pacing_advance(struct perf_pacing *pacing)
{
    pacing->sent++;
    if (!pacing->poisson)
        return;
    /* uniform in (0, 1] */
    double uniform = ((double)(perf_mix(++pacing->random) >> 11) + 1) / 9007199254740992.0;
    pacing->offset_ns -= log(uniform) * pacing->interval_ns;
}

uint64_t perf_sleep_wait_ns(const struct perf_sleep *sleep, uint64_t left_ns)
{
    const uint64_t ahead_ns = sleep->late_ns > POLLED_NS ? sleep->late_ns : POLLED_NS;
    if (left_ns > ahead_ns + POLLED_NS)
        return left_ns - ahead_ns;
    return left_ns < POLLED_NS ? left_ns : POLLED_NS;
}

/* The steps balance where one sleep of 16 is later than that. */
void perf_sleep_learn(struct perf_sleep *sleep, uint64_t wait_ns, uint64_t took_ns)
{
    const uint64_t down_ns = LATE_STEP_NS / 15;
    if (wait_ns <= POLLED_NS)
        return;
    if (took_ns > wait_ns + sleep->late_ns)
        sleep->late_ns = sleep->late_ns + LATE_STEP_NS < LATE_MAX_NS ? sleep->late_ns + LATE_STEP_NS : LATE_MAX_NS;
    else
        sleep->late_ns -= sleep->late_ns < down_ns ? sleep->late_ns : down_ns;
}
