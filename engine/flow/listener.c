/* SPDX-License-Identifier: MIT */
/* Who accepts flows. */
#include "flow/flow.h"

#include <stdlib.h>

bool transport_listen(struct transport *transport, struct transport_owner *owner, const struct endpoint *local,
                      uint64_t id)
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        return false;
    }
    *listener = (struct listener){.local = *local, .id = id, .owner = owner};
    DL_APPEND(transport->listeners, listener);
    return true;
}

const struct listener *listener_find(const struct transport *transport, const struct endpoint *local)
{
    const struct listener *listener, *any = NULL;
    DL_FOREACH (transport->listeners, listener) {
        if (endpoint_equal(&listener->local, local)) {
            return listener;
        }
        if (listener->local.port == local->port && endpoint_ip_is_any(&listener->local)) {
            any = listener;
        }
    }
    return any;
}

void listeners_drop(struct transport *transport, const struct transport_owner *owner)
{
    struct listener *listener, *next;
    DL_FOREACH_SAFE (transport->listeners, listener, next) {
        if (!owner || listener->owner == owner) {
            DL_DELETE(transport->listeners, listener);
            free(listener);
        }
    }
}

void transport_unlisten(struct transport *transport, struct transport_owner *owner, uint64_t id)
{
    struct listener *listener, *next;
    DL_FOREACH_SAFE (transport->listeners, listener, next) {
        if (listener->owner == owner && listener->id == id) {
            DL_DELETE(transport->listeners, listener);
            free(listener);
        }
    }
    struct flow *flow, *following;
    DL_FOREACH_SAFE2(owner->flows, flow, following, owner_next)
    {
        if (flow->accepted_side && flow->listener == id && !flow->announced) {
            flow_drop_unannounced(flow, WIRE_REASON_NO_LISTENER, flow->peer ? flow->peer->heard : 0);
        }
    }
    transport_reap(transport);
}
