/* SPDX-License-Identifier: MIT */
/* Work spread over processes. */
#ifndef MACHNET_TESTS_SIM_JOBS_H
#define MACHNET_TESTS_SIM_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory that the processes share, zeroed; it lasts until the program ends. Never NULL. */
void *jobs_memory(size_t bytes);

/* Calls work(index, arg) for index 0 .. count - 1, each once, in `jobs` processes (1: in this one), until one returns false: then no further
 * one begins. Returns false if a process did not end by itself. */
bool jobs_run(uint64_t count, uint32_t jobs, bool (*work)(uint64_t index, void *arg), void *arg);

#endif /* MACHNET_TESTS_SIM_JOBS_H */
