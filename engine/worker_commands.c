/* SPDX-License-Identifier: MIT */
/* What the controller asks of a worker. */
#include "base/clock.h"
#include "machnet/machnet.h"
#include "wire/wire.h"
#include "worker_internal.h"

enum { COMMANDS_PER_TURN = 16 }; /* a DETACH may take as long as its channel has flows */

#define SHUTDOWN_NS UINT64_C(50000000) /* so long we try to tell the peers */

static void shut_down(struct worker *worker, uint64_t now)
{
    for (uint32_t i = 0; i < worker->channels.count; i++)
        channel_announce_closed(worker->channels.items[i], MACHNET_EENGINEGONE);
    transport_shutdown(worker->transport, now);
    const uint64_t end = now + SHUTDOWN_NS;
    while (transport_wants_transmit(worker->transport) && now < end) {
        worker_transmit(worker, now);
        now = clock_now_ns();
    }
    while (worker->channels.count > 0)
        worker_detach(worker, worker->channels.items[0], WIRE_REASON_ENGINE_SHUTDOWN, now);
    worker->shut_down = true;
}

static int listen_for(struct worker *worker, const struct worker_message *command)
{
    bool listening =
        transport_listen(worker->transport, channel_owner(command->channel), &command->endpoint, command->listener);
    return listening ? MACHNET_OK : MACHNET_ENOMEM;
}

/* Commands that name a channel of ours. */
static int run_for_channel(struct worker *worker, struct worker_message *command, uint64_t now)
{
    struct channel *channel = command->channel;
    switch (command->type) {
    case WORKER_DETACH:
        worker_detach(worker, channel, command->reason, now);
        return MACHNET_OK;
    case WORKER_ADD_REGION:
        return channel_add_region(channel, command->region, command->kind, command->base, command->bytes, now);
    case WORKER_REGION_REFUSED:
        channel_region_refused(channel, now);
        worker_schedule(worker, channel); /* its deadline has changed */
        return MACHNET_OK;
    case WORKER_LISTEN:
        return listen_for(worker, command);
    case WORKER_UNLISTEN:
        transport_unlisten(worker->transport, channel_owner(channel), command->listener);
        return MACHNET_OK;
    default:
        return MACHNET_EINVAL;
    }
}

static int run(struct worker *worker, struct worker_message *command, uint64_t now)
{
    switch (command->type) {
    case WORKER_ATTACH:
        return worker->shut_down ? MACHNET_EENGINEGONE : worker_attach(worker, command, now);
    case WORKER_STATUS:
        command->report(command->report_arg, worker);
        return MACHNET_OK;
    case WORKER_SHUTDOWN:
        shut_down(worker, now);
        return MACHNET_OK;
    default:
        if (!worker_has(worker, command->channel))
            return MACHNET_EENGINEGONE; /* freed by a shutdown */
        return run_for_channel(worker, command, now);
    }
}

static void run_into(struct message_list *done, struct worker *worker, struct worker_message *command, uint64_t now)
{
    command->status = run(worker, command, now);
    message_append(done, command);
}

/* STATUS is not in any order with the others, and does not wait behind thousands of them. */
static uint32_t take_mail(struct worker *worker, struct message_list *done, uint64_t now)
{
    uint32_t count = 0;
    struct worker_message *next;
    for (struct worker_message *command = mailbox_take(&worker->mailbox); command != NULL; command = next) {
        next = command->next;
        if (command->type == WORKER_STATUS)
            run_into(done, worker, command, now);
        else
            message_append(&worker->commands, command);
        count++;
    }
    return count;
}

uint32_t worker_run_commands(struct worker *worker, uint64_t now)
{
    struct message_list done = {0};
    uint32_t count = 0;
    if (atomic_load_explicit(&worker->mailbox.mail, memory_order_relaxed))
        count += take_mail(worker, &done, now);
    for (uint32_t i = 0; i < COMMANDS_PER_TURN && worker->commands.head != NULL; i++, count++) {
        struct worker_message *command = worker->commands.head;
        worker->commands.head = command->next;
        run_into(&done, worker, command, now);
    }
    mailbox_deliver(&worker->mailbox, done);
    return count;
}
