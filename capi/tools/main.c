/* SPDX-License-Identifier: MIT */
/* The `machnet` command: a client like any other. */
#include "tools.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"cat", command_cat, "send standard input to another machine, or receive to standard output"},
    {"perf", command_perf, "measure latency, throughput and processor time to a peer"},
    {"status", command_status, "show what the engine of this machine is doing"},
};

static void usage(FILE *out)
{
    fputs("Usage: machnet COMMAND [OPTION]...\n\nCommands:\n", out);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
    fputs("\n`machnet COMMAND --help` says more. The engine is found by $MACHNET_SOCKET, else at\n"
          "/run/machnet/machnet.sock, else at $XDG_RUNTIME_DIR/machnet.sock.\n",
          out);
}

/* A descriptor that is missing would be the number of a socket soon. What takes its place is open for the wrong direction, so that its use is an
 * error as before. */
static void fill_standard_descriptors(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

/* At exit: what was printed is not printed until it is written. */
static void check_output(void)
{
    if (!ferror(stdout) && fflush(stdout) == 0)
        return;
    fprintf(stderr, "machnet: cannot write standard output: %s\n", strerror(errno));
    _exit(TOOL_FAILED);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    (void)atexit(check_output);
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "-?") == 0 ||
                      strcmp(argv[1], "help") == 0)) {
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
