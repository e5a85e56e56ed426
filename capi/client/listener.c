/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/address.h"
#include "client/client.h"
#include "client/error.h"
#include "client/options.h"

struct mn_listener {
    struct mn_listener *next;
    uint64_t token;
    machnet_address local; /* as the engine bound it */
};

void mn_listeners_fini(struct mn_listeners *listeners)
{
    while (listeners->first != NULL) {
        struct mn_listener *listener = listeners->first;
        listeners->first = listener->next;
        free(listener);
    }
}

static void remember(struct mn_listeners *listeners, struct mn_listener *listener)
{
    pthread_mutex_lock(&listeners->lock);
    listener->next = listeners->first;
    listeners->first = listener;
    pthread_mutex_unlock(&listeners->lock);
}

/* Under lock: where the pointer to the listener of this token is; *of it is NULL if there is none. */
static struct mn_listener **find(struct mn_listeners *listeners, uint64_t token)
{
    struct mn_listener **place = &listeners->first;
    while (*place != NULL && (*place)->token != token)
        place = &(*place)->next;
    return place;
}

static void forget(struct mn_listeners *listeners, uint64_t token)
{
    pthread_mutex_lock(&listeners->lock);
    struct mn_listener **place = find(listeners, token), *found = *place;
    if (found != NULL)
        *place = found->next;
    pthread_mutex_unlock(&listeners->lock);
    free(found);
}

static int32_t check_arguments(const machnet_channel *channel, const machnet_address *local,
                               const machnet_options *options, const uint64_t *listener, machnet_error *error)
{
    static const char function[] = "machnet_listener_open";

    if (channel == NULL || local == NULL || listener == NULL)
        return mn_fail_argument(error, function, "a pointer is NULL");
    if (!mn_address_is_sound(local))
        return mn_fail_argument(error, function, "a reserved field of the local address is not 0");
    if (mn_forked(channel))
        return mn_fail(error, MACHNET_EFORKED, 0,
                       "Cannot listen: the channel belongs to the parent of this process. Open one "
                       "here.");
    return mn_options_check(options, MN_FOR_LISTENER, "Cannot listen", error);
}

int32_t machnet_listener_open(machnet_channel *channel, const machnet_address *local, const machnet_options *options,
                              uint64_t *listener, machnet_error *error)
{
    int32_t status = check_arguments(channel, local, options, listener, error);
    if (status < 0)
        return status;
    struct mn_listener *made = calloc(1, sizeof *made);
    if (made == NULL)
        return mn_fail(error, MACHNET_ENOMEM, ENOMEM, "Cannot listen: memory is short. Free some, then try again.");
    struct mn_control_listen bound = {.port = local->port};
    memcpy(bound.ip, local->ip, sizeof bound.ip);
    status = mn_control_listen(channel, &bound, MN_CONTROL_LISTEN_REPLY, error);
    if (status < 0) {
        free(made);
        return status;
    }
    made->token = bound.listener;
    made->local.port = bound.port;
    memcpy(made->local.ip, bound.ip, sizeof made->local.ip);
    remember(&channel->listeners, made);
    *listener = bound.listener;
    return MACHNET_OK;
}

int32_t machnet_listener_address(machnet_channel *channel, uint64_t listener, machnet_address *local)
{
    if (channel == NULL || local == NULL)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    pthread_mutex_lock(&channel->listeners.lock);
    const struct mn_listener *found = *find(&channel->listeners, listener);
    if (found != NULL)
        *local = found->local;
    pthread_mutex_unlock(&channel->listeners.lock);
    return found != NULL ? MACHNET_OK : MACHNET_EBADTOKEN;
}

int32_t machnet_listener_close(machnet_channel *channel, uint64_t listener, uint32_t flags, machnet_error *error)
{
    if (channel == NULL)
        return mn_fail_argument(error, __func__, "channel is NULL");
    if (flags != 0)
        return mn_fail_argument(error, __func__, "flags is not 0");
    if (mn_forked(channel))
        return mn_fail(error, MACHNET_EFORKED, 0,
                       "Cannot close the listener: the channel belongs to the parent of this process.");
    struct mn_control_listen question = {.listener = listener};
    int32_t status = mn_control_listen(channel, &question, MN_CONTROL_UNLISTEN_REPLY, error);
    if (status == MACHNET_OK || status == MACHNET_EBADTOKEN)
        forget(&channel->listeners, listener);
    return status;
}
