/* SPDX-License-Identifier: MIT */
/* ctest-labels: tsan */
#include "handover.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/prng.h"
#include "wire/wire.h"

enum { RING_BYTES = 1 << 15, PACKET_MAX = 3000 };

/* A packet whose kind, bytes and endpoints follow from its number. */
struct sample {
    uint8_t bytes[WIRE_PACKET_MAX];
    struct nic_packet packet;
};

static void make(struct sample *sample, uint32_t number, uint32_t length)
{
    memset(sample->bytes, (int)(number & 0xff), length);
    memcpy(sample->bytes, &number, length < sizeof number ? length : sizeof number);
    sample->packet = (struct nic_packet){.data = sample->bytes, .length = length};
    sample->packet.local = (struct endpoint){.ip = {1, (uint8_t)number}, .port = (uint16_t)number};
    sample->packet.remote = (struct endpoint){.ip = {2, (uint8_t)(number >> 8)}, .port = (uint16_t)(number >> 16)};
}

static enum handover_kind kind_of(uint32_t number)
{
    return number % 5 == 0 ? HANDOVER_CLAIM : HANDOVER_PACKET;
}

static bool put(struct handover *handover, uint32_t from, uint32_t to, uint32_t number, uint32_t length)
{
    struct sample sample;
    make(&sample, number, length);
    return handover_put(handover, from, to, kind_of(number), &sample.packet);
}

static void expect(const struct handover_item *item, uint32_t number, uint32_t length)
{
    const struct nic_packet *packet = &item->packet;
    struct sample sample;
    cr_assert_eq(item->kind, kind_of(number));
    make(&sample, number, length);
    cr_assert_eq(packet->length, length);
    cr_assert_arr_eq(packet->data, sample.bytes, length);
    cr_assert(endpoint_equal(&packet->local, &sample.packet.local));
    cr_assert(endpoint_equal(&packet->remote, &sample.packet.remote));
}

static bool readable(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return poll(&ready, 1, 0) == 1;
}

Test(handover, take__gives_what_was_published_and_nothing_before)
{
    struct handover *handover = handover_new(2, RING_BYTES);
    struct handover_item items[4];
    cr_assert(put(handover, 0, 1, 1, 100));
    cr_assert_eq(handover_take(handover, 1, items, 4), 0);
    handover_publish(handover, 0);
    cr_assert(put(handover, 0, 1, 2, 0));
    cr_assert_eq(handover_take(handover, 1, items, 4), 1);
    expect(&items[0], 1, 100);
    handover_done(handover, 1);
    cr_assert_eq(handover_take(handover, 1, items, 4), 0);
    handover_publish(handover, 0);
    cr_assert_eq(handover_take(handover, 1, items, 4), 1);
    expect(&items[0], 2, 0);
    handover_done(handover, 1);
    cr_assert_eq(handover_take(handover, 0, items, 4), 0);
    handover_free(handover);
}

Test(handover, put__refuses_what_does_not_fit_until_it_is_done)
{
    struct handover *handover = handover_new(2, RING_BYTES);
    struct handover_item item;
    uint32_t count = 0;
    while (put(handover, 0, 1, count, WIRE_PACKET_MAX))
        count++;
    cr_assert_eq(count, RING_BYTES / (WIRE_PACKET_MAX + 40));
    handover_publish(handover, 0);
    cr_assert_eq(handover_take(handover, 1, &item, 1), 1);
    cr_assert_not(put(handover, 0, 1, count, WIRE_PACKET_MAX), "its bytes are still lent");
    expect(&item, 0, WIRE_PACKET_MAX);
    handover_done(handover, 1);
    cr_assert(put(handover, 0, 1, count, 5000));
    handover_publish(handover, 0);
    for (uint32_t i = 1; i <= count; i++) {
        cr_assert_eq(handover_take(handover, 1, &item, 1), 1);
        expect(&item, i, i < count ? WIRE_PACKET_MAX : 5000);
        handover_done(handover, 1);
    }
    handover_free(handover);
}

/* Against a queue of numbers that does the same; every length, so that records end everywhere in the ring. */
Test(handover, ring__is_a_queue)
{
    enum { STEPS = 200000, MOST = 4096 };
    static struct {
        uint32_t number, length;
    } queue[MOST];
    struct handover *handover = handover_new(2, RING_BYTES);
    struct handover_item items[8];
    struct prng prng;
    uint32_t written = 0, published = 0, read = 0, refused = 0;
    prng_init(&prng, 7);
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t length = (uint32_t)prng_between(&prng, 0, prng_between(&prng, 0, 1) ? 64 : PACKET_MAX);
        uint32_t what = (uint32_t)prng_between(&prng, 0, 9);
        if (what < 5 && put(handover, 1, 0, step, length)) {
            queue[written % MOST].number = step;
            queue[written++ % MOST].length = length;
            cr_assert_lt(written - read, MOST);
        } else if (what < 5) {
            refused++;
        } else if (what < 9) {
            handover_publish(handover, 1);
            published = written;
        } else {
            uint32_t most = (uint32_t)prng_between(&prng, 1, 8), count = handover_take(handover, 0, items, most);
            cr_assert_eq(count, published - read < most ? published - read : most);
            for (uint32_t i = 0; i < count; i++, read++)
                expect(&items[i], queue[read % MOST].number, queue[read % MOST].length);
            handover_done(handover, 0);
        }
    }
    cr_assert_gt(read, STEPS / 20);
    cr_assert_gt(refused, 100);
    handover_free(handover);
}

Test(handover, take__serves_all_rings_in_turn)
{
    struct handover *handover = handover_new(HANDOVER_WORKERS_MAX, RING_BYTES);
    struct handover_item item;
    uint32_t seen[HANDOVER_WORKERS_MAX] = {0};
    for (uint32_t from = 0; from < HANDOVER_WORKERS_MAX; from++) {
        for (uint32_t i = 0; i < 3 && from != 5; i++)
            cr_assert(put(handover, from, 5, from, 10));
        handover_publish(handover, from);
    }
    for (uint32_t i = 0; i < 2 * (HANDOVER_WORKERS_MAX - 1); i++) {
        cr_assert_eq(handover_take(handover, 5, &item, 1), 1);
        seen[item.packet.local.port]++;
        handover_done(handover, 5);
    }
    for (uint32_t from = 0; from < HANDOVER_WORKERS_MAX; from++)
        cr_assert_eq(seen[from], from == 5 ? 0 : 2);
    handover_free(handover);
}

Test(handover, sleep__only_when_there_is_nothing_and_then_publish_wakes_once)
{
    struct handover *handover = handover_new(2, RING_BYTES);
    struct handover_item item;
    int fd = handover_fd(handover, 1);
    cr_assert(put(handover, 0, 1, 1, 10));
    cr_assert(put(handover, 0, 1, 2, 10));
    handover_publish(handover, 0);
    cr_assert_not(handover_sleep(handover, 1));
    cr_assert_eq(handover_take(handover, 1, &item, 1), 1);
    handover_done(handover, 1);
    cr_assert_not(handover_sleep(handover, 1), "one is left");
    cr_assert_eq(handover_take(handover, 1, &item, 1), 1);
    handover_done(handover, 1);
    cr_assert_eq(handover_take(handover, 1, &item, 1), 0);
    cr_assert(handover_sleep(handover, 1));
    cr_assert_not(readable(fd));
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(put(handover, 0, 1, i, 10));
        handover_publish(handover, 0);
    }
    eventfd_t raised;
    cr_assert_eq(eventfd_read(fd, &raised), 0);
    cr_assert_eq(raised, 1);
    handover_awake(handover, 1);
    handover_publish(handover, 0);
    cr_assert_not(readable(fd));
    handover_free(handover);
}

/* ---- Threads ---- */

enum { STRESS_WORKERS = 3, STRESS_PACKETS = 20000 };

struct stress {
    struct handover *handover;
    uint32_t index;
};

static void sleep_for_more(struct handover *handover, uint32_t index)
{
    struct pollfd ready = {.fd = handover_fd(handover, index), .events = POLLIN};
    eventfd_t raised;
    if (!handover_sleep(handover, index))
        return;
    cr_assert_eq(poll(&ready, 1, 20000), 1, "a wake-up was lost");
    (void)!eventfd_read(ready.fd, &raised);
    handover_awake(handover, index);
}

/* Sends to all others and takes from them, each packet in order; sleeps whenever there is nothing to take and nothing to send. */
static void *stress_main(void *arg)
{
    struct stress *stress = arg;
    struct handover_item items[32];
    struct prng prng;
    uint32_t sent[STRESS_WORKERS] = {0}, taken[STRESS_WORKERS] = {0}, left = STRESS_PACKETS * (STRESS_WORKERS - 1);
    prng_init(&prng, stress->index);
    for (bool sending = true; sending || left > 0;) {
        sending = false;
        for (uint32_t to = 0; to < STRESS_WORKERS; to++) {
            uint32_t burst = (uint32_t)prng_between(&prng, 0, 16);
            while (to != stress->index && burst-- > 0 && sent[to] < STRESS_PACKETS &&
                   put(stress->handover, stress->index, to, sent[to], sent[to] * 37 % 500))
                sent[to]++;
            sending |= to != stress->index && sent[to] < STRESS_PACKETS;
        }
        handover_publish(stress->handover, stress->index);
        uint32_t count = handover_take(stress->handover, stress->index, items, 32);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t number = (uint32_t)items[i].packet.local.port | (uint32_t)items[i].packet.remote.port << 16,
                     from = 0;
            while (from == stress->index || taken[from] != number || items[i].packet.length != number * 37 % 500) {
                from++; /* numbers are what tells the senders apart: one of them must be there */
                cr_assert_lt(from, STRESS_WORKERS);
            }
            expect(&items[i], number, number * 37 % 500);
            taken[from]++;
        }
        handover_done(stress->handover, stress->index);
        left -= count;
        if (count == 0 && !sending && left > 0)
            sleep_for_more(stress->handover, stress->index);
    }
    return NULL;
}

Test(handover, threads__hand_over_in_order_and_lose_no_wake_up, .timeout = 100)
{
    struct handover *handover = handover_new(STRESS_WORKERS, RING_BYTES);
    struct stress stress[STRESS_WORKERS];
    pthread_t threads[STRESS_WORKERS];
    for (uint32_t i = 0; i < STRESS_WORKERS; i++) {
        stress[i] = (struct stress){handover, i};
        cr_assert_eq(pthread_create(&threads[i], NULL, stress_main, &stress[i]), 0);
    }
    for (uint32_t i = 0; i < STRESS_WORKERS; i++)
        pthread_join(threads[i], NULL);
    handover_free(handover);
}
