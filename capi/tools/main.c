/* SPDX-License-Identifier: MIT */
/* The `machnet` command: a client like any other. */
#include "tools.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"cat", command_cat, "send standard input to another machine, or receive to standard output"},
    {"status", command_status, "show what the engine of this machine is doing"},
};

static void usage(FILE *out)
{
    fputs("Usage: machnet COMMAND [OPTION]...\n\nCommands:\n", out);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
    fputs("\n`machnet COMMAND --help` says more. The engine is found by $MACHNET_SOCKET, else at\n"
          "/run/machnet/machnet.sock, else at $XDG_RUNTIME_DIR/machnet.sock.\n", out);
}

int tool_fail(const char *command, const char *what, int32_t status, const machnet_error *error)
{
    const char *why = error != NULL && error->message[0] != '\0' ? error->message : machnet_status_text(status);
    fprintf(stderr, "machnet %s: %s: %s\n", command, what, why);
    return TOOL_FAILED;
}

const char *tool_bytes(double bytes, char *text, uint64_t capacity)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    unsigned unit = 0;
    while (bytes >= 1000 && unit < 5) {
        bytes /= 1000;
        unit++;
    }
    snprintf(text, capacity, unit == 0 ? "%.0f %s" : "%.2f %s", bytes, units[unit]);
    return text;
}

int main(int argc, char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 || strcmp(argv[1], "help") == 0)) {
        usage(stdout);
        return TOOL_OK;
    }
    if (argc >= 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        printf("machnet %s\n", machnet_version_string());
        return TOOL_OK;
    }
    for (size_t i = 0; argc >= 2 && i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (argc >= 2)
        fprintf(stderr, "machnet: there is no command '%s'\n", argv[1]);
    usage(stderr);
    return TOOL_USAGE;
}
