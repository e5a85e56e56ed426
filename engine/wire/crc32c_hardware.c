/* SPDX-License-Identifier: MIT */
#include "crc32c.h"

#include <string.h>

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("sse4.2,pclmul")))

static inline uint64_t load_u64(const uint8_t *data)
{
    uint64_t word;

    memcpy(&word, data, sizeof(word));
    return word;
}

/*
 * The instruction takes one word per cycle but answers three cycles later, so three lanes run side
 * by side through a block. The first two lanes' registers are then moved forward over what lies
 * behind them: a product with x^(8 * distance - 33) mod P, reduced by one more CRC step (which
 * multiplies by x^32, the reflected product by x).
 */
struct lanes {
    size_t bytes;   /* of one lane; a block is three */
    uint32_t over2; /* x^(16 * bytes - 33) mod P */
    uint32_t over1; /* x^(8 * bytes - 33) mod P */
};
static const struct lanes lane_sizes[] = {
    {1024, 0xa51b6135, 0x170076fa},
    {256, 0xdd7e3b0c, 0xb9e02b86},
    {64, 0x0d3b6092, 0x9e4addf8},
};

TARGET static inline uint64_t product(uint32_t a, uint32_t b)
{
    __m128i wide = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)a), _mm_cvtsi32_si128((int)b), 0);

    return (uint64_t)_mm_cvtsi128_si64(wide);
}

TARGET static inline uint32_t block(uint32_t crc, const uint8_t *data, const struct lanes *lanes)
{
    size_t bytes = lanes->bytes;
    uint64_t first = crc;
    uint64_t second = 0;
    uint64_t third = 0;

    for (const uint8_t *end = data + bytes; data < end; data += 8) {
        first = _mm_crc32_u64(first, load_u64(data));
        second = _mm_crc32_u64(second, load_u64(data + bytes));
        third = _mm_crc32_u64(third, load_u64(data + 2 * bytes));
    }
    first = product((uint32_t)first, lanes->over2);
    second = product((uint32_t)second, lanes->over1);
    return (uint32_t)(_mm_crc32_u64(0, first ^ second) ^ third);
}

TARGET static uint32_t hardware(uint32_t crc, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < sizeof(lane_sizes) / sizeof(lane_sizes[0]); i++) {
        size_t bytes = 3 * lane_sizes[i].bytes;

        for (; length >= bytes; data += bytes, length -= bytes) {
            crc = block(crc, data, &lane_sizes[i]);
        }
    }
    for (; length >= 8; data += 8, length -= 8) {
        crc = (uint32_t)_mm_crc32_u64(crc, load_u64(data));
    }
    for (; length > 0; data++, length--) {
        crc = _mm_crc32_u8(crc, *data);
    }
    return crc;
}

crc32c_function *crc32c_hardware(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("pclmul")) {
        return NULL;
    }
    return hardware;
}

#elif defined(__ARM_FEATURE_CRC32) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#include <arm_acle.h>

/* One lane: a portable AArch64 build cannot count on the carry-less product that joins lanes. */
static uint32_t hardware(uint32_t crc, const uint8_t *data, size_t length)
{
    for (; length >= 8; data += 8, length -= 8) {
        uint64_t word;

        memcpy(&word, data, sizeof(word));
        crc = __crc32cd(crc, word);
    }
    for (; length > 0; data++, length--) {
        crc = __crc32cb(crc, *data);
    }
    return crc;
}

crc32c_function *crc32c_hardware(void)
{
    return hardware;
}

#else

crc32c_function *crc32c_hardware(void)
{
    return NULL;
}

#endif
