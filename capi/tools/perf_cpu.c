/* SPDX-License-Identifier: MIT */
#include "perf.h"

#include "tools.h"

#include <jansson.h>
#include <stdlib.h>
#include <time.h>

void perf_cpu_read(const struct perf *perf, struct perf_cpu *cpu)
{
    struct timespec process;
    char *text = NULL;
    size_t index;
    json_t *worker, *root = NULL;
    *cpu = (struct perf_cpu){0};
    if (tool_engine_status(perf->context, &text, NULL) == MACHNET_OK)
        root = json_loads(text, 0, NULL);
    free(text);
    json_array_foreach(json_object_get(root, "workers"), index, worker) cpu->engine_ns +=
        (uint64_t)json_integer_value(json_object_get(worker, "cpu_ns"));
    const char *epoch = json_string_value(json_object_get(root, "epoch"));
    cpu->engine_epoch = epoch != NULL ? strtoull(epoch, NULL, 16) : 0;
    json_decref(root);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &process);
    cpu->process_ns = (uint64_t)process.tv_sec * 1000000000u + (uint64_t)process.tv_nsec;
}
