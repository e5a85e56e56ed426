/* SPDX-License-Identifier: MIT */
#include "perf_pacing.h"

#include "perf_pattern.h"

#include <math.h>

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
