/* SPDX-License-Identifier: MIT */
/*
 * An application without the library: it speaks the control protocol and writes the shared memory itself, right or wrong. For the
 * programs attack_*.c, each of which has one thread. A step that must work and does not ends the program (attack_fail).
 */
#ifndef MACHNET_TESTS_INTEGRATION_ATTACK_CHANNEL_H
#define MACHNET_TESTS_INTEGRATION_ATTACK_CHANNEL_H

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/prng.h"
#include "channel/control.h"
#include "channel/layout.h"
#include "channel/ring.h"
#include "content.h"
#include "machnet/machnet.h"

enum { ATTACK_REGIONS = 3, ATTACK_WAKEUP = 3, ATTACK_EVENT = 4, ATTACK_FDS = 5, ATTACK_USER = 65534 };

#define ATTACK_PATIENCE_NS UINT64_C(20000000000)
#define ATTACK_TOKEN (UINT64_C(1) << 32) /* of the one flow that an attacker opens to itself */

union attack_message {
    struct mn_control_header header;
    struct mn_control_hello hello;
    struct mn_control_attach attach;
    struct mn_control_attach_offer offer;
    struct mn_control_region region;
    struct mn_control_listen listen;
    struct mn_control_plain plain;
    uint8_t bytes[MN_CONTROL_BYTES_MAX];
};

struct attack_channel {
    int control;
    int fds[MN_CONTROL_FDS_MAX];            /* regions, wake-up socket, eventfd; then -1 */
    uint64_t bytes[ATTACK_REGIONS];
    uint8_t *regions[ATTACK_REGIONS];       /* all writable: what a client must not have, and can */
    struct mn_header *header;
    struct mn_ring_place places[MN_RING_COUNT];
    struct mn_ring submissions, completions, deliveries, releases;
    uint64_t flow, accepted;                /* the two ends of a flow to itself; 0: not there yet */
    uint64_t messages, completed;           /* received and checked by attack_round_trip; completions taken by attack_drain */
};

static inline _Noreturn void attack_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline _Noreturn void attack_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("{\"event\": \"wrong\", \"what\": \"");
    vprintf(format, arguments);
    printf("\"}\n");
    va_end(arguments);
    fflush(stdout);
    _exit(1);
}

/* As root: goes on as a user who may do nothing to the engine. */
static inline void attack_drop_privileges(void)
{
    if (geteuid() != 0)
        return;
    if (setgroups(0, NULL) < 0 || setresgid(ATTACK_USER, ATTACK_USER, ATTACK_USER) < 0 || setresuid(ATTACK_USER, ATTACK_USER, ATTACK_USER) < 0)
        attack_fail("cannot become another user: %s", strerror(errno));
    (void)prctl(PR_SET_DUMPABLE, 1); /* or a leak checker cannot look */
}

/* ---- Control socket ---- */

/* -1: the engine takes no connection now. */
static inline int attack_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("MACHNET_SOCKET");
    if (path == NULL || strlen(path) >= sizeof address.sun_path)
        attack_fail("MACHNET_SOCKET names no socket");
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        attack_fail("socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

/* True if `socket` has something to read, or was closed, within `ns`. */
static inline bool attack_wait_readable(int socket, uint64_t ns)
{
    struct pollfd polled = {.fd = socket, .events = POLLIN};
    return poll(&polled, 1, (int)(ns / 1000000)) > 0;
}

/* The type of the next message; 0: end of file. Descriptors go to `fds` (room for MN_CONTROL_FDS_MAX), or are closed. */
static inline uint16_t attack_receive(int socket, union attack_message *message, int *fds)
{
    int here[MN_CONTROL_FDS_MAX];
    uint32_t count = 0;
    if (!attack_wait_readable(socket, ATTACK_PATIENCE_NS))
        attack_fail("the engine does not answer");
    int length = mn_control_receive(socket, message->bytes, here, MN_CONTROL_FDS_MAX, &count, 0);
    if (length < 0 && length != -ECONNRESET && length != -EPIPE)
        attack_fail("the engine sends: %s", strerror(-length));
    for (uint32_t i = 0; i < count; i++) {
        if (fds != NULL)
            fds[i] = here[i];
        else
            close(here[i]);
    }
    return length > 0 ? message->header.type : 0;
}

/* Sends a message of the right size for `type`; false: the engine has closed the connection. */
static inline bool attack_send(int socket, uint16_t type, union attack_message *message)
{
    mn_control_prepare(&message->header, type, 1, 0);
    return mn_control_send(socket, &message->header, NULL, 0) == 0;
}

static inline bool attack_hello(int socket)
{
    union attack_message message = {.hello = {.version_min = MN_CONTROL_VERSION, .version_max = MN_CONTROL_VERSION,
                                              .layout_min = MN_LAYOUT_VERSION, .layout_max = MN_LAYOUT_VERSION}};
    return attack_send(socket, MN_CONTROL_HELLO, &message) && attack_receive(socket, &message, NULL) == MN_CONTROL_HELLO_REPLY;
}

/* ---- Attaching ---- */

static inline void attack_close_fds(struct attack_channel *channel)
{
    for (int i = 0; i < ATTACK_FDS; i++) {
        if (channel->fds[i] >= 0)
            close(channel->fds[i]);
        channel->fds[i] = -1;
    }
}

/* First step: what is offered, mapped, with all its pages. MACHNET_OK, or why not. */
static inline int32_t attack_offer(struct attack_channel *channel, uint64_t arena_bytes)
{
    union attack_message message = {.attach = {.send_bytes_max = arena_bytes, .receive_bytes_max = arena_bytes, .name = "attacker"}};
    *channel = (struct attack_channel){.control = attack_connect(), .fds = {-1, -1, -1, -1, -1}};
    if (channel->control < 0 || !attack_hello(channel->control))
        return MACHNET_ENOENGINE;
    if (!attack_send(channel->control, MN_CONTROL_ATTACH, &message) ||
        attack_receive(channel->control, &message, channel->fds) != MN_CONTROL_ATTACH_OFFER)
        attack_fail("no offer");
    if (message.header.status < 0)
        return message.header.status;
    for (int i = 0; i < ATTACK_REGIONS; i++) {
        channel->bytes[i] = message.offer.region_bytes[i];
        channel->regions[i] = mmap(NULL, channel->bytes[i], PROT_READ | PROT_WRITE, MAP_SHARED, channel->fds[i], 0);
        if (channel->regions[i] == MAP_FAILED)
            attack_fail("mmap: %s", strerror(errno));
        memset(channel->regions[i], 0, channel->bytes[i]);
    }
    channel->header = (struct mn_header *)(void *)channel->regions[0];
    return MACHNET_OK;
}

static inline void attack_seal(const struct attack_channel *channel)
{
    for (int i = 0; i < ATTACK_REGIONS; i++) {
        if (fcntl(channel->fds[i], F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
            attack_fail("F_ADD_SEALS: %s", strerror(errno));
    }
}

/* Says so; with or without reason. */
static inline int32_t attack_say_mapped(struct attack_channel *channel)
{
    union attack_message message = {.plain = {.value = 0}};
    if (!attack_send(channel->control, MN_CONTROL_ATTACH_MAPPED, &message))
        return MACHNET_EENGINEGONE;
    uint16_t type = attack_receive(channel->control, &message, NULL);
    if (type != MN_CONTROL_ATTACHED)
        attack_fail("message %u instead of ATTACHED", type);
    if (message.header.status != MACHNET_OK)
        return message.header.status;
    memcpy(channel->places, channel->header->rings, sizeof channel->places);
    mn_ring_bind_producer(&channel->submissions, channel->header, &channel->places[MN_RING_SUBMISSIONS]);
    mn_ring_bind_consumer(&channel->completions, channel->header, &channel->places[MN_RING_COMPLETIONS]);
    mn_ring_bind_consumer(&channel->deliveries, channel->header, &channel->places[MN_RING_DELIVERIES]);
    mn_ring_bind_producer(&channel->releases, channel->header, &channel->places[MN_RING_RELEASES]);
    return MACHNET_OK;
}

/* Second step, as it should be. */
static inline int32_t attack_mapped(struct attack_channel *channel)
{
    attack_seal(channel);
    return attack_say_mapped(channel);
}

static inline void attack_attach(struct attack_channel *channel, uint64_t arena_bytes)
{
    int32_t status = attack_offer(channel, arena_bytes);
    if (status == MACHNET_OK)
        status = attack_mapped(channel);
    if (status != MACHNET_OK)
        attack_fail("cannot attach: %s", machnet_status_name(status));
}

static inline void attack_detach(struct attack_channel *channel)
{
    for (int i = 0; i < ATTACK_REGIONS; i++) {
        if (channel->regions[i] != NULL)
            munmap(channel->regions[i], channel->bytes[i]);
        channel->regions[i] = NULL;
    }
    attack_close_fds(channel);
    if (channel->control >= 0)
        close(channel->control);
    channel->control = -1;
}

/* ---- Rings ---- */

static inline void attack_wake_engine(const struct attack_channel *channel)
{
    const uint64_t one = 1;
    struct pollfd polled = {.fd = channel->fds[ATTACK_EVENT], .events = POLLOUT};
    if (poll(&polled, 1, 0) > 0 && write(channel->fds[ATTACK_EVENT], &one, sizeof one) < 0)
        attack_fail("eventfd: %s", strerror(errno));
}

/* Whatever a ring of ours says, the place of its next entry. */
static inline void *attack_entry(const struct mn_ring *ring)
{
    return ring->entries + (size_t)(ring->next & ring->mask) * ring->entry_bytes;
}

/* False: the ring is full. */
static inline bool attack_put(struct mn_ring *ring, const void *entry)
{
    if (mn_ring_space(ring, 1) <= 0)
        return false;
    memcpy(attack_entry(ring), entry, ring->entry_bytes);
    mn_ring_advance(ring, 1);
    return true;
}

/* False: the ring is empty (or its index makes no sense). */
static inline bool attack_take(struct mn_ring *ring, void *entry)
{
    if (mn_ring_ready(ring) <= 0)
        return false;
    memcpy(entry, attack_entry(ring), ring->entry_bytes);
    mn_ring_advance(ring, 1);
    mn_ring_publish(ring);
    return true;
}

static inline bool attack_is_closed(const struct attack_channel *channel)
{
    return atomic_load_explicit(&channel->header->closed, memory_order_acquire) != 0;
}

static inline void attack_publish(struct attack_channel *channel)
{
    mn_ring_publish(&channel->submissions);
    mn_ring_publish(&channel->releases);
    attack_wake_engine(channel);
}

static inline void attack_drain_completions(struct attack_channel *channel)
{
    struct mn_completion completion;
    while (attack_take(&channel->completions, &completion))
        channel->completed++;
}

/* ---- A flow to itself ---- */

/* Listens at `port` of `ip` (16 bytes). False: the engine says no, or the channel is closed. */
static inline bool attack_listen(struct attack_channel *channel, const uint8_t *ip, uint16_t port)
{
    union attack_message message = {.listen = {.port = port}};
    memcpy(message.listen.ip, ip, 16);
    return attack_send(channel->control, MN_CONTROL_LISTEN, &message) &&
           attack_receive(channel->control, &message, NULL) == MN_CONTROL_LISTEN_REPLY && message.header.status == MACHNET_OK;
}

static inline struct mn_submission_open attack_open_of(const uint8_t *ip, uint16_t port)
{
    struct mn_submission_open open = {.op = MN_OP_OPEN, .remote_port = port, .flow = ATTACK_TOKEN, .timeout_ns = 3000000000};
    memcpy(open.remote_ip, ip, 16);
    return open;
}

/* Takes one delivery, if there is one, and notes the flow's two ends. */
static inline bool attack_take_delivery(struct attack_channel *channel, struct mn_delivery *delivery)
{
    if (!attack_take(&channel->deliveries, delivery))
        return false;
    if (delivery->op == MN_OP_ESTABLISHED)
        channel->flow = delivery->flow;
    if (delivery->op == MN_OP_ACCEPTED)
        channel->accepted = delivery->flow;
    return true;
}

/* Opens the flow and waits until both ends are there. */
static inline void attack_open_flow(struct attack_channel *channel, const uint8_t *ip, uint16_t port)
{
    const struct mn_submission_open open = attack_open_of(ip, port);
    struct mn_delivery delivery;
    uint64_t end = clock_now_ns() + ATTACK_PATIENCE_NS;
    if (!attack_listen(channel, ip, port) || !attack_put(&channel->submissions, &open))
        attack_fail("cannot listen or open at port %u", port);
    attack_publish(channel);
    while (channel->flow == 0 || channel->accepted == 0) {
        if (!attack_take_delivery(channel, &delivery))
            usleep(20);
        if (attack_is_closed(channel) || clock_now_ns() > end)
            attack_fail("the flow does not open (closed: %u)", (unsigned)channel->header->closed);
    }
}

static inline struct mn_submission attack_send_of(uint64_t flow, uint64_t offset, uint32_t length, uint64_t cookie)
{
    return (struct mn_submission){.op = MN_OP_SEND, .region = 1, .length = length, .flow = flow, .offset = offset, .cookie = cookie};
}

/* Sends one message of `length` bytes over the flow to itself, and checks what comes. Nothing else may be under way. */
static inline void attack_round_trip(struct attack_channel *channel, uint32_t length)
{
    uint64_t number = channel->messages, end = clock_now_ns() + ATTACK_PATIENCE_NS, completed = channel->completed;
    struct mn_delivery delivery = {.op = 0};
    content_fill(channel->regions[1], number, length);
    const struct mn_submission send = attack_send_of(channel->flow, 0, length, number);
    if (!attack_put(&channel->submissions, &send))
        attack_fail("no room for a submission");
    attack_publish(channel);
    while (delivery.op == 0 || channel->completed == completed) {
        if (delivery.op == 0)
            (void)attack_take_delivery(channel, &delivery);
        attack_drain_completions(channel);
        if (attack_is_closed(channel) || clock_now_ns() > end)
            attack_fail("message %u does not come (closed: %u)", (unsigned)number, (unsigned)channel->header->closed);
        usleep(20);
    }
    if (delivery.op != MN_OP_MESSAGE || delivery.length != length || delivery.flow != channel->accepted)
        attack_fail("delivery %u of %u bytes", delivery.op, delivery.length);
    if (delivery.region != 2 || delivery.offset + length > channel->bytes[2] ||
        !content_check(channel->regions[2] + delivery.offset, number, length))
        attack_fail("message %u is not what was sent", (unsigned)number);
    if (!attack_put(&channel->releases, &delivery.lease))
        attack_fail("no room for a release");
    attack_publish(channel);
    channel->messages++;
}

/* The engine must close the channel, saying why on the control socket. Returns the status. */
static inline int32_t attack_expect_closing(struct attack_channel *channel)
{
    union attack_message message;
    int32_t status = MACHNET_OK;
    uint16_t type;
    while ((type = attack_receive(channel->control, &message, NULL)) != 0) {
        if (type == MN_CONTROL_CLOSING)
            status = message.header.status;
    }
    return status;
}

/* ---- Arguments ---- */

/* "127.0.0.1:7000" as the 16 bytes of the IP; returns the port. */
static inline uint16_t attack_address(const char *text, uint8_t *ip)
{
    machnet_address address;
    if (machnet_address_parse(text, &address) != MACHNET_OK)
        attack_fail("%s is no address", text);
    memcpy(ip, address.ip, 16);
    return address.port;
}

#endif /* MACHNET_TESTS_INTEGRATION_ATTACK_CHANNEL_H */
