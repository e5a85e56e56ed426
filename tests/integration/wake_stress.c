/* SPDX-License-Identifier: MIT */
/*
 * Two threads at the two ends of a real channel memory fall asleep and wake each other, by the rules of channel/layout.h, until each of
 * the three ways of waiting has its share of sleeps. What one side loses leaves both asleep: a watchdog sees it.
 *
 * The engine's side takes a few submissions at a time, answers each with a completion and a delivery on one of two flows, and lends at
 * most LENT_MAX: the rest waits in a private queue for releases. The client's side takes deliveries into two private queues.
 *
 *   wait    a call that sets the need-wakeup bits, looks again, and sleeps
 *   level   a pollable descriptor; the application polls again though it has not read everything
 *   edge    the same descriptor in an edge-triggered epoll; the application reads each flow until EAGAIN
 *
 * --break leaves out a part of the protocol on purpose; the run is then expected to fail:
 *   fence   between publishing and reading the other's bits     recheck  the look at the rings after setting one's bits
 *   drain   taking the signals before setting the bits, not after   notice   telling that a private queue still holds something
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "channel/region.h"
#include "channel/ring.h"
#include "channel/wakeup.h"

enum { LENT_MAX = 6, SENDS_MAX = 8, QUEUE_MAX = LENT_MAX, CAPACITY = 8, STOP = MN_OP_CLOSE };
enum mode { MODE_WAIT, MODE_LEVEL, MODE_EDGE, MODES };
enum { BREAK_NOTHING, BREAK_FENCE, BREAK_RECHECK, BREAK_DRAIN, BREAK_NOTICE };

static const char *const mode_names[MODES] = {"wait", "level", "edge"};
static const char *const break_names[] = {"nothing", "fence", "recheck", "drain", "notice"};

static struct {
    uint64_t count;
    uint64_t stall_ms;
    uint64_t seed;
    int broken;
} options = {.count = 100000, .stall_ms = 10000, .seed = 1};

struct engine {
    struct mn_header *header;
    void *base;
    struct mn_ring submissions, completions, deliveries, releases;
    int epoll, signal_fd;
    uint32_t undelivered, uncompleted, lent;
    uint64_t next, random;
    bool stop;
};

struct client {
    struct mn_header *header;
    void *base;
    struct mn_ring submissions, completions, deliveries, releases;
    int event, signal_fd, notice, fd, edge_epoll;
    uint64_t queues[2][QUEUE_MAX]; /* what was delivered and not yet received */
    uint32_t queued[2];
    uint32_t sends, replies_due;
    uint64_t next_sent, expected[2], random;
};

static uint64_t region_bytes;
static _Atomic uint64_t engine_sleeps, client_sleeps, messages;
static _Atomic bool finished;

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 33) % below;
}

/* From nothing to some microseconds, or until something comes (`ring` may be NULL): each side falls asleep just when the other calls. */
static void dawdle(uint64_t *random, struct mn_ring *ring)
{
    for (uint32_t i = draw(random, 1u << draw(random, 8)); i > 0; i--) {
        if (ring != NULL && mn_ring_ready(ring) != 0)
            return;
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#else
        atomic_signal_fence(memory_order_seq_cst);
#endif
    }
}

/* Counts how often each side was about to sleep: the other one aims at that moment, now and then. */
static _Atomic uint32_t engine_nods, client_nods;

static void nod(_Atomic uint32_t *nods)
{
    /* One writer each; a locked instruction would be a fence that the protocol itself does not have. */
    atomic_store_explicit(nods, atomic_load_explicit(nods, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Waits a little for the other side's next nod, and then some nanoseconds. */
static void aim(uint64_t *random, _Atomic uint32_t *nods)
{
    const uint32_t seen = atomic_load_explicit(nods, memory_order_relaxed);
    for (uint32_t i = draw(random, 2) * 1000; i > 0 && atomic_load_explicit(nods, memory_order_relaxed) == seen; i--)
        ;
    for (uint32_t i = draw(random, 1u << draw(random, 8)); i > 0; i--)
        atomic_signal_fence(memory_order_seq_cst);
}

/* Waits, when the other side has slept much less often than this one, until it sleeps: longer than falling asleep takes. */
static void let_sleep(_Atomic uint64_t *other_slept, _Atomic uint64_t *slept)
{
    enum { PATIENCE_NS = 20000, SHARE = 4 };
    struct timespec start, now;
    const uint64_t sleeps = atomic_load_explicit(other_slept, memory_order_relaxed);
    if (sleeps * SHARE >= atomic_load_explicit(slept, memory_order_relaxed))
        return;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (atomic_load_explicit(other_slept, memory_order_relaxed) == sleeps &&
             (now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < PATIENCE_NS);
}

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "wake_stress: %s\n", what);
    exit(EXIT_FAILURE);
}

static uint32_t ready(struct mn_ring *ring)
{
    int64_t count = mn_ring_ready(ring);
    check(count >= 0, "a ring is broken");
    return (uint32_t)count;
}

static void put(struct mn_ring *ring, const void *entry)
{
    check(mn_ring_space(ring, 1) > 0, "a ring is full that cannot be");
    memcpy(mn_ring_entry(ring, 0), entry, ring->entry_bytes);
    mn_ring_advance(ring, 1);
}

/* Between publishing and reading the other's bits; and between setting one's own and the last look. */
static void fence(void)
{
    if (options.broken != BREAK_FENCE)
        atomic_thread_fence(memory_order_seq_cst);
}

/* ---- The engine's side ---- */

static void wake_client(struct engine *engine, uint32_t bit)
{
    fence();
    if ((atomic_load_explicit(&engine->header->client_sleeping, memory_order_relaxed) & bit) == 0)
        return;
    if (atomic_exchange_explicit(&engine->header->client_sleeping, 0, memory_order_relaxed) & bit)
        mn_wakeup_send(engine->signal_fd);
}

static uint32_t take_submissions(struct engine *engine)
{
    uint32_t count = ready(&engine->submissions), most = 1 + draw(&engine->random, 3);
    count = count < most ? count : most;
    for (uint32_t i = 0; i < count; i++) {
        struct mn_submission submission;
        memcpy(&submission, mn_ring_entry(&engine->submissions, i), sizeof(submission));
        if (submission.op == STOP) {
            engine->stop = true;
            continue;
        }
        engine->undelivered++;
        engine->uncompleted++;
    }
    mn_ring_advance(&engine->submissions, count);
    mn_ring_publish(&engine->submissions);
    return count;
}

static uint32_t take_releases(struct engine *engine)
{
    uint32_t count = ready(&engine->releases), most = 1 + draw(&engine->random, LENT_MAX);
    count = count < most ? count : most;
    engine->lent -= count;
    mn_ring_advance(&engine->releases, count);
    mn_ring_publish(&engine->releases);
    return count;
}

static uint32_t complete(struct engine *engine)
{
    const struct mn_completion completion = {0};
    uint32_t count = engine->uncompleted;
    for (; engine->uncompleted > 0; engine->uncompleted--)
        put(&engine->completions, &completion);
    if (count > 0) {
        mn_ring_publish(&engine->completions);
        wake_client(engine, MN_WAKE_COMPLETIONS);
    }
    return count;
}

static uint32_t deliver(struct engine *engine)
{
    uint32_t count = 0;
    for (; engine->undelivered > 0 && engine->lent < LENT_MAX; count++) {
        const struct mn_delivery delivery = {.op = MN_OP_MESSAGE, .flow = engine->next & 1, .tag = engine->next / 2};
        put(&engine->deliveries, &delivery);
        engine->next++;
        engine->lent++;
        engine->undelivered--;
    }
    if (count > 0) {
        mn_ring_publish(&engine->deliveries);
        wake_client(engine, MN_WAKE_DELIVERIES);
    }
    return count;
}

static uint32_t engine_turn(struct engine *engine)
{
    bool completions_first = draw(&engine->random, 2);
    uint32_t work = take_submissions(engine) + take_releases(engine);
    if (completions_first)
        work += complete(engine);
    if (engine->undelivered > 0) {
        let_sleep(&client_sleeps, &engine_sleeps);
        aim(&engine->random, &client_nods);
    }
    work += deliver(engine);
    dawdle(&engine->random, NULL);
    return work + complete(engine);
}

static void engine_sleep(struct engine *engine)
{
    struct epoll_event event;
    uint32_t bits = MN_WAKE_SUBMISSIONS | (engine->undelivered > 0 ? MN_WAKE_RELEASES : 0);
    nod(&engine_nods);
    atomic_store_explicit(&engine->header->engine_sleeping, bits, memory_order_relaxed);
    fence();
    bool more = ready(&engine->submissions) > 0 || (engine->undelivered > 0 && ready(&engine->releases) > 0);
    if (!more || options.broken == BREAK_RECHECK) {
        atomic_fetch_add_explicit(&engine_sleeps, 1, memory_order_relaxed);
        check(epoll_wait(engine->epoll, &event, 1, -1) == 1, "the engine's epoll_wait");
    }
    atomic_store_explicit(&engine->header->engine_sleeping, 0, memory_order_relaxed);
}

static void *engine_main(void *argument)
{
    struct engine *engine = argument;
    while (!engine->stop) {
        if (engine_turn(engine) > 0)
            dawdle(&engine->random, &engine->submissions);
        else
            engine_sleep(engine);
    }
    return NULL;
}

/* ---- The client's side, as the library has it ---- */

static void wake_engine(struct client *client, uint32_t bit)
{
    fence();
    if (atomic_load_explicit(&client->header->engine_sleeping, memory_order_relaxed) & bit)
        check(eventfd_write(client->event, 1) == 0, "eventfd");
}

static void submit(struct client *client, uint8_t op)
{
    const struct mn_submission submission = {.op = op};
    put(&client->submissions, &submission);
    mn_ring_publish(&client->submissions);
    wake_engine(client, MN_WAKE_SUBMISSIONS);
}

static void take_completions(struct client *client)
{
    uint32_t count = ready(&client->completions);
    client->sends -= count;
    mn_ring_advance(&client->completions, count);
    mn_ring_publish(&client->completions);
}

/* From the ring into the private queues, a few at a time. */
static uint32_t take_deliveries(struct client *client)
{
    uint32_t count = ready(&client->deliveries), most = 1 + draw(&client->random, 3);
    count = count < most ? count : most;
    for (uint32_t i = 0; i < count; i++) {
        struct mn_delivery delivery;
        memcpy(&delivery, mn_ring_entry(&client->deliveries, i), sizeof(delivery));
        client->queues[delivery.flow][client->queued[delivery.flow]++] = delivery.tag;
    }
    mn_ring_advance(&client->deliveries, count);
    mn_ring_publish(&client->deliveries);
    return count;
}

static bool queues_hold(const struct client *client)
{
    return client->queued[0] + client->queued[1] > 0;
}

static void raise_notice(struct client *client)
{
    if (options.broken != BREAK_NOTICE)
        check(eventfd_write(client->notice, 1) == 0, "eventfd");
}

static void drain_signals(struct client *client)
{
    char bytes[64];
    while (read(client->signal_fd, bytes, sizeof(bytes)) > 0)
        ;
}

/* Sets the bits for what the application waits for, and looks again. */
static bool arm(struct client *client)
{
    uint32_t bits = MN_WAKE_DELIVERIES | (client->sends == SENDS_MAX ? MN_WAKE_COMPLETIONS : 0);
    nod(&client_nods);
    atomic_fetch_or_explicit(&client->header->client_sleeping, bits, memory_order_relaxed);
    fence();
    bool news = ready(&client->deliveries) > 0 || (client->sends == SENDS_MAX && ready(&client->completions) > 0);
    return news && options.broken != BREAK_RECHECK;
}

/* Before EAGAIN: the descriptor goes quiet here and nowhere else. true: there is something after all. */
static bool go_quiet(struct client *client)
{
    eventfd_t ignored;
    if (options.broken != BREAK_DRAIN)
        drain_signals(client);
    if (!queues_hold(client))
        (void)eventfd_read(client->notice, &ignored);
    bool news = arm(client);
    dawdle(&client->random, NULL);
    if (options.broken == BREAK_DRAIN)
        drain_signals(client);
    if (news || queues_hold(client))
        raise_notice(client);
    return news;
}

/* One message of the flow into the application's hands, and back to the engine. false: EAGAIN. */
static bool receive(struct client *client, uint32_t flow, enum mode mode)
{
    do {
        take_completions(client);
        while (client->queued[flow] == 0 && take_deliveries(client) > 0)
            ;
        if (client->queued[flow] > 0) {
            const mn_release lease = client->queues[flow][0];
            check(lease == client->expected[flow]++, "a message is lost or out of order");
            client->queued[flow]--;
            memmove(client->queues[flow], client->queues[flow] + 1, client->queued[flow] * sizeof(uint64_t));
            client->replies_due--;
            put(&client->releases, &lease);
            mn_ring_publish(&client->releases);
            wake_engine(client, MN_WAKE_RELEASES);
            atomic_fetch_add_explicit(&messages, 1, memory_order_relaxed);
            return true;
        }
    } while (mode != MODE_WAIT && go_quiet(client));
    return false;
}

/* ---- The application ---- */

static void wait_in_call(struct client *client)
{
    if (queues_hold(client))
        return;
    drain_signals(client);
    if (!arm(client)) {
        struct pollfd waited = {.fd = client->signal_fd, .events = POLLIN};
        atomic_fetch_add_explicit(&client_sleeps, 1, memory_order_relaxed);
        check(poll(&waited, 1, -1) == 1, "poll");
    }
    atomic_fetch_and_explicit(&client->header->client_sleeping, 0, memory_order_relaxed);
}

static void wait_for_level(struct client *client)
{
    struct pollfd waited = {.fd = client->fd, .events = POLLIN};
    int count = poll(&waited, 1, 0);
    if (count == 0) {
        atomic_fetch_add_explicit(&client_sleeps, 1, memory_order_relaxed);
        count = poll(&waited, 1, -1);
    }
    check(count == 1, "poll");
}

static void wait_for_edge(struct client *client)
{
    struct epoll_event event;
    int count = epoll_wait(client->edge_epoll, &event, 1, 0);
    if (count == 0) {
        atomic_fetch_add_explicit(&client_sleeps, 1, memory_order_relaxed);
        count = epoll_wait(client->edge_epoll, &event, 1, -1);
    }
    check(count == 1, "epoll_wait");
}

/* A few messages of one flow, or all that there are of one or of both: the other flow's stay in their private queue. */
static void read_messages(struct client *client, enum mode mode)
{
    uint32_t first = draw(&client->random, 2);
    uint32_t most = mode == MODE_LEVEL ? draw(&client->random, 4) : UINT32_MAX;
    while (most > 0 && receive(client, first, mode))
        most--;
    if (most > 0 && (mode == MODE_WAIT || draw(&client->random, 2))) {
        while (receive(client, !first, mode))
            ;
    }
}

static uint64_t sleeps_so_far(void)
{
    return atomic_load_explicit(&client_sleeps, memory_order_relaxed) +
           atomic_load_explicit(&engine_sleeps, memory_order_relaxed);
}

static void submit_some(struct client *client)
{
    let_sleep(&engine_sleeps, &client_sleeps);
    for (uint32_t left = 1 + draw(&client->random, SENDS_MAX); left > 0 && client->sends < SENDS_MAX; left--) {
        aim(&client->random, &engine_nods);
        client->sends++;
        client->replies_due++;
        submit(client, MN_OP_SEND);
    }
}

/* Goes on while one side has hardly slept, as when others take its processor, but not for ever. */
static bool slept_enough(uint64_t sleeps)
{
    const uint64_t each = sleeps / 20;
    return sleeps_so_far() >= 10 * sleeps ||
           (sleeps_so_far() >= sleeps && atomic_load_explicit(&client_sleeps, memory_order_relaxed) >= each &&
            atomic_load_explicit(&engine_sleeps, memory_order_relaxed) >= each);
}

static void run_client(struct client *client, enum mode mode, uint64_t sleeps)
{
    if (mode != MODE_WAIT)
        (void)go_quiet(client); /* as asking for the descriptor does */
    for (;;) {
        if (!slept_enough(sleeps))
            submit_some(client);
        else if (client->replies_due == 0)
            break;
        dawdle(&client->random, &client->deliveries);
        if (mode == MODE_WAIT)
            wait_in_call(client);
        else if (mode == MODE_LEVEL)
            wait_for_level(client);
        else
            wait_for_edge(client);
        read_messages(client, mode);
    }
    while (mn_ring_space(&client->submissions, 1) == 0)
        dawdle(&client->random, NULL);
    submit(client, STOP);
}

/* ---- Both together ---- */

struct run {
    struct engine engine;
    struct client client;
    enum mode mode;
    uint64_t sleeps;
};

static void *client_main(void *argument)
{
    struct run *run = argument;
    run_client(&run->client, run->mode, run->sleeps);
    return NULL;
}

static void watch(int epoll, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events};
    check(epoll >= 0 && fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll");
}

static void open_descriptors(struct engine *engine, struct client *client)
{
    check(mn_wakeup_open(&engine->signal_fd, &client->signal_fd) == 0, "mn_wakeup_open");
    client->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    client->notice = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    engine->epoll = epoll_create1(EPOLL_CLOEXEC);
    client->fd = epoll_create1(EPOLL_CLOEXEC);
    client->edge_epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(engine->epoll, client->event, EPOLLIN | EPOLLET); /* which the engine never reads */
    watch(client->fd, client->signal_fd, EPOLLIN);
    watch(client->fd, client->notice, EPOLLIN);
    watch(client->edge_epoll, client->fd, EPOLLIN | EPOLLET);
}

static void share_memory(struct engine *engine, struct client *client)
{
    struct mn_ring_place rings[MN_RING_COUNT];
    struct mn_header copy;
    int fd;
    mn_layout_plan(rings, &region_bytes);
    for (int i = 0; i < MN_RING_COUNT; i++)
        rings[i].capacity = CAPACITY;
    check(mn_region_create("wake-stress", region_bytes, &fd, &engine->base) == 0, "mn_region_create");
    check(mn_region_map(fd, region_bytes, true, &client->base) == 0, "mn_region_map");
    check(mn_region_check(fd, engine->base, region_bytes) == 0, "mn_region_check");
    mn_layout_write(engine->base, MN_LAYOUT_VERSION, rings, region_bytes, 0);
    close(fd);
    check(mn_layout_check(client->base, region_bytes, &copy) == 0, "mn_layout_check");
    engine->header = engine->base;
    client->header = client->base;
    mn_ring_bind_consumer(&engine->submissions, engine->base, &rings[MN_RING_SUBMISSIONS]);
    mn_ring_bind_producer(&engine->completions, engine->base, &rings[MN_RING_COMPLETIONS]);
    mn_ring_bind_producer(&engine->deliveries, engine->base, &rings[MN_RING_DELIVERIES]);
    mn_ring_bind_consumer(&engine->releases, engine->base, &rings[MN_RING_RELEASES]);
    mn_ring_bind_producer(&client->submissions, client->base, &copy.rings[MN_RING_SUBMISSIONS]);
    mn_ring_bind_consumer(&client->completions, client->base, &copy.rings[MN_RING_COMPLETIONS]);
    mn_ring_bind_consumer(&client->deliveries, client->base, &copy.rings[MN_RING_DELIVERIES]);
    mn_ring_bind_producer(&client->releases, client->base, &copy.rings[MN_RING_RELEASES]);
}

static void close_all(struct run *run)
{
    const int fds[] = {run->engine.epoll,  run->engine.signal_fd, run->client.event,     run->client.signal_fd,
                       run->client.notice, run->client.fd,        run->client.edge_epoll};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        close(fds[i]);
    mn_region_unmap(run->engine.base, region_bytes);
    mn_region_unmap(run->client.base, region_bytes);
}

/* Ends the program when nothing happens any more. */
static void *watchdog_main(void *argument)
{
    struct run *run = argument;
    const struct timespec pause = {.tv_nsec = 10000000};
    uint64_t seen = UINT64_MAX, quiet_ms = 0;
    while (!atomic_load(&finished)) {
        uint64_t now = atomic_load(&messages) + sleeps_so_far();
        quiet_ms = now == seen ? quiet_ms + 10 : 0;
        seen = now;
        if (quiet_ms >= options.stall_ms) {
            fprintf(
                stderr,
                "wake_stress: %s: a wake-up was lost after %llu sleeps and %llu messages (engine asks %u, client %u)\n",
                mode_names[run->mode], (unsigned long long)sleeps_so_far(), (unsigned long long)atomic_load(&messages),
                atomic_load(&run->engine.header->engine_sleeping), atomic_load(&run->engine.header->client_sleeping));
            _exit(EXIT_FAILURE);
        }
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void run_mode(enum mode mode, uint64_t sleeps)
{
    struct run run = {.mode = mode, .sleeps = sleeps};
    pthread_t engine, client, watchdog;
    run.engine.random = options.seed * 2654435761u + (uint64_t)mode + 1;
    run.client.random = run.engine.random ^ 0x9e3779b97f4a7c15u;
    atomic_store(&engine_sleeps, 0);
    atomic_store(&client_sleeps, 0);
    atomic_store(&messages, 0);
    atomic_store(&finished, false);
    share_memory(&run.engine, &run.client);
    open_descriptors(&run.engine, &run.client);
    check(pthread_create(&watchdog, NULL, watchdog_main, &run) == 0, "pthread_create");
    check(pthread_create(&engine, NULL, engine_main, &run.engine) == 0, "pthread_create");
    check(pthread_create(&client, NULL, client_main, &run) == 0, "pthread_create");
    pthread_join(client, NULL);
    pthread_join(engine, NULL);
    atomic_store(&finished, true);
    pthread_join(watchdog, NULL);
    close_all(&run);
    printf("%s: engine slept %llu times, client %llu times, %llu messages\n", mode_names[mode],
           (unsigned long long)atomic_load(&engine_sleeps), (unsigned long long)atomic_load(&client_sleeps),
           (unsigned long long)atomic_load(&messages));
    check(run.client.expected[0] + run.client.expected[1] == run.engine.next, "messages are missing");
    check(atomic_load(&engine_sleeps) >= sleeps / 20 && atomic_load(&client_sleeps) >= sleeps / 20,
          "one side hardly slept: nothing was tested");
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    switch (key) {
    case 'c':
        options.count = strtoull(argument, NULL, 10);
        return 0;
    case 's':
        options.seed = strtoull(argument, NULL, 10);
        return 0;
    case 't':
        options.stall_ms = strtoull(argument, NULL, 10);
        return 0;
    case 'b':
        for (int i = 0; i < (int)(sizeof(break_names) / sizeof(break_names[0])); i++) {
            if (strcmp(argument, break_names[i]) == 0) {
                options.broken = i;
                return 0;
            }
        }
        argp_error(state, "--break takes nothing, fence, recheck, drain or notice");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp_option known[] = {
        {"count", 'c', "N", 0, "Sleeps of both sides, in all three ways of waiting together (100000)", 0},
        {"seed", 's', "N", 0, "Where the random pauses start (1)", 0},
        {"stall-ms", 't', "N", 0, "A wake-up is lost when nothing happens so long (10000)", 0},
        {"break", 'b', "WHAT", 0, "Leave out a part of the protocol: fence, recheck, drain or notice", 0},
        {0},
    };
    static const struct argp parser = {.options = known, .parser = parse_option};
    argp_parse(&parser, argc, argv, 0, NULL, NULL);
    for (int mode = 0; mode < MODES; mode++)
        run_mode((enum mode)mode, options.count / MODES + 1);
    return EXIT_SUCCESS;
}
