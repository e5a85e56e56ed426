/* SPDX-License-Identifier: MIT */
#include "controller.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "controller_internal.h"

enum {
    ACCEPTS_PER_EVENT = 16,
    ACCEPT_PAUSE_US = 100000,
    GIVE_UP_SECONDS = 2,
    FDS_PER_CLIENT = 4, /* socket, pidfd, wake-up socket, eventfd */
    FDS_KEPT = 256,     /* at least so many for everything else, and for the regions of those who attach or grow ... */
    FDS_KEPT_PART = 10, /* ... and at least this part of all. Who still finds none is told so */
    CLIENTS_MIN = 16,
};

#define STEP_NS UINT64_C(5000000000)
#define GIVE_BACK_NS UINT64_C(1000000) /* of a turn of the loop; a channel with small arenas takes as long */

/* ---- Connections ---- */

/* Descriptors or memory are short: the connection stays in the queue, and the loop must not turn round it. */
static void pause_accepting(struct controller *controller)
{
    const struct timeval pause = {.tv_usec = ACCEPT_PAUSE_US};
    event_del(&controller->accept);
    evtimer_add(&controller->accept_again, &pause);
}

static void on_accept(int fd, short what, void *arg)
{
    (void)what;
    struct controller *controller = arg;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        if (controller->client_count + closer_count(controller->closer) > controller->client_max) {
            pause_accepting(controller);
            return;
        }
        int socket = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (socket >= 0) {
            client_open(controller, socket);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            pause_accepting(controller);
        return;
    }
}

static void on_accept_again(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct controller *controller = arg;
    if (!controller->stopping)
        event_add(&controller->accept, NULL);
}

static void on_mail(int fd, short what, void *arg)
{
    (void)what;
    struct controller *controller = arg;
    for (uint32_t i = 0; i < controller->config.worker_count; i++) {
        if (worker_fd(controller->config.workers[i]) == fd)
            worker_collect(controller->config.workers[i], client_notice, controller);
    }
}

struct timeval controller_step(const struct controller *controller)
{
    const uint64_t ns = controller->config.step_ns;
    return (struct timeval){.tv_sec = (time_t)(ns / CLOCK_SECOND_NS),
                            .tv_usec = (suseconds_t)(ns % CLOCK_SECOND_NS / 1000)};
}

/* ---- Memory ---- */

/* Giving pages back to the kernel is the one thing here that takes long, and applications with thousands of channels may end at once: whoever
 * asks meanwhile is not to wait for all of it. At least one client is freed. */
static void give_back(struct controller *controller, uint64_t most_ns)
{
    const uint64_t start = clock_now_ns();
    do {
        struct client *client = controller->leaving;
        controller->leaving = client->leaving_next;
        client_free(client);
    } while (controller->leaving != NULL && clock_now_ns() - start < most_ns);
}

static void on_give_back(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    const struct timeval at_once = {0};
    struct controller *controller = arg;
    if (controller->leaving != NULL)
        give_back(controller, GIVE_BACK_NS);
    if (!controller->stopping) {
        region_retry_all(controller);
        attach_retry_all(controller);
    }
    if (controller->leaving != NULL)
        evtimer_add(&controller->give_back, &at_once);
}

void controller_let_go(struct controller *controller, struct client *client)
{
    const struct timeval at_once = {0};
    if (controller->stopping) {
        client_free(client);
        return;
    }
    client->leaving_next = NULL;
    if (controller->leaving == NULL) {
        controller->leaving = client;
        evtimer_add(&controller->give_back, &at_once);
    } else {
        controller->leaving_last->leaving_next = client;
    }
    controller->leaving_last = client;
}

/* ---- Shutdown ---- */

static void break_loop(struct controller *controller, bool failed)
{
    controller->failed = failed;
    event_base_loopbreak(controller->base);
}

void controller_client_gone(struct controller *controller)
{
    if (controller->stopping && controller->workers_to_stop == 0 && controller->clients == NULL)
        break_loop(controller, false);
}

/* The workers have ended all flows and told peers and applications: the connections go last. */
static void on_worker_shut_down(struct worker_message *command)
{
    struct controller *controller = command->user;
    if (--controller->workers_to_stop > 0)
        return;
    struct client *client, *next;
    if (controller->leaving != NULL)
        give_back(controller, UINT64_MAX);
    DL_FOREACH_SAFE (controller->clients, client, next)
        client_close(client, MACHNET_EENGINEGONE, "The engine ends.");
    controller_client_gone(controller);
}

static void begin_shutdown(struct controller *controller)
{
    const struct timeval most = {.tv_sec = GIVE_UP_SECONDS};
    controller->stopping = true;
    event_del(&controller->accept);
    evtimer_add(&controller->give_up, &most);
    controller->workers_to_stop = controller->config.worker_count;
    for (uint32_t i = 0; i < controller->config.worker_count; i++) {
        controller->shutdown[i] =
            (struct worker_message){.type = WORKER_SHUTDOWN, .user = controller, .done = on_worker_shut_down};
        worker_post(controller->config.workers[i], &controller->shutdown[i]);
    }
}

static void on_signal(int signal, short what, void *arg)
{
    (void)what;
    struct controller *controller = arg;
    if (controller->stopping) {
        break_loop(controller, true);
        return;
    }
    log_info("signal %d: ending", signal);
    begin_shutdown(controller);
}

static void on_give_up(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    log_error("the workers did not end within %d seconds", GIVE_UP_SECONDS);
    break_loop(arg, true);
}

/* ---- Beginning and end ---- */

static uint32_t clients_that_fit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur < FDS_KEPT + CLIENTS_MIN * FDS_PER_CLIENT)
        return CLIENTS_MIN;
    rlim_t kept = files.rlim_cur / FDS_KEPT_PART > FDS_KEPT ? files.rlim_cur / FDS_KEPT_PART : FDS_KEPT;
    rlim_t clients = (files.rlim_cur - kept) / FDS_PER_CLIENT;
    return clients < UINT32_MAX ? (uint32_t)clients : UINT32_MAX;
}

static bool assign_signals(struct controller *controller)
{
    static const int numbers[CONTROLLER_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};
    bool added = true;
    for (int i = 0; i < CONTROLLER_SIGNALS; i++) {
        struct sigaction now;
        evsignal_assign(&controller->signals[i], controller->base, numbers[i], on_signal, controller);
        /* nohup and the like want to outlive the terminal */
        if (numbers[i] != SIGHUP || sigaction(SIGHUP, NULL, &now) < 0 || now.sa_handler != SIG_IGN)
            added = added && event_add(&controller->signals[i], NULL) == 0;
    }
    return added;
}

static bool assign_events(struct controller *controller)
{
    struct event_base *base = controller->base;
    const struct controller_config *config = &controller->config;
    event_assign(&controller->accept, base, config->socket, EV_READ | EV_PERSIST, on_accept, controller);
    evtimer_assign(&controller->accept_again, base, on_accept_again, controller);
    evtimer_assign(&controller->give_up, base, on_give_up, controller);
    evtimer_assign(&controller->give_back, base, on_give_back, controller);
    bool added = event_add(&controller->accept, NULL) == 0 && assign_signals(controller);
    for (uint32_t i = 0; i < config->worker_count; i++) {
        event_assign(&controller->mail[i], base, worker_fd(config->workers[i]), EV_READ | EV_PERSIST, on_mail,
                     controller);
        added = added && event_add(&controller->mail[i], NULL) == 0;
    }
    return added;
}

struct controller *controller_new(const struct controller_config *config)
{
    struct controller *controller = calloc(1, sizeof *controller);
    if (controller == NULL)
        return NULL;
    controller->config = *config;
    if (config->step_ns == 0)
        controller->config.step_ns = STEP_NS;
    controller->start_ns = clock_now_ns();
    controller->client_max = clients_that_fit();
    controller->base = event_base_new();
    controller->quota = quota_new(&config->quota);
    controller->listeners = listeners_new();
    controller->closer = closer_new(controller->client_max + 1);
    controller->status = controller->base != NULL ? status_new(controller) : NULL;
    if (controller->status == NULL || controller->quota == NULL || controller->listeners == NULL ||
        controller->closer == NULL || !assign_events(controller)) {
        controller_free(controller);
        return NULL;
    }
    return controller;
}

int controller_run(struct controller *controller)
{
    int result = event_base_dispatch(controller->base);
    return result < 0 || controller->failed ? -1 : 0;
}

/* What a client still waits for will not come: the workers are gone. */
static void abandon(struct client *client)
{
    client_hold(client);
    client->channel = NULL;
    client_close(client, MACHNET_EENGINEGONE, "The engine ends.");
    while (client->listeners != NULL)
        listen_drop(client->listeners);
    client->holds = 1;
    client_let_go(client);
}

void controller_free(struct controller *controller)
{
    if (controller == NULL)
        return;
    struct client *client, *next;
    controller->stopping = true;
    controller->leaving = NULL; /* they are all in `clients` */
    DL_FOREACH_SAFE (controller->clients, client, next)
        abandon(client);
    status_free(controller->status);
    listeners_free(controller->listeners);
    closer_free(controller->closer);
    quota_free(controller->quota);
    if (controller->base != NULL)
        event_base_free(controller->base);
    free(controller);
}
