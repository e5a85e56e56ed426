/* SPDX-License-Identifier: MIT */
/* Attaching: the engine's offer is mapped, checked and bound; region 0 holds the rings, 1 is of kind SEND, 2 of kind RECEIVE. The engine writes
 * nothing before it knows that we have filled and sealed what it works on, so the rings are looked at last. */
#include "client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "channel/pages.h"
#include "channel/region.h"
#include "client/connection.h"
#include "client/error.h"

enum { FIRST_REGIONS = 3 };

/* The descriptors of an offer, each in its place; -1: there is none (any more). */
struct offered {
    int regions[FIRST_REGIONS], wakeup, event;
};

static const char tried[] = "Cannot open the channel";

static int32_t fail_memory(machnet_error *error, int os_error)
{
    return mn_fail(error, mn_status_of_errno(os_error), os_error,
                   "%s: memory or descriptors could not be had (%s). Free some, or "
                   "raise the limits of this process, then try again.",
                   tried, mn_errno_text(os_error));
}

static int32_t fail_offer(machnet_error *error)
{
    return mn_fail(error, MACHNET_EPROTOCOL, 0,
                   "%s: the engine offered memory that this library (%s) cannot use. Install "
                   "machnetd and libmachnet of one release.",
                   tried, machnet_version_string());
}

/* Where a descriptor of this kind belongs; NULL: it is of no use to us. */
static int *place_of(struct offered *offered, uint8_t kind, unsigned *regions)
{
    switch (kind) {
    case MN_DESCRIPTOR_REGION:
        return *regions < FIRST_REGIONS ? &offered->regions[(*regions)++] : NULL;
    case MN_DESCRIPTOR_WAKEUP:
        return &offered->wakeup;
    case MN_DESCRIPTOR_EVENT:
        return &offered->event;
    default:
        return NULL;
    }
}

/* Puts the descriptors in their places and closes those that have none. False: one that we need is missing. */
static bool sort_descriptors(struct offered *offered, const struct mn_control_attach_offer *offer, int *fds,
                             uint32_t fd_count)
{
    unsigned regions = 0;

    for (uint32_t i = 0; i < fd_count; i++) {
        int *place = i < offer->descriptor_count ? place_of(offered, offer->descriptors[i], &regions) : NULL;
        if (place == NULL || *place >= 0)
            continue;
        *place = fds[i];
        fds[i] = -1;
    }
    mn_close_fds(fds, fd_count);
    return offer->descriptor_count == fd_count && regions == FIRST_REGIONS && offered->wakeup >= 0 && offered->event >= 0;
}

static void close_offered(struct offered *offered)
{
    mn_close_fds(offered->regions, FIRST_REGIONS);
    mn_close_fds(&offered->wakeup, 1);
    mn_close_fds(&offered->event, 1);
}

static int32_t ask_offer(struct machnet_channel *channel, const machnet_options *options,
                         struct mn_control_attach_offer *offer, struct offered *offered, machnet_error *error)
{
    const struct machnet_options *chosen = mn_options_or_default(options);
    struct mn_control_attach question = {
        .send_bytes_max = chosen->send_bytes,
        .receive_bytes_max = chosen->receive_bytes,
    };
    union mn_control_message answer;
    int fds[MN_CONTROL_FDS_MAX];
    uint32_t fd_count;

    mn_control_prepare(&question.header, MN_CONTROL_ATTACH, 2, MACHNET_OK);
    snprintf(question.name, sizeof question.name, "%s",
             chosen->name[0] != '\0' ? chosen->name : program_invocation_short_name);
    int32_t status = mn_connection_ask(channel->control.socket, &question.header, MN_CONTROL_ATTACH_OFFER, tried,
                                       &answer, fds, MN_CONTROL_FDS_MAX, &fd_count, error);
    if (status < 0)
        return status;
    bool complete = sort_descriptors(offered, &answer.offer, fds, fd_count);
    if (answer.header.status < 0)
        return mn_fail(error, answer.header.status, 0, "%s: %s", tried, answer.offer.message);
    if (!complete)
        return fail_offer(error);
    *offer = answer.offer;
    return MACHNET_OK;
}

static int32_t map_regions(struct machnet_channel *channel, const struct mn_control_attach_offer *offer, const int *fds,
                           machnet_error *error)
{
    static const uint16_t kinds[FIRST_REGIONS] = {MN_REGION_RINGS, MN_REGION_SEND, MN_REGION_RECEIVE};

    for (unsigned i = 0; i < FIRST_REGIONS; i++) {
        void *base;
        int failure = mn_region_map(fds[i], offer->region_bytes[i], kinds[i] != MN_REGION_RECEIVE, &base);
        if (failure == -EINVAL)
            return fail_offer(error);
        if (failure < 0)
            return fail_memory(error, -failure);
        channel->regions[i].bytes = offer->region_bytes[i];
        channel->regions[i].kind = kinds[i];
        atomic_store_explicit(&channel->regions[i].base, base, memory_order_release);
    }
    channel->header = (struct mn_header *)(void *)channel->regions[0].base;
    atomic_store_explicit(&channel->control.receive_bytes, offer->region_bytes[2], memory_order_relaxed);
    channel->send_bytes_max = offer->send_bytes_max;
    return MACHNET_OK;
}

static int32_t bind_rings(struct machnet_channel *channel, machnet_error *error)
{
    struct mn_header copy;
    void *base = channel->header;

    if (mn_layout_check(channel->header, channel->regions[0].bytes, &copy) < 0)
        return fail_offer(error);
    mn_ring_bind_producer(&channel->send.submissions, base, &copy.rings[MN_RING_SUBMISSIONS]);
    mn_ring_bind_consumer(&channel->complete.completions, base, &copy.rings[MN_RING_COMPLETIONS]);
    mn_ring_bind_consumer(&channel->receive.deliveries, base, &copy.rings[MN_RING_DELIVERIES]);
    mn_ring_bind_producer(&channel->release.releases, base, &copy.rings[MN_RING_RELEASES]);
    return MACHNET_OK;
}

static int32_t make_tables(struct machnet_channel *channel, uint32_t max_flows, machnet_error *error)
{
    struct mn_sender *send = &channel->send;
    struct mn_receiver *receive = &channel->receive;

    send->slot_count = channel->complete.completions.capacity;
    send->slots = mn_pages_new(send->slot_count, sizeof *send->slots);
    send->arena = mn_arena_new();
    receive->message_count = channel->release.releases.capacity;
    receive->messages = mn_pages_new(receive->message_count, sizeof *receive->messages);
    mn_patience_init(&receive->patience[0]);
    mn_patience_init(&receive->patience[1]);
    if (max_flows > MN_FLOWS_MAX)
        max_flows = MN_FLOWS_MAX;
    if (max_flows == 0)
        return fail_offer(error);
    if (send->slots == NULL || send->arena == NULL || receive->messages == NULL ||
        mn_flows_init(&channel->flows, max_flows) < 0 ||
        mn_arena_add_region(send->arena, 1, channel->regions[1].bytes) < 0)
        return fail_memory(error, ENOMEM);
    atomic_store_explicit(&send->arena_bytes, channel->regions[1].bytes, memory_order_relaxed);
    return MACHNET_OK;
}

static int watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int32_t make_descriptors(struct machnet_channel *channel, machnet_error *error)
{
    channel->epoll = epoll_create1(EPOLL_CLOEXEC);
    channel->notice.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    channel->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (channel->epoll < 0 || channel->notice.fd < 0 || channel->wake.fd < 0 ||
        fcntl(channel->signal_fd, F_SETFL, O_NONBLOCK) < 0 || watch(channel->epoll, channel->signal_fd) < 0 ||
        watch(channel->epoll, channel->control.socket) < 0 || watch(channel->epoll, channel->notice.fd) < 0 ||
        watch(channel->epoll, channel->wake.fd) < 0)
        return fail_memory(error, errno);
    return MACHNET_OK;
}

static int32_t say_mapped(struct machnet_channel *channel, machnet_error *error)
{
    struct mn_control_plain question = {.value = 0};
    union mn_control_message answer;
    uint32_t fd_count;

    mn_control_prepare(&question.header, MN_CONTROL_ATTACH_MAPPED, 3, MACHNET_OK);
    int32_t status = mn_connection_ask(channel->control.socket, &question.header, MN_CONTROL_ATTACHED, tried, &answer,
                                       NULL, 0, &fd_count, error);
    if (status == MACHNET_OK && answer.header.status < 0)
        status = mn_fail(error, answer.header.status, 0, "%s: %s", tried, answer.offer.message);
    return status;
}

int32_t mn_attach(struct machnet_channel *channel, const machnet_options *options, machnet_error *error)
{
    struct mn_control_attach_offer offer = {.max_flows = 0};
    struct offered offered = {{-1, -1, -1}, -1, -1};

    int32_t status = ask_offer(channel, options, &offer, &offered, error);
    if (status == MACHNET_OK)
        status = map_regions(channel, &offer, offered.regions, error);
    if (status == MACHNET_OK) {
        channel->signal_fd = offered.wakeup;
        channel->engine_event = offered.event;
        offered.wakeup = offered.event = -1;
    }
    close_offered(&offered);
    if (status == MACHNET_OK)
        status = say_mapped(channel, error);
    if (status == MACHNET_OK)
        status = bind_rings(channel, error);
    if (status == MACHNET_OK)
        status = make_tables(channel, offer.max_flows, error);
    if (status == MACHNET_OK)
        status = make_descriptors(channel, error);
    channel->poll = (uint32_t)mn_options_or_default(options)->poll;
    channel->spin_ns = mn_options_or_default(options)->spin_ns;
    atomic_store_explicit(&channel->control.request, 16, memory_order_relaxed);
    return status;
}

void mn_detach(struct machnet_channel *channel)
{
    int *const fds[] = {&channel->control.socket, &channel->epoll,     &channel->signal_fd,
                        &channel->engine_event,   &channel->notice.fd, &channel->wake.fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        mn_close_fds(fds[i], 1);
    for (unsigned i = 0; i < MN_REGIONS_MAX; i++)
        mn_region_unmap(channel->regions[i].base, channel->regions[i].bytes);
    mn_arena_free(channel->send.arena);
    mn_pages_free(channel->send.slots, channel->send.slot_count, sizeof *channel->send.slots);
    mn_pages_free(channel->receive.messages, channel->receive.message_count, sizeof *channel->receive.messages);
    mn_flows_fini(&channel->flows);
    mn_listeners_fini(&channel->listeners);
}
