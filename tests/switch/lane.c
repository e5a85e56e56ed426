/* SPDX-License-Identifier: MIT */
#include "switch/lane.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum {
    HELD_MAX = 16384,
    REORDER_NS_MIN = 20000, /* held back so long: others pass if there are any */
    REORDER_NS_MAX = 1000000,
    ETHERNET = 14,
    IPV4_MIN = 20,
    UDP = 17,
};

struct held {
    struct heap_timer timer;
    uint32_t length;
    uint8_t bytes[];
};

static struct held *held_of(struct heap_timer *timer)
{
    return (struct held *)(void *)((char *)timer - offsetof(struct held, timer));
}

void lane_init(struct lane *lane, const struct lane_config *config, struct memif *to, uint64_t seed, uint64_t now)
{
    *lane = (struct lane){.config = config, .to = to};
    prng_init(&lane->prng, seed);
    prng_fill(&lane->prng, lane->key, sizeof lane->key);
    lane->rehash_at = config->rehash_ns != 0 ? now + config->rehash_ns : UINT64_MAX;
}

static void drop_held(struct lane *lane, struct held *held)
{
    heap_remove(&lane->held, &held->timer);
    free(held);
}

void lane_fini(struct lane *lane)
{
    struct heap_timer *first;
    while ((first = heap_first(&lane->held)) != NULL)
        drop_held(lane, held_of(first));
    heap_fini(&lane->held);
}

/* ---- Which queue ---- */

static bool is_ipv4(const uint8_t *frame, uint32_t length)
{
    return length >= ETHERNET + IPV4_MIN && frame[12] == 0x08 && frame[13] == 0x00;
}

/* Addresses, ports (0 if there are none) and protocol, as they stand in the frame. */
static void read_tuple(const uint8_t *frame, uint32_t length, uint8_t tuple[13])
{
    const uint8_t *ip = frame + ETHERNET;
    const uint32_t header = (ip[0] & 0xfu) * 4u;
    memcpy(tuple, ip + 12, 8);
    memset(tuple + 8, 0, 4);
    if (ip[9] == UDP && length >= ETHERNET + header + 4)
        memcpy(tuple + 8, ip + header, 4);
    tuple[12] = ip[9];
}

static uint32_t choose_queue(struct lane *lane, const uint8_t *frame, uint32_t length, uint32_t queues)
{
    uint8_t tuple[13];
    if (lane->config->hash == LANE_HASH_PACKET)
        return (uint32_t)prng_below(&lane->prng, queues);
    if (!is_ipv4(frame, length))
        return 0;
    read_tuple(frame, length, tuple);
    return toeplitz_hash(lane->key, tuple, sizeof tuple) % queues;
}

static void deliver(struct lane *lane, const uint8_t *frame, uint32_t length)
{
    const uint32_t queues = memif_transmit_queues(lane->to);
    if (queues == 0) {
        lane->counters.unconnected++;
        return;
    }
    const uint32_t queue = choose_queue(lane, frame, length, queues);
    if (!memif_transmit(lane->to, queue, frame, length)) {
        lane->counters.full++;
        return;
    }
    lane->counters.delivered++;
    lane->by_queue[queue % LANE_QUEUES_SHOWN]++;
}

/* ---- What happens on the way ---- */

static void hold(struct lane *lane, const uint8_t *frame, uint32_t length, uint64_t at)
{
    struct held *held = lane->held.count < HELD_MAX ? malloc(sizeof *held + length) : NULL;
    if (held == NULL || !heap_add(&lane->held, &held->timer, 0)) {
        free(held);
        lane->counters.full++;
        return;
    }
    held->length = length;
    memcpy(held->bytes, frame, length);
    heap_set(&lane->held, &held->timer, at);
}

static void send_on(struct lane *lane, const uint8_t *frame, uint32_t length, uint64_t now)
{
    const struct lane_config *config = lane->config;
    if (prng_chance(&lane->prng, config->reorder)) {
        lane->counters.reordered++;
        hold(lane, frame, length, now + config->delay_ns + prng_between(&lane->prng, REORDER_NS_MIN, REORDER_NS_MAX));
    } else if (config->delay_ns > 0) {
        const uint64_t at = now + config->delay_ns;
        lane->last_at = at > lane->last_at ? at : lane->last_at + 1; /* a heap does not keep the order of equal times */
        hold(lane, frame, length, lane->last_at);
    } else {
        deliver(lane, frame, length);
    }
}

static void corrupt(struct lane *lane, uint8_t *frame, uint32_t length)
{
    const uint64_t bit = prng_below(&lane->prng, (uint64_t)(length - ETHERNET) * 8);
    frame[ETHERNET + bit / 8] ^= (uint8_t)(1u << bit % 8);
    lane->counters.corrupted++;
}

static void rehash(struct lane *lane, uint64_t now)
{
    prng_fill(&lane->prng, lane->key, sizeof lane->key);
    lane->rehash_at = now + lane->config->rehash_ns;
    lane->counters.rehashes++;
}

void lane_forward(struct lane *lane, uint8_t *frame, uint32_t length, uint64_t now)
{
    const struct lane_config *config = lane->config;
    lane->counters.frames++;
    if (now >= lane->rehash_at)
        rehash(lane, now);
    if (prng_chance(&lane->prng, config->drop)) {
        lane->counters.dropped++;
        return;
    }
    const bool twice = prng_chance(&lane->prng, config->repeat);
    if (twice) {
        lane->counters.repeated++;
        send_on(lane, frame, length, now);
    }
    if (prng_chance(&lane->prng, config->corrupt) && is_ipv4(frame, length))
        corrupt(lane, frame, length);
    send_on(lane, frame, length, now);
}

uint32_t lane_release(struct lane *lane, uint64_t now)
{
    struct heap_timer *first;
    uint32_t count = 0;
    for (; (first = heap_first(&lane->held)) != NULL && first->at <= now; count++) {
        struct held *held = held_of(first);
        deliver(lane, held->bytes, held->length);
        drop_held(lane, held);
    }
    return count;
}

uint64_t lane_due(const struct lane *lane)
{
    const struct heap_timer *first = heap_first(&lane->held);
    return first != NULL ? first->at : HEAP_NEVER;
}

void lane_print(const struct lane *lane, FILE *out)
{
    fprintf(out, "{");
#define X(name) fprintf(out, "\"" #name "\": %" PRIu64 ", ", lane->counters.name);
    LANE_COUNTERS(X)
#undef X
    fprintf(out, "\"by_queue\": [");
    uint32_t used = LANE_QUEUES_SHOWN;
    while (used > 1 && lane->by_queue[used - 1] == 0)
        used--;
    for (uint32_t i = 0; i < used; i++)
        fprintf(out, "%s%" PRIu64, i > 0 ? ", " : "", lane->by_queue[i]);
    fprintf(out, "]}");
}
