/* SPDX-License-Identifier: MIT */
/*
 * A raw Ethernet device: frames in, frames out, and what little all devices tell about themselves. The seam under nic_ethernet.c, which makes a NIC
 * of it (nic.h); behind it DPDK's ports (nic_dpdk.c) and, in tests, memory.
 *
 * One struct frame_queue belongs to one worker thread. No call blocks.
 */
#ifndef MACHNET_ENGINE_NIC_FRAMES_H
#define MACHNET_ENGINE_NIC_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

/* What the device found out about a received frame, or is asked to do with a sent one. */
enum frame_flags {
    FRAME_IP_CHECKSUM_GOOD = 1 << 0,    /* rx: verified by the device; what is not, or is bad for it, is verified by us */
    FRAME_UDP_CHECKSUM_GOOD = 1 << 1,   /* rx: likewise */
    FRAME_IP_CHECKSUM_PLEASE = 1 << 2,  /* tx: only if the device offers it; the field is 0 */
    FRAME_UDP_CHECKSUM_PLEASE = 1 << 3, /* tx: likewise; the field holds the pseudo header's sum */
};

/* One frame, from the destination MAC on, without FCS, contiguous. */
struct frame {
    uint8_t *data;
    uint32_t length;   /* bytes */
    uint32_t capacity; /* tx: bytes that may be written at data */
    uint32_t flags;    /* enum frame_flags */
    void *priv;        /* the device's own */
};

struct frame_device;
struct frame_queue;

struct frame_ops {
    const char *name;
    /* Up to `max` frames; valid until receive_done. Returns how many. */
    uint32_t (*receive)(struct frame_queue *queue, struct frame *frames, uint32_t max);
    void (*receive_done)(struct frame_queue *queue, struct frame *frames, uint32_t count);
    /* Fetches a buffer for a frame of up to mtu + 14 bytes, or returns false when there is none now. */
    bool (*transmit_buffer)(struct frame_queue *queue, struct frame *frame);
    /* Queues a filled frame; `flush` hands all queued ones to the device. What it does not take is dropped and counted. */
    void (*transmit)(struct frame_queue *queue, struct frame *frame);
    void (*transmit_cancel)(struct frame_queue *queue, struct frame *frame);
    void (*flush)(struct frame_queue *queue);
    /* Descriptors for epoll that become readable when frames come in; how many (0: can only be polled). */
    uint32_t (*fds)(struct frame_queue *queue, int *fds, uint32_t max);
    /* Cheap; any thread. */
    bool (*link_up)(const struct frame_device *device);
    void (*close)(struct frame_device *device);
};

struct frame_counters {
    uint64_t transmit_dropped; /* frames the device did not take */
    uint64_t receive_dropped;  /* frames that came in more than one segment, or too long */
};

struct frame_queue {
    const struct frame_ops *ops;
    struct frame_device *device;
    uint32_t index;
    struct frame_counters counters;
};

struct frame_device {
    const struct frame_ops *ops;
    uint8_t mac[6];
    uint32_t mtu;            /* bytes behind the Ethernet header */
    uint32_t transmit_flags; /* of enum frame_flags: what the device does when asked */
    uint32_t queue_count;
    struct frame_queue **queues;
};

#endif /* MACHNET_ENGINE_NIC_FRAMES_H */
