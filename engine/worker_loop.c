/* SPDX-License-Identifier: MIT */
/* The turns of a worker and what it does between them. */
#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "worker_internal.h"

enum { EVENTS_PER_LOOK = 64 };

#define LOOK_NS UINT64_C(10000)       /* a busy worker looks so often whether a sleeping channel calls */
#define YIELD_AFTER_NS UINT64_C(3000) /* without work so long: others may have the processor between our turns */
#define SLEEP_MAX_NS UINT64_C(3600000000000)

/* Sleeps until one of our descriptors is signalled or the time is over. Returns how many are, or -1. */
static int wait_for_events(int epoll, struct epoll_event *events, uint64_t timeout_ns)
{
    timeout_ns = timeout_ns < SLEEP_MAX_NS ? timeout_ns : SLEEP_MAX_NS;
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / CLOCK_SECOND_NS),
                               .tv_nsec = (long)(timeout_ns % CLOCK_SECOND_NS)};
    int count = epoll_pwait2(epoll, events, EVENTS_PER_LOOK, &timeout, NULL);
    if (count < 0 && errno == ENOSYS) /* kernels before 5.11: whole milliseconds, rounded up */
        count = epoll_wait(epoll, events, EVENTS_PER_LOOK, (int)((timeout_ns + 999999) / 1000000));
    return count;
}

/* Finds out which descriptors are signalled, and makes their channels active. */
static int look(struct worker *worker, uint64_t timeout_ns)
{
    struct epoll_event events[EVENTS_PER_LOOK];
    int count = wait_for_events(worker->epoll, events, timeout_ns);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == &worker->mailbox) {
            eventfd_t ignored;
            (void)!eventfd_read(worker->mailbox.inbox_event, &ignored);
        } else if (events[i].data.ptr != worker) { /* the NIC's are just a reason to be awake */
            worker_activate(worker, events[i].data.ptr);
        }
    }
    return count;
}

uint32_t worker_turn(struct worker *worker, uint64_t now)
{
    worker->now = now;
    worker->counters.loops++;
    uint32_t work = worker_run_commands(worker, now);
    work += worker_receive(worker, now);
    work += worker_poll_channels(worker, now);
    if (now >= transport_next_timeout(worker->transport))
        transport_timeout(worker->transport, now);
    /* Applications first: what they wait for is there, and the network's answer is a round trip away. */
    work += worker_flush_channels(worker);
    work += worker_transmit(worker, now);
    if (worker->unreported)
        worker_report_broken(worker);
    if (work > 0) {
        worker->counters.busy_loops++;
        worker->last_work = now;
    }
    return work;
}

static void sleep_until_called(struct worker *worker, uint64_t now)
{
    uint64_t next = transport_next_timeout(worker->transport);
    if (worker->channel_deadline < next)
        next = worker->channel_deadline;
    if (next <= now)
        return;
    worker->counters.sleeps++;
    if (look(worker, next == UINT64_MAX ? SLEEP_MAX_NS : next - now) > 0)
        worker->counters.wakeups++;
}

/* Between turns: go on, let others run, or sleep. After a turn that found something there may be more that no
 * descriptor tells of. */
static void rest(struct worker *worker, bool busy, uint64_t now)
{
    bool spinning = busy || now - worker->last_work < worker->config.spin_ns || !worker->nic_wakes;
    if (!spinning && worker->active.count == 0) {
        sleep_until_called(worker, now);
        return;
    }
    if (now - worker->last_look >= LOOK_NS) {
        worker->last_look = now;
        look(worker, 0);
    }
    if (now - worker->last_work >= YIELD_AFTER_NS)
        sched_yield();
}

void *worker_main(void *arg)
{
    struct worker *worker = arg;
    prctl(PR_SET_NAME, "machnet-worker");
    prctl(PR_SET_TIMERSLACK, 1UL); /* ns; the default adds 50 us to each of our timers */
    while (!atomic_load_explicit(&worker->mailbox.stop, memory_order_relaxed)) {
        uint64_t now = clock_now_ns();
        bool busy = worker_turn(worker, now) > 0;
        rest(worker, busy, now);
    }
    return NULL;
}
