/* SPDX-License-Identifier: MIT */
/*
 * SipHash (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): keyed hashes that outsiders cannot predict.
 */
#ifndef MACHNET_ENGINE_BASE_SIPHASH_H
#define MACHNET_ENGINE_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
    uint64_t k0, k1;
};

/* SipHash-2-4: for what outsiders get to see, and must not be able to forge. */
uint64_t siphash(const struct siphash_key *key, const void *data, size_t length);
/* SipHash-1-3: for places in hash tables, which nobody sees; half the time. */
uint64_t siphash_place(const struct siphash_key *key, const void *data, size_t length);

#endif /* MACHNET_ENGINE_BASE_SIPHASH_H */
