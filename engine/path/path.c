/* SPDX-License-Identifier: MIT */
#include "path/path.h"

static bool same_ip(const struct endpoint *a, const struct endpoint *b)
{
    return memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

int path_address_index(const struct path_table *table, const struct endpoint *ip)
{
    for (uint32_t i = 0; i < table->address_count; i++) {
        if (same_ip(&table->addresses[i], ip))
            return (int)i;
    }
    return -1;
}

bool path_is_local(const struct path_table *table, const struct endpoint *ip)
{
    return path_address_index(table, ip) >= 0;
}

/* Our address for a flow to `remote` when the caller has no wish; NULL: none of its family. */
static const struct endpoint *default_address(const struct path_table *table, const struct endpoint *remote)
{
    if (path_is_local(table, remote))
        return remote;
    for (uint32_t i = 0; i < table->address_count; i++) {
        if (endpoint_is_ipv4(&table->addresses[i]) == endpoint_is_ipv4(remote))
            return &table->addresses[i];
    }
    return NULL;
}

int path_choose(const struct path_table *table, uint32_t worker, const struct endpoint *local,
                const struct endpoint *remote, struct endpoint *udp_local, struct endpoint *udp_remote)
{
    const struct endpoint *from = local;
    if (endpoint_ip_is_any(local))
        from = default_address(table, remote);
    else if (!path_is_local(table, local))
        return PATH_ENOTLOCAL;
    if (from == NULL || endpoint_is_ipv4(from) != endpoint_is_ipv4(remote))
        return PATH_EFAMILY;

    *udp_local = *from;
    udp_local->port = (uint16_t)(table->udp_port + worker);
    *udp_remote = *remote;
    udp_remote->port = table->udp_port;
    return PATH_OK;
}
