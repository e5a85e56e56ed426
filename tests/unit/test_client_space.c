/* SPDX-License-Identifier: MIT */
/* Which calls are refused for want of space, what they did before, and which of them a SEND_SPACE follows. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "support/fake_engine.h"

#define ACCEPTED(index) ((uint64_t)1 << 32 | MN_TOKEN_ACCEPTED | (index))
#define FLOW ACCEPTED(0)
#define OTHER ACCEPTED(1)
#define MS INT64_C(1000000)

enum { MIB = 1 << 20, BLOCK = MN_BLOCK };

static const machnet_address remote = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .port = 7};

static struct fake_engine engine;
static machnet_channel *channel;
static char data[2 * MIB];

static void attach_with(uint64_t send_bytes_max)
{
    machnet_event events[2];
    engine.max_flows = 4 * MN_SUBMISSIONS;
    engine.send_bytes_max = send_bytes_max;
    channel = fake_engine_channel(&engine, NULL);
    fake_engine_accept(&engine, FLOW);
    fake_engine_accept(&engine, OTHER);
    cr_assert_eq(machnet_channel_events(channel, events, 2, 0), 2);
}

static void attach(void)
{
    attach_with(MIB);
}

static void detach(void)
{
    machnet_channel_unref(channel);
    fake_engine_stop(&engine);
}

TestSuite(client_space, .init = attach, .fini = detach, .timeout = 60);
TestSuite(client_growth, .fini = detach, .timeout = 60);

static int32_t send(uint64_t flow, uint64_t length)
{
    return machnet_send_copy(channel, flow, data, length, 0, 0);
}

/* Takes all submissions and completes those that were sent. */
static void complete_all(void)
{
    struct mn_submission taken;
    while (fake_engine_take(&engine, &taken)) {
        if (taken.op == MN_OP_SEND)
            fake_engine_complete(&engine, taken.cookie);
    }
}

/* All the space that the flow may have. */
static void fill_arena(void)
{
    while (send(FLOW, BLOCK) == MACHNET_OK)
        continue;
}

static void fill_ring(void)
{
    uint64_t flow;
    while (machnet_flow_open(channel, NULL, &remote, NULL, 0, &flow, NULL) == MACHNET_OK)
        continue;
}

/* Whether a SEND_SPACE of `flow` is told, once, and nothing else. */
static bool is_told(uint64_t flow)
{
    machnet_event events[4];
    int32_t count = machnet_channel_events(channel, events, 4, 0);
    if (count == MACHNET_EAGAIN)
        return false;
    cr_assert(count == 1 && events[0].type == MACHNET_EVENT_SEND_SPACE && events[0].flow == flow, "%d, type %u", count,
              events[0].type);
    cr_assert_eq(machnet_channel_events(channel, events, 4, 0), MACHNET_EAGAIN);
    return true;
}

/* ---- Who is told ---- */

static int32_t send_one(void)
{
    return send(FLOW, BLOCK);
}

static int32_t send_packed(void)
{
    const machnet_record records[2] = {{.flow = FLOW, .length = BLOCK}, {.flow = FLOW, .length = BLOCK}};
    return machnet_send_packed(channel, records, 2, data, sizeof data, 0);
}

static machnet_view reserved[16];
static uint32_t reserved_count;

static int32_t reserve(void)
{
    int32_t status = machnet_send_reserve(channel, FLOW, BLOCK, &reserved[reserved_count % 16], 0);
    reserved_count += status == MACHNET_OK;
    return status;
}

static void release_one(void)
{
    if (reserved_count > 0)
        cr_assert_eq(machnet_buffer_release(channel, reserved[--reserved_count].buffer), MACHNET_OK);
}

Test(client_space, a_refused_send_is_told)
{
    int32_t (*const calls[])(void) = {send_one, send_packed, reserve};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        fill_arena();
        complete_all();
        cr_assert(is_told(FLOW));
        while (calls[i]() >= 0)
            continue;
        cr_assert_eq(calls[i](), MACHNET_EAGAIN, "call %zu", i);
        cr_assert_not(is_told(FLOW), "call %zu: nothing is free yet", i);
        complete_all();
        release_one();
        cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, 0), MACHNET_WAIT_SEND);
        cr_assert(is_told(FLOW), "call %zu", i);
    }
}

Test(client_space, a_packed_send_that_stops_for_space_is_told)
{
    machnet_record records[32];
    for (int i = 0; i < 32; i++)
        records[i] = (machnet_record){.flow = FLOW, .length = BLOCK};
    int32_t sent = machnet_send_packed(channel, records, 32, data, sizeof data, 0);
    cr_assert(sent > 0 && sent < 32, "%d", sent);
    cr_assert_not(is_told(FLOW));
    complete_all();
    cr_assert(is_told(FLOW));
    cr_assert_gt(machnet_send_packed(channel, records + sent, (uint32_t)(32 - sent), data, sizeof data, 0), 0);
}

Test(client_space, it_is_the_flow_that_stopped_that_is_told)
{
    machnet_record records[16];
    for (int i = 0; i < 16; i++)
        records[i] = (machnet_record){.flow = i == 0 ? FLOW : OTHER, .length = BLOCK};
    int32_t sent = machnet_send_packed(channel, records, 16, data, sizeof data, 0);
    cr_assert(sent > 1 && sent < 16, "%d", sent);
    complete_all();
    cr_assert(is_told(OTHER));
}

Test(client_space, a_refused_commit_is_told)
{
    machnet_view view;
    cr_assert_eq(machnet_send_reserve(channel, FLOW, 8, &view, 0), MACHNET_OK);
    fill_ring();
    cr_assert_eq(machnet_send_commit(channel, view.buffer, 8, 0, 0), MACHNET_EAGAIN);
    complete_all();
    cr_assert(is_told(FLOW));
    cr_assert_eq(machnet_send_commit(channel, view.buffer, 8, 0, 0), MACHNET_OK);
}

Test(client_space, a_refused_open_or_close_is_not_told)
{
    uint64_t flow = 77;
    machnet_flow_info info;
    fill_ring();
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 0, &flow, NULL), MACHNET_EAGAIN);
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, -1, &flow, NULL), MACHNET_EAGAIN,
                 "nor is it waited for");
    cr_assert_eq(flow, 77);
    cr_assert_eq(machnet_flow_close(channel, FLOW, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_flow_info_get(channel, FLOW, &info), MACHNET_OK, "nothing was done");
    complete_all();
    cr_assert_not(is_told(FLOW));
    cr_assert_eq(machnet_flow_close(channel, FLOW, 0), MACHNET_OK);
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 0, &flow, NULL), MACHNET_OK);
}

Test(client_space, a_flow_that_ends_is_not_told)
{
    machnet_event event;
    fill_arena();
    fake_engine_close_flow(&engine, FLOW, MACHNET_ERESET);
    complete_all();
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert(event.type == MACHNET_EVENT_CLOSED && event.status == MACHNET_ERESET);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
    cr_assert_eq(send(FLOW, BLOCK), MACHNET_ERESET);
}

/* ---- A record that cannot go ---- */

Test(client_space, send_packed__stops_at_a_bad_record)
{
    static const struct {
        machnet_record record;
        int32_t status;
    } bad[] = {
        {{.flow = FLOW, .length = sizeof data + 1}, MACHNET_EINVAL},
        {{.flow = FLOW, .offset = UINT64_MAX, .length = 1}, MACHNET_EINVAL},
        {{.flow = FLOW, .offset = 1, .length = UINT64_MAX}, MACHNET_EINVAL},
        {{.flow = FLOW, .flags = 1}, MACHNET_EINVAL},
        {{.flow = FLOW, .reserved32 = 1}, MACHNET_EINVAL},
        {{.flow = FLOW, .reserved64 = 1}, MACHNET_EINVAL},
        {{.flow = 0}, MACHNET_EBADTOKEN},
        {{.flow = ACCEPTED(5)}, MACHNET_EBADTOKEN},
        {{.flow = FLOW, .length = MIB + 1}, MACHNET_EMSGSIZE},
        {{.flow = ACCEPTED(2)}, MACHNET_ERESET},
    };
    struct mn_submission taken;
    machnet_event events[2];

    fake_engine_accept(&engine, ACCEPTED(2));
    fake_engine_close_flow(&engine, ACCEPTED(2), MACHNET_ERESET);
    cr_assert_eq(machnet_channel_events(channel, events, 2, 0), 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const machnet_record records[4] = {
            {.flow = FLOW, .tag = 1, .length = 1}, {.flow = OTHER, .tag = 2}, bad[i].record, {.flow = OTHER, .tag = 4}};
        cr_assert_eq(machnet_send_packed(channel, records, 4, data, sizeof data, 0), 2, "case %zu", i);
        for (uint64_t tag = 1; tag <= 2; tag++)
            cr_assert(fake_engine_take(&engine, &taken) && taken.tag == tag);
        cr_assert_not(fake_engine_take(&engine, &taken), "case %zu: what is behind it stays", i);
        cr_assert_eq(machnet_send_packed(channel, records + 2, 2, data, sizeof data, 0), bad[i].status, "case %zu", i);
        cr_assert_not(fake_engine_take(&engine, &taken), "case %zu", i);
        cr_assert_eq(machnet_send_packed(channel, records + 3, 1, data, sizeof data, 0), 1, "case %zu", i);
        cr_assert(fake_engine_take(&engine, &taken) && taken.tag == 4);
    }
    cr_assert_not(is_told(FLOW), "none of this waits for space");
}

Test(client_space, counts_of_0_and_beyond)
{
    machnet_record record = {.flow = FLOW};
    machnet_event event;
    static const uint32_t wrong[] = {0, UINT32_C(0x80000000), UINT32_MAX};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_eq(machnet_send_packed(channel, &record, wrong[i], data, 1, 0), MACHNET_EINVAL);
        cr_assert_eq(machnet_recv_packed(channel, FLOW, &record, wrong[i], data, 1, 0), MACHNET_EINVAL);
        cr_assert_eq(machnet_channel_events(channel, &event, wrong[i], 0), MACHNET_EINVAL);
    }
    int32_t counters = machnet_channel_stats(channel, NULL, 0);
    uint64_t value = 77;
    cr_assert_gt(counters, 0);
    cr_assert_eq(machnet_channel_stats(channel, &value, 0), counters);
    cr_assert_eq(value, 77);
    cr_assert_eq(machnet_channel_stats(channel, NULL, 1), MACHNET_EINVAL);
    fake_engine_message(&engine, FLOW, 1, 0, 0, 9);
    cr_assert_eq(machnet_recv_packed(channel, FLOW, &record, 1, NULL, 0, 0), 1,
                 "an arena of nothing holds an empty message");
    cr_assert_eq(record.tag, 9);
}

/* ---- Growth ---- */

/* The engine's answer to the request for a region that must be there. */
static void refuse_region(int32_t status)
{
    union {
        struct mn_control_header header;
        struct mn_control_region region;
        uint8_t bytes[MN_CONTROL_BYTES_MAX];
    } question;
    uint32_t fds;
    int length = mn_control_receive(engine.control, question.bytes, NULL, 0, &fds, 0);
    cr_assert(length > 0 && question.header.type == MN_CONTROL_REGION_REQUEST, "%d bytes", length);
    struct mn_control_region answer = {.kind = MN_REGION_SEND};
    mn_control_prepare(&answer.header, MN_CONTROL_REGION_REFUSED, question.header.request, status);
    cr_assert_eq(mn_control_send(engine.control, &answer.header, NULL, 0), 0);
}

Test(client_growth, refused__a_message_that_fits_waits_for_others)
{
    attach_with(8 * MIB);
    fill_arena();
    refuse_region(MACHNET_EQUOTA);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, -1), MACHNET_WAIT_SEND, "the refusal is told");
    cr_assert(is_told(FLOW));
    cr_assert_eq(send(FLOW, BLOCK), MACHNET_EAGAIN, "the arena is full as before");
    cr_assert_not(is_told(FLOW));
    complete_all();
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, -1), MACHNET_WAIT_SEND);
    cr_assert(is_told(FLOW));
    cr_assert_eq(send(FLOW, BLOCK), MACHNET_OK);
}

Test(client_growth, refused__a_message_that_never_fits_is_too_long)
{
    attach_with(8 * MIB);
    cr_assert_eq(send(FLOW, 2 * MIB), MACHNET_EAGAIN);
    refuse_region(MACHNET_ENOMEM);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, -1), MACHNET_WAIT_SEND);
    cr_assert(is_told(FLOW));
    cr_assert_eq(send(FLOW, 2 * MIB), MACHNET_EMSGSIZE);
    cr_assert_eq(send(OTHER, 2 * MIB), MACHNET_EMSGSIZE, "it is not asked for again");
    cr_assert_eq(send(FLOW, MIB), MACHNET_OK);
    cr_assert_not(is_told(FLOW));
}
