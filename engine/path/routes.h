/* SPDX-License-Identifier: MIT */
/* Where a packet for an IPv4 address goes first: the route with the longest prefix decides. Pure. Addresses are uint32_t in host order. */
#ifndef MACHNET_ENGINE_PATH_ROUTES_H
#define MACHNET_ENGINE_PATH_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

enum { ROUTES_MAX = 64 };

struct route {
    uint32_t network; /* no bits behind the prefix */
    uint8_t length;   /* of the prefix: 0 .. 32 */
    uint32_t gateway; /* 0: whoever matches is on the link. A gateway is always on the link, whatever the routes say of it */
};

struct routes {
    struct route items[ROUTES_MAX];
    uint32_t count;
};

enum routes_result {
    ROUTES_OK = 0,
    ROUTES_EINVAL = -1,    /* a prefix over 32 bits, bits behind the prefix, or a gateway that no host can have */
    ROUTES_ECONFLICT = -2, /* there is another gateway for this prefix */
    ROUTES_EFULL = -3,
};

/* Adding a route again changes nothing. Returns enum routes_result. */
int routes_add(struct routes *routes, const struct route *route);

/* The address on the link to send to, so that a packet gets to `destination`; 0: no route, or not the address of one host. */
uint32_t routes_next_hop(const struct routes *routes, uint32_t destination);

/* True if one host can have it: not 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/3. */
bool ipv4_is_host(uint32_t ip);

#endif /* MACHNET_ENGINE_PATH_ROUTES_H */
