/* SPDX-License-Identifier: MIT */
#include "perf_options.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] = "Measure latency, throughput and processor time between this machine and a peer that runs "
                          "`machnet perf --listen`.\v"
                          "Without --rate each flow keeps --window requests outstanding (closed loop): a stalled "
                          "server stalls the client too, so "
                          "the stall counts once (coordinated omission). With --rate requests are due at fixed times "
                          "(open loop) and latency counts "
                          "from these times.\n\n"
                          "Example, on the serving and then on the measuring machine:\n"
                          "  machnet perf --listen 10.0.0.3:7000\n"
                          "  machnet perf --size 64 --window 32 10.0.0.3:7000\n\n"
                          "Ctrl-C ends the run early and prints what was measured.\n"
                          "Exit status: 0 measured, 1 it failed or payloads were wrong, 2 wrong usage, 130 interrupted "
                          "before anything was measured.";

enum key {
    KEY_HELP = '?',
    KEY_LISTEN = 'l',
    KEY_JSON = 'j',
    KEY_ONCE = 1000,
    KEY_STREAM,
    KEY_SIZE,
    KEY_WINDOW,
    KEY_FLOWS,
    KEY_DURATION,
    KEY_WARMUP,
    KEY_RATE,
    KEY_ARRIVALS,
    KEY_POLL,
    KEY_NO_VERIFY,
};

static const struct argp_option known[] = {
    {NULL, 0, NULL, 0, "Server:", 1},
    {"listen", KEY_LISTEN, NULL, 0, "Serve at ADDRESS:PORT, an address of this machine's engine, until Ctrl-C", 1},
    {"once", KEY_ONCE, NULL, 0, "End when the first client has ended", 1},
    {NULL, 0, NULL, 0, "Client:", 2},
    {"size", KEY_SIZE, "BYTES", 0, "Bytes of a message, 0 to 8388608 (64)", 2},
    {"window", KEY_WINDOW, "N", 0, "Most requests outstanding on each flow, 1 to 65536 (1; with --rate 4096)", 2},
    {"flows", KEY_FLOWS, "N", 0, "Flows, 1 to 65536, all in one channel (1)", 2},
    {"duration", KEY_DURATION, "SECONDS", 0, "Measured time, fractions too, 0.001 to 86400 (5)", 2},
    {"warmup", KEY_WARMUP, "SECONDS", 0, "The same load before, not measured, 0 to 3600 (0.5)", 2},
    {"rate", KEY_RATE, "PER_SECOND", 0, "Open loop: so many messages a second on all flows, up to 1e8", 2},
    {"arrivals", KEY_ARRIVALS, "even|poisson", 0, "With --rate: equal or exponential times between messages (even)", 2},
    {"stream", KEY_STREAM, NULL, 0, "One-way messages, as many as go, or --rate of them", 2},
    {"no-verify", KEY_NO_VERIFY, NULL, 0, "Neither fill nor compare payloads", 2},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 2},
    {NULL, 0, NULL, 0, "Both:", 3},
    {"poll", KEY_POLL, "spin|adaptive|sleep", 0, "How this side waits (adaptive)", 3},
    {"help", KEY_HELP, NULL, 0, "Show this text", -1},
    {NULL, 0, NULL, 0, NULL, 0},
};

struct parse {
    struct perf_options *options;
    char *error;
    const char *client_option; /* one that a server does not take, if given */
    bool arrivals;
};

static __attribute__((format(printf, 2, 3))) error_t refuse(struct parse *parse, const char *format, ...)
{
    va_list values;
    if (parse->error[0] == '\0') {
        va_start(values, format);
        vsnprintf(parse->error, PERF_ERROR_BYTES, format, values);
        va_end(values);
    }
    return EINVAL;
}

static const char *name_of(int key)
{
    for (const struct argp_option *option = known; option->name != NULL || option->doc != NULL; option++)
        if (option->key == key && option->name != NULL)
            return option->name;
    return "";
}

static error_t take_number(struct parse *parse, int key, const char *text, double least, double most, double *value)
{
    char *end;
    *value = strtod(text, &end);
    if (end == text || *end != '\0' || !(*value >= least && *value <= most))
        return refuse(parse, "--%s: '%s' is not a number from %.10g to %.10g", name_of(key), text, least, most);
    return 0;
}

static error_t take_whole(struct parse *parse, int key, const char *text, uint64_t least, uint64_t most,
                          uint64_t *value)
{
    double number = 0;
    error_t error = take_number(parse, key, text, (double)least, (double)most, &number);
    if (error == 0 && number != floor(number))
        return refuse(parse, "--%s: '%s' is not a whole number", name_of(key), text);
    *value = (uint64_t)number;
    return error;
}

/* The index of `text` in `words`, which ends with NULL. */
static error_t take_word(struct parse *parse, int key, const char *text, const char *const *words, uint32_t *index)
{
    for (*index = 0; words[*index] != NULL; (*index)++)
        if (strcmp(text, words[*index]) == 0)
            return 0;
    return refuse(parse, "--%s: '%s' is none of %s, %s%s%s", name_of(key), text, words[0], words[1],
                  words[2] != NULL ? ", " : "", words[2] != NULL ? words[2] : "");
}

/* In the order of enum machnet_poll. */
static const char *const poll_words[] = {"adaptive", "spin", "sleep", NULL};
static const char *const arrival_words[] = {"even", "poisson", NULL};

const char *perf_poll_name(enum machnet_poll poll)
{
    return poll_words[poll];
}

static error_t take_address(struct parse *parse, unsigned index, const char *text)
{
    struct perf_options *options = parse->options;
    if (index > 0)
        return refuse(parse, "one ADDRESS:PORT is enough: '%s' is too much", text);
    if (machnet_address_parse(text, &options->address) != MACHNET_OK || options->address.port == 0)
        return refuse(parse, "'%s' is not an address; use 10.0.0.3:7000 or [fd00::3]:7000", text);
    machnet_address_format(&options->address, options->address_text, sizeof options->address_text);
    return 0;
}

static error_t finish(struct parse *parse)
{
    struct perf_options *options = parse->options;
    if (options->address_text[0] == '\0')
        return refuse(parse, "give an ADDRESS:PORT, such as 10.0.0.3:7000");
    if (options->listen && parse->client_option != NULL)
        return refuse(parse, "--%s is for the client; the server does what its clients ask for", parse->client_option);
    if (options->once && !options->listen)
        return refuse(parse, "--once goes with --listen");
    if (parse->arrivals && options->rate <= 0)
        return refuse(parse, "--arrivals goes with --rate");
    if (options->stream && options->window > 0)
        return refuse(parse, "--window does not go with --stream, whose flow control is Machnet's");
    if (options->window == 0)
        options->window = options->rate > 0 ? PERF_OPEN_LOOP_WINDOW : 1;
    return 0;
}

static error_t take_load(struct parse *parse, int key, const char *text)
{
    struct perf_options *options = parse->options;
    uint64_t value = 0;
    error_t error;
    switch (key) {
    case KEY_SIZE:
        return take_whole(parse, key, text, 0, MACHNET_MESSAGE_MAX, &options->size);
    case KEY_WINDOW:
        error = take_whole(parse, key, text, 1, PERF_WINDOW_MAX, &value);
        options->window = (uint32_t)value;
        return error;
    case KEY_FLOWS:
        error = take_whole(parse, key, text, 1, 65536, &value);
        options->flows = (uint32_t)value;
        return error;
    case KEY_DURATION:
        return take_number(parse, key, text, 0.001, 86400, &options->duration);
    case KEY_WARMUP:
        return take_number(parse, key, text, 0, 3600, &options->warmup);
    case KEY_RATE:
        return take_number(parse, key, text, 0.001, 1e8, &options->rate);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t take_client_option(struct parse *parse, int key, const char *text)
{
    struct perf_options *options = parse->options;
    uint32_t index = 0;
    error_t error = 0;
    if (key == KEY_JSON)
        options->json = true;
    else if (key == KEY_STREAM)
        options->stream = true;
    else if (key == KEY_NO_VERIFY)
        options->verify = false;
    else if (key == KEY_ARRIVALS)
        parse->arrivals = (error = take_word(parse, key, text, arrival_words, &index)) == 0;
    else
        error = take_load(parse, key, text);
    if (key == KEY_ARRIVALS)
        options->poisson = index == 1;
    if (error != ARGP_ERR_UNKNOWN)
        parse->client_option = name_of(key);
    return error;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct parse *parse = state->input;
    uint32_t index = 0;
    error_t error;
    switch (key) {
    case KEY_HELP:
        argp_help(state->root_argp, stdout, ARGP_HELP_STD_HELP, state->argv[0]);
        exit(0);
    case KEY_LISTEN:
        parse->options->listen = true;
        return 0;
    case KEY_ONCE:
        parse->options->once = true;
        return 0;
    case KEY_POLL:
        error = take_word(parse, key, text, poll_words, &index);
        parse->options->poll = (enum machnet_poll)index;
        return error;
    case ARGP_KEY_ARG:
        return take_address(parse, state->arg_num, text);
    case ARGP_KEY_END:
        return finish(parse);
    case ARGP_KEY_ERROR:
        return refuse(parse, "'%s' is not understood; see machnet perf --help", state->argv[state->next - 1]);
    default:
        return take_client_option(parse, key, text);
    }
}

int perf_options_parse(int argc, char **argv, struct perf_options *options, char error[PERF_ERROR_BYTES])
{
    static const struct argp argp = {known, parse_option, "ADDRESS:PORT", doc, NULL, NULL, NULL};
    struct parse parse = {.options = options, .error = error};
    *options = (struct perf_options){.size = 64, .flows = 1, .duration = 5, .warmup = 0.5, .verify = true};
    error[0] = '\0';
    return argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &parse) == 0 ? 0 : -1;
}
