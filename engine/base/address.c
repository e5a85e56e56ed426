/* SPDX-License-Identifier: MIT */
#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>

bool address_parse_ip(const char *text, struct endpoint *ip)
{
    struct endpoint parsed = {.ip = {[10] = 0xff, [11] = 0xff}};
    if (inet_pton(AF_INET, text, parsed.ip + 12) != 1 && inet_pton(AF_INET6, text, parsed.ip) != 1)
        return false;
    *ip = parsed;
    return true;
}

bool address_parse_ipv4(const char *text, uint32_t *ip)
{
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) != 1)
        return false;
    *ip = ntohl(address.s_addr);
    return true;
}

/* One or two digits, or three: a number up to `max`, and nothing else. */
static bool parse_small(const char *text, uint8_t max, uint8_t *number)
{
    unsigned value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || text[digits] != '\0')
        return false;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (unsigned)(text[i] - '0');
    *number = (uint8_t)value;
    return value <= max;
}

bool address_parse_prefix(const char *text, struct endpoint *ip, uint8_t *length)
{
    char address[ADDRESS_TEXT_BYTES];
    size_t bytes = strcspn(text, "/");
    if (bytes >= sizeof address)
        return false;
    memcpy(address, text, bytes);
    address[bytes] = '\0';
    if (!address_parse_ip(address, ip))
        return false;
    *length = endpoint_is_ipv4(ip) ? 32 : 128;
    return text[bytes] == '\0' || parse_small(text + bytes + 1, *length, length);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 'a' ^ 'A';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool address_parse_mac(const char *text, uint8_t mac[6])
{
    uint8_t parsed[6];
    for (int i = 0; i < 6; i++, text += 3) {
        int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0 || text[2] != (i < 5 ? ':' : '\0'))
            return false;
        parsed[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(mac, parsed, sizeof parsed);
    return true;
}

const char *address_format_ip(const struct endpoint *ip, char text[ADDRESS_TEXT_BYTES])
{
    bool ipv4 = endpoint_is_ipv4(ip);
    (void)inet_ntop(ipv4 ? AF_INET : AF_INET6, ipv4 ? ip->ip + 12 : ip->ip, text, ADDRESS_TEXT_BYTES);
    return text;
}

const char *address_format(const struct endpoint *endpoint, char text[ADDRESS_TEXT_BYTES])
{
    char ip[ADDRESS_TEXT_BYTES];
    address_format_ip(endpoint, ip);
    bool ipv4 = endpoint_is_ipv4(endpoint);
    (void)snprintf(text, ADDRESS_TEXT_BYTES, "%s%.45s%s:%u", ipv4 ? "" : "[", ip, ipv4 ? "" : "]", endpoint->port);
    return text;
}

bool address_is_usable(const struct endpoint *ip)
{
    if (endpoint_is_ipv4(ip))
        return ip->ip[12] != 0 && ip->ip[12] < 224;
    bool link_local = ip->ip[0] == 0xfe && (ip->ip[1] & 0xc0) == 0x80;
    return !endpoint_ip_is_any(ip) && ip->ip[0] != 0xff && !link_local;
}
