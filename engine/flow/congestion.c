/* SPDX-License-Identifier: MIT */
#include "flow/congestion.h"

#include <string.h>

static const struct congestion_algorithm *const algorithms[CONGESTION_COUNT] = {
    [CONGESTION_SWIFT] = &congestion_swift,
    [CONGESTION_AIMD] = &congestion_aimd,
};

void congestion_init(struct congestion *congestion, enum congestion_kind kind, uint32_t window_max,
                     uint32_t host_noise_ns)
{
    window_max = window_max < CONGESTION_WINDOW_MAX ? window_max : CONGESTION_WINDOW_MAX;
    *congestion = (struct congestion){
        .kind = (uint8_t)kind,
        .host_noise_ns = host_noise_ns,
        .window_max = (window_max > 0 ? window_max : 1) * CONGESTION_PACKET,
    };
    algorithms[kind]->init(congestion);
}

void congestion_acknowledged(struct congestion *congestion, const struct congestion_ack *ack)
{
    algorithms[congestion->kind]->acknowledged(congestion, ack);
}

void congestion_lost(struct congestion *congestion, uint64_t number, uint64_t next, uint64_t now)
{
    algorithms[congestion->kind]->lost(congestion, number, next, now);
}

void congestion_timed_out(struct congestion *congestion, uint64_t now)
{
    algorithms[congestion->kind]->timed_out(congestion, now);
}

void congestion_spurious(struct congestion *congestion, uint64_t number)
{
    algorithms[congestion->kind]->spurious(congestion, number);
}

const char *congestion_name(enum congestion_kind kind)
{
    return algorithms[kind]->name;
}

bool congestion_by_name(const char *name, enum congestion_kind *kind)
{
    for (unsigned i = 0; i < CONGESTION_COUNT; i++) {
        if (strcmp(name, algorithms[i]->name) == 0) {
            *kind = (enum congestion_kind)i;
            return true;
        }
    }
    return false;
}
