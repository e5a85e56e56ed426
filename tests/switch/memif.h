/* SPDX-License-Identifier: MIT */
/*
 * The server's end of a memif (shared-memory packet interface, version 2.0, as DPDK's and VPP's clients speak it): the client brings the memory, the rings
 * and their number; its end, by a message or by death, is noticed by memif_control alone, so that nothing vanishes under a frame. A client may
 * come again. One thread. Trusts its client no further than its memory reaches.
 */
#ifndef MACHNET_TESTS_SWITCH_MEMIF_H
#define MACHNET_TESTS_SWITCH_MEMIF_H

#include <stdbool.h>
#include <stdint.h>

enum { MEMIF_FDS = 2 };

struct memif;

/* Listens on a Unix socket at `path`, which must not exist. NULL: errno. */
struct memif *memif_open(const char *path);
/* Also removes the socket. Accepts NULL. */
void memif_close(struct memif *memif);

/* Those that poll: when one is readable, memif_control has something to do. -1 for none. */
void memif_fds(const struct memif *memif, int fds[MEMIF_FDS]);
/* Takes what clients say. Never blocks. */
void memif_control(struct memif *memif);

/* Queues towards us and towards the client; 0 while nobody is connected. */
uint32_t memif_receive_queues(const struct memif *memif);
uint32_t memif_transmit_queues(const struct memif *memif);

/* Copies the next frame of a queue. 0: there is none. A frame longer than `capacity` ends the connection. */
uint32_t memif_receive(struct memif *memif, uint32_t queue, uint8_t *frame, uint32_t capacity);
/* False: the queue is full. length > 0. */
bool memif_transmit(struct memif *memif, uint32_t queue, const uint8_t *frame, uint32_t length);

#endif /* MACHNET_TESTS_SWITCH_MEMIF_H */
