/* SPDX-License-Identifier: MIT */
/* The engine's end of a channel against an application that breaks the rules: it loses its channel, and nobody else
 * anything. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/prng.h"
#include "machnet/machnet.h"
#include "support/engine_bench.h"

enum { MIB = 1 << 20, FLOWS = 1024, MS = 1000000 };

static const uint64_t token = UINT64_C(1) << 32; /* generation 1, index 0 */

static struct bench bench;
static struct bench_client sender, reader; /* the bystanders */
static struct bench_client breaker;

static void setup(void)
{
    bench_open(&bench);
    bench_attach(&bench, &sender, 64 * MIB, FLOWS);
    bench_attach(&bench, &reader, 64 * MIB, FLOWS);
    bench_listen(&reader);
}

static void teardown(void)
{
    bench_close(&bench);
}

TestSuite(channel_hostile, .init = setup, .fini = teardown, .timeout = 60);

/* `breaker` broke a rule: it is closed, and a message still crosses between two others. */
static void expect_broken(const char *what)
{
    bench_run(&bench, 0);
    cr_assert_eq(breaker.broken, MACHNET_EPROTOCOL, "%s", what);
    cr_assert_eq((int32_t)atomic_load(&breaker.header->closed), -MACHNET_EPROTOCOL, "%s", what);
    cr_assert_eq(bench_woken(&breaker), 1, "%s", what);
    bench_send(&sender, token, 0, 100, 0, 1);
    bench_run(&bench, MS);
    struct mn_delivery message = bench_expect(&reader, MN_OP_MESSAGE);
    bench_release(&reader, message.lease);
    bench_expect_completion(&sender, 1, MACHNET_OK);
    cr_assert_eq(sender.broken, MACHNET_OK);
    cr_assert_eq(reader.broken, MACHNET_OK);
}

Test(channel_hostile, bad_submission__closes_that_channel_alone)
{
    static const struct {
        const char *what;
        struct mn_submission submission;
    } cases[] = {
        {"no operation", {.op = 0}},
        {"an unknown operation", {.op = 4}},
        {"SEND on no flow", {.op = MN_OP_SEND}},
        {"SEND on another index", {.op = MN_OP_SEND, .flow = (UINT64_C(1) << 32) + 1}},
        {"SEND on an index out of range", {.op = MN_OP_SEND, .flow = (UINT64_C(1) << 32) + FLOWS}},
        {"SEND on an accepted index that never was",
         {.op = MN_OP_SEND, .flow = (UINT64_C(1) << 32) | MN_TOKEN_ACCEPTED}},
        {"SEND on another generation", {.op = MN_OP_SEND, .flow = UINT64_C(2) << 32}},
        {"SEND too long", {.op = MN_OP_SEND, .flow = UINT64_C(1) << 32, .region = 1, .length = MN_MESSAGE_MAX + 1}},
        {"SEND past the end",
         {.op = MN_OP_SEND, .flow = UINT64_C(1) << 32, .region = 1, .offset = MIB - 9, .length = 10}},
        {"SEND from behind the end",
         {.op = MN_OP_SEND, .flow = UINT64_C(1) << 32, .region = 1, .offset = MIB + 1, .length = 1}},
        {"SEND with an offset that overflows",
         {.op = MN_OP_SEND, .flow = UINT64_C(1) << 32, .region = 1, .offset = UINT64_MAX - 4, .length = 10}},
        {"SEND from the rings", {.op = MN_OP_SEND, .flow = UINT64_C(1) << 32, .region = 0, .length = 10}},
        {"SEND from the receive arena", {.op = MN_OP_SEND, .flow = UINT64_C(1) << 32, .region = 2, .length = 10}},
        {"SEND from no region", {.op = MN_OP_SEND, .flow = UINT64_C(1) << 32, .region = 3, .length = 10}},
        {"SEND from a region out of range",
         {.op = MN_OP_SEND, .flow = UINT64_C(1) << 32, .region = 65535, .length = 10}},
        {"SEND with a flag", {.op = MN_OP_SEND, .flow = UINT64_C(1) << 32, .flags = 1}},
        {"SEND with a reserved field", {.op = MN_OP_SEND, .flow = UINT64_C(1) << 32, .zero = {0, 0, 1}}},
        {"CLOSE of no flow", {.op = MN_OP_CLOSE, .flow = (UINT64_C(1) << 32) + 1}},
        {"CLOSE with an unknown flag", {.op = MN_OP_CLOSE, .flow = UINT64_C(1) << 32, .flags = 2}},
        {"CLOSE with a length", {.op = MN_OP_CLOSE, .flow = UINT64_C(1) << 32, .length = 1}},
        {"OPEN of an index in use", {.op = MN_OP_OPEN, .flow = UINT64_C(2) << 32}},
        {"OPEN of an index out of range", {.op = MN_OP_OPEN, .flow = (UINT64_C(1) << 32) + FLOWS}},
        {"OPEN of an index of ours", {.op = MN_OP_OPEN, .flow = (UINT64_C(1) << 32) | MN_TOKEN_ACCEPTED}},
        {"OPEN of generation 0", {.op = MN_OP_OPEN, .flow = 1}},
        {"OPEN with a flag", {.op = MN_OP_OPEN, .flow = (UINT64_C(1) << 32) + 1, .flags = 1}},
    };
    bench_connect(&sender, token, &reader);
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bench_attach(&bench, &breaker, 8 * MIB, FLOWS);
        bench_connect(&breaker, token, &reader);
        bench_submit(&breaker, &cases[i].submission);
        expect_broken(cases[i].what);
        bench_detach(&breaker);
        bench_run(&bench, MS);
        bench_expect(&reader, MN_OP_CLOSED);
    }
}

Test(channel_hostile, broken_channel__gets_nothing_more)
{
    bench_connect(&sender, token, &reader);
    bench_attach(&bench, &breaker, 8 * MIB, FLOWS);
    uint64_t to_breaker = bench_connect(&breaker, token, &reader);
    struct mn_submission nothing = {.op = 0};
    bench_submit(&breaker, &nothing);
    expect_broken("no operation");
    atomic_store(&breaker.header->client_sleeping, MN_WAKE_DELIVERIES);
    bench_send(&reader, to_breaker, 0, 10, 0, 1);
    bench_run(&bench, 50 * MS);
    cr_assert_eq(bench_woken(&breaker), 0);
    bench_expect_silence(&breaker);
    bench_detach(&breaker);
    bench_run(&bench, 10 * MS);
    bench_expect_closed(&reader, to_breaker, MACHNET_ERESET);
}

Test(channel_hostile, second_close__breaks_the_rules)
{
    bench_connect(&sender, token, &reader);
    bench_attach(&bench, &breaker, 8 * MIB, FLOWS);
    bench_connect(&breaker, token, &reader);
    bench_close_flow(&breaker, token, false);
    bench_close_flow(&breaker, token, false);
    bench_run(&bench, 0);
    bench_expect(&reader, MN_OP_CLOSED);
    expect_broken("CLOSE twice");
}

Test(channel_hostile, too_many_sends__break_the_rules)
{
    bench_connect(&sender, token, &reader);
    bench_attach(&bench, &breaker, 8 * MIB, FLOWS);
    bench_open_flow(&breaker, token, BENCH_PORT + 1);
    bench_run(&bench, 0);
    for (uint64_t i = 0; i < MN_COMPLETIONS; i++) { /* answered at once, and the answers not read */
        bench_send(&breaker, token, 0, 1, 0, i);
        if (i % 500 == 0)
            bench_run(&bench, 0);
    }
    bench_run(&bench, 0);
    cr_assert_eq(breaker.broken, MACHNET_OK);
    bench_send(&breaker, token, 0, 1, 0, 0);
    expect_broken("one SEND more than completions fit");
}

Test(channel_hostile, bad_release__breaks_the_rules)
{
    bench_connect(&sender, token, &reader);
    for (uint32_t i = 0; i < 5; i++) {
        bench_attach(&bench, &breaker, 8 * MIB, FLOWS);
        bench_connect(&breaker, token, &reader);
        bench_close_flow(&breaker, token, false);
        bench_run(&bench, 0);
        struct mn_delivery closed = bench_expect(&reader, MN_OP_CLOSED);
        bench_close_flow(&reader, closed.flow, false);
        struct worker_message listen = {
            .type = WORKER_LISTEN, .channel = breaker.channel, .endpoint = bench.paths.addresses[0], .listener = 5};
        listen.endpoint.port = BENCH_PORT + 5;
        cr_assert_eq(bench_command(&bench, &listen), MACHNET_OK);
        bench_open_flow(&sender, token + 1 + i, BENCH_PORT + 5);
        bench_run(&bench, 0);
        bench_expect(&sender, MN_OP_ESTABLISHED);
        bench_send(&sender, token + 1 + i, 0, 10, 0, 7);
        bench_run(&bench, MS);
        bench_expect_completion(&sender, 7, MACHNET_OK);
        bench_expect(&breaker, MN_OP_CLOSED);
        bench_expect(&breaker, MN_OP_ACCEPTED);
        uint64_t lease = bench_expect(&breaker, MN_OP_MESSAGE).lease;
        static const char *const what[] = {"not lent", "another generation", "out of range", "far out of range",
                                           "twice"};
        const uint64_t bad[] = {lease + 1, lease ^ UINT64_C(1) << 40, lease | MN_RELEASES, UINT64_MAX, lease};
        if (i == 4)
            bench_release(&breaker, lease); /* then once more */
        bench_release(&breaker, bad[i]);
        worker_activate(bench.worker, breaker.channel); /* so little lent is no reason to wake up */
        expect_broken(what[i]);
        bench_detach(&breaker);
        bench_run(&bench, MS);
        bench_expect(&sender, MN_OP_CLOSED);
    }
}

Test(channel_hostile, index_beyond_its_ring__breaks_the_rules)
{
    bench_connect(&sender, token, &reader);
    for (uint32_t i = 0; i < 2; i++) {
        bench_attach(&bench, &breaker, 8 * MIB, FLOWS);
        struct mn_ring *ring = i == 0 ? &breaker.submissions : &breaker.releases;
        atomic_store(ring->mine, ring->capacity + 1);
        expect_broken("a producer's index");
        bench_detach(&breaker);
    }
}

/* To no address: answered at once. */
static void open_in_vain(uint64_t flow)
{
    struct mn_submission_open open = {.op = MN_OP_OPEN, .remote_port = 1, .flow = flow, .timeout_ns = MS};
    bench_submit(&breaker, &open);
}

Test(channel_hostile, deliveries_index_that_goes_back__breaks_the_rules)
{
    bench_connect(&sender, token, &reader);
    bench_attach(&bench, &breaker, 8 * MIB, 2 * MN_DELIVERIES);
    for (uint32_t i = 0; i <= MN_DELIVERIES; i++) {
        open_in_vain(token + i);
        if (i % 500 == 0)
            bench_run(&bench, 0);
    }
    bench_run(&bench, 5 * MS);
    cr_assert_eq(breaker.broken, MACHNET_OK, "a full ring is no crime");
    atomic_store(breaker.deliveries.mine, UINT32_MAX);
    worker_activate(bench.worker, breaker.channel); /* as its signal does; without one nobody looks or is harmed */
    expect_broken("a consumer's index");
}

/* Its old messages must not be counted for the new flow, whose failure waits for room. */
Test(channel_hostile, token_used_again_while_its_messages_are_held__harms_nobody)
{
    struct mn_delivery held[2];
    bench_attach(&bench, &breaker, 8 * MIB, 2 * MN_DELIVERIES);
    const uint64_t back = bench_connect(&breaker, token, &reader);
    for (uint32_t i = 0; i < 2; i++) {
        bench_send(&reader, back, 0, 8, 0, i + 1);
        bench_run(&bench, MS);
        held[i] = bench_expect(&breaker, MN_OP_MESSAGE);
    }
    bench_close_flow(&breaker, token, true);
    bench_run(&bench, MS);
    bench_expect_closed(&breaker, token, MACHNET_OK);

    for (uint32_t i = 0; i < MN_DELIVERIES; i++) {
        open_in_vain(token + 2 + i);
        if (i % 500 == 0)
            bench_run(&bench, 0);
    }
    open_in_vain(token);
    open_in_vain(token + 1);
    bench_run(&bench, MS);
    for (uint32_t i = 0; i < 2; i++)
        bench_release(&breaker, held[i].lease);
    bench_run(&bench, MS);
    for (uint32_t i = 0; i < MN_DELIVERIES; i++)
        bench_expect_closed(&breaker, token + 2 + i, MACHNET_EINVAL);
    worker_activate(bench.worker, breaker.channel); /* as its signal does */
    bench_run(&bench, MS);
    bench_expect_closed(&breaker, token, MACHNET_EINVAL);
    bench_expect_closed(&breaker, token + 1, MACHNET_EINVAL);
    cr_assert_eq(breaker.broken, MACHNET_OK);
}

/* ---- Anything at all ---- */

enum { OWN_PORT = BENCH_PORT + 9, SOME_FLOWS = 4 };

/* A right submission for flow `i`: OPEN, and then SENDs. */
static struct mn_submission right_submission(bool *opened, uint32_t i, struct prng *prng)
{
    struct mn_submission s = {.op = MN_OP_SEND, .flow = token + i};
    if (!*opened) {
        struct mn_submission_open open = {.op = MN_OP_OPEN, .flow = s.flow, .remote_port = OWN_PORT, .timeout_ns = MS};
        memcpy(open.remote_ip, bench.paths.addresses[0].ip, sizeof open.remote_ip);
        memcpy(&s, &open, sizeof s);
        *opened = true;
        return s;
    }
    s.region = 1;
    s.length = (uint32_t)prng_below(prng, 3000);
    s.offset = prng_below(prng, MIB - 3000);
    s.cookie = prng_next(prng);
    return s;
}

/* An application that listens to itself. */
static void attach_breaker(void)
{
    bench_attach(&bench, &breaker, 8 * MIB, FLOWS);
    struct worker_message listen = {
        .type = WORKER_LISTEN, .channel = breaker.channel, .endpoint = bench.paths.addresses[0], .listener = 5};
    listen.endpoint.port = OWN_PORT;
    cr_assert_eq(bench_command(&bench, &listen), MACHNET_OK);
}

/* Takes all there is and releases most of it. Returns how many messages there were. */
static uint32_t read_all(struct prng *prng)
{
    uint32_t messages = 0;
    struct mn_delivery delivery;
    while (bench_take_delivery(&breaker, &delivery)) {
        messages += delivery.op == MN_OP_MESSAGE;
        if (delivery.op == MN_OP_MESSAGE && prng_below(prng, 8) != 0)
            bench_release(&breaker, delivery.lease);
    }
    struct mn_completion completion;
    while (bench_take_completion(&breaker, &completion))
        ;
    return messages;
}

Test(channel_hostile, random_descriptors__harm_nobody_else)
{
    enum { COUNT = 6000, ROUNDS = 60 };
    struct prng prng;
    prng_init(&prng, 42);
    bench_connect(&sender, token, &reader);
    uint32_t broken = 0, messages = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        bool opened[SOME_FLOWS] = {false};
        attach_breaker();
        for (uint32_t i = 0; i < COUNT / ROUNDS && breaker.broken == MACHNET_OK; i++) {
            uint32_t flow = (uint32_t)prng_below(&prng, SOME_FLOWS);
            struct mn_submission s = right_submission(&opened[flow], flow, &prng);
            if (prng_below(&prng, 64) == 0)
                ((uint8_t *)&s)[prng_below(&prng, sizeof s)] ^= (uint8_t)(1U << prng_below(&prng, 8));
            bench_submit(&breaker, &s);
            if (prng_below(&prng, 256) == 0)
                bench_release(&breaker, prng_next(&prng));
            bench_turn(&bench);
            messages += read_all(&prng);
        }
        bench_run(&bench, 0);
        broken += breaker.broken != MACHNET_OK;
        if (breaker.broken != MACHNET_OK)
            expect_broken("random");
        bench_detach(&breaker);
    }
    cr_assert_gt(broken, ROUNDS / 4);
    cr_assert_gt(messages, ROUNDS);
}
