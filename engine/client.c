/* SPDX-License-Identifier: MIT */
/* One connection: which message may come when, and its end. */
#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "controller_internal.h"
#include "wire/wire.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

enum { MESSAGES_PER_EVENT = 16, COMPLAINTS_PER_SECOND = 10 };

union message {
    alignas(8) uint8_t bytes[MN_CONTROL_BYTES_MAX];
    struct mn_control_header header;
    struct mn_control_hello hello;
    struct mn_control_attach attach;
    struct mn_control_region region;
    struct mn_control_listen listen;
    struct mn_control_plain plain;
};

void client_hold(struct client *client)
{
    client->holds++;
}

void client_let_go(struct client *client)
{
    assert(client->holds > 0);
    client->holds--;
    if (client->holds == 0 && client->state == CLIENT_CLOSING)
        controller_let_go(client->controller, client);
}

void client_free(struct client *client)
{
    struct controller *controller = client->controller;
    attach_free(client);
    client->user->leaving--;
    quota_give(controller->quota, client->user, QUOTA_CONNECTIONS, 1);
    HASH_DELETE(by_id, controller->clients_by_id, client);
    DL_DELETE(controller->clients, client);
    controller->client_count--;
    free(client);
    controller_client_gone(controller);
}

void client_post(struct client *client, struct worker_message *command, void (*done)(struct worker_message *command))
{
    command->channel = client->channel;
    command->done = done;
    client_hold(client);
    worker_post(client->worker, command);
}

void client_set_state(struct client *client, enum client_state state)
{
    static const unsigned successors[] = {
        [CLIENT_HELLO] = 1u << CLIENT_READY | 1u << CLIENT_CLOSING,
        [CLIENT_READY] = 1u << CLIENT_WAITING | 1u << CLIENT_MAPPING | 1u << CLIENT_CLOSING,
        [CLIENT_WAITING] = 1u << CLIENT_READY | 1u << CLIENT_MAPPING | 1u << CLIENT_CLOSING,
        [CLIENT_MAPPING] = 1u << CLIENT_ATTACHING | 1u << CLIENT_CLOSING,
        [CLIENT_ATTACHING] = 1u << CLIENT_ATTACHED | 1u << CLIENT_CLOSING,
        [CLIENT_ATTACHED] = 1u << CLIENT_CLOSING,
        [CLIENT_CLOSING] = 0,
    };
    assert(successors[client->state] >> state & 1);
    (void)successors; /* without assertions */
    client->state = state;
    client_set_deadline(client, state == CLIENT_HELLO || state == CLIENT_WAITING || state == CLIENT_MAPPING);
}

void client_set_deadline(struct client *client, bool on)
{
    const struct timeval most = controller_step(client->controller);
    if (on)
        (void)evtimer_add(&client->deadline, &most);
    else
        (void)evtimer_del(&client->deadline);
}

void client_complain(const struct client *client, const char *text)
{
    struct controller *controller = client->controller;
    uint64_t second = clock_now_ns() / CLOCK_SECOND_NS;
    if (controller->complaint_second != second)
        controller->complaints = 0;
    controller->complaint_second = second;
    if (controller->complaints++ < COMPLAINTS_PER_SECOND)
        log_warning("client %llu (\"%s\", pid %u, user %u): %s", (unsigned long long)client->id, client->memory.name,
                    client->pid, client->uid, text);
}

/* ---- The end ---- */

static void detached(struct worker_message *command)
{
    struct client *client = (struct client *)(void *)((char *)command - offsetof(struct client, detach));
    client->controller->counters.channels_closed++;
    client_let_go(client);
}

void client_detach(struct client *client)
{
    if (client->channel == NULL)
        return;
    client->detach = (struct worker_message){.type = WORKER_DETACH, .reason = WIRE_REASON_APPLICATION_DIED};
    client_post(client, &client->detach, detached);
    client->channel = NULL;
}

static void say_closing(int socket, int32_t status, const char *reason)
{
    struct mn_control_plain closing = {.value = 0};
    mn_control_prepare(&closing.header, MN_CONTROL_CLOSING, 0, status);
    (void)snprintf(closing.message, sizeof closing.message, "%s", reason);
    (void)mn_control_send(socket, &closing.header, NULL, 0); /* it may be gone */
}

/* Closes the socket of a connection without ever waiting for what lies in its queue. */
static void close_socket(struct controller *controller, int socket)
{
    if (mn_control_drain(socket))
        close(socket);
    else
        closer_close(controller->closer, socket);
}

void client_close(struct client *client, int32_t status, const char *reason)
{
    if (client->state == CLIENT_CLOSING)
        return;
    client_hold(client);
    if (reason != NULL) {
        log_debug("client %llu (pid %u, user %u): closed: %s", (unsigned long long)client->id, client->pid, client->uid,
                  reason);
        say_closing(client->socket, status, reason);
    }
    if (client->state == CLIENT_WAITING)
        attach_forget(client);
    client_set_state(client, CLIENT_CLOSING);
    client->user->leaving++;
    event_del(&client->readable);
    status_abandon(client);
    close_socket(client->controller, client->socket);
    if (client->pidfd >= 0) {
        event_del(&client->died);
        close(client->pidfd);
    }
    listen_close_all(client);
    region_close(client);
    client_detach(client);
    client_let_go(client);
}

void client_malformed(struct client *client, const char *reason)
{
    if (client->state == CLIENT_CLOSING)
        return;
    client->controller->counters.control_messages_malformed++;
    client_close(client, MACHNET_EPROTOCOL, reason);
}

void client_send(struct client *client, const struct mn_control_header *message, const int *fds, uint32_t fd_count)
{
    if (client->state != CLIENT_CLOSING && mn_control_send(client->socket, message, fds, fd_count) < 0)
        client_close(client, MACHNET_EPROTOCOL, NULL);
}

static void on_deadline(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct client *client = arg;
    client->controller->counters.timeouts++;
    client_close(client, MACHNET_ETIMEDOUT,
                 "The engine waited in vain for the next step of attaching, or for its answer to be read. Try again.");
}

static void on_died(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    client_close(arg, MACHNET_OK, NULL);
}

/* ---- Messages ---- */

static void hello(struct client *client, const struct mn_control_hello *message)
{
    const uint16_t version =
        mn_control_common(message->version_min, message->version_max, MN_CONTROL_VERSION_MIN, MN_CONTROL_VERSION);
    const uint16_t layout =
        mn_control_common(message->layout_min, message->layout_max, MN_LAYOUT_VERSION_MIN, MN_LAYOUT_VERSION);
    struct mn_control_hello reply = {
        .version_min = version,
        .version_max = version,
        .layout_min = layout,
        .layout_max = layout,
        .version = MACHNET_PACKAGE_VERSION,
    };
    const bool agreed = version != 0 && layout != 0;
    client->layout = layout;
    mn_control_prepare(&reply.header, MN_CONTROL_HELLO_REPLY, message->header.request,
                       agreed ? MACHNET_OK : MACHNET_EVERSION);
    if (!agreed)
        (void)snprintf(reply.message, sizeof reply.message,
                       "The library speaks control versions %u to %u and layouts %u to %u, this engine (%s) %d to %d "
                       "and %d to %d. Install "
                       "machnetd and libmachnet of one release.",
                       message->version_min, message->version_max, message->layout_min, message->layout_max,
                       MACHNET_PACKAGE_VERSION, MN_CONTROL_VERSION_MIN, MN_CONTROL_VERSION, MN_LAYOUT_VERSION_MIN,
                       MN_LAYOUT_VERSION);
    client_set_state(client, CLIENT_READY);
    client_send(client, &reply.header, NULL, 0);
    if (!agreed)
        client_close(client, MACHNET_EVERSION, NULL);
}

static void dispatch(struct client *client, const union message *message)
{
    const unsigned in_state = (unsigned)message->header.type << 4 | (unsigned)client->state;
    client->controller->counters.control_messages++;
    if (client->status_text != NULL) {
        client_malformed(client, "Nothing may be said before the status is read to its end.");
        return;
    }
    switch (in_state) {
    case MN_CONTROL_HELLO << 4 | CLIENT_HELLO:
        hello(client, &message->hello);
        break;
    case MN_CONTROL_STATUS << 4 | CLIENT_READY:
        status_request(client, &message->plain);
        break;
    case MN_CONTROL_ATTACH << 4 | CLIENT_READY:
        attach_request(client, &message->attach);
        break;
    case MN_CONTROL_ATTACH_MAPPED << 4 | CLIENT_MAPPING:
        attach_mapped(client, &message->plain);
        break;
    case MN_CONTROL_REGION_REQUEST << 4 | CLIENT_ATTACHED:
        region_request(client, &message->region);
        break;
    case MN_CONTROL_REGION_MAPPED << 4 | CLIENT_ATTACHED:
        region_mapped(client, &message->region);
        break;
    case MN_CONTROL_LISTEN << 4 | CLIENT_ATTACHED:
        listen_request(client, &message->listen);
        break;
    case MN_CONTROL_UNLISTEN << 4 | CLIENT_ATTACHED:
        listen_close_request(client, &message->listen);
        break;
    default:
        if ((message->header.type & MN_CONTROL_IGNORABLE) == 0)
            client_malformed(client, "The control message is not one that is expected now.");
        break;
    }
}

/* Returns false when there is nothing more to read now. */
static bool take_message(struct client *client)
{
    union message message;
    uint32_t fd_count;
    int length = mn_control_receive(client->socket, message.bytes, NULL, 0, &fd_count, MSG_DONTWAIT);
    if (length > 0)
        dispatch(client, &message);
    else if (length == -EPROTO)
        client_malformed(client, "The control message is malformed.");
    else if (length != -EAGAIN && length != -EINTR)
        client_close(client, MACHNET_OK, NULL);
    return length > 0;
}

static void on_readable(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct client *client = arg;
    client_hold(client);
    for (int i = 0; i < MESSAGES_PER_EVENT && client->state != CLIENT_CLOSING && take_message(client); i++)
        continue;
    client_let_go(client);
}

void client_notice(void *arg, const struct worker_message *notice)
{
    struct controller *controller = arg;
    struct client *client;
    const uint64_t id = (uint64_t)(uintptr_t)notice->user;
    HASH_FIND(by_id, controller->clients_by_id, &id, sizeof id, client);
    if (client == NULL || client->state == CLIENT_CLOSING)
        return;
    if (notice->type == WORKER_REGION_WANTED) {
        client_hold(client);
        region_wanted(client, notice->bytes);
        client_let_go(client);
        return;
    }
    controller->counters.channels_broken++;
    client_complain(client, "it broke the rules of the shared memory and is closed");
    client_close(client, notice->status,
                 "The application broke the rules of the shared memory. This is an error in it or in the library.");
}

/* ---- The beginning ---- */

/* -1: there is none; end of file on the socket has to do then. */
static int open_pidfd(int socket, pid_t pid)
{
    int pidfd;
    socklen_t length = sizeof pidfd;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) == 0)
        return pidfd;
    return errno == ENOPROTOOPT && pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

static void refuse(struct controller *controller, int socket, int32_t status, const char *reason)
{
    controller->counters.connections_refused++;
    say_closing(socket, status, reason);
    close_socket(controller, socket);
}

static void watch(struct client *client)
{
    struct event_base *base = client->controller->base;
    event_assign(&client->readable, base, client->socket, EV_READ | EV_PERSIST, on_readable, client);
    evtimer_assign(&client->deadline, base, on_deadline, client);
    event_add(&client->readable, NULL);
    client_set_deadline(client, true);
    if (client->pidfd >= 0) {
        event_assign(&client->died, base, client->pidfd, EV_READ, on_died, client);
        event_add(&client->died, NULL);
    }
}

static struct client *new_client(struct controller *controller, int socket, const struct ucred *peer,
                                 struct quota_user *user)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;
    client->controller = controller;
    client->id = ++controller->last_client;
    client->uid = peer->uid;
    client->pid = peer->pid > 0 ? (uint32_t)peer->pid : 0;
    client->user = user;
    client->socket = socket;
    client->pidfd = open_pidfd(socket, peer->pid);
    for (int i = 0; i < CLIENT_FIRST_REGIONS; i++)
        client->region_fds[i] = -1;
    client->wakeup_fd = client->memory.signal_fd = client->memory.event = -1;
    DL_APPEND(controller->clients, client);
    HASH_ADD(by_id, controller->clients_by_id, id, sizeof client->id, client);
    controller->client_count++;
    return client;
}

void client_open(struct controller *controller, int socket)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t length = sizeof peer;
    char message[QUOTA_MESSAGE_BYTES];
    controller->counters.connections++;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) {
        refuse(controller, socket, MACHNET_EACCES, "The engine cannot tell which user this is.");
        return;
    }
    if (controller->client_count >= controller->client_max) {
        refuse(controller, socket, MACHNET_EQUOTA,
               "The engine has all the connections that its limit of open files allows. Start it with a higher one "
               "(ulimit -n).");
        return;
    }
    struct quota_user *user = quota_user(controller->quota, peer.uid);
    if (user == NULL || !quota_take(user, QUOTA_CONNECTIONS, 1, message)) {
        refuse(controller, socket, user == NULL ? MACHNET_ENOMEM : MACHNET_EQUOTA,
               user == NULL ? "The engine has no memory." : message);
        return;
    }
    struct client *client = new_client(controller, socket, &peer, user);
    if (client == NULL) {
        quota_give(controller->quota, user, QUOTA_CONNECTIONS, 1);
        refuse(controller, socket, MACHNET_ENOMEM, "The engine has no memory.");
        return;
    }
    region_init(client);
    status_init(client);
    watch(client);
}
