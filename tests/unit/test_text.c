/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "base/prng.h"
#include "base/text.h"

#define expect_copy(from, wanted)                 \
    do {                                          \
        char to[64];                              \
        text_copy_printable(to, sizeof to, from); \
        cr_expect_str_eq(to, wanted);             \
    } while (0)

Test(text_copy_printable, keeps_what_people_write)
{
    expect_copy("", "");
    expect_copy("redis-server --port 6379 ~\\", "redis-server --port 6379 ~\\");
    expect_copy("größe", "größe");
    expect_copy("сервер", "сервер");
    expect_copy("注文 取引", "注文 取引");
    expect_copy("\U0001f680 \U0001f469\u200d\U0001f680", "\U0001f680 \U0001f469\u200d\U0001f680");
    expect_copy("\U0010ffff\u00a0\ue000\ud7ff", "\U0010ffff\u00a0\ue000\ud7ff");
}

Test(text_copy_printable, replaces_what_a_terminal_obeys)
{
    expect_copy("a\x1b[31mb\a\n\r\t\x7f", "a?[31mb?????");
    expect_copy("\xc2\x80\xc2\x9b[\xc2\x9f\u00a0", "??[?\u00a0");
    expect_copy("\u2028\u2029x\u202eexe.txt\u202c\u2066\u2069\u200e\u200f\u061c", "??x?exe.txt??????");
}

Test(text_copy_printable, replaces_what_is_not_utf_8)
{
    expect_copy("\x80x", "?x");
    expect_copy("\xc3(x", "?(x");
    expect_copy("gr\xf6\xdf.", "gr??."); /* Latin-1 */
    expect_copy("\xe4\xbd.", "??.");
    expect_copy("\xc0\xafx", "??x");           /* '/', longer than needed */
    expect_copy("\xe0\x9f\xbfx", "???x");      /* U+07FF, the same */
    expect_copy("\xf0\x8f\xbf\xbfx", "????x"); /* U+FFFF, the same */
    expect_copy("\xed\xa0\x80x", "???x");      /* half of a pair */
    expect_copy("\xed\xbf\xbfx", "???x");      /* the other half */
    expect_copy("\xf4\x90\x80\x80x", "????x"); /* beyond the last */
    expect_copy("\xf5\x80\x80\x80\xff", "?????");
}

Test(text_copy_printable, leaves_out_what_is_cut_off_at_the_end)
{
    expect_copy("a\xc3", "a");
    expect_copy("a\xe4\xbd", "a");
    expect_copy("a\xf0\x9f\x9a", "a");
    expect_copy("\xf0", "");
}

Test(text_copy_printable, keeps_to_the_room)
{
    char to[8];
    for (size_t capacity = 1; capacity <= sizeof to; capacity++) {
        memset(to, 'x', sizeof to);
        text_copy_printable(to, capacity, "aöb\U0001f680");
        static const char *const wanted[] = {"", "a", "a", "aö", "aöb", "aöb", "aöb", "aöb"};
        cr_expect_str_eq(to, wanted[capacity - 1], "%zu: %s", capacity, to);
        for (size_t i = capacity; i < sizeof to; i++)
            cr_expect_eq(to[i], 'x', "beyond %zu", capacity);
    }
    text_copy_printable(to, sizeof to, "aaa\U0001f680");
    cr_expect_str_eq(to, "aaa\U0001f680");
}

/* Whatever comes in, another's decoder takes what goes out. */
Test(text_copy_printable, is_utf_8_after_random_bytes)
{
    enum { ROUNDS = 200000 };
    struct prng prng;
    prng_init(&prng, 1);
    for (int round = 0; round < ROUNDS; round++) {
        char from[32], to[32];
        static const uint8_t likely[] = {0xc2, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0x80,
                                         0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0x1b, 'a'};
        for (size_t i = 0; i < sizeof from; i++) {
            uint64_t random = prng_next(&prng);
            from[i] = (char)(random % 4 == 0 ? random >> 8 : likely[(random >> 8) % sizeof likely]);
        }
        from[sizeof from - 1] = '\0';
        text_copy_printable(to, sizeof to, from);
        json_t *json = json_string(to);
        cr_assert_not_null(json, "round %d", round);
        json_decref(json);
        cr_assert(strpbrk(to, "\x1b\x7f") == NULL);
    }
}
