/* SPDX-License-Identifier: MIT */
/*
 * Waiting, and the descriptor. The channel's epoll descriptor watches the wake-up socket (channel/wakeup.h), the control socket, `notice` and
 * `wake`.
 *
 * Once machnet_channel_fd was called, this holds whenever the application may poll: what came and was not taken makes the descriptor readable.
 * It goes quiet only in mn_idle (a call that returns MACHNET_EAGAIN): there the wake-up socket is emptied first, then the engine is asked to
 * signal, then the rings are looked at once more. What has gone into private queues since the last time raises `notice`, which is an edge, too.
 */
#include "client/client.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "client/connection.h"

enum {
    WATCHED = 4, /* descriptors in the epoll */
    TAKE_DELIVERIES = 1024,
    SPINS_PER_LOOK = 16, /* at the clock */
    YIELD_EVERY_NS = 3000,   /* how often others may have the processor, if they seem not to want it */
    YIELD_TAKEN_NS = 1000,   /* a yield that takes so long was taken */
    SHARED_NS = 10000000,    /* so long after it we expect another one to be */
    SOON_NS = 50000,         /* a deadline so near would be over when a sleeper is awake again */
};

/* Asks the engine for a signal from here on. */
static void arm(struct machnet_channel *channel)
{
    struct mn_shared *shared = &channel->shared;
    _Atomic uint32_t *sleeping = &channel->header->client_sleeping;

    atomic_store_explicit(&shared->armed, 1, memory_order_relaxed);
    atomic_thread_fence(
        memory_order_seq_cst); /* pairs with those in mn_space_wait, mn_space_freed and machnet_flow_close */
    atomic_fetch_or_explicit(sleeping, MN_WAKE_DELIVERIES | mn_space_wishes(channel), memory_order_relaxed);
    /* pairs with the fence of the engine between publishing and reading client_sleeping */
    atomic_thread_fence(memory_order_seq_cst);
}

/* Awake again. Who uses the descriptor stays armed: the engine's next signal is as good as one later. */
static void disarm(struct machnet_channel *channel)
{
    if (atomic_load_explicit(&channel->shared.descriptor, memory_order_relaxed) ||
        atomic_load_explicit(&channel->shared.armed, memory_order_relaxed) == 0)
        return;
    atomic_store_explicit(&channel->shared.armed, 0, memory_order_relaxed);
    atomic_fetch_and_explicit(&channel->header->client_sleeping, 0, memory_order_relaxed);
}

/* Handles the descriptors that are readable; the queues are looked at by the caller. */
static void handle_ready(struct machnet_channel *channel, const struct epoll_event *events, int count)
{
    uint8_t bytes[64];

    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        if (fd == channel->signal_fd) {
            ssize_t got = read(fd, bytes, sizeof bytes);
            if (got == 0) /* its other end is closed: the control socket knows why */
                mn_control_look(channel);
        } else if (fd == channel->control.socket) {
            mn_control_look(channel);
        } else if (fd == channel->wake.fd) {
            mn_signal_clear(&channel->wake); /* `woken` tells whether a wait has answered it already */
        }
    }
}

/* True once for what was woken since the last time. First the descriptor, then the flag, against the order of machnet_channel_wake: so one
 * that comes meanwhile leaves at least the flag. */
static bool take_wake(struct machnet_channel *channel)
{
    if (!atomic_load_explicit(&channel->shared.woken, memory_order_relaxed))
        return false;
    mn_signal_clear(&channel->wake);
    return atomic_exchange_explicit(&channel->shared.woken, false, memory_order_acq_rel);
}

/* epoll_pwait2 where the kernel has it, else with milliseconds, rounded up. Returns as epoll_wait. */
static int wait_epoll(int epoll, struct epoll_event *events, int64_t left_ns)
{
#ifdef SYS_epoll_pwait2
    struct timespec left = {.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};
    long count = syscall(SYS_epoll_pwait2, epoll, events, WATCHED, left_ns < 0 ? NULL : &left, NULL, (size_t)0);
    if (count >= 0 || errno != ENOSYS)
        return (int)count;
#endif
    int64_t left_ms = left_ns < 0 ? -1 : (left_ns + 999999) / 1000000;
    return epoll_wait(epoll, events, WATCHED, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
}

static bool queues_hold(const struct machnet_channel *channel)
{
    return channel->receive.ready_first != NULL || channel->receive.event_first != NULL;
}

/* The descriptor is in use: makes it quiet if there is nothing. MACHNET_EAGAIN, or MACHNET_OK: there is something again. */
static int32_t go_quiet(struct machnet_channel *channel)
{
    struct epoll_event events[WATCHED];

    int count = epoll_wait(channel->epoll, events, WATCHED, 0);
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd != channel->wake.fd) /* machnet_channel_events makes it quiet, or a wait */
            handle_ready(channel, &events[i], 1);
    }
    if (!queues_hold(channel))
        mn_signal_clear(&channel->notice);
    arm(channel);
    mn_space_tell(channel);
    if (mn_deliveries_wait(channel) || mn_gone(channel) < 0 ||
        atomic_load_explicit(&channel->shared.purges, memory_order_relaxed) != NULL) {
        mn_signal_raise(&channel->notice);
        return MACHNET_OK;
    }
    if (queues_hold(channel) && channel->receive.news)
        mn_signal_raise(&channel->notice);
    channel->receive.news = false;
    return MACHNET_EAGAIN;
}

int32_t mn_idle(struct machnet_channel *channel)
{
    int32_t gone = mn_gone(channel);

    mn_receive_done(channel);
    if (gone < 0)
        return mn_deliveries_wait(channel) && gone == MACHNET_EENGINEGONE ? MACHNET_OK : gone;
    if (atomic_load_explicit(&channel->shared.descriptor, memory_order_acquire))
        return go_quiet(channel);
    mn_control_glance(channel, &channel->receive.idle);
    return MACHNET_EAGAIN;
}

void mn_settle(struct machnet_channel *channel)
{
    mn_receive_done(channel);
    if (!atomic_load_explicit(&channel->shared.descriptor, memory_order_acquire))
        return;
    arm(channel);
    mn_space_tell(channel);
    if (queues_hold(channel) || mn_deliveries_wait(channel))
        mn_signal_raise(&channel->notice);
    channel->receive.news = false;
}

/* Whether something came that a sleeper would not be woken for. */
static bool something_new(struct machnet_channel *channel)
{
    struct mn_shared *shared = &channel->shared;
    uint32_t ready = atomic_load_explicit(&shared->space_ready, memory_order_relaxed);

    mn_space_tell(channel);
    return mn_deliveries_wait(channel) || mn_gone(channel) < 0 ||
           atomic_load_explicit(&shared->space_ready, memory_order_relaxed) != ready ||
           atomic_load_explicit(&shared->purges, memory_order_relaxed) != NULL ||
           atomic_load_explicit(&shared->woken, memory_order_acquire);
}

/* Sleeps till something may have happened. As mn_pause. */
static int32_t sleep_until(struct machnet_channel *channel, int64_t deadline_ns)
{
    struct epoll_event events[WATCHED];
    int64_t left_ns = -1;

    mn_receive_done(channel);
    mn_signal_clear(&channel->notice);
    arm(channel);
    if (something_new(channel))
        return MACHNET_OK;
    if (deadline_ns >= 0) {
        left_ns = deadline_ns - mn_now_ns();
        if (left_ns <= 0)
            return MACHNET_ETIMEDOUT;
    }
    mn_count(&channel->receive.sleeps, 1);
    int count = wait_epoll(channel->epoll, events, left_ns);
    if (count < 0)
        return errno == EINTR ? MACHNET_EINTR : MACHNET_ESYSTEM;
    if (count == 0)
        return MACHNET_ETIMEDOUT;
    handle_ready(channel, events, count);
    return MACHNET_OK;
}

/* ---- Polling ---- */

int64_t mn_polls_until(const struct machnet_channel *channel, bool patient, int64_t now_ns, int64_t deadline_ns)
{
    int64_t until_ns = channel->poll == MACHNET_POLL_SPIN ? INT64_MAX : 0;
    bool soon = deadline_ns >= 0 && deadline_ns - now_ns <= SOON_NS;

    if (channel->poll == MACHNET_POLL_ADAPTIVE && channel->spin_ns > 0 && (patient || soon))
        until_ns = now_ns + (int64_t)channel->spin_ns;
    return deadline_ns >= 0 && until_ns > deadline_ns ? deadline_ns : until_ns;
}

/* Lets others have the processor, at once if we know that it is shared: what we wait for may come from the engine on the same one. */
static void yield(struct mn_receiver *receive, int64_t now_ns)
{
    if (now_ns >= receive->shared_until_ns && now_ns - receive->last_yield_ns < YIELD_EVERY_NS)
        return;
    sched_yield();
    receive->last_yield_ns = mn_now_ns();
    if (receive->last_yield_ns - now_ns >= YIELD_TAKEN_NS)
        receive->shared_until_ns = receive->last_yield_ns + SHARED_NS;
}

static bool spin(struct machnet_channel *channel, int spins)
{
    for (int i = 0; i < spins; i++) {
        if (something_new(channel))
            return true;
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
    }
    return false;
}

/* Polls until the time is over (false) or something has come. */
static bool poll_until(struct machnet_channel *channel, int64_t until_ns)
{
    struct mn_receiver *receive = &channel->receive;

    mn_receive_done(channel);
    for (int64_t now_ns = mn_now_ns(); now_ns < until_ns; now_ns = mn_now_ns()) {
        if (spin(channel, now_ns < receive->shared_until_ns ? 1 : SPINS_PER_LOOK))
            return true;
        mn_control_glance(channel, &receive->idle);
        yield(receive, now_ns);
    }
    return false;
}

int32_t mn_pause(struct machnet_channel *channel, int64_t *poll_until_ns, int64_t deadline_ns)
{
    if (*poll_until_ns > 0 && poll_until(channel, *poll_until_ns))
        return MACHNET_OK;
    *poll_until_ns = 0;
    return sleep_until(channel, deadline_ns);
}

/* ---- machnet_channel_wait ---- */

/* The part of `mask` that holds, or why the channel is gone. */
static int32_t look(struct machnet_channel *channel, uint32_t mask)
{
    int32_t gone = mn_gone(channel), taken = 0;
    uint32_t held = 0;

    if (gone < 0 && gone != MACHNET_EENGINEGONE)
        return gone;
    mn_purge_flows(channel);
    /* A message is left in the ring: who receives may take it from there. */
    const bool wants = (mask & MACHNET_WAIT_RECEIVE) != 0;
    const bool holds =
        channel->receive.ready_first != NULL || (wants && gone == MACHNET_OK && mn_direct_waits(channel));
    if (!wants || !holds) {
        do
            taken = mn_deliveries_take(channel, TAKE_DELIVERIES);
        while (taken > 0);
        if (taken < 0 && taken != MACHNET_ELOWMEMORY)
            return taken;
        mn_space_tell(channel);
    }
    /* An end is told once, also one that a receive call has taken off the ring on its way to EAGAIN: the caller looks again. */
    if (holds || channel->receive.ready_first != NULL || channel->receive.ended)
        held |= MACHNET_WAIT_RECEIVE;
    if (channel->receive.event_first != NULL)
        held |= MACHNET_WAIT_EVENT;
    if (atomic_load_explicit(&channel->shared.space_ready, memory_order_relaxed) > 0)
        held |= MACHNET_WAIT_SEND;
    held &= mask;
    if ((held & MACHNET_WAIT_RECEIVE) != 0)
        channel->receive.ended = false;
    if (held != 0)
        return (int32_t)held;
    return taken < 0 ? taken : gone;
}

/* Polls, then sleeps till something of the mask is there, a wake (0), or the deadline. */
static int32_t poll_and_sleep(struct machnet_channel *channel, uint32_t mask, int64_t poll_until_ns, int64_t deadline_ns)
{
    for (;;) {
        int32_t held = look(channel, mask);
        if (held != 0)
            return held;
        if (take_wake(channel))
            return 0;
        int32_t status = mn_pause(channel, &poll_until_ns, deadline_ns);
        if (status == MACHNET_ETIMEDOUT) {
            held = look(channel, mask);
            return held != 0 ? held : MACHNET_ETIMEDOUT;
        }
        if (status < 0)
            return status;
    }
}

static int64_t add_saturated(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/*
 * As poll_and_sleep, and learns whether polling pays: for answers and for what comes unasked apart. What ended early by a wake or a deadline
 * does not tell how long the engine takes.
 */
static int32_t wait_for(struct machnet_channel *channel, uint32_t mask, int64_t timeout_ns)
{
    struct mn_receiver *receive = &channel->receive;
    int64_t began_ns = mn_now_ns(), deadline_ns = timeout_ns < 0 ? -1 : add_saturated(began_ns, timeout_ns);
    uint64_t sent = atomic_load_explicit(&channel->send.messages_sent, memory_order_relaxed);
    struct mn_patience *patience = &receive->patience[sent != receive->sent];

    receive->sent = sent;
    int64_t poll_until_ns = mn_polls_until(channel, mn_patience_polls(patience), began_ns, deadline_ns);
    int32_t held = poll_and_sleep(channel, mask, poll_until_ns, deadline_ns);
    int64_t ended_ns = mn_now_ns();
    if (held > 0 || (uint64_t)(ended_ns - began_ns) > channel->spin_ns)
        mn_patience_learn(patience, channel->spin_ns, (uint64_t)began_ns, (uint64_t)ended_ns);
    return held;
}

int32_t machnet_channel_wait(machnet_channel *channel, uint32_t mask, int64_t timeout_ns)
{
    const uint32_t known = MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT | MACHNET_WAIT_SEND;

    if (channel == NULL || mask == 0 || (mask & ~known) != 0)
        return MACHNET_EINVAL;
    if (mn_forked(channel))
        return MACHNET_EFORKED;
    int32_t held = look(channel, mask);
    if (held != 0) {
        mn_receive_done(channel);
        return held;
    }
    if (timeout_ns == 0) {
        if (take_wake(channel))
            return 0;
        mn_control_glance(channel, &channel->receive.idle);
        mn_settle(channel);
        return MACHNET_ETIMEDOUT;
    }
    held = wait_for(channel, mask, timeout_ns);
    disarm(channel);
    mn_settle(channel);
    return held;
}
