/* SPDX-License-Identifier: MIT */
/*
 * Raw Ethernet devices (nic/frames.h) in memory, joined by a switch: a frame goes to the devices that have its destination MAC, or, if it is
 * broadcast, to all but the sender. It arrives at once. What a queue transmits goes out with its flush, as on a real device. Any thread: a lock guards the
 * switch.
 */
#ifndef MACHNET_TESTS_SUPPORT_FRAME_MEM_H
#define MACHNET_TESTS_SUPPORT_FRAME_MEM_H

#include "nic/frames.h"

enum { FRAME_MEM_MTU_MAX = 9001, FRAME_MEM_RING = 8 };

struct frame_mem_switch;

/* Sees each frame that leaves a device (not those injected), and may change it; false: it is lost. NULL: none. */
typedef bool frame_mem_filter(void *arg, const struct frame_device *from, struct frame *frame);
/* The queue at which a frame arrives, of device->queue_count: the opaque RSS hash. NULL: always 0. */
typedef uint32_t frame_mem_rss(const struct frame_device *device, const struct frame *frame);

struct frame_mem_switch *frame_mem_switch_new(void);
/* All its devices are closed before, and all buffers given back: checked. */
void frame_mem_switch_free(struct frame_mem_switch *network);
void frame_mem_set_filter(struct frame_mem_switch *network, frame_mem_filter *filter, void *arg);

/* `transmit_flags` of enum frame_flags: checksums that it completes if asked, and it aborts if what it should complete is not prepared right.
 * `receive_flags` is what it says of each frame that it receives. */
struct frame_device *frame_mem_open(struct frame_mem_switch *network, const uint8_t mac[6], uint32_t mtu, uint32_t queues,
                                    uint32_t transmit_flags, uint32_t receive_flags);
void frame_mem_set_rss(struct frame_device *device, frame_mem_rss *rss);
/* While the link is down, FRAME_MEM_RING frames per queue get stuck in the device and go out when it is up again; it drops more. */
void frame_mem_set_link(struct frame_device *device, bool up);
void frame_mem_set_mac(struct frame_device *device, const uint8_t mac[6]);
/* A frame comes in on a queue of the device; copied. */
void frame_mem_inject(struct frame_device *device, uint32_t queue, const uint8_t *data, uint32_t length, uint32_t flags);
/* While it holds, the device has no transmit buffers. */
void frame_mem_set_starved(struct frame_device *device, bool starved);

#endif /* MACHNET_TESTS_SUPPORT_FRAME_MEM_H */
