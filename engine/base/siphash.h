/* SPDX-License-Identifier: MIT */
/* SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): a keyed hash that outsiders cannot predict. */
#ifndef MACHNET_ENGINE_BASE_SIPHASH_H
#define MACHNET_ENGINE_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
    uint64_t k0, k1;
};

uint64_t siphash(const struct siphash_key *key, const void *data, size_t length);

#endif /* MACHNET_ENGINE_BASE_SIPHASH_H */
