/* SPDX-License-Identifier: MIT */
/* What a port gets: queues, offloads, MTU, memory. Nothing is asked for that the port does not report. */
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_alarm.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

#include "nic/nic_dpdk_internal.h"

enum {
    RECEIVE_DESCRIPTORS = 1024, /* if the driver has no wish of its own */
    TRANSMIT_DESCRIPTORS = 1024,
    POOL_CACHE = 128,
    POOL_SPARE = 2 * POOL_CACHE + NIC_BURST + DPDK_PENDING_MAX + DPDK_BUFFERS,
    BUFFER_UNIT = 1024, /* NICs round the size of a buffer down to this */
    AF_PACKET_FRAME = 2048,
    AF_PACKET_OVERHEAD = 80, /* of such a frame: what the kernel puts before the packet */
    MEMIF_BUFFER = 2048,
    EAL_MEGABYTES = 32,
    MTU_MIN = 1300,
};

static const uint64_t receive_offloads = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
static const uint64_t transmit_offloads =
    RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
static const uint64_t rss_of_udp = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_UDP;

/* ---- Sizes ---- */

/* The bytes of a frame in the ring between the kernel and af_packet. */
static uint32_t ring_frame(const char *device)
{
    char text[16];
    if (strncmp(device, "net_af_packet", 13) != 0)
        return 0;
    return device_name_argument(device, "framesz", text, sizeof text) ? (uint32_t)strtoul(text, NULL, 10)
                                                                      : AF_PACKET_FRAME;
}

/* A frame lies in one buffer, whatever its length. */
static uint32_t buffer_bytes(const char *device, uint32_t mtu)
{
    uint32_t frame = mtu + DPDK_FRAME_OVERHEAD, ring = ring_frame(device);
    uint32_t bytes = frame > ring ? frame : ring;
    return (bytes + BUFFER_UNIT - 1) / BUFFER_UNIT * BUFFER_UNIT;
}

/* af_xdp holds twice its Rx ring. */
static uint32_t pool_buffers(const char *device, uint32_t descriptors)
{
    return (strncmp(device, "net_af_xdp", 10) == 0 ? 2 : 1) * descriptors + POOL_SPARE;
}

uint32_t dpdk_port_megabytes(const struct nic_dpdk_config *config)
{
    enum { DESCRIPTORS = 2048, BUFFER_OVERHEAD = 512 };
    uint64_t buffer = buffer_bytes(config->device, config->mtu != 0 ? config->mtu : DPDK_MTU_DEFAULT) + BUFFER_OVERHEAD;
    uint64_t bytes = (uint64_t)config->queues * 2 * pool_buffers(config->device, DESCRIPTORS) * buffer;
    return EAL_MEGABYTES + (uint32_t)(bytes >> 20);
}

/* ---- MTU ---- */

/* That of the kernel's interface; 0 if it cannot be asked. */
static uint32_t interface_mtu(const struct dpdk_device *device)
{
    struct ifreq request = {0};
    memcpy(request.ifr_name, device->interface, sizeof request.ifr_name);
    return ioctl(device->control, SIOCGIFMTU, &request) == 0 ? (uint32_t)request.ifr_mtu : 0;
}

/* af_packet and af_xdp have the MTU of their interface, which is its administrator's to change. */
static int choose_interface_mtu(struct dpdk_device *device, const struct nic_dpdk_config *config, char *error)
{
    uint32_t mtu = interface_mtu(device), ring = ring_frame(config->device);
    uint32_t fits = ring == 0 ? DPDK_MTU_MAX : ring - AF_PACKET_OVERHEAD - DPDK_FRAME_OVERHEAD;
    if (config->mtu > mtu)
        return dpdk_fail(error, "--mtu %u: interface %s has %u: change it with \"ip link set %s mtu %u\"", config->mtu,
                         device->interface, mtu, device->interface, config->mtu);
    if (config->mtu > fits)
        return dpdk_fail(
            error,
            "--mtu %u does not fit a frame of af_packet: add ,framesz=9216,blocksz=36864,framecnt=256 to --device",
            config->mtu);
    mtu = mtu < fits ? mtu : fits;
    device->device.mtu = config->mtu != 0 ? config->mtu : mtu < DPDK_MTU_DEFAULT ? mtu : DPDK_MTU_DEFAULT;
    return 0;
}

/* These take frames of any length, and report the shortest maximum. */
static bool reports_no_limit(const struct rte_eth_dev_info *info)
{
    return strcmp(info->driver_name, "net_memif") == 0 || strcmp(info->driver_name, "net_ring") == 0;
}

static uint32_t device_mtu_max(const struct rte_eth_dev_info *info)
{
    uint32_t max = info->max_mtu != UINT16_MAX ? info->max_mtu : info->max_rx_pktlen - DPDK_FRAME_OVERHEAD + 4;
    return max < DPDK_MTU_MAX && !reports_no_limit(info) ? max : DPDK_MTU_MAX;
}

/* The client of a memif says how long the link's buffers are. A frame in several of them confuses the driver's rings for ever when it
 * finds only some of them filled. */
static int check_memif_buffer(const struct dpdk_device *device, const char *name, char *error)
{
    char text[16];
    uint32_t bytes = MEMIF_BUFFER;
    if (device_name_argument(name, "bsize", text, sizeof text))
        bytes = (uint32_t)strtoul(text, NULL, 10);
    if (!device->reconnects || bytes >= device->device.mtu + DPDK_FRAME_OVERHEAD)
        return 0;
    return dpdk_fail(error, "an MTU of %u does not fit a buffer of memif: add ,bsize=%u to --device", device->device.mtu,
                     (device->device.mtu + DPDK_FRAME_OVERHEAD + BUFFER_UNIT - 1) / BUFFER_UNIT * BUFFER_UNIT);
}

static int choose_mtu(struct dpdk_device *device, const struct nic_dpdk_config *config,
                      const struct rte_eth_dev_info *info, char *error)
{
    uint32_t max = device_mtu_max(info);
    if (device->control >= 0)
        return choose_interface_mtu(device, config, error);
    if (config->mtu > max)
        return dpdk_fail(error, "--mtu %u: %s allows at most %u", config->mtu, device->name, max);
    device->device.mtu = config->mtu != 0 ? config->mtu : max < DPDK_MTU_DEFAULT ? max : DPDK_MTU_DEFAULT;
    if (!reports_no_limit(info))
        device->conf.rxmode.mtu = device->device.mtu;
    return check_memif_buffer(device, config->device, error);
}

/* Most drivers take it from the configuration; a few only when told once more. */
static int set_mtu(const struct dpdk_device *device)
{
    uint16_t mtu = (uint16_t)device->conf.rxmode.mtu;
    int result = mtu != 0 ? rte_eth_dev_set_mtu(device->port, mtu) : 0;
    return result == -ENOTSUP ? 0 : result;
}

/* ---- Configuration ---- */

static int check_queues(const struct dpdk_device *device, const struct rte_eth_dev_info *info, char *error)
{
    uint32_t queues = device->device.queue_count;
    uint32_t max = info->max_rx_queues < info->max_tx_queues ? info->max_rx_queues : info->max_tx_queues;
    const char *hint = strncmp(device->name, "net_af_packet", 13) == 0 ? " (or add ,qpairs=N to --device)" : "";
    if (queues <= max)
        return 0;
    return dpdk_fail(error, "%u workers need %u queues, and %s has %u: give --workers %u%s", queues, queues,
                     device->name, max, max, hint);
}

static void choose_offloads(struct dpdk_device *device, const struct rte_eth_dev_info *info)
{
    struct rte_eth_conf *conf = &device->conf;
    conf->rxmode.offloads = info->rx_offload_capa & receive_offloads;
    conf->txmode.offloads = info->tx_offload_capa & transmit_offloads;
    device->transmit_offloads = conf->txmode.offloads & ~RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    if (conf->txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM)
        device->device.transmit_flags |= FRAME_IP_CHECKSUM_PLEASE;
    if (conf->txmode.offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
        device->device.transmit_flags |= FRAME_UDP_CHECKSUM_PLEASE;
    if (device->device.queue_count > 1 && (info->flow_type_rss_offloads & rss_of_udp) != 0) {
        conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf->rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & rss_of_udp;
    }
    conf->intr_conf.lsc = (*info->dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
    conf->intr_conf.rmv = (*info->dev_flags & RTE_ETH_DEV_INTR_RMV) != 0;
    device->tells_link = conf->intr_conf.lsc != 0;
}

static int choose_descriptors(struct dpdk_device *device, const struct rte_eth_dev_info *info)
{
    uint16_t rx = info->default_rxportconf.ring_size, tx = info->default_txportconf.ring_size;
    device->receive_descriptors = rx != 0 ? rx : RECEIVE_DESCRIPTORS;
    device->transmit_descriptors = tx != 0 ? tx : TRANSMIT_DESCRIPTORS;
    return rte_eth_dev_adjust_nb_rx_tx_desc(device->port, &device->receive_descriptors, &device->transmit_descriptors);
}

static int setup_queues(const struct dpdk_device *device)
{
    int socket = rte_eth_dev_socket_id(device->port), result = 0;
    for (uint16_t i = 0; i < device->device.queue_count && result == 0; i++) {
        result = rte_eth_rx_queue_setup(device->port, i, device->receive_descriptors, (unsigned)socket, NULL,
                                        dpdk_queue_of(device->queues[i])->receive_pool);
        if (result == 0)
            result = rte_eth_tx_queue_setup(device->port, i, device->transmit_descriptors, (unsigned)socket, NULL);
    }
    return result;
}

int dpdk_port_start(struct dpdk_device *device)
{
    uint16_t queues = (uint16_t)device->device.queue_count;
    int result = rte_eth_dev_configure(device->port, queues, queues, &device->conf);
    if (result == 0)
        result = set_mtu(device);
    if (result == 0)
        result = setup_queues(device);
    if (result == 0)
        result = rte_eth_dev_start(device->port);
    device->started = result == 0;
    return result;
}

/* ---- Memory ---- */

/*
 * Where addresses for devices are virtual ones, buffers may cross pages. Without being told so, a memory pool on ordinary pages skips the rest
 * of each page: it takes twice the memory, and af_xdp, which tells the kernel the size of the pool as if all buffers stood
 * side by side, has its frames from the second half refused.
 */
static struct rte_mempool *create_pool(const char *name, uint32_t count, uint32_t bytes, int socket)
{
    unsigned flags = rte_eal_iova_mode() == RTE_IOVA_VA ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0;
    struct rte_pktmbuf_pool_private mbufs = {.mbuf_data_room_size = (uint16_t)bytes};
    struct rte_mempool *pool = rte_mempool_create_empty(name, count, (unsigned)sizeof(struct rte_mbuf) + bytes,
                                                        POOL_CACHE, sizeof mbufs, socket, flags);
    if (pool == NULL)
        return NULL;
    int result = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
    if (result == 0) {
        rte_pktmbuf_pool_init(pool, &mbufs);
        result = rte_mempool_populate_default(pool);
    }
    if (result < 0) {
        rte_mempool_free(pool);
        rte_errno = -result;
        return NULL;
    }
    (void)rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
    return pool;
}

static struct rte_mempool *new_pool(const struct dpdk_device *device, char kind, uint32_t queue, uint32_t descriptors,
                                    uint32_t bytes)
{
    char name[RTE_MEMPOOL_NAMESIZE];
    (void)snprintf(name, sizeof name, "%u-%c%u", device->port, kind, queue);
    return create_pool(name, pool_buffers(device->name, descriptors), bytes + RTE_PKTMBUF_HEADROOM,
                       rte_eth_dev_socket_id(device->port));
}

static int make_pools(struct dpdk_device *device, const struct nic_dpdk_config *config, char *error)
{
    uint32_t bytes = buffer_bytes(config->device, device->device.mtu);
    for (uint32_t i = 0; i < device->device.queue_count; i++) {
        struct dpdk_queue *queue = dpdk_queue_of(device->queues[i]);
        queue->receive_pool = new_pool(device, 'r', i, device->receive_descriptors, bytes);
        queue->transmit_pool = new_pool(device, 't', i, device->transmit_descriptors, bytes);
        if (queue->receive_pool == NULL || queue->transmit_pool == NULL)
            return dpdk_fail(error,
                             "no memory for the buffers of %u queues of %s (%s): give more huge pages or fewer workers",
                             device->device.queue_count, device->name, rte_strerror(rte_errno));
    }
    return 0;
}

/* ---- The whole ---- */

int dpdk_port_open(struct dpdk_device *device, const struct nic_dpdk_config *config, char *error)
{
    struct rte_eth_dev_info info;
    struct rte_ether_addr mac;
    char message[120];
    int result = rte_eth_dev_info_get(device->port, &info);
    if (result == 0)
        result = rte_eth_macaddr_get(device->port, &mac);
    if (result != 0)
        return dpdk_fail(error, "%s cannot be asked what it can: %s", device->name, strerror(-result));
    memcpy(device->device.mac, mac.addr_bytes, sizeof device->device.mac);
    choose_offloads(device, &info);
    if (check_queues(device, &info, error) < 0 || choose_mtu(device, config, &info, error) < 0)
        return -1;
    (void)choose_descriptors(device, &info);
    if (make_pools(device, config, error) < 0)
        return -1;
    dpdk_messages_capture();
    result = dpdk_port_start(device);
    dpdk_messages_take(message, sizeof message);
    if (result != 0 && !device->reconnects)
        return dpdk_fail(error, "%s does not start: %s%s%s%s", device->name, strerror(-result),
                         message[0] != '\0' ? ": " : "", message,
                         result == -EPERM ? " (machnetd needs CAP_NET_ADMIN, or to be root)" : "");
    return 0;
}

struct closing {
    const struct dpdk_device *device;
    sem_t done;
};

static void stop_and_close(void *argument)
{
    struct closing *closing = argument;
    if (closing->device->started)
        (void)rte_eth_dev_stop(closing->device->port);
    (void)rte_eth_dev_close(closing->device->port);
    (void)sem_post(&closing->done);
}

void dpdk_port_close(struct dpdk_device *device)
{
    struct closing closing = {.device = device};
    (void)sem_init(&closing.done, 0, 0);
    /* In DPDK's event thread, where memif may be taking its leave of the other side just now: both would free the same memory. */
    if (rte_eal_alarm_set(1, stop_and_close, &closing) != 0)
        stop_and_close(&closing);
    while (sem_wait(&closing.done) != 0)
        continue; /* EINTR */
    (void)sem_destroy(&closing.done);
    for (uint32_t i = 0; i < device->device.queue_count; i++) {
        struct dpdk_queue *queue = dpdk_queue_of(device->queues[i]);
        rte_mempool_free(queue->receive_pool);
        rte_mempool_free(queue->transmit_pool);
    }
}
