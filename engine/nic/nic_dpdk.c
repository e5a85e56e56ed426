/* SPDX-License-Identifier: MIT */
#include "nic/nic_dpdk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nic/nic_dpdk_internal.h"

static uint32_t dpdk_fds(struct frame_queue *queue, int *fds, uint32_t max)
{
    const struct dpdk_queue *dpdk = dpdk_queue_of(queue);
    uint32_t count = dpdk->fd_count < max ? dpdk->fd_count : max;
    memcpy(fds, dpdk->fds, count * sizeof *fds);
    return count;
}

/* Memory first handed out by DPDK is given back to it before the port's pools go. */
static void free_device(struct dpdk_device *device, bool opened)
{
    if (opened) {
        dpdk_events_stop(device);
        for (uint32_t i = 0; i < device->device.queue_count; i++)
            dpdk_queue_drain(dpdk_queue_of(device->queues[i]));
        dpdk_port_close(device);
        dpdk_memif_guard(NULL);
    }
    for (uint32_t i = 0; i < device->device.queue_count; i++)
        free(dpdk_queue_of(device->queues[i]));
    if (device->control >= 0)
        (void)close(device->control);
    free(device);
}

static void dpdk_close(struct frame_device *device)
{
    free_device(dpdk_device_of(device), true);
}

static const struct frame_ops dpdk_ops = {
    .name = "dpdk",
    .receive = dpdk_receive,
    .receive_done = dpdk_receive_done,
    .transmit_buffer = dpdk_transmit_buffer,
    .transmit = dpdk_transmit,
    .transmit_cancel = dpdk_transmit_cancel,
    .flush = dpdk_flush,
    .fds = dpdk_fds,
    .link_up = dpdk_link_up,
    .close = dpdk_close,
};

static struct dpdk_device *new_device(uint32_t queues)
{
    struct dpdk_device *device = calloc(1, sizeof *device);
    if (device == NULL)
        return NULL;
    device->device = (struct frame_device){.ops = &dpdk_ops, .queues = device->queues};
    device->control = -1;
    atomic_init(&device->state, DPDK_RUNNING);
    for (uint32_t i = 0; i < queues; i++) {
        struct dpdk_queue *queue = calloc(1, sizeof *queue);
        if (queue == NULL) {
            free_device(device, false);
            return NULL;
        }
        queue->queue = (struct frame_queue){.ops = &dpdk_ops, .device = &device->device, .index = i};
        device->queues[device->device.queue_count++] = &queue->queue;
    }
    return device;
}

static int open_device(struct dpdk_device *device, const struct nic_dpdk_config *config, bool *opened, char *error)
{
    struct dpdk_sockets before;
    if (dpdk_check_device(config, error) < 0 || dpdk_eal_start(config, error) < 0)
        return -1;
    dpdk_sockets_list(&before);
    if (dpdk_find_port(device, config->device, error) < 0)
        return -1;
    *opened = true;
    if (device->interface[0] != '\0' && (device->control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
        return dpdk_fail(error, "no socket to ask for the state of %s: %s", device->interface, strerror(errno));
    if (dpdk_port_open(device, config, error) < 0)
        return -1;
    dpdk_sockets_assign(device, &before);
    dpdk_memif_guard(device->memif ? device : NULL);
    return dpdk_events_start(device, error);
}

static struct frame_device *open_module(const struct nic_dpdk_config *config, char *error)
{
    log_set_level(config->log_level); /* the module has a log of its own */
    if (config->queues == 0 || config->queues > DPDK_QUEUES_MAX) {
        dpdk_fail(error, "DPDK devices have from 1 to %d queues", DPDK_QUEUES_MAX);
        return NULL;
    }
    struct dpdk_device *device = new_device(config->queues);
    bool opened = false;
    if (device == NULL) {
        dpdk_fail(error, "no memory for the network interface");
        return NULL;
    }
    if (open_device(device, config, &opened, error) < 0) {
        free_device(device, opened);
        return NULL;
    }
    log_info("%s: %s%sMTU %u, %u queue%s, checksums %s", device->name, device->interface,
             device->interface[0] != '\0' ? ", " : "", device->device.mtu, config->queues,
             config->queues == 1 ? "" : "s", device->device.transmit_flags != 0 ? "by the device" : "in software");
    return &device->device;
}

__attribute__((visibility("default"))) const struct nic_dpdk_module nic_dpdk_module = {
    .version = NIC_DPDK_MODULE_VERSION,
    .open = open_module,
};
