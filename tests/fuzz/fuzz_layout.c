/* SPDX-License-Identifier: MIT */
/*
 * A client that is given a header: what mn_layout_check lets through has rings that lie apart and inside the mapping.
 * Input: u16 the mapping's size in lines (0: as planned), then patches of a good header: u8 word, u32 value.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "channel/layout.h"
#include "channel/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATCH_BYTES = 5, CONSTANT_WORDS = 128 / 4, LINES_MAX = 2048, OWNERS = 8192 };

static void use_ring(void *base, const struct mn_ring_place *place)
{
    struct mn_ring producer, consumer;
    mn_ring_bind_producer(&producer, base, place);
    mn_ring_bind_consumer(&consumer, base, place);
    for (uint32_t i = 0; i < place->capacity; i++)
        memset(mn_ring_entry(&producer, i), 0xff, place->entry_bytes);
    mn_ring_advance(&producer, place->capacity);
    mn_ring_publish(&producer);
    assert(mn_ring_ready(&consumer) == place->capacity);
}

static void check_places(void *base, uint64_t bytes, const struct mn_header *header)
{
    static uint8_t owner[OWNERS];
    memset(owner, 0, sizeof(owner));
    assert(bytes <= sizeof(owner) * MN_LINE);
    for (int i = 0; i < MN_RING_COUNT; i++) {
        const struct mn_ring_place *place = &header->rings[i];
        uint64_t end = place->offset + UINT64_C(4) * MN_LINE + (uint64_t)place->capacity * place->entry_bytes;
        assert(place->offset >= MN_HEADER_BYTES && end <= bytes);
        for (uint64_t line = place->offset / MN_LINE; line < (end + MN_LINE - 1) / MN_LINE; line++)
            assert(owner[line]++ == 0);
        use_ring(base, place);
    }
}

/* Zeroed memory of the mapping's very size, so that the address sanitizer sees each byte beyond; good until the next call. */
static void *mapping_of(uint64_t bytes)
{
    static void *base;
    static uint64_t base_bytes;
    if (base_bytes != bytes) {
        free(base);
        base = aligned_alloc(MN_LINE, bytes);
        base_bytes = bytes;
    }
    assert(base != NULL);
    memset(base, 0, bytes);
    return base;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mn_ring_place rings[MN_RING_COUNT];
    struct mn_header header = {0}, copy;
    uint64_t bytes;
    uint16_t lines = 0;
    bool patched = false;
    mn_layout_plan(rings, &bytes);
    if (size >= 2)
        memcpy(&lines, data, 2);
    lines %= LINES_MAX;
    if (lines != 0)
        bytes = (uint64_t)lines * MN_LINE;
    mn_layout_write(&header, MN_LAYOUT_VERSION, rings, bytes, 0);
    for (size_t at = 2; at + PATCH_BYTES <= size; at += PATCH_BYTES) {
        memcpy((uint8_t *)&header + data[at] % CONSTANT_WORDS * 4, data + at + 1, 4);
        patched = true;
    }
    void *base = mapping_of(bytes);
    memcpy(base, &header, bytes < sizeof(header) ? bytes : sizeof(header));
    int result = mn_layout_check(base, bytes, &copy);
    assert(result == 0 || result == -1);
    assert(result == 0 || patched || lines != 0);
    if (result == 0)
        check_places(base, bytes, &copy);
    return 0;
}
