/* SPDX-License-Identifier: MIT */
/* ctest-labels: tsan */
/* A real controller and worker in this process; the client's side is spoken by hand. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/prng.h"
#include "channel/control.h"
#include "channel/region.h"
#include "control_socket.h"
#include "controller.h"
#include "machnet/machnet.h"
#include "nic/nic.h"
#include "support/lingering.h"
#include "wire/wire.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

enum { PORT = 33200 };

union message {
    alignas(8) uint8_t bytes[MN_CONTROL_BYTES_MAX];
    struct mn_control_header header;
    struct mn_control_hello hello;
    struct mn_control_attach_offer offer;
    struct mn_control_region region;
    struct mn_control_listen listen;
    struct mn_control_plain plain;
};

/* ---- The engine ---- */

static struct quota_config quota;
static struct path_table paths;
static struct control_socket control;
static struct nic *nic;
enum { WORKERS = 2 };
static struct worker *workers[WORKERS];
static struct directory *directory;
static struct handover *handover;
static struct controller *controller;
static pthread_t thread;
static int outcome;

static void *run(void *arg)
{
    (void)arg;
    outcome = controller_run(controller);
    return NULL;
}

/* Tests run at the same time, each in its process: each has an address of its own. */
static const char *own_address(void)
{
    static char text[32];
    unsigned id = (unsigned)getpid();
    snprintf(text, sizeof text, "127.%u.%u.%u", 64 + (id >> 16), id >> 8 & 255, id & 255);
    return text;
}

static struct worker *start_worker(uint32_t index)
{
    const struct worker_config config = {
        .nic = nic->queues[index],
        .paths = &paths,
        .handover = handover,
        .directory = directory,
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
    return worker_start(&config);
}

static void start_workers(void)
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = start_worker(i);
        cr_assert_not_null(workers[i]);
    }
}

static void stop_workers(void)
{
    for (uint32_t i = 0; i < WORKERS; i++)
        worker_stop(workers[i]);
}

static void free_engine(void)
{
    controller_free(controller);
    handover_free(handover);
    directory_free(directory);
    control_socket_close(&control);
    nic->ops->close(nic);
}

static void start_engine(void)
{
    char error[CONTROL_SOCKET_ERROR_BYTES], path[64];
    log_set_level(LOG_LEVEL_ERROR);
    (void)signal(SIGPIPE, SIG_IGN);
    paths = (struct path_table){.address_count = 1, .udp_port = PORT};
    cr_assert(address_parse_ip(own_address(), &paths.addresses[0]));
    snprintf(path, sizeof path, "controller-%d.sock", (int)getpid()); /* ctest runs us in the build directory: nothing is left in /tmp */
    cr_assert_eq(control_socket_open(&control, path, 0600, "", false, error), 0, "%s", error);
    nic = nic_udp_open(paths.addresses, 1, PORT, WORKERS, error);
    cr_assert_not_null(nic, "%s", error);
    directory = directory_new(&paths);
    handover = handover_new(WORKERS, 0);
    start_workers();
    controller = controller_new(&(struct controller_config){.paths = &paths,
                                                            .workers = {workers[0], workers[1]},
                                                            .worker_count = WORKERS,
                                                            .directory = directory,
                                                            .socket = control.fd,
                                                            .quota = quota,
                                                            .epoch = 1,
                                                            .nic = "udp"});
    cr_assert_not_null(controller);
    cr_assert_eq(pthread_create(&thread, NULL, run, NULL), 0);
}

static void stop_engine(void)
{
    kill(getpid(), SIGTERM);
    pthread_join(thread, NULL);
    stop_workers();
    free_engine();
    cr_assert_eq(outcome, 0);
}

TestSuite(controller, .init = start_engine, .fini = stop_engine, .timeout = 60);

/* A test that wants other quotas starts the engine anew. */
static void restart_engine(uint64_t channels, uint64_t bytes)
{
    stop_engine();
    quota = (struct quota_config){.channels = channels, .bytes = bytes};
    start_engine();
}

/* ---- The client ---- */

static int connect_client(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 10};
    memcpy(address.sun_path, control.path, sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, void *message, uint16_t type)
{
    struct mn_control_header header;
    mn_control_prepare(&header, type, 77, MACHNET_OK);
    memcpy(message, &header, sizeof header);
    cr_assert_eq(mn_control_send(fd, message, NULL, 0), 0);
}

/* Expects a message of this type and status; its descriptors are left in fds[]. */
static void hear(int fd, union message *message, uint16_t type, int32_t status, int *fds, uint32_t fd_wanted)
{
    uint32_t fd_count;
    int length = mn_control_receive(fd, message->bytes, fds, fd_wanted, &fd_count, 0);
    cr_assert_gt(length, 0, "instead of a message: %d", length);
    cr_assert_eq(message->header.type, type, "type %u, not %u", message->header.type, type);
    cr_assert_eq(message->header.status, status, "status %d, not %d", message->header.status, status);
    cr_assert_eq(fd_count, fd_wanted);
}

static void hear_end(int fd)
{
    uint8_t byte;
    cr_assert_leq(recv(fd, &byte, 1, 0), 0);
}

static int greet(void)
{
    union message message;
    struct mn_control_hello hello = {.version_min = 1, .version_max = 9, .layout_min = 1, .layout_max = 99};
    int fd = connect_client();
    say(fd, &hello, MN_CONTROL_HELLO);
    hear(fd, &message, MN_CONTROL_HELLO_REPLY, MACHNET_OK, NULL, 0);
    cr_assert(message.hello.version_min == MN_CONTROL_VERSION && message.hello.version_max == MN_CONTROL_VERSION);
    cr_assert(message.hello.layout_min == MN_LAYOUT_VERSION && message.hello.layout_max == MN_LAYOUT_VERSION);
    cr_assert_eq(message.header.request, 77);
    return fd;
}

struct application {
    int fd;
    void *base[3];
    uint64_t bytes[3];
    int pipe, event;
};

static struct application attach_mapping(void)
{
    union message message;
    struct mn_control_attach attach = {
        .send_bytes_max = 4 << 20, .receive_bytes_max = 4 << 20, .name = "a\x1b[31mname"};
    struct application application = {.fd = greet()};
    int fds[5];
    say(application.fd, &attach, MN_CONTROL_ATTACH);
    hear(application.fd, &message, MN_CONTROL_ATTACH_OFFER, MACHNET_OK, fds, 5);
    for (int i = 0; i < 3; i++) {
        application.bytes[i] = message.offer.region_bytes[i];
        cr_assert_eq(mn_region_map(fds[i], application.bytes[i], i < 2, &application.base[i]), 0);
        close(fds[i]);
    }
    application.pipe = fds[3];
    application.event = fds[4];
    return application;
}

static struct application attach(void)
{
    union message message;
    struct mn_control_plain mapped = {.value = 0};
    struct application application = attach_mapping();
    say(application.fd, &mapped, MN_CONTROL_ATTACH_MAPPED);
    hear(application.fd, &message, MN_CONTROL_ATTACHED, MACHNET_OK, NULL, 0);
    return application;
}

static void leave(struct application *application)
{
    close(application->fd);
    close(application->pipe);
    close(application->event);
    for (int i = 0; i < 3; i++)
        mn_region_unmap(application->base[i], application->bytes[i]);
}

/* The text of a status; returns its length. */
static size_t hear_status(int fd, char *text, size_t capacity)
{
    union message message;
    size_t done = 0;
    hear(fd, &message, MN_CONTROL_STATUS_REPLY, MACHNET_OK, NULL, 0);
    const size_t length = message.plain.value;
    cr_assert_leq(length, capacity);
    while (done < length) {
        hear(fd, &message, MN_CONTROL_STATUS_TEXT, MACHNET_OK, NULL, 0);
        size_t piece = message.header.length - sizeof message.header;
        cr_assert_leq(piece, length - done);
        memcpy(text + done, message.bytes + sizeof message.header, piece);
        done += piece;
    }
    return length;
}

static json_t *status(void)
{
    struct mn_control_plain question = {.value = 0};
    static char text[1 << 20];
    int fd = greet();
    say(fd, &question, MN_CONTROL_STATUS);
    size_t length = hear_status(fd, text, sizeof text);
    close(fd);
    json_t *json = json_loadb(text, length, 0, NULL);
    cr_assert_not_null(json);
    return json;
}

static json_int_t status_number(const char *outer, const char *name)
{
    json_t *json = status(), *place = json_object_get(json, outer);
    if (json_is_array(place))
        place = json_array_get(place, 0);
    cr_assert(json_is_integer(json_object_get(place, name)), "no %s.%s", outer, name);
    json_int_t value = json_integer_value(json_object_get(place, name));
    json_decref(json);
    return value;
}

/* ---- Hello and malformed messages ---- */

Test(controller, hello__of_another_version_is_refused_in_words)
{
    union message message;
    struct mn_control_hello hello = {.version_min = 30, .version_max = 40, .layout_min = 1, .layout_max = 99};
    int fd = connect_client();
    say(fd, &hello, MN_CONTROL_HELLO);
    hear(fd, &message, MN_CONTROL_HELLO_REPLY, MACHNET_EVERSION, NULL, 0);
    cr_assert(strstr(message.hello.message, "30 to 40"), "%s", message.hello.message);
    cr_assert_eq(message.hello.version_max, 0);
    hear_end(fd);
    close(fd);
}

/* What a later library may send to this engine, once they agree on a version. */
Test(controller, message__longer_or_unknown_may_be_ignored)
{
    union message message = {.bytes = {0}};
    uint32_t fd_count;
    int fd = greet();
    mn_control_prepare(&message.header, MN_CONTROL_STATUS, 5, MACHNET_OK);
    message.header.type = MN_CONTROL_IGNORABLE | MN_CONTROL_STATUS;
    cr_assert_eq(mn_control_send(fd, &message.header, NULL, 0), 0);
    mn_control_prepare(&message.header, MN_CONTROL_STATUS, 6, MACHNET_OK);
    message.header.length = sizeof message;
    cr_assert_eq(mn_control_send(fd, &message.header, NULL, 0), 0);
    cr_assert_gt(mn_control_receive(fd, message.bytes, NULL, 0, &fd_count, 0), 0);
    cr_assert_eq(message.header.type, MN_CONTROL_STATUS_REPLY);
    cr_assert_eq(message.header.request, 6);
    close(fd);
}

Test(controller, message__that_is_not_expected_closes_with_a_reason)
{
    static const uint16_t types[] = {MN_CONTROL_ATTACH,     MN_CONTROL_ATTACH_MAPPED, MN_CONTROL_REGION_MAPPED,
                                     MN_CONTROL_LISTEN,     MN_CONTROL_STATUS,        MN_CONTROL_CLOSING,
                                     MN_CONTROL_HELLO_REPLY};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        union message message = {.bytes = {0}};
        int fd = connect_client();
        say(fd, &message, types[i]);
        hear(fd, &message, MN_CONTROL_CLOSING, MACHNET_EPROTOCOL, NULL, 0);
        cr_assert_gt(strlen(message.plain.message), 10);
        hear_end(fd);
        close(fd);
    }
    cr_assert_eq(status_number("counters", "control_messages_malformed"), (json_int_t)(sizeof types / sizeof types[0]));
}

/* Random and mutated messages in every state; the engine answers the next one all the same. */
Test(controller, message__at_random)
{
    enum { ROUNDS = 3000 };
    struct prng prng;
    struct application bystander = attach();
    prng_init(&prng, 1);
    for (int round = 0; round < ROUNDS; round++) {
        struct application victim = {.fd = -1};
        int kind = (int)(prng_next(&prng) % 4);
        if (kind == 3)
            victim = prng_next(&prng) % 2 ? attach() : attach_mapping();
        int fd = kind == 0 ? connect_client() : kind == 3 ? victim.fd : greet();
        for (uint64_t n = prng_next(&prng) % 4 + 1; n > 0; n--) {
            union message message;
            uint16_t type = (uint16_t)(1 + prng_next(&prng) % 18), length = mn_control_bytes(type);
            for (size_t i = 0; i < sizeof message.bytes; i++)
                message.bytes[i] = (uint8_t)(prng_next(&prng) >> (prng_next(&prng) % 64));
            mn_control_prepare(&message.header, type, 1, 0);
            for (uint64_t flips = prng_next(&prng) % 3; flips > 0; flips--)
                message.bytes[prng_next(&prng) % 12] ^= (uint8_t)(1u << prng_next(&prng) % 8);
            uint64_t cut = prng_next(&prng) % 4 == 0 ? prng_next(&prng) % (MN_CONTROL_BYTES_MAX + 1) : length;
            (void)send(fd, message.bytes, cut, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        if (kind == 3)
            leave(&victim);
        else
            close(fd);
    }
    cr_assert_gt(status_number("counters", "control_messages_malformed"), ROUNDS / 2);
    cr_assert_eq(poll(&(struct pollfd){.fd = bystander.fd, .events = POLLIN}, 1, 0), 0,
                 "the bystander is still attached");
    leave(&bystander);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *list = opendir("/proc/self/fd");
    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count;
}

/* CLOSING, unless the end came with it: the engine closes without having read all. */
static void hear_last_words(int fd)
{
    union message message;
    while (recv(fd, &message, sizeof message, 0) > 0)
        cr_assert_eq(message.header.type, MN_CONTROL_CLOSING);
}

static int send_descriptors(int fd, const int *fds, uint32_t count)
{
    struct mn_control_hello hello = {.version_min = 1};
    mn_control_prepare(&hello.header, MN_CONTROL_HELLO, 1, 0);
    return mn_control_send(fd, &hello.header, fds, count);
}

static void wait_for_descriptors(int wanted, uint64_t most_ns)
{
    uint64_t start = clock_now_ns();
    while (open_descriptors() != wanted)
        cr_assert_lt(clock_now_ns() - start, most_ns, "%d are open, not %d", open_descriptors(), wanted);
}

Test(controller, message__descriptors_are_not_let_in)
{
    const int none = 0, fds[5] = {0, 0, 0, 0, 0};
    if (setsockopt(control.fd, SOL_SOCKET, SO_PASSRIGHTS, &none, sizeof none) < 0)
        cr_skip("this kernel has no SO_PASSRIGHTS");
    int fd = connect_client();
    cr_assert_eq(send_descriptors(fd, fds, 5), -EPERM);
    close(fd);
    fd = greet();
    cr_assert_eq(send_descriptors(fd, fds, 1), -EPERM);
    close(fd);
}

/* As on a kernel that cannot refuse them. */
static void let_descriptors_in(void)
{
    const int yes = 1;
    (void)setsockopt(control.fd, SOL_SOCKET, SO_PASSRIGHTS, &yes, sizeof yes);
}

Test(controller, message__with_descriptors_leaks_none)
{
    let_descriptors_in();
    int before = open_descriptors(), fds[5] = {0, 0, 0, 0, 0};
    for (int i = 0; i < 10; i++) {
        int fd = connect_client();
        cr_assert_eq(send_descriptors(fd, fds, 5), 0);
        hear_last_words(fd);
        close(fd);
    }
    wait_for_descriptors(before, CLOCK_SECOND_NS);
}

/* The last reference to it is the engine's, unless that is faster than a close. */
static void send_lingering(int fd, int seconds)
{
    int lingering, peer = -1;
    cr_assert(lingering_open(seconds, &lingering, &peer));
    (void)send_descriptors(fd, &lingering, 1);
    close(lingering);
}

/* Connections with them in their queues: alone, behind other messages, refused by the engine, closed or left open. */
static void attack_with_lingering(int attack, int seconds)
{
    int fd = attack == 0 ? connect_client() : greet();
    if (attack == 1)
        (void)send(fd, "", 0, MSG_NOSIGNAL);
    if (attack == 2)
        (void)send(fd, "malformed", 9, MSG_NOSIGNAL);
    for (int i = 0; attack == 3 && i < 200; i++)
        (void)connect_client();
    if (attack == 3)
        fd = connect_client();
    send_lingering(fd, seconds);
    if (attack == 4)
        pause();
}

/* What takes long to close stops nobody: the engine goes on answering, and is rid of it in the end. */
Test(controller, message__with_descriptors_that_linger_stops_nobody)
{
    enum { ATTACKS = 5, SECONDS = 20 };
    pid_t attackers[ATTACKS];
    restart_engine(1, 0);
    let_descriptors_in();
    int before = open_descriptors();
    for (int attack = 0; attack < ATTACKS; attack++) {
        attackers[attack] = fork();
        if (attackers[attack] == 0) {
            setpgid(0, 0);
            attack_with_lingering(attack, SECONDS);
            /* Its peer lives on, and does not read. */
            if (fork() == 0)
                sleep(ATTACKS * SECONDS);
            _exit(0);
        }
        for (uint64_t start = clock_now_ns(), asked = start; asked - start < CLOCK_SECOND_NS / 4;) {
            (void)status_number("counters", "connections");
            uint64_t answered = clock_now_ns();
            cr_assert_lt(answered - asked, CLOCK_SECOND_NS * SECONDS / 4, "attack %d: status took %lu ns", attack,
                         (unsigned long)(answered - asked));
            asked = answered;
        }
    }
    cr_assert_gt(open_descriptors(), before, "something lingers: else this tests nothing");
    for (int attack = 0; attack < ATTACKS; attack++) {
        kill(-attackers[attack], SIGKILL); /* with the peers ends the lingering */
        waitpid(attackers[attack], NULL, 0);
    }
    wait_for_descriptors(before, 5 * CLOCK_SECOND_NS);
}

/* ---- Attach ---- */

Test(controller, attach__in_two_steps)
{
    struct application application = attach();
    const struct mn_header *header = application.base[0];
    struct mn_header copy;
    cr_assert_eq(mn_layout_check(header, application.bytes[0], &copy), 0);
    json_t *json = status();
    cr_assert_eq(json_array_size(json_object_get(json, "channels")), 1);
    json_t *channel = json_array_get(json_object_get(json, "channels"), 0);
    cr_assert_str_eq(json_string_value(json_object_get(channel, "name")), "a?[31mname",
                     "nothing that a terminal would obey");
    cr_assert_eq(json_integer_value(json_object_get(channel, "pid")), getpid());
    json_decref(json);
    leave(&application);
}

/* The descriptors and sizes of an offer. */
static int ask_offer(int fds[5], uint64_t bytes[3])
{
    union message message;
    struct mn_control_attach question = {.name = "x"};
    int fd = greet();
    say(fd, &question, MN_CONTROL_ATTACH);
    hear(fd, &message, MN_CONTROL_ATTACH_OFFER, MACHNET_OK, fds, 5);
    static const uint8_t kinds[MN_CONTROL_FDS_MAX] = {MN_DESCRIPTOR_REGION, MN_DESCRIPTOR_REGION, MN_DESCRIPTOR_REGION,
                                                      MN_DESCRIPTOR_WAKEUP, MN_DESCRIPTOR_EVENT};
    cr_assert_eq(message.offer.descriptor_count, 5);
    cr_assert_eq(memcmp(message.offer.descriptors, kinds, sizeof kinds), 0);
    memcpy(bytes, message.offer.region_bytes, sizeof message.offer.region_bytes);
    return fd;
}

static uint64_t bytes_in_memory(int memfd)
{
    struct stat status;
    cr_assert_eq(fstat(memfd, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

/* Pages count where they were first touched: who keeps them must be who pays for them, so the engine takes none, whatever the client says. */
Test(controller, attach__memory_is_the_clients)
{
    for (int round = 0; round < 2; round++) {
        union message message;
        struct mn_control_plain mapped = {.value = 0};
        uint64_t bytes[3];
        int fds[5], fd = ask_offer(fds, bytes);
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(bytes_in_memory(fds[i]), 0);
            if (round == 1)
                cr_assert_eq(fcntl(fds[i], F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL), 0);
        }
        say(fd, &mapped, MN_CONTROL_ATTACH_MAPPED);
        hear(fd, &message, MN_CONTROL_ATTACHED, MACHNET_EPROTOCOL, NULL, 0);
        cr_assert_gt(strlen(message.offer.message), 10);
        hear_end(fd);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(bytes_in_memory(fds[i]), 0);
        for (int i = 0; i < 5; i++)
            close(fds[i]);
        close(fd);
    }
}

Test(controller, attach__memory_cannot_be_changed_any_more)
{
    union message message;
    struct mn_control_plain mapped = {.value = 0};
    uint64_t bytes[3];
    int fds[5], fd = ask_offer(fds, bytes);
    for (int i = 0; i < 3; i++) {
        void *base;
        cr_assert_eq(mn_region_map(fds[i], bytes[i], true, &base), 0);
    }
    say(fd, &mapped, MN_CONTROL_ATTACH_MAPPED);
    hear(fd, &message, MN_CONTROL_ATTACHED, MACHNET_OK, NULL, 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_neq(fallocate(fds[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
        cr_assert_neq(ftruncate(fds[i], 0), 0);
        cr_assert_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0), MAP_FAILED);
    }
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    close(fd);
}

static uint64_t receive_bytes_granted(uint64_t asked)
{
    union message message;
    struct mn_control_attach question = {.receive_bytes_max = asked, .name = "x"};
    int fd = greet(), fds[5];
    say(fd, &question, MN_CONTROL_ATTACH);
    hear(fd, &message, MN_CONTROL_ATTACH_OFFER, MACHNET_OK, fds, 5);
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    close(fd);
    return message.offer.receive_bytes_max;
}

Test(controller, attach__the_receive_arena_may_hold_the_longest_message)
{
    cr_assert_eq(receive_bytes_granted(0), 64 << 20);
    cr_assert_eq(receive_bytes_granted(1), 2 * MN_MESSAGE_MAX);
    cr_assert_eq(receive_bytes_granted(MN_MESSAGE_MAX), 2 * MN_MESSAGE_MAX);
    cr_assert_eq(receive_bytes_granted(32 << 20), 32 << 20);
    restart_engine(0, 8 << 20);
    cr_assert_lt(receive_bytes_granted(1), 7 << 20, "the quota is for all that the channel needs");
    cr_assert_gt(receive_bytes_granted(1), 4 << 20);
}

Test(controller, attach__quota_is_told_with_number_and_flag)
{
    union message message;
    struct mn_control_attach question = {.name = "x"};
    restart_engine(1, 0);
    struct application first = attach();
    int fd = greet();
    say(fd, &question, MN_CONTROL_ATTACH);
    hear(fd, &message, MN_CONTROL_ATTACH_OFFER, MACHNET_EQUOTA, NULL, 0);
    cr_assert(strstr(message.offer.message, "1 channels") && strstr(message.offer.message, "--quota-channels"), "%s",
              message.offer.message);
    leave(&first);
    close(fd);
    restart_engine(100, 4 << 20);
    first = attach();
    fd = greet();
    say(fd, &question, MN_CONTROL_ATTACH);
    hear(fd, &message, MN_CONTROL_ATTACH_OFFER, MACHNET_EQUOTA, NULL, 0);
    cr_assert(strstr(message.offer.message, "4194304") && strstr(message.offer.message, "--quota-bytes"), "%s",
              message.offer.message);
    cr_assert_eq(status_number("users", "channels"), 1);
    leave(&first);
    close(fd);
}

/* What the last one had may not be free yet, but will be at once. */
Test(controller, attach__at_the_quota_follows_at_once_on_who_ended)
{
    enum { ROUNDS = 300 };
    for (int by_bytes = 0; by_bytes < 2; by_bytes++) {
        restart_engine(by_bytes ? 0 : 1, by_bytes ? 4 << 20 : 0);
        for (int i = 0; i < ROUNDS; i++) {
            struct application application = attach();
            leave(&application);
        }
        cr_assert_eq(status_number("counters", "attaches_refused"), 0);
    }
}

Test(controller, attach__who_waits_for_what_is_not_enough_is_refused)
{
    enum { ROUNDS = 50 };
    struct mn_control_attach question = {.name = "x"};
    restart_engine(2, 0);
    struct application stays = attach();
    for (int i = 0; i < ROUNDS; i++) {
        int askers[3] = {greet(), greet(), greet()}, offers = 0;
        struct application goes = attach();
        leave(&goes);
        for (int j = 0; j < 3; j++)
            say(askers[j], &question, MN_CONTROL_ATTACH);
        close(askers[0]); /* whether it waits or has its offer */
        for (int j = 1; j < 3; j++) {
            union message message;
            int fds[5];
            uint32_t fd_count;
            cr_assert_gt(mn_control_receive(askers[j], message.bytes, fds, 5, &fd_count, 0), 0);
            cr_assert_eq(message.header.type, MN_CONTROL_ATTACH_OFFER);
            cr_assert(message.header.status == MACHNET_OK || message.header.status == MACHNET_EQUOTA);
            offers += message.header.status == MACHNET_OK;
            for (uint32_t k = 0; k < fd_count; k++)
                close(fds[k]);
        }
        cr_assert_leq(offers, 1);
        close(askers[1]);
        close(askers[2]);
    }
    cr_assert_gt(status_number("counters", "attaches_refused"), ROUNDS / 2);
    leave(&stays);
}

Test(controller, attach__connections_are_bounded)
{
    enum { TRIED = 300, ALLOWED = 257 };
    int fds[TRIED], refused = 0;
    restart_engine(1, 0);
    for (int i = 0; i < TRIED; i++)
        fds[i] = connect_client();
    for (int i = ALLOWED; i < TRIED; i++) {
        union message message;
        hear(fds[i], &message, MN_CONTROL_CLOSING, MACHNET_EQUOTA, NULL, 0);
        refused += strstr(message.plain.message, "257 connections") != NULL;
    }
    cr_assert_eq(refused, TRIED - ALLOWED);
    for (int i = 0; i < TRIED; i++)
        close(fds[i]);
}

Test(controller, attach__a_step_that_does_not_come_is_not_waited_for)
{
    union message message;
    int silent = connect_client();
    struct application half = attach_mapping();
    uint64_t start = clock_now_ns();
    hear(silent, &message, MN_CONTROL_CLOSING, MACHNET_ETIMEDOUT, NULL, 0);
    hear(half.fd, &message, MN_CONTROL_CLOSING, MACHNET_ETIMEDOUT, NULL, 0);
    uint64_t took = clock_now_ns() - start;
    cr_assert(took > UINT64_C(4000000000) && took < UINT64_C(7000000000));
    cr_assert_eq(status_number("users", "bytes"), 0);
    leave(&half);
    close(silent);
}

/* Waits until user 0 has `bytes` again and returns how long that took. */
static uint64_t time_to_reclaim(void)
{
    uint64_t start = clock_now_ns();
    while (status_number("users", "bytes") != 0)
        cr_assert_lt(clock_now_ns() - start, CLOCK_SECOND_NS, "not reclaimed");
    return clock_now_ns() - start;
}

/* Sanitizers take their time. */
static uint64_t stretched(uint64_t ns)
{
    const char *sanitizers = getenv("MACHNET_SANITIZE");
    return sanitizers != NULL && sanitizers[0] != '\0' ? 5 * ns : ns;
}

Test(controller, death__all_is_reclaimed_within_10_ms)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 10; i++) {
        struct application application = attach();
        cr_assert_gt(status_number("users", "bytes"), 2 << 20);
        close(application.fd);
        uint64_t took = time_to_reclaim();
        best = took < best ? took : best;
        application.fd = -1;
        leave(&application);
    }
    cr_assert_lt(best, stretched(10000000), "%lu ns",
                 (unsigned long)best); /* the machine may be busy; the engine must not be slow */
}

/* A child that inherited the socket keeps it open: the pidfd tells. */
Test(controller, death__is_seen_although_a_child_holds_the_socket)
{
    int ready[2], keep[2];
    char byte = 0;
    cr_assert_eq(pipe(ready), 0);
    cr_assert_eq(pipe(keep), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct application application = attach();
        if (fork() == 0) {
            close(keep[1]);
            (void)!write(ready[1], &byte, 1);
            (void)!read(keep[0], &byte, 1); /* until the test ends */
            _exit(application.fd < 0);
        }
        pause();
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_assert_gt(status_number("users", "bytes"), 2 << 20);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    cr_assert_lt(time_to_reclaim(), CLOCK_SECOND_NS / 10);
    close(keep[1]);
}

Test(controller, shutdown__tells_applications_and_ends)
{
    union message message;
    struct application application = attach();
    const struct mn_header *header = application.base[0];
    kill(getpid(), SIGTERM);
    hear(application.fd, &message, MN_CONTROL_CLOSING, MACHNET_EENGINEGONE, NULL, 0);
    hear_end(application.fd);
    cr_assert_eq(atomic_load(&header->closed), -MACHNET_EENGINEGONE);
    leave(&application);
    pthread_join(thread, NULL);
    cr_assert_eq(outcome, 0);
    stop_workers();
    free_engine();
    start_engine();
}

/* ---- Regions ---- */

static void ask_region(struct application *application, uint64_t bytes)
{
    struct mn_control_region request = {.kind = MN_REGION_SEND, .bytes = bytes};
    say(application->fd, &request, MN_CONTROL_REGION_REQUEST);
}

static void map_region(int fd, uint64_t bytes)
{
    void *base;
    cr_assert_eq(mn_region_map(fd, bytes, true, &base), 0);
}

Test(controller, region__is_added_by_the_same_two_steps)
{
    union message message;
    struct application application = attach();
    int fd;
    ask_region(&application, 1 << 20);
    hear(application.fd, &message, MN_CONTROL_REGION_OFFER, MACHNET_OK, &fd, 1);
    struct mn_control_region mapped = message.region;
    cr_assert(mapped.region == 3 && mapped.kind == MN_REGION_SEND && mapped.bytes == 1 << 20);
    map_region(fd, mapped.bytes);
    say(application.fd, &mapped, MN_CONTROL_REGION_MAPPED);
    hear(application.fd, &message, MN_CONTROL_REGION_READY, MACHNET_OK, NULL, 0);
    cr_assert_eq(message.header.request, 77);
    cr_assert_eq(message.region.region, 3);
    cr_assert_neq(fcntl(fd, F_GET_SEALS) & F_SEAL_FUTURE_WRITE, 0);
    close(fd);
    /* 4 MiB were agreed, 2 are there. */
    ask_region(&application, 4 << 20);
    hear(application.fd, &message, MN_CONTROL_REGION_REFUSED, MACHNET_EQUOTA, NULL, 0);
    ask_region(&application, 2 << 20);
    hear(application.fd, &message, MN_CONTROL_REGION_OFFER, MACHNET_OK, &fd, 1);
    close(fd);
    leave(&application);
    time_to_reclaim();
}

Test(controller, region__unmapped_one_can_be_asked_for_again)
{
    union message message;
    struct application application = attach();
    int fd;
    for (uint16_t region = 3; region < MN_REGIONS_MAX; region++) {
        ask_region(&application, 65536);
        hear(application.fd, &message, MN_CONTROL_REGION_OFFER, MACHNET_OK, &fd, 1);
        cr_assert_eq(message.region.region, region);
        close(fd);
    }
    ask_region(&application, 65536);
    hear(application.fd, &message, MN_CONTROL_REGION_REFUSED, MACHNET_EQUOTA, NULL, 0);
    leave(&application);
    time_to_reclaim();
}

/* ---- Listeners ---- */

static int32_t try_listen(const struct application *application, const char *ip, uint16_t port, union message *reply)
{
    struct mn_control_listen question = {.port = port};
    uint32_t fd_count;
    struct endpoint endpoint = {.port = 0};
    if (ip != NULL)
        cr_assert(address_parse_ip(ip, &endpoint));
    memcpy(question.ip, endpoint.ip, sizeof question.ip);
    say(application->fd, &question, MN_CONTROL_LISTEN);
    cr_assert_gt(mn_control_receive(application->fd, reply->bytes, NULL, 0, &fd_count, 0), 0);
    cr_assert_eq(reply->header.type, MN_CONTROL_LISTEN_REPLY);
    return reply->header.status;
}

Test(controller, listen__conflicts_and_addresses)
{
    union message reply;
    struct application a = attach(), b = attach();
    cr_assert_eq(try_listen(&a, own_address(), 7000, &reply), MACHNET_OK);
    struct mn_control_listen listener = reply.listen;
    cr_assert_neq(listener.listener, 0);
    cr_assert_eq(try_listen(&b, own_address(), 7000, &reply), MACHNET_EADDRINUSE);
    cr_assert_eq(try_listen(&b, NULL, 7000, &reply), MACHNET_EADDRINUSE);
    cr_assert(strstr(reply.listen.message, "7000"), "%s", reply.listen.message);
    cr_assert_eq(try_listen(&b, "127.0.0.6", 7000, &reply), MACHNET_EADDRNOTAVAIL);
    cr_assert(strstr(reply.listen.message, "127.0.0.6"), "%s", reply.listen.message);
    cr_assert_eq(try_listen(&b, "0.0.0.0", 0, &reply), MACHNET_OK);
    cr_assert_geq(reply.listen.port, 49152);
    /* Another's listener cannot be closed. */
    say(b.fd, &listener, MN_CONTROL_UNLISTEN);
    hear(b.fd, &reply, MN_CONTROL_UNLISTEN_REPLY, MACHNET_EBADTOKEN, NULL, 0);
    say(a.fd, &listener, MN_CONTROL_UNLISTEN);
    hear(a.fd, &reply, MN_CONTROL_UNLISTEN_REPLY, MACHNET_OK, NULL, 0);
    cr_assert_eq(try_listen(&b, NULL, 7000, &reply), MACHNET_OK);
    json_t *json = status();
    cr_assert_eq(json_array_size(json_object_get(json, "listeners")), 2);
    json_decref(json);
    /* They go with their channel. */
    leave(&b);
    uint64_t start = clock_now_ns();
    while (try_listen(&a, NULL, 7000, &reply) != MACHNET_OK)
        cr_assert_lt(clock_now_ns() - start, CLOCK_SECOND_NS);
    leave(&a);
}

Test(controller, listen__is_bounded_and_may_be_closed_at_any_moment)
{
    enum { MOST = 700 };
    union message reply;
    stop_engine();
    quota = (struct quota_config){.listeners = MOST};
    start_engine();
    struct application other = attach(), a = attach();
    cr_assert_eq(try_listen(&other, NULL, 8999, &reply), MACHNET_OK);
    for (int i = 0; i < MOST - 1; i++)
        cr_assert_eq(try_listen(&a, NULL, 0, &reply), MACHNET_OK);
    cr_assert_eq(try_listen(&a, NULL, 0, &reply), MACHNET_EQUOTA);
    cr_assert(strstr(reply.listen.message, "700") && strstr(reply.listen.message, "--quota-listeners"), "%s",
              reply.listen.message);
    cr_assert_eq(try_listen(&other, NULL, 0, &reply), MACHNET_EQUOTA, "the user's, not the channel's");
    cr_assert_eq(status_number("users", "listeners"), MOST);
    leave(&a);
    leave(&other);
    for (int i = 0; i < 50; i++) { /* the answer is never waited for */
        struct application b = attach();
        struct mn_control_listen question = {.port = 9000};
        say(b.fd, &question, MN_CONTROL_LISTEN);
        leave(&b);
    }
    struct application c = attach();
    cr_assert_eq(try_listen(&c, NULL, 9000, &reply), MACHNET_OK);
    leave(&c);
}

/* ---- Status ---- */

/* Reads to the end; only if there was room for it does the engine say why. */
static void hear_last(int fd, int32_t status)
{
    union message message;
    uint64_t end = clock_now_ns() + 7 * CLOCK_SECOND_NS;
    struct pollfd polled = {.fd = fd, .events = POLLRDHUP};
    cr_assert_eq(poll(&polled, 1, 7000), 1);
    while (recv(fd, &message, sizeof message, 0) > 0) {
        cr_assert(message.header.type != MN_CONTROL_CLOSING || message.header.status == status);
        cr_assert_lt(clock_now_ns(), end);
    }
}

Test(controller, status__floods_are_answered_one_by_one)
{
    enum { ASKED = 100 };
    static char text[1 << 20];
    int fds[ASKED];
    struct mn_control_plain question = {.value = 0};
    for (int i = 0; i < ASKED; i++)
        fds[i] = greet();
    uint64_t start = clock_now_ns();
    for (int i = 0; i < ASKED; i++)
        say(fds[i], &question, MN_CONTROL_STATUS);
    for (int i = 0; i < ASKED; i++) {
        (void)hear_status(fds[i], text, sizeof text);
        close(fds[i]);
    }
    cr_assert_lt(clock_now_ns() - start, CLOCK_SECOND_NS);
    json_t *json = status();
    json_t *first = json_array_get(json_object_get(json, "workers"), 0);
    cr_assert_lt(json_integer_value(json_object_get(first, "loops")), 1000000);
    json_decref(json);
}

/* A text that does not fit into a socket at once: some thousand listeners. */
Test(controller, status__long_text_is_for_those_who_read_it)
{
    enum { LISTENERS = 8000, SOCKET_BYTES = 212992 };
    static char text[4 << 20];
    union message message;
    struct mn_control_plain question = {.value = 0};
    struct application a = attach();
    for (int i = 0; i < LISTENERS; i++)
        cr_assert_eq(try_listen(&a, NULL, 0, &message), MACHNET_OK);
    int deaf = greet(), rude = greet(), reader = greet();
    uint64_t start = clock_now_ns();
    say(deaf, &question, MN_CONTROL_STATUS);
    say(rude, &question, MN_CONTROL_STATUS);
    say(reader, &question, MN_CONTROL_STATUS);
    size_t length = hear_status(reader, text, sizeof text);
    cr_assert_gt(length, SOCKET_BYTES, "%zu bytes: else this tests nothing", length);
    json_t *json = json_loadb(text, length, 0, NULL);
    cr_assert_eq(json_array_size(json_object_get(json, "listeners")), LISTENERS);
    json_decref(json);
    say(reader, &question, MN_CONTROL_STATUS);
    cr_assert_geq(hear_status(reader, text, sizeof text), length, "and again");
    cr_assert_lt(clock_now_ns() - start, 2 * CLOCK_SECOND_NS);
    /* Asking while one is on its way, and not reading. */
    say(rude, &question, MN_CONTROL_STATUS);
    hear_last(rude, MACHNET_EPROTOCOL);
    hear_last(deaf, MACHNET_ETIMEDOUT);
    cr_assert_gt(clock_now_ns() - start, 4 * CLOCK_SECOND_NS);
    close(deaf);
    close(rude);
    close(reader);
    leave(&a);
}

Test(controller, attach__spreads_channels_over_the_workers)
{
    enum { CHANNELS = 6 };
    struct application applications[CHANNELS];
    uint32_t with[WORKERS] = {0};
    for (int i = 0; i < CHANNELS; i++)
        applications[i] = attach();
    json_t *json = status(), *channel;
    size_t i;
    json_array_foreach(json_object_get(json, "channels"), i, channel)
    {
        json_int_t worker = json_integer_value(json_object_get(channel, "worker"));
        cr_assert(worker >= 0 && worker < WORKERS);
        with[worker]++;
    }
    json_decref(json);
    for (uint32_t w = 0; w < WORKERS; w++)
        cr_assert_eq(with[w], CHANNELS / WORKERS);
    for (int j = 0; j < CHANNELS; j++)
        leave(&applications[j]);
}
