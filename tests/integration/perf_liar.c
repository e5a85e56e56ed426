/* SPDX-License-Identifier: MIT */
/*
 * integration_perf_liar ADDRESS HOW: the other side of `machnet perf`, doing it wrong. As a server, until it is killed:
 *   version   another version of the protocol
 *   corrupt   a changed byte in every tenth answer
 *   swallow   no answer from the hundredth request on
 *   silent    nothing at all
 * As a client:
 *   requests  ten requests, of which one has a changed byte, one is too short and one number is left out; prints what the server counted
 */
#include <machnet/machnet.h>

#include "tools/perf_pattern.h"
#include "tools/perf_protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static machnet_channel *channel;
static const char *how;

static void check(int32_t status, const char *what)
{
    if (status >= 0)
        return;
    fprintf(stderr, "integration_perf_liar: %s: %s\n", what, machnet_status_text(status));
    exit(1);
}

static void answer_control(const machnet_message *message, const struct perf_control *question)
{
    struct perf_control answer = {.version = PERF_VERSION, .type = PERF_READY};
    uint8_t bytes[PERF_CONTROL_BYTES];
    if (question->type == PERF_QUERY)
        answer.type = PERF_REPORT;
    if (strcmp(how, "version") == 0)
        answer.version++;
    perf_control_write(&answer, bytes);
    check(machnet_send_copy(channel, message->flow, bytes, sizeof bytes, message->tag, 0), "answer");
}

static void answer(const machnet_message *message, uint8_t *data)
{
    static uint64_t count;
    struct perf_control control;
    if (strcmp(how, "silent") == 0)
        return;
    if (perf_control_read(&control, message->tag, data, message->length)) {
        answer_control(message, &control);
        return;
    }
    count++;
    if (strcmp(how, "swallow") == 0 && count >= 100)
        return;
    if (strcmp(how, "corrupt") == 0 && count % 10 == 0)
        data[message->length - 1] ^= 1;
    check(machnet_send_copy(channel, message->flow, data, message->length, message->tag, 0), "answer");
}

static void serve(const machnet_address *address)
{
    static uint8_t data[65536];
    machnet_message message;
    machnet_event event;
    uint64_t listener;
    check(machnet_listener_open(channel, address, NULL, &listener, NULL), "listen");
    puts("listening");
    fflush(stdout);
    for (;;) {
        int32_t status = machnet_recv_copy(channel, MACHNET_ANY_FLOW, data, sizeof data, &message, 0);
        if (status == MACHNET_OK) {
            answer(&message, data);
            continue;
        }
        while (machnet_channel_events(channel, &event, 1, 0) == 1)
            continue;
        status = machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT, -1);
        if (status != MACHNET_EINTR)
            check(status, "wait");
    }
}

/* The next control message, passing over what else comes. */
static struct perf_control ask(uint64_t flow, const struct perf_control *question)
{
    struct perf_control control;
    machnet_message message;
    uint8_t data[256];
    perf_control_write(question, data);
    check(machnet_send_copy(channel, flow, data, PERF_CONTROL_BYTES, perf_tag(PERF_CONTROL, 0, 0), 0), "ask");
    for (;;) {
        int32_t status = machnet_recv_copy(channel, flow, data, sizeof data, &message, 0);
        if (status == MACHNET_EAGAIN)
            status = machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, 5000000000);
        else if (status == MACHNET_OK && perf_control_read(&control, message.tag, data, message.length))
            return control;
        check(status, "answer");
    }
}

static void request(const machnet_address *address)
{
    const struct perf_control hello = {
        .version = PERF_VERSION, .type = PERF_HELLO, .flags = PERF_FLAG_VERIFY, .values = {64}};
    const struct perf_control query = {.version = PERF_VERSION, .type = PERF_QUERY};
    uint8_t data[64];
    uint64_t flow;
    check(machnet_flow_open(channel, NULL, address, NULL, -1, &flow, NULL), "connect");
    ask(flow, &hello);
    for (uint64_t i = 0; i < 10; i++) {
        uint64_t tag = perf_tag(PERF_REQUEST, 0, i < 7 ? i : i + 1);
        perf_pattern_fill(data, sizeof data, perf_tag_seed(tag));
        data[63] ^= i == 3;
        check(machnet_send_copy(channel, flow, data, i == 5 ? 63 : 64, tag, 0), "send");
    }
    struct perf_control report = ask(flow, &query);
    printf("%d messages, %d errors\n", (int)report.values[PERF_MESSAGES], (int)report.values[PERF_ERRORS]);
}

int main(int argc, char **argv)
{
    machnet_context *context;
    machnet_address address;
    if (argc != 3 || machnet_address_parse(argv[1], &address) != MACHNET_OK)
        return fputs("usage: integration_perf_liar ADDRESS HOW\n", stderr), 2;
    how = argv[2];
    check(machnet_context_open(MACHNET_ABI_VERSION, NULL, &context, NULL), "attach");
    check(machnet_channel_open(context, NULL, &channel, NULL), "attach");
    if (strcmp(how, "requests") == 0)
        request(&address);
    else
        serve(&address);
    machnet_channel_unref(channel);
    machnet_context_unref(context);
    return 0;
}
