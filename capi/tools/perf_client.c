/* SPDX-License-Identifier: MIT */
/* A run: connect, greet, warm up, measure between two questions for processor time, report. */
#include "perf.h"

#include "perf_load.h"
#include "perf_protocol.h"
#include "perf_report.h"
#include "tools.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { INTERRUPTED = 130 };

/* What both sides had used and counted at one moment. */
struct snapshot {
    struct perf_cpu client, server;
    uint64_t messages, errors; /* of all flows, as the server counted */
};

struct client {
    struct perf *perf;
    struct perf_load *load;
    struct perf_result result;
};

static int fail(const struct client *client, int32_t status, const machnet_error *error)
{
    return perf_fail(client->perf->options.address_text, status, error);
}

static int open_flows(struct client *client)
{
    struct perf *perf = client->perf;
    uint64_t start = perf_now_ns();
    for (uint32_t i = 0; i < perf->options.flows && !perf_interrupted(); i++) {
        machnet_error error = {0};
        int32_t status = machnet_flow_open(perf->channel, NULL, &perf->options.address, NULL, -1,
                                           &client->load->flows[i].token, &error);
        if (status < 0 && !(status == MACHNET_EINTR && perf_interrupted()))
            return fail(client, status, &error);
    }
    client->result.connect_seconds = (double)(perf_now_ns() - start) / 1e9;
    return TOOL_OK;
}

/* ---- Questions to the server ---- */

/* The next control message on the flow. TOOL_OK, or why there is none was printed. */
static int take_control(const struct client *client, uint32_t flow, uint64_t until, struct perf_control *control)
{
    struct perf *perf = client->perf;
    uint8_t bytes[PERF_CONTROL_BYTES];
    machnet_message message;
    *control = (struct perf_control){0};
    int32_t status;
    while ((status = machnet_recv_copy(perf->channel, client->load->flows[flow].token, bytes, sizeof bytes,
                                       &message, 0)) == MACHNET_EAGAIN) {
        machnet_event events[16];
        if (perf_now_ns() >= until) {
            fprintf(stderr, "machnet perf: %s: no answer; is `machnet perf --listen` there?\n",
                    perf->options.address_text);
            return TOOL_FAILED;
        }
        status = perf_wait(perf, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT, 100000000);
        if (status < 0)
            break;
        machnet_channel_events(perf->channel, events, 16, 0); /* that a flow ended, receiving says too */
    }
    if (status < 0 && status != MACHNET_EMSGSIZE)
        return fail(client, status, NULL);
    if (status != MACHNET_OK || !perf_control_read(control, message.tag, bytes, message.length)) {
        fprintf(stderr, "machnet perf: %s: the peer is not `machnet perf --listen`\n", perf->options.address_text);
        return TOOL_FAILED;
    }
    if (control->version != PERF_VERSION) {
        fprintf(stderr, "machnet perf: %s: the peer speaks version %u of this measurement, we %u; use one release\n",
                perf->options.address_text, control->version, PERF_VERSION);
        return TOOL_FAILED;
    }
    return TOOL_OK;
}

static int ask(const struct client *client, uint32_t flow, const struct perf_control *question)
{
    uint8_t bytes[PERF_CONTROL_BYTES];
    perf_control_write(question, bytes);
    int32_t status =
        perf_send(client->perf, client->load->flows[flow].token, bytes, sizeof bytes, perf_tag(PERF_CONTROL, flow, 0));
    return status == MACHNET_OK ? TOOL_OK : fail(client, status, NULL);
}

static int take_answer(const struct client *client, uint32_t flow, uint16_t type, struct perf_control *answer)
{
    int result = take_control(client, flow, perf_now_ns() + PERF_STUCK_NS, answer);
    if (result == TOOL_OK && answer->type != type) {
        fprintf(stderr, "machnet perf: %s: the peer is not `machnet perf --listen`\n",
                client->perf->options.address_text);
        return TOOL_FAILED;
    }
    return result;
}

static int greet(const struct client *client)
{
    const struct perf_options *options = &client->perf->options;
    struct perf_control answer, hello = {.version = PERF_VERSION, .type = PERF_HELLO, .values = {options->size}};
    int result = TOOL_OK;
    hello.flags = options->verify ? PERF_FLAG_VERIFY : 0;
    for (uint32_t i = 0; i < options->flows && result == TOOL_OK; i++)
        result = ask(client, i, &hello);
    for (uint32_t i = 0; i < options->flows && result == TOOL_OK; i++)
        result = take_answer(client, i, PERF_READY, &answer);
    return result;
}

/* The counts of all flows: answered after all that was sent before. */
static int count(const struct client *client, struct snapshot *snapshot)
{
    const struct perf_options *options = &client->perf->options;
    struct perf_control answer, query = {.version = PERF_VERSION, .type = PERF_QUERY};
    int result = TOOL_OK;
    snapshot->messages = snapshot->errors = 0;
    for (uint32_t i = 0; i < options->flows && result == TOOL_OK; i++)
        result = ask(client, i, &query);
    for (uint32_t i = 0; i < options->flows && result == TOOL_OK; i++) {
        result = take_answer(client, i, PERF_REPORT, &answer);
        snapshot->messages += answer.values[PERF_MESSAGES];
        snapshot->errors += answer.values[PERF_ERRORS];
    }
    return result;
}

static int read_cpu(const struct client *client, struct snapshot *snapshot)
{
    struct perf_control answer, query = {.version = PERF_VERSION, .type = PERF_QUERY, .flags = PERF_FLAG_CPU};
    int result = ask(client, 0, &query);
    if (result == TOOL_OK)
        result = take_answer(client, 0, PERF_REPORT, &answer);
    if (result != TOOL_OK)
        return result;
    snapshot->server = (struct perf_cpu){
        .process_ns = answer.values[PERF_PROCESS_CPU_NS],
        .engine_ns = answer.values[PERF_ENGINE_CPU_NS],
        .engine_epoch = answer.values[PERF_ENGINE_EPOCH],
    };
    perf_cpu_read(client->perf, &snapshot->client);
    return TOOL_OK;
}

/* ---- The run ---- */

static double engine_used(const struct perf_cpu *before, const struct perf_cpu *after)
{
    if (before->engine_epoch == 0 || before->engine_epoch != after->engine_epoch)
        return NAN;
    return (double)(after->engine_ns - before->engine_ns);
}

static void conclude(struct client *client, const struct snapshot *before, const struct snapshot *after)
{
    struct perf_cpu_used *cpu = &client->result.cpu;
    cpu->client = (double)(after->client.process_ns - before->client.process_ns);
    cpu->server = (double)(after->server.process_ns - before->server.process_ns);
    cpu->engine = engine_used(&before->client, &after->client);
    cpu->peer_engine = engine_used(&before->server, &after->server);
    if (after->client.engine_epoch == after->server.engine_epoch && after->client.engine_epoch != 0)
        cpu->peer_engine = 0;
}

static int measure(struct client *client)
{
    const struct perf_options *options = &client->perf->options;
    struct perf_result *result = &client->result;
    struct perf_load *load = client->load;
    struct snapshot before = {0}, after = {0};
    if (count(client, &before) != TOOL_OK || read_cpu(client, &before) != TOOL_OK)
        return TOOL_FAILED;
    int32_t status = perf_load_run(load, options->duration);
    int outcome = status == MACHNET_OK ? count(client, &after) : fail(client, status, NULL);
    result->interrupted = perf_interrupted();
    result->messages = load->messages;
    result->unsent = load->unsent;
    result->errors = load->errors + (outcome == TOOL_OK ? after.errors - before.errors : 0);
    if (options->stream && outcome == TOOL_OK) {
        result->messages = after.messages - before.messages;
        load->end_ns = perf_now_ns();
    }
    result->seconds = (double)(load->end_ns - load->start_ns) / 1e9;
    result->cpu = (struct perf_cpu_used){NAN, NAN, NAN, NAN};
    if (outcome == TOOL_OK && read_cpu(client, &after) == TOOL_OK)
        conclude(client, &before, &after);
    bool written = options->json ? perf_report_json(result) : perf_report_table(result);
    if (!written)
        perror("machnet perf: standard output");
    return outcome == TOOL_OK && result->errors == 0 && written ? TOOL_OK : TOOL_FAILED;
}

static int run(struct client *client)
{
    const struct perf_options *options = &client->perf->options;
    int result = open_flows(client);
    if (result == TOOL_OK && !perf_interrupted())
        result = greet(client);
    if (result == TOOL_OK && options->warmup > 0 && !perf_interrupted()) {
        int32_t status = perf_load_run(client->load, options->warmup);
        if (status != MACHNET_OK)
            return fail(client, status, NULL);
        if (client->load->outstanding > 0) {
            fprintf(stderr, "machnet perf: %s: %llu messages were not answered in the warm-up\n", options->address_text,
                    (unsigned long long)client->load->outstanding);
            return TOOL_FAILED;
        }
    }
    if (result == TOOL_OK && perf_interrupted()) {
        fputs("machnet perf: interrupted before anything was measured\n", stderr);
        return INTERRUPTED;
    }
    return result == TOOL_OK ? measure(client) : result;
}

int perf_client(struct perf *perf)
{
    struct perf_load *load = malloc(sizeof *load);
    int result = TOOL_FAILED;
    if (load != NULL && perf_load_init(load, perf)) {
        struct client client = {
            .perf = perf,
            .load = load,
            .result = {.options = &perf->options, .round_trip = &load->round_trip, .late = &load->late},
        };
        result = run(&client);
    } else {
        perf_fail("start", MACHNET_ENOMEM, NULL);
    }
    if (load != NULL)
        perf_load_fini(load);
    free(load);
    return result;
}
