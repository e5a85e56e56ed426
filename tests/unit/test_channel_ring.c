/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>

#include "channel/ring.h"

enum { CAPACITY = 8 };

static _Alignas(MN_LINE) uint8_t memory[4 * MN_LINE + CAPACITY * sizeof(uint64_t)];
static const struct mn_ring_place place = {.offset = 0, .capacity = CAPACITY, .entry_bytes = sizeof(uint64_t)};
static struct mn_ring producer, consumer;

static void bind_both(void)
{
    memset(memory, 0, sizeof(memory));
    mn_ring_bind_producer(&producer, memory, &place);
    mn_ring_bind_consumer(&consumer, memory, &place);
}

TestSuite(ring, .init = bind_both);

static void put(uint64_t value)
{
    cr_assert_gt(mn_ring_space(&producer, 1), 0);
    memcpy(mn_ring_entry(&producer, 0), &value, sizeof(value));
    mn_ring_advance(&producer, 1);
}

static uint64_t get(void)
{
    uint64_t value;
    cr_assert_gt(mn_ring_ready(&consumer), 0);
    memcpy(&value, mn_ring_entry(&consumer, 0), sizeof(value));
    mn_ring_advance(&consumer, 1);
    return value;
}

Test(ring, bind__keeps_indices_on_lines_of_their_own)
{
    cr_assert_eq((uint8_t *)producer.mine, memory);
    cr_assert_eq((uint8_t *)consumer.mine, memory + 2 * MN_LINE);
    cr_assert_eq(producer.mine, consumer.theirs);
    cr_assert_eq(producer.theirs, consumer.mine);
    cr_assert_eq(producer.entries, memory + 4 * MN_LINE);
    cr_assert_eq(producer.entries, consumer.entries);
}

Test(ring, ready__shows_only_what_is_published)
{
    put(1);
    cr_assert_eq(mn_ring_ready(&consumer), 0);
    mn_ring_publish(&producer);
    cr_assert_eq(mn_ring_ready(&consumer), 1);
    cr_assert_eq(get(), 1);
    cr_assert_eq(mn_ring_ready(&consumer), 0);
}

Test(ring, space__comes_back_only_when_published)
{
    for (uint64_t i = 0; i < CAPACITY; i++)
        put(i);
    cr_assert_eq(mn_ring_space(&producer, 1), 0);
    mn_ring_publish(&producer);
    for (uint64_t i = 0; i < 3; i++)
        cr_assert_eq(get(), i);
    cr_assert_eq(mn_ring_space(&producer, 1), 0);
    mn_ring_publish(&consumer);
    cr_assert_eq(mn_ring_space(&producer, 1), 3);
}

Test(ring, space__looks_at_the_peer_only_for_want_of_more)
{
    for (uint64_t i = 0; i < 6; i++)
        put(i);
    mn_ring_publish(&producer);
    (void)get();
    mn_ring_publish(&consumer);
    cr_assert_eq(mn_ring_space(&producer, 2), 2);
    cr_assert_eq(mn_ring_space(&producer, 3), 3);
}

Test(ring, entry__reaches_ahead_and_around)
{
    for (uint64_t i = 0; i < 6; i++)
        put(i);
    mn_ring_publish(&producer);
    for (uint64_t i = 0; i < 6; i++)
        cr_assert_eq(get(), i);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(mn_ring_entry(&producer, i), memory + 4 * MN_LINE + (6 + i) % CAPACITY * sizeof(uint64_t));
}

Test(ring, indices__wrap_at_32_bits)
{
    producer.next = producer.cached = consumer.next = consumer.cached = UINT32_MAX - 3;
    mn_ring_publish(&producer);
    mn_ring_publish(&consumer);
    for (uint64_t i = 0; i < 100; i++) {
        for (uint64_t j = 0; j < CAPACITY; j++)
            put(i + j);
        cr_assert_eq(mn_ring_space(&producer, 1), 0);
        mn_ring_publish(&producer);
        cr_assert_eq(mn_ring_ready(&consumer), CAPACITY);
        for (uint64_t j = 0; j < CAPACITY; j++)
            cr_assert_eq(get(), i + j);
        mn_ring_publish(&consumer);
    }
}

Test(ring, ready__is_broken_by_an_index_too_far_ahead_or_behind)
{
    const uint32_t bad[] = {CAPACITY + 1, UINT32_C(1) << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        atomic_store(consumer.theirs, bad[i]);
        cr_assert_eq(mn_ring_ready(&consumer), MN_RING_BROKEN);
        cr_assert_eq(mn_ring_ready(&consumer), MN_RING_BROKEN, "a broken index is not remembered as good");
    }
    atomic_store(consumer.theirs, CAPACITY);
    cr_assert_eq(mn_ring_ready(&consumer), CAPACITY);
}

Test(ring, space__is_broken_by_an_index_too_far_ahead_or_behind)
{
    for (uint64_t i = 0; i < CAPACITY; i++)
        put(i);
    const uint32_t bad[] = {CAPACITY + 1, UINT32_C(1) << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        atomic_store(producer.theirs, bad[i]);
        cr_assert_eq(mn_ring_space(&producer, 1), MN_RING_BROKEN);
        cr_assert_eq(mn_ring_space(&producer, 1), MN_RING_BROKEN, "a broken index is not remembered as good");
    }
}

enum { TRANSFERS = 200000 };

static void *produce(void *unused)
{
    for (uint64_t i = 0; i < TRANSFERS;) {
        int64_t space = mn_ring_space(&producer, 1);
        for (; space > 0 && i < TRANSFERS; space--, i++)
            put(i * UINT64_C(0x9e3779b97f4a7c15));
        mn_ring_publish(&producer);
        sched_yield();
    }
    return unused;
}

/* Under the thread sanitizer this also shows that entries are ordered by the indices alone. */
Test(ring, two_threads__hand_over_every_entry_in_order)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, produce, NULL), 0);
    for (uint64_t i = 0; i < TRANSFERS;) {
        for (int64_t ready = mn_ring_ready(&consumer); ready > 0; ready--, i++)
            cr_assert_eq(get(), i * UINT64_C(0x9e3779b97f4a7c15));
        mn_ring_publish(&consumer);
        sched_yield();
    }
    pthread_join(thread, NULL);
    cr_assert_eq(mn_ring_ready(&consumer), 0);
}
