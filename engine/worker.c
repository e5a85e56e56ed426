/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "wire/wire.h"
#include "worker_internal.h"

enum { NIC_FDS_MAX = 2 * PATH_ADDRESSES_MAX };

static bool watch(struct worker *worker, int fd, void *tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};
    return epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool watch_nic(struct worker *worker)
{
    struct nic_queue *nic = worker->ports[PORT_NIC];
    int fds[NIC_FDS_MAX];
    uint32_t count = nic->ops->fds(nic, fds, NIC_FDS_MAX);
    worker->nic_wakes = count > 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!watch(worker, fds[i], worker))
            return false;
    }
    return true;
}

static bool worker_init(struct worker *worker)
{
    if (!mailbox_init(&worker->mailbox))
        return false;
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    worker->loop = nic_loop_open();
    worker->transport = transport_new(&worker->config.transport, &channel_transport_ops);
    if (worker->epoll < 0 || worker->loop == NULL || worker->transport == NULL)
        return false;
    worker->ports[PORT_NIC] = worker->config.nic;
    worker->ports[PORT_LOOP] = worker->loop->queues[0];
    if (worker->worker_count > 1 &&
        !watch(worker, handover_fd(worker->config.handover, worker->index), worker->config.handover))
        return false;
    return watch(worker, worker->mailbox.inbox_event, &worker->mailbox) && watch_nic(worker);
}

void worker_free(struct worker *worker)
{
    uint64_t now = clock_now_ns();
    while (worker->channels.count > 0)
        worker_detach(worker, worker->channels.items[0], WIRE_REASON_ENGINE_SHUTDOWN, now);
    if (worker->transport != NULL)
        transport_free(worker->transport);
    if (worker->loop != NULL)
        worker->loop->ops->close(worker->loop);
    if (worker->epoll >= 0)
        close(worker->epoll);
    mailbox_fini(&worker->mailbox);
    free(worker->channels.items);
    free(worker->active.items);
    free(worker->scheduled.items);
    free(worker);
}

/* Signals are the controller's; and a peer that is gone must not end the engine. */
static int start_thread(struct worker *worker)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (worker->config.pinned) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET(worker->config.cpu, &cpus);
        pthread_attr_setaffinity_np(&attributes, sizeof cpus, &cpus);
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&worker->thread, &attributes, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

struct worker *worker_new(const struct worker_config *config)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return NULL;
    worker->config = *config;
    worker->index = config->transport.worker;
    worker->worker_count = config->handover != NULL ? handover_workers(config->handover) : 1;
    worker->epoll = -1;
    worker->channel_deadline = UINT64_MAX;
    for (uint32_t i = 0; i < AWAITED_COUNT; i++)
        mn_patience_init(&worker->patience[i]);
    if (!worker_init(worker)) {
        worker_free(worker);
        return NULL;
    }
    return worker;
}

struct worker *worker_start(const struct worker_config *config)
{
    struct worker *worker = worker_new(config);
    if (worker != NULL && start_thread(worker) != 0) {
        worker_free(worker);
        return NULL;
    }
    return worker;
}

void worker_stop(struct worker *worker)
{
    if (worker == NULL)
        return;
    atomic_store_explicit(&worker->mailbox.stop, true, memory_order_relaxed);
    (void)!eventfd_write(worker->mailbox.inbox_event, 1);
    pthread_join(worker->thread, NULL);
    worker_free(worker);
}

/* ---- For status ---- */

void worker_counters(const struct worker *worker, struct worker_counters *counters)
{
    *counters = worker->counters;
    counters->cpu_ns = clock_thread_cpu_ns();
}

struct transport *worker_transport(const struct worker *worker)
{
    return worker->transport;
}

const struct nic_counters *worker_nic_counters(const struct worker *worker)
{
    return &worker->ports[PORT_NIC]->counters;
}

void worker_channels(const struct worker *worker, void (*visit)(void *arg, const struct channel *channel), void *arg)
{
    for (uint32_t i = 0; i < worker->channels.count; i++)
        visit(arg, worker->channels.items[i]);
}
