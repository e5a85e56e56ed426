/* SPDX-License-Identifier: MIT */
#include "flow/mtu.h"

#include <assert.h>
#include <stddef.h>

enum {
    PROBES_MAX = 3,  /* that are lost before a size counts as too big: MAX_PROBES of RFC 8899, section 5.1.2 */
    LOSSES_MAX = 3,  /* in a row before a black hole is believed */
    RESOLUTION = 16, /* a search ends so near */
};

#define PAUSE_MIN UINT64_C(50000000)
#define PAUSE_MAX UINT64_C(600000000000) /* PMTU_RAISE_TIMER of RFC 8899 */

static uint64_t longer(uint64_t pause)
{
    return 2 * pause < PAUSE_MAX ? 2 * pause : PAUSE_MAX;
}

/* A search begins at its upper end: mostly all of the path is as wide as its ends, or none of it. */
static void search(struct mtu *mtu, uint16_t top, uint64_t at)
{
    mtu->size = top;
    mtu->too_big = (uint16_t)(top + 1);
    mtu->failures = 0;
    mtu->prober = NULL;
    mtu->next_at = top > mtu->payload ? at : UINT64_MAX;
}

static void search_later(struct mtu *mtu, uint64_t now)
{
    search(mtu, mtu->ceiling, now + mtu->pause);
    mtu->pause = longer(mtu->pause);
}

/* The next size between what passes and what does not. */
static void bisect(struct mtu *mtu, uint64_t now)
{
    assert(mtu->too_big > mtu->payload);
    mtu->prober = NULL;
    mtu->failures = 0;
    if (mtu->payload >= mtu->ceiling) {
        mtu->next_at = UINT64_MAX;
    } else if (mtu->too_big - mtu->payload <= RESOLUTION) {
        search_later(mtu, now);
    } else {
        mtu->size = (uint16_t)((mtu->payload + mtu->too_big) / 2);
        mtu->next_at = now;
    }
}

/* Losses from before do not count. */
static void set_payload(struct mtu *mtu, uint16_t payload, uint64_t now)
{
    mtu->payload = payload;
    mtu->lost = 0;
    mtu->lost_at = now;
}

void mtu_init(struct mtu *mtu, uint32_t ceiling, uint32_t trusted)
{
    assert(ceiling >= MTU_MIN && ceiling < UINT16_MAX && trusted >= MTU_MIN);
    *mtu = (struct mtu){.pause = PAUSE_MIN, .ceiling = (uint16_t)ceiling};
    set_payload(mtu, (uint16_t)(trusted < ceiling ? trusted : ceiling), 0);
    mtu->proven = mtu->payload;
    search(mtu, mtu->ceiling, 0);
}

void mtu_allow(struct mtu *mtu, uint32_t ceiling)
{
    assert(ceiling < UINT16_MAX);
    if (ceiling > mtu->ceiling) {
        mtu->ceiling = (uint16_t)ceiling;
        search(mtu, mtu->ceiling, 0);
    }
}

void mtu_probe_sent(struct mtu *mtu, const void *prober, uint64_t number, uint64_t now, uint64_t patience)
{
    mtu->prober = prober;
    mtu->number = number;
    mtu->sent_at = now;
    mtu->next_at = now + patience;
}

void mtu_probe_acknowledged(struct mtu *mtu, uint64_t now)
{
    if (mtu->size > mtu->payload) {
        set_payload(mtu, mtu->size, now);
        mtu->proven = MTU_MIN;
    }
    bisect(mtu, now);
}

void mtu_probe_lost(struct mtu *mtu, uint64_t now)
{
    mtu->prober = NULL;
    mtu->next_at = now;
    if (++mtu->failures >= PROBES_MAX) {
        mtu->too_big = mtu->size;
        bisect(mtu, now);
    }
}

void mtu_forget(struct mtu *mtu, const void *prober)
{
    if (mtu->prober == prober) {
        mtu->prober = NULL;
    }
}

void mtu_delivered(struct mtu *mtu, uint32_t length, uint64_t sent)
{
    if (length > mtu->proven) {
        mtu->proven = (uint16_t)length;
    }
    if (mtu->lost == 0) {
        return;
    }
    if (length >= mtu->lost_length) {
        mtu->lost = 0;
    } else if (sent >= mtu->lost_at) {
        mtu->smaller_pass = true;
    }
}

void mtu_lost(struct mtu *mtu, uint32_t length, uint64_t sent, uint64_t now)
{
    if (length <= MTU_MIN || length > mtu->payload) {
        return;
    }
    if (mtu->lost > 0 && length < mtu->lost_length) {
        mtu->lost_length = (uint16_t)length;
    }
    if (sent < mtu->lost_at) {
        return; /* it was lost with those that are counted */
    }
    if (mtu->lost == 0) {
        mtu->lost_length = (uint16_t)length;
        mtu->smaller_pass = false;
    }
    mtu->lost = (uint8_t)(mtu->lost < LOSSES_MAX ? mtu->lost + 1 : LOSSES_MAX);
    mtu->lost_at = now;
}

/* It may have been a burst of losses, or a peer that slept: so the first probe, which is due at once, has the size that was in use. But where probes
 * had passed and messages never did, that would go on for ever. */
bool mtu_judge(struct mtu *mtu, uint64_t now)
{
    if (mtu->lost < LOSSES_MAX || !mtu->smaller_pass) {
        return false;
    }
    const uint16_t before = mtu->payload;
    const bool worked = mtu->proven >= mtu->lost_length;
    set_payload(mtu, MTU_MIN, now);
    if (worked) {
        mtu->pause = PAUSE_MIN;
        search(mtu, before, now);
    } else {
        search_later(mtu, now);
    }
    return true;
}

void mtu_too_long(struct mtu *mtu, uint32_t limit, uint64_t now)
{
    const uint16_t most = (uint16_t)(limit < MTU_MIN ? MTU_MIN : limit < mtu->ceiling ? limit : mtu->ceiling);
    if (most < mtu->payload) {
        set_payload(mtu, most, now);
        mtu->pause = PAUSE_MIN;
        search_later(mtu, now);
    } else if (mtu->prober && mtu->size > most) {
        mtu->too_big = (uint16_t)(most + 1);
        mtu->failures = 0;
        mtu->prober = NULL;
        mtu->size = most;
        mtu->next_at = now;
        if (most == mtu->payload) {
            search_later(mtu, now);
        }
    }
}
