/* SPDX-License-Identifier: MIT */
/* Under AddressSanitizer shared memory is watched as the heap is: pages without access lie around each region, and what nobody has allocated of
 * an arena is poisoned for the side that allocates. Elsewhere all this is nothing. */
#ifndef MACHNET_CHANNEL_POISON_H
#define MACHNET_CHANNEL_POISON_H

#include <stdint.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MN_POISONS 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define MN_POISONS 1
#endif

#ifdef MN_POISONS
#include <sanitizer/asan_interface.h>
enum { MN_GUARD_BYTES = 65536 }; /* before and behind each region */
#else
enum { MN_GUARD_BYTES = 0 };
#endif

/* From now on whoever of this process reads or writes there is an error. */
static inline void mn_poison(const void *memory, uint64_t bytes)
{
#ifdef MN_POISONS
    __asan_poison_memory_region(memory, bytes);
#else
    (void)memory, (void)bytes;
#endif
}

static inline void mn_unpoison(const void *memory, uint64_t bytes)
{
#ifdef MN_POISONS
    __asan_unpoison_memory_region(memory, bytes);
#else
    (void)memory, (void)bytes;
#endif
}

#endif /* MACHNET_CHANNEL_POISON_H */
