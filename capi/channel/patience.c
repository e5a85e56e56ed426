/* SPDX-License-Identifier: MIT */
#include "channel/patience.h"

enum {
    TRIAL_WAITS = 8, /* enough for the other side to have a trial of its own meanwhile */
    PAUSE_MAX = 16,
};

void mn_patience_init(struct mn_patience *patience)
{
    *patience = (struct mn_patience){.trial = TRIAL_WAITS};
}

/* `chance`: what nobody can foresee, for instance a time in ns. */
static void fail(struct mn_patience *patience, uint64_t chance)
{
    const uint32_t pause = patience->pause;
    patience->slept = pause == 0 ? 0 : pause + (uint32_t)(chance % pause);
    patience->pause = pause == 0 ? 1 : pause < PAUSE_MAX ? 2 * pause : PAUSE_MAX;
    patience->trial = patience->slept == 0 ? TRIAL_WAITS : 0;
}

void mn_patience_learn(struct mn_patience *patience, uint64_t spin_ns, uint64_t began_ns, uint64_t ended_ns)
{
    const uint64_t waited_ns = ended_ns - began_ns;
    /* 625 us by default: request and response with two wake-ups of 100 us and more */
    const bool often = ended_ns - patience->ended_ns <= spin_ns / 2 * 5;

    patience->ended_ns = ended_ns;
    if (waited_ns <= spin_ns - spin_ns / 3) {
        patience->trial = 1;
        patience->pause /= 2;
    } else if (patience->trial > 0) {
        if (!often || --patience->trial == 0)
            fail(patience, waited_ns);
    } else if (--patience->slept == 0) {
        patience->trial = TRIAL_WAITS;
    }
}
