/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include "tools.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const uint64_t terminal_interval_ns = 200000000, interval_ns = 5000000000;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void show(const struct progress *progress, uint64_t done, uint64_t now, bool last)
{
    char bytes[32], rate[32], left[48] = "";
    double seconds = (double)(now - progress->start_ns) / 1e9;
    double per_second = seconds > 0 ? (double)done / seconds : 0;
    if (progress->total > done && per_second > 0)
        snprintf(left, sizeof left, ", %.0f %%, %.0f s left", 100.0 * (double)done / (double)progress->total,
                 (double)(progress->total - done) / per_second);
    fprintf(stderr, "%s%s, %s/s%s%s%s", progress->terminal ? "\r" : "", tool_bytes((double)done, bytes, sizeof bytes),
            tool_bytes(per_second, rate, sizeof rate), left, progress->terminal ? "\033[K" : "",
            last || !progress->terminal ? "\n" : "");
    fflush(stderr);
}

void progress_start(struct progress *progress, bool on, uint64_t total)
{
    *progress = (struct progress){.on = on, .terminal = on && isatty(STDERR_FILENO), .total = total};
    if (on)
        progress->start_ns = progress->shown_ns = now_ns();
}

void progress_update(struct progress *progress, uint64_t done)
{
    if (!progress->on)
        return;
    uint64_t now = now_ns();
    if (now - progress->shown_ns < (progress->terminal ? terminal_interval_ns : interval_ns))
        return;
    progress->shown_ns = now;
    show(progress, done, now, false);
}

void progress_end(struct progress *progress, uint64_t done)
{
    if (progress->on)
        show(progress, done, now_ns(), true);
    progress->on = false;
}
