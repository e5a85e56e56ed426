/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "tools/perf_options.h"

enum { WORDS_MAX = 16 };

static struct perf_options options;
static char error[PERF_ERROR_BYTES];

/* `line`: arguments between single spaces. */
static int parse(const char *line)
{
    static char text[256];
    char *words[WORDS_MAX] = {"machnet perf"};
    int count = 1;
    strcpy(text, line);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " "))
        words[count++] = word;
    return perf_options_parse(count, words, &options, error);
}

static void expect_refused(const char *line, const char *word)
{
    cr_assert_eq(parse(line), -1, "%s", line);
    cr_assert(strstr(error, word) != NULL, "%s: %s", line, error);
    cr_assert_eq(strchr(error, '\n'), NULL, "one line: %s", error);
}

Test(perf_options_parse, defaults)
{
    cr_assert_eq(parse("10.0.0.3:7000"), 0, "%s", error);
    cr_assert_str_eq(options.address_text, "10.0.0.3:7000");
    cr_assert(!options.listen && !options.once && !options.stream && !options.json && options.verify);
    cr_assert(options.size == 64 && options.window == 1 && options.flows == 1 && options.poll == MACHNET_POLL_ADAPTIVE);
    cr_assert(options.duration == 5 && options.warmup == 0.5 && options.rate == 0);
}

Test(perf_options_parse, everything)
{
    cr_assert_eq(parse("--size 8388608 --window=65536 --flows 1000 --duration 0.25 --warmup 0 --poll sleep --json "
                       "--no-verify [fd00::3]:7000"),
                 0, "%s", error);
    cr_assert(options.size == 8388608 && options.window == 65536 && options.flows == 1000);
    cr_assert(options.duration == 0.25 && options.warmup == 0 && options.poll == MACHNET_POLL_SLEEP);
    cr_assert(options.json && !options.verify);
    cr_assert_str_eq(perf_poll_name(options.poll), "sleep");
}

Test(perf_options_parse, open_loop)
{
    cr_assert_eq(parse("--rate 0.5 10.0.0.3:7000"), 0, "%s", error);
    cr_assert(options.rate == 0.5 && !options.poisson && options.window == PERF_OPEN_LOOP_WINDOW);
    cr_assert_eq(parse("--arrivals poisson --rate 1e6 --stream 10.0.0.3:7000"), 0, "%s", error);
    cr_assert(options.rate == 1e6 && options.poisson && options.stream);
    cr_assert_eq(parse("--rate 5 --window 3 10.0.0.3:7000"), 0, "%s", error);
    cr_assert_eq(options.window, 3);
}

Test(perf_options_parse, server)
{
    cr_assert_eq(parse("--listen 10.0.0.3:7000 --once --poll spin"), 0, "%s", error);
    cr_assert(options.listen && options.once && options.poll == MACHNET_POLL_SPIN);
    expect_refused("--listen --size 5 10.0.0.3:7000", "--size");
    expect_refused("--listen --json 10.0.0.3:7000", "--json");
    expect_refused("--once 10.0.0.3:7000", "--listen");
}

Test(perf_options_parse, wrong_values_are_told_with_what_is_allowed)
{
    expect_refused("", "ADDRESS:PORT");
    expect_refused("10.0.0.3", "10.0.0.3");
    expect_refused("10.0.0.3:0", "10.0.0.3:0");
    expect_refused("10.0.0.3:7000 10.0.0.4:7000", "10.0.0.4:7000");
    expect_refused("--size 8388609 10.0.0.3:7000", "8388608");
    expect_refused("--size -1 10.0.0.3:7000", "-1");
    expect_refused("--size 1.5 10.0.0.3:7000", "whole");
    expect_refused("--size 64x 10.0.0.3:7000", "64x");
    expect_refused("--size nan 10.0.0.3:7000", "nan");
    expect_refused("--window 0 10.0.0.3:7000", "65536");
    expect_refused("--flows 0 10.0.0.3:7000", "65536");
    expect_refused("--duration 0 10.0.0.3:7000", "0.001");
    expect_refused("--rate 0 10.0.0.3:7000", "--rate");
    expect_refused("--poll fast 10.0.0.3:7000", "spin");
    expect_refused("--arrivals burst --rate 5 10.0.0.3:7000", "poisson");
    expect_refused("--arrivals even 10.0.0.3:7000", "--rate");
    expect_refused("--stream --window 5 10.0.0.3:7000", "--window");
    expect_refused("--fly 10.0.0.3:7000", "--fly");
    expect_refused("10.0.0.3:7000 --size", "--size");
}
