/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <stdlib.h>
#include <string.h>

enum { LARGE = 65536 };

static const uint64_t canary = UINT64_C(0x6372656469747321);

struct memory_block {
    uint32_t length, charge;
    bool lent;
    uint8_t data[]; /* `length` bytes, then the canary */
};

void memory_init(struct memory *memory, struct verdict *verdict, const char *name, uint64_t seed, uint64_t budget,
                 uint64_t reserve)
{
    *memory = (struct memory){.verdict = verdict, .name = name, .budget = budget, .reserve = reserve};
    prng_init(&memory->prng, seed);
}

void memory_fini(struct memory *memory)
{
    for (uint32_t i = 0; i < memory->block_count; i++) {
        free(memory->blocks[i]);
    }
    free(memory->blocks);
}

static uint32_t charge_of(uint32_t length)
{
    if (length > LARGE) {
        return (length + LARGE - 1) / LARGE * LARGE;
    }
    uint32_t charge = 64;
    while (charge < length) {
        charge *= 2;
    }
    return charge;
}

static uint64_t handle_new(struct memory *memory)
{
    for (uint32_t i = 0; i < memory->block_count; i++) {
        if (!memory->blocks[i]) {
            return i + 1;
        }
    }
    uint32_t count = memory->block_count ? 2 * memory->block_count : 64;
    memory->blocks = realloc(memory->blocks, count * sizeof(struct memory_block *));
    memset(memory->blocks + memory->block_count, 0, (count - memory->block_count) * sizeof(struct memory_block *));
    memory->block_count = count;
    return handle_new(memory);
}

bool memory_reserve(struct memory *memory, uint32_t length, bool last_reserve, struct transport_extent *extent)
{
    uint32_t charge = charge_of(length);
    uint64_t room = memory->budget + (last_reserve ? memory->reserve : 0);
    bool unlucky = prng_chance(&memory->prng, memory->refuse_ppm);
    if (unlucky || memory->used + charge > room) {
        memory->refused = true;
        return false;
    }
    struct memory_block *block = malloc(sizeof *block + length + sizeof canary);
    block->length = length;
    block->charge = charge;
    block->lent = false;
    memset(block->data, 0xdb, length < 64 ? length : 64);
    memcpy(block->data + length, &canary, sizeof canary);
    memory->used += charge;
    memory->with_transport++;
    extent->handle = handle_new(memory);
    extent->data = block->data;
    extent->length = length;
    memory->blocks[extent->handle - 1] = block;
    return true;
}

static struct memory_block *block_of(struct memory *memory, const struct transport_extent *extent, bool lent,
                                     const char *what)
{
    struct memory_block *block = NULL;
    if (extent->handle - 1 < memory->block_count) {
        block = memory->blocks[extent->handle - 1];
    }
    if (!block || block->data != extent->data || block->length != extent->length || block->lent != lent) {
        verdict_fail(memory->verdict, "%s: %s of an extent that is not there (%u bytes, handle %llu)", memory->name,
                     what, extent->length, (unsigned long long)extent->handle);
        return NULL;
    }
    if (memcmp(block->data + block->length, &canary, sizeof canary) != 0) {
        verdict_fail(memory->verdict, "%s: the transport wrote behind an extent of %u bytes", memory->name,
                     extent->length);
    }
    return block;
}

static void block_free(struct memory *memory, uint64_t handle)
{
    struct memory_block *block = memory->blocks[handle - 1];
    memory->used -= block->charge;
    memory->blocks[handle - 1] = NULL;
    free(block);
}

void memory_abandon(struct memory *memory, const struct transport_extent *extent)
{
    if (block_of(memory, extent, false, "abandon")) {
        memory->with_transport--;
        block_free(memory, extent->handle);
    }
}

bool memory_deliver(struct memory *memory, const struct transport_extent *extent)
{
    struct memory_block *block = block_of(memory, extent, false, "delivery");
    if (block) {
        memory->with_transport--;
        memory->lent++;
        block->lent = true;
    }
    return block != NULL;
}

void memory_release(struct memory *memory, const struct transport_extent *extent)
{
    if (block_of(memory, extent, true, "release")) {
        memory->lent--;
        block_free(memory, extent->handle);
    }
}
