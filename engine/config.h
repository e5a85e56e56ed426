/* SPDX-License-Identifier: MIT */
/*
 * The engine's configuration: command-line flags and a JSON file with the same names. Flags override the file. Whatever is wrong is told in
 * one line: where, what, and what is allowed.
 */
#ifndef MACHNET_ENGINE_CONFIG_H
#define MACHNET_ENGINE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/log.h"
#include "flow/congestion.h"
#include "nic/nic_ethernet.h"
#include "path/path.h"
#include "path/routes.h"
#include "worker.h"

enum { CONFIG_ERROR_BYTES = 512, CONFIG_PATH_BYTES = 108, CONFIG_GROUP_BYTES = 64, CONFIG_CPUS_MAX = 1024, CONFIG_NEIGHBOURS_MAX = 256 };

enum config_nic { CONFIG_NIC_UDP = 0, CONFIG_NIC_DPDK };

struct config {
    struct endpoint ips[PATH_ADDRESSES_MAX]; /* port 0 */
    uint8_t ip_lengths[PATH_ADDRESSES_MAX];  /* of their networks; 32 or 128: not given */
    uint32_t ip_count;
    uint16_t udp_port;                   /* of worker 0 */
    char socket_path[CONFIG_PATH_BYTES]; /* config_finish fills in the default */
    bool socket_is_default;
    char socket_group[CONFIG_GROUP_BYTES]; /* "": the engine's own */
    uint32_t socket_mode;
    uint64_t quota_channels; /* of each user; 0: the default, which is larger for root */
    uint64_t quota_bytes;
    uint64_t quota_flows; /* of all channels of a user */
    uint64_t quota_listeners;
    uint32_t workers;
    enum worker_poll poll;
    uint64_t spin_ns;
    uint16_t cpus[CONFIG_CPUS_MAX]; /* worker i runs on cpus[i] */
    uint32_t cpu_count;             /* 0: anywhere; else >= workers */
    uint64_t dead_peer_ns;
    enum congestion_kind congestion;
    enum config_nic nic;
    char device[256]; /* as nic/device_name.h reads it; "": none */
    char eal[512];
    uint32_t mtu; /* 0: the device's */
    struct routes routes;
    struct nic_ethernet_neighbour neighbours[CONFIG_NEIGHBOURS_MAX];
    uint32_t neighbour_count;
    enum log_level log_level;
    bool check; /* only check the configuration */
};

/* The defaults. */
void config_init(struct config *config);

/* Sets what the JSON object in text[0 .. length) names. `name` is the file's, for messages. 0, or -1 and a line in error[CONFIG_ERROR_BYTES]. */
int config_load_text(struct config *config, const char *name, const char *text, size_t length, char *error);

/* Reads flags and the file of --config, and checks the whole. --help and --version are answered, and the process exits with 0. 0, or -1 and
 * a line in error[CONFIG_ERROR_BYTES]. */
int config_parse(struct config *config, int argc, char **argv, char *error);

#endif /* MACHNET_ENGINE_CONFIG_H */
