/* SPDX-License-Identifier: MIT */
/* What happens to a port besides frames: its link comes and goes, it wants a reset, it is taken away. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>

#include <rte_alarm.h>

#include "base/clock.h"
#include "nic/nic_dpdk_internal.h"

enum {
    RESET_ATTEMPTS = 10,
    RESET_PAUSE_MS = 100,
    RESET_PAUSE_MAX_MS = 1000,
    PARK_PAUSE_MS = 1,
    RECONNECT_PAUSE_MS = 100
};

#define LINK_LOOK_NS (CLOCK_SECOND_NS / 10)
#define RECONNECT_NS (CLOCK_SECOND_NS / 2)

static void pause_ms(uint32_t ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&time, NULL);
}

/* ---- Link ---- */

/* af_packet and af_xdp know nothing of the link; the kernel does. (IFF_RUNNING may come a second late; a driver without ETHTOOL_GLINK has
 * nothing else.) */
static bool interface_runs(const struct dpdk_device *device)
{
    struct ethtool_value link = {.cmd = ETHTOOL_GLINK};
    struct ifreq request = {0};
    memcpy(request.ifr_name, device->interface, sizeof request.ifr_name);
    request.ifr_data = (char *)&link;
    if (ioctl(device->control, SIOCETHTOOL, &request) == 0)
        return link.data != 0;
    return ioctl(device->control, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_RUNNING) != 0;
}

static bool port_has_link(const struct dpdk_device *device)
{
    struct rte_eth_link link = {0};
    if (device->control >= 0)
        return interface_runs(device);
    return rte_eth_link_get_nowait(device->port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

void dpdk_link_look(struct dpdk_device *device)
{
    uint64_t now = clock_now_ns();
    uint64_t last = atomic_load_explicit(&device->link_checked_ns, memory_order_relaxed);
    if (device->tells_link || now - last < LINK_LOOK_NS)
        return;
    /* One thread looks. */
    if (!atomic_compare_exchange_strong(&device->link_checked_ns, &last, now) ||
        atomic_load(&device->state) != DPDK_RUNNING)
        return;
    bool up = port_has_link(device);
    atomic_store(&device->link, up);
    if (!up && device->reconnects && now >= atomic_load(&device->connected_ns) + RECONNECT_NS) {
        atomic_store(&device->connected_ns, now);
        (void)sem_post(&device->recovery_wanted);
    }
}

bool dpdk_link_up(const struct frame_device *device)
{
    struct dpdk_device *dpdk = dpdk_device_of((struct frame_device *)(uintptr_t)device);
    dpdk_link_look(dpdk);
    return atomic_load_explicit(&dpdk->link, memory_order_relaxed);
}

/* ---- Recovery ---- */

static bool all_parked(const struct dpdk_device *device)
{
    for (uint32_t i = 0; i < device->device.queue_count; i++) {
        if (!atomic_load_explicit(&dpdk_queue_of(device->queues[i])->parked, memory_order_acquire))
            return false;
    }
    return true;
}

static int reset_port(struct dpdk_device *device)
{
    int result = rte_eth_dev_reset(device->port);
    if (result == -ENOTSUP) /* the driver has no reset of its own: starting anew must do */
        result = rte_eth_dev_stop(device->port);
    device->started = false;
    return result == 0 ? dpdk_port_start(device) : result;
}

static void resume(struct dpdk_device *device)
{
    for (uint32_t i = 0; i < device->device.queue_count; i++)
        atomic_store_explicit(&dpdk_queue_of(device->queues[i])->parked, false, memory_order_relaxed);
    atomic_store(&device->link, port_has_link(device));
    atomic_store(&device->connected_ns, clock_now_ns());
    atomic_store_explicit(&device->state, DPDK_RUNNING, memory_order_release);
}

/* Workers that sleep do not see that they shall park; they wake sooner or later. False: the device is being closed. */
static bool park(struct dpdk_device *device)
{
    atomic_store(&device->state, DPDK_PARKING);
    atomic_store(&device->link, false);
    while (!all_parked(device) && !atomic_load(&device->closing))
        pause_ms(PARK_PAUSE_MS);
    return !atomic_load(&device->closing);
}

/* In DPDK's event thread. There the driver talks with the other side; were the port stopped in any other thread, its memory would vanish in
 * mid-conversation. */
static void restart(void *argument)
{
    struct dpdk_device *device = argument;
    device->started = rte_eth_dev_stop(device->port) == 0 && rte_eth_dev_start(device->port) == 0;
    (void)sem_post(&device->restarted);
}

/* Until the other side is there to connect to. Whether all went well is seen by the next looks at the link. */
static void reconnect(struct dpdk_device *device)
{
    if (port_has_link(device) || !park(device))
        return;
    do {
        char ignored[1];
        dpdk_messages_capture();
        device->started = false;
        if (rte_eal_alarm_set(1, restart, device) == 0)
            (void)sem_wait(&device->restarted);
        dpdk_messages_take(ignored, sizeof ignored);
        if (!device->started)
            pause_ms(RECONNECT_PAUSE_MS);
    } while (!device->started && !atomic_load(&device->closing));
    if (device->started)
        resume(device);
}

static void reset(struct dpdk_device *device)
{
    uint32_t pause = RESET_PAUSE_MS;
    if (!park(device))
        return;
    for (uint32_t attempt = 1; attempt <= RESET_ATTEMPTS && !atomic_load(&device->closing); attempt++) {
        int result = reset_port(device);
        if (result == 0) {
            log_info("%s: the device was reset and works again", device->name);
            resume(device);
            return;
        }
        log_warning("%s: reset failed (attempt %u of %d): %s", device->name, attempt, RESET_ATTEMPTS,
                    strerror(-result));
        pause_ms(pause);
        pause = pause * 2 < RESET_PAUSE_MAX_MS ? pause * 2 : RESET_PAUSE_MAX_MS;
    }
    if (!atomic_load(&device->closing))
        log_error("%s: the device cannot be reset: nothing is sent or received until machnetd is started again",
                  device->name);
}

static void *recovery_main(void *arg)
{
    struct dpdk_device *device = arg;
    prctl(PR_SET_NAME, "machnet-recover");
    while (!atomic_load(&device->closing)) {
        if (sem_wait(&device->recovery_wanted) == 0 && !atomic_load(&device->closing) && !atomic_load(&device->removed))
            (device->reconnects ? reconnect : reset)(device);
    }
    return NULL;
}

/* ---- Events ---- */

int dpdk_event(uint16_t port, enum rte_eth_event_type event, void *argument, void *result)
{
    struct dpdk_device *device = argument;
    struct rte_eth_link link = {0};
    (void)result;
    if (event == RTE_ETH_EVENT_INTR_LSC) {
        if (rte_eth_link_get_nowait(port, &link) == 0)
            atomic_store(&device->link, link.link_status == RTE_ETH_LINK_UP);
    } else if (event == RTE_ETH_EVENT_INTR_RESET) {
        log_warning("%s: the device wants a reset", device->name);
        (void)sem_post(&device->recovery_wanted);
    } else if (event == RTE_ETH_EVENT_INTR_RMV) {
        log_error("%s: the device was taken away: nothing is sent or received until machnetd is started again",
                  device->name);
        atomic_store(&device->removed, true);
        atomic_store(&device->state, DPDK_PARKING);
        atomic_store(&device->link, false);
    }
    return 0;
}

static const enum rte_eth_event_type events[] = {RTE_ETH_EVENT_INTR_LSC, RTE_ETH_EVENT_INTR_RESET,
                                                 RTE_ETH_EVENT_INTR_RMV};

int dpdk_events_start(struct dpdk_device *device, char *error)
{
    for (unsigned i = 0; i < sizeof events / sizeof events[0]; i++)
        (void)rte_eth_dev_callback_register(device->port, events[i], dpdk_event, device);
    atomic_store(&device->link, device->started && port_has_link(device));
    atomic_store(&device->connected_ns, clock_now_ns());
    if (sem_init(&device->recovery_wanted, 0, 0) == 0 && sem_init(&device->restarted, 0, 0) == 0 &&
        pthread_create(&device->recovery, NULL, recovery_main, device) == 0) {
        device->recovery_runs = true;
        if (!device->started) {
            atomic_store(&device->state, DPDK_PARKING);
            (void)sem_post(&device->recovery_wanted);
        }
        return 0;
    }
    return dpdk_fail(error, "no thread for %s: %s", device->name, strerror(errno));
}

void dpdk_events_stop(struct dpdk_device *device)
{
    for (unsigned i = 0; i < sizeof events / sizeof events[0]; i++)
        (void)rte_eth_dev_callback_unregister(device->port, events[i], dpdk_event, device);
    if (!device->recovery_runs)
        return;
    atomic_store(&device->closing, true);
    (void)sem_post(&device->recovery_wanted);
    (void)pthread_join(device->recovery, NULL);
    device->recovery_runs = false;
    (void)sem_destroy(&device->recovery_wanted);
    (void)sem_destroy(&device->restarted);
}
