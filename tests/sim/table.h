/* SPDX-License-Identifier: MIT */
/* The table of what the transport must reach, and does. */
#ifndef MACHNET_TESTS_SIM_TABLE_H
#define MACHNET_TESTS_SIM_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "world.h"

enum { TABLE_SEEDS = 5 };

/* Runs the measured scenarios with seeds 1 .. TABLE_SEEDS in `jobs` processes and prints the table (Markdown). Of several seeds the worst
 * counts. Returns false if a row was not reached or a run was not in order. */
bool table_print(uint32_t jobs, const struct options *options);

#endif /* MACHNET_TESTS_SIM_TABLE_H */
