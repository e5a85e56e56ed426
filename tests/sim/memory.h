/* SPDX-License-Identifier: MIT */
/*
 * The receive memory of one application, by accounts only: every extent is a malloc of its own, so that sanitizers see what is written
 * beside it. An extent is the transport's from memory_reserve to memory_abandon or memory_deliver, then the reader's until
 * memory_release.
 *
 *   used <= budget + reserve, and above the budget only extents asked for with `last_reserve` are given.
 */
#ifndef MACHNET_TESTS_SIM_MEMORY_H
#define MACHNET_TESTS_SIM_MEMORY_H

#include "base/prng.h"
#include "flow/transport.h"
#include "verdict.h"

struct memory_block;

struct memory {
    struct verdict *verdict; /* not owned */
    const char *name;        /* of the application, for sentences; not owned */
    struct prng prng;
    uint64_t budget, reserve; /* bytes */
    uint32_t refuse_ppm;      /* refused for no reason */
    uint64_t used;
    uint32_t with_transport, lent; /* extents */
    bool refused;                  /* transport_memory_available is owed */
    struct memory_block **blocks;  /* handle - 1 is the index; NULL: free */
    uint32_t block_count;
};

void memory_init(struct memory *memory, struct verdict *verdict, const char *name, uint64_t seed, uint64_t budget,
                 uint64_t reserve);
/* Frees all extents, whoever has them. */
void memory_fini(struct memory *memory);

bool memory_reserve(struct memory *memory, uint32_t length, bool last_reserve, struct transport_extent *extent);
void memory_abandon(struct memory *memory, const struct transport_extent *extent);
/* Returns false (and judges) if the extent is not the transport's. */
bool memory_deliver(struct memory *memory, const struct transport_extent *extent);
void memory_release(struct memory *memory, const struct transport_extent *extent);

#endif /* MACHNET_TESTS_SIM_MEMORY_H */
