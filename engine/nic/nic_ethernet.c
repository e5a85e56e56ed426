/* SPDX-License-Identifier: MIT */
#include "nic/nic_ethernet_internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"

static_assert((int)NIC_ETHERNET_MTU_MIN == (int)WIRE_PAYLOAD_MIN_MTU + IPV4_BYTES + UDP_BYTES,
              "what every path carries");

static uint32_t ether_fds(struct nic_queue *queue, int *fds, uint32_t max)
{
    struct ether_queue *own = ether_queue_of(queue);
    return own->frames->ops->fds(own->frames, fds, max);
}

static uint32_t ether_longest(struct nic_queue *queue, const struct endpoint *local, const struct endpoint *remote)
{
    (void)local;
    (void)remote;
    return ether_max_payload(ether_queue_of(queue)->ether);
}

static void ether_free(struct ether *ether)
{
    for (uint32_t i = 0; i < ether->nic.queue_count; i++)
        free(ether->queues[i].waiting_bytes);
    free(ether->queues);
    free(ether->nic.queues);
    neighbours_free(ether->neighbours);
    pthread_mutex_destroy(&ether->lock);
    free(ether);
}

static void ether_close(struct nic *nic)
{
    if (nic == NULL)
        return;
    struct ether *ether = (struct ether *)(void *)((char *)nic - offsetof(struct ether, nic));
    ether->device->ops->close(ether->device);
    ether_free(ether);
}

/* The name is the device's. */
static const struct nic_ops ether_ops = {
    .receive = ether_receive,
    .receive_done = ether_receive_done,
    .transmit_buffer = ether_transmit_buffer,
    .transmit = ether_transmit,
    .transmit_cancel = ether_transmit_cancel,
    .flush = ether_flush,
    .notice = ether_notice,
    .fds = ether_fds,
    .max_payload = ether_longest,
    .close = ether_close,
};

/* ---- Opening ---- */

__attribute__((format(printf, 2, 3))) static bool fail(char *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error, NIC_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

static const char *ip_text(uint32_t ip, char text[ADDRESS_TEXT_BYTES])
{
    struct endpoint endpoint = endpoint_from_ipv4(ip, 0);
    return address_format_ip(&endpoint, text);
}

static bool set_addresses(struct ether *ether, const struct nic_ethernet_config *config, char *error)
{
    char text[ADDRESS_TEXT_BYTES];
    if (config->address_count == 0 || config->address_count > NIC_ETHERNET_ADDRESSES_MAX)
        return fail(error, "an Ethernet device needs 1 to %d addresses: give --ip", NIC_ETHERNET_ADDRESSES_MAX);
    for (uint32_t i = 0; i < config->address_count; i++) {
        const struct endpoint *address = &config->addresses[i];
        if (!endpoint_is_ipv4(address))
            return fail(error,
                        "%s: IPv6 is not supported on an Ethernet device yet (neighbour discovery is missing): use "
                        "IPv4, or --nic udp",
                        address_format_ip(address, text));
        if (!ipv4_is_host(endpoint_ipv4(address)))
            return fail(error, "%s is not an address that a host can have", address_format_ip(address, text));
        ether->addresses[ether->address_count++] = endpoint_ipv4(address);
    }
    return true;
}

static bool set_routes(struct ether *ether, const struct nic_ethernet_config *config, char *error)
{
    static const struct route on_link = {0};
    char network[ADDRESS_TEXT_BYTES], gateway[ADDRESS_TEXT_BYTES];
    if (config->route_count == 0)
        return routes_add(&ether->routes, &on_link) == ROUTES_OK;
    for (uint32_t i = 0; i < config->route_count; i++) {
        const struct route *route = &config->routes[i];
        int result = routes_add(&ether->routes, route);
        if (result == ROUTES_OK && route->gateway != 0 && ether_is_ours(ether, route->gateway))
            result = ROUTES_EINVAL;
        if (result == ROUTES_OK)
            continue;
        ip_text(route->network, network);
        ip_text(route->gateway, gateway);
        if (result == ROUTES_EFULL)
            return fail(error, "route %s/%u: there can be %d routes", network, route->length, ROUTES_MAX);
        if (result == ROUTES_ECONFLICT)
            return fail(error, "route %s/%u: there is another gateway for this prefix", network, route->length);
        return fail(error, "route %s/%u via %s: bits behind the prefix, or not another host's address", network,
                    route->length, gateway);
    }
    return true;
}

static bool set_neighbours(struct ether *ether, const struct nic_ethernet_config *config, char *error)
{
    char text[ADDRESS_TEXT_BYTES];
    ether->neighbours = neighbours_new();
    if (ether->neighbours == NULL)
        return fail(error, "out of memory");
    for (uint32_t i = 0; i < config->neighbour_count; i++) {
        const struct nic_ethernet_neighbour *neighbour = &config->neighbours[i];
        ip_text(neighbour->ip, text);
        if (!ipv4_is_host(neighbour->ip) || !mac_is_unicast(neighbour->mac) || ether_is_ours(ether, neighbour->ip))
            return fail(error, "neighbour %s: its address or MAC cannot be another host's", text);
        if (!neighbours_add_static(ether->neighbours, neighbour->ip, neighbour->mac))
            return fail(error, "neighbour %s: given twice with different MACs, or there are more than %d", text,
                        NEIGHBOURS_STATIC_MAX);
    }
    return true;
}

static bool set_mtu(struct ether *ether, uint32_t wanted, char *error)
{
    uint32_t most = ether->device->mtu;
    ether->mtu = wanted != 0 ? wanted : most;
    if (ether->mtu < NIC_ETHERNET_MTU_MIN || ether->mtu > most)
        return fail(error, "an MTU of %u is not possible: the device takes up to %u, and we need %d", ether->mtu, most,
                    NIC_ETHERNET_MTU_MIN);
    return true;
}

static bool set_queue(struct ether *ether, uint32_t index)
{
    struct ether_queue *queue = &ether->queues[index];
    const size_t stride = ETHERNET_BYTES + ether->mtu;
    queue->queue = (struct nic_queue){.ops = &ether->ops, .nic = &ether->nic, .index = index};
    queue->ether = ether;
    queue->frames = ether->device->queues[index];
    queue->ask_ns = UINT64_MAX;
    queue->waiting_bytes = malloc(ETHER_WAITING * stride);
    if (queue->waiting_bytes == NULL)
        return false;
    for (uint32_t i = 0; i < ETHER_WAITING; i++)
        queue->waiting[i].bytes = queue->waiting_bytes + i * stride;
    ether->nic.queues[index] = &queue->queue;
    return true;
}

static bool set_queues(struct ether *ether, const struct nic_ethernet_config *config, char *error)
{
    uint32_t count = config->queues, most = ether->device->queue_count;
    if (count == 0 || count > most)
        return fail(error, "%u workers need as many queues, and the device has %u: give --workers %u or less", count,
                    most, most);
    if (config->udp_port == 0 || config->udp_port + count - 1 > UINT16_MAX)
        return fail(error, "UDP ports %u to %u: not all of them exist", config->udp_port, config->udp_port + count - 1);
    ether->udp_port = config->udp_port;
    ether->queues = calloc(count, sizeof *ether->queues);
    ether->nic.queues = calloc(count, sizeof(struct nic_queue *));
    if (ether->queues == NULL || ether->nic.queues == NULL)
        return fail(error, "out of memory");
    for (ether->nic.queue_count = 0; ether->nic.queue_count < count; ether->nic.queue_count++) {
        if (!set_queue(ether, ether->nic.queue_count))
            return fail(error, "out of memory");
    }
    return true;
}

struct nic *nic_ethernet_open(struct frame_device *device, const struct nic_ethernet_config *config, char *error)
{
    struct ether *ether = calloc(1, sizeof *ether);
    if (ether == NULL) {
        fail(error, "out of memory");
        device->ops->close(device);
        return NULL;
    }
    ether->ops = ether_ops;
    ether->ops.name = device->ops->name;
    ether->nic.ops = &ether->ops;
    ether->device = device;
    atomic_init(&ether->link_up, true);
    pthread_mutex_init(&ether->lock, NULL);
    if (!set_addresses(ether, config, error) || !set_mtu(ether, config->mtu, error) ||
        !set_routes(ether, config, error) || !set_neighbours(ether, config, error) ||
        !set_queues(ether, config, error)) {
        ether_close(&ether->nic);
        return NULL;
    }
    return &ether->nic;
}
