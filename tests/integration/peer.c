/* SPDX-License-Identifier: MIT */
/*
 * A program of the public ABI that tests drive: `integration_peer serve ADDRESS [OPTION]...` accepts flows,
 * `integration_peer send ADDRESS... [OPTION]...` opens some, to each address in turn. It says what happens as JSON lines on stdout, and
 * obeys commands on stdin:
 *   pause [FLOW], resume [FLOW]   stop and go on reading, of one flow (counted from 0) or of all
 *   hold                          from here on borrow and keep, as with --hold
 *   release                       give back what was kept, and hold no more
 *   report                        print the counts
 *   more [FLOW [N]]               send one message more, or N
 *   enough [FLOW]                 send no more than what was sent
 *   close, abort                  close all flows
 *   quit                          end now; end of file does the same
 * Every message is checked: see content.h. Exit status: 0 all went well, 1 something failed, 3 the channel is gone.
 */
#include "content.h"

#include <machnet/machnet.h>

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 8, FLOWS_MAX = 4096, SIZES_MAX = 256, PACKED_MAX = 32, ARENA_BYTES = 2 * MACHNET_MESSAGE_MAX, EXIT_GONE = 3 };

enum mode { MODE_COPY, MODE_PACKED, MODE_ZERO_COPY };

struct flow {
    uint64_t token;
    uint64_t sent, to_send, received, to_receive, bytes;
    uint64_t *lengths; /* of the messages to send back, from number 0 on */
    uint64_t lengths_capacity;
    bool open, ended, finished, closing, blocked, paused;
    int32_t status;
    uint64_t ended_ns; /* when we were told */
};

static struct {
    bool serve, tag, echo, flood, hold, keep, blocking, paused, asynchronous;
    enum mode mode;
    machnet_address addresses[ADDRESSES_MAX], local;
    uint32_t address_count;
    bool has_local;
    uint64_t sizes[SIZES_MAX];
    uint32_t size_count, flows;
    uint64_t count, expect, window, seconds;
    uint64_t send_bytes, receive_bytes, open_timeout_ms;
} options = {.count = 1, .window = UINT64_MAX};

static machnet_context *context;
static machnet_channel *channel;
static struct flow flows[FLOWS_MAX];
static uint32_t flow_count, finished_count, failed_count;
static uint8_t *arena;
static uint64_t *held, held_count, held_capacity;
static bool quitting, progressed;
static uint64_t start_ns;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void print_text(const char *text)
{
    for (; *text != '\0'; text++)
        putchar(*text == '"' || *text == '\\' || *text < ' ' ? '\'' : *text);
}

static void say_failure(const char *call, int32_t status, const machnet_error *error)
{
    printf("{\"event\": \"error\", \"call\": \"%s\", \"status\": \"%s\", \"message\": \"", call, machnet_status_name(status));
    print_text(error != NULL ? error->message : "");
    printf("\"}\n");
}

/* For statuses that only say that the channel is gone, or that this program or the library is wrong. */
static void end_on(const char *call, int32_t status)
{
    bool gone = status == MACHNET_EENGINEGONE || status == MACHNET_ESHUTDOWN || status == MACHNET_EPROTOCOL;
    printf("{\"event\": \"%s\", \"call\": \"%s\", \"status\": \"%s\"}\n", gone ? "gone" : "wrong", call, machnet_status_name(status));
    exit(gone ? EXIT_GONE : 1);
}

static uint32_t number_of(const struct flow *flow)
{
    return (uint32_t)(flow - flows);
}

static struct flow *find_flow(uint64_t token)
{
    static uint32_t hint;
    for (uint32_t i = 0; i < flow_count; i++) {
        uint32_t at = (hint + i) % flow_count;
        if (flows[at].token == token && !flows[at].finished) {
            hint = at;
            return &flows[at];
        }
    }
    end_on("a flow that nobody knows", MACHNET_EBADTOKEN);
    return NULL;
}

static struct flow *add_flow(uint64_t token)
{
    if (flow_count == FLOWS_MAX)
        end_on("too many flows", MACHNET_EINVAL);
    struct flow *flow = &flows[flow_count++];
    bool sends = !options.serve || options.flood;
    *flow = (struct flow){.token = token, .to_send = sends ? options.count : 0, .to_receive = options.expect, .paused = options.paused};
    if (options.seconds != 0 && sends)
        flow->to_send = UINT64_MAX;
    if (options.echo && !options.serve)
        flow->to_receive = flow->to_send;
    return flow;
}

/* ---- Sending ---- */

static uint64_t length_of(const struct flow *flow, uint64_t number)
{
    return options.serve && options.echo ? flow->lengths[number] : options.sizes[number % options.size_count];
}

static uint64_t tag_of(uint64_t number)
{
    return options.tag ? CONTENT_TAG_BASE + number : 0;
}

/* Each of these sends one message or more and returns how many, or a status. */
static int32_t send_copied(struct flow *flow)
{
    uint64_t length = length_of(flow, flow->sent);
    content_fill(arena, flow->sent, length);
    int32_t status = machnet_send_copy(channel, flow->token, arena, length, tag_of(flow->sent), 0);
    return status == MACHNET_OK ? 1 : status;
}

static int32_t send_packed(struct flow *flow, uint64_t may_send)
{
    machnet_record records[PACKED_MAX];
    uint32_t count = 0;
    for (uint64_t offset = 0; count < PACKED_MAX && count < may_send; count++) {
        uint64_t number = flow->sent + count, length = length_of(flow, number);
        if (offset + length > ARENA_BYTES)
            break;
        content_fill(arena + offset, number, length);
        records[count] = (machnet_record){
            .flow = flow->token, .tag = tag_of(number), .offset = offset, .length = length};
        offset += length;
    }
    return machnet_send_packed(channel, records, count, arena, ARENA_BYTES, 0);
}

static int32_t send_reserved(struct flow *flow)
{
    machnet_view view;
    uint64_t length = length_of(flow, flow->sent);
    int32_t status = machnet_send_reserve(channel, flow->token, length, &view, 0);
    if (status < 0)
        return status;
    content_fill(view.data, flow->sent, length);
    status = machnet_send_commit(channel, view.buffer, length, tag_of(flow->sent), 0);
    if (status < 0)
        machnet_buffer_release(channel, view.buffer);
    return status < 0 ? status : 1;
}

static bool is_gone(int32_t status)
{
    return status == MACHNET_EENGINEGONE || status == MACHNET_ESHUTDOWN || status == MACHNET_EPROTOCOL;
}

/* At most a few messages, so that flows take turns. */
static void pump(struct flow *flow)
{
    if (options.seconds != 0 && flow->to_send == UINT64_MAX && now_ns() - start_ns > options.seconds * 1000000000u) {
        flow->to_send = flow->sent;
        if (options.echo)
            flow->to_receive = flow->to_send;
    }
    for (int turn = 0; turn < 8 && !flow->blocked && !flow->closing && !flow->ended; turn++) {
        uint64_t room = options.window - (flow->sent - flow->received), left = flow->to_send - flow->sent;
        uint64_t may_send = options.window == UINT64_MAX ? left : left < room ? left : room;
        if (may_send == 0)
            return;
        int32_t status = options.mode == MODE_PACKED      ? send_packed(flow, may_send)
                         : options.mode == MODE_ZERO_COPY ? send_reserved(flow)
                                                          : send_copied(flow);
        if (status > 0) {
            flow->sent += (uint64_t)status;
            progressed = true;
        } else if (status == MACHNET_EAGAIN) {
            flow->blocked = true;
        } else if (is_gone(status) || status == MACHNET_EMSGSIZE || status == MACHNET_EBADTOKEN || status == MACHNET_EINVAL) {
            end_on("send", status);
        } else {
            return; /* the flow has ended: its event comes */
        }
    }
}

/* ---- Receiving ---- */

static void remember_length(struct flow *flow, uint64_t length)
{
    if (flow->received == flow->lengths_capacity) {
        flow->lengths_capacity = flow->lengths_capacity != 0 ? 2 * flow->lengths_capacity : 64;
        flow->lengths = realloc(flow->lengths, flow->lengths_capacity * sizeof *flow->lengths);
        if (flow->lengths == NULL)
            end_on("memory", MACHNET_ENOMEM);
    }
    flow->lengths[flow->received] = length;
    flow->to_send++;
}

static void take(uint64_t token, const uint8_t *data, uint64_t length, uint64_t tag)
{
    struct flow *flow = find_flow(token);
    uint64_t number = flow->received;
    bool right_length = options.size_count == 0 || length == options.sizes[number % options.size_count];
    if (!right_length || tag != tag_of(number) || !content_check(data, number, length)) {
        printf("{\"event\": \"corrupt\", \"flow\": %u, \"message\": %" PRIu64 ", \"length\": %" PRIu64 ", \"tag\": %" PRIu64 "}\n",
               number_of(flow), number, length, tag);
        exit(1);
    }
    if (options.serve && options.echo)
        remember_length(flow, length);
    flow->received++;
    flow->bytes += length;
    progressed = true;
}

static int32_t receive_copied(uint64_t token)
{
    machnet_message message;
    int32_t status = machnet_recv_copy(channel, token, arena, ARENA_BYTES, &message, 0);
    if (status == MACHNET_OK)
        take(message.flow, arena, message.length, message.tag);
    return status;
}

static int32_t receive_packed(uint64_t token)
{
    machnet_record records[PACKED_MAX];
    int32_t count = machnet_recv_packed(channel, token, records, PACKED_MAX, arena, ARENA_BYTES, 0);
    for (int32_t i = 0; i < count; i++)
        take(records[i].flow, arena + records[i].offset, records[i].length, records[i].tag);
    return count;
}

static void hold_buffer(uint64_t buffer)
{
    if (held_count == held_capacity) {
        held_capacity = held_capacity != 0 ? 2 * held_capacity : 64;
        held = realloc(held, held_capacity * sizeof *held);
        if (held == NULL)
            end_on("memory", MACHNET_ENOMEM);
    }
    held[held_count++] = buffer;
}

static int32_t receive_borrowed(uint64_t token)
{
    machnet_view view;
    int32_t status = machnet_recv_borrow(channel, token, &view, 0);
    if (status < 0)
        return status;
    take(view.flow, view.data, view.length, view.tag);
    if (options.hold) {
        hold_buffer(view.buffer);
    } else {
        status = machnet_buffer_release(channel, view.buffer);
        if (status < 0)
            end_on("release", status);
    }
    return MACHNET_OK;
}

/* Receives what there is, unless it does not end; returns the last status. */
static int32_t receive_from(uint64_t token)
{
    int32_t status = MACHNET_OK;
    for (int turn = 0; turn < 64 && status >= 0; turn++)
        status = options.mode == MODE_PACKED                       ? receive_packed(token)
                 : options.mode == MODE_ZERO_COPY || options.hold ? receive_borrowed(token)
                                                                  : receive_copied(token);
    if (is_gone(status) || status == MACHNET_EMSGSIZE)
        end_on("receive", status);
    return status;
}

static void finish_flow(struct flow *flow)
{
    printf("{\"event\": \"closed\", \"flow\": %u, \"status\": \"%s\", \"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"bytes\": %" PRIu64
           ", \"ns\": %" PRIu64 "}\n",
           number_of(flow), machnet_status_name(flow->status), flow->sent, flow->received, flow->bytes, flow->ended_ns);
    if (!flow->closing)
        machnet_flow_close(channel, flow->token, 0);
    flow->finished = true;
    finished_count++;
    if (flow->status != MACHNET_OK && flow->status != MACHNET_ECLOSED)
        failed_count++;
    free(flow->lengths);
    flow->lengths = NULL;
}

static void receive_all(void)
{
    bool some_paused = false;
    for (uint32_t i = 0; i < flow_count; i++)
        some_paused |= flows[i].paused && !flows[i].finished;
    if (!some_paused)
        receive_from(MACHNET_ANY_FLOW);
    for (uint32_t i = 0; i < flow_count; i++) {
        struct flow *flow = &flows[i];
        if (flow->finished || flow->paused || flow->closing)
            continue;
        int32_t status = some_paused || flow->ended ? receive_from(flow->token) : MACHNET_EAGAIN;
        if (status < 0 && status != MACHNET_EAGAIN && flow->ended)
            finish_flow(flow);
    }
}

/* ---- Events and commands ---- */

static void take_event(const machnet_event *event)
{
    progressed = true;
    if (event->type == MACHNET_EVENT_ACCEPTED) {
        struct flow *flow = add_flow(event->flow);
        flow->open = true;
        printf("{\"event\": \"accepted\", \"flow\": %u}\n", number_of(flow));
        return;
    }
    if (event->type == MACHNET_EVENT_LISTENER_CLOSED) {
        printf("{\"event\": \"listener closed\", \"status\": \"%s\"}\n", machnet_status_name(event->status));
        return;
    }
    struct flow *flow = find_flow(event->flow);
    if (event->type == MACHNET_EVENT_ESTABLISHED) {
        flow->open = true;
    } else if (event->type == MACHNET_EVENT_SEND_SPACE) {
        flow->blocked = false;
    } else if (event->type == MACHNET_EVENT_RECEIVE_STALLED) {
        printf("{\"event\": \"stalled\", \"flow\": %u, \"value\": %" PRIu64 ", \"held\": %" PRIu64 "}\n", number_of(flow), event->value, held_count);
    } else if (event->type == MACHNET_EVENT_CLOSED) {
        flow->ended = true;
        flow->ended_ns = now_ns();
        flow->status = event->status;
        if (flow->closing)
            finish_flow(flow);
    }
}

static void take_events(void)
{
    machnet_event events[64];
    int32_t count;
    while ((count = machnet_channel_events(channel, events, 64, 0)) > 0)
        for (int32_t i = 0; i < count; i++)
            take_event(&events[i]);
    if (count != MACHNET_EAGAIN)
        end_on("events", count);
}

static void close_flow(struct flow *flow, uint32_t flags)
{
    if (flow->finished || flow->closing)
        return;
    int32_t status = machnet_flow_close(channel, flow->token, flags);
    if (status == MACHNET_EAGAIN)
        return; /* at the next turn */
    if (status < 0)
        end_on("close", status);
    flow->closing = true;
    if (flow->ended)
        finish_flow(flow);
}

static void report(void)
{
    uint64_t sent = 0, received = 0, bytes = 0, acknowledged = 0;
    for (uint32_t i = 0; i < flow_count; i++) {
        machnet_flow_info info = {0};
        sent += flows[i].sent;
        received += flows[i].received;
        bytes += flows[i].bytes;
        if (!flows[i].finished && !flows[i].closing && machnet_flow_info_get(channel, flows[i].token, &info) == MACHNET_OK)
            acknowledged += info.messages_acknowledged;
    }
    printf("{\"event\": \"report\", \"flows\": %u, \"sent\": %" PRIu64 ", \"acknowledged\": %" PRIu64 ", \"received\": %" PRIu64
           ", \"bytes\": %" PRIu64 ", \"held\": %" PRIu64 ", \"ns\": %" PRIu64 ", \"by_flow\": [",
           flow_count - finished_count, sent, acknowledged, received, bytes, held_count, now_ns());
    for (uint32_t i = 0; i < flow_count && i < 64; i++)
        printf("%s{\"sent\": %" PRIu64 ", \"received\": %" PRIu64 "}", i > 0 ? ", " : "", flows[i].sent, flows[i].received);
    printf("]}\n");
}

static void obey(const char *line)
{
    uint32_t which = UINT32_MAX;
    uint64_t count = 1;
    char command[16] = "";
    if (sscanf(line, "%15s %u %" SCNu64, command, &which, &count) < 1)
        return;
    progressed = true;
    if (strcmp(command, "report") == 0)
        report();
    else if (strcmp(command, "quit") == 0)
        quitting = true;
    else if (strcmp(command, "hold") == 0)
        options.hold = true;
    else if (strcmp(command, "release") == 0) {
        options.hold = false;
        while (held_count > 0)
            if (machnet_buffer_release(channel, held[--held_count]) < 0)
                end_on("release", MACHNET_EBADTOKEN);
    } else
        for (uint32_t i = 0; i < flow_count; i++) {
            if (which != UINT32_MAX && which != i)
                continue;
            if (strcmp(command, "pause") == 0 || strcmp(command, "resume") == 0)
                flows[i].paused = command[0] == 'p';
            else if (strcmp(command, "more") == 0)
                flows[i].to_send += count;
            else if (strcmp(command, "enough") == 0)
                flows[i].to_send = flows[i].sent;
            else
                close_flow(&flows[i], strcmp(command, "abort") == 0 ? MACHNET_CLOSE_ABORT : 0);
        }
    if (strcmp(command, "resume") == 0)
        options.paused = false;
}

static void read_commands(void)
{
    static char text[256];
    static size_t length;
    ssize_t got = read(STDIN_FILENO, text + length, sizeof text - 1 - length);
    if (got <= 0) {
        quitting = got == 0 || errno != EAGAIN;
        return;
    }
    length += (size_t)got;
    text[length] = '\0';
    char *line = text, *end;
    for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        obey(line);
    }
    length = strlen(line);
    memmove(text, line, length + 1);
}

/* ---- The loop ---- */

/* Until there is a command or something new: edges, as the descriptor stays readable while a message waits that we do not take. A reader
 * that stops must not cost more than its flow, else tests of what the others lose would measure it. */
static void wait_for_news(int fd)
{
    static int epoll = -1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = STDIN_FILENO};
    if (epoll < 0) {
        epoll = epoll_create1(EPOLL_CLOEXEC);
        epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
        event = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
    if (epoll_wait(epoll, &event, 1, 100) > 0 && event.data.fd == STDIN_FILENO)
        read_commands();
}

static void wait_for_something(void)
{
    bool some_paused = false;
    for (uint32_t i = 0; i < flow_count; i++)
        some_paused |= flows[i].paused && !flows[i].finished;
    if (options.blocking && !some_paused) {
        int32_t status = machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT | MACHNET_WAIT_SEND, 20000000);
        if (status < 0 && status != MACHNET_ETIMEDOUT && status != MACHNET_EINTR)
            end_on("wait", status);
    }
    int fd = machnet_channel_fd(channel);
    if (fd < 0)
        end_on("fd", fd);
    if (some_paused) {
        wait_for_news(fd);
        return;
    }
    struct pollfd polled[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    struct timespec wait = {.tv_nsec = options.blocking ? 0 : 100000000};
    if (ppoll(polled, 2, &wait, NULL) > 0 && polled[0].revents != 0)
        read_commands();
}

static void close_what_is_done(void)
{
    for (uint32_t i = 0; i < flow_count; i++) {
        struct flow *flow = &flows[i];
        bool done = flow->sent >= flow->to_send && flow->received >= flow->to_receive;
        if (!options.serve && !options.keep && done)
            close_flow(flow, 0);
    }
}

static int run(void)
{
    start_ns = now_ns();
    while (!quitting) {
        progressed = false;
        take_events();
        receive_all();
        for (uint32_t i = 0; i < flow_count; i++)
            pump(&flows[i]);
        close_what_is_done();
        if (finished_count == flow_count && finished_count > 0 && finished_count >= options.flows && !options.keep)
            break;
        fflush(stdout);
        if (!progressed)
            wait_for_something();
        else if (poll(&(struct pollfd){.fd = STDIN_FILENO, .events = POLLIN}, 1, 0) > 0)
            read_commands();
    }
    uint64_t sent = 0, received = 0, bytes = 0;
    for (uint32_t i = 0; i < flow_count; i++) {
        sent += flows[i].sent;
        received += flows[i].received;
        bytes += flows[i].bytes;
    }
    printf("{\"event\": \"done\", \"flows\": %u, \"failed\": %u, \"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"bytes\": %" PRIu64
           ", \"seconds\": %.6f}\n",
           flow_count, failed_count, sent, received, bytes, (double)(now_ns() - start_ns) / 1e9);
    return !options.serve && failed_count > 0;
}

static int start_listener(void)
{
    machnet_error error = {0};
    uint64_t listener;
    int32_t status = machnet_listener_open(channel, &options.addresses[0], NULL, &listener, &error);
    if (status < 0) {
        say_failure("listener_open", status, &error);
        return 1;
    }
    printf("{\"event\": \"listening\"}\n");
    fflush(stdout);
    return run();
}

/* Opens the flow with this number; the status is said if it cannot be. */
static int32_t open_flow(uint32_t number, const machnet_options *flow_options)
{
    machnet_error error = {0};
    uint64_t token, before = now_ns();
    int32_t status;
    while ((status = machnet_flow_open(channel, options.has_local ? &options.local : NULL,
                                       &options.addresses[number % options.address_count], flow_options,
                                       options.asynchronous ? 0 : -1, &token, &error)) == MACHNET_EAGAIN)
        take_events();
    if (status < 0) {
        say_failure("flow_open", status, &error);
        printf("{\"event\": \"opened\", \"flows\": %u, \"ns\": %" PRIu64 "}\n", number, now_ns() - before);
        return status;
    }
    add_flow(token)->open = !options.asynchronous;
    return MACHNET_OK;
}

static int start_flows(void)
{
    machnet_options *flow_options = NULL;
    machnet_options_new(&flow_options);
    if (options.open_timeout_ms != 0)
        machnet_options_set_u64(flow_options, MACHNET_OPTION_OPEN_TIMEOUT_NS, options.open_timeout_ms * 1000000);
    int32_t status = MACHNET_OK;
    for (uint32_t i = 0; i < options.flows && status == MACHNET_OK; i++)
        status = open_flow(i, flow_options);
    machnet_options_free(flow_options);
    if (status < 0)
        return is_gone(status) ? EXIT_GONE : 1;
    printf("{\"event\": \"opened\", \"flows\": %u}\n", options.flows);
    fflush(stdout);
    return run();
}

/* ---- The command line ---- */

enum { KEY_SIZES = 256, KEY_COUNT, KEY_FLOWS, KEY_TAG, KEY_ECHO, KEY_FLOOD, KEY_HOLD, KEY_KEEP, KEY_BLOCKING, KEY_PAUSED, KEY_ASYNC,
       KEY_MODE, KEY_LOCAL, KEY_EXPECT, KEY_WINDOW, KEY_SECONDS, KEY_SEND_BYTES, KEY_RECEIVE_BYTES, KEY_OPEN_TIMEOUT };

static const struct argp_option argp_options[] = {
    {"sizes", KEY_SIZES, "N,N...", 0, "Lengths of the messages of a flow, again and again; a receiver checks them", 0},
    {"count", KEY_COUNT, "N", 0, "Messages to send on each flow", 0},
    {"seconds", KEY_SECONDS, "N", 0, "Send so long instead", 0},
    {"flows", KEY_FLOWS, "N", 0, "Open so many; serve: end after so many", 0},
    {"tag", KEY_TAG, NULL, 0, "Messages have tags", 0},
    {"mode", KEY_MODE, "copy|packed|zero-copy", 0, "Which calls to use", 0},
    {"echo", KEY_ECHO, NULL, 0, "serve: send everything back; send: expect everything back", 0},
    {"flood", KEY_FLOOD, NULL, 0, "serve: send, too", 0},
    {"expect", KEY_EXPECT, "N", 0, "Messages to receive on each flow before it is closed", 0},
    {"window", KEY_WINDOW, "N", 0, "Most messages sent and not sent back", 0},
    {"hold", KEY_HOLD, NULL, 0, "Borrow and keep", 0},
    {"paused", KEY_PAUSED, NULL, 0, "Do not read until told to", 0},
    {"keep", KEY_KEEP, NULL, 0, "Do not close and do not end when done", 0},
    {"blocking", KEY_BLOCKING, NULL, 0, "Wait by machnet_channel_wait, not by poll", 0},
    {"async", KEY_ASYNC, NULL, 0, "Open without waiting", 0},
    {"local", KEY_LOCAL, "ADDRESS", 0, "Open from this address", 0},
    {"send-bytes", KEY_SEND_BYTES, "N", 0, "Most bytes of the send arena", 0},
    {"receive-bytes", KEY_RECEIVE_BYTES, "N", 0, "Most bytes of the receive arena", 0},
    {"open-timeout-ms", KEY_OPEN_TIMEOUT, "N", 0, "Time for opening a flow", 0},
    {0},
};

static void read_sizes(char *text, struct argp_state *state)
{
    for (char *word = strtok(text, ","); word != NULL; word = strtok(NULL, ",")) {
        if (options.size_count == SIZES_MAX)
            argp_error(state, "too many sizes");
        options.sizes[options.size_count++] = strtoull(word, NULL, 10);
    }
}

static bool read_number(int key, uint64_t number)
{
    switch (key) {
    case KEY_COUNT: options.count = number; return true;
    case KEY_SECONDS: options.seconds = number; return true;
    case KEY_FLOWS: options.flows = (uint32_t)number; return true;
    case KEY_EXPECT: options.expect = number; return true;
    case KEY_WINDOW: options.window = number; return true;
    case KEY_SEND_BYTES: options.send_bytes = number; return true;
    case KEY_RECEIVE_BYTES: options.receive_bytes = number; return true;
    case KEY_OPEN_TIMEOUT: options.open_timeout_ms = number; return true;
    default: return false;
    }
}

static bool *find_switch(int key)
{
    switch (key) {
    case KEY_TAG: return &options.tag;
    case KEY_ECHO: return &options.echo;
    case KEY_FLOOD: return &options.flood;
    case KEY_HOLD: return &options.hold;
    case KEY_PAUSED: return &options.paused;
    case KEY_KEEP: return &options.keep;
    case KEY_BLOCKING: return &options.blocking;
    case KEY_ASYNC: return &options.asynchronous;
    default: return NULL;
    }
}

static error_t read_option(int key, char *text, struct argp_state *state)
{
    if (find_switch(key) != NULL) {
        *find_switch(key) = true;
    } else if (key == KEY_SIZES) {
        read_sizes(text, state);
    } else if (key == KEY_MODE) {
        options.mode = strcmp(text, "packed") == 0 ? MODE_PACKED : strcmp(text, "copy") == 0 ? MODE_COPY : MODE_ZERO_COPY;
    } else if (key == KEY_LOCAL) {
        options.has_local = machnet_address_parse(text, &options.local) == MACHNET_OK;
    } else if (key == ARGP_KEY_ARG && state->arg_num == 0) {
        options.serve = strcmp(text, "serve") == 0;
    } else if (key == ARGP_KEY_ARG) {
        if (options.address_count == ADDRESSES_MAX || machnet_address_parse(text, &options.addresses[options.address_count++]) < 0)
            argp_error(state, "'%s' is not an address, or one too many", text);
    } else if (text == NULL || !read_number(key, strtoull(text, NULL, 10))) {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static int32_t attach(void)
{
    machnet_error error = {0};
    machnet_options *channel_options = NULL;
    int32_t status = machnet_context_open(MACHNET_ABI_VERSION, NULL, &context, &error);
    if (status < 0) {
        say_failure("context_open", status, &error);
        return status;
    }
    machnet_options_new(&channel_options);
    if (options.send_bytes != 0)
        machnet_options_set_u64(channel_options, MACHNET_OPTION_SEND_BYTES, options.send_bytes);
    if (options.receive_bytes != 0)
        machnet_options_set_u64(channel_options, MACHNET_OPTION_RECEIVE_BYTES, options.receive_bytes);
    status = machnet_channel_open(context, channel_options, &channel, &error);
    if (status < 0)
        say_failure("channel_open", status, &error);
    machnet_options_free(channel_options);
    return status;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {argp_options, read_option, "serve|send ADDRESS...", NULL, NULL, NULL, NULL};
    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    if (options.size_count == 0 && (!options.serve || options.flood))
        options.sizes[options.size_count++] = 64;
    if (options.flows == 0)
        options.flows = options.serve ? UINT32_MAX : 1;
    arena = malloc(ARENA_BYTES);
    if (arena == NULL || attach() < 0)
        return 1;
    int result = options.serve ? start_listener() : start_flows();
    free(arena);
    free(held);
    machnet_channel_unref(channel);
    machnet_context_unref(context);
    fflush(stdout);
    return result;
}
