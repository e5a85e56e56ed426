/* SPDX-License-Identifier: MIT */
/* machnetd: reads the configuration, puts the parts together, and takes them apart again. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"
#include "base/log.h"
#include "config.h"
#include "control_socket.h"
#include "controller.h"
#include "nic/nic.h"
#include "path/path.h"
#include "wire/wire.h"
#include "worker.h"

enum {
    EXIT_RUN_TIME = 1,
    EXIT_USAGE = 2,
    WORKERS = 1,
    FLOWS_MAX = 1 << 18,
    HALF_OPEN_MAX = 1024,
    WINDOW_PACKETS = 1024
};

struct engine {
    struct config config;
    struct path_table paths;
    struct control_socket socket;
    struct nic *nic;
    struct worker *worker;
    struct controller *controller;
    uint64_t epoch, seed;
};

/* Ending is the controller's from here on; a pipe without a reader is an application that died. */
static void block_signals(sigset_t *ending)
{
    sigemptyset(ending);
    sigaddset(ending, SIGINT);
    sigaddset(ending, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, ending, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* Each channel takes a few descriptors. */
static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static bool draw_secrets(struct engine *engine)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return false;
    engine->epoch = random[0] != 0 ? random[0] : 1;
    engine->seed = random[1];
    return true;
}

static void fill_paths(struct engine *engine)
{
    struct path_table *paths = &engine->paths;
    paths->udp_port = engine->config.udp_port;
    paths->address_count = engine->config.ip_count;
    memcpy(paths->addresses, engine->config.ips, sizeof paths->addresses);
}

static struct worker *start_worker(const struct engine *engine)
{
    const struct config *config = &engine->config;
    const struct worker_config worker = {
        .nic = engine->nic->queues[0],
        .paths = &engine->paths,
        .spin_ns = config->spin_ns,
        .transport =
            {
                .epoch = engine->epoch,
                .seed = engine->seed,
                .worker = 0,
                .max_flows = FLOWS_MAX,
                .max_half_open = HALF_OPEN_MAX,
                .max_udp_payload = WIRE_PACKET_MAX,
                .dead_peer_ns = config->dead_peer_ns,
                .probe_ns = config->dead_peer_ns / 4,
                .window_packets = WINDOW_PACKETS,
            },
    };
    return worker_start(&worker);
}

static struct controller *start_controller(const struct engine *engine)
{
    const struct controller_config config = {
        .paths = &engine->paths,
        .workers = {engine->worker},
        .worker_count = WORKERS,
        .socket = engine->socket.fd,
        .quota = {engine->config.quota_channels, engine->config.quota_bytes, engine->config.quota_flows},
        .epoch = engine->epoch,
        .nic = engine->nic->ops->name,
    };
    return controller_new(&config);
}

/* 0, or -1 after saying why in the log. */
static int engine_open(struct engine *engine)
{
    const struct config *config = &engine->config;
    char socket_error[CONTROL_SOCKET_ERROR_BYTES], nic_error[NIC_ERROR_BYTES];
    fill_paths(engine);
    if (!draw_secrets(engine)) {
        log_error("no random numbers: %s", strerror(errno));
        return -1;
    }
    engine->nic = nic_udp_open(config->ips, config->ip_count, config->udp_port, WORKERS, nic_error);
    if (engine->nic == NULL) {
        log_error("%s", nic_error);
        return -1;
    }
    if (control_socket_open(&engine->socket, config->socket_path, config->socket_mode, config->socket_group,
                            config->socket_is_default, socket_error) < 0) {
        log_error("%s", socket_error);
        return -1;
    }
    engine->worker = start_worker(engine);
    engine->controller = engine->worker != NULL ? start_controller(engine) : NULL;
    if (engine->controller == NULL) {
        log_error("memory or descriptors are short: %s", strerror(errno));
        return -1;
    }
    return 0;
}

static void engine_close(struct engine *engine)
{
    control_socket_close(&engine->socket);
    worker_stop(engine->worker);
    controller_free(engine->controller);
    if (engine->nic != NULL)
        engine->nic->ops->close(engine->nic);
}

/* Tells a service manager that the engine is ready (the protocol of sd_notify). */
static void notify_ready(void)
{
    static const char ready[] = "READY=1";
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd < 0 || sendto(fd, ready, sizeof ready - 1, MSG_DONTWAIT, (struct sockaddr *)&address, length) < 0)
        log_warning("the service manager could not be told that the engine is ready: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void say_ready(const struct engine *engine)
{
    char addresses[512] = "", ip[ADDRESS_TEXT_BYTES];
    size_t length = 0;
    for (uint32_t i = 0; i < engine->paths.address_count && length < sizeof addresses; i++)
        length += (size_t)snprintf(addresses + length, sizeof addresses - length, "%s%s", i > 0 ? " " : "",
                                   address_format_ip(&engine->paths.addresses[i], ip));
    log_info("ready: %s, UDP port %u, socket %s", addresses, engine->paths.udp_port, engine->socket.path);
    notify_ready();
}

static int run(struct engine *engine)
{
    sigset_t ending;
    block_signals(&ending);
    raise_file_limit();
    engine->socket = (struct control_socket){.fd = -1, .lock = -1};
    if (engine_open(engine) < 0) {
        engine_close(engine);
        return EXIT_RUN_TIME;
    }
    say_ready(engine);
    (void)sigprocmask(SIG_UNBLOCK, &ending, NULL);
    if (controller_run(engine->controller) < 0) {
        control_socket_close(&engine->socket);
        _exit(EXIT_RUN_TIME); /* at once: the worker may be what hangs */
    }
    engine_close(engine);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static struct engine engine;
    char error[CONFIG_ERROR_BYTES];
    if (config_parse(&engine.config, argc, argv, error) < 0) {
        log_error("%s", error);
        return EXIT_USAGE;
    }
    log_set_level(engine.config.log_level);
    if (engine.config.check) {
        log_info("the configuration is good");
        return EXIT_SUCCESS;
    }
    return run(&engine);
}
