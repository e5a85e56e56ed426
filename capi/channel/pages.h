/* SPDX-License-Identifier: MIT */
/* Tables of fresh pages: large, all zero, and they cost no memory until they are written. Any thread. */
#ifndef MACHNET_CHANNEL_PAGES_H
#define MACHNET_CHANNEL_PAGES_H

#include <stdint.h>

/* `count` elements of `size` bytes, or NULL: memory is short, or count is 0. */
void *mn_pages_new(uint64_t count, uint64_t size);

/* With the same count and size; NULL is fine. */
void mn_pages_free(void *pages, uint64_t count, uint64_t size);

#endif /* MACHNET_CHANNEL_PAGES_H */
