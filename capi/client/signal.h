/* SPDX-License-Identifier: MIT */
/* An eventfd of the library that is either quiet or raised, as level-triggered and edge-triggered pollers see it. */
#ifndef MN_CLIENT_SIGNAL_H
#define MN_CLIENT_SIGNAL_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

struct mn_signal {
    int fd;               /* non-blocking eventfd */
    _Atomic uint32_t set; /* raised, or about to be seen as such */
};

/* Any thread; async-signal-safe. Each call is an edge. */
static inline void mn_signal_raise(struct mn_signal *s)
{
    int saved = errno;
    uint64_t one = 1;
    ssize_t written = write(s->fd, &one, sizeof one);
    (void)written; /* full: it is raised already */
    /* After the write: were it before, a clear in between would leave a raised descriptor that nobody clears. */
    atomic_store_explicit(&s->set, 1, memory_order_release);
    errno = saved;
}

static inline void mn_signal_clear(struct mn_signal *s)
{
    uint64_t count;
    if (atomic_load_explicit(&s->set, memory_order_relaxed) == 0)
        return;
    atomic_store_explicit(&s->set, 0, memory_order_relaxed);
    ssize_t got = read(s->fd, &count, sizeof count);
    (void)got; /* empty: fine */
}

#endif /* MN_CLIENT_SIGNAL_H */
