/* SPDX-License-Identifier: MIT */
/*
 * What comes in on one worker and is another's affair: packets, since a NIC may put one into any of its queues, and what was heard of other
 * engines' epochs. Between each ordered pair of workers lies a ring of bytes with one producer and one consumer; what is put there is
 * published in one go, and the consumer, if it sleeps, is woken by its eventfd. No call blocks. A ring that is full is as a queue of the
 * NIC that is full: the packet is lost.
 *
 * `from` is the calling thread's worker where something is put, `to` where something is taken; each end is used by that thread alone.
 */
#ifndef MACHNET_ENGINE_HANDOVER_H
#define MACHNET_ENGINE_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "nic/nic.h"

enum { HANDOVER_WORKERS_MAX = 64 };

struct handover;

/* `local`, `remote` and bytes, and what they are. */
struct handover_item {
    enum handover_kind {
        HANDOVER_PACKET,
        HANDOVER_CLAIM, /* the bytes are the epoch, a uint64_t: struct transport_claim */
    } kind;
    struct nic_packet packet;
};

/* Rings of `ring_bytes` (a power of two that holds two of the longest packets; 0: chosen) for all pairs of `workers`. Memory is used
 * as far as the rings are. NULL if memory or descriptors are short. */
struct handover *handover_new(uint32_t workers, uint32_t ring_bytes);
/* No worker uses it any more. Accepts NULL. */
void handover_free(struct handover *handover);
uint32_t handover_workers(const struct handover *handover);

/* Copies data, length (<= WIRE_PACKET_MAX), local and remote into the ring to another worker. False: that is full. */
bool handover_put(struct handover *handover, uint32_t from, uint32_t to, enum handover_kind kind,
                  const struct nic_packet *packet);
/* Shows what was put since the last time to those it is for. */
void handover_publish(struct handover *handover, uint32_t from);

/* Takes up to `max` items out of all rings to `to`; their bytes are valid, and only to be read, until handover_done. Returns
 * how many; fewer than `max`: there are no more now. */
uint32_t handover_take(struct handover *handover, uint32_t to, struct handover_item *items, uint32_t max);
void handover_done(struct handover *handover, uint32_t to);

/* The eventfd that wakes `to`, for its epoll; to be read when it is readable. */
int handover_fd(const struct handover *handover, uint32_t to);
/* Before `to` sleeps on the descriptor. False: there is something to take, do not sleep. After true comes handover_awake. */
bool handover_sleep(struct handover *handover, uint32_t to);
void handover_awake(struct handover *handover, uint32_t to);

#endif /* MACHNET_ENGINE_HANDOVER_H */
