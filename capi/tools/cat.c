/* SPDX-License-Identifier: MIT */
#include "cat.h"

#include "tools.h"

#include <argp.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char doc[] =
    "Send standard input to ADDRESS:PORT, or with --listen receive there to standard output.\v"
    "The sender exits with 0 only after the receiving program has written everything out and confirmed length and "
    "hash. "
    "The receiver takes one sender and ends with it.\n\n"
    "With --listen, :7000 is port 7000 of all addresses of the engine, and port 0 a free one, told on stderr.\n\n"
    "Example, on the receiving and then on the sending machine:\n"
    "  machnet cat --listen 10.0.0.3:7000 > copy\n"
    "  machnet cat --progress 10.0.0.3:7000 < file\n\n"
    "Exit status: 0 all arrived, 1 it failed (stderr says why), 2 wrong usage. Ended by a signal, shells show "
    "130 for SIGINT and 143 for SIGTERM.";

static const struct argp_option options[] = {
    {"listen", 'l', NULL, 0, "Receive at ADDRESS:PORT, an address of this machine's engine", 0},
    {"progress", 'p', NULL, 0, "Show bytes, rate and time left on stderr", 0},
    TOOL_HELP_OPTION,
    {NULL, 0, NULL, 0, NULL, 0},
};

/* What only makes sense together with --listen, or without it. */
static void check_address(const struct cat *cat, struct argp_state *state)
{
    static const uint8_t any[sizeof cat->address.ip];
    if (cat->listen)
        return;
    if (memcmp(cat->address.ip, any, sizeof any) == 0)
        argp_error(state, "'%s' names no machine; give the receiver's address, such as 10.0.0.3:%u", cat->address_text,
                   cat->address.port != 0 ? cat->address.port : 7000u);
    else if (cat->address.port == 0)
        argp_error(state,
                   "port 0 stands for a free one, with --listen; give the receiver's port, such as 10.0.0.3:7000");
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct cat *cat = state->input;
    switch (key) {
    case 'l':
        cat->listen = true;
        return 0;
    case 'p':
        cat->show_progress = true;
        return 0;
    case 'h':
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "one ADDRESS:PORT is enough: '%s' is too much", argument);
        if (machnet_address_parse(argument, &cat->address) != MACHNET_OK)
            argp_error(state, "'%s' is not an address; use 10.0.0.3:7000 or [fd00::3]:7000", argument);
        machnet_address_format(&cat->address, cat->address_text, sizeof cat->address_text);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "give an ADDRESS:PORT, such as 10.0.0.3:7000");
        return EINVAL;
    case ARGP_KEY_SUCCESS:
        check_address(cat, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void cat_summary(const struct cat *cat, uint8_t summary[CAT_SUMMARY_BYTES])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(cat->hash));
    for (int i = 0; i < 8; i++)
        summary[i] = (uint8_t)(cat->bytes >> (56 - 8 * i));
    memcpy(summary + 8, canonical.digest, sizeof canonical.digest);
}

int cat_fail(struct cat *cat, const char *format, ...)
{
    va_list arguments;
    progress_end(&cat->progress, cat->bytes);
    fputs("machnet cat: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return TOOL_FAILED;
}

static const char *advice(const struct cat *cat, int32_t status)
{
    switch (status) {
    case MACHNET_ECLOSED:
    case MACHNET_ERESET:
        return cat->listen ? "See what the sender said, then start both again"
                           : "See what the receiver said, and that it is `machnet cat --listen`, then start both again";
    case MACHNET_EPEERDEAD:
    case MACHNET_EPEERRESTARTED:
        return "See the log of machnetd there and the network between, then start both again";
    case MACHNET_EENGINEGONE:
    case MACHNET_EPROTOCOL:
        return "See the log of machnetd on this machine, then start both again";
    default:
        return "Start both again";
    }
}

int cat_broken(struct cat *cat, int32_t status)
{
    return cat_fail(cat, "%s %s: incomplete after %" PRIu64 " bytes: %s. %s.", cat->listen ? "from" : "to",
                    cat->peer_text, cat->bytes, machnet_status_text(status), advice(cat, status));
}

/* False after saying so if the descriptor of our data is closed, or open for the other direction only. */
static bool check_descriptor(struct cat *cat)
{
    int mode = fcntl(cat->listen ? STDOUT_FILENO : STDIN_FILENO, F_GETFL);
    if (mode >= 0 && (mode & O_ACCMODE) != (cat->listen ? O_RDONLY : O_WRONLY))
        return true;
    if (cat->listen)
        cat_fail(cat, "standard output is closed or cannot be written: give it a file or a pipe, such as > copy");
    else
        cat_fail(cat, "standard input is closed or cannot be read: give it a file or a pipe, such as < file");
    return false;
}

int command_cat(int argc, char **argv)
{
    static const struct argp argp = {options, parse_option, "ADDRESS:PORT", doc, NULL, NULL, NULL};
    struct cat cat = {0};
    machnet_error error;
    argp_err_exit_status = TOOL_USAGE;
    argv[0] = "machnet cat";
    argp_parse(&argp, argc, argv, 0, NULL, &cat);
    if (!check_descriptor(&cat))
        return TOOL_FAILED;
    signal(SIGPIPE, SIG_IGN); /* what becomes of the output is told by write */
    signal(SIGXFSZ, SIG_IGN);

    cat.hash = XXH3_createState();
    if (cat.hash == NULL)
        return cat_fail(&cat, "%s", machnet_status_text(MACHNET_ENOMEM));
    XXH3_128bits_reset(cat.hash);
    int result = TOOL_FAILED;
    int32_t status = machnet_context_open(MACHNET_ABI_VERSION, NULL, &cat.context, &error);
    if (status == MACHNET_OK)
        status = machnet_channel_open(cat.context, NULL, &cat.channel, &error);
    if (status == MACHNET_OK)
        result = cat.listen ? cat_receive(&cat) : cat_send(&cat);
    else
        tool_fail("cat", "attach", status, &error);
    machnet_channel_unref(cat.channel);
    machnet_context_unref(cat.context);
    XXH3_freeState(cat.hash);
    return result;
}
