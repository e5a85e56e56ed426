/* SPDX-License-Identifier: MIT */
/*
 * Waiting, and the descriptor. The channel's epoll descriptor watches the pipe from the engine, the control socket, `notice` and `wake`.
 *
 * Once machnet_channel_fd was called, this holds whenever the application may poll: what came and was not taken makes the descriptor readable.
 * It goes quiet only in mn_idle (a call that returns MACHNET_EAGAIN): there the pipe is emptied first, then the engine is asked to signal,
 * then the rings are looked at once more. What has gone into private queues since the last time raises `notice`, which is an edge, too.
 */
#include "client/client.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "client/connection.h"

enum {
    WATCHED = 4, /* descriptors in the epoll */
    TAKE_DELIVERIES = 1024,
    SPINS_PER_LOOK = 16, /* at the clock */
};

/* Asks the engine for a signal from here on. */
static void arm(struct machnet_channel *channel)
{
    struct mn_shared *shared = &channel->shared;
    _Atomic uint32_t *sleeping = &channel->header->client_sleeping;
    uint32_t bits = MN_WAKE_DELIVERIES;

    atomic_store_explicit(&shared->armed, 1, memory_order_relaxed);
    atomic_thread_fence(
        memory_order_seq_cst); /* pairs with those in mn_space_wait, mn_space_freed and machnet_flow_close */
    if (atomic_load_explicit(&shared->waiters, memory_order_relaxed) != NULL)
        bits |= MN_WAKE_COMPLETIONS;
    atomic_fetch_or_explicit(sleeping, bits, memory_order_relaxed);
    /* pairs with the fence of the engine between publishing and reading client_sleeping */
    atomic_thread_fence(memory_order_seq_cst);
}

/* Awake again. Who uses the descriptor stays armed: the engine's next signal is as good as one later. */
static void disarm(struct machnet_channel *channel)
{
    if (atomic_load_explicit(&channel->shared.descriptor, memory_order_relaxed))
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
        if (fd == channel->pipe) {
            ssize_t got = read(fd, bytes, sizeof bytes);
            if (got == 0) /* its write end is closed: the control socket knows why */
                mn_control_look(channel);
        } else if (fd == channel->control.socket) {
            mn_control_look(channel);
        } else if (fd == channel->wake.fd) {
            mn_signal_clear(&channel->wake);
            atomic_store_explicit(&channel->shared.woken, true, memory_order_relaxed);
        }
    }
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

int32_t mn_sleep(struct machnet_channel *channel, int64_t deadline_ns)
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

/* The part of `mask` that holds, or why the channel is gone. */
static int32_t look(struct machnet_channel *channel, uint32_t mask)
{
    int32_t gone = mn_gone(channel);
    uint32_t held = 0;

    if (gone < 0 && gone != MACHNET_EENGINEGONE)
        return gone;
    mn_purge_flows(channel);
    if ((mask & MACHNET_WAIT_RECEIVE) == 0 || channel->receive.ready_first == NULL) {
        int32_t taken;
        do
            taken = mn_deliveries_take(channel, TAKE_DELIVERIES);
        while (taken > 0);
        if (taken < 0)
            return taken;
        mn_space_tell(channel);
    }
    if (channel->receive.ready_first != NULL)
        held |= MACHNET_WAIT_RECEIVE;
    if (channel->receive.event_first != NULL)
        held |= MACHNET_WAIT_EVENT;
    if (atomic_load_explicit(&channel->shared.space_ready, memory_order_relaxed) > 0)
        held |= MACHNET_WAIT_SEND;
    held &= mask;
    return held != 0 ? (int32_t)held : gone;
}

/* Spins until the time is over (false) or something has come. */
static bool spin(struct machnet_channel *channel, int64_t until_ns)
{
    do {
        for (int i = 0; i < SPINS_PER_LOOK; i++) {
            if (something_new(channel))
                return true;
#if defined(__x86_64__) || defined(__i386__)
            __builtin_ia32_pause();
#endif
        }
    } while (mn_now_ns() < until_ns);
    return false;
}

/* Waits for something of the mask, a wake (0), or the deadline. */
static int32_t wait_for(struct machnet_channel *channel, uint32_t mask, int64_t deadline_ns)
{
    int64_t spin_until_ns = channel->spin_ns > 0 ? mn_now_ns() + (int64_t)channel->spin_ns : 0;
    if (deadline_ns >= 0 && spin_until_ns > deadline_ns)
        spin_until_ns = deadline_ns;
    for (;;) {
        int32_t held = look(channel, mask);
        if (held != 0)
            return held;
        if (atomic_exchange_explicit(&channel->shared.woken, false, memory_order_acquire)) {
            mn_signal_clear(&channel->wake);
            return 0;
        }
        if (spin_until_ns > 0 && spin(channel, spin_until_ns))
            continue;
        spin_until_ns = 0;
        int32_t status = mn_sleep(channel, deadline_ns);
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
        if (atomic_exchange_explicit(&channel->shared.woken, false, memory_order_acquire)) {
            mn_signal_clear(&channel->wake);
            return 0;
        }
        mn_control_glance(channel, &channel->receive.idle);
        mn_settle(channel);
        return MACHNET_ETIMEDOUT;
    }
    held = wait_for(channel, mask, timeout_ns < 0 ? -1 : add_saturated(mn_now_ns(), timeout_ns));
    disarm(channel);
    mn_settle(channel);
    return held;
}
