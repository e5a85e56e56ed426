/* SPDX-License-Identifier: MIT */
/* Which of our addresses and UDP ports a flow uses towards a peer. Pure. (Routes, ARP and port choice against RSS come here.) */
#ifndef MACHNET_ENGINE_PATH_PATH_H
#define MACHNET_ENGINE_PATH_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"

enum { PATH_ADDRESSES_MAX = 64 };

/* The addresses of this engine and its UDP ports: worker i has udp_port + i. */
struct path_table {
    struct endpoint addresses[PATH_ADDRESSES_MAX]; /* port 0 */
    uint32_t address_count;
    uint16_t udp_port;
};

enum path_result { PATH_OK = 0, PATH_ENOTLOCAL = -1 /* local is not ours */, PATH_EFAMILY = -2 /* no address of remote's family */ };

/* The index of `ip` (its port is not looked at) among the addresses of this engine, or -1. */
int path_address_index(const struct path_table *table, const struct endpoint *ip);
/* True if `ip` is an address of this engine. */
bool path_is_local(const struct path_table *table, const struct endpoint *ip);

/* Chooses the UDP endpoints for a flow from flow address `local` (ip any: the first of remote's family; the same address if remote is ours) to
 * flow address `remote`, as worker `worker`: from its own UDP port to that of the peer's worker 0 (the only one that is known before the
 * handshake; also if the peer is this engine). Returns enum path_result. */
int path_choose(const struct path_table *table, uint32_t worker, const struct endpoint *local, const struct endpoint *remote,
                struct endpoint *udp_local, struct endpoint *udp_remote);

#endif /* MACHNET_ENGINE_PATH_PATH_H */
