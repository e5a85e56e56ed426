/* SPDX-License-Identifier: MIT */
/*
 * Which worker listens on an address and flow port of the engine: where an INIT goes that came in on any worker. Written by the
 * controller's thread, read by all workers: one load of a byte, no lock, so that a flood of INITs costs each worker no more than that.
 */
#ifndef MACHNET_ENGINE_DIRECTORY_H
#define MACHNET_ENGINE_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "path/path.h"

enum { DIRECTORY_NOBODY = -1 };

struct directory;

/* For the addresses of `paths` (not owned, constant). NULL if memory is short. */
struct directory *directory_new(const struct path_table *paths);
void directory_free(struct directory *directory);

/* Worker `worker` (< 64) listens on `local`: a port of one address, or of all (ip any). Nobody else does. */
void directory_add(struct directory *directory, const struct endpoint *local, uint32_t worker);
void directory_remove(struct directory *directory, const struct endpoint *local);

/* The worker that listens there, or DIRECTORY_NOBODY. Any thread. It may just have stopped. */
int directory_find(const struct directory *directory, const struct endpoint *local);

#endif /* MACHNET_ENGINE_DIRECTORY_H */
