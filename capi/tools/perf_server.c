/* SPDX-License-Identifier: MIT */
#include "perf.h"

#include "perf_pattern.h"
#include "perf_protocol.h"
#include "tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

struct served {
    uint64_t flow; /* token */
    bool greeted, verify;
    uint64_t size;
    uint64_t messages, errors, next; /* next: number expected */
    UT_hash_handle hh;
};

struct server {
    struct perf *perf;
    struct served *flows, *last; /* last: the one looked up last */
    bool had_client;
    machnet_record records[PERF_BATCH];
    uint32_t answers; /* records[0 .. answers) of a batch are to be sent back */
    uint8_t *arena;
    uint64_t arena_bytes;
};

static struct served *find(struct server *server, uint64_t flow)
{
    if (server->last != NULL && server->last->flow == flow)
        return server->last;
    HASH_FIND(hh, server->flows, &flow, sizeof flow, server->last);
    return server->last;
}

static void add_flow(struct server *server, uint64_t flow)
{
    struct served *served = calloc(1, sizeof *served);
    if (served == NULL) {
        perf_fail("a client was refused", MACHNET_ENOMEM, NULL);
        machnet_flow_close(server->perf->channel, flow, MACHNET_CLOSE_ABORT);
        return;
    }
    served->flow = flow;
    HASH_ADD(hh, server->flows, flow, sizeof served->flow, served);
}

static void forget(struct server *server, uint64_t flow, uint32_t close_flags)
{
    struct served *served = find(server, flow);
    machnet_flow_close(server->perf->channel, flow, close_flags);
    server->last = NULL;
    if (served == NULL)
        return;
    HASH_DEL(server->flows, served);
    free(served);
}

static void drop(struct server *server, uint64_t flow, const char *why)
{
    machnet_address remote;
    char text[MACHNET_ADDRESS_TEXT_MAX] = "a client";
    if (machnet_flow_addresses(server->perf->channel, flow, NULL, &remote) == MACHNET_OK)
        machnet_address_format(&remote, text, sizeof text);
    fprintf(stderr, "machnet perf: %s: dropped: %s\n", text, why);
    forget(server, flow, MACHNET_CLOSE_ABORT);
}

/* ---- Messages ---- */

static void answer_control(struct server *server, struct served *served, const struct perf_control *control)
{
    struct perf_control answer = {.version = PERF_VERSION, .type = PERF_READY};
    uint8_t bytes[PERF_CONTROL_BYTES];
    if (control->type == PERF_HELLO && control->version == PERF_VERSION) {
        served->greeted = server->had_client = true;
        served->verify = (control->flags & PERF_FLAG_VERIFY) != 0;
        served->size = control->values[0];
    } else if (control->type == PERF_QUERY && served->greeted) {
        struct perf_cpu cpu = {0};
        if ((control->flags & PERF_FLAG_CPU) != 0)
            perf_cpu_read(server->perf, &cpu);
        answer.type = PERF_REPORT;
        answer.values[PERF_MESSAGES] = served->messages;
        answer.values[PERF_ERRORS] = served->errors;
        answer.values[PERF_PROCESS_CPU_NS] = cpu.process_ns;
        answer.values[PERF_ENGINE_CPU_NS] = cpu.engine_ns;
        answer.values[PERF_ENGINE_EPOCH] = cpu.engine_epoch;
    }
    perf_control_write(&answer, bytes);
    /* A flow that has ended meanwhile tells that itself; a client that is stuck does without. */
    perf_send(server->perf, served->flow, bytes, sizeof bytes, perf_tag(PERF_CONTROL, 0, 0));
}

static void take_load(struct server *server, struct served *served, const machnet_record *record)
{
    uint32_t kind = perf_tag_kind(record->tag);
    served->messages++;
    if (record->length != served->size || perf_tag_number(record->tag) != served->next ||
        (served->verify &&
         !perf_pattern_check(server->arena + record->offset, record->length, perf_tag_seed(record->tag))))
        served->errors++;
    served->next = perf_tag_number(record->tag) + 1;
    if (kind == PERF_STREAM)
        return;
    machnet_record *answer = &server->records[server->answers++];
    *answer = *record;
    if (kind == PERF_PROBE)
        answer->length = 0;
}

static void take_message(struct server *server, const machnet_record *record)
{
    struct served *served = find(server, record->flow);
    struct perf_control control;
    uint32_t kind = perf_tag_kind(record->tag);
    if (served == NULL) /* dropped, with more in the same batch */
        return;
    if (served->greeted && kind >= PERF_REQUEST && kind <= PERF_PROBE)
        take_load(server, served, record);
    else if (perf_control_read(&control, record->tag, server->arena + record->offset, record->length))
        answer_control(server, served, &control);
    else
        drop(server, record->flow, "it is not `machnet perf`");
}

/* ---- Turns ---- */

/* MACHNET_OK, or why the channel is gone. */
static int32_t take_events(struct server *server)
{
    machnet_event events[16];
    int32_t count;
    while ((count = machnet_channel_events(server->perf->channel, events, 16, 0)) > 0) {
        for (int32_t i = 0; i < count; i++) {
            if (events[i].type == MACHNET_EVENT_ACCEPTED)
                add_flow(server, events[i].flow);
            else if (events[i].type == MACHNET_EVENT_CLOSED)
                forget(server, events[i].flow, 0);
        }
    }
    return count == MACHNET_EAGAIN ? MACHNET_OK : count;
}

static bool channel_is_gone(int32_t status)
{
    return status == MACHNET_ESHUTDOWN || status == MACHNET_EENGINEGONE || status == MACHNET_EPROTOCOL;
}

static int32_t send_answers(struct server *server)
{
    struct perf *perf = server->perf;
    uint64_t moved_ns = 0;
    for (uint32_t at = 0; at < server->answers;) {
        int32_t sent = machnet_send_packed(perf->channel, server->records + at, server->answers - at, server->arena,
                                           server->arena_bytes, 0);
        if (channel_is_gone(sent))
            return sent;
        if (sent == MACHNET_EAGAIN && perf_interrupted())
            return MACHNET_OK;
        if (sent != MACHNET_EAGAIN) {
            at += sent > 0 ? (uint32_t)sent : 1; /* an answer to a flow that has ended is left out */
            moved_ns = 0;
            continue;
        }
        uint64_t now = perf_now_ns();
        moved_ns = moved_ns == 0 ? now : moved_ns;
        if (now - moved_ns >= PERF_STUCK_NS)
            drop(server, server->records[at].flow, "it takes no answers");
        else
            perf_wait(perf, MACHNET_WAIT_SEND, 100000000);
    }
    return MACHNET_OK;
}

static bool grow_arena(struct server *server, uint64_t bytes)
{
    uint8_t *larger = realloc(server->arena, bytes);
    if (larger == NULL)
        return false;
    server->arena = larger;
    server->arena_bytes = bytes;
    return true;
}

/* MACHNET_OK, or why it cannot go on. */
static int32_t answer_some(struct server *server)
{
    struct perf *perf = server->perf;
    int32_t count = machnet_recv_packed(perf->channel, MACHNET_ANY_FLOW, server->records, PERF_BATCH, server->arena,
                                        server->arena_bytes, 0);
    if (count == MACHNET_EMSGSIZE)
        return grow_arena(server, server->records[0].length) ? MACHNET_OK : MACHNET_ENOMEM;
    if (count < 0)
        return count == MACHNET_EAGAIN ? MACHNET_OK : count;
    server->answers = 0;
    for (int32_t i = 0; i < count; i++) {
        machnet_record record = server->records[i]; /* answers take its place */
        take_message(server, &record);
    }
    return send_answers(server);
}

/* Events first: a flow is announced before its messages. As answer_some. */
static int32_t turn(struct server *server)
{
    int32_t held = perf_wait(server->perf, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT, 1000000000);
    if (held < 0)
        return held;
    int32_t status = (held & MACHNET_WAIT_EVENT) != 0 ? take_events(server) : MACHNET_OK;
    if (status == MACHNET_OK && held != 0)
        status = answer_some(server);
    return status;
}

static int serve(struct server *server)
{
    struct perf *perf = server->perf;
    machnet_error error = {0};
    uint64_t listener;
    int32_t status = take_events(server); /* from here on flows are announced before their messages */
    if (status == MACHNET_OK)
        status = machnet_listener_open(perf->channel, &perf->options.address, NULL, &listener, &error);
    if (status < 0)
        return perf_fail(perf->options.address_text, status, &error);
    fprintf(stderr, "machnet perf: serving at %s\n", perf->options.address_text);
    while (!perf_interrupted() && !(perf->options.once && server->had_client && server->flows == NULL)) {
        status = turn(server);
        if (status < 0)
            return perf_fail("serve", status, NULL);
    }
    return TOOL_OK;
}

int perf_server(struct perf *perf)
{
    struct server *server = calloc(1, sizeof *server);
    struct served *served, *next;
    int result = TOOL_FAILED;
    if (server != NULL && grow_arena(server, PERF_ARENA_BYTES)) {
        server->perf = perf;
        result = serve(server);
    } else {
        perf_fail("start", MACHNET_ENOMEM, NULL);
    }
    if (server != NULL) {
        HASH_ITER(hh, server->flows, served, next)
        {
            HASH_DEL(server->flows, served);
            free(served);
        }
        free(server->arena);
    }
    free(server);
    return result;
}
