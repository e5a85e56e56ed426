/* SPDX-License-Identifier: MIT */
/* The turns of a worker and what it does between them. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "worker_internal.h"

enum { EVENTS_PER_LOOK = 64, YIELD_COST = 8 };

#define LOOK_NS UINT64_C(10000)         /* a busy worker looks so often whether a sleeping channel calls */
#define YIELD_EVERY_NS UINT64_C(3000)   /* without work: how often others may have the processor */
#define YIELD_RARELY_NS UINT64_C(24000) /* the same, if that has brought us nothing again and again */
#define YIELD_RAREST_NS UINT64_C(96000) /* where one in vain is dear: a YIELD_COST-th of the time, or this */
#define LONG_WAIT_NS UINT64_C(30000)    /* who has found nothing for so long loses little by others, and it may be their turn: */
#define YIELD_LONG_NS UINT64_C(6000)    /* they may have it so often again */
#define YIELD_TAKEN_NS UINT64_C(1000)   /* a yield that takes so long was taken */
#define SHARED_NS UINT64_C(10000000)    /* so long after it we expect another one to be */
#define YIELD_BUSY_NS UINT64_C(50000)   /* with work: how often, if the processor is shared */
#define ACK_SOON_NS \
    UINT64_C(20000) /* if a peer that is awake acknowledges at once, the ACK of what was sent has come by then */
#define NAP_MIN_NS UINT64_C(50000)
#define NAP_MAX_NS UINT64_C(1000000)
#define SLEEP_MIN_NS UINT64_C(10000)
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

static void take_event(int event)
{
    eventfd_t ignored;
    (void)!eventfd_read(event, &ignored);
}

/* Finds out which descriptors are signalled, and makes their channels active. */
static int look(struct worker *worker, uint64_t timeout_ns)
{
    struct epoll_event events[EVENTS_PER_LOOK];
    int count = wait_for_events(worker->epoll, events, timeout_ns);
    /* Not after a timer: a NIC has some of its own, and looks at its link when it is asked for packets. */
    worker->nic_quiet = worker->nic_wakes && count > 0 && count < EVENTS_PER_LOOK;
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == &worker->mailbox)
            take_event(worker->mailbox.inbox_event);
        else if (events[i].data.ptr == worker->config.handover)
            take_event(handover_fd(worker->config.handover, worker->index));
        else if (events[i].data.ptr != worker)
            worker_activate(worker, events[i].data.ptr);
        else
            worker->nic_quiet = false;
    }
    return count;
}

/* Whether other workers have nothing for us; then they wake us from here on. */
static bool may_sleep(struct worker *worker)
{
    return worker->worker_count == 1 || handover_sleep(worker->config.handover, worker->index);
}

static void awake(struct worker *worker)
{
    if (worker->worker_count > 1)
        handover_awake(worker->config.handover, worker->index);
}

/*
 * Messages moved in this turn: an application's went out, or one got some. Acknowledgements, releases and timers are not what anybody
 * waits for. How long it took since they last moved says whether it is worth while to poll the next time we wait for the same side.
 */
static void note_progress(struct worker *worker, enum awaited next, uint64_t now)
{
    mn_patience_learn(&worker->patience[worker->awaited], worker->config.spin_ns, worker->last_progress, now);
    worker->last_progress = now;
    worker->awaited = next;
}

uint32_t worker_turn(struct worker *worker, uint64_t now)
{
    worker->now = now;
    worker->ports[PORT_NIC]->now_ns = now;
    worker->counters.loops++;
    uint32_t work = worker_run_commands(worker, now);
    const uint32_t asked = worker_poll_channels(worker, now);
    worker->asked = asked > 0;
    work += asked;
    /* What applications ask for does not wait for a look at the network, which may be a call of the kernel: that comes in the next turn, and
     * before timeouts, since what they wait for may have come. */
    if (asked > 0 && worker->looks_owed == 0) {
        worker->looks_owed = 1;
    } else {
        work += worker_receive(worker, now);
        if (now >= transport_next_timeout(worker->transport))
            transport_timeout(worker->transport, now);
        worker->looks_owed = 0;
    }
    /* Applications first: what they wait for is there, and the network's answer is a round trip away. */
    work += worker_flush_channels(worker);
    const uint32_t sent = worker_transmit(worker, now);
    work += sent;
    if (worker->submitted && sent > 0)
        note_progress(worker, AWAITED_NETWORK, now);
    else if (worker->delivered)
        note_progress(worker, AWAITED_APPLICATION, now);
    if (worker->unreported)
        worker_report_broken(worker);
    if (work > 0) {
        worker->counters.busy_loops++;
        worker->last_busy = now;
        worker->nap_ns = 0;
    }
    return work;
}

/* ---- Between turns ---- */

/* Sleeps until a descriptor or a timer calls; of a NIC that has no descriptors, at most until the end of a nap. Naps grow while nothing
 * comes. */
static void sleep_until_called(struct worker *worker, uint64_t now)
{
    uint64_t next = transport_sleep_until(worker->transport, now);
    if (worker->channel_deadline < next)
        next = worker->channel_deadline;
    const uint64_t nic_timer = worker->ports[PORT_NIC]->timer_ns;
    if (nic_timer != 0 && nic_timer < next)
        next = nic_timer;
    if (!worker->nic_wakes) {
        worker->nap_ns = worker->nap_ns == 0               ? NAP_MIN_NS
                         : worker->nap_ns < NAP_MAX_NS / 2 ? 2 * worker->nap_ns
                                                           : NAP_MAX_NS;
        if (now + worker->nap_ns < next)
            next = now + worker->nap_ns;
    }
    /* A timer that is so near, of a packet's pace most likely, would be over before we slept. */
    if (next < now + SLEEP_MIN_NS || !may_sleep(worker))
        return;
    worker->counters.sleeps++;
    if (look(worker, next == UINT64_MAX ? SLEEP_MAX_NS : next - now) > 0)
        worker->counters.wakeups++;
    awake(worker);
}

/* Lets others have the processor. If somebody took it, it is shared: an application, say, that cannot answer before we let it. */
static void yield(struct worker *worker, bool busy)
{
    uint64_t before = clock_now_ns();
    sched_yield();
    worker->last_yield = clock_now_ns();
    worker->yield_took_ns = worker->last_yield - before;
    worker->offered = false;
    if (worker->yield_took_ns < YIELD_TAKEN_NS)
        return;
    worker->shared_until = worker->last_yield + SHARED_NS;
    worker->offered = !busy;
}

/* After the turn that followed an offer of the processor: applications that only took it to see that they wait for us, too, are offered
 * it half as often, down to so rarely that it costs us little; those that had something for us as often as at first. */
static void learn_from_offer(struct worker *worker)
{
    uint64_t most_ns = YIELD_COST * worker->yield_took_ns;
    most_ns = most_ns < YIELD_RARELY_NS ? YIELD_RARELY_NS : most_ns > YIELD_RAREST_NS ? YIELD_RAREST_NS : most_ns;
    if (worker->asked)
        worker->yield_every_ns = YIELD_EVERY_NS;
    else
        worker->yield_every_ns = 2 * worker->yield_every_ns < most_ns ? 2 * worker->yield_every_ns : most_ns;
    worker->offered = false;
}

uint64_t worker_yield_every_ns(const struct worker *worker, uint64_t now)
{
    if (now >= worker->shared_until)
        return YIELD_EVERY_NS;
    if (now - worker->last_busy >= LONG_WAIT_NS && worker->yield_every_ns > YIELD_LONG_NS)
        return YIELD_LONG_NS;
    return worker->yield_every_ns;
}

/* Now and then; on a shared processor also as soon as an application has got something: it may have to wait for us to let it run. */
static bool should_yield(const struct worker *worker, bool busy, uint64_t now)
{
    const uint64_t alone_ns = now > worker->last_yield ? now - worker->last_yield : 0;
    if (busy)
        return now < worker->shared_until && (worker->posted || alone_ns >= YIELD_BUSY_NS);
    return alone_ns >= worker_yield_every_ns(worker, now);
}

static void look_again(struct worker *worker, bool busy, uint64_t now)
{
    if (worker->active.count < worker->channels.count && now - worker->last_look >= LOOK_NS) {
        worker->last_look = now;
        look(worker, 0);
    }
    if (worker->offered)
        learn_from_offer(worker);
    if (should_yield(worker, busy, now))
        yield(worker, busy);
}

uint64_t worker_patience_ns(const struct worker *worker)
{
    const bool polls =
        worker->config.poll != WORKER_POLL_SLEEP && mn_patience_polls(&worker->patience[worker->awaited]);
    return polls ? worker->config.spin_ns : 0;
}

bool worker_is_patient(const struct worker *worker, uint64_t now)
{
    const uint64_t waited_ns = now - worker->last_progress;
    if (worker->config.poll != WORKER_POLL_ADAPTIVE)
        return worker->config.poll == WORKER_POLL_SPIN;
    if (worker->awaited == AWAITED_NETWORK && waited_ns < ACK_SOON_NS && waited_ns < worker->config.spin_ns)
        return true;
    return waited_ns < worker_patience_ns(worker);
}

/* Go on, let others run, or sleep. After a turn that found something there may be more that no descriptor tells of. */
static void rest(struct worker *worker, bool busy, uint64_t now)
{
    if (busy || worker_is_patient(worker, now) || worker->active.count > 0)
        look_again(worker, busy, now);
    else
        sleep_until_called(worker, now);
}

void *worker_main(void *arg)
{
    struct worker *worker = arg;
    char name[16];
    (void)snprintf(name, sizeof name, "machnet-w%u", worker->index);
    prctl(PR_SET_NAME, name);
    prctl(PR_SET_TIMERSLACK, 1UL); /* ns; the default adds 50 us to each of our timers */
    worker->yield_every_ns = YIELD_EVERY_NS;
    while (!atomic_load_explicit(&worker->mailbox.stop, memory_order_relaxed)) {
        uint64_t now = clock_now_ns();
        bool busy = worker_turn(worker, now) > 0;
        rest(worker, busy, now);
    }
    return NULL;
}
