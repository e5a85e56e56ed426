/* SPDX-License-Identifier: MIT */
#include "directory.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { PORTS = 65536 };

/* listens[port * address_count + address] == worker + 1, or 0: nobody. A byte stands alone, so relaxed order is enough: whoever reads an old
 * value hands the INIT to the wrong worker, who refuses it, as if it had come a moment earlier or later. */
struct directory {
    const struct path_table *paths;
    _Atomic uint8_t listens[];
};

struct directory *directory_new(const struct path_table *paths)
{
    struct directory *directory = calloc(1, sizeof *directory + (size_t)PORTS * paths->address_count);
    if (directory != NULL)
        directory->paths = paths;
    return directory;
}

void directory_free(struct directory *directory)
{
    free(directory);
}

static void set(struct directory *directory, const struct endpoint *local, uint8_t value)
{
    const struct path_table *paths = directory->paths;
    const int only = path_address_index(paths, local);
    for (uint32_t i = 0; i < paths->address_count; i++) {
        if (endpoint_ip_is_any(local) || (int)i == only)
            atomic_store_explicit(&directory->listens[local->port * paths->address_count + i], value,
                                  memory_order_relaxed);
    }
}

void directory_add(struct directory *directory, const struct endpoint *local, uint32_t worker)
{
    assert(worker < UINT8_MAX);
    set(directory, local, (uint8_t)(worker + 1));
}

void directory_remove(struct directory *directory, const struct endpoint *local)
{
    set(directory, local, 0);
}

int directory_find(const struct directory *directory, const struct endpoint *local)
{
    const int address = path_address_index(directory->paths, local);
    if (address < 0)
        return DIRECTORY_NOBODY;
    return atomic_load_explicit(&directory->listens[local->port * directory->paths->address_count + (uint32_t)address],
                                memory_order_relaxed) - 1;
}
