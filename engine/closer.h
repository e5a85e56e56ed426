/* SPDX-License-Identifier: MIT */
/*
 * Closing sockets in whose queues lie descriptors of an application: with the last reference to one goes what it stands for, and that may
 * take as long as the application likes (a TCP socket that lingers). A thread of its own does it, one socket after another: only those who
 * send descriptors, which nobody is asked to, wait for each other. Where the kernel refuses to send them (SO_PASSRIGHTS, Linux 6.16) it
 * is never started.
 */
#ifndef MACHNET_ENGINE_CLOSER_H
#define MACHNET_ENGINE_CLOSER_H

#include <stdint.h>

struct closer;

/* NULL if memory is short. */
struct closer *closer_new(uint32_t capacity);

/* Ends it without waiting: what is not closed yet stays open until the process ends. */
void closer_free(struct closer *closer);

/* Takes over `socket`; at most `capacity` at a time. */
void closer_close(struct closer *closer, int socket);

/* How many are not closed yet. */
uint32_t closer_count(struct closer *closer);

#endif /* MACHNET_ENGINE_CLOSER_H */
