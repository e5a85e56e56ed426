/* SPDX-License-Identifier: MIT */
/*
 * Whether to poll for what one waits for, or to sleep at once: as KVM's halt polling, learnt from how long waits took.
 *
 *      a wait took          after it
 *      <= 2/3 of spin_ns    it pays: the next wait polls
 *      longer, polled       a trial goes on for TRIAL_WAITS waits while they come often, at most 2.5 spin_ns after one another;
 *                           then it has failed, as has polling that paid before: sleep through some waits
 *      longer, slept        a trial begins when the pause is over
 *
 * A wait that was slept through takes longer than one that polls, by the wake-up, and if the other side sleeps, by that one's, too. So what slept
 * waits took cannot tell that polling does not pay; trials do. The first trial after polling has paid comes at once, the next after 1, 2, 4, ...
 * waits, up to PAUSE_MAX, and up to as many more by chance: two that wait for each other, and that both have to poll for it to pay, shall meet.
 * Each wait that pays halves the pause.
 *
 * Pure: no clock. Used by one thread at a time.
 */
#ifndef MACHNET_CHANNEL_PATIENCE_H
#define MACHNET_CHANNEL_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

struct mn_patience {
    uint32_t trial;    /* waits that are still to be polled, unless one pays or fails; 0: the next one sleeps */
    uint32_t slept;    /* waits to sleep through before the next trial */
    uint32_t pause;    /* before the trial after that one */
    uint64_t ended_ns; /* the last wait */
};

void mn_patience_init(struct mn_patience *patience);
/* A wait, polled or not, is over. */
void mn_patience_learn(struct mn_patience *patience, uint64_t spin_ns, uint64_t began_ns, uint64_t ended_ns);

/* Whether the next wait polls, for up to spin_ns. */
static inline bool mn_patience_polls(const struct mn_patience *patience)
{
    return patience->trial > 0;
}

#endif /* MACHNET_CHANNEL_PATIENCE_H */
