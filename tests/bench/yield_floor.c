/* SPDX-License-Identifier: MIT */
/*
 * yield_floor [OPTION]...: the least that a round trip between two hosts can take whose engine and application share a core and hand it to
 * each other by sched_yield. Four processes pass 64 bytes on through shared memory and do nothing else:
 *
 *    core A: application -> engine  ->  core B: engine -> application, and back
 *
 * Whoever has passed something to its neighbour on the same core, or waits for it, yields; an engine that waits for the other core spins.
 * So there are four changes of process in a round trip, and none that is not needed. Prints the JSON fields of `machnet perf` that
 * latency.sh reads.
 *   --cores A,B (0,1)   --duration SECONDS (1)   --warmup SECONDS (0.2)
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

enum { PAYLOAD = 64 };

/* One place for a message, with a reader and a writer. */
struct place {
    alignas(128) _Atomic uint64_t number; /* of the message that is there */
    alignas(128) uint8_t bytes[PAYLOAD];
};

/* In the order in which a message takes them. */
enum { A_DOWN, TO_B, B_UP, B_DOWN, TO_A, A_UP, PLACES };

static struct place *places;
static int cores[2] = {0, 1};
static double duration = 1, warmup = 0.2;
static struct perf_histogram round_trip;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_there(int place, uint64_t number)
{
    return atomic_load_explicit(&places[place].number, memory_order_acquire) == number;
}

static void put(int place, const uint8_t *bytes, uint64_t number)
{
    memcpy(places[place].bytes, bytes, PAYLOAD);
    atomic_store_explicit(&places[place].number, number, memory_order_release);
}

static void wait_yielding(int place, uint64_t number)
{
    while (!is_there(place, number))
        sched_yield();
}

static void wait_spinning(int place, uint64_t number)
{
    while (!is_there(place, number))
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void engine_a(void)
{
    for (uint64_t number = 1;; number++) {
        wait_yielding(A_DOWN, number);
        put(TO_B, places[A_DOWN].bytes, number);
        wait_spinning(TO_A, number);
        put(A_UP, places[TO_A].bytes, number);
    }
}

static void engine_b(void)
{
    for (uint64_t number = 1;; number++) {
        wait_spinning(TO_B, number);
        put(B_UP, places[TO_B].bytes, number);
        wait_yielding(B_DOWN, number);
        put(TO_A, places[B_DOWN].bytes, number);
    }
}

static void application_b(void)
{
    for (uint64_t number = 1;; number++) {
        wait_yielding(B_UP, number);
        put(B_DOWN, places[B_UP].bytes, number);
    }
}

static uint64_t run(double seconds, uint64_t number)
{
    uint8_t bytes[PAYLOAD] = {0};
    const uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    for (uint64_t start = now_ns(), now = start; now < end; start = now) {
        memcpy(bytes, &number, sizeof number);
        put(A_DOWN, bytes, ++number);
        wait_yielding(A_UP, number);
        now = now_ns();
        perf_histogram_record(&round_trip, now - start);
    }
    return number;
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

int main(int argc, char **argv)
{
    static const struct option known[] = {{"cores", required_argument, NULL, 'c'},
                                          {"duration", required_argument, NULL, 'd'},
                                          {"warmup", required_argument, NULL, 'w'},
                                          {NULL, 0, NULL, 0}};
    for (int key; (key = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (key == 'c' && sscanf(optarg, "%d,%d", &cores[0], &cores[1]) == 2)
            continue;
        if (key == 'd')
            duration = strtod(optarg, NULL);
        else if (key == 'w')
            warmup = strtod(optarg, NULL);
        else
            return 2;
    }
    places = mmap(NULL, PLACES * sizeof *places, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (places == MAP_FAILED)
        return 1;
    const pid_t others[] = {start(cores[0], engine_a), start(cores[1], engine_b), start(cores[1], application_b)};
    if (others[0] < 0 || others[1] < 0 || others[2] < 0 || !pin(cores[0]))
        return 1;
    const uint64_t number = run(warmup, 0);
    round_trip = (struct perf_histogram){0};
    run(duration, number);
    printf("{\"size\": %d, \"messages\": %llu, \"rtt_us\": {\"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"p99_9\": "
           "%.3f, \"max\": "
           "%.3f}}\n",
           PAYLOAD, (unsigned long long)round_trip.count, (double)perf_histogram_percentile(&round_trip, 50) / 1e3,
           (double)perf_histogram_percentile(&round_trip, 90) / 1e3,
           (double)perf_histogram_percentile(&round_trip, 99) / 1e3,
           (double)perf_histogram_percentile(&round_trip, 99.9) / 1e3, (double)round_trip.max / 1e3);
    for (int i = 0; i < 3; i++) {
        kill(others[i], SIGKILL);
        waitpid(others[i], NULL, 0);
    }
    return 0;
}
