/* SPDX-License-Identifier: MIT */
/* Creating, sealing, populating and mapping the memory of a channel (DESIGN: attach in two steps). */
#ifndef MACHNET_CHANNEL_REGION_H
#define MACHNET_CHANNEL_REGION_H

#include <stdbool.h>
#include <stdint.h>

/* Engine: a memfd of `bytes` (page multiple), populated and mapped writable. 0, or -errno; *fd and *base are set. */
int mn_region_create(const char *name, uint64_t bytes, int *fd, void **base);

/* Engine, after the client has mapped: refuses from now on new writable mappings, writes by descriptor, hole punching and resizing,
 * then populates once more and checks that every page is there. 0, or -errno. */
int mn_region_seal(int fd, void *base, uint64_t bytes);

/* Client: maps `bytes` of `fd`, after checking that it is a memfd of that size that cannot shrink (sealed against it at creation). 0, or -errno. */
int mn_region_map(int fd, uint64_t bytes, bool writable, void **base);

void mn_region_unmap(void *base, uint64_t bytes);

#endif /* MACHNET_CHANNEL_REGION_H */
