/* SPDX-License-Identifier: MIT */
/*
 * The control socket of a live channel. Questions may be sent by any thread; one thread at a time (control.lock) reads what comes,
 * for all: answers to its own question, regions that the engine offers, and the end of the channel.
 */
#include "client/client.h"

#include <errno.h>

#include "channel/region.h"
#include "client/connection.h"
#include "client/error.h"

enum {
    IDLE_CALLS = 1024, /* a caller that polls looks at the socket so often */
    REGION_BYTES_LEAST = 1 << 20,
    REGION_BYTES_USUAL = 16 << 20, /* regions grow up to this, beyond it only for a longer message */
};

static uint64_t round_to_blocks(uint64_t bytes)
{
    return (bytes + MN_BLOCK - 1) / MN_BLOCK * MN_BLOCK;
}

/* Under control.lock. There will be no further region to send from: who waits for one makes do without. */
static void growth_refused(struct machnet_channel *channel)
{
    atomic_store_explicit(&channel->control.full, true, memory_order_relaxed);
    atomic_store_explicit(&channel->control.growing, false, memory_order_release);
    mn_space_freed(channel);
}

/* Under control.lock. Maps the region that is offered. Returns false if the offer is not sound. */
static bool accept_region(struct machnet_channel *channel, const struct mn_control_region *offer, const int *fds,
                          uint32_t fd_count)
{
    bool sends = offer->kind == MN_REGION_SEND;
    void *base;

    if (fd_count < 1 || offer->region >= MN_REGIONS_MAX || (!sends && offer->kind != MN_REGION_RECEIVE) ||
        channel->regions[offer->region].base != NULL || offer->bytes % MN_BLOCK != 0)
        return false;
    int failure = mn_region_map(fds[0], offer->bytes, sends, &base);
    if (failure == -EINVAL)
        return false;
    if (failure < 0) {
        /* Memory is short here: a region that is not mapped is not used. */
        if (sends)
            growth_refused(channel);
        return true;
    }
    struct mn_region *region = &channel->regions[offer->region];
    region->bytes = offer->bytes;
    region->kind = offer->kind;
    atomic_store_explicit(&region->base, base, memory_order_release);
    if (!sends)
        atomic_fetch_add_explicit(&channel->control.receive_bytes, offer->bytes, memory_order_relaxed);
    struct mn_control_region mapped = {.region = offer->region, .kind = offer->kind, .bytes = offer->bytes};
    mn_control_prepare(&mapped.header, MN_CONTROL_REGION_MAPPED, offer->header.request, MACHNET_OK);
    (void)mn_control_send(channel->control.socket, &mapped.header, NULL, 0); /* a failure shows as end of file */
    return true;
}

/* Under control.lock. A region of kind SEND may be used. Returns false if that is not sound. */
static bool region_ready(struct machnet_channel *channel, const struct mn_control_region *ready)
{
    if (ready->region >= MN_REGIONS_MAX || channel->regions[ready->region].base == NULL)
        return false;
    if (channel->regions[ready->region].kind != MN_REGION_SEND)
        return true;
    if (ready->region <= 1)
        return false;
    atomic_fetch_or_explicit(&channel->shared.regions_ready, UINT64_C(1) << ready->region, memory_order_release);
    atomic_store_explicit(&channel->control.growing, false, memory_order_release);
    mn_space_freed(channel);
    return true;
}

static uint32_t next_request(struct machnet_channel *channel)
{
    return atomic_fetch_add_explicit(&channel->control.request, 1, memory_order_relaxed) + 1;
}

/* Under control.lock. Whoever asked for this listener has given up: it is nobody's. */
static void close_late_listener(struct machnet_channel *channel, const struct mn_control_listen *reply)
{
    struct mn_control_listen question = {.listener = reply->listener};

    if (reply->header.status != MACHNET_OK)
        return;
    mn_control_prepare(&question.header, MN_CONTROL_UNLISTEN, next_request(channel), MACHNET_OK);
    (void)mn_control_send(channel->control.socket, &question.header, NULL, 0); /* a failure shows as end of file */
}

/* Under control.lock. Handles what was not asked for by a waiting thread. Returns false if it is not sound. */
static bool handle_message(struct machnet_channel *channel, const union mn_control_message *message, const int *fds,
                           uint32_t fd_count)
{
    switch (message->header.type) {
    case MN_CONTROL_REGION_OFFER:
        return accept_region(channel, &message->region, fds, fd_count);
    case MN_CONTROL_REGION_READY:
        return region_ready(channel, &message->region);
    case MN_CONTROL_REGION_REFUSED:
        growth_refused(channel);
        return true;
    case MN_CONTROL_CLOSING:
        mn_end(channel, message->header.status == MACHNET_EPROTOCOL ? MACHNET_EPROTOCOL : MACHNET_EENGINEGONE);
        return true;
    case MN_CONTROL_LISTEN_REPLY:
        close_late_listener(channel, &message->listen);
        return true;
    case MN_CONTROL_UNLISTEN_REPLY:
        return true; /* whoever asked has given up */
    default:
        return false;
    }
}

/* Under control.lock. Takes one message and handles it unless it answers `request` (0: none). MACHNET_OK: *message is that answer.
 * MACHNET_EAGAIN: another was handled. MACHNET_ETIMEDOUT, or the channel is gone. */
static int32_t take_message(struct machnet_channel *channel, uint32_t request, int64_t deadline_ns,
                            union mn_control_message *message)
{
    int fds[MN_CONTROL_FDS_MAX], os_error;
    uint32_t fd_count;

    int32_t status = mn_connection_receive(channel->control.socket, deadline_ns, message, fds, MN_CONTROL_FDS_MAX,
                                           &fd_count, &os_error);
    if (status == MACHNET_ENOENGINE)
        return MACHNET_ETIMEDOUT;
    if (status == MACHNET_EPROTOCOL)
        return mn_broken(channel);
    if (status == MACHNET_ENOMEM) {
        /* A region whose descriptor this process may not have is as one that could not be mapped. */
        growth_refused(channel);
        return MACHNET_EAGAIN;
    }
    if (status < 0) {
        uint32_t closed = atomic_load_explicit(&channel->header->closed, memory_order_acquire);
        return closed != 0 ? mn_gone(channel) : mn_end(channel, MACHNET_EENGINEGONE);
    }
    bool answers = request != 0 && message->header.request == request;
    bool sound = answers || handle_message(channel, message, fds, fd_count);
    mn_close_fds(fds, fd_count);
    if (!sound)
        return mn_broken(channel);
    return answers ? MACHNET_OK : MACHNET_EAGAIN;
}

void mn_control_look(struct machnet_channel *channel)
{
    union mn_control_message message;

    if (pthread_mutex_trylock(&channel->control.lock) != 0)
        return;
    atomic_store_explicit(&channel->control.sequence,
                          atomic_load_explicit(&channel->header->control_sequence, memory_order_acquire),
                          memory_order_relaxed);
    while (take_message(channel, 0, 0, &message) == MACHNET_EAGAIN)
        continue;
    pthread_mutex_unlock(&channel->control.lock);
}

void mn_control_glance(struct machnet_channel *channel, uint32_t *idle)
{
    if (++*idle % IDLE_CALLS == 0 || atomic_load_explicit(&channel->control.growing, memory_order_relaxed))
        mn_control_look(channel);
    else
        mn_control_heed(channel);
}

static int32_t fail_listen(int32_t status, int os_error, const char *tried, const union mn_control_message *answer,
                           machnet_error *error)
{
    if (answer != NULL && answer->listen.message[0] != '\0')
        return mn_fail(error, status, 0, "%s: %s", tried, answer->listen.message);
    switch (status) {
    case MACHNET_ETIMEDOUT:
        return mn_fail(error, status, 0,
                       "%s: the engine did not answer within 5 seconds. See whether machnetd is stopped or "
                       "overloaded, then try again.",
                       tried);
    case MACHNET_ENOMEM:
    case MACHNET_ESYSTEM:
        return mn_fail(error, status, os_error, "%s: talking to the engine failed (%s). Try again.", tried,
                       mn_errno_text(os_error));
    case MACHNET_ESHUTDOWN:
    case MACHNET_EENGINEGONE:
    case MACHNET_EPROTOCOL:
        return mn_fail(error, status, 0, "%s: the channel is gone. %s. Open a new one.", tried,
                       machnet_status_text(status));
    default:
        return mn_fail(error, status, 0, "%s: %s. Choose another, or see `machnet status`.", tried,
                       machnet_status_text(status));
    }
}

/* Whether an engine may refuse with this status: one of those that machnet.h lists, or one that is newer than this library. */
static bool may_refuse(int32_t status, uint16_t type)
{
    switch (status) {
    case MACHNET_EADDRINUSE:
    case MACHNET_EADDRNOTAVAIL:
    case MACHNET_EQUOTA:
        return type == MN_CONTROL_LISTEN_REPLY;
    case MACHNET_EBADTOKEN:
        return type == MN_CONTROL_UNLISTEN_REPLY;
    case MACHNET_ENOMEM:
    case MACHNET_ESYSTEM:
    case MACHNET_EENGINEGONE:
        return true;
    default:
        return mn_status_is_newer(status);
    }
}

/* Whether the answer is one that an engine may give. */
static bool answer_is_sound(const struct mn_control_listen *answer, uint16_t type)
{
    if (answer->header.type != type)
        return false;
    if (answer->header.status != MACHNET_OK)
        return may_refuse(answer->header.status, type);
    return type != MN_CONTROL_LISTEN_REPLY || (answer->listener != 0 && answer->port != 0);
}

int32_t mn_control_listen(struct machnet_channel *channel, struct mn_control_listen *question, uint16_t answer_type,
                          machnet_error *error)
{
    const char *tried = answer_type == MN_CONTROL_LISTEN_REPLY ? "Cannot listen" : "Cannot close the listener";
    uint16_t type = answer_type == MN_CONTROL_LISTEN_REPLY ? MN_CONTROL_LISTEN : MN_CONTROL_UNLISTEN;
    uint32_t request = next_request(channel);
    union mn_control_message answer;

    mn_control_prepare(&question->header, type, request, MACHNET_OK);
    pthread_mutex_lock(&channel->control.lock);
    int32_t status = mn_gone(channel);
    int sent = status < 0 ? 0 : mn_control_send(channel->control.socket, &question->header, NULL, 0);
    if (sent < 0 && sent != -EPIPE && sent != -ECONNRESET)
        status = sent == -EAGAIN ? MACHNET_ETIMEDOUT : mn_status_of_errno(-sent);
    int64_t deadline_ns = mn_now_ns() + MN_CONTROL_TIMEOUT_NS;
    if (status == MACHNET_OK) {
        do
            status = take_message(channel, request, deadline_ns, &answer);
        while (status == MACHNET_EAGAIN);
    }
    bool answered = status == MACHNET_OK;
    if (answered && !answer_is_sound(&answer.listen, answer_type))
        status = mn_broken(channel);
    else if (answered)
        status = answer.header.status;
    pthread_mutex_unlock(&channel->control.lock);
    if (status < 0)
        return fail_listen(status, -sent, tried, answered ? &answer : NULL, error);
    *question = answer.listen;
    return MACHNET_OK;
}

void mn_control_grow(struct machnet_channel *channel, uint32_t length)
{
    uint64_t have = atomic_load_explicit(&channel->send.arena_bytes, memory_order_relaxed);
    uint64_t need = round_to_blocks(mn_extent_class(length));
    uint64_t wanted = mn_arena_largest_region(channel->send.arena) * 2;

    if (atomic_load_explicit(&channel->control.full, memory_order_relaxed) || have + need > channel->send_bytes_max ||
        atomic_load_explicit(&channel->shared.regions_ready, memory_order_relaxed) != 0 ||
        atomic_exchange_explicit(&channel->control.growing, true, memory_order_acq_rel))
        return;
    if (wanted < REGION_BYTES_LEAST)
        wanted = REGION_BYTES_LEAST;
    if (wanted > REGION_BYTES_USUAL)
        wanted = REGION_BYTES_USUAL;
    if (wanted < need)
        wanted = need;
    if (have + wanted > channel->send_bytes_max)
        wanted = (channel->send_bytes_max - have) / MN_BLOCK * MN_BLOCK;
    struct mn_control_region question = {.kind = MN_REGION_SEND, .bytes = wanted};
    mn_control_prepare(&question.header, MN_CONTROL_REGION_REQUEST, next_request(channel), MACHNET_OK);
    if (mn_control_send(channel->control.socket, &question.header, NULL, 0) < 0) {
        atomic_store_explicit(&channel->control.growing, false, memory_order_release);
        mn_space_freed(channel); /* no answer will come: whoever waits asks again */
    }
}
