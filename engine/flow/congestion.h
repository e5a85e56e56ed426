/* SPDX-License-Identifier: MIT */
/*
 * How many packets of a flow may be in flight: slow start and AIMD (RFC 5681, in packets). Decisions only; it sees
 * acknowledgements, losses and timeouts and knows nothing of packets.
 */
#ifndef MACHNET_ENGINE_FLOW_CONGESTION_H
#define MACHNET_ENGINE_FLOW_CONGESTION_H

#include <stdbool.h>
#include <stdint.h>

struct congestion {
    uint32_t window, window_max; /* packets */
    uint32_t threshold;          /* below it: slow start */
    uint32_t acknowledged;       /* since the window last grew by one, above the threshold */
    uint64_t recovery_end;       /* losses of packets below this number belong to a loss that was answered */
};

void congestion_init(struct congestion *congestion, uint32_t window_max);
/* `count` packets were acknowledged; `limited`: the window was what kept the sender from sending more. */
void congestion_acknowledged(struct congestion *congestion, uint32_t count, bool limited);
/* Packet `number` was lost; `next` is the number of the next packet to be sent. */
void congestion_lost(struct congestion *congestion, uint64_t number, uint64_t next);
/* Nothing was heard for two probe timeouts in a row. */
void congestion_timed_out(struct congestion *congestion);

#endif /* MACHNET_ENGINE_FLOW_CONGESTION_H */
