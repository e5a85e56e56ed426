/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "controller_internal.h"
#include "status_report.h"

/* jansson's setters take NULL for a value that found no memory and fail; a value that is missing is no harm here. */
static void put(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

static void put_number(json_t *object, const char *key, uint64_t value)
{
    put(object, key, json_integer((json_int_t)value));
}

static void put_endpoint(json_t *object, const char *key, const struct endpoint *endpoint)
{
    char text[ADDRESS_TEXT_BYTES];
    put(object, key, json_string(address_format(endpoint, text)));
}

#define PUT(object, from, field) put_number(object, #field, (from)->field)

static json_t *nic_json(const struct nic_counters *nic)
{
    json_t *json = json_object();
#define X(name) PUT(json, nic, name);
    NIC_COUNTERS(X)
#undef X
    return json;
}

static json_t *worker_json(uint32_t index, const struct worker_report *report)
{
    json_t *json = json_object(), *transport = json_object();
    put_number(json, "index", index);
    PUT(json, &report->worker, loops);
    PUT(json, &report->worker, busy_loops);
    PUT(json, &report->worker, sleeps);
    PUT(json, &report->worker, wakeups);
    PUT(json, &report->worker, handed_over);
    PUT(json, &report->worker, handed_in);
    PUT(json, &report->worker, handover_dropped);
    PUT(json, &report->worker, cpu_ns);
    put_number(json, "flows", report->flow_total);
    put(json, "nic", nic_json(&report->nic));
#define X(name) put_number(transport, #name, report->transport.name);
    TRANSPORT_COUNTERS(X)
#undef X
    put(json, "transport", transport);
    return json;
}

static json_t *channel_json(uint32_t worker, const struct channel_report *report)
{
    const struct channel_info *info = &report->info;
    json_t *json = json_object();
    PUT(json, info, id);
    put(json, "name", json_string(report->name));
    PUT(json, info, pid);
    PUT(json, info, uid);
    put_number(json, "worker", worker);
    PUT(json, info, flows);
    PUT(json, info, send_bytes);
    PUT(json, info, receive_bytes);
    PUT(json, info, receive_used_bytes);
    PUT(json, info, lent_extents);
    PUT(json, info, messages_sent);
    PUT(json, info, messages_received);
    PUT(json, info, bytes_sent);
    PUT(json, info, bytes_received);
    PUT(json, info, submissions);
    PUT(json, info, wakeups);
    return json;
}

static json_t *flow_json(const struct flow_report *report)
{
    const struct transport_flow_info *info = &report->info;
    json_t *json = json_object();
    put_endpoint(json, "local", &info->local);
    put_endpoint(json, "remote", &info->remote);
    put_endpoint(json, "udp_local", &info->udp_local);
    put_endpoint(json, "udp_remote", &info->udp_remote);
    put(json, "state", json_string(info->state));
    put_number(json, "channel", report->channel);
    put(json, "srtt_us", json_real((double)info->srtt_ns / 1000));
    put(json, "rttvar_us", json_real((double)info->rttvar_ns / 1000));
    PUT(json, info, window_packets);
    PUT(json, info, in_flight_packets);
    PUT(json, info, max_udp_payload);
    PUT(json, info, packets_sent);
    PUT(json, info, packets_received);
    PUT(json, info, packets_lost);
    PUT(json, info, packets_retransmitted);
    PUT(json, info, messages_sent);
    PUT(json, info, messages_received);
    PUT(json, info, bytes_sent);
    PUT(json, info, bytes_received);
    PUT(json, info, queued_bytes);
    return json;
}

/* Channels of one process, user and name are one application. */
static json_t *applications_json(const struct controller *controller)
{
    json_t *list = json_array(), *known = json_object();
    const struct client *client;
    DL_FOREACH (controller->clients, client) {
        char key[96];
        if (client->state != CLIENT_ATTACHED)
            continue;
        (void)snprintf(key, sizeof key, "%" PRIu32 ":%" PRIu32 ":%s", client->uid, client->pid, client->memory.name);
        json_t *application = json_object_get(known, key);
        if (application == NULL) {
            application = json_object();
            put_number(application, "pid", client->pid);
            put_number(application, "uid", client->uid);
            put(application, "name", json_string(client->memory.name));
            put(application, "channels", json_array());
            (void)json_array_append_new(list, application);
            (void)json_object_set(known, key, application);
        }
        (void)json_array_append_new(json_object_get(application, "channels"), json_integer((json_int_t)client->id));
    }
    json_decref(known);
    return list;
}

static void add_listener(void *arg, const struct listener *listener)
{
    const struct client_listener *own = (const struct client_listener *)(const void *)listener;
    json_t *json = json_object();
    char local[ADDRESS_TEXT_BYTES];
    if (endpoint_ip_is_any(&listener->local))
        (void)snprintf(local, sizeof local, ":%u", listener->local.port);
    else
        address_format(&listener->local, local);
    put(json, "local", json_string(local));
    put_number(json, "channel", own->client->id);
    (void)json_array_append_new(arg, json);
}

static void add_user(void *arg, const struct quota_user *user)
{
    json_t *json = json_object();
    put_number(json, "uid", user->uid);
    put_number(json, "connections", user->used[QUOTA_CONNECTIONS]);
    put_number(json, "channels", user->used[QUOTA_CHANNELS]);
    put_number(json, "channels_max", user->limit[QUOTA_CHANNELS]);
    put_number(json, "bytes", user->used[QUOTA_BYTES]);
    put_number(json, "bytes_max", user->limit[QUOTA_BYTES]);
    put_number(json, "listeners", user->used[QUOTA_LISTENERS]);
    put_number(json, "listeners_max", user->limit[QUOTA_LISTENERS]);
    put_number(json, "flows", atomic_load_explicit(&user->flows.used, memory_order_relaxed));
    put_number(json, "flows_max", user->flows.limit);
    (void)json_array_append_new(arg, json);
}

static void put_workers(json_t *json, const struct controller *controller, const struct worker_report *reports)
{
    json_t *workers = json_array(), *channels = json_array(), *flows = json_array();
    uint64_t flow_total = 0;
    for (uint32_t i = 0; i < controller->config.worker_count; i++) {
        const struct worker_report *report = &reports[i];
        flow_total += report->flow_total;
        (void)json_array_append_new(workers, worker_json(i, report));
        for (uint32_t j = 0; j < report->channel_count; j++)
            (void)json_array_append_new(channels, channel_json(i, &report->channels[j]));
        for (uint32_t j = 0; j < report->flow_count && json_array_size(flows) < STATUS_FLOWS_MAX; j++)
            (void)json_array_append_new(flows, flow_json(&report->flows[j]));
    }
    put(json, "workers", workers);
    put(json, "channels", channels);
    put_number(json, "flow_count", flow_total);
    put(json, "flows", flows);
}

static void put_engine(json_t *json, const struct controller *controller)
{
    const struct path_table *paths = controller->config.paths;
    json_t *addresses = json_array();
    char text[ADDRESS_TEXT_BYTES];
    put(json, "version", json_string(MACHNET_PACKAGE_VERSION));
    put_number(json, "pid", (uint64_t)getpid());
    put_number(json, "uptime_seconds", (clock_now_ns() - controller->start_ns) / CLOCK_SECOND_NS);
    (void)snprintf(text, sizeof text, "%016" PRIx64, controller->config.epoch);
    put(json, "epoch", json_string(text));
    put(json, "nic", json_string(controller->config.nic));
    if (controller->config.congestion != NULL)
        put(json, "congestion", json_string(controller->config.congestion));
    for (uint32_t i = 0; i < paths->address_count; i++)
        (void)json_array_append_new(addresses, json_string(address_format_ip(&paths->addresses[i], text)));
    put(json, "addresses", addresses);
    put_number(json, "udp_port", paths->udp_port);
}

json_t *status_json(const struct controller *controller, const struct worker_report *reports)
{
    json_t *json = json_object(), *listeners = json_array(), *users = json_array(), *counters = json_object();
    put_engine(json, controller);
    put_workers(json, controller, reports);
    put(json, "applications", applications_json(controller));
    listeners_each(controller->listeners, add_listener, listeners);
    put(json, "listeners", listeners);
    quota_each(controller->quota, add_user, users);
    put(json, "users", users);
#define X(name) put_number(counters, #name, controller->counters.name);
    CONTROLLER_COUNTERS(X)
#undef X
    put(json, "counters", counters);
    return json;
}
