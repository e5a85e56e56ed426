/* SPDX-License-Identifier: MIT */
/*
 * `machnet perf`: what its files share.
 *   perf.c            attaching, waiting, Ctrl-C          perf_options.c    command line
 *   perf_client.c     a run: connect, warm up, measure    perf_server.c     the other side
 *   perf_load.c       requests and streams of a run       perf_pacing.c     when an open loop sends
 *   perf_report.c     table and JSON                      perf_histogram.c, perf_pattern.c, perf_protocol.c, perf_cpu.c
 * One thread does everything.
 */
#ifndef MACHNET_TOOLS_PERF_H
#define MACHNET_TOOLS_PERF_H

#include "perf_options.h"

#include <machnet/machnet.h>

#include <stdbool.h>
#include <stdint.h>

enum {
    PERF_BATCH = 256,
    PERF_ARENA_BYTES = 262144
}; /* messages and bytes of a packed call, at most (or one message) */

#define PERF_STUCK_NS UINT64_C(5000000000) /* a peer that takes or answers nothing for so long is given up */

struct perf {
    struct perf_options options;
    machnet_context *context;
    machnet_channel *channel;
};

/* Whether Ctrl-C was pressed. A second one ends the program at once. */
bool perf_interrupted(void);

uint64_t perf_now_ns(void);

/* As machnet_channel_wait; it may return early without a reason, and does on Ctrl-C: what of the mask holds, 0 for nothing, or why
 * the channel is gone. */
int32_t perf_wait(struct perf *perf, uint32_t mask, int64_t timeout_ns);

/* Sends one message, waiting until it goes. As machnet_send_copy; MACHNET_EAGAIN: the peer is stuck. Takes no events. */
int32_t perf_send(struct perf *perf, uint64_t flow, const void *data, uint64_t length, uint64_t tag);

/* Prints "machnet perf: what: why". TOOL_FAILED. */
int perf_fail(const char *what, int32_t status, const machnet_error *error);

struct perf_cpu {
    uint64_t process_ns;              /* of this program */
    uint64_t engine_ns, engine_epoch; /* of its engine, all workers; epoch 0: it could not be asked */
};

/* Processor times used until now. Asks the engine (about a millisecond). */
void perf_cpu_read(const struct perf *perf, struct perf_cpu *cpu);

/* The two sides; each returns an exit status. */
int perf_client(struct perf *perf);
int perf_server(struct perf *perf);

#endif /* MACHNET_TOOLS_PERF_H */
