/* SPDX-License-Identifier: MIT */
/*
 * Any DPDK port as a frame device: a cloud's or a server's NIC, or one of DPDK's virtual devices (af_packet, af_xdp, memif, tap, ring).
 *
 * The DPDK side is a module of its own (machnet_nic_dpdk.so, made of nic_dpdk*.c), loaded by the first nic_dpdk_open: a process that
 * never asks for DPDK neither loads nor starts any of it.
 */
#ifndef MACHNET_ENGINE_NIC_NIC_DPDK_H
#define MACHNET_ENGINE_NIC_NIC_DPDK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "nic/frames.h"

struct nic_dpdk_config {
    const char *device;        /* as nic/device_name.h reads it */
    const char *eal_arguments; /* more arguments for DPDK's EAL, separated by blanks; NULL: none. They win over ours */
    uint32_t queues;           /* one for each worker */
    uint32_t mtu;              /* bytes behind the Ethernet header; 0: the device's, at most 1500 */
    enum log_level log_level;
};

/* True if this build has the back end. */
bool nic_dpdk_is_built(void);

/* Starts DPDK if it does not run yet, and opens the device. Returns NULL and a sentence in error[NIC_ERROR_BYTES] (what failed, what to do).
 * The calling thread keeps its signal mask and processors; standard output is left alone; DPDK's own messages go to the log.
 * Several devices may be open in a process, but EAL arguments and PCI devices of a later one cannot differ from the first's. */
struct frame_device *nic_dpdk_open(const struct nic_dpdk_config *config, char *error);

/* What the module exports as `nic_dpdk_module`. */
struct nic_dpdk_module {
    uint32_t version; /* NIC_DPDK_MODULE_VERSION of the module's build */
    struct frame_device *(*open)(const struct nic_dpdk_config *config, char *error);
};

enum { NIC_DPDK_MODULE_VERSION = 1 };

extern const struct nic_dpdk_module nic_dpdk_module; /* in the module alone */

#endif /* MACHNET_ENGINE_NIC_NIC_DPDK_H */
