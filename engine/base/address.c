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
