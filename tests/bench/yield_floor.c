/* SPDX-License-Identifier: MIT */
/*
 * yield_floor [OPTION]...: the least that a round trip between two hosts can take whose engine and application share a core and hand it to
 * each other by sched_yield. Four processes pass messages on through shared memory and do nothing else:
 *
 *    core A: application -> engine  ->  core B: engine -> application, and back
 *
 * An application that has passed on what was there yields, and so does an engine whose application has something to do; one that waits for
 * the other core spins. So each change of process is needed: four in a round trip. With two groups of requests under way each host has one while
 * the other is at work on the other. Prints the JSON fields of `machnet perf` that latency.sh and rate.sh read; a group of requests is
 * passed on as one message of as many bytes (64 KiB at most), and counts as many times.
 *   --cores A,B (0,1)   --duration SECONDS (1)   --warmup SECONDS (0.2)
 *   --size BYTES (64)   --groups N (1)   --requests N in a group (1)
 */
#include "tools/perf_histogram.h"

#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GROUPS_MAX = 8, BYTES_MAX = 65536 };

/* One place for a group's message, with a reader and a writer. */
struct place {
    alignas(128) _Atomic uint64_t number; /* of the message that is there */
    alignas(128) uint8_t bytes[BYTES_MAX];
};

/* In the order in which a message takes them. */
enum { A_DOWN, TO_B, B_UP, B_DOWN, TO_A, A_UP, PLACES };

static struct place (*places)[GROUPS_MAX];
static int cores[2] = {0, 1};
static double duration = 1, warmup = 0.2;
static uint32_t size = 64, groups = 1, requests = 1;
static size_t bytes; /* of a message */
static struct perf_histogram round_trip;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct place *place_of(int place, uint64_t number)
{
    return &places[place][number % groups];
}

static bool is_there(int place, uint64_t number)
{
    return atomic_load_explicit(&place_of(place, number)->number, memory_order_acquire) == number;
}

/* Passes on message `number`, as message `as`. False: it is not there yet. */
static bool pass_as(int from, int to, uint64_t number, uint64_t as)
{
    if (!is_there(from, number))
        return false;
    memcpy(place_of(to, as)->bytes, place_of(from, number)->bytes, bytes);
    atomic_store_explicit(&place_of(to, as)->number, as, memory_order_release);
    return true;
}

static bool pass(int from, int to, uint64_t number)
{
    return pass_as(from, to, number, number);
}

/* An engine. `held`: messages that its application has to begin with. */
static void engine(int down, int out, int in, int up, uint64_t held)
{
    for (uint64_t next_down = groups + 1, next_up = groups + 1;;) {
        while (pass(down, out, next_down)) {
            next_down++;
            held--;
        }
        while (pass(in, up, next_up)) {
            next_up++;
            held++;
        }
        if (held > 0)
            sched_yield();
    }
}

static void engine_a(void)
{
    engine(A_DOWN, TO_B, TO_A, A_UP, groups);
}

static void engine_b(void)
{
    engine(B_DOWN, TO_A, TO_B, B_UP, 0);
}

static void application_b(void)
{
    for (uint64_t next = groups + 1;;) {
        while (pass(B_UP, B_DOWN, next))
            next++;
        sched_yield();
    }
}

/* Application A: message `*next` is answered next, and its answer is the next message of its group. Returns how long it took in ns. */
static uint64_t run(double seconds, uint64_t *next)
{
    const uint64_t begin = now_ns(), end = begin + (uint64_t)(seconds * 1e9);
    uint64_t sent[GROUPS_MAX], now = begin;
    for (uint32_t group = 0; group < groups; group++)
        sent[group] = begin;
    while (now < end) {
        for (; pass_as(A_UP, A_DOWN, *next, *next + groups); (*next)++) {
            now = now_ns();
            perf_histogram_record(&round_trip, now - sent[*next % groups]);
            sent[*next % groups] = now;
        }
        sched_yield();
        now = now_ns();
    }
    return now - begin;
}

static bool pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

/* A process that ends with this one. */
static pid_t start(int core, void (*body)(void))
{
    const pid_t parent = getpid(), child = fork();
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && pin(core))
        body();
    _exit(1);
}

static uint32_t number_of(const char *text, uint32_t most)
{
    const unsigned long number = strtoul(text, NULL, 10);
    return number <= most ? (uint32_t)number : 0;
}

static bool read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"cores", required_argument, NULL, 'c'},
        {"duration", required_argument, NULL, 'd'},
        {"warmup", required_argument, NULL, 'w'},
        {"size", required_argument, NULL, 's'},
        {"groups", required_argument, NULL, 'g'},
        {"requests", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    for (int key; (key = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (key == 'c' && sscanf(optarg, "%d,%d", &cores[0], &cores[1]) != 2)
            return false;
        if (key == 'd')
            duration = strtod(optarg, NULL);
        if (key == 'w')
            warmup = strtod(optarg, NULL);
        if (key == 's')
            size = number_of(optarg, UINT32_MAX);
        if (key == 'g')
            groups = number_of(optarg, GROUPS_MAX);
        if (key == 'r')
            requests = number_of(optarg, UINT32_MAX);
        if (key == '?')
            return false;
    }
    bytes = (size_t)size * requests < BYTES_MAX ? (size_t)size * requests : BYTES_MAX;
    return groups > 0 && requests > 0;
}

static void print(uint64_t took_ns)
{
    const uint64_t messages = round_trip.count * requests;
    printf("{\"size\": %u, \"messages\": %llu, \"messages_per_second\": %.0f, \"rtt_us\": {", size,
           (unsigned long long)messages, (double)messages * 1e9 / (double)took_ns);
    static const struct {
        const char *name;
        double percent;
    } columns[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99_9", 99.9}};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        printf("\"%s\": %.3f, ", columns[i].name,
               (double)perf_histogram_percentile(&round_trip, columns[i].percent) / 1e3);
    printf("\"max\": %.3f}}\n", (double)round_trip.max / 1e3);
}

int main(int argc, char **argv)
{
    if (!read_options(argc, argv)) {
        fprintf(stderr, "yield_floor: unknown option, or a number out of range\n");
        return 2;
    }
    places = mmap(NULL, PLACES * sizeof *places, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (places == MAP_FAILED)
        return 1;
    for (uint64_t number = 1; number <= groups; number++) /* to begin with, as if they had just been answered */
        place_of(A_UP, number)->number = number;
    const pid_t others[] = {start(cores[0], engine_a), start(cores[1], engine_b), start(cores[1], application_b)};
    if (others[0] < 0 || others[1] < 0 || others[2] < 0 || !pin(cores[0]))
        return 1;
    uint64_t next = 1;
    run(warmup, &next);
    round_trip = (struct perf_histogram){0};
    print(run(duration, &next));
    for (int i = 0; i < 3; i++) {
        kill(others[i], SIGKILL);
        waitpid(others[i], NULL, 0);
    }
    return 0;
}
