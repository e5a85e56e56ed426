/* SPDX-License-Identifier: MIT */
/* ctest-labels: tsan */
/* LISTEN and UNLISTEN. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "support/controller_bench.h"

TestSuite(controller_listen, .init = controller_bench_start, .fini = controller_bench_stop, .timeout = 60);

Test(controller_listen, listen__conflicts_and_addresses)
{
    union control_message reply;
    struct application a = application_attach(), b = application_attach();
    cr_assert_eq(application_listen(&a, controller_bench_address(), 7000, &reply), MACHNET_OK);
    struct mn_control_listen listener = reply.listen;
    cr_assert_neq(listener.listener, 0);
    cr_assert_eq(application_listen(&b, controller_bench_address(), 7000, &reply), MACHNET_EADDRINUSE);
    cr_assert_eq(application_listen(&b, NULL, 7000, &reply), MACHNET_EADDRINUSE);
    cr_assert(strstr(reply.listen.message, "7000"), "%s", reply.listen.message);
    cr_assert_eq(application_listen(&b, "127.0.0.6", 7000, &reply), MACHNET_EADDRNOTAVAIL);
    cr_assert(strstr(reply.listen.message, "127.0.0.6"), "%s", reply.listen.message);
    cr_assert_eq(application_listen(&b, "0.0.0.0", 0, &reply), MACHNET_OK);
    cr_assert_geq(reply.listen.port, 49152);
    /* Another's listener cannot be closed. */
    control_say(b.fd, &listener, MN_CONTROL_UNLISTEN);
    control_hear(b.fd, &reply, MN_CONTROL_UNLISTEN_REPLY, MACHNET_EBADTOKEN, NULL, 0);
    control_say(a.fd, &listener, MN_CONTROL_UNLISTEN);
    control_hear(a.fd, &reply, MN_CONTROL_UNLISTEN_REPLY, MACHNET_OK, NULL, 0);
    cr_assert_eq(application_listen(&b, NULL, 7000, &reply), MACHNET_OK);
    json_t *json = engine_status();
    cr_assert_eq(json_array_size(json_object_get(json, "listeners")), 2);
    json_decref(json);
    /* They go with their channel. */
    application_leave(&b);
    uint64_t start = clock_now_ns();
    while (application_listen(&a, NULL, 7000, &reply) != MACHNET_OK)
        cr_assert_lt(clock_now_ns() - start, CLOCK_SECOND_NS);
    application_leave(&a);
}

Test(controller_listen, listen__is_bounded_and_may_be_closed_at_any_moment)
{
    enum { MOST = 700 };
    union control_message reply;
    controller_bench_restart(&(struct controller_config){.quota = {.listeners = MOST}});
    struct application other = application_attach(), a = application_attach();
    cr_assert_eq(application_listen(&other, NULL, 8999, &reply), MACHNET_OK);
    for (int i = 0; i < MOST - 1; i++)
        cr_assert_eq(application_listen(&a, NULL, 0, &reply), MACHNET_OK);
    cr_assert_eq(application_listen(&a, NULL, 0, &reply), MACHNET_EQUOTA);
    cr_assert(strstr(reply.listen.message, "700") && strstr(reply.listen.message, "--quota-listeners"), "%s",
              reply.listen.message);
    cr_assert_eq(application_listen(&other, NULL, 0, &reply), MACHNET_EQUOTA, "the user's, not the channel's");
    cr_assert_eq(engine_status_number("users", "listeners"), MOST);
    application_leave(&a);
    application_leave(&other);
    for (int i = 0; i < 50; i++) { /* the answer is never waited for */
        struct application b = application_attach();
        struct mn_control_listen question = {.port = 9000};
        control_say(b.fd, &question, MN_CONTROL_LISTEN);
        application_leave(&b);
    }
    struct application c = application_attach();
    cr_assert_eq(application_listen(&c, NULL, 9000, &reply), MACHNET_OK);
    application_leave(&c);
}
