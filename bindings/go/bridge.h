/* SPDX-License-Identifier: MIT */
/*
 * What cgo sees beside machnet.h: the memory that calls of the receive side write to, and calls with typed pointers. For an
 * unsafe.Pointer cgo looks at each call whether there are pointers behind it; for a pointer to bytes it need not.
 */
#ifndef MACHNET_GO_BRIDGE_H
#define MACHNET_GO_BRIDGE_H

#include <machnet/machnet.h>
#include <stdlib.h>

enum {
    BRIDGE_TAKE = 64,    /* events or messages taken in one call */
    BRIDGE_SHORT = 4096, /* bytes of a message that is copied twice, rather than asked for twice */
};

/* In C memory; belongs to the receive side of one channel. */
struct bridge_receiver {
    machnet_message message;
    machnet_event events[BRIDGE_TAKE];
    machnet_view views[BRIDGE_TAKE];
    uint8_t bytes[BRIDGE_SHORT];
};

static inline int32_t bridge_send(machnet_channel *channel, uint64_t flow, const uint8_t *data, uint64_t length,
                                  uint64_t tag)
{
    return machnet_send_copy(channel, flow, data, length, tag, 0);
}

/* Into receiver->bytes. */
static inline int32_t bridge_receive(machnet_channel *channel, uint64_t flow, struct bridge_receiver *receiver)
{
    return machnet_recv_copy(channel, flow, receiver->bytes, BRIDGE_SHORT, &receiver->message, 0);
}

static inline int32_t bridge_receive_into(machnet_channel *channel, uint64_t flow, struct bridge_receiver *receiver,
                                          uint8_t *buffer, uint64_t capacity)
{
    return machnet_recv_copy(channel, flow, buffer, capacity, &receiver->message, 0);
}

static inline int32_t bridge_send_packed(machnet_channel *channel, const machnet_record *records, uint32_t count,
                                         const uint8_t *arena, uint64_t arena_bytes)
{
    return machnet_send_packed(channel, records, count, arena, arena_bytes, 0);
}

static inline int32_t bridge_receive_packed(machnet_channel *channel, uint64_t flow, machnet_record *records,
                                            uint32_t max, uint8_t *arena, uint64_t arena_bytes)
{
    return machnet_recv_packed(channel, flow, records, max, arena, arena_bytes, 0);
}

static inline int32_t bridge_events(machnet_channel *channel, struct bridge_receiver *receiver)
{
    return machnet_channel_events(channel, receiver->events, BRIDGE_TAKE, 0);
}

/* Borrows up to `max` messages into receiver->views. How many; if none, why. */
static inline int32_t bridge_borrow(machnet_channel *channel, uint64_t flow, struct bridge_receiver *receiver,
                                    int32_t max)
{
    int32_t count = 0, status = MACHNET_OK;
    while (count < max && (status = machnet_recv_borrow(channel, flow, &receiver->views[count], 0)) == MACHNET_OK)
        count++;
    return count > 0 ? count : status;
}

#endif /* MACHNET_GO_BRIDGE_H */
