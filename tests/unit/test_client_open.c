/* SPDX-License-Identifier: MIT */
/* Opening flows: what a wait ends with, whose fault it is, and that there is no flow then. ctest-labels: tsan */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/fake_engine.h"

#define MS INT64_C(1000000)

static const machnet_address remote = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .port = 7};

static struct fake_engine engine;
static machnet_channel *channel;
static machnet_error error;

static void attach(void)
{
    engine.max_flows = 4;
    channel = fake_engine_channel(&engine, NULL);
}

static void detach(void)
{
    machnet_channel_unref(channel);
    fake_engine_stop(&engine);
}

TestSuite(client_open, .init = attach, .fini = detach, .timeout = 60);

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Takes the OPEN, and ends its flow with *argument. */
static void *end_the_flow(void *argument)
{
    struct mn_submission open;
    while (!fake_engine_take(&engine, &open))
        pause_ms(1);
    fake_engine_close_flow(&engine, open.flow, *(const int32_t *)argument);
    return NULL;
}

static int32_t open_that_ends(int32_t status)
{
    struct mn_submission close;
    pthread_t thread;
    uint64_t flow = 77;
    cr_assert_eq(pthread_create(&thread, NULL, end_the_flow, &status), 0);
    int32_t result = machnet_flow_open(channel, NULL, &remote, NULL, -1, &flow, &error);
    pthread_join(thread, NULL);
    cr_assert_eq(flow, 77, "not written");
    cr_assert(fake_engine_take(&engine, &close) && close.op == MN_OP_CLOSE, "it is given back");
    return result;
}

Test(client_open, waiting__every_end)
{
    static const int32_t ends[] = {MACHNET_ECLOSED,
                                   MACHNET_ERESET,
                                   MACHNET_EREFUSED,
                                   MACHNET_EUNREACHABLE,
                                   MACHNET_EPEERDEAD,
                                   MACHNET_EPEERPROTOCOL,
                                   MACHNET_EPEERMSGSIZE,
                                   MACHNET_EVERSION,
                                   MACHNET_EPEERRESTARTED,
                                   MACHNET_EADDRNOTAVAIL,
                                   MACHNET_EQUOTA,
                                   MACHNET_ENOMEM,
                                   -200 /* of a later engine */};
    machnet_event event;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        cr_assert_eq(open_that_ends(ends[i]), ends[i]);
        cr_assert(error.status == ends[i] && error.os_error == 0, "it is not this process");
        cr_assert(strstr(error.message, "127.0.0.1:7") != NULL && error.message[strlen(error.message) - 1] == '.', "%s",
                  error.message);
        cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN, "nothing is told of it");
    }
    /* An engine that closes what was never open, and gives no reason. */
    cr_assert_eq(open_that_ends(MACHNET_OK), MACHNET_ECLOSED);
}

Test(client_open, as_many_flows_as_the_channel_may_have)
{
    uint64_t flow;
    for (int i = 0; i < 4; i++)
        cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 0, &flow, NULL), MACHNET_OK);
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 0, &flow, &error), MACHNET_EQUOTA);
    cr_assert(strstr(error.message, "--quota-flows") != NULL && error.os_error == 0, "%s", error.message);
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, -1, &flow, &error), MACHNET_EQUOTA);
}

static void *shut_down_soon(void *nothing)
{
    (void)nothing;
    pause_ms(20);
    machnet_channel_shutdown(channel);
    return NULL;
}

Test(client_open, waiting__a_shutdown_by_another_thread_ends_it)
{
    pthread_t thread;
    uint64_t flow = 77;
    cr_assert_eq(pthread_create(&thread, NULL, shut_down_soon, NULL), 0);
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, -1, &flow, &error), MACHNET_ESHUTDOWN);
    pthread_join(thread, NULL);
    cr_assert_eq(flow, 77);
}

Test(client_open, waiting__a_descriptor_that_somebody_closed_is_named)
{
    uint64_t flow = 77;
    int fd = machnet_channel_fd(channel);
    cr_assert_geq(fd, 0);
    close(fd);
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, -1, &flow, &error), MACHNET_ESYSTEM);
    cr_assert(error.status == MACHNET_ESYSTEM && error.os_error == EBADF, "%d", error.os_error);
    cr_assert_eq(machnet_channel_wait(channel, 7, -1), MACHNET_ESYSTEM);
    cr_assert_eq(machnet_channel_wait(channel, 7, 0), MACHNET_ETIMEDOUT, "only sleeping needs it");
}

Test(client_open, addresses__of_a_flow_that_never_was_open)
{
    machnet_address local, peer;
    struct mn_submission open;
    uint64_t flow;
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 0, &flow, NULL), MACHNET_OK);
    cr_assert_eq(machnet_flow_addresses(channel, flow, &local, &peer), MACHNET_EAGAIN);
    cr_assert(fake_engine_take(&engine, &open));
    fake_engine_close_flow(&engine, flow, MACHNET_EREFUSED);
    machnet_event event;
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert_eq(machnet_flow_addresses(channel, flow, &local, &peer), MACHNET_EREFUSED,
                 "it does not help to call again");
    cr_assert_eq(machnet_flow_close(channel, flow, 0), MACHNET_OK);
    cr_assert_eq(machnet_flow_addresses(channel, flow, &local, &peer), MACHNET_EBADTOKEN);
}

/* ---- Any address ---- */

static void check_open_from(const char *text)
{
    struct mn_submission_open open;
    machnet_address local;
    uint64_t flow;
    static const uint8_t zero[16];
    cr_assert_eq(machnet_address_parse(text, &local), MACHNET_OK, "%s", text);
    cr_assert_eq(memcmp(local.ip, zero, sizeof zero), 0, "%s", text);
    cr_assert_eq(machnet_flow_open(channel, &local, &remote, NULL, 0, &flow, NULL), MACHNET_OK);
    cr_assert(fake_engine_take(&engine, (struct mn_submission *)(void *)&open));
    cr_assert_eq(memcmp(open.local_ip, zero, sizeof zero), 0, "%s", text);
    cr_assert_eq(open.local_port, 7000);
    cr_assert_eq(machnet_flow_open(channel, NULL, &local, NULL, 0, &flow, &error), MACHNET_EINVAL, "nobody is at %s",
                 text);
}

Test(client_open, any_address_is_written_in_four_ways)
{
    check_open_from(":7000");
    check_open_from("0.0.0.0:7000");
    check_open_from("[::]:7000");
    check_open_from("[::ffff:0.0.0.0]:7000");
}

Test(client_open, any_address_of_ipv4_in_a_struct)
{
    machnet_address local = {.ip = {[10] = 0xff, [11] = 0xff}, .port = 7000};
    struct mn_submission_open open;
    char text[MACHNET_ADDRESS_TEXT_MAX];
    uint64_t flow;
    static const uint8_t zero[16];
    cr_assert_eq(machnet_address_format(&local, text, sizeof text), MACHNET_OK);
    cr_assert_str_eq(text, ":7000");
    cr_assert_eq(machnet_flow_open(channel, &local, &remote, NULL, 0, &flow, NULL), MACHNET_OK);
    cr_assert(fake_engine_take(&engine, (struct mn_submission *)(void *)&open));
    cr_assert_eq(memcmp(open.local_ip, zero, sizeof zero), 0);
    cr_assert_eq(machnet_flow_open(channel, NULL, &local, NULL, 0, &flow, NULL), MACHNET_EINVAL);
}
