/* SPDX-License-Identifier: MIT */
/* What a worker says of itself for `machnet status`: copied on its own thread, made into text on the controller's. */
#ifndef MACHNET_ENGINE_STATUS_REPORT_H
#define MACHNET_ENGINE_STATUS_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel/layout.h"
#include "worker.h"

struct controller;

enum { STATUS_FLOWS_MAX = 1000 };

struct flow_report {
    struct transport_flow_info info;
    uint64_t channel; /* id */
};

struct channel_report {
    struct channel_info info; /* its name is at `name` */
    char name[MN_NAME_BYTES];
};

struct worker_report {
    struct worker_message command;
    struct worker_counters worker;
    struct nic_counters nic;
    struct transport_counters transport;
    uint32_t flow_total, flow_count; /* all there are, and those copied */
    uint32_t channel_count, channel_capacity;
    struct channel_report *channels;
    struct flow_report *flows; /* STATUS_FLOWS_MAX */
};

/* Runs on the worker's thread: fills `report` (a struct worker_report). */
void worker_report_fill(void *report, struct worker *worker);

/* The whole status as a JSON object; NULL if memory is short. The caller's to json_decref. */
json_t *status_json(const struct controller *controller, const struct worker_report *reports);

#endif /* MACHNET_ENGINE_STATUS_REPORT_H */
