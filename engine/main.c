/* SPDX-License-Identifier: MIT */
/* machnetd: reads the configuration, puts the parts together, and takes them apart again. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
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
#include "nic/nic_dpdk.h"
#include "nic/nic_ethernet.h"
#include "path/path.h"
#include "wire/wire.h"
#include "worker.h"

enum {
    EXIT_RUN_TIME = 1,
    EXIT_USAGE = 2,
    FLOWS_MAX = 1 << 18, /* of a worker */
    HALF_OPEN_MAX = 1024,
    WINDOW_PACKETS = 1024
};

struct engine {
    struct config config;
    struct path_table paths;
    struct control_socket socket;
    struct nic *nic;
    struct directory *directory;
    struct handover *handover;
    struct worker *workers[CONTROLLER_WORKERS_MAX];
    struct controller *controller;
    uint64_t epoch;
    uint64_t seeds[CONTROLLER_WORKERS_MAX]; /* one for each worker, or what one tells would tell of the others */
};

/* Ending is the controller's from here on. A socket without a peer is an application that died; memory over the limit of file sizes is
 * memory that cannot be had. */
static void block_signals(sigset_t *ending)
{
    sigemptyset(ending);
    sigaddset(ending, SIGINT);
    sigaddset(ending, SIGTERM);
    sigaddset(ending, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, ending, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
}

/* A descriptor that is missing would be the number of a socket soon, and what is written to standard output or error go there. */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* For --help and --version, which end inside the parser. */
static void check_output(void)
{
    if (!ferror(stdout) && fflush(stdout) == 0)
        return;
    log_error("cannot write standard output: %s", strerror(errno));
    _exit(EXIT_RUN_TIME);
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
    if (getrandom(&engine->epoch, sizeof engine->epoch, 0) != sizeof engine->epoch ||
        getrandom(engine->seeds, sizeof engine->seeds, 0) != sizeof engine->seeds)
        return false;
    engine->epoch = engine->epoch != 0 ? engine->epoch : 1;
    return true;
}

static void fill_paths(struct engine *engine)
{
    struct path_table *paths = &engine->paths;
    paths->udp_port = engine->config.udp_port;
    paths->address_count = engine->config.ip_count;
    memcpy(paths->addresses, engine->config.ips, sizeof paths->addresses);
}

/* Kernel sockets and DPDK's virtual devices leave packets in queues of software until somebody gets a processor; a device of its own, which
 * a worker polls, does so for about a turn. */
static uint32_t host_noise_ns(const struct config *config)
{
    const bool virtual_device = strncmp(config->device, "net_", 4) == 0;
    return config->nic == CONFIG_NIC_UDP || virtual_device ? 2000000 : 25000;
}

static struct worker *start_worker(const struct engine *engine, uint32_t index)
{
    const struct config *config = &engine->config;
    const struct worker_config worker = {
        .nic = engine->nic->queues[index],
        .paths = &engine->paths,
        .handover = engine->handover,
        .directory = engine->directory,
        .poll = config->poll,
        .spin_ns = config->spin_ns,
        .pinned = config->cpu_count > 0,
        .cpu = config->cpus[index],
        .transport =
            {
                .epoch = engine->epoch,
                .seed = engine->seeds[index],
                .worker = (uint8_t)index,
                .max_flows = FLOWS_MAX,
                .max_half_open = HALF_OPEN_MAX,
                .max_udp_payload = WIRE_PACKET_MAX,
                .dead_peer_ns = config->dead_peer_ns,
                .probe_ns = config->dead_peer_ns / 4,
                .algorithm = config->congestion,
                .host_noise_ns = host_noise_ns(config),
                .window_packets = WINDOW_PACKETS,
            },
    };
    return worker_start(&worker);
}

static struct controller *start_controller(const struct engine *engine)
{
    struct controller_config config = {
        .paths = &engine->paths,
        .worker_count = engine->config.workers,
        .directory = engine->directory,
        .socket = engine->socket.fd,
        .quota = {engine->config.quota_channels, engine->config.quota_bytes, engine->config.quota_flows,
                  engine->config.quota_listeners},
        .epoch = engine->epoch,
        .nic = engine->nic->ops->name,
        .congestion = congestion_name(engine->config.congestion),
    };
    memcpy(config.workers, engine->workers, sizeof config.workers);
    return controller_new(&config);
}

/* False: memory or descriptors are short. */
static bool start(struct engine *engine)
{
    engine->directory = directory_new(&engine->paths);
    engine->handover = handover_new(engine->config.workers, 0);
    if (engine->directory == NULL || engine->handover == NULL)
        return false;
    for (uint32_t i = 0; i < engine->config.workers; i++) {
        engine->workers[i] = start_worker(engine, i);
        if (engine->workers[i] == NULL)
            return false;
    }
    engine->controller = start_controller(engine);
    return engine->controller != NULL;
}

/* True if a worker may run on each cpu of the list; else says why not in the log. */
static bool check_cpus(const struct config *config)
{
    cpu_set_t before, one;
    if (config->cpu_count == 0 || sched_getaffinity(0, sizeof before, &before) < 0)
        return true;
    bool good = true;
    for (uint32_t i = 0; good && i < config->workers; i++) {
        CPU_ZERO(&one);
        CPU_SET(config->cpus[i], &one);
        good = sched_setaffinity(0, sizeof one, &one) == 0;
        if (!good)
            log_error("cpu %u of --cpus is not there, or this process may not run on it (lscpu, nproc): choose another",
                      config->cpus[i]);
    }
    (void)sched_setaffinity(0, sizeof before, &before);
    return good;
}

static struct nic *open_nic_dpdk(const struct config *config, char *error)
{
    const struct nic_dpdk_config dpdk = {
        .device = config->device,
        .eal_arguments = config->eal,
        .queues = config->workers,
        .mtu = config->mtu,
        .log_level = config->log_level,
    };
    struct frame_device *device = nic_dpdk_open(&dpdk, error);
    const struct nic_ethernet_config ethernet = {
        .addresses = config->ips,
        .address_count = config->ip_count,
        .routes = config->routes.items,
        .route_count = config->routes.count,
        .neighbours = config->neighbours,
        .neighbour_count = config->neighbour_count,
        .queues = config->workers,
        .udp_port = config->udp_port,
    };
    return device != NULL ? nic_ethernet_open(device, &ethernet, error) : NULL;
}

static struct nic *open_nic(const struct config *config, char *error)
{
    if (config->nic == CONFIG_NIC_DPDK)
        return open_nic_dpdk(config, error);
    return nic_udp_open(config->ips, config->ip_count, config->udp_port, config->workers, error);
}

/* 0, or -1 after saying why in the log. */
static int engine_open(struct engine *engine)
{
    const struct config *config = &engine->config;
    char socket_error[CONTROL_SOCKET_ERROR_BYTES], nic_error[NIC_ERROR_BYTES];
    fill_paths(engine);
    if (!check_cpus(config))
        return -1;
    if (!draw_secrets(engine)) {
        log_error("no random numbers: %s", strerror(errno));
        return -1;
    }
    engine->nic = open_nic(config, nic_error);
    if (engine->nic == NULL) {
        log_error("%s", nic_error);
        return -1;
    }
    if (control_socket_open(&engine->socket, config->socket_path, config->socket_mode, config->socket_group,
                            config->socket_is_default, socket_error) < 0) {
        log_error("%s", socket_error);
        return -1;
    }
    if (!start(engine)) {
        log_error("memory or descriptors are short: %s", strerror(errno));
        return -1;
    }
    return 0;
}

static void engine_close(struct engine *engine)
{
    control_socket_close(&engine->socket);
    for (uint32_t i = 0; i < CONTROLLER_WORKERS_MAX; i++)
        worker_stop(engine->workers[i]);
    controller_free(engine->controller);
    handover_free(engine->handover);
    directory_free(engine->directory);
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
    log_info("ready: %s, UDP port %u, socket %s, workers %u", addresses, engine->paths.udp_port, engine->socket.path,
             engine->config.workers);
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

/* The configuration may be for another machine: what is not here is no error. */
static int check(const struct config *config)
{
    char ip[ADDRESS_TEXT_BYTES];
    for (uint32_t i = 0; i < config->ip_count; i++) {
        if (!nic_udp_has_address(&config->ips[i]))
            log_warning("%s is not an address of this machine (ip address shows them): here the engine would not start",
                        address_format_ip(&config->ips[i], ip));
    }
    log_info("the configuration is good");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static struct engine engine;
    char error[CONFIG_ERROR_BYTES];
    fill_standard_descriptors();
    (void)atexit(check_output);
    if (config_parse(&engine.config, argc, argv, error) < 0) {
        log_error("%s", error);
        return EXIT_USAGE;
    }
    log_set_level(engine.config.log_level);
    if (engine.config.check)
        return check(&engine.config);
    return run(&engine);
}
