/* SPDX-License-Identifier: MIT */
/*
 * What one worker hears of the epoch of another engine, told to the other workers of this one, which may have flows with it: so each need
 * not wait for a PROBE of its own. What is told is a claim, as an INIT is one: whoever hears it asks, and believes the answer alone.
 */
#include "flow/flow.h"

#include <string.h>

#define TELL_AGAIN MILLISECONDS(1000)
#define UNPROVEN_INTERVAL MILLISECONDS(1) /* an INIT may be anybody's: other workers hear of no more than so many */
#define UNPROVEN_BURST (CLAIMS_MAX / 2)   /* and never leave those without room that are proven */

/* The place that remembers who was told what; the same claim has always the same. */
static struct claim_told *told_of(struct transport *transport, const struct transport_claim *claim, uint64_t *hash)
{
    struct {
        uint8_t local[16], remote[16];
        uint64_t epoch;
    } input;
    memcpy(input.local, claim->local.ip, sizeof input.local);
    memcpy(input.remote, claim->remote.ip, sizeof input.remote);
    input.epoch = claim->epoch;
    *hash = siphash(&transport->key, &input, sizeof input);
    return &transport->claims.told[*hash % CLAIMS_TOLD];
}

void claim_tell(struct transport *transport, const struct peer_key *peer, uint64_t epoch, bool proven, uint64_t now)
{
    struct claims *claims = &transport->claims;
    const struct transport_claim claim = {.local = peer->local, .remote = peer->remote, .epoch = epoch};
    uint64_t hash;
    struct claim_told *told = told_of(transport, &claim, &hash);
    if (epoch == transport->config.epoch || (told->hash == hash && now - told->at < TELL_AGAIN)) {
        return;
    }
    if (claims->count == CLAIMS_MAX ||
        (!proven && !rate_take(&claims->unproven, now, UNPROVEN_INTERVAL, UNPROVEN_BURST))) {
        return;
    }
    *told = (struct claim_told){.hash = hash, .at = now};
    claims->waiting[claims->count++] = claim;
}

bool transport_take_claim(struct transport *transport, struct transport_claim *claim)
{
    struct claims *claims = &transport->claims;
    if (claims->count == 0) {
        return false;
    }
    *claim = claims->waiting[--claims->count];
    return true;
}
