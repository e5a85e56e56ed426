/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "tools/perf_pattern.h"
#include "tools/perf_protocol.h"

Test(perf_tag, parts_come_back)
{
    const uint64_t most = (UINT64_C(1) << 40) - 1;
    uint64_t tag = perf_tag(PERF_CONTROL, PERF_FLOWS_MAX - 1, most);
    cr_assert_eq(tag, UINT64_MAX);
    cr_assert_eq(perf_tag_kind(tag), PERF_CONTROL);
    cr_assert_eq(perf_tag_flow(tag), PERF_FLOWS_MAX - 1);
    cr_assert_eq(perf_tag_number(tag), most);
    tag = perf_tag(PERF_PROBE, 5, 7);
    cr_assert(perf_tag_kind(tag) == PERF_PROBE && perf_tag_flow(tag) == 5 && perf_tag_number(tag) == 7);
    cr_assert_eq(perf_tag_seed(tag), perf_tag_seed(perf_tag(PERF_STREAM, 5, 7)),
                 "the kind does not change the payload");
    cr_assert_neq(perf_tag_seed(tag), perf_tag_seed(perf_tag(PERF_PROBE, 7, 5)));
}

Test(perf_control, written_and_read)
{
    const struct perf_control control = {
        .version = 3, .type = PERF_REPORT, .flags = 0x80000001, .values = {1, 2, UINT64_MAX, 4, 5, 6}};
    const uint64_t tag = perf_tag(PERF_CONTROL, 0, 0);
    struct perf_control again;
    uint8_t bytes[PERF_CONTROL_BYTES];
    perf_control_write(&control, bytes);
    cr_assert_eq(memcmp(bytes, "MNETPERF\0\3\0\4\x80\0\0\1", 16), 0, "this layout holds for all versions");
    cr_assert(perf_control_read(&again, tag, bytes, sizeof bytes));
    cr_assert_eq(memcmp(&control, &again, sizeof control), 0);
    cr_assert_not(perf_control_read(&again, tag, bytes, sizeof bytes - 1));
    cr_assert_not(perf_control_read(&again, perf_tag(PERF_REQUEST, 0, 0), bytes, sizeof bytes));
    bytes[0] = 'X';
    cr_assert_not(perf_control_read(&again, tag, bytes, sizeof bytes));
}

Test(perf_pattern_check, sees_every_bit)
{
    enum { MOST = 77 };
    uint8_t data[MOST + 1];
    for (uint64_t length = 0; length <= MOST; length++) {
        data[length] = 0xa5;
        perf_pattern_fill(data, length, length + 100);
        cr_assert_eq(data[length], 0xa5, "nothing is written behind the end");
        cr_assert(perf_pattern_check(data, length, length + 100));
        for (uint64_t bit = 0; bit < length * 8; bit++) {
            data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            cr_assert_not(perf_pattern_check(data, length, length + 100), "length %lu, bit %lu", (unsigned long)length,
                          (unsigned long)bit);
            data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

Test(perf_pattern_check, sees_another_message)
{
    uint8_t data[64];
    perf_pattern_fill(data, sizeof data, perf_tag(PERF_REQUEST, 0, 1));
    cr_assert_not(perf_pattern_check(data, sizeof data, perf_tag(PERF_REQUEST, 0, 2)));
    cr_assert_not(perf_pattern_check(data, sizeof data, perf_tag(PERF_REQUEST, 1, 1)));
    cr_assert_not(perf_pattern_check(data + 8, sizeof data - 8, perf_tag(PERF_REQUEST, 0, 1)), "moved");
}
