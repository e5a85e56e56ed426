/* SPDX-License-Identifier: MIT */
/* Which packet numbers have come: against a model that forgets nothing; and what is forgotten in the end. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "flow/flow.h"
#include "support/flow_expect.h"
#include "support/flow_pair.h"

enum { NUMBERS = 60000 };

struct model {
    struct transport transport;
    struct flow flow;
    bool come[NUMBERS];
    uint64_t next, floor; /* below it numbers count as come */
};

static struct model *model_new(void)
{
    struct model *model = calloc(1, sizeof *model);
    cr_assert_not_null(model);
    pool_init(&model->transport.pool, 0);
    model->flow.transport = &model->transport;
    model->flow.state = FLOW_OPEN;
    model->flow.in_transmit = true;
    model->flow.rx.ack_at = NEVER;
    return model;
}

static void model_free(struct model *model)
{
    numbers_forget(&model->flow);
    pool_fini(&model->transport.pool);
    free(model);
}

/* The ACK frame says of no number that it came if it did not, and of the newest run all. */
static void check_ack(const struct model *model, uint64_t now)
{
    struct wire_frame frame;
    ack_frame(&model->flow, &frame, now);
    uint64_t n = model->next;
    cr_assert_eq(frame.ack.largest, (uint32_t)(n - 1));
    uint32_t length = frame.ack.first + 1u;
    for (uint32_t range = 0;; range++) {
        for (; length > 0; length--) {
            cr_assert(model->come[--n], "%llu is acknowledged", (unsigned long long)n);
        }
        if (range == frame.ack.count) {
            break;
        }
        for (uint32_t gap = frame.ack.ranges[range].gap; gap > 0; gap--) {
            cr_assert(!model->come[--n], "%llu is missing", (unsigned long long)n);
        }
        length = frame.ack.ranges[range].length;
    }
    if (frame.ack.count == 0 && n > model->floor && n + NUMBERS_TRACKED > model->next) {
        cr_assert(!model->come[n - 1], "%llu is not acknowledged", (unsigned long long)n - 1);
    }
}

static void arrive(struct model *model, uint64_t number, uint64_t now)
{
    const bool old = number + NUMBERS_TRACKED < model->next || number < model->floor;
    const bool is_new = number_is_new(&model->flow, number);
    cr_assert_eq(is_new, !model->come[number] && !old, "%llu of %llu", (unsigned long long)number,
                 (unsigned long long)model->next);
    if (is_new) {
        cr_assert(number_reserve(&model->flow, number));
        number_record(&model->flow, number, true, now);
        model->come[number] = true;
        model->next = number >= model->next ? number + 1 : model->next;
    }
    check_ack(model, now);
}

static void run(uint64_t seed, uint32_t lost_ppm, uint32_t late_ppm)
{
    struct model *model = model_new();
    struct prng prng;
    uint64_t next = 0;
    prng_init(&prng, seed);
    for (uint64_t now = 1; next + 3000 < NUMBERS; now++) {
        uint64_t number = next++;
        next += prng_chance(&prng, lost_ppm) ? 1 + prng_below(&prng, prng_chance(&prng, 100000) ? 3000 : 4) : 0;
        if (prng_chance(&prng, late_ppm)) {
            const uint64_t back = 1 + prng_below(&prng, prng_chance(&prng, 100000) ? 3000 : 20);
            number -= number < back ? number : back;
        }
        arrive(model, number, now);
        if (prng_chance(&prng, 2000)) {
            numbers_forget(&model->flow);
            model->floor = model->flow.rx.run;
        }
    }
    model_free(model);
}

Test(number_record, as_a_model_that_forgets_nothing)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        run(seed, 10000, 20000);
        run(seed, 300000, 300000);
        run(seed, 500, 0);
    }
}

Test(number_record, in_order_takes_no_memory)
{
    struct model *model = model_new();
    for (uint64_t n = 0; n < 5000; n++) {
        arrive(model, n, n);
        cr_assert_null(model->flow.rx.seen);
    }
    arrive(model, 5001, 5001);
    cr_assert_not_null(model->flow.rx.seen);
    arrive(model, 5000, 5002);
    cr_assert_null(model->flow.rx.seen, "nothing is missing any more");
    arrive(model, 5003, 5003);
    for (uint64_t n = 5004; n < 5004 + NUMBERS_TRACKED; n++) {
        arrive(model, n, n);
    }
    cr_assert_null(model->flow.rx.seen, "what is missing is too long ago to be remembered");
    model_free(model);
}

Test(number_record, a_gap_is_told_again_when_the_sender_can_be_sure)
{
    struct model *model = model_new();
    struct receiver *rx = &model->flow.rx;
    arrive(model, 0, 1);
    arrive(model, 2, 2);
    cr_assert(rx->ack_now, "of a gap at once");
    ack_sent(&model->flow, 2);
    arrive(model, 3, 3);
    cr_assert_not(rx->ack_now);
    arrive(model, 4, 4);
    cr_assert(rx->ack_now, "three have come since");
    ack_sent(&model->flow, 4);
    arrive(model, 5, 5);
    cr_assert_not(rx->ack_now, "it is told no more");
    model_free(model);
}

static enum pair_fate drop_one(struct pair *pair, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                               size_t length)
{
    (void)index, (void)packet, (void)length;
    return from == &pair->a && pair->argument > 0 && --pair->argument == 0 ? PAIR_DROP : PAIR_PASS;
}

static const struct flow *first_flow(const struct pair_side *side)
{
    return side->flows[0].flow;
}

Test(transport_timeout, an_idle_flow_holds_nothing_in_memory_for_what_was_lost)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair.fate = drop_one;
    pair.argument = 2;
    for (int i = 0; i < 10; i++) {
        pair_send(flow, 1400);
    }
    pair_run(&pair, 20 * PAIR_MS);
    cr_assert_eq(pair.b.flows[0].received, 10);
    cr_assert_not_null(first_flow(&pair.b)->rx.seen);
    pair_run(&pair, 1100 * PAIR_MS);
    cr_assert_null(first_flow(&pair.b)->rx.seen);
    pair_send(flow, 1400);
    pair_run(&pair, 20 * PAIR_MS);
    cr_assert_eq(pair.b.flows[0].received, 11);
    pair_close(flow, false);
    pair_run(&pair, 20 * PAIR_MS);
    pair_close(&pair.b.flows[0], false);
    expect_nothing_left(&pair);
    pair_fini(&pair);
}

/* What 100,000 idle flows take is what this takes, and their places in three tables. */
Test(struct_flow, is_at_most_a_kibibyte)
{
    cr_assert_leq(sizeof(struct flow), 1024, "%zu bytes", sizeof(struct flow));
}
