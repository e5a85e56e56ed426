/* SPDX-License-Identifier: MIT */
#include "nic/nic_ethernet_internal.h"

#include <string.h>

enum { QUESTIONS_PER_TURN = 32 };

#define WAIT_NS UINT64_C(1500000000) /* longer than all questions take */
#define NAP_NS UINT64_C(1000000)     /* the answer may come in on another queue, whose worker does not wake ours */

/* ---- The table, shared with other queues ---- */

/* Call under the lock after what may have moved the generation. */
static void publish_generation(struct ether *ether)
{
    atomic_store_explicit(&ether->generation, neighbours_generation(ether->neighbours), memory_order_relaxed);
}

bool ether_hear(struct ether_queue *queue, uint32_t ip, const uint8_t mac[MAC_BYTES])
{
    struct ether *ether = queue->ether;
    pthread_mutex_lock(&ether->lock);
    bool asked = neighbours_answer(ether->neighbours, ip, mac, queue->queue.now_ns);
    publish_generation(ether);
    pthread_mutex_unlock(&ether->lock);
    return asked;
}

static void repeat_questions(struct ether_queue *queue)
{
    struct ether *ether = queue->ether;
    struct neighbour_question questions[QUESTIONS_PER_TURN];
    uint32_t count = 0;
    pthread_mutex_lock(&ether->lock);
    while (count < QUESTIONS_PER_TURN && neighbours_timeout(ether->neighbours, queue->queue.now_ns, &questions[count]))
        count++;
    publish_generation(ether);
    queue->ask_ns = neighbours_next_timeout(ether->neighbours);
    pthread_mutex_unlock(&ether->lock);
    for (uint32_t i = 0; i < count; i++)
        ether_ask(queue, &questions[i]);
}

static int resolve_anew(struct ether_queue *queue, struct ether_hop *hop, uint32_t destination, uint32_t source,
                        uint32_t *next_hop)
{
    struct ether *ether = queue->ether;
    struct neighbour_resolution resolution;
    *next_hop = routes_next_hop(&ether->routes, destination);
    if (*next_hop == 0)
        return ETHER_NO_ROUTE;
    pthread_mutex_lock(&ether->lock);
    int result = neighbours_resolve(ether->neighbours, *next_hop, source, queue->queue.now_ns, &resolution);
    uint32_t generation = queue->asked_generation = neighbours_generation(ether->neighbours);
    queue->ask_ns = neighbours_next_timeout(ether->neighbours);
    pthread_mutex_unlock(&ether->lock);
    if (resolution.ask)
        ether_ask(queue, &resolution.question);
    if (result == NEIGHBOUR_KNOWN) {
        *hop =
            (struct ether_hop){.valid_ns = resolution.valid_ns, .destination = destination, .generation = generation};
        memcpy(hop->mac, resolution.mac, MAC_BYTES);
    }
    return result;
}

/* ---- This queue's ---- */

/* Whatever is open is looked after by the queue that asked last, or repeated last: it has the earliest time in its timer. */
static void set_timer(struct ether_queue *queue)
{
    uint64_t at = queue->ask_ns;
    if (queue->waiting_count > 0 && at > queue->queue.now_ns + NAP_NS)
        at = queue->queue.now_ns + NAP_NS;
    queue->queue.timer_ns = at == UINT64_MAX ? 0 : at;
}

int ether_resolve(struct ether_queue *queue, uint32_t destination, uint32_t source, uint8_t mac[MAC_BYTES],
                  uint32_t *next_hop)
{
    struct ether_hop *hop = &queue->hops[(destination * UINT32_C(0x9e3779b1)) >> (32 - ETHER_CACHE_LOG2)];
    uint32_t generation = atomic_load_explicit(&queue->ether->generation, memory_order_relaxed);
    if (hop->destination != destination || hop->generation != generation || queue->queue.now_ns >= hop->valid_ns) {
        int result = resolve_anew(queue, hop, destination, source, next_hop);
        set_timer(queue);
        if (result != NEIGHBOUR_KNOWN)
            return result;
    }
    memcpy(mac, hop->mac, MAC_BYTES);
    return NEIGHBOUR_KNOWN;
}

/* ---- Packets that wait ---- */

void ether_wait(struct ether_queue *queue, const struct frame *frame, uint32_t next_hop, uint32_t destination,
                uint32_t source)
{
    uint32_t same = 0;
    for (uint32_t i = 0; i < queue->waiting_count; i++)
        same += queue->waiting[i].next_hop == next_hop;
    if (queue->waiting_count == ETHER_WAITING || same == ETHER_WAITING_PER_HOP) {
        queue->queue.counters.unresolved_drops++;
        return;
    }
    if (queue->waiting_count == 0)
        queue->waiting_generation = queue->asked_generation;
    struct ether_waiting *waiting = &queue->waiting[queue->waiting_count++];
    *waiting = (struct ether_waiting){.bytes = waiting->bytes,
                                      .length = frame->length,
                                      .flags = frame->flags,
                                      .next_hop = next_hop,
                                      .destination = destination,
                                      .source = source,
                                      .expires_ns = queue->queue.now_ns + WAIT_NS};
    memcpy(waiting->bytes, frame->data, frame->length);
    set_timer(queue);
}

static void send_waiting(struct ether_queue *queue, const struct ether_waiting *waiting, const uint8_t mac[MAC_BYTES])
{
    struct frame frame;
    if (!queue->frames->ops->transmit_buffer(queue->frames, &frame)) {
        queue->queue.counters.transmit_dropped++;
        return;
    }
    memcpy(frame.data, waiting->bytes, waiting->length);
    memcpy(frame.data, mac, MAC_BYTES);
    frame.length = waiting->length;
    frame.flags = waiting->flags;
    queue->frames->ops->transmit(queue->frames, &frame);
    queue->unflushed = true;
    queue->queue.counters.packets_sent++;
    queue->queue.counters.bytes_sent += waiting->length - UDP_HEADERS_BYTES;
}

/* True if the packet need not wait any more. */
static bool settle(struct ether_queue *queue, const struct ether_waiting *waiting)
{
    uint8_t mac[MAC_BYTES];
    uint32_t next_hop;
    int result = ether_resolve(queue, waiting->destination, waiting->source, mac, &next_hop);
    if (result == NEIGHBOUR_KNOWN) {
        send_waiting(queue, waiting, mac);
        return true;
    }
    if (result == NEIGHBOUR_ASKED && queue->queue.now_ns < waiting->expires_ns)
        return false;
    queue->queue.counters.unresolved_drops++;
    return true;
}

static void settle_all(struct ether_queue *queue)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < queue->waiting_count; i++) {
        if (settle(queue, &queue->waiting[i]))
            continue;
        struct ether_waiting stays = queue->waiting[i];
        queue->waiting[i] = queue->waiting[kept]; /* its bytes are free now, or it is the same */
        queue->waiting[kept++] = stays;
    }
    queue->waiting_count = kept;
}

void ether_hops_turn(struct ether_queue *queue)
{
    uint64_t now = queue->queue.now_ns;
    if (queue->queue.timer_ns == 0)
        return;
    if (now >= queue->ask_ns)
        repeat_questions(queue);
    if (queue->waiting_count > 0) {
        uint32_t generation = atomic_load_explicit(&queue->ether->generation, memory_order_relaxed);
        if (generation != queue->waiting_generation || now >= queue->waiting[0].expires_ns) {
            queue->waiting_generation = generation;
            settle_all(queue);
        }
    }
    set_timer(queue);
}
