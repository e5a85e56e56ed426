/* SPDX-License-Identifier: MIT */
/* ctest-labels: tsan */
/* ATTACH in two steps. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "channel/control.h"
#include "channel/region.h"
#include "support/controller_bench.h"

TestSuite(controller_attach, .init = controller_bench_start, .fini = controller_bench_stop, .timeout = 60);

Test(controller_attach, attach__in_two_steps)
{
    struct application application = application_attach_as("größe\x1b[31m\xc2\x9b\u202e\xff");
    const struct mn_header *header = application.base[0];
    struct mn_header copy;
    cr_assert_eq(mn_layout_check(header, application.bytes[0], &copy), 0);
    json_t *json = engine_status();
    cr_assert_eq(json_array_size(json_object_get(json, "channels")), 1);
    json_t *channel = json_array_get(json_object_get(json, "channels"), 0);
    cr_assert_str_eq(json_string_value(json_object_get(channel, "name")), "größe?[31m???",
                     "nothing that a terminal would obey");
    cr_assert_eq(json_integer_value(json_object_get(channel, "pid")), getpid());
    json_decref(json);
    application_leave(&application);
}

/* The descriptors and sizes of an offer. */
static int ask_offer(int fds[5], uint64_t bytes[3])
{
    union control_message message;
    struct mn_control_attach question = {.name = "x"};
    int fd = control_greet();
    control_say(fd, &question, MN_CONTROL_ATTACH);
    control_hear(fd, &message, MN_CONTROL_ATTACH_OFFER, MACHNET_OK, fds, 5);
    static const uint8_t kinds[MN_CONTROL_FDS_MAX] = {MN_DESCRIPTOR_REGION, MN_DESCRIPTOR_REGION, MN_DESCRIPTOR_REGION,
                                                      MN_DESCRIPTOR_WAKEUP, MN_DESCRIPTOR_EVENT};
    cr_assert_eq(message.offer.descriptor_count, 5);
    cr_assert_eq(memcmp(message.offer.descriptors, kinds, sizeof kinds), 0);
    memcpy(bytes, message.offer.region_bytes, sizeof message.offer.region_bytes);
    return fd;
}

static uint64_t bytes_in_memory(int memfd)
{
    struct stat status;
    cr_assert_eq(fstat(memfd, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

/* Pages count where they were first touched: who keeps them must be who pays for them, so the engine takes none, whatever the client says. */
Test(controller_attach, attach__memory_is_the_clients)
{
    for (int round = 0; round < 2; round++) {
        union control_message message;
        struct mn_control_plain mapped = {.value = 0};
        uint64_t bytes[3];
        int fds[5], fd = ask_offer(fds, bytes);
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(bytes_in_memory(fds[i]), 0);
            if (round == 1)
                cr_assert_eq(fcntl(fds[i], F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL), 0);
        }
        control_say(fd, &mapped, MN_CONTROL_ATTACH_MAPPED);
        control_hear(fd, &message, MN_CONTROL_ATTACHED, MACHNET_EPROTOCOL, NULL, 0);
        cr_assert_gt(strlen(message.offer.message), 10);
        control_hear_end(fd);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(bytes_in_memory(fds[i]), 0);
        for (int i = 0; i < 5; i++)
            close(fds[i]);
        close(fd);
    }
}

Test(controller_attach, attach__memory_cannot_be_changed_any_more)
{
    union control_message message;
    struct mn_control_plain mapped = {.value = 0};
    uint64_t bytes[3];
    int fds[5], fd = ask_offer(fds, bytes);
    for (int i = 0; i < 3; i++) {
        void *base;
        cr_assert_eq(mn_region_map(fds[i], bytes[i], true, &base), 0);
    }
    control_say(fd, &mapped, MN_CONTROL_ATTACH_MAPPED);
    control_hear(fd, &message, MN_CONTROL_ATTACHED, MACHNET_OK, NULL, 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_neq(fallocate(fds[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
        cr_assert_neq(ftruncate(fds[i], 0), 0);
        cr_assert_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0), MAP_FAILED);
    }
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    close(fd);
}

static uint64_t receive_bytes_granted(uint64_t asked)
{
    union control_message message;
    struct mn_control_attach question = {.receive_bytes_max = asked, .name = "x"};
    int fd = control_greet(), fds[5];
    control_say(fd, &question, MN_CONTROL_ATTACH);
    control_hear(fd, &message, MN_CONTROL_ATTACH_OFFER, MACHNET_OK, fds, 5);
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    close(fd);
    return message.offer.receive_bytes_max;
}

Test(controller_attach, attach__the_receive_arena_may_hold_the_longest_message)
{
    cr_assert_eq(receive_bytes_granted(0), 64 << 20);
    cr_assert_eq(receive_bytes_granted(1), 2 * MN_MESSAGE_MAX);
    cr_assert_eq(receive_bytes_granted(MN_MESSAGE_MAX), 2 * MN_MESSAGE_MAX);
    cr_assert_eq(receive_bytes_granted(32 << 20), 32 << 20);
    controller_bench_restart(&(struct controller_config){.quota = {.bytes = 8 << 20}});
    cr_assert_lt(receive_bytes_granted(1), 7 << 20, "the quota is for all that the channel needs");
    cr_assert_gt(receive_bytes_granted(1), 4 << 20);
}

Test(controller_attach, attach__a_step_that_does_not_come_is_not_waited_for)
{
    union control_message message;
    const uint64_t step_ns = CLOCK_SECOND_NS;
    controller_bench_restart(&(struct controller_config){.step_ns = step_ns});
    int silent = control_connect();
    struct application half = application_map("test");
    uint64_t start = clock_now_ns();
    control_hear(silent, &message, MN_CONTROL_CLOSING, MACHNET_ETIMEDOUT, NULL, 0);
    control_hear(half.fd, &message, MN_CONTROL_CLOSING, MACHNET_ETIMEDOUT, NULL, 0);
    uint64_t took = clock_now_ns() - start;
    cr_assert(took > step_ns * 4 / 5 && took < step_ns + 2 * CLOCK_SECOND_NS, "%lu ns", (unsigned long)took);
    cr_assert_gt(strlen(message.plain.message), 10);
    cr_assert_eq(engine_status_number("users", "bytes"), 0);
    application_leave(&half);
    close(silent);
}

Test(controller_attach, attach__spreads_channels_over_the_workers)
{
    enum { CHANNELS = 6 };
    struct application applications[CHANNELS];
    uint32_t with[CONTROLLER_BENCH_WORKERS] = {0};
    for (int i = 0; i < CHANNELS; i++)
        applications[i] = application_attach();
    json_t *json = engine_status(), *channel;
    size_t i;
    json_array_foreach(json_object_get(json, "channels"), i, channel)
    {
        json_int_t worker = json_integer_value(json_object_get(channel, "worker"));
        cr_assert(worker >= 0 && worker < CONTROLLER_BENCH_WORKERS);
        with[worker]++;
    }
    json_decref(json);
    for (uint32_t w = 0; w < CONTROLLER_BENCH_WORKERS; w++)
        cr_assert_eq(with[w], CHANNELS / CONTROLLER_BENCH_WORKERS);
    for (int j = 0; j < CHANNELS; j++)
        application_leave(&applications[j]);
}
