/* SPDX-License-Identifier: MIT */
/* Opening and closing flows. */
#include <errno.h>
#include <string.h>

#include "client/address.h"
#include "client/connection.h"
#include "client/error.h"
#include "client/options.h"
#include "client/send.h"

enum { TAKE_DELIVERIES = 1024 };

/* The ring has room. */
static void submit_open(struct machnet_channel *channel, uint64_t flow, const machnet_address *local,
                        const machnet_address *remote, uint64_t timeout_ns)
{
    struct mn_ring *ring = &channel->send.submissions;
    struct mn_submission_open open = {
        .op = MN_OP_OPEN,
        .remote_port = remote->port,
        .flow = flow,
        .timeout_ns = timeout_ns,
    };

    memcpy(open.remote_ip, remote->ip, sizeof open.remote_ip);
    if (local != NULL) {
        open.local_port = local->port;
        if (!mn_address_is_any(local)) /* else 0.0.0.0 is as good as :: */
            memcpy(open.local_ip, local->ip, sizeof open.local_ip);
    }
    memcpy(mn_ring_entry(ring, 0), &open, sizeof open);
    mn_ring_advance(ring, 1);
    mn_submit(channel);
}

/* Send side; the ring has room. The flow is not the application's any more. */
static void close_flow(struct machnet_channel *channel, struct mn_flow *flow, uint8_t flags)
{
    struct mn_ring *ring = &channel->send.submissions;
    const struct mn_submission close = {
        .op = MN_OP_CLOSE,
        .flags = flags,
        .flow = atomic_load_explicit(&flow->token, memory_order_relaxed),
    };
    bool unread = atomic_load_explicit(&flow->messages_arrived, memory_order_relaxed) !=
                  atomic_load_explicit(&flow->messages_received, memory_order_relaxed);

    if (flow->sender_token == close.flow)
        mn_send_fed(channel, flow);
    flow->sender_token = 0;
    /* Before the engine learns of it: it may announce another flow at this index from then on. */
    mn_flow_finish(&channel->flows, flow, MN_FLOW_CLOSED);
    memcpy(mn_ring_entry(ring, 0), &close, sizeof close);
    mn_ring_advance(ring, 1);
    mn_submit(channel);
    /* From here on the receive side may recycle it. */
    mn_stack_push(&channel->shared.purges, flow, flow, next_purge);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with that in arm (wait.c) */
    if (unread && atomic_load_explicit(&channel->shared.armed, memory_order_relaxed) != 0)
        mn_signal_raise(&channel->notice);
}

int32_t machnet_flow_close(machnet_channel *channel, uint64_t flow, uint32_t flags)
{
    if (channel == NULL || (flags & ~(uint32_t)MACHNET_CLOSE_ABORT) != 0)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    int32_t gone = mn_gone(channel);
    if (gone < 0)
        return gone;
    struct mn_flow *found = mn_flow_usable(&channel->flows, flow);
    if (found == NULL)
        return MACHNET_EBADTOKEN;
    int64_t space = mn_ring_space(&channel->send.submissions, 1);
    if (space <= 0)
        return space == 0 ? MACHNET_EAGAIN : mn_broken(channel);
    close_flow(channel, found, (flags & MACHNET_CLOSE_ABORT) != 0 ? MN_CLOSE_ABORT : 0);
    return MACHNET_OK;
}

/* Both sides. Waits until the flow is open or has ended. MACHNET_OK: one of them. MACHNET_ETIMEDOUT, MACHNET_EINTR, gone. */
static int32_t wait_decided(struct machnet_channel *channel, struct mn_flow *flow, int64_t deadline_ns)
{
    int64_t poll_until_ns = mn_polls_until(channel, true, mn_now_ns(), deadline_ns);
    bool woken = false;
    int32_t status;

    for (;;) {
        status = mn_deliveries_take(channel, TAKE_DELIVERIES);
        if (status < 0)
            break;
        if ((atomic_load_explicit(&flow->state, memory_order_relaxed) & (MN_FLOW_OPEN | MN_FLOW_ENDED)) != 0) {
            status = MACHNET_OK;
            break;
        }
        if (status > 0)
            continue;
        status = mn_gone(channel);
        if (status < 0)
            break;
        /* A wake is for machnet_channel_wait: kept, but it must not keep us awake. */
        woken |= atomic_exchange_explicit(&channel->shared.woken, false, memory_order_acquire);
        status = mn_pause(channel, &poll_until_ns, deadline_ns);
        if (status < 0)
            break;
    }
    if (woken)
        machnet_channel_wake(channel);
    return status;
}

/* `os_error`: why this process failed; 0: it was another. */
static int32_t fail_open(int32_t status, int os_error, const machnet_address *local, const machnet_address *remote,
                         machnet_error *error)
{
    char text[MACHNET_ADDRESS_TEXT_MAX] = "?";
    const char *next;

    machnet_address_format(remote, text, sizeof text);
    if (status == MACHNET_EADDRNOTAVAIL && (local == NULL || mn_address_is_any(local))) {
        bool ipv4 = text[0] != '[';
        return mn_fail(
            error, status, 0,
            "Cannot open a flow to %s: the engine of this machine has no %s address. Use an %s address of the "
            "peer, or start machnetd with an --ip of each family.",
            text, ipv4 ? "IPv4" : "IPv6", ipv4 ? "IPv6" : "IPv4");
    }
    switch (status) {
    case MACHNET_EREFUSED:
        next = "Start the program that listens there, or check the port";
        break;
    case MACHNET_EUNREACHABLE:
    case MACHNET_ETIMEDOUT:
        next = "See whether machnetd runs there and uses the same --udp-port, and whether that port may pass";
        break;
    case MACHNET_EADDRNOTAVAIL:
        next = "As local address use none, or one that `machnet status` shows, of the peer's family";
        break;
    case MACHNET_EQUOTA:
        next = "Close some, or raise --quota-flows of the machnetd whose limit it is (machnet status)";
        break;
    case MACHNET_ENOMEM:
        next = os_error != 0 ? "Free some of this process, then try again" : "The engine of this machine has none left";
        break;
    case MACHNET_EVERSION:
        next = "Install machnetd of one release on both machines";
        break;
    case MACHNET_EAGAIN:
        next = "Too many requests are under way: call again";
        break;
    case MACHNET_EENGINEGONE:
    case MACHNET_EPROTOCOL:
    case MACHNET_ESHUTDOWN:
        next = "Open a new channel";
        break;
    default:
        next = "Try again";
        break;
    }
    return mn_fail(error, status, os_error, "Cannot open a flow to %s: %s. %s.", text, machnet_status_text(status),
                   next);
}

/* Waits for a flow that is under way; if it is not to be, it is closed without a word. *os_error: for MACHNET_ESYSTEM. */
static int32_t finish_open(struct machnet_channel *channel, struct mn_flow *flow, int64_t timeout_ns, int *os_error)
{
    int64_t now_ns = mn_now_ns();
    int64_t deadline_ns = timeout_ns < 0 ? -1 : timeout_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + timeout_ns;
    int32_t status = wait_decided(channel, flow, deadline_ns);
    *os_error = status == MACHNET_ESYSTEM ? errno : 0;
    uint32_t state = atomic_load_explicit(&flow->state, memory_order_relaxed);

    if (status == MACHNET_OK && (state & MN_FLOW_OPEN) == 0)
        status = atomic_load_explicit(&flow->status, memory_order_relaxed);
    if (status == MACHNET_OK) {
        atomic_fetch_and_explicit(&flow->state, ~(uint32_t)MN_FLOW_SILENT, memory_order_relaxed);
        if ((state & MN_FLOW_ENDED) != 0)
            mn_event_add(channel, flow, MN_PENDING_CLOSED);
    } else if (mn_gone(channel) == MACHNET_OK) {
        close_flow(channel, flow, MN_CLOSE_ABORT);
    }
    if (atomic_load_explicit(&channel->shared.descriptor, memory_order_relaxed) == false)
        atomic_store_explicit(&channel->shared.armed, 0, memory_order_relaxed);
    mn_settle(channel);
    return status;
}

int32_t machnet_flow_open(machnet_channel *channel, const machnet_address *local, const machnet_address *remote,
                          const machnet_options *options, int64_t timeout_ns, uint64_t *flow, machnet_error *error)
{
    const bool waits = timeout_ns != 0;
    const int64_t entries = waits ? 2 : 1; /* one for a CLOSE */
    struct mn_flow *made;

    if (channel == NULL || remote == NULL || flow == NULL)
        return mn_fail_argument(error, __func__, "a pointer is NULL");
    if (mn_address_is_any(remote) || remote->port == 0)
        return mn_fail_argument(error, __func__, "the remote address needs an IP address and a port");
    if (!mn_address_is_sound(remote) || (local != NULL && !mn_address_is_sound(local)))
        return mn_fail_argument(error, __func__, "a reserved field of an address is not 0");
    if (mn_forked(channel))
        return mn_fail(error, MACHNET_EFORKED, 0,
                       "Cannot open a flow: the channel belongs to the parent of this process. "
                       "Open one here.");
    int32_t status = mn_options_check(options, MN_FOR_FLOW, "Cannot open a flow", error);
    if (status < 0)
        return status;
    status = mn_gone(channel);
    if (status == MACHNET_OK) {
        int64_t space = mn_ring_space(&channel->send.submissions, (uint32_t)entries);
        if (space < entries)
            status = space < 0 ? mn_broken(channel) : MACHNET_EAGAIN;
    }
    if (status == MACHNET_OK)
        status = mn_flow_make(&channel->flows, waits ? MN_FLOW_SILENT : 0, &made);
    if (status != MACHNET_OK)
        return fail_open(status, status == MACHNET_ENOMEM ? ENOMEM : 0, local, remote, error);
    uint64_t token = atomic_load_explicit(&made->token, memory_order_relaxed);
    submit_open(channel, token, local, remote, mn_options_or_default(options)->open_timeout_ns);
    if (waits) {
        int os_error;
        status = finish_open(channel, made, timeout_ns, &os_error);
        if (status < 0)
            return fail_open(status, os_error, local, remote, error);
    }
    mn_count(&channel->send.flows_opened, 1);
    *flow = token;
    return MACHNET_OK;
}

int32_t machnet_flow_addresses(machnet_channel *channel, uint64_t flow, machnet_address *local, machnet_address *remote)
{
    if (channel == NULL)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    return mn_flow_read_addresses(&channel->flows, flow, local, remote);
}

int32_t machnet_flow_info_get(machnet_channel *channel, uint64_t flow, machnet_flow_info *info)
{
    if (channel == NULL || info == NULL)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    (void)mn_space_complete(channel); /* a sender that has stopped sending does not look */
    return mn_flow_describe(&channel->flows, flow, info);
}
