/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "flow/congestion.h"

enum { WINDOW_MAX = 1024, RTT_NS = 50000 };

/* A flow that is always limited by its window: number of the next packet, and the delay that it meets. */
struct path {
    struct congestion congestion;
    uint64_t next, acknowledged, now;
};

static void start(struct path *path, enum congestion_kind kind)
{
    *path = (struct path){.now = 1};
    congestion_init(&path->congestion, kind, WINDOW_MAX, 0);
}

/* One round trip: a window of packets goes out, `lost_in_1000` of them are lost, and each of the others is acknowledged `delay_ns` late. */
static void round_trip(struct path *path, uint32_t delay_ns, uint32_t lost_in_1000)
{
    struct congestion *c = &path->congestion;
    const uint64_t first = path->next;
    path->next += congestion_window(c);
    path->now += RTT_NS + delay_ns;
    for (uint64_t n = first; n < path->next; n++) {
        if (n * lost_in_1000 / 1000 != (n + 1) * lost_in_1000 / 1000) {
            congestion_lost(c, n, path->next, path->now);
            continue;
        }
        const struct congestion_ack ack = {.now = path->now,
                                           .rtt_ns = RTT_NS + delay_ns,
                                           .min_rtt_ns = RTT_NS,
                                           .srtt_ns = RTT_NS + delay_ns,
                                           .largest = n,
                                           .next = path->next,
                                           .acknowledged = 1,
                                           .in_flight = (uint32_t)(path->next - n),
                                           .limited = true};
        congestion_acknowledged(c, &ack);
    }
}

static void round_trips(struct path *path, uint32_t count, uint32_t delay_ns, uint32_t lost_in_1000)
{
    while (count-- > 0)
        round_trip(path, delay_ns, lost_in_1000);
}

Test(congestion, by_name__all_and_no_other)
{
    enum congestion_kind kind = CONGESTION_COUNT;
    cr_assert(congestion_by_name("swift", &kind) && kind == CONGESTION_SWIFT);
    cr_assert(congestion_by_name("aimd", &kind) && kind == CONGESTION_AIMD);
    cr_assert(!congestion_by_name("", &kind) && !congestion_by_name("cubic", &kind));
    cr_assert_str_eq(congestion_name(CONGESTION_SWIFT), "swift");
}

Test(congestion_swift, slow_start__doubles_until_there_is_a_delay)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    const uint32_t first = congestion_window(&path.congestion);
    round_trip(&path, 0, 0);
    cr_assert_eq(congestion_window(&path.congestion), 2 * first);
    round_trip(&path, 25000, 0);
    const uint32_t stopped = congestion_window(&path.congestion);
    round_trip(&path, 0, 0);
    cr_assert_leq(congestion_window(&path.congestion), stopped + 1);
}

Test(congestion_swift, acknowledged__grows_by_a_packet_in_a_round_trip)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    round_trip(&path, 25000, 0);
    round_trip(&path, 0, 0);
    const uint32_t before = path.congestion.window;
    round_trips(&path, 10, 0, 0);
    const uint32_t grown = path.congestion.window - before;
    cr_assert(grown > 9 * CONGESTION_PACKET && grown < 11 * CONGESTION_PACKET, "%u", grown);
}

Test(congestion_swift, acknowledged__not_limited__does_not_grow)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    const struct congestion_ack ack = {.now = 1,
                                       .rtt_ns = RTT_NS,
                                       .min_rtt_ns = RTT_NS,
                                       .srtt_ns = RTT_NS,
                                       .next = 1,
                                       .acknowledged = 1,
                                       .in_flight = 1};
    const uint32_t before = path.congestion.window;
    congestion_acknowledged(&path.congestion, &ack);
    cr_assert_eq(path.congestion.window, before);
}

/* The balance of growth and decrease lies below the target, whatever the window. */
Test(congestion_swift, delay__settles_below_the_target)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    const uint32_t room = 42; /* packets under way without a queue, which takes 1.2 us each */
    uint32_t worst = 0;
    for (uint32_t i = 0; i < 400; i++) {
        const uint32_t window = congestion_window(&path.congestion);
        const bool drains = path.congestion.held_back > 0;
        const uint32_t delay = window > room ? (window - room) * 1200 : 0;
        worst = i >= 50 && delay > worst ? delay : worst;
        round_trip(&path, delay, 0);
        cr_assert(i < 50 || window >= room || drains, "%u", window);
    }
    cr_assert(worst > 0 && worst < 25000, "%u", worst);
}

Test(congestion_swift, delay__decrease_is_bounded_and_once_in_a_round_trip)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    round_trips(&path, 2, 0, 0);
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t before = path.congestion.window;
        round_trip(&path, 5000000, 0);
        cr_assert_geq(path.congestion.window, before / 2);
        cr_assert_lt(path.congestion.window, before * 3 / 4);
    }
}

Test(congestion_swift, delay__of_many_flows_takes_the_window_below_one_packet_and_paces)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    round_trips(&path, 100, 100000, 0);
    cr_assert_lt(path.congestion.window, CONGESTION_PACKET);
    cr_assert_gt(path.congestion.window, 0);
    cr_assert_eq(congestion_window(&path.congestion), 1);
    cr_assert_gt(congestion_gap_ns(&path.congestion), RTT_NS + 100000);
    round_trips(&path, 100, 0, 0);
    cr_assert_gt(congestion_window(&path.congestion), 8);
}

/* Rounds of 30 ms before which half of the window was taken away, while each `empty_each`-th round meets no queue (0: none). */
static uint32_t drained_rounds(struct path *path, uint32_t empty_each)
{
    uint32_t drained = 0, before = congestion_window(&path->congestion);
    const uint64_t end = path->now + 30000000;
    for (uint32_t i = 1; path->now < end; i++) {
        round_trip(path, empty_each > 0 && i % empty_each == 0 ? 0 : 15000, 0);
        const uint32_t window = congestion_window(&path->congestion);
        drained += window * 5 <= before * 3;
        before = window;
    }
    return drained;
}

Test(congestion_swift, drain__half_a_window_for_a_round_trip_when_the_path_was_not_seen_empty)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    round_trips(&path, 100, 15000, 0);
    const uint32_t drained = drained_rounds(&path, 0);
    cr_assert(drained == 2 || drained == 3, "%u", drained);
}

Test(congestion_swift, drain__not_of_a_path_that_is_seen_empty_nor_of_a_small_window)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    round_trips(&path, 100, 15000, 0);
    round_trips(&path, 2, 0, 0);
    cr_assert_eq(drained_rounds(&path, 100), 0);
    round_trips(&path, 200, 60000, 0);
    cr_assert_leq(congestion_window(&path.congestion), 2);
    for (uint32_t i = 0; i < 600; i++) {
        round_trip(&path, 60000, 0);
        cr_assert_eq(path.congestion.held_back, 0);
    }
}

/* A round trip without a sample to be trusted says nothing of the delay. */
Test(congestion_swift, acknowledged__no_sample__does_not_shrink)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    const struct congestion_ack ack = {
        .now = 1, .min_rtt_ns = RTT_NS, .srtt_ns = 80 * RTT_NS, .largest = 63, .next = 64, .acknowledged = 64};
    const uint32_t before = path.congestion.window;
    congestion_acknowledged(&path.congestion, &ack);
    cr_assert_eq(path.congestion.window, before);
}

Test(congestion_swift, noisy_hosts__their_delay_does_not_count_and_nothing_is_paced)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    congestion_init(&path.congestion, CONGESTION_SWIFT, WINDOW_MAX, 2000000);
    round_trips(&path, 20, 1900000, 0);
    cr_assert_eq(congestion_window(&path.congestion), WINDOW_MAX);
    cr_assert_eq(congestion_gap_ns(&path.congestion), 0);
    round_trips(&path, 100, 3900000, 0);
    cr_assert_leq(congestion_window(&path.congestion), 18);
    cr_assert_geq(congestion_window(&path.congestion), 16);
}

Test(congestion_swift, lost__five_percent_do_not_shrink)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    round_trips(&path, 10, 0, 50);
    cr_assert_eq(congestion_window(&path.congestion), WINDOW_MAX);
}

Test(congestion_swift, lost__thirty_percent_cut_to_what_was_delivered)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    round_trips(&path, 3, 0, 0);
    round_trip(&path, 0, 300);
    const uint32_t before = congestion_window(&path.congestion);
    round_trip(&path, 0, 300); /* whose first acknowledgement is the end of the round trip before */
    const uint32_t after = congestion_window(&path.congestion);
    cr_assert(after > before * 65 / 100 && after < before * 75 / 100, "%u, then %u", before, after);
}

/* From where losses stopped, it grows by a 16th. */
Test(congestion_swift, lost__then_grows_slowly)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    round_trips(&path, 3, 0, 0);
    round_trips(&path, 2, 0, 300);
    round_trip(&path, 0, 0);
    const uint32_t cut = path.congestion.window;
    round_trips(&path, 16, 0, 0);
    const uint32_t grown = path.congestion.window - cut;
    cr_assert(grown > CONGESTION_PACKET / 2 && grown < 2 * CONGESTION_PACKET, "%u", grown);
}

/* A queue tells what losses could only hint at. */
Test(congestion_swift, delay__after_losses__grows_as_before_them)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    round_trips(&path, 3, 0, 0);
    round_trips(&path, 2, 0, 300);
    round_trips(&path, 8, 20000, 0);
    round_trip(&path, 0, 0);
    const uint32_t cut = path.congestion.window;
    round_trips(&path, 16, 0, 0);
    cr_assert_gt(path.congestion.window, cut + 12 * CONGESTION_PACKET, "%u, %u, %u", path.congestion.window, cut,
                 path.congestion.threshold);
}

static void lose_all_but_the_last(struct path *path, uint64_t first)
{
    for (uint64_t n = first; n + 1 < path->next; n++)
        congestion_lost(&path->congestion, n, path->next, path->now);
    const struct congestion_ack ack = {.now = path->now,
                                       .rtt_ns = RTT_NS,
                                       .min_rtt_ns = RTT_NS,
                                       .srtt_ns = RTT_NS,
                                       .largest = path->next - 1,
                                       .next = path->next,
                                       .acknowledged = 1};
    congestion_acknowledged(&path->congestion, &ack);
}

static void check_undone(enum congestion_kind kind)
{
    struct path path;
    start(&path, kind);
    round_trips(&path, 2, 0, 0);
    const uint32_t before = path.congestion.window;
    const uint64_t first = path.next;
    path.next += 128;
    lose_all_but_the_last(&path, first);
    cr_assert_lt(path.congestion.window, before);
    for (uint64_t n = first; n + 1 < path.next; n++)
        congestion_spurious(&path.congestion, n);
    cr_assert_geq(path.congestion.window, before);
}

Test(congestion_swift, spurious__the_cut_is_undone)
{
    check_undone(CONGESTION_SWIFT);
}

Test(congestion_aimd, spurious__the_cut_is_undone)
{
    check_undone(CONGESTION_AIMD);
}

Test(congestion_swift, timed_out__begins_again_with_a_packet)
{
    struct path path;
    start(&path, CONGESTION_SWIFT);
    round_trips(&path, 2, 0, 0);
    congestion_timed_out(&path.congestion, path.now);
    cr_assert_eq(congestion_window(&path.congestion), 1);
    round_trips(&path, 5, 0, 0);
    cr_assert_eq(congestion_window(&path.congestion), 32);
}

Test(congestion_aimd, lost__halves_once_in_a_round_trip)
{
    struct path path;
    start(&path, CONGESTION_AIMD);
    round_trips(&path, 2, 0, 0);
    const uint32_t before = congestion_window(&path.congestion);
    congestion_lost(&path.congestion, path.next, path.next + 10, path.now);
    congestion_lost(&path.congestion, path.next + 5, path.next + 12, path.now);
    cr_assert_eq(congestion_window(&path.congestion), before / 2);
    congestion_lost(&path.congestion, path.next + 10, path.next + 20, path.now);
    cr_assert_eq(congestion_window(&path.congestion), before / 4);
}

Test(congestion_aimd, acknowledged__doubles_then_adds_one)
{
    struct path path;
    start(&path, CONGESTION_AIMD);
    round_trip(&path, 1000000, 0);
    cr_assert_eq(congestion_window(&path.congestion), 128);
    congestion_lost(&path.congestion, path.next, path.next + 1, path.now);
    cr_assert_eq(congestion_window(&path.congestion), 64);
    round_trips(&path, 4, 1000000, 0);
    cr_assert(congestion_window(&path.congestion) >= 67 && congestion_window(&path.congestion) <= 68);
    cr_assert_eq(congestion_gap_ns(&path.congestion), 0);
}
