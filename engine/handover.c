/* SPDX-License-Identifier: MIT */
#include "handover.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "wire/wire.h"

enum { LINE = 128, RING_BYTES_MAX = 1 << 20, RING_BYTES_MIN = 1 << 16, RING_BYTES_ALL = 1 << 26, RECORD_ALIGN = 16 };

/*
 * A ring. Positions only grow; a byte's place is its position modulo `bytes`.
 *
 *   head <= read <= tail <= written <= head + bytes
 *
 *   [head, read)     taken, and still with the consumer
 *   [read, tail)     published
 *   [tail, written)  put and not published
 *   the rest         free
 *
 * Each of these is a sequence of records, each at a multiple of RECORD_ALIGN and without a break: where one does not fit before the end
 * of the bytes, a FILLER stands there instead, and it comes at the beginning. `tail` is stored (release) by the producer,
 * which makes the records below it visible to who loads it (acquire); `head` just so by the consumer, for the space below it.
 */
struct ring {
    /* The producer's. `bytes` and `mask` are constant. */
    alignas(LINE) _Atomic uint64_t tail;
    uint64_t written;
    uint64_t head_seen; /* <= head */
    uint8_t *bytes;
    uint64_t mask;
    /* The consumer's. */
    alignas(LINE) _Atomic uint64_t head;
    uint64_t read;
    uint64_t tail_seen; /* <= tail */
};

struct record {
    uint16_t kind;   /* enum handover_kind, or FILLER; the rest of a filler is not written */
    uint16_t length; /* of the bytes behind the record */
    uint16_t local_port, remote_port;
    uint8_t local_ip[16], remote_ip[16];
};
enum { FILLER = UINT16_MAX };

static_assert(sizeof(struct record) == 40, "no padding");
static_assert(WIRE_PACKET_MAX <= UINT16_MAX, "lengths fit");

/* Where a worker is called. Bit i of the masks stands for the ring from worker i. */
struct inbox {
    /* Who has published: set (release) after the tail, taken (acquire) before it is loaded. So what is published is in `pending`, in
     * `nonempty`, or just being looked at. */
    alignas(LINE) _Atomic uint64_t pending;
    _Atomic bool asleep;
    /* The worker's own. */
    alignas(LINE) uint64_t nonempty; /* rings that may hold more */
    uint64_t taken;                  /* rings with read > head */
    uint32_t next;                   /* whose turn it is, so that no ring starves */
    int event;
};

struct outbox {
    alignas(LINE) uint64_t unpublished; /* rings with written > tail */
};

struct handover {
    uint32_t workers;
    struct inbox inboxes[HANDOVER_WORKERS_MAX];
    struct outbox outboxes[HANDOVER_WORKERS_MAX];
    struct ring rings[]; /* from * workers + to */
};

static struct ring *ring_of(struct handover *handover, uint32_t from, uint32_t to)
{
    assert(from < handover->workers && to < handover->workers && from != to);
    return &handover->rings[from * handover->workers + to];
}

/* ---- Beginning and end ---- */

static uint32_t choose_bytes(uint32_t workers)
{
    uint32_t bytes = RING_BYTES_MAX;
    while (bytes > RING_BYTES_MIN && (uint64_t)bytes * workers * workers > RING_BYTES_ALL)
        bytes /= 2;
    return bytes;
}

static bool ring_init(struct ring *ring, uint32_t bytes)
{
    ring->bytes = aligned_alloc(LINE, bytes);
    ring->mask = bytes - 1;
    return ring->bytes != NULL;
}

struct handover *handover_new(uint32_t workers, uint32_t ring_bytes)
{
    assert(workers > 0 && workers <= HANDOVER_WORKERS_MAX);
    size_t size = sizeof(struct handover) + (size_t)workers * workers * sizeof(struct ring);
    struct handover *handover = aligned_alloc(LINE, size);
    if (handover == NULL)
        return NULL;
    memset(handover, 0, size);
    handover->workers = workers;
    uint32_t bytes = ring_bytes != 0 ? ring_bytes : choose_bytes(workers);
    assert((bytes & (bytes - 1)) == 0 && bytes >= 2 * (sizeof(struct record) + WIRE_PACKET_MAX + RECORD_ALIGN));
    bool made = true;
    for (uint32_t i = 0; i < workers; i++) {
        handover->inboxes[i].event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        made = made && handover->inboxes[i].event >= 0;
        for (uint32_t j = 0; j < workers; j++)
            made = made && (i == j || ring_init(ring_of(handover, i, j), bytes));
    }
    if (!made) {
        handover_free(handover);
        return NULL;
    }
    return handover;
}

void handover_free(struct handover *handover)
{
    if (handover == NULL)
        return;
    for (uint32_t i = 0; i < handover->workers; i++) {
        if (handover->inboxes[i].event >= 0)
            close(handover->inboxes[i].event);
    }
    for (uint32_t i = 0; i < handover->workers * handover->workers; i++)
        free(handover->rings[i].bytes);
    free(handover);
}

uint32_t handover_workers(const struct handover *handover)
{
    return handover->workers;
}

/* ---- The producer's end ---- */

static uint64_t record_bytes(uint32_t length)
{
    return (sizeof(struct record) + length + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}

static bool has_room(struct ring *ring, uint64_t bytes)
{
    uint64_t end = ring->written + bytes;
    if (end - ring->head_seen <= ring->mask + 1)
        return true;
    ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire); /* pairs with handover_done */
    return end - ring->head_seen <= ring->mask + 1;
}

bool handover_put(struct handover *handover, uint32_t from, uint32_t to, enum handover_kind kind,
                  const struct nic_packet *packet)
{
    assert(packet->length <= WIRE_PACKET_MAX);
    struct ring *ring = ring_of(handover, from, to);
    uint64_t bytes = record_bytes(packet->length);
    uint64_t to_end = ring->mask + 1 - (ring->written & ring->mask);
    uint64_t fill = bytes > to_end ? to_end : 0;
    if (!has_room(ring, fill + bytes))
        return false;
    if (fill > 0) { /* at least RECORD_ALIGN bytes: enough for the kind */
        memcpy(ring->bytes + (ring->written & ring->mask), &(uint16_t){FILLER}, sizeof(uint16_t));
        ring->written += fill;
    }
    struct record record = {.kind = (uint16_t)kind,
                            .length = (uint16_t)packet->length,
                            .local_port = packet->local.port,
                            .remote_port = packet->remote.port};
    memcpy(record.local_ip, packet->local.ip, sizeof record.local_ip);
    memcpy(record.remote_ip, packet->remote.ip, sizeof record.remote_ip);
    uint8_t *place = ring->bytes + (ring->written & ring->mask);
    memcpy(place, &record, sizeof record);
    memcpy(place + sizeof record, packet->data, packet->length);
    ring->written += bytes;
    handover->outboxes[from].unpublished |= UINT64_C(1) << to;
    return true;
}

void handover_publish(struct handover *handover, uint32_t from)
{
    struct outbox *outbox = &handover->outboxes[from];
    while (outbox->unpublished != 0) {
        uint32_t to = (uint32_t)__builtin_ctzll(outbox->unpublished);
        struct ring *ring = ring_of(handover, from, to);
        struct inbox *inbox = &handover->inboxes[to];
        outbox->unpublished &= outbox->unpublished - 1;
        atomic_store_explicit(&ring->tail, ring->written, memory_order_release);
        /* Both seq_cst, as in handover_sleep: either we see that it sleeps, or it sees what we have published. */
        atomic_fetch_or_explicit(&inbox->pending, UINT64_C(1) << from, memory_order_seq_cst);
        if (atomic_load_explicit(&inbox->asleep, memory_order_seq_cst) &&
            atomic_exchange_explicit(&inbox->asleep, false, memory_order_relaxed))
            (void)!eventfd_write(inbox->event, 1);
    }
}

/* ---- The consumer's end ---- */

/* The next record, or NULL: there is none published. */
static const uint8_t *next_record(struct ring *ring, struct record *record)
{
    for (;;) {
        if (ring->read == ring->tail_seen) {
            ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire); /* pairs with handover_publish */
            if (ring->read == ring->tail_seen)
                return NULL;
        }
        const uint8_t *place = ring->bytes + (ring->read & ring->mask);
        memcpy(&record->kind, place, sizeof record->kind);
        if (record->kind != FILLER) {
            memcpy(record, place, sizeof *record);
            ring->read += record_bytes(record->length);
            return place + sizeof *record;
        }
        ring->read += ring->mask + 1 - (ring->read & ring->mask);
    }
}

static bool take_item(struct ring *ring, struct handover_item *item)
{
    struct record record;
    const uint8_t *data = next_record(ring, &record);
    if (data == NULL)
        return false;
    struct nic_packet *packet = &item->packet;
    item->kind = (enum handover_kind)record.kind;
    *packet = (struct nic_packet){
        .data = (uint8_t *)(uintptr_t)data,
        .length = record.length,
        .local.port = record.local_port,
        .remote.port = record.remote_port,
    };
    memcpy(packet->local.ip, record.local_ip, sizeof record.local_ip);
    memcpy(packet->remote.ip, record.remote_ip, sizeof record.remote_ip);
    return true;
}

/* The first ring in turn that may hold something. */
static uint32_t ring_in_turn(const struct inbox *inbox)
{
    uint64_t in_turn = inbox->nonempty & ~UINT64_C(0) << inbox->next;
    return (uint32_t)__builtin_ctzll(in_turn != 0 ? in_turn : inbox->nonempty);
}

uint32_t handover_take(struct handover *handover, uint32_t to, struct handover_item *items, uint32_t max)
{
    struct inbox *inbox = &handover->inboxes[to];
    uint32_t count = 0;
    if (atomic_load_explicit(&inbox->pending, memory_order_relaxed) != 0)
        inbox->nonempty |= atomic_exchange_explicit(&inbox->pending, 0, memory_order_acquire);
    while (inbox->nonempty != 0 && count < max) {
        uint32_t from = ring_in_turn(inbox);
        struct ring *ring = ring_of(handover, from, to);
        inbox->taken |= UINT64_C(1) << from;
        inbox->next = (from + 1) % HANDOVER_WORKERS_MAX;
        while (count < max && take_item(ring, &items[count]))
            count++;
        if (count < max)
            inbox->nonempty &= ~(UINT64_C(1) << from);
    }
    return count;
}

void handover_done(struct handover *handover, uint32_t to)
{
    struct inbox *inbox = &handover->inboxes[to];
    for (; inbox->taken != 0; inbox->taken &= inbox->taken - 1) {
        struct ring *ring = ring_of(handover, (uint32_t)__builtin_ctzll(inbox->taken), to);
        atomic_store_explicit(&ring->head, ring->read, memory_order_release); /* pairs with has_room */
    }
}

int handover_fd(const struct handover *handover, uint32_t to)
{
    return handover->inboxes[to].event;
}

bool handover_sleep(struct handover *handover, uint32_t to)
{
    struct inbox *inbox = &handover->inboxes[to];
    if (inbox->nonempty != 0)
        return false;
    atomic_store_explicit(&inbox->asleep, true, memory_order_seq_cst);
    if (atomic_load_explicit(&inbox->pending, memory_order_seq_cst) == 0)
        return true;
    atomic_store_explicit(&inbox->asleep, false, memory_order_relaxed);
    return false;
}

void handover_awake(struct handover *handover, uint32_t to)
{
    atomic_store_explicit(&handover->inboxes[to].asleep, false, memory_order_relaxed);
}
