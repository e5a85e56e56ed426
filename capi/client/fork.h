/* SPDX-License-Identifier: MIT */
/*
 * Who opened a handle: this process, or the one it was forked from. Each process that opens a handle has a number of its own, kept in a
 * page that the kernel wipes in a child; a handle keeps the number of its opener. A child that was made by fork() also gives up, at once,
 * the descriptors of all handles it inherited, so that the engine sees the death of the parent through them.
 */
#ifndef MN_CLIENT_FORK_H
#define MN_CLIENT_FORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mn_handle {
    uint64_t process;                  /* number of the process that opened it */
    struct mn_handle *next, *previous; /* all handles of this process */
    void (*child)(
        struct mn_handle *); /* runs in a forked child: closes the descriptors. Async-signal-safe, takes no lock. */
};

/* The number of this process, or 0 while it has none. The fork module's. */
extern _Atomic uint64_t *mn_process_number;

/* Gives the process a number if it has none, and enters the handle. 0, or an errno. Any thread. */
int mn_handle_enter(struct mn_handle *handle, void (*child)(struct mn_handle *));
/* Takes it out again. In a child, too. Any thread. */
void mn_handle_leave(struct mn_handle *handle);

/* True in a child of the process that opened the handle. Any thread; async-signal-safe. */
static inline bool mn_handle_forked(const struct mn_handle *handle)
{
    return atomic_load_explicit(mn_process_number, memory_order_relaxed) != handle->process;
}

#endif /* MN_CLIENT_FORK_H */
