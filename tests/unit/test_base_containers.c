/* SPDX-License-Identifier: MIT */
/* Pool, deque and heap against the simplest models of them; SipHash against its published vectors. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/deque.h"
#include "base/heap.h"
#include "base/pool.h"
#include "base/prng.h"
#include "base/hash_index.h"
#include "base/siphash.h"

Test(pool_take, gives_back_what_was_kept)
{
    struct pool pool;
    pool_init(&pool, 1024);
    void *a = pool_take(&pool, 9), *b = pool_take(&pool, 9);
    pool_give(&pool, a, 9);
    cr_assert_eq(pool.kept_bytes, 512);
    cr_assert_eq(pool_take(&pool, 9), a);
    cr_assert_eq(pool.kept_bytes, 0);
    pool_give(&pool, a, 9);
    pool_give(&pool, b, 9);
    pool_give(&pool, pool_take(&pool, 10), 10);
    cr_assert_eq(pool.kept_bytes, 1024, "no more than it may keep");
    cr_assert_null(pool_take(&pool, POOL_LOG2_MAX + 1));
    pool_fini(&pool);
}

Test(pool_log2, rounds_up)
{
    cr_assert_eq(pool_log2(0), POOL_LOG2_MIN);
    cr_assert_eq(pool_log2(64), 6);
    cr_assert_eq(pool_log2(65), 7);
    cr_assert_eq(pool_log2(4096), 12);
    cr_assert_eq(pool_log2(UINT64_MAX), 63);
}

/* An element holds its number in an odd size. */
struct element {
    uint64_t number;
    uint8_t rest[12];
};

Test(deque_push, keeps_elements_by_number)
{
    struct pool pool;
    struct prng prng;
    struct deque deque = {0};
    uint64_t next = 0;
    pool_init(&pool, 1 << 20);
    prng_init(&prng, 7);
    for (int step = 0; step < 20000; step++) {
        uint32_t add = (uint32_t)prng_below(&prng, 40), drop = (uint32_t)prng_below(&prng, 41);
        cr_assert(deque_reserve(&deque, &pool, add, sizeof(struct element)));
        for (uint32_t i = 0; i < add; i++) {
            ((struct element *)deque_push(&deque, sizeof(struct element)))->number = next++;
        }
        cr_assert_eq(deque_end(&deque), next);
        for (uint64_t n = deque.base; n < deque_end(&deque); n += 1 + deque_count(&deque) / 4) {
            cr_assert_eq(((struct element *)deque_at(&deque, n, sizeof(struct element)))->number, n);
        }
        deque_drop(&deque, drop < deque.count ? drop : deque.count);
        if (deque_count(&deque) == 0) {
            deque_reset(&deque, &pool, sizeof(struct element));
            cr_assert_null(deque.slots);
        }
    }
    deque_reset(&deque, &pool, sizeof(struct element));
    pool_fini(&pool);
}

Test(deque_cut, takes_the_newest_out)
{
    struct pool pool;
    struct deque deque = {0};
    pool_init(&pool, 1 << 20);
    deque_skip(&deque);
    cr_assert_eq(deque_end(&deque), 1);
    cr_assert(deque_reserve(&deque, &pool, 20, sizeof(struct element)));
    for (uint64_t n = 1; n <= 20; n++) {
        ((struct element *)deque_push(&deque, sizeof(struct element)))->number = n;
    }
    deque_drop(&deque, 3);
    deque_cut(&deque, 6);
    cr_assert_eq(deque_count(&deque), 2);
    cr_assert_not(deque_holds(&deque, 3));
    cr_assert(deque_holds(&deque, 4) && deque_holds(&deque, 5));
    cr_assert_not(deque_holds(&deque, 6));
    cr_assert_eq(((struct element *)deque_at(&deque, 5, sizeof(struct element)))->number, 5);
    ((struct element *)deque_push(&deque, sizeof(struct element)))->number = 6;
    cr_assert_eq(deque_end(&deque), 7);
    deque_reset(&deque, &pool, sizeof(struct element));
    cr_assert_eq(deque.base, 7);
    pool_fini(&pool);
}

enum { TIMERS = 200 };

static uint64_t earliest(const struct heap_timer *timers)
{
    uint64_t at = HEAP_NEVER;
    for (int i = 0; i < TIMERS; i++) {
        at = timers[i].at < at ? timers[i].at : at;
    }
    return at;
}

Test(heap_set, first_is_the_earliest)
{
    struct heap heap = {0};
    struct heap_timer timers[TIMERS];
    struct prng prng;
    prng_init(&prng, 11);
    for (int i = 0; i < TIMERS; i++) {
        cr_assert(heap_add(&heap, &timers[i], 3));
    }
    for (int step = 0; step < 20000; step++) {
        struct heap_timer *timer = &timers[prng_below(&prng, TIMERS)];
        heap_set(&heap, timer, prng_chance(&prng, 300000) ? HEAP_NEVER : prng_below(&prng, 1000));
        const struct heap_timer *first = heap_first(&heap);
        cr_assert_eq(first ? first->at : HEAP_NEVER, earliest(timers));
    }
    for (int i = 0; i < TIMERS; i++) {
        heap_remove(&heap, &timers[i]);
    }
    cr_assert_null(heap_first(&heap));
    cr_assert_eq(heap.members, 0);
    heap_fini(&heap);
}

/* The first of the vectors of the reference implementation: key 00 .. 0f, messages 00 01 02 ... */
Test(siphash, published_vectors)
{
    static const uint64_t expected[] = {
        UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd), UINT64_C(0x0d6c8009d9a94f5a),
        UINT64_C(0x85676696d7fb7e2d), UINT64_C(0xcf2794e0277187b7), UINT64_C(0x18765564cd99a68d),
        UINT64_C(0xcbc9466e58fee3ce), UINT64_C(0xab0200f58b01d137), UINT64_C(0x93f5f5799a932462),
    };
    const struct siphash_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    uint8_t message[16];
    for (uint8_t i = 0; i < sizeof message; i++) {
        message[i] = i;
    }
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        cr_assert_eq(siphash(&key, message, i), expected[i], "%zu bytes", i);
    }
}

/* The values are CPython 3.11's hash(bytes(range(n))) with PYTHONHASHSEED=0, which is SipHash-1-3 under a key of zeros. */
Test(siphash_place, as_another_program_has_it)
{
    static const struct {
        size_t length;
        uint64_t value;
    } expected[] = {
        {1, UINT64_C(0x68a914128e01e473)}, {4, UINT64_C(0x7cc43f98813e4dbd)},  {7, UINT64_C(0x2f098ab0c751325a)},
        {8, UINT64_C(0xead411e67ebe2eea)}, {12, UINT64_C(0xa6baf4fb0f9fe1c2)}, {16, UINT64_C(0x8972188433a5c5b7)},
    };
    const struct siphash_key key = {0, 0};
    uint8_t message[16];
    for (uint8_t i = 0; i < sizeof message; i++) {
        message[i] = i;
    }
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        cr_assert_eq(siphash_place(&key, message, expected[i].length), expected[i].value, "%zu bytes",
                     expected[i].length);
    }
}

static bool index_has(const struct hash_index *index, uint32_t hash, const void *item)
{
    uint32_t position = 0;
    const void *found;
    while ((found = hash_index_next(index, hash, &position))) {
        if (found == item) {
            return true;
        }
    }
    return false;
}

/* Few hashes that differ, so that probes run into one another and round the end. */
Test(hash_index, finds_who_is_there_and_nobody_else)
{
    enum { ITEMS = 400 };
    static char items[ITEMS];
    bool there[ITEMS] = {false};
    struct hash_index index = {0};
    struct prng prng;
    prng_init(&prng, 3);
    cr_assert_not(index_has(&index, 5, &items[0]));
    for (uint32_t step = 0; step < 20000; step++) {
        const uint32_t i = (uint32_t)prng_below(&prng, step < 10000 ? ITEMS : ITEMS / 8);
        const uint32_t hash = i % 7 == 0 ? 0 : i % 5 == 0 ? UINT32_MAX - i % 3 : i * 2654435761u;
        cr_assert_eq(index_has(&index, hash, &items[i]), there[i], "step %u, item %u", step, i);
        if (there[i]) {
            hash_index_remove(&index, hash, &items[i]);
        } else {
            cr_assert(hash_index_add(&index, hash, &items[i]));
        }
        there[i] = !there[i];
        cr_assert_eq(index_has(&index, hash, &items[i]), there[i]);
    }
    hash_index_fini(&index);
}
