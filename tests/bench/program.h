/* SPDX-License-Identifier: MIT */
/* For the programs beside it that are clients of two engines. */
#ifndef MACHNET_TESTS_BENCH_PROGRAM_H
#define MACHNET_TESTS_BENCH_PROGRAM_H

#include <machnet/machnet.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static machnet_error error;

/* Returns the status, or ends the program if it is an error. */
static inline int32_t check(int32_t status, const char *what)
{
    if (status >= 0)
        return status;
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
            error.message[0] != '\0' ? error.message : machnet_status_text(status));
    exit(1);
}

static inline machnet_context *open_context(const char *socket)
{
    machnet_context *context;
    machnet_options *options;
    check(machnet_options_new(&options), "options");
    check(machnet_options_set_str(options, MACHNET_OPTION_SOCKET_PATH, socket), "socket");
    check(machnet_context_open(MACHNET_ABI_VERSION, options, &context, &error), "context");
    machnet_options_free(options);
    return context;
}

static inline machnet_channel *attach(const char *socket, machnet_context **context)
{
    machnet_channel *channel;
    *context = open_context(socket);
    check(machnet_channel_open(*context, NULL, &channel, &error), "channel");
    return channel;
}

/* Of doubles, for qsort. */
static inline int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#endif /* MACHNET_TESTS_BENCH_PROGRAM_H */
