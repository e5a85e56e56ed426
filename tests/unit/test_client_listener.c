/* SPDX-License-Identifier: MIT */
/* Listeners, against an engine whose answers are given by hand. ctest-labels: tsan */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "support/fake_engine.h"

#define MS INT64_C(1000000)

static struct fake_engine engine;
static machnet_channel *channel;
static machnet_error error;
static machnet_address any;

static void attach(void)
{
    channel = fake_engine_channel(&engine, NULL);
    machnet_address_parse(":0", &any);
}

static void detach(void)
{
    machnet_channel_unref(channel);
    fake_engine_stop(&engine);
}

TestSuite(listener, .init = attach, .fini = detach, .timeout = 60);

union message {
    struct mn_control_header header;
    struct mn_control_listen listen;
    uint8_t bytes[MN_CONTROL_BYTES_MAX];
};

static void hear(uint16_t type, struct mn_control_listen *listen)
{
    union message message;
    uint32_t fds;
    int length = mn_control_receive(engine.control, message.bytes, NULL, 0, &fds, 0);
    cr_assert(length > 0 && message.header.type == type, "%d bytes", length);
    *listen = message.listen;
}

static void answer(const struct mn_control_listen *question, uint16_t type, int32_t status, uint64_t token,
                   uint16_t port)
{
    struct mn_control_listen reply = *question;
    mn_control_prepare(&reply.header, type, question->header.request, status);
    reply.listener = token;
    reply.port = port;
    cr_assert_eq(mn_control_send(engine.control, &reply.header, NULL, 0), 0);
}

/* One question that a thread answers while the test waits for the call. */
struct answer {
    uint16_t question, type;
    int32_t status;
    uint64_t token;
    uint16_t port;
    pthread_t thread;
};

static void *give(void *argument)
{
    const struct answer *given = argument;
    struct mn_control_listen question;
    hear(given->question, &question);
    answer(&question, given->type, given->status, given->token, given->port);
    return NULL;
}

static int32_t open_listener(int32_t status, uint64_t token, uint16_t port, uint64_t *listener)
{
    struct answer given = {MN_CONTROL_LISTEN, MN_CONTROL_LISTEN_REPLY, status, token, port, 0};
    cr_assert_eq(pthread_create(&given.thread, NULL, give, &given), 0);
    int32_t result = machnet_listener_open(channel, &any, NULL, listener, &error);
    pthread_join(given.thread, NULL);
    return result;
}

static int32_t close_listener(int32_t status, uint64_t token)
{
    struct answer given = {MN_CONTROL_UNLISTEN, MN_CONTROL_UNLISTEN_REPLY, status, token, 0, 0};
    cr_assert_eq(pthread_create(&given.thread, NULL, give, &given), 0);
    int32_t result = machnet_listener_close(channel, token, 0, &error);
    pthread_join(given.thread, NULL);
    return result;
}

Test(listener, open__port_0_is_chosen_by_the_engine)
{
    uint64_t first = 0, second = 0;
    machnet_address bound;

    cr_assert_eq(open_listener(MACHNET_OK, 5, 50000, &first), MACHNET_OK, "%s", error.message);
    cr_assert_eq(open_listener(MACHNET_OK, 6, 50001, &second), MACHNET_OK, "%s", error.message);
    cr_assert(first == 5 && second == 6);
    memset(&bound, 0xff, sizeof bound);
    cr_assert_eq(machnet_listener_address(channel, first, &bound), MACHNET_OK);
    cr_assert(bound.port == 50000 && bound.reserved16 == 0 && bound.reserved32 == 0 && bound.reserved64 == 0);
    cr_assert_eq(memcmp(bound.ip, any.ip, sizeof bound.ip), 0);
    cr_assert_eq(machnet_listener_address(channel, second, &bound), MACHNET_OK);
    cr_assert_eq(bound.port, 50001);
    cr_assert_eq(machnet_listener_address(channel, 7, &bound), MACHNET_EBADTOKEN);
    cr_assert_eq(machnet_listener_address(channel, 0, &bound), MACHNET_EBADTOKEN);
    cr_assert_eq(machnet_listener_address(channel, first, NULL), MACHNET_EINVAL);

    cr_assert_eq(close_listener(MACHNET_OK, first), MACHNET_OK);
    cr_assert_eq(machnet_listener_address(channel, first, &bound), MACHNET_EBADTOKEN);
    cr_assert_eq(machnet_listener_address(channel, second, &bound), MACHNET_OK);
    machnet_channel_shutdown(channel);
    cr_assert_eq(machnet_listener_address(channel, second, &bound), MACHNET_OK, "known without the engine");
}

Test(listener, refused)
{
    uint64_t listener = 0;
    cr_assert_eq(open_listener(MACHNET_EADDRINUSE, 0, 7000, &listener), MACHNET_EADDRINUSE);
    cr_assert(error.status == MACHNET_EADDRINUSE && strstr(error.message, "Cannot listen") != NULL);
    cr_assert_eq(listener, 0);
    cr_assert_eq(close_listener(MACHNET_EBADTOKEN, 9), MACHNET_EBADTOKEN);
    cr_assert(error.status == MACHNET_EBADTOKEN && strstr(error.message, "Cannot close the listener") != NULL);
    cr_assert_eq(machnet_channel_wait(channel, 7, 0), MACHNET_ETIMEDOUT, "the channel lives");
}

Test(listener, gone)
{
    uint64_t listener;
    machnet_channel_shutdown(channel);
    cr_assert_eq(machnet_listener_open(channel, &any, NULL, &listener, &error), MACHNET_ESHUTDOWN);
    memset(&error, 0, sizeof error);
    cr_assert_eq(machnet_listener_close(channel, 1, 0, &error), MACHNET_ESHUTDOWN);
    cr_assert(error.status == MACHNET_ESHUTDOWN && strstr(error.message, "Open a new one") != NULL);
}

Test(listener_hostile, answers_that_no_engine_gives, .timeout = 60)
{
    static const struct {
        int32_t status;
        uint64_t token;
        uint16_t port;
    } bad[] = {{MACHNET_OK, 0, 7000},      {MACHNET_OK, 5, 0},           {1, 5, 7000},        {MACHNET_EAGAIN, 0, 7000},
               {MACHNET_EFORKED, 0, 7000}, {MACHNET_EBADTOKEN, 0, 7000}, {INT32_MIN, 0, 7000}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t listener = 0;
        memset(&engine, 0, sizeof engine);
        attach();
        cr_assert_eq(open_listener(bad[i].status, bad[i].token, bad[i].port, &listener), MACHNET_EPROTOCOL, "case %zu",
                     i);
        cr_assert_eq(listener, 0);
        detach();
    }
}

/* Takes as long as a call waits for the engine: 5 s. */
Test(listener, open__a_late_answer_leaves_no_listener)
{
    struct mn_control_listen question, undo;
    machnet_address bound;
    uint64_t listener = 0;

    cr_assert_eq(machnet_listener_open(channel, &any, NULL, &listener, &error), MACHNET_ETIMEDOUT);
    cr_assert_eq(listener, 0);
    hear(MN_CONTROL_LISTEN, &question);
    answer(&question, MN_CONTROL_LISTEN_REPLY, MACHNET_OK, 5, 50000);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_EVENT, 50 * MS), MACHNET_ETIMEDOUT);
    hear(MN_CONTROL_UNLISTEN, &undo);
    cr_assert_eq(undo.listener, 5);
    cr_assert_neq(undo.header.request, question.header.request);
    answer(&undo, MN_CONTROL_UNLISTEN_REPLY, MACHNET_OK, 5, 0);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_EVENT, 50 * MS), MACHNET_ETIMEDOUT, "the channel lives");
    cr_assert_eq(machnet_listener_address(channel, 5, &bound), MACHNET_EBADTOKEN);
    /* A late refusal has left nothing. */
    answer(&question, MN_CONTROL_LISTEN_REPLY, MACHNET_EADDRINUSE, 0, 0);
    cr_assert_eq(machnet_channel_wait(channel, MACHNET_WAIT_EVENT, 50 * MS), MACHNET_ETIMEDOUT);
    char byte;
    cr_assert_eq(recv(engine.control, &byte, 1, MSG_DONTWAIT), -1);
}
