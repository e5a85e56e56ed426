/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "client/client.h"
#include "client/error.h"

int32_t machnet_listener_open(machnet_channel *channel, const machnet_address *local, const machnet_options *options,
                              uint64_t *listener, machnet_error *error)
{
    (void)options; /* no option of a listener yet */
    if (channel == NULL || local == NULL || listener == NULL)
        return mn_fail_argument(error, __func__, "a pointer is NULL");
    if (local->port == 0)
        return mn_fail_argument(error, __func__, "the local address needs a port");
    if (mn_forked(channel))
        return mn_fail(error, MACHNET_EFORKED, 0,
                       "Cannot listen: the channel belongs to the parent of this process. Open one "
                       "here.");
    struct mn_control_listen question = {.port = local->port};
    memcpy(question.ip, local->ip, sizeof question.ip);
    int32_t status = mn_control_listen(channel, &question, MN_CONTROL_LISTEN_REPLY, error);
    if (status == MACHNET_OK)
        *listener = question.listener;
    return status;
}

int32_t machnet_listener_close(machnet_channel *channel, uint64_t listener)
{
    if (channel == NULL)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    struct mn_control_listen question = {.listener = listener};
    return mn_control_listen(channel, &question, MN_CONTROL_UNLISTEN_REPLY, NULL);
}
