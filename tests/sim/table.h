/* SPDX-License-Identifier: MIT */
/* The table of what the transport must reach, and does. */
#ifndef MACHNET_TESTS_SIM_TABLE_H
#define MACHNET_TESTS_SIM_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "world.h"

enum { TABLE_SEEDS = 5, TABLE_SEEDS_MAX = 50 };

/* Runs the measured scenarios with `seeds` (<= TABLE_SEEDS_MAX) seeds from `first` on in `jobs` processes and prints the table
 * (Markdown). Of several seeds the worst counts. Returns false if a row was not reached or a run was not in order. */
bool table_print(uint64_t first, uint32_t seeds, uint32_t jobs, const struct options *options);

#endif /* MACHNET_TESTS_SIM_TABLE_H */
