/* SPDX-License-Identifier: MIT */
/* What befalls a run at times of its own: links fail, change and heal; engines stall, restart, shut down; clocks jump; attackers send. */
#ifndef MACHNET_TESTS_SIM_DISASTERS_H
#define MACHNET_TESTS_SIM_DISASTERS_H

#include <stdint.h>

struct world;

enum disaster {
    DISASTER_PARTITION,
    DISASTER_HEAL,
    DISASTER_SETTLE,
    DISASTER_RESTART,
    DISASTER_SHUTDOWN,
    DISASTER_LEAVE,
    DISASTER_STALL,
    DISASTER_JUMP,
    DISASTER_RESHAPE,
    DISASTER_GARBAGE,
    DISASTER_SPOOF,
    DISASTER_COUNT,
};

struct disasters {
    uint64_t at_ns[DISASTER_COUNT]; /* UINT64_MAX: never (again) */
    uint64_t healed_ns;             /* when links healed last, and nothing has been read since; 0: otherwise */
    uint64_t slowest_ns;            /* from then until something was read, at most */
};

/* After the nodes were made. */
void disasters_init(struct world *world);
/* No more of them; who is leaving still leaves. */
void disasters_end(struct world *world);
uint64_t disasters_next(const struct world *world);
/* Does what is due. */
void disasters_act(struct world *world);
/* A message was read. */
void disasters_note_read(struct world *world);

#endif /* MACHNET_TESTS_SIM_DISASTERS_H */
