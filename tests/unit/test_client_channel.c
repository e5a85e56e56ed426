/* SPDX-License-Identifier: MIT */
/* One channel against an engine that is driven by hand. ctest-labels: tsan */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/fake_engine.h"

static struct fake_engine engine;
static machnet_channel *channel;

#define ACCEPTED(generation, index) ((uint64_t)(generation) << 32 | MN_TOKEN_ACCEPTED | (index))
#define MS INT64_C(1000000)

static void attach(void)
{
    channel = fake_engine_channel(&engine, NULL);
}

static void detach(void)
{
    machnet_channel_unref(channel);
    fake_engine_stop(&engine);
}

TestSuite(channel, .init = attach, .fini = detach, .timeout = 30);

static int readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 0);
}

static uint64_t accept_one(uint32_t generation, uint32_t index)
{
    machnet_event event;
    fake_engine_accept(&engine, ACCEPTED(generation, index));
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert(event.type == MACHNET_EVENT_ACCEPTED && event.listener == 99 &&
              event.flow == ACCEPTED(generation, index));
    return event.flow;
}

static uint64_t stat_value(const char *name)
{
    uint64_t values[64];
    int32_t count = machnet_channel_stats(channel, values, 64);
    for (int32_t i = 0; i < count; i++) {
        if (strcmp(machnet_stat_name((uint32_t)i), name) == 0)
            return values[i];
    }
    cr_assert_fail("no counter %s", name);
    return 0;
}

/* ---- Sending ---- */

Test(channel, send_copy__submits_and_completes)
{
    uint64_t flow = accept_one(1, 0);
    struct mn_submission sent;
    machnet_flow_info info;

    cr_assert_eq(machnet_send_copy(channel, flow, "hello", 5, 42, 0), MACHNET_OK);
    cr_assert(fake_engine_take(&engine, &sent));
    cr_assert(sent.op == MN_OP_SEND && sent.flow == flow && sent.tag == 42 && sent.length == 5 && sent.region == 1);
    cr_assert_eq(memcmp((char *)engine.bases[1] + sent.offset, "hello", 5), 0);
    cr_assert_eq(machnet_flow_info_get(channel, flow, &info), MACHNET_OK);
    cr_assert(info.messages_sent == 1 && info.messages_acknowledged == 0 && info.bytes_unacknowledged == 5);
    fake_engine_complete(&engine, sent.cookie);
    cr_assert_eq(machnet_flow_info_get(channel, flow, &info), MACHNET_OK);
    cr_assert(info.messages_acknowledged == 1 && info.bytes_unacknowledged == 0);
    fake_engine_complete(&engine, sent.cookie);
    cr_assert_eq(machnet_flow_info_get(channel, flow, &info), MACHNET_OK);
    cr_assert_eq(machnet_send_copy(channel, flow, "x", 1, 0, 0), MACHNET_EPROTOCOL);
}

Test(channel, send_copy__arguments)
{
    uint64_t flow = accept_one(1, 0);
    static char large[MACHNET_MESSAGE_MAX + 1];

    cr_assert_eq(machnet_send_copy(NULL, flow, "x", 1, 0, 0), MACHNET_EINVAL);
    cr_assert_eq(machnet_send_copy(channel, flow, NULL, 1, 0, 0), MACHNET_EINVAL);
    cr_assert_eq(machnet_send_copy(channel, flow, "x", 1, 0, 1), MACHNET_EINVAL);
    cr_assert_eq(machnet_send_copy(channel, flow + 1, "x", 1, 0, 0), MACHNET_EBADTOKEN);
    cr_assert_eq(machnet_send_copy(channel, 0, "x", 1, 0, 0), MACHNET_EBADTOKEN);
    cr_assert_eq(machnet_send_copy(channel, UINT64_MAX, "x", 1, 0, 0), MACHNET_EBADTOKEN);
    cr_assert_eq(machnet_send_copy(channel, flow, large, sizeof large, 0, 0), MACHNET_EMSGSIZE);
    /* The arena of this channel never grows over 1 MiB. */
    cr_assert_eq(machnet_send_copy(channel, flow, large, (1 << 20) + 1, 0, 0), MACHNET_EMSGSIZE);
    cr_assert_eq(machnet_send_copy(channel, flow, large, 1 << 20, 0, 0), MACHNET_OK);
    cr_assert_eq(machnet_send_copy(channel, flow, NULL, 0, 0, 0), MACHNET_OK);
}

Test(channel, send_packed__first_n)
{
    uint64_t flow = accept_one(1, 0);
    machnet_record records[4] = {{.flow = flow, .tag = 1, .offset = 0, .length = 2},
                                 {.flow = flow, .tag = 2, .offset = 2, .length = 0},
                                 {.flow = flow, .tag = 3, .offset = 1, .length = 4},
                                 {.flow = flow, .tag = 4, .offset = 2, .length = 3}};
    struct mn_submission sent;

    cr_assert_eq(machnet_send_packed(channel, records, 4, "abcde", 5, 0), 4);
    for (uint64_t tag = 1; tag <= 4; tag++) {
        cr_assert(fake_engine_take(&engine, &sent));
        cr_assert_eq(sent.tag, tag);
    }
    records[2].length = 5;
    cr_assert_eq(machnet_send_packed(channel, records, 4, "abcde", 5, 0), 2);
    cr_assert_eq(machnet_send_packed(channel, records + 2, 2, "abcde", 5, 0), MACHNET_EINVAL);
    records[1].flow = 7;
    cr_assert_eq(machnet_send_packed(channel, records, 4, "abcde", 5, 0), 1);
    cr_assert_eq(machnet_send_packed(channel, records + 1, 3, "abcde", 5, 0), MACHNET_EBADTOKEN);
    records[0].offset = UINT64_MAX;
    cr_assert_eq(machnet_send_packed(channel, records, 1, "abcde", 5, 0), MACHNET_EINVAL);
}

Test(channel, send_space__event_and_wait)
{
    uint64_t flow = accept_one(1, 0);
    static char data[65536];
    struct mn_submission first, other;
    machnet_event event;

    for (int i = 0; i < 12; i++) /* three quarters of the arena */
        cr_assert_eq(machnet_send_copy(channel, flow, data, sizeof data, 0, 0), MACHNET_OK);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, 0), MACHNET_ETIMEDOUT);
    cr_assert_eq(machnet_send_copy(channel, flow, data, sizeof data, 0, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, 5 * MS), MACHNET_ETIMEDOUT);
    cr_assert(fake_engine_take(&engine, &first) && fake_engine_take(&engine, &other));
    fake_engine_complete(&engine, first.cookie);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, -1), MACHNET_WAIT_SEND);
    cr_assert_eq(machnet_channel_wait(channel, 7, -1), MACHNET_WAIT_SEND | MACHNET_WAIT_EVENT);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert(event.type == MACHNET_EVENT_SEND_SPACE && event.flow == flow);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_send_copy(channel, flow, data, sizeof data, 0, 0), MACHNET_OK);
    /* A stale event is not told: the flow has got EAGAIN again since. */
    cr_assert_eq(machnet_send_copy(channel, flow, data, sizeof data, 0, 0), MACHNET_EAGAIN);
    fake_engine_complete(&engine, other.cookie);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, -1), MACHNET_WAIT_SEND);
    cr_assert_eq(machnet_send_copy(channel, flow, data, sizeof data, 0, 0), MACHNET_OK);
    cr_assert_eq(machnet_send_copy(channel, flow, data, sizeof data, 0, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, MS), MACHNET_ETIMEDOUT);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
}

Test(channel, send__a_flow_gets_a_quarter_beside_others_and_leaves_one_when_alone)
{
    uint64_t greedy = accept_one(1, 0), modest = accept_one(1, 1);
    static char data[65536];
    struct mn_submission sent;
    int count = 0;

    while (machnet_send_copy(channel, greedy, data, sizeof data, 0, 0) == MACHNET_OK)
        count++;
    cr_assert_eq(count, 12);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(machnet_send_copy(channel, modest, data, sizeof data, 0, 0), MACHNET_OK);
    cr_assert_eq(machnet_send_copy(channel, modest, data, sizeof data, 0, 0), MACHNET_EAGAIN);
    for (int i = 0; i < 8; i++) {
        cr_assert(fake_engine_take(&engine, &sent));
        fake_engine_complete(&engine, sent.cookie);
    }
    /* 8 of 16 blocks are free, and both flows hold their quarter. */
    cr_assert_eq(machnet_send_copy(channel, greedy, data, sizeof data, 0, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_send_copy(channel, modest, data, sizeof data, 0, 0), MACHNET_EAGAIN);
    cr_assert(fake_engine_take(&engine, &sent) && sent.flow == greedy);
    fake_engine_complete(&engine, sent.cookie);
    cr_assert_eq(machnet_send_copy(channel, greedy, data, sizeof data, 0, 0), MACHNET_OK);
    cr_assert_eq(machnet_send_copy(channel, modest, data, sizeof data, 0, 0), MACHNET_EAGAIN);
}

Test(channel, reserve__commit_and_abandon)
{
    uint64_t flow = accept_one(1, 0);
    machnet_view view, other;
    struct mn_submission sent;

    cr_assert_eq(machnet_send_reserve(channel, flow, 100, &view, 0), MACHNET_OK);
    cr_assert_eq((uintptr_t)view.data % 64, 0);
    memset(view.data, 'r', 100);
    cr_assert_eq(machnet_send_commit(channel, view.buffer, 101, 0, 0), MACHNET_EINVAL);
    cr_assert_eq(machnet_send_commit(channel, view.buffer + 1, 10, 0, 0), MACHNET_EBADTOKEN);
    cr_assert_eq(machnet_send_commit(channel, view.buffer, 60, 5, 0), MACHNET_OK);
    cr_assert_eq(machnet_send_commit(channel, view.buffer, 60, 5, 0), MACHNET_EBADTOKEN);
    cr_assert_eq(machnet_buffer_release(channel, view.buffer), MACHNET_EBADTOKEN);
    cr_assert(fake_engine_take(&engine, &sent) && sent.length == 60 && sent.tag == 5);
    cr_assert_eq(machnet_send_reserve(channel, flow, 1 << 19, &view, 0), MACHNET_OK);
    cr_assert_eq(machnet_send_reserve(channel, flow, 1 << 19, &other, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, MS), MACHNET_ETIMEDOUT);
    cr_assert_eq(machnet_buffer_release(channel, view.buffer), MACHNET_OK);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, -1), MACHNET_WAIT_SEND);
    cr_assert_eq(machnet_buffer_release(channel, view.buffer), MACHNET_EBADTOKEN);
    cr_assert_eq(machnet_send_reserve(channel, flow, 1 << 19, &other, 0), MACHNET_OK);
    cr_assert_eq(machnet_flow_close(channel, flow, 0), MACHNET_OK);
    cr_assert_eq(machnet_send_commit(channel, other.buffer, 1, 0, 0), MACHNET_ECLOSED);
    cr_assert_eq(machnet_buffer_release(channel, other.buffer), MACHNET_OK);
}

/* ---- Receiving ---- */

Test(channel, recv__any_flow_in_turn)
{
    uint64_t a = accept_one(1, 0), b = accept_one(1, 1);
    machnet_message message;
    uint64_t expected[6][2] = {{a, 1}, {b, 5}, {a, 2}, {b, 6}, {a, 3}, {a, 4}};

    memcpy(engine.bases[2], "data", 4);
    for (uint64_t tag = 1; tag <= 6; tag++)
        fake_engine_message(&engine, tag <= 4 ? a : b, tag, 0, 4, tag);
    for (int i = 0; i < 6; i++) {
        char buffer[4];
        cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, buffer, 4, &message, 0), MACHNET_OK);
        cr_assert(message.flow == expected[i][0] && message.tag == expected[i][1] && message.length == 4, "turn %d", i);
        cr_assert_eq(memcmp(buffer, "data", 4), 0);
    }
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, NULL, 0, &message, 0), MACHNET_EAGAIN);
    cr_assert_eq(fake_engine_releases(&engine), 6);
}

Test(channel, recv__too_long_blocks_only_its_flow)
{
    uint64_t a = accept_one(1, 0), b = accept_one(1, 1);
    machnet_message message;
    machnet_record record;
    char buffer[100];

    fake_engine_message(&engine, a, 1, 0, 100, 11);
    fake_engine_message(&engine, b, 2, 128, 10, 22);
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, buffer, 99, &message, 0), MACHNET_EMSGSIZE);
    cr_assert(message.flow == a && message.length == 100 && message.tag == 11);
    cr_assert_eq(machnet_recv_packed(channel, a, &record, 1, buffer, 99, 0), MACHNET_EMSGSIZE);
    cr_assert(record.flow == a && record.length == 100 && record.tag == 11);
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, buffer, 99, &message, 0), MACHNET_OK);
    cr_assert_eq(message.flow, b);
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, buffer, 100, &message, 0), MACHNET_OK);
    cr_assert_eq(message.flow, a);
}

Test(channel, recv_packed__offsets_are_multiples_of_8)
{
    uint64_t flow = accept_one(1, 0);
    machnet_record records[8];
    char arena[24];

    for (uint32_t i = 0; i < 5; i++) {
        memset((char *)engine.bases[2] + 64 * i, 'a' + (int)i, 64);
        fake_engine_message(&engine, flow, i, 64 * i, i == 1 ? 0 : 5, i);
    }
    cr_assert_eq(machnet_recv_packed(channel, flow, records, 8, arena, sizeof arena, 0), 4);
    cr_assert(records[0].offset == 0 && records[1].offset == 8 && records[1].length == 0 && records[2].offset == 8 &&
              records[3].offset == 16);
    cr_assert_eq(memcmp(arena + 16, "ddddd", 5), 0);
    cr_assert_eq(fake_engine_releases(&engine), 4);
    cr_assert_eq(machnet_recv_packed(channel, flow, records, 8, arena, sizeof arena, 0), 1);
    cr_assert_eq(machnet_recv_packed(channel, flow, records, 8, arena, sizeof arena, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_recv_packed(channel, flow + 1, records, 8, arena, sizeof arena, 0), MACHNET_EBADTOKEN);
}

Test(channel, recv_packed__a_flow_is_announced_first_and_a_queue_goes_before_the_ring)
{
    uint64_t a = accept_one(1, 0), b = ACCEPTED(1, 1);
    machnet_record records[8];
    machnet_message message;
    machnet_event event;
    char arena[64];

    fake_engine_accept(&engine, b);
    cr_assert_eq(machnet_recv_packed(channel, MACHNET_ANY_FLOW, records, 8, arena, sizeof arena, 0), MACHNET_EAGAIN);
    fake_engine_message(&engine, b, 1, 0, 8, 1);
    cr_assert_eq(machnet_recv_packed(channel, MACHNET_ANY_FLOW, records, 8, arena, sizeof arena, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    for (uint32_t i = 2; i < 4; i++)
        fake_engine_message(&engine, a, i, 64 * i, 8, i);
    cr_assert_eq(machnet_recv_copy(channel, a, arena, sizeof arena, &message, 0), MACHNET_OK);
    cr_assert_eq(message.tag, 2, "the others are in queues now");
    fake_engine_message(&engine, a, 4, 256, 8, 4);
    cr_assert_eq(machnet_recv_packed(channel, a, records, 8, arena, sizeof arena, 0), 2);
    cr_assert(records[0].tag == 3 && records[1].tag == 4);
    cr_assert_eq(machnet_recv_packed(channel, MACHNET_ANY_FLOW, records, 8, arena, sizeof arena, 0), 1);
    cr_assert_eq(records[0].tag, 1);
    fake_engine_message(&engine, b, 5, 320, 8, 5);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, 0), MACHNET_WAIT_RECEIVE);
    cr_assert_eq(machnet_recv_packed(channel, MACHNET_ANY_FLOW, records, 8, arena, sizeof arena, 0), 1);
    cr_assert(records[0].flow == b && records[0].tag == 5);
    cr_assert_eq(fake_engine_releases(&engine), 5);
    cr_assert_eq(stat_value("messages_received"), 5);
}

Test(channel, borrow__outlives_flow_and_channel)
{
    uint64_t flow = accept_one(1, 0);
    machnet_view view, second;

    memcpy(engine.bases[2], "borrowed", 8);
    fake_engine_message(&engine, flow, 77, 0, 8, 3);
    fake_engine_message(&engine, flow, 78, 64, 8, 4);
    cr_assert_eq(machnet_recv_borrow(channel, flow, &view, 0), MACHNET_OK);
    cr_assert_eq(machnet_recv_borrow(channel, flow, &second, 0), MACHNET_OK);
    cr_assert(view.length == 8 && view.tag == 3 && view.flow == flow);
    cr_assert_eq(stat_value("buffers_borrowed_now"), 2);
    cr_assert_eq(fake_engine_releases(&engine), 0);
    cr_assert_eq(machnet_buffer_release(channel, second.buffer), MACHNET_OK);
    cr_assert_eq(machnet_buffer_release(channel, second.buffer), MACHNET_EBADTOKEN);
    cr_assert_eq(fake_engine_releases(&engine), 1);
    cr_assert_eq(machnet_flow_close(channel, flow, 0), MACHNET_OK);
    cr_assert_eq(machnet_channel_ref(channel), MACHNET_OK);
    cr_assert_eq(machnet_channel_shutdown(channel), MACHNET_OK);
    machnet_channel_unref(channel);
    machnet_channel_unref(channel);
    cr_assert_eq(memcmp(view.data, "borrowed", 8), 0);
    machnet_channel *last = channel;
    channel = NULL;
    cr_assert_eq(machnet_buffer_release(last, view.buffer), MACHNET_OK);
}

Test(channel, recv__who_takes_events_hears_of_a_flow_before_its_messages)
{
    machnet_event event;
    machnet_message message;

    /* Who does not take events gets messages all the same. */
    fake_engine_accept(&engine, ACCEPTED(1, 0));
    fake_engine_message(&engine, ACCEPTED(1, 0), 1, 0, 0, 0);
    fake_engine_message(&engine, ACCEPTED(1, 0), 2, 0, 0, 0);
    fake_engine_accept(&engine, ACCEPTED(1, 1));
    fake_engine_message(&engine, ACCEPTED(1, 1), 3, 0, 0, 7);
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, NULL, 0, &message, 0), MACHNET_OK);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert_eq(event.flow, ACCEPTED(1, 0));
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, NULL, 0, &message, 0), MACHNET_OK);
    cr_assert_eq(message.flow, ACCEPTED(1, 0));
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, NULL, 0, &message, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, 0), MACHNET_ETIMEDOUT);
    cr_assert_eq(machnet_channel_wait(channel, 7, 0), MACHNET_WAIT_EVENT);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, NULL, 0, &message, 0), MACHNET_OK);
    cr_assert(message.flow == ACCEPTED(1, 1) && message.tag == 7);
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, NULL, 0, &message, 0), MACHNET_EAGAIN);
    /* Closed before anything was told of it. */
    fake_engine_accept(&engine, ACCEPTED(1, 2));
    fake_engine_message(&engine, ACCEPTED(1, 2), 4, 0, 0, 0);
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, NULL, 0, &message, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_flow_close(channel, ACCEPTED(1, 2), 0), MACHNET_OK);
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, NULL, 0, &message, 0), MACHNET_EAGAIN);
    cr_assert_eq(fake_engine_releases(&engine), 4);
}

Test(channel, recv__ended_flow_keeps_its_messages)
{
    uint64_t flow = accept_one(1, 0);
    machnet_message message;
    machnet_event events[4];
    machnet_flow_info info;
    char buffer[8];

    fake_engine_message(&engine, flow, 1, 0, 8, 0);
    fake_engine_close_flow(&engine, flow, MACHNET_ERESET);
    cr_assert_eq(machnet_channel_events(channel, events, 4, 0), 1);
    cr_assert(events[0].type == MACHNET_EVENT_CLOSED && events[0].status == MACHNET_ERESET && events[0].flow == flow);
    cr_assert_eq(machnet_flow_info_get(channel, flow, &info), MACHNET_OK);
    cr_assert(info.state == MACHNET_FLOW_ENDED && info.status == MACHNET_ERESET && info.messages_queued == 1 &&
              info.listener == 99);
    cr_assert_eq(machnet_send_copy(channel, flow, "x", 1, 0, 0), MACHNET_ERESET);
    cr_assert_eq(machnet_recv_copy(channel, flow, buffer, 8, &message, 0), MACHNET_OK);
    cr_assert_eq(machnet_recv_copy(channel, flow, buffer, 8, &message, 0), MACHNET_ERESET);
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, buffer, 8, &message, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_flow_close(channel, flow, 0), MACHNET_OK);
    cr_assert_eq(machnet_flow_close(channel, flow, 0), MACHNET_EBADTOKEN);
    cr_assert_eq(machnet_channel_events(channel, events, 4, 0), MACHNET_EAGAIN);
    /* The index is free again, the old token is not. */
    cr_assert_eq(accept_one(2, 0), ACCEPTED(2, 0));
    cr_assert_eq(machnet_flow_info_get(channel, flow, &info), MACHNET_EBADTOKEN);
}

Test(channel, flow_close__drops_unread_messages)
{
    uint64_t flow = accept_one(1, 0);
    machnet_message message;
    machnet_event event;
    struct mn_submission sent;

    fake_engine_message(&engine, flow, 1, 0, 8, 0);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, -1), MACHNET_WAIT_RECEIVE);
    cr_assert_eq(machnet_flow_close(channel, flow, MACHNET_CLOSE_ABORT), MACHNET_OK);
    cr_assert(fake_engine_take(&engine, &sent) && sent.op == MN_OP_CLOSE && sent.flags == MN_CLOSE_ABORT &&
              sent.flow == flow);
    fake_engine_message(&engine, flow, 2, 0, 8, 0); /* was on its way */
    int32_t status = machnet_recv_copy(channel, MACHNET_ANY_FLOW, NULL, 0, &message, 0);
    cr_assert_eq(status, MACHNET_EAGAIN, "%s", machnet_status_name(status));
    cr_assert_eq(fake_engine_releases(&engine), 2);
    fake_engine_close_flow(&engine, flow, MACHNET_OK);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert(event.type == MACHNET_EVENT_CLOSED && event.status == MACHNET_OK && event.flow == flow);
    cr_assert_eq(stat_value("flows_now"), 0);
}

Test(channel, flow_open__tokens_are_new_each_time)
{
    machnet_address remote, local = {0};
    struct mn_submission_open open;
    struct mn_submission close;
    uint64_t seen[8], flow;
    machnet_event events[4];

    machnet_address_parse("127.0.0.3:7000", &remote);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 0, &flow, NULL), MACHNET_OK);
        cr_assert(fake_engine_take(&engine, (struct mn_submission *)(void *)&open));
        cr_assert(open.op == MN_OP_OPEN && open.flow == flow && open.remote_port == 7000 &&
                  open.timeout_ns == 3000000000);
        cr_assert_eq(machnet_flow_addresses(channel, flow, &local, NULL), MACHNET_EAGAIN);
        struct mn_delivery_flow established = {
            .op = MN_OP_ESTABLISHED, .local_port = 5, .remote_port = 7000, .flow = flow};
        fake_engine_deliver(&engine, &established);
        cr_assert_eq(machnet_channel_events(channel, events, 4, 0), 1);
        cr_assert_eq(events[0].type, MACHNET_EVENT_ESTABLISHED);
        cr_assert_eq(machnet_flow_addresses(channel, flow, &local, NULL), MACHNET_OK);
        cr_assert_eq(local.port, 5);
        cr_assert_eq(machnet_flow_close(channel, flow, 0), MACHNET_OK);
        cr_assert(fake_engine_take(&engine, &close));
        fake_engine_close_flow(&engine, flow, MACHNET_OK);
        cr_assert_eq(machnet_channel_events(channel, events, 4, 0), 1);
        seen[i] = flow;
        for (int j = 0; j < i; j++)
            cr_assert(seen[j] != flow && (uint32_t)seen[j] == (uint32_t)flow);
        cr_assert_eq(machnet_recv_copy(channel, flow, NULL, 0, &(machnet_message){0}, 0), MACHNET_EBADTOKEN);
    }
    remote.port = 0;
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 0, &flow, NULL), MACHNET_EINVAL);
}

Test(channel, flow_open__waiting_times_out)
{
    machnet_address remote;
    machnet_error error;
    uint64_t flow = 0;
    struct mn_submission sent;
    machnet_event event;

    machnet_address_parse("127.0.0.3:7000", &remote);
    machnet_channel_wake(channel);
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 5 * MS, &flow, &error), MACHNET_ETIMEDOUT);
    cr_assert(strstr(error.message, "127.0.0.3:7000") != NULL && flow == 0);
    cr_assert_eq(machnet_channel_wait(channel, 1, -1), 0, "the wake is still there");
    cr_assert(fake_engine_take(&engine, &sent) && sent.op == MN_OP_OPEN);
    cr_assert(fake_engine_take(&engine, &sent) && sent.op == MN_OP_CLOSE);
    fake_engine_close_flow(&engine, sent.flow, MACHNET_OK);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN, "nothing is told of it");
    cr_assert_eq(stat_value("flows_now"), 0);
}

Test(channel, events__quota_and_burst)
{
    static machnet_event events[2000];
    uint32_t told = 0;

    for (uint32_t i = 0; i < 1000; i++) {
        fake_engine_accept(&engine, ACCEPTED(1, i));
        if (i % 500 == 499) /* into the private queues, for the ring is no larger */
            cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_EVENT, 0), MACHNET_WAIT_EVENT);
    }
    for (uint32_t i = 0; i < 1000; i++)
        fake_engine_close_flow(&engine, ACCEPTED(1, i), MACHNET_ECLOSED);
    for (int32_t count; (count = machnet_channel_events(channel, events + told, 7, 0)) > 0; told += (uint32_t)count)
        continue;
    cr_assert_eq(told, 2000);
}

/* ---- Waiting ---- */

Test(channel, wake__ends_a_wait)
{
    cr_assert_eq(machnet_channel_wake(channel), MACHNET_OK);
    cr_assert_eq(machnet_channel_wait(channel, 7, -1), 0);
    cr_assert_eq(machnet_channel_wait(channel, 7, MS), MACHNET_ETIMEDOUT);
    cr_assert_eq(machnet_channel_wait(channel, 0, 0), MACHNET_EINVAL);
    cr_assert_eq(machnet_channel_wait(channel, 8, 0), MACHNET_EINVAL);
}

static void wake_in_handler(int number)
{
    (void)number;
    machnet_channel_wake(channel);
}

static void do_nothing(int number)
{
    (void)number;
}

/* A signal in 5 ms, and then, if it repeats, again and again: one that comes before the wait has begun ends no wait. */
static timer_t set_timer(void (*handler)(int), bool repeats)
{
    struct sigaction action = {.sa_handler = handler};
    const struct itimerspec soon = {.it_value.tv_nsec = 5000000, .it_interval.tv_nsec = repeats ? 5000000 : 0};
    timer_t timer;
    sigaction(SIGALRM, &action, NULL);
    cr_assert_eq(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
    timer_settime(timer, 0, &soon, NULL);
    return timer;
}

Test(channel, wait__signals)
{
    timer_t timer = set_timer(do_nothing, true);
    cr_assert_eq(machnet_channel_wait(channel, 7, -1), MACHNET_EINTR);
    timer_delete(timer);
    set_timer(wake_in_handler, false);
    int32_t status = machnet_channel_wait(channel, 7, -1);
    cr_assert(status == MACHNET_EINTR || status == 0);
    if (status == MACHNET_EINTR)
        cr_assert_eq(machnet_channel_wait(channel, 7, -1), 0);
}

Test(channel, wait__tells_an_end_once)
{
    uint64_t flow = accept_one(1, 0), other = accept_one(1, 1);
    machnet_message message;

    fake_engine_close_flow(&engine, flow, MACHNET_ERESET);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, -1), MACHNET_WAIT_RECEIVE);
    cr_assert_eq(machnet_recv_copy(channel, flow, NULL, 0, &message, 0), MACHNET_ERESET);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, 5 * MS), MACHNET_ETIMEDOUT);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_SEND, 0), MACHNET_ETIMEDOUT);
    cr_assert_eq(machnet_recv_copy(channel, other, NULL, 0, &message, 0), MACHNET_EAGAIN);
}

Test(channel, wait__tells_an_end_that_a_receive_call_took)
{
    uint64_t flow = accept_one(1, 0), other = accept_one(1, 1);
    machnet_message message;

    cr_assert_eq(machnet_recv_copy(channel, flow, NULL, 0, &message, 0), MACHNET_EAGAIN);
    fake_engine_close_flow(&engine, flow, MACHNET_ECLOSED);
    cr_assert_eq(machnet_recv_copy(channel, other, NULL, 0, &message, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_EVENT, 0), MACHNET_WAIT_EVENT);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, -1), MACHNET_WAIT_RECEIVE);
    cr_assert_eq(machnet_recv_copy(channel, flow, NULL, 0, &message, 0), MACHNET_ECLOSED);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, 0), MACHNET_ETIMEDOUT);
}

static void *close_soon(void *flow)
{
    usleep(20000);
    fake_engine_close_flow(&engine, *(uint64_t *)flow, MACHNET_EPEERDEAD);
    return NULL;
}

Test(channel, wait__an_end_wakes_a_sleeper)
{
    uint64_t flow = accept_one(1, 0);
    machnet_message message;
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, close_soon, &flow), 0);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, -1), MACHNET_WAIT_RECEIVE);
    cr_assert_eq(machnet_recv_copy(channel, flow, NULL, 0, &message, 0), MACHNET_EPEERDEAD);
    pthread_join(thread, NULL);
}

Test(channel, wait__our_own_close_is_no_end_to_wait_for)
{
    uint64_t flow = accept_one(1, 0);

    cr_assert_eq(machnet_flow_close(channel, flow, 0), MACHNET_OK);
    fake_engine_close_flow(&engine, flow, MACHNET_OK);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, 0), MACHNET_ETIMEDOUT);
    cr_assert_eq(machnet_channel_wait(channel, 7, 0), MACHNET_WAIT_EVENT);
}

Test(channel, fd__readable_while_something_is_there)
{
    uint64_t flow = accept_one(1, 0);
    machnet_message message;
    machnet_event event;
    char buffer[8];
    int fd = machnet_channel_fd(channel);

    cr_assert_geq(fd, 0);
    cr_assert_eq(machnet_channel_fd(channel), fd);
    cr_assert_eq(readable(fd), 1, "before the first look");
    cr_assert_eq(machnet_recv_copy(channel, 0, buffer, 8, &message, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
    cr_assert_eq(readable(fd), 0);
    fake_engine_message(&engine, flow, 1, 0, 8, 0);
    fake_engine_message(&engine, flow, 2, 0, 8, 0);
    cr_assert_eq(readable(fd), 1);
    cr_assert_eq(machnet_recv_copy(channel, 0, buffer, 8, &message, 0), MACHNET_OK);
    cr_assert_eq(readable(fd), 1, "one message is left");
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
    cr_assert_eq(readable(fd), 1, "in a private queue");
    cr_assert_eq(machnet_recv_copy(channel, 0, buffer, 8, &message, 0), MACHNET_OK);
    cr_assert_eq(machnet_recv_copy(channel, 0, buffer, 8, &message, 0), MACHNET_EAGAIN);
    cr_assert_eq(readable(fd), 0);
    fake_engine_close_flow(&engine, flow, MACHNET_ECLOSED);
    cr_assert_eq(readable(fd), 1);
    cr_assert_eq(machnet_recv_copy(channel, 0, buffer, 8, &message, 0), MACHNET_EAGAIN);
    cr_assert_eq(readable(fd), 1, "the event is left");
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
    cr_assert_eq(readable(fd), 0);
    machnet_channel_wake(channel);
    cr_assert_eq(readable(fd), 1);
    cr_assert_eq(machnet_recv_copy(channel, 0, buffer, 8, &message, 0), MACHNET_EAGAIN);
    cr_assert_eq(readable(fd), 1, "a wake stays till events has answered");
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
    cr_assert_eq(readable(fd), 0);
    machnet_channel_shutdown(channel);
    cr_assert_eq(readable(fd), 1, "gone");
    cr_assert_eq(machnet_channel_fd(channel), fd);
}

Test(channel, fd__send_space)
{
    uint64_t flow = accept_one(1, 0);
    static char data[1 << 20];
    struct mn_submission sent;
    machnet_message message;
    machnet_event event;
    int fd = machnet_channel_fd(channel);

    cr_assert_eq(machnet_recv_copy(channel, 0, data, 8, &message, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
    cr_assert_eq(machnet_send_copy(channel, flow, data, sizeof data, 0, 0), MACHNET_OK);
    cr_assert_eq(machnet_send_copy(channel, flow, data, 1, 0, 0), MACHNET_EAGAIN);
    cr_assert_eq(readable(fd), 0);
    cr_assert(fake_engine_take(&engine, &sent));
    fake_engine_complete(&engine, sent.cookie);
    cr_assert_eq(readable(fd), 1, "the engine was asked to signal completions");
    cr_assert_eq(machnet_recv_copy(channel, 0, data, 8, &message, 0), MACHNET_EAGAIN);
    cr_assert_eq(readable(fd), 1);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert_eq(event.type, MACHNET_EVENT_SEND_SPACE);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
    cr_assert_eq(readable(fd), 0);
}

/* ---- The end ---- */

Test(channel, shutdown__everything_answers)
{
    uint64_t flow = accept_one(1, 0);
    machnet_message message;
    machnet_event event;
    char byte;

    fake_engine_message(&engine, flow, 1, 0, 1, 0);
    cr_assert_eq(machnet_channel_shutdown(channel), MACHNET_OK);
    cr_assert_eq(machnet_channel_shutdown(channel), MACHNET_OK);
    cr_assert_eq(recv(engine.control, &byte, 1, 0), 0, "the engine sees the end");
    cr_assert_eq(machnet_recv_copy(channel, 0, &byte, 1, &message, 0), MACHNET_ESHUTDOWN);
    cr_assert_eq(machnet_send_copy(channel, flow, &byte, 1, 0, 0), MACHNET_ESHUTDOWN);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_ESHUTDOWN);
    cr_assert_eq(machnet_channel_wait(channel, 7, -1), MACHNET_ESHUTDOWN);
    cr_assert_eq(machnet_flow_close(channel, flow, 0), MACHNET_ESHUTDOWN);
    cr_assert_eq(machnet_listener_close(channel, 1, 0, NULL), MACHNET_ESHUTDOWN);
    cr_assert_eq(machnet_channel_fd(channel), MACHNET_ESHUTDOWN);
}

Test(channel, engine_gone__after_the_last_message_and_event)
{
    uint64_t flow = accept_one(1, 0);
    machnet_message message;
    machnet_event event;
    char buffer[8];

    fake_engine_message(&engine, flow, 1, 0, 8, 0);
    fake_engine_close_flow(&engine, flow, MACHNET_ERESET);
    close(engine.control);
    engine.control = -1;
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, -1), MACHNET_WAIT_RECEIVE);
    cr_assert_eq(machnet_recv_copy(channel, 0, buffer, 8, &message, 0), MACHNET_OK);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, -1), MACHNET_WAIT_RECEIVE, "the flow has ended");
    cr_assert_eq(machnet_recv_copy(channel, flow, buffer, 8, &message, 0), MACHNET_ERESET);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, -1), MACHNET_EENGINEGONE);
    cr_assert_eq(machnet_recv_copy(channel, 0, buffer, 8, &message, 0), MACHNET_EENGINEGONE);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EENGINEGONE);
    cr_assert_eq(machnet_send_copy(channel, flow, buffer, 8, 0, 0), MACHNET_EENGINEGONE);
}

Test(channel, engine_gone__seen_by_who_polls)
{
    machnet_message message;
    int32_t status = MACHNET_EAGAIN;

    close(engine.control);
    engine.control = -1;
    for (int i = 0; i < 5000 && status == MACHNET_EAGAIN; i++)
        status = machnet_recv_copy(channel, 0, NULL, 0, &message, 0);
    cr_assert_eq(status, MACHNET_EENGINEGONE);
}

Test(channel, engine_gone__header_says_so)
{
    atomic_store(&engine.header->closed, (uint32_t)-MACHNET_EPROTOCOL);
    cr_assert_eq(machnet_channel_events(channel, &(machnet_event){0}, 1, 0), MACHNET_EPROTOCOL);
    cr_assert_eq(machnet_channel_wait(channel, 7, -1), MACHNET_EPROTOCOL);
}

Test(channel, fork__the_child_is_told_and_keeps_nothing_open)
{
    uint64_t flow = accept_one(1, 0);
    int go[2], done[2];
    char byte;

    fake_engine_message(&engine, flow, 1, 0, 8, 0);
    cr_assert(pipe(go) == 0 && pipe(done) == 0);
    pid_t child = fork();
    if (child == 0) {
        machnet_error error;
        machnet_address address = {.ip = {1}, .port = 1};
        machnet_view view;
        int bad = machnet_send_copy(channel, flow, "x", 1, 0, 0) != MACHNET_EFORKED;
        bad |= machnet_recv_borrow(channel, flow, &view, 0) != MACHNET_EFORKED;
        bad |= machnet_channel_wait(channel, 7, -1) != MACHNET_EFORKED;
        bad |= machnet_channel_events(channel, &(machnet_event){0}, 1, 0) != MACHNET_EFORKED;
        bad |= machnet_channel_wake(channel) != MACHNET_EFORKED;
        bad |= machnet_channel_fd(channel) != MACHNET_EFORKED;
        bad |= machnet_channel_shutdown(channel) != MACHNET_EFORKED;
        bad |= machnet_buffer_release(channel, 1) != MACHNET_EFORKED;
        bad |= machnet_flow_open(channel, NULL, &address, NULL, -1, &flow, &error) != MACHNET_EFORKED;
        bad |= machnet_listener_open(channel, &address, NULL, &flow, &error) != MACHNET_EFORKED;
        bad |= strstr(error.message, "parent") == NULL;
        /* So that only the library can keep the engine's end open. */
        bad |= write(done[1], "x", 1) != 1;
        bad |= read(go[0], &byte, 1) != 1;
        machnet_channel_unref(channel);
        _exit(bad);
    }
    cr_assert_eq(read(done[0], &byte, 1), 1);
    machnet_channel_unref(channel);
    channel = NULL;
    cr_assert_eq(recv(engine.control, &byte, 1, MSG_DONTWAIT), 0, "the child holds the socket open");
    cr_assert_eq(write(go[1], "x", 1), 1);
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

Test(channel, fork__the_child_may_attach_itself)
{
    pid_t child = fork();
    if (child == 0) {
        struct fake_engine other = {.max_flows = 0};
        machnet_channel *mine = fake_engine_channel(&other, NULL);
        int bad = machnet_channel_wait(mine, 7, 0) != MACHNET_ETIMEDOUT;
        bad |= machnet_channel_wait(channel, 7, 0) != MACHNET_EFORKED;
        machnet_channel_unref(mine);
        fake_engine_stop(&other);
        _exit(bad);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert_eq(machnet_channel_wait(channel, 7, 0), MACHNET_ETIMEDOUT);
}
