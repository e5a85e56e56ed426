/* SPDX-License-Identifier: MIT */
/*
 * What a process may do to the library that owns handles: `integration_process fork ADDRESS` forks with an open flow to an echo
 * server, `integration_process signal` handles signals during a wait, `integration_process version` asks for ABI versions that do not exist.
 * Exit status 0: as machnet.h says.
 */
#include "content.h"

#include <machnet/machnet.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static machnet_context *context;
static machnet_channel *channel;
static machnet_error error;

static void want(const char *what, int32_t status, int32_t wanted)
{
    if (status == wanted)
        return;
    printf("%s: %s, not %s: %s\n", what, machnet_status_name(status), machnet_status_name(wanted), error.message);
    fflush(stdout);
    _exit(1);
}

static void attach(machnet_context **new_context, machnet_channel **new_channel)
{
    want("context_open", machnet_context_open(MACHNET_ABI_VERSION, NULL, new_context, &error), MACHNET_OK);
    want("channel_open", machnet_channel_open(*new_context, NULL, new_channel, &error), MACHNET_OK);
}

static void echo(machnet_channel *to, uint64_t flow, uint64_t number)
{
    uint8_t data[1000];
    machnet_message message;
    int32_t status;
    content_fill(data, number, sizeof data);
    want("send_copy", machnet_send_copy(to, flow, data, sizeof data, 0, 0), MACHNET_OK);
    memset(data, 0, sizeof data);
    while ((status = machnet_recv_copy(to, flow, data, sizeof data, &message, 0)) == MACHNET_EAGAIN) {
        status = machnet_channel_wait(to, MACHNET_WAIT_RECEIVE, 5000000000);
        want("wait", status < 0 ? status : 0, MACHNET_OK);
    }
    want("recv_copy", status, MACHNET_OK);
    want("content", content_check(data, number, sizeof data) ? MACHNET_OK : MACHNET_EPROTOCOL, MACHNET_OK);
}

static void try_everything(uint64_t flow, uint64_t borrowed, const machnet_address *address)
{
    char text[64];
    uint64_t token, length;
    machnet_event event;
    machnet_message message;
    machnet_view view;
    machnet_record record = {.flow = flow};
    machnet_flow_info info;
    machnet_channel *other;
    machnet_address local;
    want("channel_open", machnet_channel_open(context, NULL, &other, NULL), MACHNET_EFORKED);
    want("context_status", machnet_context_status(context, text, sizeof text, &length, NULL), MACHNET_EFORKED);
    want("fd", machnet_channel_fd(channel), MACHNET_EFORKED);
    want("wait", machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, 0), MACHNET_EFORKED);
    want("wake", machnet_channel_wake(channel), MACHNET_EFORKED);
    want("events", machnet_channel_events(channel, &event, 1, 0), MACHNET_EFORKED);
    want("listener_open", machnet_listener_open(channel, address, NULL, &token, NULL), MACHNET_EFORKED);
    want("listener_address", machnet_listener_address(channel, 1, &local), MACHNET_EFORKED);
    want("listener_close", machnet_listener_close(channel, 1, 0, NULL), MACHNET_EFORKED);
    want("flow_open", machnet_flow_open(channel, NULL, address, NULL, 0, &token, NULL), MACHNET_EFORKED);
    want("flow_close", machnet_flow_close(channel, flow, 0), MACHNET_EFORKED);
    want("flow_addresses", machnet_flow_addresses(channel, flow, &local, NULL), MACHNET_EFORKED);
    want("flow_info_get", machnet_flow_info_get(channel, flow, &info), MACHNET_EFORKED);
    want("send_copy", machnet_send_copy(channel, flow, "x", 1, 0, 0), MACHNET_EFORKED);
    want("recv_copy", machnet_recv_copy(channel, flow, text, sizeof text, &message, 0), MACHNET_EFORKED);
    want("send_packed", machnet_send_packed(channel, &record, 1, text, sizeof text, 0), MACHNET_EFORKED);
    want("recv_packed", machnet_recv_packed(channel, flow, &record, 1, text, sizeof text, 0), MACHNET_EFORKED);
    want("recv_borrow", machnet_recv_borrow(channel, flow, &view, 0), MACHNET_EFORKED);
    want("send_reserve", machnet_send_reserve(channel, flow, 10, &view, 0), MACHNET_EFORKED);
    want("buffer_release", machnet_buffer_release(channel, borrowed), MACHNET_EFORKED);
    want("shutdown", machnet_channel_shutdown(channel), MACHNET_EFORKED);
    machnet_channel_unref(channel);
    machnet_context_unref(context);
}

/* A child may not use what it inherited, but may open handles of its own. */
static void be_the_child(uint64_t flow, const machnet_view *borrowed, const machnet_address *address)
{
    machnet_context *own_context;
    machnet_channel *own_channel;
    uint64_t own_flow;
    want("what was borrowed", content_check(borrowed->data, 1, borrowed->length) ? MACHNET_OK : MACHNET_EPROTOCOL,
         MACHNET_OK);
    try_everything(flow, borrowed->buffer, address);
    attach(&own_context, &own_channel);
    want("flow_open", machnet_flow_open(own_channel, NULL, address, NULL, -1, &own_flow, &error), MACHNET_OK);
    echo(own_channel, own_flow, 0);
    machnet_channel_unref(own_channel);
    machnet_context_unref(own_context);
    _exit(0);
}

static int test_fork(const machnet_address *address)
{
    uint64_t flow;
    uint8_t data[1000];
    machnet_view borrowed;
    int32_t status;
    attach(&context, &channel);
    want("flow_open", machnet_flow_open(channel, NULL, address, NULL, -1, &flow, &error), MACHNET_OK);
    echo(channel, flow, 0);
    content_fill(data, 1, sizeof data);
    want("send_copy", machnet_send_copy(channel, flow, data, sizeof data, 0, 0), MACHNET_OK);
    while ((status = machnet_recv_borrow(channel, flow, &borrowed, 0)) == MACHNET_EAGAIN)
        machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, 5000000000);
    want("recv_borrow", status, MACHNET_OK);
    pid_t child = fork();
    if (child == 0)
        be_the_child(flow, &borrowed, address);
    echo(channel, flow, 2);
    int how = 0;
    waitpid(child, &how, 0);
    want("the child", WIFEXITED(how) && WEXITSTATUS(how) == 0 ? MACHNET_OK : MACHNET_ESYSTEM, MACHNET_OK);
    echo(channel, flow, 3);
    want("buffer_release", machnet_buffer_release(channel, borrowed.buffer), MACHNET_OK);
    machnet_channel_unref(channel);
    machnet_context_unref(context);
    return 0;
}

static _Atomic int handled;

static void handle(int number)
{
    (void)number;
    handled = handled + 1;
}

static void wait_with_signal(int flags, int64_t timeout_ns)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
    struct itimerval timer = {.it_value = {.tv_usec = 50000}};
    int before = handled;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    want("wait", machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT, timeout_ns), MACHNET_EINTR);
    want("the handler", handled == before + 1 ? MACHNET_OK : MACHNET_ESYSTEM, MACHNET_OK);
}

static int test_signal(void)
{
    attach(&context, &channel);
    wait_with_signal(0, -1);
    wait_with_signal(0, 5000000000);
    wait_with_signal(SA_RESTART, -1);
    want("wait", machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, 10000000), MACHNET_ETIMEDOUT);
    machnet_channel_unref(channel);
    machnet_context_unref(context);
    return 0;
}

static int test_version(void)
{
    static const uint32_t unknown[] = {MACHNET_ABI_VERSION + 1, 0x7fff0000, 0x0000ffff};
    for (unsigned i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        error.message[0] = '\0';
        want("context_open", machnet_context_open(unknown[i], NULL, &context, &error), MACHNET_EVERSION);
        want("error.status", error.status, MACHNET_EVERSION);
        printf("%s\n", error.message);
    }
    return 0;
}

int main(int argc, char **argv)
{
    machnet_address address;
    if (argc == 3 && strcmp(argv[1], "fork") == 0 && machnet_address_parse(argv[2], &address) == MACHNET_OK)
        return test_fork(&address);
    if (argc == 2 && strcmp(argv[1], "signal") == 0)
        return test_signal();
    if (argc == 2 && strcmp(argv[1], "version") == 0)
        return test_version();
    fprintf(stderr, "usage: integration_process fork ADDRESS | signal | version\n");
    return 2;
}
