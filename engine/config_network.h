/* SPDX-License-Identifier: MIT */
/* The settings of the network: back end, device, addresses, routes, neighbours. Setters as in struct config_key. */
#ifndef MACHNET_ENGINE_CONFIG_NETWORK_H
#define MACHNET_ENGINE_CONFIG_NETWORK_H

#include "config.h"

const char *config_set_ip(struct config *config, const char *text);
const char *config_set_nic(struct config *config, const char *text);
const char *config_set_device(struct config *config, const char *text);
const char *config_set_eal(struct config *config, const char *text);
const char *config_set_route(struct config *config, const char *text);
const char *config_set_neighbour(struct config *config, const char *text);

/* Forgets what this setter of a list has set. */
void config_clear_list(struct config *config, const char *(*set)(struct config *config, const char *text));

/* What --nic allows in this build. */
extern const char config_nics[];

/* Checks them together, and adds the routes to the networks of our addresses. 0, or -1 and a line in error[CONFIG_ERROR_BYTES]. */
int config_finish_network(struct config *config, char *error);

#endif /* MACHNET_ENGINE_CONFIG_NETWORK_H */
