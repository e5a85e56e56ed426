/* SPDX-License-Identifier: MIT */
#include "client/client.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/connection.h"
#include "client/context.h"
#include "client/error.h"

static void channel_in_child(struct mn_handle *handle)
{
    struct machnet_channel *channel = (struct machnet_channel *)handle; /* its first member */
    int *const fds[] = {&channel->control.socket, &channel->epoll,     &channel->signal_fd,
                        &channel->engine_event,   &channel->notice.fd, &channel->wake.fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        mn_close_fds(fds[i], 1);
}

/* What header.closed says, as a status. */
static int32_t closed_status(uint32_t closed)
{
    return closed == (uint32_t)-MACHNET_EPROTOCOL ? MACHNET_EPROTOCOL : MACHNET_EENGINEGONE;
}

int32_t mn_gone(struct machnet_channel *channel)
{
    int32_t gone = atomic_load_explicit(&channel->shared.gone, memory_order_acquire);
    if (gone != MACHNET_OK)
        return gone;
    uint32_t closed = atomic_load_explicit(&channel->header->closed, memory_order_acquire);
    return closed == 0 ? MACHNET_OK : mn_end(channel, closed_status(closed));
}

int32_t mn_end(struct machnet_channel *channel, int32_t status)
{
    int32_t gone = MACHNET_OK;
    if (!atomic_compare_exchange_strong_explicit(&channel->shared.gone, &gone, status, memory_order_acq_rel,
                                                 memory_order_acquire))
        return gone;
    /* The descriptor itself is closed with the last reference: another thread may be using it. */
    (void)shutdown(channel->control.socket, SHUT_RDWR);
    mn_signal_raise(&channel->notice);
    return status;
}

void mn_hold(struct machnet_channel *channel)
{
    atomic_fetch_add_explicit(&channel->shared.holds, 1, memory_order_relaxed);
}

void mn_drop(struct machnet_channel *channel)
{
    /* acquire and release: whoever frees comes after all others' last use */
    if (atomic_fetch_sub_explicit(&channel->shared.holds, 1, memory_order_acq_rel) != 1)
        return;
    mn_handle_leave(&channel->handle);
    mn_detach(channel);
    free(channel);
}

void mn_wake_engine_slowly(struct machnet_channel *channel)
{
    const uint64_t one = 1;
    ssize_t written = write(channel->engine_event, &one, sizeof one);
    (void)written; /* the engine sees our end another way */
    atomic_fetch_add_explicit(&channel->shared.wakeups, 1, memory_order_relaxed);
}

static int32_t open_channel(const struct machnet_context *context, const machnet_options *options,
                            struct machnet_channel *channel, machnet_error *error)
{
    char path[MN_SOCKET_PATH_BYTES];

    __builtin_memcpy(path, context->path, sizeof path);
    int32_t status = mn_connection_open(path, &channel->control.socket, error);
    if (status == MACHNET_OK)
        status = mn_attach(channel, options, error);
    if (status < 0)
        return status;
    int os_error = mn_handle_enter(&channel->handle, channel_in_child);
    if (os_error != 0)
        return mn_fail(error, mn_status_of_errno(os_error), os_error,
                       "Cannot open the channel: a page of memory could not be "
                       "had (%s). Free some, then try again.",
                       mn_errno_text(os_error));
    return MACHNET_OK;
}

int32_t machnet_channel_open(machnet_context *context, const machnet_options *options, machnet_channel **channel,
                             machnet_error *error)
{
    if (context == NULL || channel == NULL)
        return mn_fail_argument(error, __func__, "a pointer is NULL");
    if (mn_handle_forked(&context->handle))
        return mn_fail(error, MACHNET_EFORKED, 0,
                       "Cannot open the channel: the context belongs to the parent of this process. "
                       "Open one here.");
    int32_t status = mn_options_check(options, MN_FOR_CHANNEL, "Cannot open the channel", error);
    if (status < 0)
        return status;
    struct machnet_channel *made = aligned_alloc(alignof(struct machnet_channel), sizeof *made);
    if (made == NULL)
        return mn_fail(error, MACHNET_ENOMEM, ENOMEM,
                       "Cannot open the channel: memory is short. Free some, then try again.");
    __builtin_memset(made, 0, sizeof *made);
    made->control.socket = made->epoll = made->signal_fd = made->engine_event = made->notice.fd = made->wake.fd = -1;
    made->shared.references = made->shared.holds = 1;
    pthread_mutex_init(&made->control.lock, NULL);
    pthread_mutex_init(&made->listeners.lock, NULL);
    pthread_mutex_init(&made->release.lock, NULL);
    atomic_flag_clear(&made->complete.busy);
    status = open_channel(context, options, made, error);
    if (status < 0) {
        mn_detach(made);
        free(made);
        return status;
    }
    *channel = made;
    return MACHNET_OK;
}

int32_t machnet_channel_ref(machnet_channel *channel)
{
    if (channel == NULL)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    atomic_fetch_add_explicit(&channel->shared.references, 1, memory_order_relaxed);
    return MACHNET_OK;
}

int32_t machnet_channel_shutdown(machnet_channel *channel)
{
    if (channel == NULL)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    mn_end(channel, MACHNET_ESHUTDOWN);
    return MACHNET_OK;
}

void machnet_channel_unref(machnet_channel *channel)
{
    if (channel == NULL || atomic_fetch_sub_explicit(&channel->shared.references, 1, memory_order_acq_rel) != 1)
        return;
    if (!mn_forked(channel))
        mn_end(channel, MACHNET_ESHUTDOWN);
    mn_drop(channel);
}

int32_t machnet_channel_fd(machnet_channel *channel)
{
    if (channel == NULL)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    if (atomic_load_explicit(&channel->shared.descriptor, memory_order_acquire))
        return channel->epoll;
    int32_t gone = mn_gone(channel);
    if (gone < 0)
        return gone;
    atomic_store_explicit(&channel->shared.descriptor, true, memory_order_release);
    atomic_store_explicit(&channel->shared.armed, 1, memory_order_relaxed);
    /* Whatever came before the engine was told to signal: the first poll returns at once, the calls after it do the rest. */
    mn_signal_raise(&channel->notice);
    return channel->epoll;
}

int32_t machnet_channel_wake(machnet_channel *channel)
{
    if (channel == NULL)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    /* The flag first: who sees it early and answers it leaves a readable descriptor behind at most, but not a second wake. */
    atomic_store_explicit(&channel->shared.woken, true, memory_order_release);
    mn_signal_raise(&channel->wake);
    return MACHNET_OK;
}
