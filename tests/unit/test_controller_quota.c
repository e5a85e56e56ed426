/* SPDX-License-Identifier: MIT */
/* ctest-labels: tsan */
/* What users may have, and what they are told who want more. */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "channel/control.h"
#include "support/controller_bench.h"

TestSuite(controller_quota, .init = controller_bench_start, .fini = controller_bench_stop, .timeout = 60);

Test(controller_quota, attach__quota_is_told_with_number_and_flag)
{
    union control_message message;
    struct mn_control_attach question = {.name = "x"};
    controller_bench_restart(&(struct controller_config){.quota = {.channels = 1}});
    struct application first = application_attach();
    int fd = control_greet();
    control_say(fd, &question, MN_CONTROL_ATTACH);
    control_hear(fd, &message, MN_CONTROL_ATTACH_OFFER, MACHNET_EQUOTA, NULL, 0);
    cr_assert(strstr(message.offer.message, "1 channels") && strstr(message.offer.message, "--quota-channels"), "%s",
              message.offer.message);
    application_leave(&first);
    close(fd);
    controller_bench_restart(&(struct controller_config){.quota = {.channels = 100, .bytes = 4 << 20}});
    first = application_attach();
    fd = control_greet();
    control_say(fd, &question, MN_CONTROL_ATTACH);
    control_hear(fd, &message, MN_CONTROL_ATTACH_OFFER, MACHNET_EQUOTA, NULL, 0);
    cr_assert(strstr(message.offer.message, "4194304") && strstr(message.offer.message, "--quota-bytes"), "%s",
              message.offer.message);
    cr_assert_eq(engine_status_number("users", "channels"), 1);
    application_leave(&first);
    close(fd);
}

/* What the last one had may not be free yet, but will be at once. */
Test(controller_quota, attach__at_the_quota_follows_at_once_on_who_ended)
{
    enum { ROUNDS = 100 };
    for (int by_bytes = 0; by_bytes < 2; by_bytes++) {
        const struct quota_config quota =
            by_bytes ? (struct quota_config){.bytes = 4 << 20} : (struct quota_config){.channels = 1};
        controller_bench_restart(&(struct controller_config){.quota = quota});
        for (int i = 0; i < ROUNDS; i++) {
            struct application application = application_attach();
            application_leave(&application);
        }
        cr_assert_eq(engine_status_number("counters", "attaches_refused"), 0);
    }
}

Test(controller_quota, attach__who_waits_for_what_is_not_enough_is_refused)
{
    enum { ROUNDS = 50 };
    struct mn_control_attach question = {.name = "x"};
    controller_bench_restart(&(struct controller_config){.quota = {.channels = 2}});
    struct application stays = application_attach();
    for (int i = 0; i < ROUNDS; i++) {
        int askers[3] = {control_greet(), control_greet(), control_greet()}, offers = 0;
        struct application goes = application_attach();
        application_leave(&goes);
        for (int j = 0; j < 3; j++)
            control_say(askers[j], &question, MN_CONTROL_ATTACH);
        close(askers[0]); /* whether it waits or has its offer */
        for (int j = 1; j < 3; j++) {
            union control_message message;
            int fds[5];
            uint32_t fd_count;
            cr_assert_gt(mn_control_receive(askers[j], message.bytes, fds, 5, &fd_count, 0), 0);
            cr_assert_eq(message.header.type, MN_CONTROL_ATTACH_OFFER);
            cr_assert(message.header.status == MACHNET_OK || message.header.status == MACHNET_EQUOTA);
            offers += message.header.status == MACHNET_OK;
            for (uint32_t k = 0; k < fd_count; k++)
                close(fds[k]);
        }
        cr_assert_leq(offers, 1);
        close(askers[1]);
        close(askers[2]);
    }
    cr_assert_gt(engine_status_number("counters", "attaches_refused"), ROUNDS / 2);
    application_leave(&stays);
}

static int32_t ask_region(const struct application *application, uint64_t bytes)
{
    union control_message message;
    struct mn_control_region request = {.kind = MN_REGION_SEND, .bytes = bytes};
    uint32_t fd_count;
    int fd;
    control_say(application->fd, &request, MN_CONTROL_REGION_REQUEST);
    cr_assert_gt(mn_control_receive(application->fd, message.bytes, &fd, 1, &fd_count, 0), 0);
    if (fd_count == 1)
        close(fd);
    cr_assert_eq(message.header.type, fd_count == 1 ? MN_CONTROL_REGION_OFFER : MN_CONTROL_REGION_REFUSED);
    return message.header.status;
}

/* A channel that was refused once does not ask again: what others are about to give back is waited for. */
Test(controller_quota, region__at_the_quota_follows_at_once_on_who_ended)
{
    enum { ROUNDS = 60, REGION_BYTES = 1 << 20 };
    struct application first = application_attach();
    const uint64_t channel_bytes = (uint64_t)engine_status_number("users", "bytes");
    application_leave(&first);
    const struct quota_config two = {.bytes = 2 * channel_bytes + REGION_BYTES / 2};
    controller_bench_restart(&(struct controller_config){.quota = two});
    for (int i = 0; i < ROUNDS; i++) {
        struct application stays = application_attach(), goes = application_attach();
        cr_assert_eq(ask_region(&stays, REGION_BYTES), MACHNET_EQUOTA, "nobody gives anything back");
        application_leave(&goes);
        close(control_greet()); /* after that the engine has seen the other go */
        if (i % 3 == 0)
            cr_assert_eq(ask_region(&stays, REGION_BYTES), MACHNET_OK);
        else if (i % 3 == 1) /* more than is given back */
            cr_assert_eq(ask_region(&stays, channel_bytes + REGION_BYTES), MACHNET_EQUOTA);
        else /* it does not wait for the answer */
            control_say(stays.fd, &(struct mn_control_region){.kind = MN_REGION_SEND, .bytes = REGION_BYTES},
                        MN_CONTROL_REGION_REQUEST);
        application_leave(&stays);
    }
    engine_time_to_reclaim();
}

Test(controller_quota, attach__connections_are_bounded)
{
    enum { TRIED = 300, ALLOWED = 257 };
    int fds[TRIED], refused = 0;
    controller_bench_restart(&(struct controller_config){.quota = {.channels = 1}});
    for (int i = 0; i < TRIED; i++)
        fds[i] = control_connect();
    for (int i = ALLOWED; i < TRIED; i++) {
        union control_message message;
        control_hear(fds[i], &message, MN_CONTROL_CLOSING, MACHNET_EQUOTA, NULL, 0);
        refused += strstr(message.plain.message, "257 connections") != NULL;
    }
    cr_assert_eq(refused, TRIED - ALLOWED);
    for (int i = 0; i < TRIED; i++)
        close(fds[i]);
}
