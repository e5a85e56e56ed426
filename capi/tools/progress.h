/* SPDX-License-Identifier: MIT */
/* A line on stderr with bytes, rate and time left: on a terminal rewritten a few times a second, else one more every few seconds. */
#ifndef MACHNET_TOOLS_PROGRESS_H
#define MACHNET_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool on, terminal;
    uint64_t total; /* bytes to come, 0 if unknown */
    uint64_t start_ns, shown_ns;
};

void progress_start(struct progress *progress, bool on, uint64_t total);
/* `done` bytes are through. Cheap when it is not yet time for a new line. */
void progress_update(struct progress *progress, uint64_t done);
/* The last line, ended; further calls do nothing. */
void progress_end(struct progress *progress, uint64_t done);

#endif /* MACHNET_TOOLS_PROGRESS_H */
