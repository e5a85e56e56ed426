/* SPDX-License-Identifier: MIT */
#include "flow/pacing.h"

#include "flow/state.h"

static uint64_t slot_of(uint64_t time)
{
    return time >> PACING_SLOT_BITS;
}

/* Rounded up: nobody is given back before their time, but for those that wait beyond the wheel. */
void pacing_add(struct pacing *pacing, struct flow *flow, uint64_t at, uint64_t now)
{
    if (pacing->count == 0) {
        pacing->first = slot_of(now) + 1;
    }
    uint64_t slot = max_u64(slot_of(at + (1 << PACING_SLOT_BITS) - 1), pacing->first);
    slot = min_u64(slot, pacing->first + PACING_SLOTS - 1) % PACING_SLOTS;
    flow->slot = (uint16_t)slot;
    flow->paced = true;
    DL_APPEND2(pacing->slots[slot], flow, transmit_prev, transmit_next);
    pacing->occupied[slot / 64] |= UINT64_C(1) << slot % 64;
    pacing->count++;
}

void pacing_remove(struct pacing *pacing, struct flow *flow)
{
    DL_DELETE2(pacing->slots[flow->slot], flow, transmit_prev, transmit_next);
    if (!pacing->slots[flow->slot]) {
        pacing->occupied[flow->slot / 64] &= ~(UINT64_C(1) << flow->slot % 64);
    }
    flow->paced = false;
    pacing->count--;
}

/* The number of the first occupied slot; there is one. */
static uint64_t first_occupied(const struct pacing *pacing)
{
    uint64_t slot = pacing->first;
    uint64_t word = pacing->occupied[slot % PACING_SLOTS / 64] >> slot % 64;
    while (word == 0) {
        slot = (slot | 63) + 1;
        word = pacing->occupied[slot % PACING_SLOTS / 64];
    }
    return slot + (uint64_t)__builtin_ctzll(word);
}

uint64_t pacing_next(const struct pacing *pacing)
{
    return pacing->count == 0 ? NEVER : first_occupied(pacing) << PACING_SLOT_BITS;
}

struct flow *pacing_take(struct pacing *pacing, uint64_t now)
{
    if (pacing->count == 0) {
        return NULL;
    }
    const uint64_t slot = first_occupied(pacing);
    pacing->first = min_u64(slot, max_u64(slot_of(now) + 1, pacing->first));
    if (slot > slot_of(now)) {
        return NULL;
    }
    struct flow *flow = pacing->slots[slot % PACING_SLOTS];
    pacing_remove(pacing, flow);
    return flow;
}
