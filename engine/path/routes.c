/* SPDX-License-Identifier: MIT */
#include "path/routes.h"

#include <stddef.h>

static uint32_t mask_of(uint8_t length)
{
    return length == 0 ? 0 : UINT32_MAX << (32 - length);
}

bool ipv4_is_host(uint32_t ip)
{
    uint32_t first = ip >> 24;
    return first != 0 && first != 127 && first < 224;
}

int routes_add(struct routes *routes, const struct route *route)
{
    if (route->length > 32 || (route->network & ~mask_of(route->length)) != 0 ||
        (route->gateway != 0 && !ipv4_is_host(route->gateway)))
        return ROUTES_EINVAL;
    for (uint32_t i = 0; i < routes->count; i++) {
        const struct route *other = &routes->items[i];
        if (other->network == route->network && other->length == route->length)
            return other->gateway == route->gateway ? ROUTES_OK : ROUTES_ECONFLICT;
    }
    if (routes->count == ROUTES_MAX)
        return ROUTES_EFULL;
    routes->items[routes->count++] = *route;
    return ROUTES_OK;
}

uint32_t routes_next_hop(const struct routes *routes, uint32_t destination)
{
    const struct route *best = NULL;
    for (uint32_t i = 0; i < routes->count; i++) {
        const struct route *route = &routes->items[i];
        if ((destination & mask_of(route->length)) == route->network && (best == NULL || route->length > best->length))
            best = route;
    }
    if (best == NULL || !ipv4_is_host(destination))
        return 0;
    return best->gateway != 0 ? best->gateway : destination;
}
