/* SPDX-License-Identifier: MIT */
/* The only place where the engine reads a clock. Everything below the worker gets `now` as an argument. */
#ifndef MACHNET_ENGINE_BASE_CLOCK_H
#define MACHNET_ENGINE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_SECOND_NS UINT64_C(1000000000)

static inline uint64_t clock_read_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * CLOCK_SECOND_NS + (uint64_t)t.tv_nsec;
}

/* Nanoseconds since some fixed moment; never goes back. */
static inline uint64_t clock_now_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

/* Nanoseconds of processor time that the calling thread has used. */
static inline uint64_t clock_thread_cpu_ns(void)
{
    return clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
}

#endif /* MACHNET_ENGINE_BASE_CLOCK_H */
