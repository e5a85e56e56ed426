/* SPDX-License-Identifier: MIT */
/* What the commands of the `machnet` program share. */
#ifndef MACHNET_TOOLS_H
#define MACHNET_TOOLS_H

#include <machnet/machnet.h>

#include <stdint.h>

/* Exit statuses of every command. */
enum { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2 };

/* An argp_option: -h, to be answered as --help is. */
/* clang-format off */
#define TOOL_HELP_OPTION {NULL, 'h', NULL, OPTION_HIDDEN, NULL, 0}
/* clang-format on */

/* Prints "machnet COMMAND: what: why" to stderr; `error` may be NULL. Returns TOOL_FAILED. */
int tool_fail(const char *command, const char *what, int32_t status, const machnet_error *error);

/* Writes a number of bytes for people ("1.4 GB") into text[0 .. capacity). Returns text. */
const char *tool_bytes(double bytes, char *text, uint64_t capacity);

/* What the engine says of itself: *text is JSON, the caller's to free, or NULL. As machnet_context_status; `error` may be NULL. */
int32_t tool_engine_status(machnet_context *context, char **text, machnet_error *error);

/* The commands; argv[0] is the command's name. Each returns an exit status. */
int command_cat(int argc, char **argv);
int command_perf(int argc, char **argv);
int command_status(int argc, char **argv);

#endif /* MACHNET_TOOLS_H */
