/* SPDX-License-Identifier: MIT */
/*
 * Attaching in two steps: the memory is made and offered; when the client has mapped, filled and sealed it, so that nobody can take pages out
 * of it any more, that is checked, and only then it is touched and given to a worker (channel/region.h says why so).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "channel/region.h"
#include "channel/wakeup.h"
#include "controller_internal.h"

enum {
    ARENA_BYTES_FIRST = 1 << 20,
    ARENA_BYTES_MIN = 4 * MN_BLOCK,
};

#define ARENA_BYTES_DEFAULT (UINT64_C(64) << 20)
#define ARENA_BYTES_MAX (UINT64_C(16) << 30)

static const uint16_t first_kinds[CLIENT_FIRST_REGIONS] = {MN_REGION_RINGS, MN_REGION_SEND, MN_REGION_RECEIVE};

int32_t attach_make_region(struct client *client, uint64_t bytes, int *fd, void **base, char *message)
{
    if (!quota_take(client->user, QUOTA_BYTES, bytes, message))
        return MACHNET_EQUOTA;
    int error = mn_region_create("machnet", bytes, fd, base);
    if (error < 0) {
        quota_give(client->controller->quota, client->user, QUOTA_BYTES, bytes);
        (void)snprintf(message, QUOTA_MESSAGE_BYTES, "The engine cannot get %llu bytes of shared memory (%s).%s",
                       (unsigned long long)bytes, strerror(-error),
                       error == -EFBIG ? " Start it with a higher limit of file sizes (ulimit -f)." : "");
        return MACHNET_ENOMEM;
    }
    return MACHNET_OK;
}

void attach_drop_region(struct client *client, void *base, uint64_t bytes)
{
    mn_region_unmap(base, bytes);
    quota_give(client->controller->quota, client->user, QUOTA_BYTES, bytes);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void attach_free(struct client *client)
{
    struct channel_memory *memory = &client->memory;
    bool charged = memory->regions[0].base != NULL;
    for (uint32_t i = 0; i < MN_REGIONS_MAX; i++) {
        if (memory->regions[i].base != NULL)
            attach_drop_region(client, memory->regions[i].base, memory->regions[i].bytes);
    }
    for (int i = 0; i < CLIENT_FIRST_REGIONS; i++)
        close_fd(&client->region_fds[i]);
    close_fd(&client->wakeup_fd);
    close_fd(&memory->signal_fd);
    close_fd(&memory->event);
    if (charged)
        quota_give(client->controller->quota, client->user, QUOTA_CHANNELS, 1);
    if (client->worker != NULL)
        client->controller->worker_channels[client->worker_index]--;
    client->worker = NULL;
    *memory = (struct channel_memory){.signal_fd = -1, .event = -1};
}

/* ---- First step ---- */

/* What the client may grow an arena to: a multiple of the block size, within reason, and at least so much that it works. */
static uint64_t bound_arena(uint64_t asked, uint64_t least, uint64_t most)
{
    uint64_t bytes = asked != 0 ? asked : ARENA_BYTES_DEFAULT;
    if (bytes < least)
        bytes = least;
    if (bytes > most)
        bytes = most;
    if (bytes < ARENA_BYTES_MIN)
        bytes = ARENA_BYTES_MIN;
    return bytes / MN_BLOCK * MN_BLOCK;
}

/*
 * Who asks for a small send arena sees at once which messages are too long for it. What comes in is chosen by others: so the
 * receive arena may always grow to where the longest message finds room, as far as the quota goes after what else a channel needs.
 */
static void bound_arenas(struct client *client, const struct mn_control_attach *asked)
{
    uint64_t quota = client->user->limit[QUOTA_BYTES];
    uint64_t most = quota < ARENA_BYTES_MAX ? quota : ARENA_BYTES_MAX, rings;
    mn_layout_plan(client->memory.rings, &rings);
    client->send_bytes_max = bound_arena(asked->send_bytes_max, 0, most);
    uint64_t first = client->send_bytes_max < ARENA_BYTES_FIRST ? client->send_bytes_max : ARENA_BYTES_FIRST;
    uint64_t left = quota > rings + first ? quota - rings - first : 0;
    client->memory.receive_bytes_max =
        bound_arena(asked->receive_bytes_max, CHANNEL_RECEIVE_BYTES_LEAST, left < most ? left : most);
}

static int32_t make_descriptors(struct client *client, char *message)
{
    int error = mn_wakeup_open(&client->memory.signal_fd, &client->wakeup_fd);
    if (error == 0) {
        client->memory.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (client->memory.event >= 0)
            return MACHNET_OK;
        error = -errno;
    }
    (void)snprintf(message, QUOTA_MESSAGE_BYTES,
                   "The engine has no descriptors left (%s). Start it with a higher limit (ulimit -n).", strerror(-error));
    return MACHNET_ENOMEM;
}

/* The first regions; returns how much they are together. */
static uint64_t plan_memory(struct client *client, uint64_t bytes[CLIENT_FIRST_REGIONS])
{
    uint64_t most[CLIENT_FIRST_REGIONS] = {0, client->send_bytes_max, client->memory.receive_bytes_max};
    mn_layout_plan(client->memory.rings, &bytes[0]);
    for (int i = 1; i < CLIENT_FIRST_REGIONS; i++)
        bytes[i] = most[i] > ARENA_BYTES_FIRST ? ARENA_BYTES_FIRST : most[i];
    return bytes[0] + bytes[1] + bytes[2];
}

static int32_t make_memory(struct client *client, char *message)
{
    struct channel_memory *memory = &client->memory;
    uint64_t bytes[CLIENT_FIRST_REGIONS];
    (void)plan_memory(client, bytes);
    if (!quota_take(client->user, QUOTA_CHANNELS, 1, message))
        return MACHNET_EQUOTA;
    for (int i = 0; i < CLIENT_FIRST_REGIONS; i++) {
        void *base;
        int32_t status = attach_make_region(client, bytes[i], &client->region_fds[i], &base, message);
        if (status != MACHNET_OK) {
            if (i == 0) /* attach_free takes region 0 as the sign of a channel */
                quota_give(client->controller->quota, client->user, QUOTA_CHANNELS, 1);
            return status;
        }
        memory->regions[i].base = base;
        memory->regions[i].bytes = bytes[i];
        memory->regions[i].kind = first_kinds[i];
    }
    client->next_region = CLIENT_FIRST_REGIONS;
    return make_descriptors(client, message);
}

static void describe(struct mn_control_attach_offer *offer, int fds[MN_CONTROL_FDS_MAX], enum mn_descriptor_kind kind,
                     int fd)
{
    fds[offer->descriptor_count] = fd;
    offer->descriptors[offer->descriptor_count++] = (uint8_t)kind;
}

static void send_offer(struct client *client, struct mn_control_attach_offer *offer)
{
    int fds[MN_CONTROL_FDS_MAX];
    for (int i = 0; i < CLIENT_FIRST_REGIONS; i++)
        describe(offer, fds, MN_DESCRIPTOR_REGION, client->region_fds[i]);
    describe(offer, fds, MN_DESCRIPTOR_WAKEUP, client->wakeup_fd);
    describe(offer, fds, MN_DESCRIPTOR_EVENT, client->memory.event);
    client_send(client, &offer->header, fds, offer->descriptor_count);
    /* The application has its end now, and nobody else keeps it. */
    close_fd(&client->wakeup_fd);
}

/* Makes what was asked for and offers it, or refuses. */
static void offer_memory(struct client *client)
{
    struct mn_control_attach_offer offer = {.descriptor_count = 0};
    const struct channel_memory *memory = &client->memory;
    int32_t status = make_memory(client, offer.message);
    mn_control_prepare(&offer.header, MN_CONTROL_ATTACH_OFFER, client->attach_request, status);
    if (status != MACHNET_OK) {
        client->controller->counters.attaches_refused++;
        client_complain(client, offer.message);
        attach_free(client);
        if (client->state == CLIENT_WAITING)
            client_set_state(client, CLIENT_READY);
        client_send(client, &offer.header, NULL, 0);
        return;
    }
    for (int i = 0; i < CLIENT_FIRST_REGIONS; i++)
        offer.region_bytes[i] = memory->regions[i].bytes;
    offer.send_bytes_max = client->send_bytes_max;
    offer.receive_bytes_max = memory->receive_bytes_max;
    offer.max_flows = memory->max_flows;
    client_set_state(client, CLIENT_MAPPING);
    send_offer(client, &offer);
}

/* Who starts when another program of the user has just ended is not refused what that one is about to give back. The flows of a program end
 * with its channel, and nobody knows how many the next one will want: half of them are enough. */
static bool is_early(struct client *client)
{
    struct quota_user *user = client->user;
    uint64_t bytes[CLIENT_FIRST_REGIONS];
    if (user->leaving == 0)
        return false;
    return !quota_has(user, QUOTA_CHANNELS, 1) || !quota_has(user, QUOTA_BYTES, plan_memory(client, bytes)) ||
           atomic_load_explicit(&user->flows.used, memory_order_relaxed) > user->flows.limit / 2;
}

void attach_request(struct client *client, const struct mn_control_attach *message)
{
    struct channel_memory *memory = &client->memory;
    bound_arenas(client, message);
    memory->flows = &client->user->flows;
    memory->max_flows = memory->flows->limit;
    memory->pid = client->pid;
    memory->uid = client->uid;
    memory->id = client->id;
    text_copy_printable(memory->name, sizeof memory->name, message->name); /* for terminals and JSON */
    client->attach_request = message->header.request;
    if (!is_early(client)) {
        offer_memory(client);
        return;
    }
    client_set_state(client, CLIENT_WAITING);
    DL_APPEND2(client->controller->waiting, client, waiting_prev, waiting_next);
}

void attach_forget(struct client *client)
{
    DL_DELETE2(client->controller->waiting, client, waiting_prev, waiting_next);
}

void attach_retry_all(struct controller *controller)
{
    struct client *client, *next;
    DL_FOREACH_SAFE2(controller->waiting, client, next, waiting_next)
    {
        if (is_early(client))
            continue;
        attach_forget(client);
        client_hold(client);
        offer_memory(client);
        client_let_go(client);
    }
}

/* ---- Second step ---- */

static void answer(struct client *client, uint32_t request, int32_t status, const char *why)
{
    struct mn_control_attach_offer attached = {.descriptor_count = 0};
    mn_control_prepare(&attached.header, MN_CONTROL_ATTACHED, request, status);
    (void)snprintf(attached.message, sizeof attached.message, "%s", why);
    client_send(client, &attached.header, NULL, 0);
    if (status == MACHNET_OK) {
        client->controller->counters.attaches++;
        return;
    }
    client->controller->counters.attaches_refused++;
    client_close(client, status, NULL);
}

static void attached(struct worker_message *command)
{
    struct client *client = (struct client *)(void *)((char *)command - offsetof(struct client, attach));
    client->channel = command->status == MACHNET_OK ? command->channel : NULL;
    if (client->state == CLIENT_CLOSING)
        client_detach(client);
    else if (command->status != MACHNET_OK)
        answer(client, client->attach_request, command->status, "The engine has no memory for another channel.");
    else {
        client_set_state(client, CLIENT_ATTACHED);
        log_debug("channel %llu: %s (pid %u, uid %u) attached", (unsigned long long)client->id, client->memory.name,
                  client->pid, client->uid);
        answer(client, client->attach_request, MACHNET_OK, "");
    }
    client_let_go(client);
}

static int check_all(struct client *client)
{
    const struct channel_memory *memory = &client->memory;
    int error = 0;
    for (int i = 0; i < CLIENT_FIRST_REGIONS; i++) {
        if (error == 0)
            error = mn_region_check(client->region_fds[i], memory->regions[i].base, memory->regions[i].bytes);
        close_fd(&client->region_fds[i]);
    }
    return error;
}

/* The one with the fewest channels. */
static uint32_t choose_worker(const struct controller *controller)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < controller->config.worker_count; i++) {
        if (controller->worker_channels[i] < controller->worker_channels[best])
            best = i;
    }
    return best;
}

void attach_mapped(struct client *client, const struct mn_control_plain *message)
{
    struct controller *controller = client->controller;
    struct channel_memory *memory = &client->memory;
    int error = check_all(client);
    if (error < 0) {
        bool tampered = error == -EPERM || error == -EFAULT;
        client_complain(client, tampered ? "its memory is not sealed or not whole" : "its memory cannot be used");
        answer(client, message->header.request, tampered ? MACHNET_EPROTOCOL : MACHNET_ENOMEM,
               tampered ? "The shared memory is not sealed or not whole." : "The engine cannot use the shared memory.");
        return;
    }
    mn_layout_write(memory->regions[0].base, client->layout, memory->rings, memory->regions[0].bytes, 0);
    client_set_state(client, CLIENT_ATTACHING);
    client->attach_request = message->header.request;
    client->worker_index = choose_worker(controller);
    client->worker = controller->config.workers[client->worker_index];
    controller->worker_channels[client->worker_index]++;
    client->attach = (struct worker_message){
        .type = WORKER_ATTACH,
        .user = (void *)(uintptr_t)client->id,
        .memory = &client->memory,
    };
    client_post(client, &client->attach, attached);
}
