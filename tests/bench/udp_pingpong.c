/* SPDX-License-Identifier: MIT */
/*
 * udp_pingpong [OPTION]... ADDRESS:PORT: what `machnet perf` measures, with plain UDP sockets and one request in flight, for
 * comparison. It prints the same JSON fields. IPv4. Pin it with taskset.
 *   --listen            answer what comes, until killed
 *   --spin              poll the socket, letting others have the processor, instead of blocking in recv
 *   --size BYTES (64)   --duration SECONDS (5)   --warmup SECONDS (0.5)
 *   --rate N            a request each 1/N s, as long as each is answered by then; its time counts from when it was due
 */
#include "tools/perf_histogram.h"
#include "tools/perf_pattern.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { SIZE_MAX_BYTES = 65000 };

static const uint64_t lost_ns = 1000000000; /* no answer within it: an error */
static const uint64_t ahead_ns = 250000;    /* sleeps are late, by less than that: the rest is polled */

static struct {
    bool listen, spin;
    size_t size;
    double duration, warmup, rate;
    struct sockaddr_in address;
} options = {.size = 64, .duration = 5, .warmup = 0.5};

static struct perf_histogram round_trip;
static uint64_t messages, errors;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* The length of what came, or -1 if nothing did for lost_ns. */
static ssize_t receive(int fd, uint8_t *data, struct sockaddr_in *from)
{
    uint64_t start = options.spin && !options.listen ? clock_ns(CLOCK_MONOTONIC) : 0;
    socklen_t length = sizeof *from;
    for (;;) {
        ssize_t got =
            recvfrom(fd, data, SIZE_MAX_BYTES, options.spin ? MSG_DONTWAIT : 0, (struct sockaddr *)from, &length);
        if (got >= 0)
            return got;
        if (errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
            fail("udp_pingpong: recvfrom");
        if (!options.spin && !options.listen)
            return -1;
        if (start != 0 && clock_ns(CLOCK_MONOTONIC) - start > lost_ns)
            return -1;
        sched_yield();
    }
}

static void serve(int fd)
{
    static uint8_t data[SIZE_MAX_BYTES];
    struct sockaddr_in from;
    if (bind(fd, (struct sockaddr *)&options.address, sizeof options.address) != 0)
        fail("udp_pingpong: bind");
    puts("serving");
    fflush(stdout);
    for (;;) {
        ssize_t length = receive(fd, data, &from);
        if (length >= 0 && sendto(fd, data, (size_t)length, 0, (struct sockaddr *)&from, sizeof from) < 0)
            fail("udp_pingpong: sendto");
    }
}

static void wait_until(uint64_t due)
{
    const uint64_t wake = due - ahead_ns;
    const struct timespec until = {.tv_sec = (time_t)(wake / 1000000000), .tv_nsec = (long)(wake % 1000000000)};
    if (clock_ns(CLOCK_MONOTONIC) < wake)
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    while (clock_ns(CLOCK_MONOTONIC) < due)
        sched_yield();
}

/* `due`: when it should have been sent, or 0 for now. */
static void ask(int fd, uint64_t number, uint64_t due)
{
    static uint8_t out[SIZE_MAX_BYTES], in[SIZE_MAX_BYTES];
    struct sockaddr_in from;
    perf_pattern_fill(out, options.size, number);
    uint64_t start = due != 0 ? due : clock_ns(CLOCK_MONOTONIC);
    if (send(fd, out, options.size, 0) < 0)
        fail("udp_pingpong: send");
    ssize_t length = receive(fd, in, &from);
    uint64_t end = clock_ns(CLOCK_MONOTONIC);
    if (length != (ssize_t)options.size || !perf_pattern_check(in, options.size, number)) {
        errors++;
        return;
    }
    perf_histogram_record(&round_trip, end - start);
    messages++;
}

static uint64_t run(int fd, double seconds, uint64_t number)
{
    const uint64_t start = clock_ns(CLOCK_MONOTONIC), end = start + (uint64_t)(seconds * 1e9);
    uint64_t due = options.rate > 0 ? start : 0;
    for (uint64_t sent = 1; clock_ns(CLOCK_MONOTONIC) < end; sent++) {
        ask(fd, number++, due);
        if (options.rate > 0) {
            due = start + (uint64_t)((double)sent / options.rate * 1e9);
            wait_until(due);
        }
    }
    return number;
}

static void measure(int fd)
{
    struct timeval lost = {.tv_sec = (time_t)(lost_ns / 1000000000)};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &lost, sizeof lost);
    if (connect(fd, (struct sockaddr *)&options.address, sizeof options.address) != 0)
        fail("udp_pingpong: connect");
    prctl(PR_SET_TIMERSLACK, 1UL); /* ns */
    uint64_t number = run(fd, options.warmup, 0);
    round_trip = (struct perf_histogram){0};
    messages = errors = 0;
    uint64_t start = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    run(fd, options.duration, number);
    double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - start) / 1e9, each = messages > 0 ? (double)messages : 1;
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"mode\": \"request-response\", \"size\": %zu, \"window\": 1, \"flows\": 1, \"poll\": \"%s\", "
           "\"messages\": %llu, "
           "\"errors\": %llu, \"seconds\": %.6f, \"messages_per_second\": %.3f, \"gigabits_per_second\": %.6f, ",
           options.size, options.spin ? "spin" : "sleep", (unsigned long long)messages, (unsigned long long)errors,
           seconds, (double)messages / seconds, (double)messages / seconds * (double)options.size * 8 / 1e9);
    printf("\"rtt_us\": {\"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"p99_9\": %.3f, \"max\": %.3f}, "
           "\"cpu_ns_per_message\": {\"client\": %.1f, \"server\": null}}\n",
           (double)perf_histogram_percentile(&round_trip, 50) / 1e3,
           (double)perf_histogram_percentile(&round_trip, 90) / 1e3,
           (double)perf_histogram_percentile(&round_trip, 99) / 1e3,
           (double)perf_histogram_percentile(&round_trip, 99.9) / 1e3, (double)round_trip.max / 1e3,
           (double)cpu / each);
    exit(errors == 0 && messages > 0 ? 0 : 1);
}

static void usage(void)
{
    fputs("usage: udp_pingpong [--listen] [--spin] [--size BYTES] [--duration SECONDS] [--warmup SECONDS] [--rate N] "
          "ADDRESS:PORT\n",
          stderr);
    exit(2);
}

static void parse_address(const char *text)
{
    char ip[INET_ADDRSTRLEN] = "";
    const char *colon = strchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof ip)
        usage();
    memcpy(ip, text, (size_t)(colon - text));
    options.address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    if (inet_pton(AF_INET, ip, &options.address.sin_addr) != 1 || options.address.sin_port == 0)
        usage();
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"listen", no_argument, NULL, 'l'},
        {"spin", no_argument, NULL, 's'},
        {"size", required_argument, NULL, 'b'},
        {"duration", required_argument, NULL, 'd'},
        {"warmup", required_argument, NULL, 'w'},
        {"rate", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    for (int key; (key = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (key == 'l')
            options.listen = true;
        else if (key == 's')
            options.spin = true;
        else if (key == 'b')
            options.size = strtoul(optarg, NULL, 10);
        else if (key == 'd')
            options.duration = strtod(optarg, NULL);
        else if (key == 'w')
            options.warmup = strtod(optarg, NULL);
        else if (key == 'r')
            options.rate = strtod(optarg, NULL);
        else
            usage();
    }
    if (optind + 1 != argc || options.size > SIZE_MAX_BYTES || options.duration <= 0)
        usage();
    parse_address(argv[optind]);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        fail("udp_pingpong: socket");
    if (options.listen)
        serve(fd);
    measure(fd);
}
