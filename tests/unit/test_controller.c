/* SPDX-License-Identifier: MIT */
/* ctest-labels: tsan */
/* What clients say, and how clients and engine end. */
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/prng.h"
#include "channel/control.h"
#include "support/controller_bench.h"

TestSuite(controller, .init = controller_bench_start, .fini = controller_bench_stop, .timeout = 60);

/* ---- Hello and malformed messages ---- */

Test(controller, hello__of_another_version_is_refused_in_words)
{
    union control_message message;
    struct mn_control_hello hello = {.version_min = 30, .version_max = 40, .layout_min = 1, .layout_max = 99};
    int fd = control_connect();
    control_say(fd, &hello, MN_CONTROL_HELLO);
    control_hear(fd, &message, MN_CONTROL_HELLO_REPLY, MACHNET_EVERSION, NULL, 0);
    cr_assert(strstr(message.hello.message, "30 to 40"), "%s", message.hello.message);
    cr_assert_eq(message.hello.version_max, 0);
    control_hear_end(fd);
    close(fd);
}

/* What a later library may send to this engine, once they agree on a version. */
Test(controller, message__longer_or_unknown_may_be_ignored)
{
    union control_message message = {.bytes = {0}};
    uint32_t fd_count;
    int fd = control_greet();
    mn_control_prepare(&message.header, MN_CONTROL_STATUS, 5, MACHNET_OK);
    message.header.type = MN_CONTROL_IGNORABLE | MN_CONTROL_STATUS;
    cr_assert_eq(mn_control_send(fd, &message.header, NULL, 0), 0);
    mn_control_prepare(&message.header, MN_CONTROL_STATUS, 6, MACHNET_OK);
    message.header.length = sizeof message;
    cr_assert_eq(mn_control_send(fd, &message.header, NULL, 0), 0);
    cr_assert_gt(mn_control_receive(fd, message.bytes, NULL, 0, &fd_count, 0), 0);
    cr_assert_eq(message.header.type, MN_CONTROL_STATUS_REPLY);
    cr_assert_eq(message.header.request, 6);
    close(fd);
}

Test(controller, message__that_is_not_expected_closes_with_a_reason)
{
    static const uint16_t types[] = {MN_CONTROL_ATTACH,     MN_CONTROL_ATTACH_MAPPED, MN_CONTROL_REGION_MAPPED,
                                     MN_CONTROL_LISTEN,     MN_CONTROL_STATUS,        MN_CONTROL_CLOSING,
                                     MN_CONTROL_HELLO_REPLY};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        union control_message message = {.bytes = {0}};
        int fd = control_connect();
        control_say(fd, &message, types[i]);
        control_hear(fd, &message, MN_CONTROL_CLOSING, MACHNET_EPROTOCOL, NULL, 0);
        cr_assert_gt(strlen(message.plain.message), 10);
        control_hear_end(fd);
        close(fd);
    }
    cr_assert_eq(engine_status_number("counters", "control_messages_malformed"),
                 (json_int_t)(sizeof types / sizeof types[0]));
}

/* Random and mutated messages in every state; the engine answers the next one all the same. (10^5 of them: integration/attack_control) */
Test(controller, message__at_random)
{
    enum { ROUNDS = 1000 };
    struct prng prng;
    struct application bystander = application_attach();
    prng_init(&prng, 1);
    for (int round = 0; round < ROUNDS; round++) {
        struct application victim = {.fd = -1};
        int kind = (int)(prng_next(&prng) % 4);
        if (kind == 3)
            victim = prng_next(&prng) % 2 ? application_attach() : application_map("test");
        int fd = kind == 0 ? control_connect() : kind == 3 ? victim.fd : control_greet();
        for (uint64_t n = prng_next(&prng) % 4 + 1; n > 0; n--) {
            union control_message message;
            uint16_t type = (uint16_t)(1 + prng_next(&prng) % 18), length = mn_control_bytes(type);
            for (size_t i = 0; i < sizeof message.bytes; i++)
                message.bytes[i] = (uint8_t)(prng_next(&prng) >> (prng_next(&prng) % 64));
            mn_control_prepare(&message.header, type, 1, 0);
            for (uint64_t flips = prng_next(&prng) % 3; flips > 0; flips--)
                message.bytes[prng_next(&prng) % 12] ^= (uint8_t)(1u << prng_next(&prng) % 8);
            uint64_t cut = prng_next(&prng) % 4 == 0 ? prng_next(&prng) % (MN_CONTROL_BYTES_MAX + 1) : length;
            (void)send(fd, message.bytes, cut, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        if (kind == 3)
            application_leave(&victim);
        else
            close(fd);
    }
    cr_assert_gt(engine_status_number("counters", "control_messages_malformed"), ROUNDS / 2);
    cr_assert_eq(poll(&(struct pollfd){.fd = bystander.fd, .events = POLLIN}, 1, 0), 0,
                 "the bystander is still attached");
    application_leave(&bystander);
}

/* ---- Ends ---- */

Test(controller, death__all_is_reclaimed_within_10_ms)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 10; i++) {
        struct application application = application_attach();
        cr_assert_gt(engine_status_number("users", "bytes"), 2 << 20);
        close(application.fd);
        uint64_t took = engine_time_to_reclaim();
        best = took < best ? took : best;
        application.fd = -1;
        application_leave(&application);
    }
    cr_assert_lt(best, controller_bench_stretched(10000000), "%lu ns",
                 (unsigned long)best); /* the machine may be busy; the engine must not be slow */
}

/* A child that inherited the socket keeps it open: the pidfd tells. */
Test(controller, death__is_seen_although_a_child_holds_the_socket)
{
    int ready[2], keep[2];
    char byte = 0;
    cr_assert_eq(pipe(ready), 0);
    cr_assert_eq(pipe(keep), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct application application = application_attach();
        if (fork() == 0) {
            close(keep[1]);
            (void)!write(ready[1], &byte, 1);
            (void)!read(keep[0], &byte, 1); /* until the test ends */
            _exit(application.fd < 0);
        }
        pause();
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_assert_gt(engine_status_number("users", "bytes"), 2 << 20);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    cr_assert_lt(engine_time_to_reclaim(), controller_bench_stretched(CLOCK_SECOND_NS / 10));
    close(keep[1]);
}

Test(controller, shutdown__tells_applications_and_ends)
{
    union control_message message;
    struct application application = application_attach();
    const struct mn_header *header = application.base[0];
    kill(getpid(), SIGTERM);
    control_hear(application.fd, &message, MN_CONTROL_CLOSING, MACHNET_EENGINEGONE, NULL, 0);
    control_hear_end(application.fd);
    cr_assert_eq(atomic_load(&header->closed), -MACHNET_EENGINEGONE);
    application_leave(&application);
    controller_bench_join();
    controller_bench_start();
}
