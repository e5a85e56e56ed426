/* SPDX-License-Identifier: MIT */
#include "perf.h"

#include "tools.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

static atomic_bool interrupted; /* lock-free, so a signal handler may set it */
static _Atomic(machnet_channel *) interrupted_channel;

static void interrupt(int number)
{
    (void)number;
    machnet_channel *channel = atomic_load(&interrupted_channel);
    interrupted = true;
    if (channel != NULL)
        machnet_channel_wake(channel);
}

bool perf_interrupted(void)
{
    return interrupted;
}

uint64_t perf_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int perf_fail(const char *what, int32_t status, const machnet_error *error)
{
    return tool_fail("perf", what, status, error);
}

int32_t perf_wait(struct perf *perf, uint32_t mask, int64_t timeout_ns)
{
    int32_t status = machnet_channel_wait(perf->channel, mask, timeout_ns);
    return status == MACHNET_ETIMEDOUT || status == MACHNET_EINTR ? MACHNET_OK : status;
}

int32_t perf_send(struct perf *perf, uint64_t flow, const void *data, uint64_t length, uint64_t tag)
{
    uint64_t end = perf_now_ns() + PERF_STUCK_NS;
    int32_t status;
    while ((status = machnet_send_copy(perf->channel, flow, data, length, tag, 0)) == MACHNET_EAGAIN &&
           perf_now_ns() < end) {
        status = perf_wait(perf, MACHNET_WAIT_SEND, 100000000);
        if (status < 0)
            break;
    }
    return status;
}

static int32_t attach(struct perf *perf, machnet_error *error)
{
    machnet_options *options;
    int32_t status = machnet_context_open(MACHNET_ABI_VERSION, NULL, &perf->context, error);
    if (status == MACHNET_OK)
        status = machnet_options_new(&options);
    if (status != MACHNET_OK)
        return status;
    machnet_options_set_str(options, MACHNET_OPTION_NAME, "machnet perf");
    machnet_options_set_u64(options, MACHNET_OPTION_POLL, perf->options.poll);
    status = machnet_channel_open(perf->context, options, &perf->channel, error);
    machnet_options_free(options);
    return status;
}

int command_perf(int argc, char **argv)
{
    struct perf perf = {0};
    machnet_error error = {0};
    char wrong[PERF_ERROR_BYTES];
    argv[0] = "machnet perf";
    if (perf_options_parse(argc, argv, &perf.options, wrong) != 0) {
        fprintf(stderr, "machnet perf: %s\n", wrong);
        return TOOL_USAGE;
    }
    prctl(PR_SET_TIMERSLACK, 1UL); /* ns; the default lets an open loop wake up 50 us late */
    int result = TOOL_FAILED;
    int32_t status = attach(&perf, &error);
    if (status == MACHNET_OK) {
        atomic_store(&interrupted_channel, perf.channel);
        sigaction(SIGINT, &(struct sigaction){.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND}, NULL);
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND}, NULL);
        result = perf.options.listen ? perf_server(&perf) : perf_client(&perf);
        atomic_store(&interrupted_channel, NULL);
    } else {
        perf_fail("attach", status, &error);
    }
    machnet_channel_unref(perf.channel);
    machnet_context_unref(perf.context);
    return result;
}
