/* SPDX-License-Identifier: MIT */
#include "support/controller_bench.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "channel/region.h"
#include "control_socket.h"
#include "nic/nic.h"
#include "wire/wire.h"

enum { PORT = 33200, WORKERS = CONTROLLER_BENCH_WORKERS };

static struct controller_config config; /* quota and step_ns are what the test wants */
static struct path_table paths;
static struct control_socket control;
static struct nic *nic;
static struct handover *handover;
static struct controller *controller;
static pthread_t thread;
static int outcome;

/* ---- The engine ---- */

static void *run(void *arg)
{
    (void)arg;
    outcome = controller_run(controller);
    return NULL;
}

/* Tests run at the same time, each in its process: each has an address of its own. */
const char *controller_bench_address(void)
{
    static char text[32];
    unsigned id = (unsigned)getpid();
    snprintf(text, sizeof text, "127.%u.%u.%u", 64 + (id >> 16), id >> 8 & 255, id & 255);
    return text;
}

int controller_bench_socket(void)
{
    return control.fd;
}

uint64_t controller_bench_stretched(uint64_t ns)
{
    const char *sanitizers = getenv("MACHNET_SANITIZE");
    return sanitizers != NULL && sanitizers[0] != '\0' ? 5 * ns : ns;
}

static struct worker *start_worker(uint32_t index)
{
    const struct worker_config wanted = {
        .nic = nic->queues[index],
        .paths = &paths,
        .handover = handover,
        .directory = config.directory,
        .spin_ns = 50000,
        .transport = {.epoch = 1,
                      .seed = 2 + index,
                      .worker = (uint8_t)index,
                      .max_flows = 1000,
                      .max_half_open = 16,
                      .max_udp_payload = WIRE_PACKET_MAX,
                      .dead_peer_ns = UINT64_C(10000000000),
                      .probe_ns = UINT64_C(2500000000),
                      .window_packets = 256},
    };
    struct worker *worker = worker_start(&wanted);
    assert(worker != NULL);
    return worker;
}

static void must(bool done, const char *error)
{
    if (!done)
        fprintf(stderr, "%s\n", error);
    assert(done);
}

void controller_bench_start(void)
{
    char error[CONTROL_SOCKET_ERROR_BYTES], path[64];
    log_set_level(LOG_LEVEL_ERROR);
    (void)signal(SIGPIPE, SIG_IGN);
    paths = (struct path_table){.address_count = 1, .udp_port = PORT};
    assert(address_parse_ip(controller_bench_address(), &paths.addresses[0]));
    snprintf(path, sizeof path, "controller-%d.sock",
             (int)getpid()); /* ctest runs us in the build directory: nothing is left in /tmp */
    must(control_socket_open(&control, path, 0600, "", false, error) == 0, error);
    nic = nic_udp_open(paths.addresses, 1, PORT, WORKERS, error);
    must(nic != NULL, error);
    handover = handover_new(WORKERS, 0);
    config.directory = directory_new(&paths);
    for (uint32_t i = 0; i < WORKERS; i++)
        config.workers[i] = start_worker(i);
    config.paths = &paths;
    config.worker_count = WORKERS;
    config.socket = control.fd;
    config.epoch = 1;
    config.nic = "udp";
    controller = controller_new(&config);
    assert(controller != NULL);
    assert(pthread_create(&thread, NULL, run, NULL) == 0);
}

void controller_bench_join(void)
{
    pthread_join(thread, NULL);
    for (uint32_t i = 0; i < WORKERS; i++)
        worker_stop(config.workers[i]);
    controller_free(controller);
    handover_free(handover);
    directory_free(config.directory);
    control_socket_close(&control);
    nic->ops->close(nic);
    assert(outcome == 0);
}

void controller_bench_stop(void)
{
    kill(getpid(), SIGTERM);
    controller_bench_join();
}

void controller_bench_restart(const struct controller_config *wanted)
{
    controller_bench_stop();
    config = *wanted;
    controller_bench_start();
}

/* ---- One connection ---- */

int control_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 10};
    memcpy(address.sun_path, control.path, sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

void control_say(int fd, void *message, uint16_t type)
{
    struct mn_control_header header;
    mn_control_prepare(&header, type, CONTROLLER_BENCH_REQUEST, MACHNET_OK);
    memcpy(message, &header, sizeof header);
    assert(mn_control_send(fd, message, NULL, 0) == 0);
}

void control_hear(int fd, union control_message *message, uint16_t type, int32_t status, int *fds, uint32_t fd_wanted)
{
    uint32_t fd_count;
    const struct mn_control_header *header = &message->header;
    int length = mn_control_receive(fd, message->bytes, fds, fd_wanted, &fd_count, 0);
    bool good = length > 0 && header->type == type && header->status == status && fd_count == fd_wanted;
    if (length <= 0)
        fprintf(stderr, "instead of a message of type %u: %d\n", type, length);
    else if (!good)
        fprintf(stderr, "instead of type %u, status %d, %u descriptors: %u, %d, %u\n", type, status, fd_wanted,
                header->type, header->status, fd_count);
    assert(good);
}

void control_hear_end(int fd)
{
    uint8_t byte;
    assert(recv(fd, &byte, 1, 0) <= 0);
}

int control_greet(void)
{
    union control_message message;
    struct mn_control_hello hello = {.version_min = 1, .version_max = 9, .layout_min = 1, .layout_max = 99};
    int fd = control_connect();
    control_say(fd, &hello, MN_CONTROL_HELLO);
    control_hear(fd, &message, MN_CONTROL_HELLO_REPLY, MACHNET_OK, NULL, 0);
    assert(message.hello.version_min == MN_CONTROL_VERSION && message.hello.version_max == MN_CONTROL_VERSION);
    assert(message.hello.layout_min == MN_LAYOUT_VERSION && message.hello.layout_max == MN_LAYOUT_VERSION);
    assert(message.header.request == CONTROLLER_BENCH_REQUEST);
    return fd;
}

size_t control_hear_status(int fd, char *text, size_t capacity)
{
    union control_message message;
    size_t done = 0;
    control_hear(fd, &message, MN_CONTROL_STATUS_REPLY, MACHNET_OK, NULL, 0);
    const size_t length = message.plain.value;
    assert(length <= capacity);
    while (done < length) {
        control_hear(fd, &message, MN_CONTROL_STATUS_TEXT, MACHNET_OK, NULL, 0);
        size_t piece = message.header.length - sizeof message.header;
        assert(piece <= length - done);
        memcpy(text + done, message.bytes + sizeof message.header, piece);
        done += piece;
    }
    return length;
}

json_t *engine_status(void)
{
    struct mn_control_plain question = {.value = 0};
    static char text[1 << 20];
    int fd = control_greet();
    control_say(fd, &question, MN_CONTROL_STATUS);
    size_t length = control_hear_status(fd, text, sizeof text);
    close(fd);
    json_t *json = json_loadb(text, length, 0, NULL);
    assert(json != NULL);
    return json;
}

json_int_t engine_status_number(const char *outer, const char *name)
{
    json_t *json = engine_status(), *place = json_object_get(json, outer);
    if (json_is_array(place))
        place = json_array_get(place, 0);
    must(json_is_integer(json_object_get(place, name)), name);
    json_int_t value = json_integer_value(json_object_get(place, name));
    json_decref(json);
    return value;
}

uint64_t engine_time_to_reclaim(void)
{
    uint64_t start = clock_now_ns();
    while (engine_status_number("users", "bytes") != 0)
        must(clock_now_ns() - start < CLOCK_SECOND_NS, "not reclaimed");
    return clock_now_ns() - start;
}

/* ---- An application ---- */

struct application application_map(const char *name)
{
    union control_message message;
    struct mn_control_attach attach = {.send_bytes_max = 4 << 20, .receive_bytes_max = 4 << 20};
    struct application application = {.fd = control_greet()};
    int fds[5];
    snprintf(attach.name, sizeof attach.name, "%s", name);
    control_say(application.fd, &attach, MN_CONTROL_ATTACH);
    control_hear(application.fd, &message, MN_CONTROL_ATTACH_OFFER, MACHNET_OK, fds, 5);
    for (int i = 0; i < 3; i++) {
        application.bytes[i] = message.offer.region_bytes[i];
        assert(mn_region_map(fds[i], application.bytes[i], i < 2, &application.base[i]) == 0);
        close(fds[i]);
    }
    application.pipe = fds[3];
    application.event = fds[4];
    return application;
}

struct application application_attach_as(const char *name)
{
    union control_message message;
    struct mn_control_plain mapped = {.value = 0};
    struct application application = application_map(name);
    control_say(application.fd, &mapped, MN_CONTROL_ATTACH_MAPPED);
    control_hear(application.fd, &message, MN_CONTROL_ATTACHED, MACHNET_OK, NULL, 0);
    return application;
}

struct application application_attach(void)
{
    return application_attach_as("test");
}

void application_leave(struct application *application)
{
    close(application->fd);
    close(application->pipe);
    close(application->event);
    for (int i = 0; i < 3; i++)
        mn_region_unmap(application->base[i], application->bytes[i]);
}

int32_t application_listen(const struct application *application, const char *ip, uint16_t port,
                           union control_message *reply)
{
    struct mn_control_listen question = {.port = port};
    uint32_t fd_count;
    struct endpoint endpoint = {.port = 0};
    assert(ip == NULL || address_parse_ip(ip, &endpoint));
    memcpy(question.ip, endpoint.ip, sizeof question.ip);
    control_say(application->fd, &question, MN_CONTROL_LISTEN);
    assert(mn_control_receive(application->fd, reply->bytes, NULL, 0, &fd_count, 0) > 0);
    assert(reply->header.type == MN_CONTROL_LISTEN_REPLY);
    return reply->header.status;
}
