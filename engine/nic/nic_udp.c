/* SPDX-License-Identifier: MIT */
#include "nic/nic_udp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"

enum { SOCKET_BUFFER_BYTES = 16 << 20 };

static_assert((int)UDP_TRANSMIT_STRIDE >= (int)WIRE_PACKET_MAX, "a buffer holds the longest packet");

socklen_t udp_sockaddr(const struct endpoint *endpoint, struct sockaddr_in6 *address)
{
    if (endpoint_is_ipv4(endpoint)) {
        struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
        memcpy(&ipv4.sin_addr, endpoint->ip + 12, 4);
        memcpy(address, &ipv4, sizeof ipv4);
        return sizeof ipv4;
    }
    *address = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
    memcpy(&address->sin6_addr, endpoint->ip, 16);
    return sizeof *address;
}

void udp_endpoint(const struct sockaddr_in6 *address, struct endpoint *endpoint)
{
    *endpoint = (struct endpoint){0};
    if (address->sin6_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, address, sizeof ipv4);
        endpoint->ip[10] = endpoint->ip[11] = 0xff;
        memcpy(endpoint->ip + 12, &ipv4.sin_addr, 4);
        endpoint->port = ntohs(ipv4.sin_port);
        return;
    }
    memcpy(endpoint->ip, &address->sin6_addr, 16);
    endpoint->port = ntohs(address->sin6_port);
}

static int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

/* The kernel cuts this down to its limits for those without privileges. */
static void enlarge_buffers(int fd)
{
    if (set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER_BYTES) < 0)
        (void)set_option(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER_BYTES);
    if (set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER_BYTES) < 0)
        (void)set_option(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER_BYTES);
}

static int set_options(int fd, bool ipv4)
{
    if (!ipv4 && set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) < 0)
        return -1;
    /* Don't fragment, and heed the interface's MTU alone: what routers say may be forged, and would hold for minutes. */
    int result = ipv4 ? set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
                      : set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    enlarge_buffers(fd);
    (void)set_option(fd, IPPROTO_UDP, UDP_GRO, 1); /* without it packets come one by one */
    return result;
}

static void explain(char *error, const struct endpoint *local, int reason)
{
    char ip[ADDRESS_TEXT_BYTES];
    address_format_ip(local, ip);
    if (reason == EADDRINUSE)
        (void)snprintf(error, NIC_ERROR_BYTES,
                       "UDP port %u of %s is taken by another program (ss -ulpn shows it): stop that, or give this "
                       "engine and all its "
                       "peers another --udp-port",
                       local->port, ip);
    else if (reason == EADDRNOTAVAIL)
        (void)snprintf(error, NIC_ERROR_BYTES,
                       "%s is not an address of this machine (ip address shows them): give one of its own by --ip", ip);
    else if (reason == EACCES)
        (void)snprintf(
            error, NIC_ERROR_BYTES,
            "UDP port %u of %s needs privileges: give this engine and all its peers a --udp-port of 1024 or more",
            local->port, ip);
    else
        (void)snprintf(error, NIC_ERROR_BYTES, "cannot open UDP port %u of %s: %s", local->port, ip, strerror(reason));
}

static int open_socket(struct udp_socket *socket_, const struct endpoint *local, char *error)
{
    struct sockaddr_in6 address;
    socklen_t length = udp_sockaddr(local, &address);
    int fd = socket(address.sin6_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || set_options(fd, endpoint_is_ipv4(local)) < 0 || bind(fd, (struct sockaddr *)&address, length) < 0) {
        explain(error, local, errno);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *socket_ = (struct udp_socket){.fd = fd, .local = *local, .segment = true};
    return 0;
}

bool nic_udp_has_address(const struct endpoint *ip)
{
    struct endpoint local = *ip;
    struct sockaddr_in6 address;
    local.port = 0;
    socklen_t length = udp_sockaddr(&local, &address);
    int fd = socket(address.sin6_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&address, length) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

static uint32_t udp_fds(struct nic_queue *queue, int *fds, uint32_t max)
{
    const struct udp_queue *udp = udp_queue_of(queue);
    uint32_t count = 0;
    for (; count < udp->socket_count && count < max; count++)
        fds[count] = udp->sockets[count].fd;
    return count;
}

static void free_queue(struct udp_queue *queue)
{
    for (uint32_t i = 0; i < queue->socket_count; i++)
        close(queue->sockets[i].fd);
    free(queue->sockets);
    free(queue->batch.buffers);
    free(queue->transmit.buffers);
    free(queue);
}

static void udp_close(struct nic *nic)
{
    for (uint32_t i = 0; i < nic->queue_count; i++)
        free_queue(udp_queue_of(nic->queues[i]));
    free(nic->queues);
    free(nic);
}

static const struct nic_ops udp_ops = {
    .name = "udp",
    .receive = udp_receive,
    .receive_done = udp_receive_done,
    .transmit_buffer = udp_transmit_buffer,
    .transmit = udp_transmit,
    .transmit_cancel = udp_transmit_cancel,
    .flush = udp_flush,
    .notice = udp_notice,
    .fds = udp_fds,
    .max_payload = udp_max_payload,
    .close = udp_close,
};

static struct udp_queue *new_queue(struct nic *nic, uint32_t index, uint32_t sockets)
{
    struct udp_queue *queue = calloc(1, sizeof *queue);
    if (queue == NULL)
        return NULL;
    queue->queue = (struct nic_queue){.ops = &udp_ops, .nic = nic, .index = index};
    queue->sockets = calloc(sockets, sizeof *queue->sockets);
    queue->batch.buffers = malloc((size_t)UDP_RECEIVE_MESSAGES * UDP_RECEIVE_STRIDE);
    queue->transmit.buffers = malloc((size_t)UDP_TRANSMIT_PACKETS * UDP_TRANSMIT_STRIDE);
    if (queue->sockets == NULL || queue->batch.buffers == NULL || queue->transmit.buffers == NULL) {
        free_queue(queue);
        return NULL;
    }
    udp_receive_init(queue);
    udp_transmit_init(queue);
    return queue;
}

static int open_queue(struct nic *nic, const struct endpoint *addresses, uint32_t address_count, uint16_t port,
                      char *error)
{
    struct udp_queue *queue = new_queue(nic, nic->queue_count, address_count);
    if (queue == NULL) {
        (void)snprintf(error, NIC_ERROR_BYTES, "no memory for the network interface");
        return -1;
    }
    nic->queues[nic->queue_count++] = &queue->queue;
    for (uint32_t i = 0; i < address_count; i++) {
        struct endpoint local = addresses[i];
        local.port = port;
        if (open_socket(&queue->sockets[i], &local, error) < 0)
            return -1;
        queue->socket_count++;
    }
    return 0;
}

struct nic *nic_udp_open(const struct endpoint *addresses, uint32_t address_count, uint16_t udp_port, uint32_t queues,
                         char *error)
{
    if (udp_port + queues > UINT16_MAX + 1u) {
        (void)snprintf(error, NIC_ERROR_BYTES,
                       "%u workers need the UDP ports from %u on, and there are none above %d: give a lower --udp-port",
                       queues, udp_port, UINT16_MAX);
        return NULL;
    }
    struct nic *nic = calloc(1, sizeof *nic);
    if (nic == NULL || (nic->queues = calloc(queues, sizeof(struct nic_queue *))) == NULL) {
        free(nic);
        (void)snprintf(error, NIC_ERROR_BYTES, "no memory for the network interface");
        return NULL;
    }
    nic->ops = &udp_ops;
    for (uint32_t i = 0; i < queues; i++) {
        if (open_queue(nic, addresses, address_count, (uint16_t)(udp_port + i), error) < 0) {
            udp_close(nic);
            return NULL;
        }
    }
    return nic;
}
