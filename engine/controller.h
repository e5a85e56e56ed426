/* SPDX-License-Identifier: MIT */
/*
 * The controller: attaches applications, keeps quotas and listeners, answers status, ends the engine. One thread with an event loop; no
 * client can make it wait, and everything that concerns a flow it leaves to the workers.
 */
#ifndef MACHNET_ENGINE_CONTROLLER_H
#define MACHNET_ENGINE_CONTROLLER_H

#include <stdint.h>

#include "path/path.h"
#include "quota.h"
#include "worker.h"

struct controller;

enum { CONTROLLER_WORKERS_MAX = 64 };

struct controller_config {
    const struct path_table *paths;                 /* not owned */
    struct worker *workers[CONTROLLER_WORKERS_MAX]; /* not owned */
    uint32_t worker_count;
    struct directory *directory; /* of the workers; not owned */
    int socket; /* listening, non-blocking; not owned */
    struct quota_config quota;
    uint64_t step_ns; /* so long a client may take for its next step of attaching, or to read an answer; 0: 5 s */
    uint64_t epoch;  /* of this engine, for status */
    const char *nic; /* the back end's name, static */
    const char *congestion; /* the name of its congestion control, or NULL */
};

/* NULL if memory or descriptors are short. `config` is copied. */
struct controller *controller_new(const struct controller_config *config);

/* Works until SIGINT or SIGTERM; then tells applications and peers, and returns 0. A second signal, or workers that do not answer within 2 s,
 * end it at once with -1. */
int controller_run(struct controller *controller);

/* After the workers have stopped: frees all, and the memory of channels that are left. */
void controller_free(struct controller *controller);

#endif /* MACHNET_ENGINE_CONTROLLER_H */
