/* SPDX-License-Identifier: MIT */
/* An IP address and a port: of UDP on the wire, or of a flow in our own header. IPv4 is kept as ::ffff:a.b.c.d. */
#ifndef MACHNET_ENGINE_BASE_ENDPOINT_H
#define MACHNET_ENGINE_BASE_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct endpoint {
    uint8_t ip[16]; /* network order; all zero: any */
    uint16_t port;  /* host order */
};

static inline bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static inline bool endpoint_ip_is_any(const struct endpoint *e)
{
    static const uint8_t zero[16];
    return memcmp(e->ip, zero, sizeof zero) == 0;
}

static inline bool endpoint_is_ipv4(const struct endpoint *e)
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(e->ip, prefix, sizeof prefix) == 0;
}

/* The IPv4 address in host order; `e` has one. */
static inline uint32_t endpoint_ipv4(const struct endpoint *e)
{
    return (uint32_t)e->ip[12] << 24 | (uint32_t)e->ip[13] << 16 | (uint32_t)e->ip[14] << 8 | e->ip[15];
}

static inline struct endpoint endpoint_from_ipv4(uint32_t ip, uint16_t port)
{
    return (struct endpoint){.ip = {[10] = 0xff, 0xff, (uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip},
                             .port = port};
}

#endif /* MACHNET_ENGINE_BASE_ENDPOINT_H */
