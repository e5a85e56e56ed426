/* SPDX-License-Identifier: MIT */
/*
 * STATUS: every worker copies what it knows, on its own thread; then all who asked before it began get the answer. One collection at a time
 * and a pause between them, so that asking without end costs the workers next to nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller_internal.h"
#include "status_report.h"

enum { PAUSE_US = 5000, CHANNELS_SLACK = 16 };

struct status {
    struct controller *controller;
    struct event pause;
    uint64_t round;   /* of the collection under way, or of the last one */
    uint32_t missing; /* workers that have not reported */
    bool pausing;
    struct worker_report reports[CONTROLLER_WORKERS_MAX];
};

static void collect(struct status *status);

static bool anyone_waits(const struct status *status)
{
    const struct client *client;
    DL_FOREACH (status->controller->clients, client) {
        if (client->status_waits)
            return true;
    }
    return false;
}

static void on_pause_over(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct status *status = arg;
    status->pausing = false;
    if (anyone_waits(status))
        collect(status);
}

struct status *status_new(struct controller *controller)
{
    struct status *status = calloc(1, sizeof *status);
    if (status == NULL)
        return NULL;
    status->controller = controller;
    evtimer_assign(&status->pause, controller->base, on_pause_over, status);
    return status;
}

static void free_reports(struct status *status)
{
    for (uint32_t i = 0; i < CONTROLLER_WORKERS_MAX; i++) {
        free(status->reports[i].channels);
        free(status->reports[i].flows);
        status->reports[i] = (struct worker_report){.flows = NULL};
    }
}

void status_free(struct status *status)
{
    if (status == NULL)
        return;
    event_del(&status->pause);
    free_reports(status);
    free(status);
}

/* ---- Answering ---- */

/* A memfd would be simpler, but its pages would count as ours as long as a client keeps it. So the text goes through the socket, and one that
 * several clients get is here once. */
struct status_text {
    uint32_t holders;
    size_t length;
    char *bytes;
};

static struct status_text *text_new(const json_t *json)
{
    struct status_text *text = calloc(1, sizeof *text);
    char *bytes = text != NULL && json != NULL ? json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    if (bytes == NULL) {
        free(text);
        return NULL;
    }
    *text = (struct status_text){.holders = 1, .length = strlen(bytes), .bytes = bytes};
    return text;
}

static void text_let_go(struct status_text *text)
{
    if (text == NULL || --text->holders > 0)
        return;
    free(text->bytes);
    free(text);
}

void status_abandon(struct client *client)
{
    client->status_waits = false;
    event_del(&client->writable);
    text_let_go(client->status_text);
    client->status_text = NULL;
}

static int send_piece(const struct client *client)
{
    struct {
        struct mn_control_header header;
        char text[MN_CONTROL_TEXT_MAX];
    } message;
    size_t left = client->status_text->length - client->status_sent;
    size_t piece = left < sizeof message.text ? left : sizeof message.text;
    mn_control_prepare(&message.header, MN_CONTROL_STATUS_TEXT, client->status_request, MACHNET_OK);
    message.header.length = (uint16_t)(sizeof message.header + piece);
    memcpy(message.text, client->status_text->bytes + client->status_sent, piece);
    int error = mn_control_send(client->socket, &message.header, NULL, 0);
    return error < 0 ? error : (int)piece;
}

/* Sends on, as far as the socket takes it. Who does not read it all in time is closed. */
static void send_text(struct client *client)
{
    while (client->status_sent < client->status_text->length) {
        int sent = send_piece(client);
        if (sent == -EAGAIN) {
            event_add(&client->writable, NULL);
            return;
        }
        if (sent < 0) {
            client_close(client, MACHNET_EPROTOCOL, NULL);
            return;
        }
        client->status_sent += (size_t)sent;
    }
    client_set_deadline(client, false);
    status_abandon(client);
}

static void on_writable(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct client *client = arg;
    client_hold(client);
    send_text(client);
    client_let_go(client);
}

void status_init(struct client *client)
{
    event_assign(&client->writable, client->controller->base, client->socket, EV_WRITE, on_writable, client);
}

/* `text` NULL: there is none for want of memory. */
static void answer(struct client *client, struct status_text *text)
{
    struct mn_control_plain reply = {.value = text != NULL ? text->length : 0};
    client->status_waits = false;
    mn_control_prepare(&reply.header, MN_CONTROL_STATUS_REPLY, client->status_request,
                       text != NULL ? MACHNET_OK : MACHNET_ENOMEM);
    if (text == NULL)
        (void)snprintf(reply.message, sizeof reply.message, "The engine has no memory for the answer. Try again.");
    client_send(client, &reply.header, NULL, 0);
    if (text == NULL || client->state == CLIENT_CLOSING)
        return;
    text->holders++;
    client->status_text = text;
    client->status_sent = 0;
    client_set_deadline(client, true);
    send_text(client);
}

static void answer_all(struct status *status)
{
    json_t *json = status_json(status->controller, status->reports);
    struct status_text *text = text_new(json);
    struct client *client, *next;
    json_decref(json);
    DL_FOREACH_SAFE (status->controller->clients, client, next) {
        if (!client->status_waits || client->status_round > status->round)
            continue;
        client_hold(client);
        answer(client, text);
        client_let_go(client);
    }
    text_let_go(text);
}

/* ---- Collecting ---- */

static void end_collection(struct status *status)
{
    const struct timeval pause = {.tv_usec = PAUSE_US};
    answer_all(status);
    free_reports(status);
    status->pausing = true;
    evtimer_add(&status->pause, &pause);
}

static void reported(struct worker_message *command)
{
    struct status *status = command->user;
    if (--status->missing == 0)
        end_collection(status);
}

static bool make_reports(struct status *status)
{
    const struct controller *controller = status->controller;
    for (uint32_t i = 0; i < controller->config.worker_count; i++) {
        struct worker_report *report = &status->reports[i];
        report->channel_capacity = controller->client_count + CHANNELS_SLACK;
        report->channels = calloc(report->channel_capacity, sizeof *report->channels);
        report->flows = calloc(STATUS_FLOWS_MAX, sizeof *report->flows);
        if (report->channels == NULL || report->flows == NULL)
            return false;
    }
    return true;
}

static void answer_without_text(struct status *status)
{
    struct client *client, *next;
    DL_FOREACH_SAFE (status->controller->clients, client, next) {
        if (!client->status_waits)
            continue;
        client_hold(client);
        answer(client, NULL);
        client_let_go(client);
    }
}

static void collect(struct status *status)
{
    struct controller *controller = status->controller;
    if (!make_reports(status)) {
        free_reports(status);
        answer_without_text(status);
        return;
    }
    status->round++;
    status->missing = controller->config.worker_count;
    for (uint32_t i = 0; i < controller->config.worker_count; i++) {
        struct worker_report *report = &status->reports[i];
        report->command = (struct worker_message){
            .type = WORKER_STATUS,
            .user = status,
            .report = worker_report_fill,
            .report_arg = report,
            .done = reported,
        };
        worker_post(controller->config.workers[i], &report->command);
    }
}

void status_request(struct client *client, const struct mn_control_plain *message)
{
    struct status *status = client->controller->status;
    if (client->status_waits) {
        client_malformed(client, "The status was asked for again before it was answered.");
        return;
    }
    client->controller->counters.status_requests++;
    client->status_waits = true;
    client->status_request = message->header.request;
    client->status_round = status->round + 1;
    if (status->missing == 0 && !status->pausing)
        collect(status);
}
