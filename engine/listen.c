/* SPDX-License-Identifier: MIT */
/* LISTEN and UNLISTEN: the table of addresses is the controller's, accepting is the worker's. Answers come when the worker has done it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "controller_internal.h"

static struct client_listener *listener_of_command(struct worker_message *command)
{
    return (struct client_listener *)(void *)((char *)command - offsetof(struct client_listener, command));
}

static void reply(struct client *client, uint16_t type, uint32_t request, int32_t status,
                  const struct listener *listener, const char *why)
{
    struct mn_control_listen message = {.zero16 = 0};
    mn_control_prepare(&message.header, type, request, status);
    memcpy(message.ip, listener->local.ip, sizeof message.ip);
    message.port = listener->local.port;
    message.listener = listener->token;
    (void)snprintf(message.message, sizeof message.message, "%s", why);
    client_send(client, &message.header, NULL, 0);
}

static void leave_table(struct client_listener *own)
{
    struct controller *controller = own->client->controller;
    if (own->in_directory)
        directory_remove(controller->config.directory, &own->listener.local);
    if (own->in_table)
        listeners_remove(controller->listeners, &own->listener);
    own->in_table = own->in_directory = false;
}

void listen_drop(struct client_listener *own)
{
    struct client *client = own->client;
    leave_table(own);
    DL_DELETE(client->listeners, own);
    quota_give(client->controller->quota, client->user, QUOTA_LISTENERS, 1);
    free(own);
}

static void refuse(struct client *client, uint32_t request, int32_t status, const struct endpoint *local,
                   const char *why)
{
    const struct listener none = {.local = *local};
    client->controller->counters.listens_refused++;
    reply(client, MN_CONTROL_LISTEN_REPLY, request, status, &none, why);
}

static void listening(struct worker_message *command)
{
    struct client_listener *own = listener_of_command(command);
    struct client *client = own->client;
    own->busy = false;
    if (command->status == MACHNET_OK && client->state != CLIENT_CLOSING) {
        client->controller->counters.listens++;
        directory_add(client->controller->config.directory, &own->listener.local, client->worker_index);
        own->in_directory = true;
        reply(client, MN_CONTROL_LISTEN_REPLY, own->request, MACHNET_OK, &own->listener, "");
    } else {
        if (client->state != CLIENT_CLOSING)
            refuse(client, own->request, command->status, &own->listener.local,
                   "The engine has no memory for another listener.");
        listen_drop(own);
    }
    client_let_go(client);
}

static void unlistened(struct worker_message *command)
{
    struct client_listener *own = listener_of_command(command);
    struct client *client = own->client;
    if (client->state != CLIENT_CLOSING)
        reply(client, MN_CONTROL_UNLISTEN_REPLY, own->request, MACHNET_OK, &own->listener, "");
    listen_drop(own);
    client_let_go(client);
}

static void post(struct client_listener *own, enum worker_message_type type,
                 void (*done)(struct worker_message *command))
{
    own->busy = true;
    own->command =
        (struct worker_message){.type = type, .endpoint = own->listener.local, .listener = own->listener.token};
    client_post(own->client, &own->command, done);
}

/* Adds it to the table and to the client. MACHNET_OK, or a status and why. */
static int32_t add(struct client *client, struct client_listener *own, char why[QUOTA_MESSAGE_BYTES])
{
    struct controller *controller = client->controller;
    const struct endpoint *local = &own->listener.local;
    char text[ADDRESS_TEXT_BYTES];
    if (!endpoint_ip_is_any(local) && !path_is_local(controller->config.paths, local)) {
        (void)snprintf(
            why, QUOTA_MESSAGE_BYTES,
            "The engine does not have the address %s. Choose one of its own (machnet status), or start machnetd "
            "with --ip.",
            address_format_ip(local, text));
        return MACHNET_EADDRNOTAVAIL;
    }
    if (!quota_take(client->user, QUOTA_LISTENERS, 1, why))
        return MACHNET_EQUOTA;
    if (!listeners_add(controller->listeners, &own->listener)) {
        quota_give(controller->quota, client->user, QUOTA_LISTENERS, 1);
        (void)snprintf(why, QUOTA_MESSAGE_BYTES,
                       "Another listener has port %u of this address. Choose another port, or 0 for a free one.", local->port);
        return MACHNET_EADDRINUSE;
    }
    own->client = client;
    own->in_table = true;
    DL_APPEND(client->listeners, own);
    return MACHNET_OK;
}

static struct endpoint endpoint_of(const struct mn_control_listen *message)
{
    struct endpoint local = {.port = message->port};
    const struct endpoint ipv4_any = {.ip = {[10] = 0xff, [11] = 0xff}};
    memcpy(local.ip, message->ip, sizeof local.ip);
    if (memcmp(local.ip, ipv4_any.ip, sizeof local.ip) == 0)
        memset(local.ip, 0, sizeof local.ip); /* 0.0.0.0 is as good a way to say "any" */
    return local;
}

void listen_request(struct client *client, const struct mn_control_listen *message)
{
    const struct endpoint local = endpoint_of(message);
    char why[QUOTA_MESSAGE_BYTES];
    struct client_listener *own = calloc(1, sizeof *own);
    if (own == NULL) {
        refuse(client, message->header.request, MACHNET_ENOMEM, &local,
               "The engine has no memory for another listener.");
        return;
    }
    own->listener.local = local;
    own->request = message->header.request;
    int32_t status = add(client, own, why);
    if (status != MACHNET_OK) {
        free(own);
        refuse(client, message->header.request, status, &local, why);
        return;
    }
    post(own, WORKER_LISTEN, listening);
}

void listen_close_request(struct client *client, const struct mn_control_listen *message)
{
    struct listener *found = listeners_find(client->controller->listeners, message->listener);
    struct client_listener *own = (struct client_listener *)(void *)found; /* its first member */
    if (own == NULL || own->client != client || own->busy) {
        const struct listener none = {.token = message->listener};
        reply(client, MN_CONTROL_UNLISTEN_REPLY, message->header.request, MACHNET_EBADTOKEN, &none,
              "The channel has no such listener (any more).");
        return;
    }
    own->request = message->header.request;
    post(own, WORKER_UNLISTEN, unlistened);
}

void listen_close_all(struct client *client)
{
    struct client_listener *own, *next;
    DL_FOREACH_SAFE (client->listeners, own, next) {
        if (own->busy)
            leave_table(own); /* it is dropped when the worker is done with it */
        else
            listen_drop(own);
    }
}
