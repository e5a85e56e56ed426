/* SPDX-License-Identifier: MIT */
#include "cat.h"

#include "tools.h"

#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char doc[] =
    "Send standard input to ADDRESS:PORT, or with --listen receive there to standard output.\v"
    "The sender exits with 0 only after the receiving program has written everything out and confirmed length and hash. "
    "The receiver takes one sender and ends with it.\n\n"
    "Example, on the receiving and then on the sending machine:\n"
    "  machnet cat --listen 10.0.0.3:7000 > copy\n"
    "  machnet cat --progress 10.0.0.3:7000 < file\n\n"
    "Exit status: 0 all arrived, 1 it failed (stderr says why), 2 wrong usage.";

static const struct argp_option options[] = {
    {"listen", 'l', NULL, 0, "Receive at ADDRESS:PORT, an address of this machine's engine", 0},
    {"progress", 'p', NULL, 0, "Show bytes, rate and time left on stderr", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

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
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "one ADDRESS:PORT is enough: '%s' is too much", argument);
        if (machnet_address_parse(argument, &cat->address) != MACHNET_OK || cat->address.port == 0)
            argp_error(state, "'%s' is not an address; use 10.0.0.3:7000 or [fd00::3]:7000", argument);
        machnet_address_format(&cat->address, cat->address_text, sizeof cat->address_text);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "give an ADDRESS:PORT, such as 10.0.0.3:7000");
        return EINVAL;
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

int cat_fail(const char *what, int32_t status)
{
    return tool_fail("cat", what, status, NULL);
}

int command_cat(int argc, char **argv)
{
    static const struct argp argp = {options, parse_option, "ADDRESS:PORT", doc, NULL, NULL, NULL};
    struct cat cat = {0};
    machnet_error error;
    argp_err_exit_status = TOOL_USAGE;
    argv[0] = "machnet cat";
    argp_parse(&argp, argc, argv, 0, NULL, &cat);
    signal(SIGPIPE, SIG_IGN); /* a closed output is told by write */

    cat.hash = XXH3_createState();
    if (cat.hash == NULL)
        return cat_fail("start", MACHNET_ENOMEM);
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
