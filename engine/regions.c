/* SPDX-License-Identifier: MIT */
/* Further regions of a live channel, by the same two steps as ATTACH: SEND regions that the client asks for, RECEIVE regions that the worker
 * asks for. */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "channel/region.h"
#include "controller_internal.h"

/* Neither library nor worker asks for more at once; and while this thread enters its pages, others wait. */
enum { REGION_BYTES_MOST = 32 << 20 };

static struct pending_region *pending_of(struct client *client, uint16_t kind)
{
    return &client->pending[kind == MN_REGION_RECEIVE];
}

static void send_region(struct pending_region *pending, uint16_t type, int32_t status, const int *fds,
                        uint32_t fd_count)
{
    struct mn_control_region message = {.region = pending->region, .kind = pending->kind, .bytes = pending->bytes};
    mn_control_prepare(&message.header, type, pending->request, status);
    client_send(pending->client, &message.header, fds, fd_count);
}

static void next_receive_region(struct pending_region *pending);

/* The worker has the answer, or needs none. */
static void finish(struct pending_region *pending)
{
    pending->step = REGION_NONE;
    if (pending->kind == MN_REGION_RECEIVE && pending->client->state == CLIENT_ATTACHED)
        next_receive_region(pending);
}

static struct pending_region *pending_of_command(struct worker_message *command)
{
    return (struct pending_region *)(void *)((char *)command - offsetof(struct pending_region, command));
}

static void refusal_told(struct worker_message *command)
{
    struct pending_region *pending = pending_of_command(command);
    struct client *client = pending->client;
    finish(pending);
    client_let_go(client);
}

/* Nothing comes of it: tells whoever asked. */
static void refuse(struct pending_region *pending, int32_t status)
{
    struct client *client = pending->client;
    client->controller->counters.regions_refused++;
    if (pending->kind == MN_REGION_RECEIVE) {
        pending->step = REGION_ADDING;
        pending->command = (struct worker_message){.type = WORKER_REGION_REFUSED};
        client_post(client, &pending->command, refusal_told);
        return;
    }
    pending->step = REGION_NONE;
    send_region(pending, MN_CONTROL_REGION_REFUSED, status, NULL, 0);
}

/* Takes back what was offered. */
static void withdraw(struct pending_region *pending)
{
    assert(pending->step == REGION_OFFERED);
    evtimer_del(&pending->deadline);
    close(pending->fd);
    attach_drop_region(pending->client, pending->base, pending->bytes);
    pending->step = REGION_NONE;
}

/* Puts it among those that wait for what is about to be given back, or takes it out again. */
static void begin_to_wait(struct pending_region *pending)
{
    const struct timeval patience = controller_step(pending->client->controller);
    pending->step = REGION_WAITING;
    evtimer_add(&pending->deadline, &patience);
    DL_APPEND2(pending->client->controller->waiting_regions, pending, waiting_prev, waiting_next);
}

static void end_waiting(struct pending_region *pending)
{
    assert(pending->step == REGION_WAITING);
    DL_DELETE2(pending->client->controller->waiting_regions, pending, waiting_prev, waiting_next);
    evtimer_del(&pending->deadline);
    pending->step = REGION_NONE;
}

static void on_deadline(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct pending_region *pending = arg;
    struct client *client = pending->client;
    client->controller->counters.timeouts++;
    client_hold(client);
    if (pending->step == REGION_WAITING) {
        end_waiting(pending);
        refuse(pending, MACHNET_EQUOTA);
    } else {
        withdraw(pending);
        refuse(pending, MACHNET_ETIMEDOUT);
    }
    client_let_go(client);
}

void region_init(struct client *client)
{
    for (int i = 0; i < 2; i++) {
        struct pending_region *pending = &client->pending[i];
        pending->client = client;
        pending->kind = i == 0 ? MN_REGION_SEND : MN_REGION_RECEIVE;
        evtimer_assign(&pending->deadline, client->controller->base, on_deadline, pending);
    }
}

void region_close(struct client *client)
{
    for (int i = 0; i < 2; i++) {
        if (client->pending[i].step == REGION_OFFERED)
            withdraw(&client->pending[i]);
        else if (client->pending[i].step == REGION_WAITING)
            end_waiting(&client->pending[i]);
    }
}

static uint64_t arena_bytes(const struct client *client, uint16_t kind)
{
    uint64_t bytes = 0;
    for (int i = 0; i < MN_REGIONS_MAX; i++)
        bytes += client->memory.regions[i].kind == kind ? client->memory.regions[i].bytes : 0;
    return bytes;
}

/* Makes the region and offers it, or refuses. */
static void offer(struct pending_region *pending)
{
    struct client *client = pending->client;
    struct mn_header *header = client->memory.regions[0].base;
    const struct timeval patience = controller_step(client->controller);
    char why[QUOTA_MESSAGE_BYTES];
    if (client->next_region == MN_REGIONS_MAX) {
        refuse(pending, MACHNET_EQUOTA);
        return;
    }
    int32_t status = attach_make_region(client, pending->bytes, &pending->fd, &pending->base, why);
    if (status != MACHNET_OK) {
        client_complain(client, why);
        refuse(pending, status);
        return;
    }
    pending->region = client->next_region++;
    pending->step = REGION_OFFERED;
    evtimer_add(&pending->deadline, &patience);
    send_region(pending, MN_CONTROL_REGION_OFFER, MACHNET_OK, &pending->fd, 1);
    /* For a client that polls; one that sleeps watches its socket, too. */
    if (pending->kind == MN_REGION_RECEIVE && pending->step == REGION_OFFERED)
        atomic_fetch_add_explicit(&header->control_sequence, 1, memory_order_release);
}

/* A channel that was refused once does not ask again: that must not come of what others are just giving back. */
static bool is_early(const struct pending_region *pending)
{
    const struct quota_user *user = pending->client->user;
    return user->leaving > 0 && !quota_has(user, QUOTA_BYTES, pending->bytes);
}

static void request(struct pending_region *pending, uint64_t bytes, uint64_t most)
{
    const struct client *client = pending->client;
    uint64_t have = arena_bytes(client, pending->kind);
    pending->bytes = bytes;
    pending->region = client->next_region;
    if (bytes > REGION_BYTES_MOST || have > most || bytes > most - have)
        refuse(pending, MACHNET_EQUOTA);
    else if (is_early(pending))
        begin_to_wait(pending);
    else
        offer(pending);
}

void region_retry_all(struct controller *controller)
{
    struct pending_region *pending, *next;
    DL_FOREACH_SAFE2(controller->waiting_regions, pending, next, waiting_next)
    {
        struct client *client = pending->client;
        /* Who is closed meanwhile, since its socket is full, waits for neither of its regions. */
        if (pending->step != REGION_WAITING || is_early(pending))
            continue;
        end_waiting(pending);
        client_hold(client);
        offer(pending);
        client_let_go(client);
    }
}

void region_request(struct client *client, const struct mn_control_region *message)
{
    struct pending_region *pending = pending_of(client, MN_REGION_SEND);
    if (message->kind != MN_REGION_SEND || message->bytes == 0 || message->bytes % MN_BLOCK != 0) {
        client_malformed(client, "A region of this kind or size cannot be asked for.");
        return;
    }
    if (pending->step == REGION_ADDING || pending->step == REGION_WAITING) {
        client_malformed(client, "A region was asked for while another is on its way.");
        return;
    }
    if (pending->step == REGION_OFFERED) /* it could not map that one, and asks for another */
        withdraw(pending);
    pending->request = message->header.request;
    request(pending, message->bytes, client->send_bytes_max);
}

static void next_receive_region(struct pending_region *pending)
{
    struct client *client = pending->client;
    uint64_t bytes = (pending->wanted + MN_BLOCK - 1) / MN_BLOCK * MN_BLOCK;
    if (pending->wanted == 0)
        return;
    pending->wanted = 0;
    request(pending, bytes, client->memory.receive_bytes_max);
}

void region_wanted(struct client *client, uint64_t bytes)
{
    struct pending_region *pending = pending_of(client, MN_REGION_RECEIVE);
    pending->wanted = bytes;
    if (client->state == CLIENT_ATTACHED && pending->step == REGION_NONE)
        next_receive_region(pending);
}

static void added(struct worker_message *command)
{
    struct pending_region *pending = pending_of_command(command);
    struct client *client = pending->client;
    if (command->status == MACHNET_OK)
        client->controller->counters.regions_added++;
    else
        client->controller->counters.regions_refused++;
    /* A region that the worker did not take stays till the end of the channel: it counts, but nobody uses it. */
    if (command->status == MACHNET_OK)
        send_region(pending, MN_CONTROL_REGION_READY, MACHNET_OK, NULL, 0);
    else if (pending->kind == MN_REGION_SEND)
        send_region(pending, MN_CONTROL_REGION_REFUSED, command->status, NULL, 0);
    finish(pending);
    client_let_go(client);
}

void region_mapped(struct client *client, const struct mn_control_region *message)
{
    if (message->kind != MN_REGION_SEND && message->kind != MN_REGION_RECEIVE) {
        client_malformed(client, "There is no such kind of region.");
        return;
    }
    struct pending_region *pending = pending_of(client, message->kind);
    if (pending->step != REGION_OFFERED || pending->region != message->region) {
        if (message->region >= client->next_region)
            client_malformed(client, "The region was not offered.");
        return; /* it was offered once; the time for it is over */
    }
    evtimer_del(&pending->deadline);
    if (mn_region_check(pending->fd, pending->base, pending->bytes) < 0) {
        withdraw(pending);
        refuse(pending, MACHNET_ENOMEM);
        return;
    }
    close(pending->fd);
    client->memory.regions[pending->region].base = pending->base;
    client->memory.regions[pending->region].bytes = pending->bytes;
    client->memory.regions[pending->region].kind = pending->kind;
    pending->step = REGION_ADDING;
    pending->command = (struct worker_message){
        .type = WORKER_ADD_REGION,
        .region = pending->region,
        .kind = pending->kind,
        .base = pending->base,
        .bytes = pending->bytes,
    };
    client_post(client, &pending->command, added);
}
