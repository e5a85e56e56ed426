/* SPDX-License-Identifier: MIT */
#include "status_report.h"

#include <stdio.h>

static void copy_flow(void *arg, const struct flow *flow)
{
    struct worker_report *report = arg;
    if (report->flow_count == STATUS_FLOWS_MAX)
        return;
    struct flow_report *copy = &report->flows[report->flow_count++];
    transport_flow_info(flow, &copy->info);
    if (copy->info.owner != NULL) {
        struct channel_info channel;
        channel_info(channel_of_owner(copy->info.owner), &channel);
        copy->channel = channel.id;
    }
}

static void copy_channel(void *arg, const struct channel *channel)
{
    struct worker_report *report = arg;
    if (report->channel_count == report->channel_capacity)
        return;
    struct channel_report *copy = &report->channels[report->channel_count++];
    channel_info(channel, &copy->info);
    (void)snprintf(copy->name, sizeof copy->name, "%s", copy->info.name);
    copy->info.name = copy->name;
}

void worker_report_fill(void *arg, struct worker *worker)
{
    struct worker_report *report = arg;
    worker_counters(worker, &report->worker);
    report->nic = *worker_nic_counters(worker);
    report->transport = *transport_counters(worker_transport(worker));
    report->flow_total = transport_flows(worker_transport(worker), STATUS_FLOWS_MAX, copy_flow, report);
    worker_channels(worker, copy_channel, report);
}
