/* SPDX-License-Identifier: MIT */
/* The receive memory of a channel under applications that hold what they get: who still finds room, who is told. */
#include <criterion/criterion.h>
#include <string.h>

#include "machnet/machnet.h"
#include "support/engine_bench.h"

enum {
    MIB = 1 << 20,
    FLOWS = 64,
    MS = 1000000,
    HELD_MAX = 16384,
    BLOCKS_OF_REGION = 1024,
    REGION_BIG = 40,
    SENDS_MAX = 4000
};

static const uint64_t token = UINT64_C(1) << 32;

static struct bench bench;
static struct bench_client sender, reader;
static uint8_t big[MN_MESSAGE_MAX];

/* What the reader was given and has not released. */
static struct mn_delivery held[HELD_MAX];
static uint32_t held_count;
static uint32_t received, stalled, sent;
static uint64_t stalled_bytes; /* as it was told last */
static bool pinned[MN_REGIONS_MAX][BLOCKS_OF_REGION]; /* one message of the block stays for ever */
static uint64_t flows_there[FLOWS];                   /* the reader's tokens */
static uint32_t flow_holds[FLOWS];                    /* bytes, for ever */

static void setup(void)
{
    bench_open(&bench);
    bench_attach(&bench, &sender, 64 * MIB, FLOWS);
    struct worker_message add = {.type = WORKER_ADD_REGION,
                                 .channel = sender.channel,
                                 .region = REGION_BIG,
                                 .kind = MN_REGION_SEND,
                                 .base = big,
                                 .bytes = sizeof big};
    cr_assert_eq(bench_command(&bench, &add), MACHNET_OK);
}

static void teardown(void)
{
    bench_close(&bench);
}

TestSuite(channel_memory, .init = setup, .fini = teardown, .timeout = 60);

static void attach_reader(uint64_t receive_bytes_max, uint32_t flows)
{
    bench_attach(&bench, &reader, receive_bytes_max, FLOWS);
    bench_listen(&reader);
    for (uint32_t i = 0; i < flows; i++)
        flows_there[i] = bench_connect(&sender, token + i, &reader);
}

static void send(uint32_t flow, uint32_t length)
{
    struct mn_submission send = {
        .op = MN_OP_SEND, .region = REGION_BIG, .length = length, .flow = token + flow, .cookie = sent++};
    bench_submit(&sender, &send);
}

/* Lets time pass and takes all that has come. */
static void take(uint64_t ns)
{
    struct mn_delivery delivery;
    struct mn_completion completion;
    uint32_t before;
    do {
        before = received;
        bench_run(&bench, ns);
        while (bench_take_completion(&sender, &completion))
            cr_assert_eq(completion.status, MACHNET_OK);
        while (bench_take_delivery(&reader, &delivery)) {
            if (delivery.op == MN_OP_STALLED) {
                stalled++;
                stalled_bytes = delivery.value;
            }
            if (delivery.op != MN_OP_MESSAGE)
                continue;
            cr_assert_lt(held_count, HELD_MAX);
            held[held_count++] = delivery;
            received++;
        }
    } while (received != before);
}

/* Whether to keep it for ever: because nothing else of its block is, and its flow does not hold half of 64 KiB already. */
static bool pins(const struct mn_delivery *message)
{
    bool *pin = &pinned[message->region][message->offset / MN_BLOCK];
    uint32_t flow = 0;
    while (flows_there[flow] != message->flow)
        flow++;
    if (*pin || flow_holds[flow] + message->length > MN_BLOCK / 2)
        return false;
    flow_holds[flow] += message->length;
    *pin = true;
    return true;
}

/* Gives back all but one message of each block. */
static void release_all_but_one_of_each_block(void)
{
    for (uint32_t i = 0; i < held_count; i++) {
        if (!pins(&held[i]))
            bench_release(&reader, held[i].lease);
        if (i % 4096 == 0)
            bench_run(&bench, 0);
    }
    held_count = 0;
    bench_run(&bench, 0);
}

static void send_to_all(uint32_t flows, uint32_t length, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t f = 0; f < flows; f++)
            send(f, length);
        if (i % 32 == 31)
            bench_run(&bench, 0);
    }
}

/* ---- The head message of a flow owns its space ---- */

static void pin_all_that_can_be(uint32_t flows)
{
    for (uint32_t length = 64; length < MN_BLOCK; length *= 2) {
        uint32_t most = SENDS_MAX / flows, count = 4 * MIB / length < most ? 4 * MIB / length : most;
        uint32_t before = received;
        send_to_all(flows, length, count);
        while (received - before < count * flows) {
            uint32_t progress = received;
            take(MS);
            release_all_but_one_of_each_block();
            take(300 * (uint64_t)MS); /* what was refused comes again when the peer probes */
            cr_assert_neq(received, progress, "%u of %u messages of %u", received - before, count * flows, length);
        }
        release_all_but_one_of_each_block();
    }
}

/* Of those that hold half of their least credit, and of the next one, which holds nothing. */
static void expect_room_for_heads(uint32_t flows)
{
    uint32_t before = received;
    send_to_all(flows, MN_BLOCK / 2, 1);
    send(flows, MN_BLOCK);
    take(1000 * (uint64_t)MS);
    cr_assert_eq(received - before, flows + 1, "%u of %u", received - before, flows + 1);
}

Test(channel_memory, head_message__has_room_whatever_blocks_the_application_pins)
{
    enum { FLOWS_HERE = 20 };
    attach_reader(CHANNEL_RECEIVE_BYTES_LEAST, FLOWS_HERE + 1);
    pin_all_that_can_be(FLOWS_HERE);
    expect_room_for_heads(FLOWS_HERE);
}

Test(channel_memory, head_message__has_room_beside_large_ones_that_are_held)
{
    enum { LARGE_FLOWS = 20, SMALL_FLOWS = 3 };
    attach_reader(32 * MIB, SMALL_FLOWS + 1 + LARGE_FLOWS);
    for (uint32_t f = SMALL_FLOWS + 1; f < SMALL_FLOWS + 1 + LARGE_FLOWS; f++)
        send(f, 3 * MIB);
    take(500 * (uint64_t)MS);
    cr_assert_gt(received, 3);
    cr_assert_lt(received, LARGE_FLOWS, "not all of them have room");
    cr_assert_gt(stalled, 0);
    held_count = 0; /* for ever */
    pin_all_that_can_be(SMALL_FLOWS);
    expect_room_for_heads(SMALL_FLOWS);
}

Test(channel_memory, head_message__without_room_is_told)
{
    enum { FLOWS_HERE = 20 };
    attach_reader(64 * MIB, FLOWS_HERE);
    reader.refuse_regions = true; /* so that there is 1 MiB, and each flow was promised 64 KiB of it */
    send_to_all(FLOWS_HERE, MN_BLOCK, 1);
    take(300 * (uint64_t)MS);
    cr_assert_eq(received, MIB / MN_BLOCK);
    cr_assert_eq(stalled, FLOWS_HERE - received, "each flow once");
    for (uint32_t i = 0; i < held_count; i++)
        bench_release(&reader, held[i].lease);
    take(500 * (uint64_t)MS);
    cr_assert_eq(received, FLOWS_HERE);
}

/* ---- Who stalls, and who only waits ---- */

Test(channel_memory, stalled__is_not_told_while_the_application_maps_more)
{
    attach_reader(16 * MIB, 2);
    reader.slow_regions = true;
    send(0, 7 * MIB);
    take(700 * (uint64_t)MS);
    cr_assert_eq(stalled, 0);
    reader.slow_regions = false;
    take(500 * (uint64_t)MS);
    cr_assert_eq(received, 1);
    cr_assert_eq(stalled, 0, "all found room in the end");
}

Test(channel_memory, stalled__is_told_with_what_is_held_once_growth_is_refused)
{
    attach_reader(32 * MIB, 2);
    send(0, 3 * MIB);
    take(500 * (uint64_t)MS);
    cr_assert_eq(received, 1);
    reader.slow_regions = true;
    send(1, 7 * MIB);
    take(700 * (uint64_t)MS);
    cr_assert_eq(received, 1);
    cr_assert_eq(stalled, 0, "more memory is on its way");
    reader.slow_regions = false;
    reader.refuse_regions = true;
    take(300 * (uint64_t)MS);
    cr_assert_eq(stalled, 1);
    cr_assert_eq(stalled_bytes, 3 * MIB);
}

Test(channel_memory, stalled__is_not_told_to_who_holds_nothing)
{
    attach_reader(16 * MIB, 1);
    reader.refuse_regions = true;
    send(0, 3 * MIB);
    take(1500 * (uint64_t)MS);
    cr_assert_eq(received, 0);
    cr_assert_eq(stalled, 0);
    reader.refuse_regions = false;
    take(1500 * (uint64_t)MS);
    cr_assert_eq(received, 1, "it was asked for again");
}

/* ---- Messages longer than there can be room for ---- */

Test(channel_memory, longest_message__fits_where_the_engine_says_it_does)
{
    attach_reader(CHANNEL_RECEIVE_BYTES_LEAST, 1);
    for (uint32_t i = 0; i < 3; i++) {
        send(0, MN_MESSAGE_MAX);
        take(500 * (uint64_t)MS);
        cr_assert_eq(received, i + 1);
        bench_release(&reader, held[i].lease);
    }
}

Test(channel_memory, message__that_can_never_have_room_fails)
{
    attach_reader(4 * MIB, 2);
    send(0, MN_MESSAGE_MAX);
    send(1, 1000);
    bench_run(&bench, 50 * MS);
    struct mn_completion completion;
    uint32_t failed = 0;
    while (bench_take_completion(&sender, &completion))
        failed += completion.status != MACHNET_OK;
    cr_assert_eq(failed, 1);
    uint32_t messages = 0;
    struct mn_delivery delivery;
    while (bench_take_delivery(&reader, &delivery))
        messages += delivery.op == MN_OP_MESSAGE && delivery.flow == flows_there[1];
    cr_assert_eq(messages, 1, "the other flow lives");
}

/* ---- Releases of many flows at once ---- */

/* All that is held, one flow's and another's in turn as they came, in one turn of the engine. */
static void release_all(void)
{
    for (uint32_t i = 0; i < held_count; i++)
        bench_release(&reader, held[i].lease);
    held_count = 0;
    bench_run(&bench, 0);
}

Test(channel_memory, release__gives_credit_back_to_each_of_many_flows)
{
    enum { FLOWS_HERE = 3, ROUNDS = 40, LENGTH = 8000 };
    attach_reader(CHANNEL_RECEIVE_BYTES_LEAST, FLOWS_HERE);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        send_to_all(FLOWS_HERE, LENGTH, 7); /* nearly all that a flow may have without more credit */
        take(20 * MS);
        release_all();
    }
    take(100 * MS);
    cr_assert_eq(received, ROUNDS * FLOWS_HERE * 7);
    release_all();
    struct channel_info info;
    channel_info(reader.channel, &info);
    cr_assert_eq(info.receive_used_bytes, 0);
    cr_assert_eq(channel_owner(reader.channel)->granted_bytes, 0);
}

Test(channel_memory, release__of_flows_that_are_closed_among_others)
{
    enum { FLOWS_HERE = 4 };
    attach_reader(CHANNEL_RECEIVE_BYTES_LEAST, FLOWS_HERE);
    const uint64_t promised = channel_owner(reader.channel)->promised_bytes;
    send_to_all(FLOWS_HERE, 1000, 5);
    take(20 * MS);
    cr_assert_eq(held_count, FLOWS_HERE * 5);
    bench_close_flow(&reader, flows_there[1], false);
    bench_close_flow(&reader, flows_there[3], true);
    take(20 * MS);
    release_all();
    send(0, 1000);
    send(2, 1000);
    take(20 * MS);
    cr_assert_eq(held_count, 2);
    release_all();
    struct channel_info info;
    channel_info(reader.channel, &info);
    cr_assert_eq(info.receive_used_bytes, 0);
    cr_assert_eq(info.lent_extents, 0);
    cr_assert_geq(channel_owner(reader.channel)->promised_bytes, promised / 2, "the flows that live have their credit");
    cr_assert_leq(channel_owner(reader.channel)->promised_bytes, channel_owner(reader.channel)->receive_budget);
}
