/* SPDX-License-Identifier: MIT */
/*
 * The implementations behind wire_crc32c(), which picks one at its first call; seen from here so
 * that tests can compare them. All take and return the CRC register itself, without the inversion
 * before and after that CRC32C prescribes.
 */
#ifndef MACHNET_ENGINE_WIRE_CRC32C_H
#define MACHNET_ENGINE_WIRE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

typedef uint32_t crc32c_function(uint32_t crc, const uint8_t *data, size_t length);

/* Eight tables, eight bytes at a time: everywhere. */
uint32_t crc32c_portable(uint32_t crc, const uint8_t *data, size_t length);

/* The processor's own instruction; NULL if this processor or this build has none. */
crc32c_function *crc32c_hardware(void);

#endif /* MACHNET_ENGINE_WIRE_CRC32C_H */
