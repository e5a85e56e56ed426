/* SPDX-License-Identifier: MIT */
/*
 * What the files of the DPDK module share. No other file knows DPDK.
 *
 *   nic_dpdk.c        opening and closing
 *   nic_dpdk_eal.c    starting DPDK once, its messages
 *   nic_dpdk_find.c   from a device's name to a port, or to what is wrong with the name
 *   nic_dpdk_port.c   queues, offloads, MTU, buffers of a port
 *   nic_dpdk_event.c  link state, reset, removal
 *   nic_dpdk_queue.c  frames
 *   nic_dpdk_fds.c    the packet sockets behind a port
 *   nic_dpdk_memif.c  what memif needs when the other side leaves
 */
#ifndef MACHNET_ENGINE_NIC_NIC_DPDK_INTERNAL_H
#define MACHNET_ENGINE_NIC_NIC_DPDK_INTERNAL_H

#include <net/if.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "nic/device_name.h"
#include "nic/nic.h"
#include "nic/nic_dpdk.h"

enum {
    DPDK_QUEUES_MAX = 256,
    DPDK_FDS_MAX = 64,
    DPDK_PENDING_MAX = 256, /* frames queued between two flushes */
    DPDK_BUFFERS = 32,      /* Tx buffers are fetched so many at a time */
    DPDK_MTU_MAX = 9001,
    DPDK_MTU_DEFAULT = 1500,
    DPDK_FRAME_OVERHEAD = 14 + 4 + 4, /* Ethernet header, VLAN tag, FCS */
};

/*
 *            recovery wanted            all queues parked, reset or connected anew
 *   RUNNING -----------------> PARKING --------------------------------------------> RUNNING
 *                                 | removed, or the reset failed for good
 *                                 +--------------------------------> (stays PARKING)
 *
 * A queue that sees PARKING does not touch the port until it sees RUNNING, and says so in `parked`.
 */
enum dpdk_state { DPDK_RUNNING = 1, DPDK_PARKING };

struct dpdk_queue {
    struct frame_queue queue;
    struct rte_mempool *receive_pool, *transmit_pool; /* two: af_xdp corrupts frames that come from its Rx pool */
    bool registered;                                  /* the worker's thread, with DPDK: it has mempool caches then */
    uint32_t idle_polls;
    atomic_bool parked;
    atomic_bool bursting; /* over memif: the driver may touch the link's memory */
    uint32_t buffer_count, pending_count;
    struct rte_mbuf *buffers[DPDK_BUFFERS]; /* fetched, not yet used */
    struct rte_mbuf *pending[DPDK_PENDING_MAX];
    int fds[DPDK_FDS_MAX];
    uint32_t fd_count;
};

struct dpdk_device {
    struct frame_device device;
    char name[RTE_ETH_NAME_MAX_LEN]; /* for messages */
    char interface[IF_NAMESIZE];     /* the kernel's, under af_packet and af_xdp; "": none */
    uint16_t port;
    bool started, tells_link, memif;
    bool reconnects; /* a memif client: the driver tries to connect once, when it starts */
    struct rte_eth_conf conf;
    uint64_t transmit_offloads; /* RTE_MBUF_F_TX_* that the port takes, 0 if none */
    uint16_t receive_descriptors, transmit_descriptors;
    int control; /* a socket in the interface's network namespace, or -1 */
    atomic_int state;
    atomic_bool link;
    atomic_uint_least64_t link_checked_ns;
    atomic_uint_least64_t connected_ns; /* when the port last began to connect */
    /* Recovery runs in a thread of its own: neither DPDK's event thread nor a worker may wait. */
    pthread_t recovery;
    bool recovery_runs;
    sem_t recovery_wanted, restarted;
    atomic_bool closing, removed;
    struct frame_queue *queues[DPDK_QUEUES_MAX];
};

static inline struct dpdk_queue *dpdk_queue_of(struct frame_queue *queue)
{
    return (struct dpdk_queue *)(void *)((char *)queue - offsetof(struct dpdk_queue, queue));
}

static inline struct dpdk_device *dpdk_device_of(struct frame_device *device)
{
    return (struct dpdk_device *)(void *)((char *)device - offsetof(struct dpdk_device, device));
}

/* Writes a sentence into error[NIC_ERROR_BYTES]; returns -1. */
int dpdk_fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Starts DPDK; 0 also if it runs already. -1: error. */
int dpdk_eal_start(const struct nic_dpdk_config *config, char *error);
/* From now on error messages of DPDK are kept, not logged. */
void dpdk_messages_capture(void);
/* Ends that, and copies the last one into text[capacity]; "" if there was none. */
void dpdk_messages_take(char *text, size_t capacity);

/* Says what is wrong with a device that DPDK could not find, as far as the kernel's files tell: 0 nothing, -1 error. Before DPDK starts. */
int dpdk_check_device(const struct nic_dpdk_config *config, char *error);
/* Finds the port and fills in port, name, interface. 0 or -1. */
int dpdk_find_port(struct dpdk_device *device, const char *name, char *error);

/* Makes the memory pools, configures and starts the port. 0 or -1. A port that reconnects may not be started yet; events_start sees to it. */
int dpdk_port_open(struct dpdk_device *device, const struct nic_dpdk_config *config, char *error);
/* Configures and starts it again with what dpdk_port_open chose. 0, or a negative errno of DPDK. */
int dpdk_port_start(struct dpdk_device *device);
void dpdk_port_close(struct dpdk_device *device);
/* MiB that the pools of a device may need. */
uint32_t dpdk_port_megabytes(const struct nic_dpdk_config *config);

/* Starts and ends listening to the port's events. 0 or -1. */
int dpdk_events_start(struct dpdk_device *device, char *error);
void dpdk_events_stop(struct dpdk_device *device);
/* Takes one event as DPDK's thread tells it. */
int dpdk_event(uint16_t port, enum rte_eth_event_type event, void *device, void *result);
bool dpdk_link_up(const struct frame_device *device);
/* Looks at the link of a device that does not tell by itself, if the last look is long ago. */
void dpdk_link_look(struct dpdk_device *device);

/* Sockets of this process over which packets come (AF_PACKET, AF_XDP), ascending. */
struct dpdk_sockets {
    uint32_t count;
    int fds[DPDK_FDS_MAX];
};
void dpdk_sockets_list(struct dpdk_sockets *sockets);
/* Gives the queues those that are not in `before`: with one for each queue, the i-th to queue i, since the drivers open them in this order;
 * otherwise all to every queue. */
void dpdk_sockets_assign(struct dpdk_device *device, const struct dpdk_sockets *before);
/* A socket of an interface that went down is readable for ever, until it is asked why. */
void dpdk_sockets_clear_errors(const struct dpdk_queue *queue);

uint32_t dpdk_receive(struct frame_queue *queue, struct frame *frames, uint32_t max);
void dpdk_receive_done(struct frame_queue *queue, struct frame *frames, uint32_t count);
bool dpdk_transmit_buffer(struct frame_queue *queue, struct frame *frame);
void dpdk_transmit(struct frame_queue *queue, struct frame *frame);
void dpdk_transmit_cancel(struct frame_queue *queue, struct frame *frame);
void dpdk_flush(struct frame_queue *queue);
/* Gives back all buffers that the queue holds. */
void dpdk_queue_drain(struct dpdk_queue *queue);

/* From now on memory is unmapped only when no queue of `device` (memif; NULL: none) is between begin and end. */
void dpdk_memif_guard(struct dpdk_device *device);
void dpdk_memif_burst_begin(struct dpdk_queue *queue);
void dpdk_memif_burst_end(struct dpdk_queue *queue);

#endif /* MACHNET_ENGINE_NIC_NIC_DPDK_INTERNAL_H */
