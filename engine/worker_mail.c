/* SPDX-License-Identifier: MIT */
/* Messages between controller and worker: two lists under one lock, an eventfd for each end. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "worker_internal.h"

void message_append(struct message_list *list, struct worker_message *message)
{
    message->next = NULL;
    if (list->head == NULL)
        list->head = message;
    else
        list->tail->next = message;
    list->tail = message;
}

static void event_raise(int event)
{
    /* It fails only if it has been raised 2^64 - 2 times and not been looked at: then it is raised. */
    int result = eventfd_write(event, 1);
    (void)result;
}

bool mailbox_init(struct mailbox *mailbox)
{
    mailbox->inbox_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    mailbox->outbox_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&mailbox->lock, NULL);
    return mailbox->inbox_event >= 0 && mailbox->outbox_event >= 0;
}

/* Notices are ours; commands belong to the controller, who is ending it. */
static bool is_notice(const struct worker_message *message)
{
    return message->type >= WORKER_BROKEN;
}

void mailbox_fini(struct mailbox *mailbox)
{
    struct worker_message *next;
    for (struct worker_message *m = mailbox->outbox.head; m != NULL; m = next) {
        next = m->next;
        if (is_notice(m))
            free(m);
    }
    pthread_mutex_destroy(&mailbox->lock);
    if (mailbox->inbox_event >= 0)
        close(mailbox->inbox_event);
    if (mailbox->outbox_event >= 0)
        close(mailbox->outbox_event);
}

struct worker_message *mailbox_take(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    struct worker_message *commands = mailbox->inbox.head;
    mailbox->inbox = (struct message_list){0};
    atomic_store_explicit(&mailbox->mail, false, memory_order_relaxed);
    pthread_mutex_unlock(&mailbox->lock);
    return commands;
}

void mailbox_deliver(struct mailbox *mailbox, struct message_list messages)
{
    if (messages.head == NULL)
        return;
    pthread_mutex_lock(&mailbox->lock);
    if (mailbox->outbox.head == NULL)
        mailbox->outbox = messages;
    else {
        mailbox->outbox.tail->next = messages.head;
        mailbox->outbox.tail = messages.tail;
    }
    pthread_mutex_unlock(&mailbox->lock);
    event_raise(mailbox->outbox_event);
}

bool mailbox_notify(struct mailbox *mailbox, const struct worker_message *notice)
{
    struct worker_message *copy = malloc(sizeof *copy);
    if (copy == NULL)
        return false;
    *copy = *notice;
    struct message_list list = {0};
    message_append(&list, copy);
    mailbox_deliver(mailbox, list);
    return true;
}

/* ---- The controller's side ---- */

void worker_post(struct worker *worker, struct worker_message *command)
{
    struct mailbox *mailbox = &worker->mailbox;
    pthread_mutex_lock(&mailbox->lock);
    message_append(&mailbox->inbox, command);
    atomic_store_explicit(&mailbox->mail, true, memory_order_relaxed);
    pthread_mutex_unlock(&mailbox->lock);
    event_raise(mailbox->inbox_event);
}

int worker_fd(const struct worker *worker)
{
    return worker->mailbox.outbox_event;
}

void worker_collect(struct worker *worker, void (*notice)(void *arg, const struct worker_message *notice), void *arg)
{
    struct mailbox *mailbox = &worker->mailbox;
    eventfd_t count;
    int result = eventfd_read(mailbox->outbox_event, &count);
    (void)result; /* not raised: there may be something all the same */
    pthread_mutex_lock(&mailbox->lock);
    struct worker_message *next, *message = mailbox->outbox.head;
    mailbox->outbox = (struct message_list){0};
    pthread_mutex_unlock(&mailbox->lock);
    for (; message != NULL; message = next) {
        next = message->next;
        if (is_notice(message)) {
            notice(arg, message);
            free(message);
        } else if (message->done != NULL) {
            message->done(message);
        }
    }
}
