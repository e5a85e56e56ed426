/* SPDX-License-Identifier: MIT */
/* What the engine may touch of the receive arena: under AddressSanitizer what is allocated, and nothing else. */
#include <criterion/criterion.h>

#include "channel/poison.h"
#include "support/engine_bench.h"

static const uint64_t token = UINT64_C(1) << 32;
static struct bench bench;
static struct bench_client sender, reader;

static void setup(void)
{
    bench_open(&bench);
    bench_attach(&bench, &sender, 64 << 20, 8);
    bench_attach(&bench, &reader, 64 << 20, 8);
    bench_listen(&reader);
    bench_connect(&sender, token, &reader);
}

static void teardown(void)
{
    bench_close(&bench);
}

TestSuite(channel_poison, .init = setup, .fini = teardown);

static bool is_poisoned(const uint8_t *byte)
{
#ifdef MN_POISONS
    return __asan_address_is_poisoned(byte);
#else
    (void)byte;
    return false;
#endif
}

static void check_message(uint32_t length)
{
    static uint64_t cookie;
    bench_send(&sender, token, 0, length, 0, ++cookie);
    bench_run(&bench, 10000000);
    struct mn_delivery message = bench_expect(&reader, MN_OP_MESSAGE);
    const uint8_t *bytes = (const uint8_t *)reader.memory.regions[message.region].base + message.offset;
    cr_assert_not(is_poisoned(bytes));
    cr_assert_not(is_poisoned(bytes + length - 1));
    cr_assert(is_poisoned(bytes + length), "behind %u bytes", length);
    bench_release(&reader, message.lease);
    bench_run(&bench, 10000000);
    cr_assert(is_poisoned(bytes), "%u bytes after they were given back", length);
    cr_assert(is_poisoned(bytes + length - 1));
}

Test(channel_poison, what_is_not_allocated_is_poisoned)
{
    if (MN_GUARD_BYTES == 0)
        cr_skip("not built with AddressSanitizer");
    cr_assert(is_poisoned(reader.memory.regions[2].base));
    check_message(1);
    check_message(63);
    check_message(8191);
    check_message(100000);
}
