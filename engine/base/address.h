/* SPDX-License-Identifier: MIT */
/* IP addresses as text: the one place of the engine that reads and writes them. */
#ifndef MACHNET_ENGINE_BASE_ADDRESS_H
#define MACHNET_ENGINE_BASE_ADDRESS_H

#include <stdbool.h>

#include "base/endpoint.h"

enum { ADDRESS_TEXT_BYTES = 64 };

/* Reads "10.0.0.2" or "fd00::2" into ip, with port 0. False if the text is neither. */
bool address_parse_ip(const char *text, struct endpoint *ip);

/* Write the address, with and without its port ("10.0.0.2:7000", "[fd00::2]:7000"), and return `text`. */
const char *address_format_ip(const struct endpoint *ip, char text[ADDRESS_TEXT_BYTES]);
const char *address_format(const struct endpoint *endpoint, char text[ADDRESS_TEXT_BYTES]);

/* True if an interface can have it for itself: neither any (0.0.0.0, ::) nor multicast, broadcast or IPv6 link-local. */
bool address_is_usable(const struct endpoint *ip);

#endif /* MACHNET_ENGINE_BASE_ADDRESS_H */
