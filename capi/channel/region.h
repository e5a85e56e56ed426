/* SPDX-License-Identifier: MIT */
/*
 * The memory of a channel (DESIGN: attach in two steps): the engine makes a memfd and maps it, the client maps, fills and seals it, the
 * engine checks that and only then touches it.
 *
 * The client fills, because a page belongs to who touches it first: it counts in the client's memory cgroup, also when the client keeps it
 * after the engine has let go. And the client seals, because adding a seal waits for whoever is writing to the memfd by its descriptor, and
 * a client can make such a write last for ever. What the engine calls here waits for nobody.
 */
#ifndef MACHNET_CHANNEL_REGION_H
#define MACHNET_CHANNEL_REGION_H

#include <stdbool.h>
#include <stdint.h>

/* Engine: a memfd of `bytes` (page multiple) that keeps its size, mapped writable, without a page in it: nothing may be touched before
 * mn_region_check. 0, or -errno; *fd and *base are set. */
int mn_region_create(const char *name, uint64_t bytes, int *fd, void **base);

/* Client: maps `bytes` of `fd`, after checking that it is a memfd of that size that cannot shrink; gives it all its pages; and seals it: new
 * writable mappings, writes by descriptor and hole punching are refused from now on. 0, or -errno. */
int mn_region_map(int fd, uint64_t bytes, bool writable, void **base);

/* Engine, after the client has mapped: checks that it is sealed and whole, and enters every page at `base`, so that no access ever faults;
 * they are locked in memory if this process may do that. 0; -EPERM: not sealed; -EFAULT: pages are missing; or another -errno. */
int mn_region_check(int fd, void *base, uint64_t bytes);

void mn_region_unmap(void *base, uint64_t bytes);

#endif /* MACHNET_CHANNEL_REGION_H */
