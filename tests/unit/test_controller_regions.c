/* SPDX-License-Identifier: MIT */
/* ctest-labels: tsan */
/* Further regions of a live channel. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "channel/region.h"
#include "support/controller_bench.h"

TestSuite(controller_regions, .init = controller_bench_start, .fini = controller_bench_stop, .timeout = 60);

static void ask_region(struct application *application, uint64_t bytes)
{
    struct mn_control_region request = {.kind = MN_REGION_SEND, .bytes = bytes};
    control_say(application->fd, &request, MN_CONTROL_REGION_REQUEST);
}

static void map_region(int fd, uint64_t bytes)
{
    void *base;
    cr_assert_eq(mn_region_map(fd, bytes, true, &base), 0);
}

Test(controller_regions, region__is_added_by_the_same_two_steps)
{
    union control_message message;
    struct application application = application_attach();
    int fd;
    ask_region(&application, 1 << 20);
    control_hear(application.fd, &message, MN_CONTROL_REGION_OFFER, MACHNET_OK, &fd, 1);
    struct mn_control_region mapped = message.region;
    cr_assert(mapped.region == 3 && mapped.kind == MN_REGION_SEND && mapped.bytes == 1 << 20);
    map_region(fd, mapped.bytes);
    control_say(application.fd, &mapped, MN_CONTROL_REGION_MAPPED);
    control_hear(application.fd, &message, MN_CONTROL_REGION_READY, MACHNET_OK, NULL, 0);
    cr_assert_eq(message.header.request, 77);
    cr_assert_eq(message.region.region, 3);
    cr_assert_neq(fcntl(fd, F_GET_SEALS) & F_SEAL_FUTURE_WRITE, 0);
    close(fd);
    /* 4 MiB were agreed, 2 are there. */
    ask_region(&application, 4 << 20);
    control_hear(application.fd, &message, MN_CONTROL_REGION_REFUSED, MACHNET_EQUOTA, NULL, 0);
    ask_region(&application, 2 << 20);
    control_hear(application.fd, &message, MN_CONTROL_REGION_OFFER, MACHNET_OK, &fd, 1);
    close(fd);
    application_leave(&application);
    engine_time_to_reclaim();
}

/* As when its application has died, or does not follow its descriptor. */
Test(controller_regions, region__that_is_not_mapped_in_time_is_taken_back)
{
    union control_message message;
    const uint64_t step_ns = CLOCK_SECOND_NS;
    int fd;
    controller_bench_restart(&(struct controller_config){.step_ns = step_ns});
    struct application application = application_attach();
    json_int_t before = engine_status_number("users", "bytes");
    uint64_t start = clock_now_ns();
    ask_region(&application, 1 << 20);
    control_hear(application.fd, &message, MN_CONTROL_REGION_OFFER, MACHNET_OK, &fd, 1);
    struct mn_control_region mapped = message.region;
    cr_assert_eq(engine_status_number("users", "bytes"), before + (1 << 20));
    control_hear(application.fd, &message, MN_CONTROL_REGION_REFUSED, MACHNET_ETIMEDOUT, NULL, 0);
    uint64_t took = clock_now_ns() - start;
    cr_assert(took > step_ns * 4 / 5 && took < step_ns + 2 * CLOCK_SECOND_NS, "%lu ns", (unsigned long)took);
    cr_assert_eq(engine_status_number("users", "bytes"), before);
    control_say(application.fd, &mapped, MN_CONTROL_REGION_MAPPED); /* too late, and no harm */
    ask_region(&application, 1 << 20);
    close(fd);
    control_hear(application.fd, &message, MN_CONTROL_REGION_OFFER, MACHNET_OK, &fd, 1);
    close(fd);
    application_leave(&application);
}

Test(controller_regions, region__unmapped_one_can_be_asked_for_again)
{
    union control_message message;
    struct application application = application_attach();
    int fd;
    for (uint16_t region = 3; region < MN_REGIONS_MAX; region++) {
        ask_region(&application, 65536);
        control_hear(application.fd, &message, MN_CONTROL_REGION_OFFER, MACHNET_OK, &fd, 1);
        cr_assert_eq(message.region.region, region);
        close(fd);
    }
    ask_region(&application, 65536);
    control_hear(application.fd, &message, MN_CONTROL_REGION_REFUSED, MACHNET_EQUOTA, NULL, 0);
    application_leave(&application);
    engine_time_to_reclaim();
}
