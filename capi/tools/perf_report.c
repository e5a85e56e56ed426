/* SPDX-License-Identifier: MIT */
#include "perf_report.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

static double messages_per_second(const struct perf_result *result)
{
    return result->seconds > 0 ? (double)result->messages / result->seconds : 0;
}

/* Payload of one direction. */
static double gigabits_per_second(const struct perf_result *result)
{
    return messages_per_second(result) * (double)result->options->size * 8 / 1e9;
}

static double per_message(const struct perf_result *result, double ns)
{
    return result->messages > 0 ? ns / (double)result->messages : NAN;
}

/* ---- JSON ---- */

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *percentiles_json(const struct perf_histogram *histogram)
{
    static const struct {
        const char *key;
        double percent;
    } wanted[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99_9", 99.9}, {"max", 100}};
    json_t *json = json_object();
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        uint64_t ns =
            wanted[i].percent < 100 ? perf_histogram_percentile(histogram, wanted[i].percent) : histogram->max;
        json_object_set_new(json, wanted[i].key, number_or_null(histogram->count > 0 ? (double)ns / 1e3 : NAN));
    }
    return json;
}

static json_t *cpu_json(const struct perf_result *result)
{
    const struct perf_cpu_used *cpu = &result->cpu;
    double total = cpu->client + cpu->server + cpu->engine + cpu->peer_engine;
    json_t *json = json_object();
    json_object_set_new(json, "client", number_or_null(per_message(result, cpu->client)));
    json_object_set_new(json, "server", number_or_null(per_message(result, cpu->server)));
    json_object_set_new(json, "engine", number_or_null(per_message(result, cpu->engine)));
    json_object_set_new(json, "peer_engine", number_or_null(per_message(result, cpu->peer_engine)));
    json_object_set_new(json, "total", number_or_null(per_message(result, total)));
    return json;
}

static void put_settings(json_t *json, const struct perf_options *options)
{
    json_object_set_new(json, "mode", json_string(options->stream ? "stream" : "request-response"));
    json_object_set_new(json, "peer", json_string(options->address_text));
    json_object_set_new(json, "size", json_integer((json_int_t)options->size));
    json_object_set_new(json, "window", options->stream ? json_null() : json_integer(options->window));
    json_object_set_new(json, "flows", json_integer(options->flows));
    json_object_set_new(json, "rate", options->rate > 0 ? json_real(options->rate) : json_null());
    json_object_set_new(json, "arrivals",
                        options->rate <= 0 ? json_null()
                        : options->poisson ? json_string("poisson")
                                           : json_string("even"));
    json_object_set_new(json, "poll", json_string(perf_poll_name(options->poll)));
    json_object_set_new(json, "verified", json_boolean(options->verify));
}

bool perf_report_json(const struct perf_result *result)
{
    json_t *json = json_object();
    put_settings(json, result->options);
    json_object_set_new(json, "interrupted", json_boolean(result->interrupted));
    json_object_set_new(json, "messages", json_integer((json_int_t)result->messages));
    json_object_set_new(json, "errors", json_integer((json_int_t)result->errors));
    json_object_set_new(json, "unsent", json_integer((json_int_t)result->unsent));
    json_object_set_new(json, "seconds", json_real(result->seconds));
    json_object_set_new(json, "connect_seconds", json_real(result->connect_seconds));
    json_object_set_new(json, "messages_per_second", json_real(messages_per_second(result)));
    json_object_set_new(json, "gigabits_per_second", json_real(gigabits_per_second(result)));
    json_object_set_new(json, "rtt_us", percentiles_json(result->round_trip));
    json_object_set_new(json, "late_us", result->options->rate > 0 ? percentiles_json(result->late) : json_null());
    json_object_set_new(json, "cpu_ns_per_message", cpu_json(result));
    bool written = json_dumpf(json, stdout, JSON_REAL_PRECISION(9)) == 0 && putchar('\n') != EOF && fflush(stdout) == 0;
    json_decref(json);
    return written;
}

/* ---- Table ---- */

static void print_percentiles(const char *name, const struct perf_histogram *histogram)
{
    if (histogram->count == 0) {
        printf("%-14s not measured\n", name);
        return;
    }
    printf("%-14s p50 %.1f   p90 %.1f   p99 %.1f   p99.9 %.1f   max %.1f us\n", name,
           (double)perf_histogram_percentile(histogram, 50) / 1e3,
           (double)perf_histogram_percentile(histogram, 90) / 1e3,
           (double)perf_histogram_percentile(histogram, 99) / 1e3,
           (double)perf_histogram_percentile(histogram, 99.9) / 1e3, (double)histogram->max / 1e3);
}

static void print_cpu(const struct perf_result *result, const char *name, double ns)
{
    double each = per_message(result, ns);
    if (isfinite(each))
        printf("   %s %.0f", name, each);
    else
        printf("   %s unknown", name);
}

static void print_settings(const struct perf_options *options)
{
    printf("%s %s, %" PRIu64 " bytes, %" PRIu32 " flow%s",
           options->stream ? "one-way stream to" : "request-response with", options->address_text, options->size,
           options->flows, options->flows == 1 ? "" : "s");
    if (!options->stream)
        printf(", window %" PRIu32, options->window);
    if (options->rate > 0)
        printf(", open loop of %.10g/s, %s arrivals", options->rate, options->poisson ? "Poisson" : "even");
    printf("%s\n", options->verify ? "" : ", not verified");
}

bool perf_report_table(const struct perf_result *result)
{
    print_settings(result->options);
    printf("%-14s %" PRIu64 " in %.3f s%s, %" PRIu64 " error%s\n", "messages", result->messages, result->seconds,
           result->interrupted ? " (interrupted)" : "", result->errors, result->errors == 1 ? "" : "s");
    printf("%-14s %.0f messages/s, %.3f Gbit/s\n", "throughput", messages_per_second(result),
           gigabits_per_second(result));
    if (result->unsent > 0)
        printf("%-14s %" PRIu64 " more were due; the rate is too high\n", "not sent", result->unsent);
    print_percentiles("round trip", result->round_trip);
    if (result->options->rate > 0)
        print_percentiles("sent late by", result->late);
    printf("%-12s", "CPU ns/message");
    print_cpu(result, "client", result->cpu.client);
    print_cpu(result, "server", result->cpu.server);
    print_cpu(result, "engine", result->cpu.engine);
    if (result->cpu.peer_engine > 0 || isnan(result->cpu.peer_engine))
        print_cpu(result, "peer's engine", result->cpu.peer_engine);
    printf("\n");
    return fflush(stdout) == 0;
}
