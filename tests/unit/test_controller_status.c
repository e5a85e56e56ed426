/* SPDX-License-Identifier: MIT */
/* ctest-labels: tsan */
/* STATUS: who asks much, and who does not read. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/controller_bench.h"

TestSuite(controller_status, .init = controller_bench_start, .fini = controller_bench_stop, .timeout = 60);

/* Reads to the end; only if there was room for it does the engine say why. */
static void hear_last(int fd, int32_t status, uint64_t most_ns)
{
    union control_message message;
    uint64_t end = clock_now_ns() + most_ns;
    struct pollfd polled = {.fd = fd, .events = POLLRDHUP};
    cr_assert_eq(poll(&polled, 1, (int)(most_ns / 1000000)), 1);
    while (recv(fd, &message, sizeof message, 0) > 0) {
        cr_assert(message.header.type != MN_CONTROL_CLOSING || message.header.status == status);
        cr_assert_lt(clock_now_ns(), end);
    }
}

Test(controller_status, status__floods_are_answered_one_by_one)
{
    enum { ASKED = 100 };
    static char text[1 << 20];
    int fds[ASKED];
    struct mn_control_plain question = {.value = 0};
    for (int i = 0; i < ASKED; i++)
        fds[i] = control_greet();
    uint64_t start = clock_now_ns();
    for (int i = 0; i < ASKED; i++)
        control_say(fds[i], &question, MN_CONTROL_STATUS);
    for (int i = 0; i < ASKED; i++) {
        (void)control_hear_status(fds[i], text, sizeof text);
        close(fds[i]);
    }
    cr_assert_lt(clock_now_ns() - start, CLOCK_SECOND_NS);
    json_t *json = engine_status();
    json_t *first = json_array_get(json_object_get(json, "workers"), 0);
    cr_assert_lt(json_integer_value(json_object_get(first, "loops")), 1000000);
    json_decref(json);
}

/* A text that does not fit into a socket at once: some thousand listeners. */
Test(controller_status, status__long_text_is_for_those_who_read_it)
{
    enum { LISTENERS = 8000, SOCKET_BYTES = 212992 };
    static char text[4 << 20];
    union control_message message;
    struct mn_control_plain question = {.value = 0};
    const uint64_t step_ns = controller_bench_stretched(2 * CLOCK_SECOND_NS);
    controller_bench_restart(&(struct controller_config){.step_ns = step_ns});
    struct application a = application_attach();
    for (int i = 0; i < LISTENERS; i++)
        cr_assert_eq(application_listen(&a, NULL, 0, &message), MACHNET_OK);
    int deaf = control_greet(), rude = control_greet(), reader = control_greet();
    uint64_t start = clock_now_ns();
    control_say(deaf, &question, MN_CONTROL_STATUS);
    control_say(rude, &question, MN_CONTROL_STATUS);
    control_say(reader, &question, MN_CONTROL_STATUS);
    size_t length = control_hear_status(reader, text, sizeof text);
    cr_assert_gt(length, SOCKET_BYTES, "%zu bytes: else this tests nothing", length);
    json_t *json = json_loadb(text, length, 0, NULL);
    cr_assert_eq(json_array_size(json_object_get(json, "listeners")), LISTENERS);
    json_decref(json);
    control_say(reader, &question, MN_CONTROL_STATUS);
    cr_assert_geq(control_hear_status(reader, text, sizeof text), length, "and again");
    cr_assert_lt(clock_now_ns() - start, step_ns * 4 / 5, "while the deaf one is waited for");
    /* Asking while one is on its way, and not reading. */
    control_say(rude, &question, MN_CONTROL_STATUS);
    hear_last(rude, MACHNET_EPROTOCOL, 2 * step_ns);
    hear_last(deaf, MACHNET_ETIMEDOUT, 2 * step_ns);
    cr_assert_gt(clock_now_ns() - start, step_ns * 4 / 5);
    close(deaf);
    close(rude);
    close(reader);
    application_leave(&a);
}
