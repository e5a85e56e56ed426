/* SPDX-License-Identifier: MIT */
/*
 * Who may send an INIT next. INITs are paced, and owners take turns: an application that opens thousands of flows to where nobody answers
 * delays neither the packets of others nor their opens.
 */
#include "flow/flow.h"

enum { INITS_PER_SECOND = 20000, INITS_BURST = 256 };

#define INIT_INTERVAL (UINT64_C(1000000000) / INITS_PER_SECOND)

void opening_append(struct flow *flow)
{
    struct transport *transport = flow->transport;
    struct transport_owner *owner = flow->owner;
    if (!owner->opening) {
        DL_APPEND2(transport->opening, owner, opening_prev, opening_next);
    }
    DL_APPEND2(owner->opening, flow, transmit_prev, transmit_next);
    flow->in_opening = true;
}

void opening_remove(struct flow *flow)
{
    struct transport *transport = flow->transport;
    struct transport_owner *owner = flow->owner;
    DL_DELETE2(owner->opening, flow, transmit_prev, transmit_next);
    flow->in_opening = false;
    if (!owner->opening) {
        DL_DELETE2(transport->opening, owner, opening_prev, opening_next);
    }
}

static bool init_allowed(struct transport *transport, uint64_t now)
{
    uint64_t earned = (now - transport->inits_refilled) / INIT_INTERVAL;
    transport->inits_refilled += earned * INIT_INTERVAL;
    transport->init_tokens = (uint32_t)min_u64(INITS_BURST, transport->init_tokens + min_u64(earned, INITS_BURST));
    if (transport->init_tokens == 0) {
        transport->inits_held_until = transport->inits_refilled + INIT_INTERVAL;
        return false;
    }
    return true;
}

/* The flow whose turn it is, and its owner's turn is over. */
static struct flow *next_flow(struct transport *transport)
{
    struct transport_owner *owner = transport->opening;
    struct flow *flow = owner->opening;
    flow_quiet(flow);
    if (owner->opening) {
        DL_DELETE2(transport->opening, owner, opening_prev, opening_next);
        DL_APPEND2(transport->opening, owner, opening_prev, opening_next);
    }
    return flow;
}

bool opening_ready(const struct transport *transport)
{
    return transport->opening && transport->inits_held_until == NEVER;
}

size_t opening_transmit(struct transport *transport, uint8_t *buffer, size_t capacity, struct transport_path *path,
                        uint64_t now)
{
    size_t length = 0;
    while (length == 0 && opening_ready(transport) && init_allowed(transport, now)) {
        struct flow *flow = next_flow(transport);
        length = handshake_transmit(flow, buffer, capacity, now);
        if (length > 0) {
            transport->init_tokens--;
            flow->packets_sent++;
            *path = flow->path;
            flow_timer(flow);
        }
    }
    return length;
}
