/* SPDX-License-Identifier: MIT */
/* How a DPDK device is named on the command line. Pure. */
#ifndef MACHNET_ENGINE_NIC_DEVICE_NAME_H
#define MACHNET_ENGINE_NIC_DEVICE_NAME_H

#include <stddef.h>
#include <stdbool.h>

enum device_name_kind {
    DEVICE_NAME_WRONG = 0,
    DEVICE_NAME_PCI,     /* 0000:00:06.0 or 00:06.0 */
    DEVICE_NAME_MAC,     /* 02:00:00:00:00:01 */
    DEVICE_NAME_VMBUS,   /* Hyper-V's: 635a7ae3-091e-4410-ad59-667c4f8c04c3 */
    DEVICE_NAME_VIRTUAL, /* net_af_packet0, net_memif1, ... */
};

/* Tells what `text` is: a name, and but for a MAC perhaps arguments of the device behind it: ",key=value,...". */
enum device_name_kind device_name_kind(const char *text);

/* Copies the value of argument `key` ("iface" of net_af_packet0,iface=veth1) into value[capacity]. False if there is none that fits. */
bool device_name_argument(const char *text, const char *key, char *value, size_t capacity);

#endif /* MACHNET_ENGINE_NIC_DEVICE_NAME_H */
