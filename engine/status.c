/* SPDX-License-Identifier: MIT */
/*
 * STATUS: every worker copies what it knows, on its own thread; then all who asked before it began get the answer. One collection at a time
 * and a pause between them, so that asking without end costs the workers next to nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* A descriptor of a sealed copy of the text, one for each client: a shared one would share its file offset. */
static int seal_text(const char *text, size_t length)
{
    int fd = memfd_create("machnet-status", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    for (size_t done = 0; done < length;) {
        ssize_t written = write(fd, text + done, length - done);
        if (written < 0 && errno != EINTR)
            break;
        done += written > 0 ? (size_t)written : 0;
    }
    if (lseek(fd, 0, SEEK_CUR) != (off_t)length || lseek(fd, 0, SEEK_SET) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* `text` NULL: there is none for want of memory. */
static void answer(struct client *client, const char *text)
{
    struct mn_control_plain reply = {.value = 0};
    int fd = text != NULL ? seal_text(text, strlen(text)) : -1;
    client->status_waits = false;
    mn_control_prepare(&reply.header, MN_CONTROL_STATUS_REPLY, client->status_request,
                       fd >= 0 ? MACHNET_OK : MACHNET_ENOMEM);
    if (fd >= 0)
        reply.value = strlen(text);
    else
        (void)snprintf(reply.message, sizeof reply.message, "The engine has no memory for the answer. Try again.");
    client_send(client, &reply.header, &fd, fd >= 0 ? 1 : 0);
    if (fd >= 0)
        close(fd);
}

static void answer_all(struct status *status)
{
    json_t *json = status_json(status->controller, status->reports);
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    struct client *client, *next;
    json_decref(json);
    DL_FOREACH_SAFE (status->controller->clients, client, next) {
        if (client->status_waits && client->status_round <= status->round)
            answer(client, text);
    }
    free(text);
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
        if (client->status_waits)
            answer(client, NULL);
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
