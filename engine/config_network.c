/* SPDX-License-Identifier: MIT */
#include "config_network.h"

#include <stdio.h>
#include <string.h>

#include "base/address.h"
#include "nic/device_name.h"
#include "nic/nic_dpdk.h"

#ifdef MACHNET_DPDK_MODULE /* as nic_dpdk_is_built() says */
const char config_nics[] = "udp or dpdk";
#else
const char config_nics[] = "udp; dpdk in a build with DPDK (install libdpdk-dev, and build with -DMACHNET_DPDK=ON)";
#endif

const char *config_set_ip(struct config *config, const char *text)
{
    struct endpoint ip;
    uint8_t length;
    if (!address_parse_prefix(text, &ip, &length))
        return "is no IP address";
    if (!address_is_usable(&ip))
        return "is an address that no engine can have";
    for (uint32_t i = 0; i < config->ip_count; i++) {
        if (endpoint_equal(&config->ips[i], &ip))
            return "is given twice";
    }
    if (config->ip_count == PATH_ADDRESSES_MAX)
        return "is one too many";
    config->ip_lengths[config->ip_count] = length;
    config->ips[config->ip_count++] = ip;
    return NULL;
}

const char *config_set_nic(struct config *config, const char *text)
{
    bool dpdk = strcmp(text, "dpdk") == 0;
    if (dpdk && !nic_dpdk_is_built())
        return "needs a DPDK back end, and this build has none";
    if (!dpdk && strcmp(text, "udp") != 0)
        return "is no back end";
    config->nic = dpdk ? CONFIG_NIC_DPDK : CONFIG_NIC_UDP;
    return NULL;
}

const char *config_set_device(struct config *config, const char *text)
{
    if (strlen(text) >= sizeof config->device)
        return "is too long";
    if (device_name_kind(text) == DEVICE_NAME_WRONG)
        return "is no device";
    memcpy(config->device, text, strlen(text) + 1);
    return NULL;
}

const char *config_set_eal(struct config *config, const char *text)
{
    if (strlen(text) >= sizeof config->eal)
        return "is too long";
    memcpy(config->eal, text, strlen(text) + 1);
    return NULL;
}

/* The bits of an IPv4 address that are its network. */
static uint32_t network_of(uint32_t ip, uint8_t length)
{
    return length == 0 ? 0 : ip & UINT32_MAX << (32 - length);
}

static const char *add_route(struct config *config, const struct route *route)
{
    switch (routes_add(&config->routes, route)) {
    case ROUTES_OK:
        return NULL;
    case ROUTES_ECONFLICT:
        return "has another gateway than the same route before";
    case ROUTES_EFULL:
        return "is one too many";
    default:
        return "is no route: bits are set behind the prefix, or no host can have the gateway";
    }
}

/* "10.0.0.0/8" or "0.0.0.0/0,via=10.0.0.1" */
const char *config_set_route(struct config *config, const char *text)
{
    char prefix[ADDRESS_TEXT_BYTES];
    size_t length = strcspn(text, ",");
    const char *gateway = text + length;
    struct endpoint network;
    struct route route = {0};
    if (length >= sizeof prefix)
        return "is no route";
    memcpy(prefix, text, length);
    prefix[length] = '\0';
    if (!address_parse_prefix(prefix, &network, &route.length) || !endpoint_is_ipv4(&network))
        return "has no IPv4 prefix";
    route.network = endpoint_ipv4(&network);
    if (*gateway != '\0' && (strncmp(gateway, ",via=", 5) != 0 || !address_parse_ipv4(gateway + 5, &route.gateway)))
        return "has no gateway behind the comma";
    return add_route(config, &route);
}

/* "10.0.0.3,02:00:00:00:00:03" */
const char *config_set_neighbour(struct config *config, const char *text)
{
    char ip[ADDRESS_TEXT_BYTES];
    size_t length = strcspn(text, ",");
    struct nic_ethernet_neighbour neighbour;
    if (length >= sizeof ip || text[length] == '\0')
        return "is no neighbour";
    memcpy(ip, text, length);
    ip[length] = '\0';
    if (!address_parse_ipv4(ip, &neighbour.ip))
        return "has no IPv4 address";
    if (!address_parse_mac(text + length + 1, neighbour.mac) || (neighbour.mac[0] & 1) != 0)
        return "has no MAC address of a host";
    if (config->neighbour_count == CONFIG_NEIGHBOURS_MAX)
        return "is one too many";
    config->neighbours[config->neighbour_count++] = neighbour;
    return NULL;
}

void config_clear_list(struct config *config, const char *(*set)(struct config *config, const char *text))
{
    if (set == config_set_ip)
        config->ip_count = 0;
    else if (set == config_set_route)
        config->routes.count = 0;
    else if (set == config_set_neighbour)
        config->neighbour_count = 0;
}

static int fail(char *error, const char *text)
{
    (void)snprintf(error, CONFIG_ERROR_BYTES, "%s", text);
    return -1;
}

static int finish_udp(const struct config *config, char *error)
{
    if (config->device[0] != '\0' || config->eal[0] != '\0' || config->mtu != 0 || config->routes.count != 0 ||
        config->neighbour_count != 0)
        return fail(error, "--device, --eal, --mtu, --route and --neighbour are for --nic dpdk: with --nic udp the "
                           "kernel has these settings; give --nic dpdk or leave them out");
    return 0;
}

static int finish_dpdk(struct config *config, char *error)
{
    if (config->device[0] == '\0')
        return fail(error, "--nic dpdk needs a device: give one by --device, a PCI address, a MAC address or for a "
                           "first try net_af_packet0,iface=NAME");
    for (uint32_t i = 0; i < config->ip_count; i++) {
        if (!endpoint_is_ipv4(&config->ips[i]))
            return fail(error, "--nic dpdk serves IPv4 addresses only so far: leave out the others, or give --nic udp");
        uint32_t ip = endpoint_ipv4(&config->ips[i]);
        uint8_t length = config->ip_lengths[i];
        const struct route route = {.network = network_of(ip, length), .length = length};
        if (length < 32 && add_route(config, &route) != NULL)
            return fail(error, "--ip: there is a --route of another kind for the network of an address, or too many");
    }
    return 0;
}

int config_finish_network(struct config *config, char *error)
{
    return config->nic == CONFIG_NIC_DPDK ? finish_dpdk(config, error) : finish_udp(config, error);
}
