/* SPDX-License-Identifier: MIT */
#include "nic/nic_udp.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { ROUTE_SECONDS = 5, IPV4_HEADERS = 20 + 8, IPV6_HEADERS = 40 + 8 };

static uint32_t clamp_payload(int mtu, bool ipv4)
{
    int payload = mtu - (ipv4 ? IPV4_HEADERS : IPV6_HEADERS);
    if (payload < WIRE_PAYLOAD_MIN_MTU)
        return WIRE_PAYLOAD_MIN_MTU;
    return payload > WIRE_PACKET_MAX ? WIRE_PACKET_MAX : (uint32_t)payload;
}

/* Only a connected socket is told the MTU of its route, so one is made for the question. */
static uint32_t ask_kernel(const struct endpoint *local, const struct endpoint *remote)
{
    bool ipv4 = endpoint_is_ipv4(remote);
    struct endpoint from = {.port = 0}, to = {.port = 9};
    memcpy(from.ip, local->ip, sizeof from.ip);
    memcpy(to.ip, remote->ip, sizeof to.ip);
    struct sockaddr_in6 from_address, to_address;
    socklen_t from_length = udp_sockaddr(&from, &from_address), to_length = udp_sockaddr(&to, &to_address);
    int mtu = 0;
    socklen_t length = sizeof mtu;
    int fd = socket(to_address.sin6_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return WIRE_PAYLOAD_MIN_MTU;
    bool bound = endpoint_ip_is_any(local) || bind(fd, (struct sockaddr *)&from_address, from_length) == 0;
    if (!bound || connect(fd, (struct sockaddr *)&to_address, to_length) < 0 ||
        getsockopt(fd, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_MTU : IPV6_MTU, &mtu, &length) < 0)
        mtu = 0;
    close(fd);
    return clamp_payload(mtu, ipv4);
}

static bool same_ip(const struct endpoint *a, const struct endpoint *b)
{
    return memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* The entry of this pair of addresses; or else the one that expires first, made empty. */
static struct udp_route *find_route(struct udp_queue *queue, const struct endpoint *local,
                                    const struct endpoint *remote)
{
    struct udp_route *oldest = &queue->routes[0];
    for (uint32_t i = 0; i < UDP_ROUTES; i++) {
        struct udp_route *route = &queue->routes[i];
        if (route->expires_ns != 0 && same_ip(&route->local, local) && same_ip(&route->remote, remote))
            return route;
        if (route->expires_ns < oldest->expires_ns)
            oldest = route;
    }
    *oldest = (struct udp_route){.local = *local, .remote = *remote};
    return oldest;
}

static uint32_t refresh(struct udp_route *route, uint64_t now)
{
    route->max_payload = ask_kernel(&route->local, &route->remote);
    route->expires_ns = now + ROUTE_SECONDS * CLOCK_SECOND_NS;
    return route->max_payload;
}

uint32_t udp_max_payload(struct nic_queue *queue, const struct endpoint *local, const struct endpoint *remote)
{
    struct udp_route *route = find_route(udp_queue_of(queue), local, remote);
    uint64_t now = clock_now_ns();
    return route->expires_ns > now ? route->max_payload : refresh(route, now);
}

void udp_too_long(struct udp_queue *queue, const struct endpoint *local, const struct endpoint *remote)
{
    for (uint32_t i = 0; i < queue->notice_count; i++) {
        const struct nic_notice *known = &queue->notices[i];
        if (endpoint_equal(&known->local, local) && endpoint_equal(&known->remote, remote))
            return;
    }
    if (queue->notice_count == UDP_NOTICES)
        return; /* the next packet that is too long tells it again */
    queue->notices[queue->notice_count++] = (struct nic_notice){
        .kind = NIC_TOO_LONG,
        .local = *local,
        .remote = *remote,
        .max_payload = refresh(find_route(queue, local, remote), clock_now_ns()),
    };
}

bool udp_notice(struct nic_queue *queue, struct nic_notice *notice)
{
    struct udp_queue *udp = udp_queue_of(queue);
    if (udp->notice_count == 0)
        return false;
    *notice = udp->notices[--udp->notice_count];
    return true;
}
