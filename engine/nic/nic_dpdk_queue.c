/* SPDX-License-Identifier: MIT */
#include <assert.h>

#include <rte_lcore.h>
#include <rte_pause.h>
#include <rte_prefetch.h>

#include "nic/nic_dpdk_internal.h"

enum {
    STALLS_MAX = 16,    /* attempts in a row on which the port took nothing: then the frames are dropped */
    IDLE_POLLS_MAX = 64 /* after so many polls that found nothing, a look at what does not come as a frame */
};

static bool may_touch_port(struct dpdk_queue *queue)
{
    struct dpdk_device *device = dpdk_device_of(queue->queue.device);
    /* Pairs with the release in dpdk_event.c: the port is ready when RUNNING is seen. */
    if (__builtin_expect(atomic_load_explicit(&device->state, memory_order_acquire) == DPDK_RUNNING, 1))
        return true;
    atomic_store_explicit(&queue->parked, true, memory_order_release);
    return false;
}

/* A thread that DPDK knows has caches in the memory pools: taking and giving a buffer costs a few ns. */
static void register_thread(struct dpdk_queue *queue)
{
    queue->registered = true;
    if (rte_lcore_id() == LCORE_ID_ANY && rte_thread_register() < 0)
        log_debug("dpdk: no lcore for this thread: no caches");
}

static uint32_t receive_flags(uint64_t flags)
{
    uint32_t result = 0;
    if ((flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
        result |= FRAME_IP_CHECKSUM_GOOD;
    if ((flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
        result |= FRAME_UDP_CHECKSUM_GOOD;
    return result;
}

static void note_idle(struct dpdk_queue *queue)
{
    if (++queue->idle_polls < IDLE_POLLS_MAX)
        return;
    queue->idle_polls = 0;
    dpdk_sockets_clear_errors(queue);
    dpdk_link_look(dpdk_device_of(queue->queue.device));
}

static uint16_t receive_burst(struct dpdk_queue *queue, struct rte_mbuf **mbufs, uint16_t max)
{
    const struct dpdk_device *device = dpdk_device_of(queue->queue.device);
    if (device->memif)
        dpdk_memif_burst_begin(queue);
    uint16_t got = rte_eth_rx_burst(device->port, (uint16_t)queue->queue.index, mbufs, max);
    if (device->memif)
        dpdk_memif_burst_end(queue);
    return got;
}

uint32_t dpdk_receive(struct frame_queue *queue, struct frame *frames, uint32_t max)
{
    struct dpdk_queue *dpdk = dpdk_queue_of(queue);
    struct rte_mbuf *mbufs[NIC_BURST];
    if (!may_touch_port(dpdk))
        return 0;
    if (!dpdk->registered)
        register_thread(dpdk);
    uint16_t wanted = (uint16_t)(max < NIC_BURST ? max : NIC_BURST);
    uint16_t got = receive_burst(dpdk, mbufs, wanted);
    if (got == 0) {
        note_idle(dpdk);
        return 0;
    }
    dpdk->idle_polls = 0;
    uint32_t count = 0;
    for (uint16_t i = 0; i < got; i++) {
        struct rte_mbuf *mbuf = mbufs[i];
        rte_prefetch0(rte_pktmbuf_mtod(mbuf, void *));
        if (mbuf->nb_segs > 1 && rte_pktmbuf_linearize(mbuf) != 0) {
            queue->counters.receive_dropped++;
            rte_pktmbuf_free(mbuf);
            continue;
        }
        frames[count++] = (struct frame){
            .data = rte_pktmbuf_mtod(mbuf, uint8_t *),
            .length = rte_pktmbuf_data_len(mbuf),
            .capacity = rte_pktmbuf_data_len(mbuf),
            .flags = receive_flags(mbuf->ol_flags),
            .priv = mbuf,
        };
    }
    return count;
}

void dpdk_receive_done(struct frame_queue *queue, struct frame *frames, uint32_t count)
{
    (void)queue;
    for (uint32_t i = 0; i < count; i++)
        rte_pktmbuf_free(frames[i].priv);
}

bool dpdk_transmit_buffer(struct frame_queue *queue, struct frame *frame)
{
    struct dpdk_queue *dpdk = dpdk_queue_of(queue);
    if (dpdk->buffer_count == 0) {
        if (dpdk->pending_count == DPDK_PENDING_MAX)
            dpdk_flush(queue);
        if (rte_pktmbuf_alloc_bulk(dpdk->transmit_pool, dpdk->buffers, DPDK_BUFFERS) != 0)
            return false;
        dpdk->buffer_count = DPDK_BUFFERS;
    }
    struct rte_mbuf *mbuf = dpdk->buffers[--dpdk->buffer_count];
    *frame = (struct frame){
        .data = rte_pktmbuf_mtod(mbuf, uint8_t *),
        .capacity = rte_pktmbuf_tailroom(mbuf),
        .priv = mbuf,
    };
    return true;
}

void dpdk_transmit(struct frame_queue *queue, struct frame *frame)
{
    struct dpdk_queue *dpdk = dpdk_queue_of(queue);
    struct rte_mbuf *mbuf = frame->priv;
    assert(frame->data == rte_pktmbuf_mtod(mbuf, uint8_t *) && frame->length <= frame->capacity);
    mbuf->data_len = (uint16_t)frame->length;
    mbuf->pkt_len = frame->length;
    if (frame->flags & (FRAME_IP_CHECKSUM_PLEASE | FRAME_UDP_CHECKSUM_PLEASE)) {
        mbuf->l2_len = 14;
        mbuf->l3_len = 20;
        mbuf->ol_flags |= RTE_MBUF_F_TX_IPV4;
        if (frame->flags & FRAME_IP_CHECKSUM_PLEASE)
            mbuf->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
        if (frame->flags & FRAME_UDP_CHECKSUM_PLEASE)
            mbuf->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
    }
    if (dpdk->pending_count == DPDK_PENDING_MAX)
        dpdk_flush(queue);
    dpdk->pending[dpdk->pending_count++] = mbuf;
}

void dpdk_transmit_cancel(struct frame_queue *queue, struct frame *frame)
{
    struct dpdk_queue *dpdk = dpdk_queue_of(queue);
    if (dpdk->buffer_count < DPDK_BUFFERS)
        dpdk->buffers[dpdk->buffer_count++] = frame->priv;
    else
        rte_pktmbuf_free(frame->priv);
}

static void drop_pending(struct dpdk_queue *queue, uint32_t from)
{
    queue->queue.counters.transmit_dropped += queue->pending_count - from;
    for (uint32_t i = from; i < queue->pending_count; i++)
        rte_pktmbuf_free(queue->pending[i]);
    queue->pending_count = 0;
}

void dpdk_flush(struct frame_queue *queue)
{
    struct dpdk_queue *dpdk = dpdk_queue_of(queue);
    struct dpdk_device *device = dpdk_device_of(queue->device);
    uint32_t sent = 0, stalls = 0;
    if (dpdk->pending_count == 0)
        return;
    if (!may_touch_port(dpdk)) {
        drop_pending(dpdk, 0);
        return;
    }
    if (device->memif)
        dpdk_memif_burst_begin(dpdk);
    while (sent < dpdk->pending_count && stalls < STALLS_MAX) {
        uint16_t left = (uint16_t)(dpdk->pending_count - sent);
        if (device->transmit_offloads != 0) /* drivers that offload want to see their packets first */
            left = rte_eth_tx_prepare(device->port, (uint16_t)queue->index, dpdk->pending + sent, left);
        uint16_t taken = rte_eth_tx_burst(device->port, (uint16_t)queue->index, dpdk->pending + sent, left);
        sent += taken;
        stalls = taken > 0 ? 0 : stalls + 1;
        if (taken == 0)
            rte_pause();
    }
    if (device->memif)
        dpdk_memif_burst_end(dpdk);
    drop_pending(dpdk, sent);
}

void dpdk_queue_drain(struct dpdk_queue *queue)
{
    drop_pending(queue, 0);
    rte_pktmbuf_free_bulk(queue->buffers, queue->buffer_count);
    queue->buffer_count = 0;
}
