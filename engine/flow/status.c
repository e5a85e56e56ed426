/* SPDX-License-Identifier: MIT */
/* What can be seen of flows from outside. */
#include "flow/flow.h"

static const char *const state_names[] = {
    [FLOW_OPENING] = "opening", [FLOW_ACCEPTING] = "accepting", [FLOW_OPEN] = "open",
    [FLOW_CLOSING] = "closing", [FLOW_ENDED] = "ended",         [FLOW_GONE] = "ended",
};

static void endpoints(const struct flow *flow, struct transport_flow_info *info)
{
    info->udp_local = flow->path.local;
    info->udp_remote = flow->path.remote;
    info->local = flow->path.local;
    info->local.port = flow->local_port;
    info->remote = flow->path.remote;
    info->remote.port = flow->remote_port;
}

void transport_flow_info(const struct flow *flow, struct transport_flow_info *info)
{
    *info = (struct transport_flow_info){
        .state = state_names[flow->state],
        .owner = flow->owner,
        .srtt_ns = flow->tx.srtt,
        .rttvar_ns = flow->tx.rttvar,
        .window_packets = congestion_window(&flow->tx.congestion),
        .in_flight_packets = flow->tx.in_flight,
        .max_udp_payload = flow->peer ? send_max_payload(flow) : 0,
        .packets_sent = flow->packets_sent,
        .packets_received = flow->packets_received,
        .packets_lost = flow->packets_lost,
        .packets_retransmitted = flow->packets_retransmitted,
        .messages_sent = flow->messages_sent,
        .messages_received = flow->messages_received,
        .bytes_sent = flow->bytes_sent,
        .bytes_received = flow->bytes_received,
        .queued_bytes = flow->tx.queued_bytes,
    };
    endpoints(flow, info);
}

uint32_t transport_flows(const struct transport *transport, uint32_t max,
                         void (*visit)(void *arg, const struct flow *flow), void *arg)
{
    for (uint32_t i = 0, visited = 0; i < transport->flow_slots && visited < max; i++) {
        if (transport->flows[i]) {
            visit(arg, transport->flows[i]);
            visited++;
        }
    }
    return transport->flow_count;
}
