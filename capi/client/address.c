/* SPDX-License-Identifier: MIT */
#include "client/address.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const uint8_t ipv4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool mn_address_is_sound(const machnet_address *address)
{
    return address->reserved16 == 0 && address->reserved32 == 0 && address->reserved64 == 0;
}

bool mn_address_is_any(const machnet_address *address)
{
    static const uint8_t any[16];
    const uint8_t *ipv4 = address->ip + sizeof ipv4_prefix;

    return memcmp(address->ip, any, sizeof any) == 0 ||
           (memcmp(address->ip, ipv4_prefix, sizeof ipv4_prefix) == 0 && memcmp(ipv4, any, 4) == 0);
}

/* Decimal digits only, 0 .. 65535, no sign, at most five digits. */
static bool parse_port(const char *text, uint16_t *port)
{
    uint32_t value = 0;
    size_t digits = 0;

    for (; text[digits]; digits++) {
        if (text[digits] < '0' || text[digits] > '9' || digits == 5)
            return false;
        value = value * 10 + (uint32_t)(text[digits] - '0');
    }
    *port = (uint16_t)value;
    return digits > 0 && value <= UINT16_MAX;
}

static bool parse_ip(const char *text, size_t length, int family, uint8_t ip[16])
{
    char copy[INET6_ADDRSTRLEN];

    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (family == AF_INET6)
        return inet_pton(AF_INET6, copy, ip) == 1;
    memcpy(ip, ipv4_prefix, sizeof ipv4_prefix);
    return inet_pton(AF_INET, copy, ip + sizeof ipv4_prefix) == 1;
}

int32_t machnet_address_parse(const char *text, machnet_address *address)
{
    if (!text || !address)
        return MACHNET_EINVAL;
    machnet_address parsed;
    memset(&parsed, 0, sizeof parsed);

    const char *colon = strrchr(text, ':');
    if (!colon || !parse_port(colon + 1, &parsed.port))
        return MACHNET_EINVAL;
    size_t length = (size_t)(colon - text);
    if (length > 0) {
        bool bracketed = text[0] == '[' && text[length - 1] == ']' && length > 2;
        if (bracketed ? !parse_ip(text + 1, length - 2, AF_INET6, parsed.ip)
                      : !parse_ip(text, length, AF_INET, parsed.ip))
            return MACHNET_EINVAL;
    }
    if (mn_address_is_any(&parsed))
        memset(parsed.ip, 0, sizeof parsed.ip);
    *address = parsed;
    return MACHNET_OK;
}

int32_t machnet_address_format(const machnet_address *address, char *text, uint64_t capacity)
{
    char ip[INET6_ADDRSTRLEN], whole[MACHNET_ADDRESS_TEXT_MAX];
    int length;

    if (!address || !text || !mn_address_is_sound(address))
        return MACHNET_EINVAL;
    if (mn_address_is_any(address)) {
        length = snprintf(whole, sizeof whole, ":%u", address->port);
    } else if (memcmp(address->ip, ipv4_prefix, sizeof ipv4_prefix) == 0) {
        inet_ntop(AF_INET, address->ip + sizeof ipv4_prefix, ip, sizeof ip);
        length = snprintf(whole, sizeof whole, "%s:%u", ip, address->port);
    } else {
        inet_ntop(AF_INET6, address->ip, ip, sizeof ip);
        length = snprintf(whole, sizeof whole, "[%s]:%u", ip, address->port);
    }
    if (length < 0 || (uint64_t)length >= capacity)
        return MACHNET_EMSGSIZE;
    memcpy(text, whole, (size_t)length + 1);
    return MACHNET_OK;
}
