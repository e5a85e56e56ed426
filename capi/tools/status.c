/* SPDX-License-Identifier: MIT */
#include "tools.h"

#include <argp.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

static const char doc[] = "Show what the engine of this machine is doing: addresses, applications, channels, listeners, flows.\v"
                          "Exit status: 0 shown, 1 no engine answered (stderr says why), 2 wrong usage.";

static const struct argp_option options[] = {
    {"json", 'j', NULL, 0, "Print one JSON object, as the engine gave it", 0},
    TOOL_HELP_OPTION,
    {NULL, 0, NULL, 0, NULL, 0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    bool *json = state->input;
    if (key == 'j') {
        *json = true;
        return 0;
    }
    if (key == 'h')
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
    if (key == ARGP_KEY_ARG)
        argp_error(state, "'%s' is not expected", argument);
    return ARGP_ERR_UNKNOWN;
}

/* The engine's answer as text, to be freed; NULL after saying why. */
static char *fetch(void)
{
    machnet_context *context = NULL;
    machnet_error error = {0};
    char *text = NULL;
    int32_t status = machnet_context_open(MACHNET_ABI_VERSION, NULL, &context, &error);
    if (status == MACHNET_OK)
        status = tool_engine_status(context, &text, &error);
    machnet_context_unref(context);
    if (status != MACHNET_OK)
        tool_fail("status", "ask the engine", status, &error);
    return text;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? value : "-";
}

static int64_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void print_engine(const json_t *root)
{
    size_t index;
    json_t *address;
    printf("engine    machnetd %s, pid %" PRId64 ", up %.0f s, nic %s, UDP port %" PRId64 "\naddresses",
           text_of(root, "version"), number_of(root, "pid"), json_number_value(json_object_get(root, "uptime_seconds")),
           text_of(root, "nic"), number_of(root, "udp_port"));
    json_array_foreach(json_object_get(root, "addresses"), index, address)
        printf(" %s", json_string_value(address));
    printf("\n");
}

static void print_workers(const json_t *root)
{
    size_t index;
    json_t *worker;
    printf("\n%-8s %14s %14s %10s %8s %14s %14s %14s\n", "worker", "loops", "sleeps", "cpu s", "flows", "handed over",
           "handed in", "dropped");
    json_array_foreach(json_object_get(root, "workers"), index, worker)
        printf("%-8" PRId64 " %14" PRId64 " %14" PRId64 " %10.2f %8" PRId64 " %14" PRId64 " %14" PRId64 " %14" PRId64 "\n",
               number_of(worker, "index"), number_of(worker, "loops"), number_of(worker, "sleeps"),
               (double)number_of(worker, "cpu_ns") / 1e9, number_of(worker, "flows"), number_of(worker, "handed_over"),
               number_of(worker, "handed_in"), number_of(worker, "handover_dropped"));
}

/* How many bytes the character at `text` takes, and whether the terminal has it, in so many columns. What it has not is one '?' for each byte. */
static size_t measure(const char *text, mbstate_t *state, bool *shown, int *columns)
{
    wchar_t character;
    size_t length = mbrtowc(&character, text, strlen(text), state);
    *shown = length <= MB_LEN_MAX && iswprint((wint_t)character);
    if (*shown) {
        *columns = wcwidth(character);
        return length;
    }
    *state = (mbstate_t){0};
    *columns = 1;
    return 1;
}

/* As "%-*s", in columns of the terminal: names are UTF-8, and terminals need not be. */
static void print_padded(const char *text, int width)
{
    mbstate_t state = {0};
    while (*text != '\0') {
        bool shown;
        int columns;
        size_t length = measure(text, &state, &shown, &columns);
        printf("%.*s", (int)length, shown ? text : "?");
        width -= columns;
        text += length;
    }
    printf("%*s", width > 0 ? width : 0, "");
}

static void print_channel(const json_t *channel)
{
    printf("%-8" PRId64 " %-8" PRId64 " ", number_of(channel, "id"), number_of(channel, "pid"));
    print_padded(text_of(channel, "name"), 20);
    printf(" %6" PRId64 " %8" PRId64 " %12" PRId64 " %12" PRId64 " %14" PRId64 " %14" PRId64 "\n",
           number_of(channel, "worker"), number_of(channel, "flows"), number_of(channel, "messages_sent"),
           number_of(channel, "messages_received"), number_of(channel, "send_bytes"),
           number_of(channel, "receive_bytes"));
}

static void print_channels(const json_t *root)
{
    size_t index;
    json_t *channel;
    json_t *channels = json_object_get(root, "channels");
    printf("\n%-8s %-8s %-20s %6s %8s %12s %12s %14s %14s\n", "channel", "pid", "application", "worker", "flows", "sent",
           "received", "send bytes", "receive bytes");
    json_array_foreach(channels, index, channel)
        print_channel(channel);
    if (json_array_size(channels) == 0)
        printf("(none)\n");
}

static void print_listeners(const json_t *root)
{
    size_t index;
    json_t *listener;
    json_t *listeners = json_object_get(root, "listeners");
    printf("\n%-24s %-8s\n", "listener", "channel");
    json_array_foreach(listeners, index, listener)
        printf("%-24s %-8" PRId64 "\n", text_of(listener, "local"), number_of(listener, "channel"));
    if (json_array_size(listeners) == 0)
        printf("(none)\n");
}

static void print_flows(const json_t *root)
{
    size_t index;
    json_t *flow;
    json_t *flows = json_object_get(root, "flows");
    printf("\n%-24s %-24s %-10s %10s %8s %8s %10s %10s\n", "local", "remote", "state", "RTT us", "window", "flight",
           "packets", "lost");
    json_array_foreach(flows, index, flow)
        printf("%-24s %-24s %-10s %10.1f %8" PRId64 " %8" PRId64 " %10" PRId64 " %10" PRId64 "\n", text_of(flow, "local"),
               text_of(flow, "remote"), text_of(flow, "state"), json_number_value(json_object_get(flow, "srtt_us")),
               number_of(flow, "window_packets"), number_of(flow, "in_flight_packets"), number_of(flow, "packets_sent"),
               number_of(flow, "packets_lost"));
    if (json_array_size(flows) == 0)
        printf("(none)\n");
}

int command_status(int argc, char **argv)
{
    static const struct argp argp = {options, parse_option, NULL, doc, NULL, NULL, NULL};
    bool json = false;
    argp_err_exit_status = TOOL_USAGE;
    argv[0] = "machnet status";
    argp_parse(&argp, argc, argv, 0, NULL, &json);
    char *text = fetch();
    if (text == NULL)
        return TOOL_FAILED;
    if (json) {
        puts(text);
        free(text);
        return TOOL_OK;
    }
    json_error_t problem;
    json_t *root = json_loads(text, 0, &problem);
    free(text);
    if (root == NULL) {
        fprintf(stderr, "machnet status: the engine's answer is not JSON: %s\n", problem.text);
        return TOOL_FAILED;
    }
    (void)setlocale(LC_CTYPE, "");
    print_engine(root);
    print_workers(root);
    print_channels(root);
    print_listeners(root);
    print_flows(root);
    json_decref(root);
    return TOOL_OK;
}
