/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <machnet/machnet.h>

static void check_text(const char *text, const char *expected)
{
    machnet_address address;
    char again[MACHNET_ADDRESS_TEXT_MAX];
    cr_assert_eq(machnet_address_parse(text, &address), MACHNET_OK, "%s", text);
    cr_assert_eq(machnet_address_format(&address, again, sizeof again), MACHNET_OK);
    cr_assert_str_eq(again, expected);
    cr_assert(address.reserved16 == 0 && address.reserved32 == 0 && address.reserved64 == 0);
}

Test(address_parse, good)
{
    check_text("10.0.0.2:7000", "10.0.0.2:7000");
    check_text("255.255.255.255:65535", "255.255.255.255:65535");
    check_text("1.2.3.4:0", "1.2.3.4:0");
    check_text("1.2.3.4:00080", "1.2.3.4:80");
    check_text("[fd00::2]:7000", "[fd00::2]:7000");
    check_text("[FD00:0:0::2]:7000", "[fd00::2]:7000");
    check_text("[::1]:1", "[::1]:1");
    check_text("[::ffff:1.2.3.4]:5", "1.2.3.4:5");
    check_text("[::]:7000", ":7000");
    check_text("0.0.0.0:7000", ":7000");
    check_text(":7000", ":7000");
    check_text("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535",
               "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

Test(address_parse, bytes)
{
    const uint8_t v4[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2};
    machnet_address address;
    machnet_address_parse("10.0.0.2:513", &address);
    cr_assert_arr_eq(address.ip, v4, 16);
    cr_assert_eq(address.port, 513);
}

Test(address_parse, bad)
{
    static const char *const bad[] = {
        "",
        ":",
        "1.2.3.4",
        "1.2.3.4:",
        "1.2.3.4:x",
        "1.2.3.4:7x",
        "1.2.3.4:-1",
        "1.2.3.4:+1",
        "1.2.3.4: 1",
        "1.2.3.4:65536",
        "1.2.3.4:000080",
        "1.2.3.4:99999",
        "1.2.3:80",
        "1.2.3.4.5:80",
        "1.2.3.256:80",
        "01.2.3.4:80",
        " 1.2.3.4:80",
        "1.2.3.4 :80",
        "1.2.3.4:80 ",
        "fd00::2:7000",
        "fd00::2",
        "[fd00::2]",
        "[fd00::2]7000",
        "[fd00::2",
        "fd00::2]:7000",
        "[]:7000",
        "[1.2.3.4]:7000",
        "[fd00::2]]:7000",
        "[[fd00::2]:7000",
        "[fd00::2%eth0]:7000",
        "[fd00:::2]:7000",
        "[g::]:1",
        "localhost:7000",
        "*:7000",
        "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555]:1",
        "1111111111111111111111111111111111111111111111111111111:1",
        "\xff:1",
        ":\xff",
        "::7000",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        machnet_address address, before;
        memset(&address, 0x5a, sizeof address);
        before = address;
        cr_assert_eq(machnet_address_parse(bad[i], &address), MACHNET_EINVAL, "'%s'", bad[i]);
        cr_assert_arr_eq(&address, &before, sizeof address, "'%s' changed the address", bad[i]);
    }
}

Test(address_parse, every_port)
{
    for (uint32_t port = 0; port <= 70000; port++) {
        char text[32];
        machnet_address address;
        snprintf(text, sizeof text, ":%u", port);
        int32_t status = machnet_address_parse(text, &address);
        cr_assert_eq(status, port <= 65535 ? MACHNET_OK : MACHNET_EINVAL);
        cr_assert(status < 0 || address.port == port);
    }
}

Test(address_parse, null)
{
    machnet_address address;
    cr_assert_eq(machnet_address_parse(NULL, &address), MACHNET_EINVAL);
    cr_assert_eq(machnet_address_parse(":1", NULL), MACHNET_EINVAL);
}

Test(address_format, every_capacity)
{
    static const char expected[] = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
    machnet_address address = {.port = 65535};
    memset(address.ip, 0xff, sizeof address.ip);
    for (size_t capacity = 0; capacity <= MACHNET_ADDRESS_TEXT_MAX; capacity++) {
        char text[MACHNET_ADDRESS_TEXT_MAX + 1];
        memset(text, '#', sizeof text);
        int32_t status = machnet_address_format(&address, text, capacity);
        cr_assert_eq(status, capacity >= sizeof expected ? MACHNET_OK : MACHNET_EMSGSIZE);
        cr_assert_eq(text[capacity], '#');
        cr_assert(status < 0 || strcmp(text, expected) == 0);
    }
    cr_assert_eq(machnet_address_format(NULL, NULL, 0), MACHNET_EINVAL);
}

Test(address, round_trip_of_random_bytes)
{
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        machnet_address address = {0}, again;
        char text[MACHNET_ADDRESS_TEXT_MAX];
        for (int j = 0; j < 18; j++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            uint8_t byte = (state >> 33) % 3 == 0 ? 0 : (uint8_t)(state >> 40);
            if (j < 16)
                address.ip[j] = byte;
            else
                address.port = (uint16_t)(address.port << 8 | byte);
        }
        cr_assert_eq(machnet_address_format(&address, text, sizeof text), MACHNET_OK);
        cr_assert_eq(machnet_address_parse(text, &again), MACHNET_OK, "%s", text);
        cr_assert_arr_eq(&address, &again, sizeof address, "%s", text);
    }
}
