/* SPDX-License-Identifier: MIT */
/* IP addresses as text: the one place of the engine that reads and writes them. */
#ifndef MACHNET_ENGINE_BASE_ADDRESS_H
#define MACHNET_ENGINE_BASE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"

enum { ADDRESS_TEXT_BYTES = 64 };

/* Reads "10.0.0.2" or "fd00::2" into ip, with port 0. False if the text is neither. */
bool address_parse_ip(const char *text, struct endpoint *ip);

/* Reads an IPv4 address into `ip`, in host order. */
bool address_parse_ipv4(const char *text, uint32_t *ip);

/* Reads "10.0.0.2/24" into ip and length. Without a length it is that of one address (32, IPv6: 128). */
bool address_parse_prefix(const char *text, struct endpoint *ip, uint8_t *length);

/* Reads "02:00:00:00:00:01". */
bool address_parse_mac(const char *text, uint8_t mac[6]);

/* Write the address, with and without its port ("10.0.0.2:7000", "[fd00::2]:7000"), and return `text`. */
const char *address_format_ip(const struct endpoint *ip, char text[ADDRESS_TEXT_BYTES]);
const char *address_format(const struct endpoint *endpoint, char text[ADDRESS_TEXT_BYTES]);

/* True if an interface can have it for itself: neither any (0.0.0.0, ::) nor multicast, broadcast or IPv6 link-local. */
bool address_is_usable(const struct endpoint *ip);

#endif /* MACHNET_ENGINE_BASE_ADDRESS_H */
