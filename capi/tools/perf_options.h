/* SPDX-License-Identifier: MIT */
/* The command line of `machnet perf`. */
#ifndef MACHNET_TOOLS_PERF_OPTIONS_H
#define MACHNET_TOOLS_PERF_OPTIONS_H

#include <machnet/machnet.h>

#include <stdbool.h>
#include <stdint.h>

enum { PERF_WINDOW_MAX = 65536, PERF_OPEN_LOOP_WINDOW = 4096, PERF_ERROR_BYTES = 256 };

struct perf_options {
    machnet_address address;
    char address_text[MACHNET_ADDRESS_TEXT_MAX];
    bool listen, once;
    bool stream, poisson, verify, json;
    enum machnet_poll poll;
    uint64_t size;   /* bytes of a message */
    uint32_t window; /* most requests outstanding on a flow */
    uint32_t flows;
    double duration, warmup; /* seconds */
    double rate;             /* messages a second on all flows; 0: closed loop */
};

/* 0; or -1 and one line that says what is wrong and what is allowed. Prints and exits for --help. */
int perf_options_parse(int argc, char **argv, struct perf_options *options, char error[PERF_ERROR_BYTES]);

/* "spin", "adaptive" or "sleep". */
const char *perf_poll_name(enum machnet_poll poll);

#endif /* MACHNET_TOOLS_PERF_OPTIONS_H */
