/* SPDX-License-Identifier: MIT */
/* What a broken engine may write: each ends the channel with MACHNET_EPROTOCOL, and nothing else. */
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/prng.h"
#include "support/fake_engine.h"

#define FLOW ((uint64_t)1 << 32 | MN_TOKEN_ACCEPTED)

static struct fake_engine engine;
static machnet_channel *channel;

static void attach(void)
{
    memset(&engine, 0, sizeof engine);
    channel = fake_engine_channel(&engine, NULL);
    fake_engine_accept(&engine, FLOW);
}

static void detach(void)
{
    machnet_channel_unref(channel);
    fake_engine_stop(&engine);
}

TestSuite(hostile, .timeout = 120);

static bool packed; /* machnet_recv_packed takes messages from the ring itself, machnet_recv_copy from queues */

static int32_t receive_some(void)
{
    machnet_record records[8];
    machnet_message message;
    char buffer[64];

    if (!packed)
        return machnet_recv_copy(channel, MACHNET_ANY_FLOW, buffer, sizeof buffer, &message, 0);
    int32_t count = machnet_recv_packed(channel, MACHNET_ANY_FLOW, records, 8, buffer, sizeof buffer, 0);
    return count > 0 ? MACHNET_OK : count;
}

static int32_t receive(void)
{
    machnet_event events[8];
    int32_t status;

    while ((status = machnet_channel_events(channel, events, 8, 0)) > 0)
        continue;
    while ((status = receive_some()) == MACHNET_OK)
        continue;
    return status;
}

Test(hostile, deliveries)
{
    const struct mn_delivery good = {.op = MN_OP_MESSAGE, .region = 2, .length = 8, .flow = FLOW, .offset = 64};
    struct mn_delivery bad[48];
    size_t count = 0;
#define BAD(member, value)           \
    do {                             \
        bad[count] = good;           \
        bad[count].member = (value); \
        count++;                     \
    } while (0)
    BAD(op, 0);
    BAD(op, 6);
    BAD(op, 255);
    BAD(region, 0);
    BAD(region, 1);
    BAD(region, 3);
    BAD(region, 63);
    BAD(region, 64);
    BAD(region, UINT16_MAX);
    BAD(length, MN_MESSAGE_MAX + 1);
    BAD(length, (1 << 20) - 63);
    BAD(length, UINT32_MAX);
    BAD(offset, 63);
    BAD(offset, 1 << 20);
    BAD(offset, UINT64_MAX - 63);
    BAD(flow, 0);
    BAD(flow, FLOW + 1);
    BAD(flow, FLOW + (UINT64_C(1) << 32));
    BAD(flow, UINT64_MAX);
    BAD(flow, UINT64_C(1) << 32);
    BAD(flow, UINT64_C(1) << 32 | 1024);
#undef BAD
    bad[count++] = (struct mn_delivery){.op = MN_OP_CLOSED, .flow = FLOW, .status = 1};
    bad[count++] = (struct mn_delivery){.op = MN_OP_CLOSED, .flow = FLOW, .status = INT32_MIN};
    bad[count++] = (struct mn_delivery){.op = MN_OP_CLOSED, .flow = FLOW, .status = -256};
    /* What would be taken for the news of a call, or of the channel. */
    bad[count++] = (struct mn_delivery){.op = MN_OP_CLOSED, .flow = FLOW, .status = MACHNET_EAGAIN};
    bad[count++] = (struct mn_delivery){.op = MN_OP_CLOSED, .flow = FLOW, .status = MACHNET_EPROTOCOL};
    bad[count++] = (struct mn_delivery){.op = MN_OP_CLOSED, .flow = FLOW, .status = MACHNET_ELOWMEMORY};
    bad[count++] = (struct mn_delivery){.op = MN_OP_CLOSED, .flow = FLOW + 1, .status = 0};
    bad[count++] = (struct mn_delivery){.op = MN_OP_STALLED, .flow = FLOW + 1};
    bad[count++] = (struct mn_delivery){.op = MN_OP_ESTABLISHED, .flow = FLOW};
    bad[count++] = (struct mn_delivery){.op = MN_OP_ACCEPTED, .flow = FLOW};
    bad[count++] = (struct mn_delivery){.op = MN_OP_ACCEPTED, .flow = UINT64_C(1) << 32 | 5};
    bad[count++] = (struct mn_delivery){.op = MN_OP_ACCEPTED, .flow = FLOW + 1024};
    bad[count++] = (struct mn_delivery){.op = MN_OP_ACCEPTED, .flow = MN_TOKEN_ACCEPTED | 5};
    for (size_t i = 0; i < 2 * count; i++) {
        packed = i % 2 == 1;
        attach();
        cr_assert_eq(receive(), MACHNET_EAGAIN);
        fake_engine_deliver(&engine, &good);
        cr_assert_eq(receive_some(), MACHNET_OK);
        fake_engine_deliver(&engine, &bad[i / 2]);
        cr_assert_eq(receive_some(), MACHNET_EPROTOCOL, "case %zu", i / 2);
        cr_assert_eq(machnet_channel_wait(channel, 7, -1), MACHNET_EPROTOCOL);
        char byte;
        cr_assert_eq(recv(engine.control, &byte, 1, MSG_DONTWAIT), 0, "the engine is told");
        detach();
    }
}

Test(hostile, message_after_closed, .init = attach, .fini = detach)
{
    fake_engine_close_flow(&engine, FLOW, MACHNET_ECLOSED);
    cr_assert_eq(receive(), MACHNET_EAGAIN);
    fake_engine_message(&engine, FLOW, 1, 0, 8, 0);
    cr_assert_eq(receive(), MACHNET_EPROTOCOL);
}

Test(hostile, closed_twice, .init = attach, .fini = detach)
{
    fake_engine_close_flow(&engine, FLOW, MACHNET_ECLOSED);
    fake_engine_close_flow(&engine, FLOW, MACHNET_ECLOSED);
    cr_assert_eq(receive(), MACHNET_EPROTOCOL);
}

Test(hostile, more_lent_than_can_be, .init = attach, .fini = detach)
{
    machnet_view view;
    int32_t status = MACHNET_OK;
    uint32_t lent = 0;

    cr_assert_eq(receive(), MACHNET_EAGAIN);
    while (status == MACHNET_OK && lent <= MN_RELEASES) {
        fake_engine_message(&engine, FLOW, 1, 0, 8, 0);
        status = machnet_recv_borrow(channel, FLOW, &view, 0);
        lent += status == MACHNET_OK;
    }
    cr_assert_eq(status, MACHNET_EPROTOCOL, "%s after %u", machnet_status_name(status), lent);
    cr_assert_eq(lent, MN_RELEASES);
}

Test(hostile, ring_indices)
{
    for (int which = 0; which < 4; which++) {
        static char data[1 << 20];
        attach();
        cr_assert_eq(receive(), MACHNET_EAGAIN);
        cr_assert_eq(machnet_send_copy(channel, FLOW, data, 1, 0, 0), MACHNET_OK);
        int32_t status = MACHNET_OK;
        if (which == 0) {
            atomic_store(engine.deliveries.mine, 0x40000000);
            status = receive();
        } else if (which == 1) {
            atomic_store(engine.completions.mine, 0x40000000);
            while (status == MACHNET_OK)
                status = machnet_send_copy(channel, FLOW, data, 64, 0, 0);
        } else if (which == 2) {
            atomic_store(engine.submissions.mine, 0x40000000);
            while (status == MACHNET_OK)
                status = machnet_send_copy(channel, FLOW, data, 64, 0, 0);
        } else {
            atomic_store(engine.releases.mine, 0x40000000);
            for (int i = 0; i < 2 * MN_RELEASES && status != MACHNET_EPROTOCOL; i++) {
                fake_engine_message(&engine, FLOW, 1, 0, 8, 0);
                status = receive();
            }
        }
        cr_assert_eq(status, MACHNET_EPROTOCOL, "ring %d", which);
        detach();
    }
}

Test(hostile, control_messages)
{
    for (int which = 0; which < 6; which++) {
        struct mn_control_region region = {.region = 3, .kind = MN_REGION_RECEIVE, .bytes = 1 << 20};
        attach();
        uint16_t type = which == 4   ? MN_CONTROL_REGION_READY
                        : which == 5 ? MN_CONTROL_ATTACHED
                                     : MN_CONTROL_REGION_OFFER;
        if (which == 1)
            region.region = 64;
        if (which == 2)
            region.kind = 0;
        if (which == 3)
            region.region = 1;
        mn_control_prepare(&region.header, type, 0, MACHNET_OK);
        if (which == 5) {
            char garbage[100] = {0};
            cr_assert_eq(send(engine.control, garbage, sizeof garbage, 0), (ssize_t)sizeof garbage);
        } else {
            int fd = STDIN_FILENO; /* no memfd */
            cr_assert_eq(mn_control_send(engine.control, &region.header, &fd, which == 0 || which == 4 ? 0 : 1), 0);
        }
        int32_t status;
        while ((status = machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, -1)) >= 0)
            continue;
        cr_assert_eq(status, MACHNET_EPROTOCOL, "case %d", which);
        detach();
    }
}

static struct prng prng;

/* Half of the words are such as come up in practice. */
static void mutate(struct mn_delivery *delivery)
{
    uint8_t *bytes = (uint8_t *)delivery;
    delivery->op = (uint8_t)(1 + prng_next(&prng) % 5);
    delivery->flow = FLOW;
    for (uint64_t changes = prng_next(&prng) % 4; changes > 0; changes--)
        bytes[prng_next(&prng) % sizeof *delivery] = (uint8_t)prng_next(&prng);
}

Test(hostile, random_bytes)
{
    const char *count_text = getenv("MACHNET_MUTATIONS");
    unsigned long runs = count_text != NULL ? strtoul(count_text, NULL, 10) : 300;

    for (unsigned long run = 1; run <= runs; run++) {
        prng_init(&prng, run);
        packed = run % 2 == 0;
        attach();
        int32_t status = MACHNET_EAGAIN;
        for (int i = 0; i < 50 && status != MACHNET_EPROTOCOL; i++) {
            struct mn_delivery delivery = {.region = 2, .length = 8, .offset = 64};
            mutate(&delivery);
            fake_engine_deliver(&engine, &delivery);
            fake_engine_complete(&engine, prng_next(&prng) % 3);
            machnet_send_copy(channel, FLOW, "x", 1, 0, 0);
            status = receive();
        }
        cr_assert(status == MACHNET_EAGAIN || status == MACHNET_EPROTOCOL || status == MACHNET_EMSGSIZE, "seed %lu: %s",
                  run, machnet_status_name(status));
        /* And after that: everything at once. */
        for (int i = 0; i < 4096; i++)
            ((uint8_t *)engine.bases[0])[128 + prng_next(&prng) % (engine.bytes[0] - 128)] = (uint8_t)prng_next(&prng);
        receive();
        machnet_send_copy(channel, FLOW, "x", 1, 0, 0);
        detach();
    }
}
