/* SPDX-License-Identifier: MIT */
#include "crc32c.h"
#include "wire.h"

#include <stdatomic.h>
#include <string.h>

static crc32c_function resolve;

/* Every thread that finds `resolve` here stores the same pointer, so the order of the stores does
 * not matter. */
static _Atomic(crc32c_function *) implementation = resolve;

static uint32_t resolve(uint32_t crc, const uint8_t *data, size_t length)
{
    crc32c_function *chosen = crc32c_hardware();

    if (chosen == NULL) {
        chosen = crc32c_portable;
    }
    atomic_store_explicit(&implementation, chosen, memory_order_relaxed);
    return chosen(crc, data, length);
}

uint32_t wire_crc32c(uint32_t crc, const uint8_t *data, size_t length)
{
    crc32c_function *run = atomic_load_explicit(&implementation, memory_order_relaxed);

    return ~run(~crc, data, length);
}
