/* SPDX-License-Identifier: MIT */
#include "support/fake_engine.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel/region.h"
#include "channel/wakeup.h"

enum { ARENA_BYTES = 1 << 20 };

union message {
    struct mn_control_header header;
    struct mn_control_hello hello;
    struct mn_control_attach_offer offer;
    uint8_t bytes[MN_CONTROL_BYTES_MAX];
};

static bool hear(int socket, uint16_t type, union message *message)
{
    uint32_t fds;
    int length = mn_control_receive(socket, message->bytes, NULL, 0, &fds, 0);
    return length > 0 && message->header.type == type;
}

static void expect(int socket, uint16_t type, union message *message)
{
    if (!hear(socket, type, message))
        abort();
}

static int accept_hello(struct fake_engine *engine)
{
    union message message;
    struct mn_control_hello reply = {
        .version_min = engine->hello_version != 0 ? engine->hello_version : MN_CONTROL_VERSION,
        .version_max = engine->hello_version != 0 ? engine->hello_version : MN_CONTROL_VERSION,
        .layout_min = MN_LAYOUT_VERSION,
        .layout_max = MN_LAYOUT_VERSION,
        .version = "0.0.0-fake",
        .message = "the fake engine refuses",
    };
    int socket = accept4(engine->listener, NULL, NULL, SOCK_CLOEXEC);
    assert(socket >= 0);
    expect(socket, MN_CONTROL_HELLO, &message);
    mn_control_prepare(&reply.header, MN_CONTROL_HELLO_REPLY, message.header.request, engine->hello_status);
    mn_control_send(socket, &reply.header, NULL, 0);
    return socket;
}

/* Region 0 as the real one; small arenas. */
static void make_memory(struct fake_engine *engine, int fds[5])
{
    struct mn_ring_place places[MN_RING_COUNT];

    mn_layout_plan(places, &engine->bytes[0]);
    engine->bytes[1] = engine->bytes[2] = ARENA_BYTES;
    for (int i = 0; i < 3; i++)
        assert(mn_region_create("fake", engine->bytes[i], &fds[i], &engine->bases[i]) == 0);
    engine->header = engine->bases[0];
    mn_layout_write(engine->header, MN_LAYOUT_VERSION, places, engine->bytes[0], 0);
    mn_ring_bind_consumer(&engine->submissions, engine->bases[0], &places[MN_RING_SUBMISSIONS]);
    mn_ring_bind_producer(&engine->completions, engine->bases[0], &places[MN_RING_COMPLETIONS]);
    mn_ring_bind_producer(&engine->deliveries, engine->bases[0], &places[MN_RING_DELIVERIES]);
    mn_ring_bind_consumer(&engine->releases, engine->bases[0], &places[MN_RING_RELEASES]);
    assert(mn_wakeup_open(&engine->signal_fd, &fds[3]) == 0);
    engine->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fds[4] = engine->event;
}

void fake_engine_say_more(struct fake_engine *engine)
{
    const int fd = engine->listener;
    struct mn_control_plain more = {.message = "what a later library would know"};
    mn_control_prepare(&more.header, MN_CONTROL_CLOSING, 0, MACHNET_OK);
    more.header.type = MN_CONTROL_IGNORABLE | 77;
    assert(mn_control_send(engine->control, &more.header, &fd, 1) == 0);
}

/* Sends an answer in the course of attaching. */
static void send_answer(struct fake_engine *engine, const struct mn_control_attach_offer *answer, const int *fds,
                        uint32_t fd_count)
{
    union message longer = {.offer = *answer};
    if (engine->later) {
        fake_engine_say_more(engine);
        longer.header.length = MN_CONTROL_BYTES_MAX;
    }
    assert(mn_control_send(engine->control, &longer.header, fds, fd_count) == 0);
}

static void *answer(void *argument)
{
    struct fake_engine *engine = argument;
    struct mn_control_attach_offer offer = {.max_flows = engine->max_flows,
                                            .send_bytes_max = engine->send_bytes_max,
                                            .descriptor_count = 5,
                                            .descriptors = {MN_DESCRIPTOR_REGION, MN_DESCRIPTOR_REGION,
                                                            MN_DESCRIPTOR_REGION, MN_DESCRIPTOR_WAKEUP,
                                                            MN_DESCRIPTOR_EVENT},
                                            .message = "the fake engine has no room"};
    union message message;
    int fds[6] = {-1, -1, -1, -1, -1, -1}, own[4];

    engine->context = accept_hello(engine);
    if (engine->hello_status < 0 || engine->hello_version != 0)
        return NULL;
    engine->control = accept_hello(engine);
    expect(engine->control, MN_CONTROL_ATTACH, &message);
    make_memory(engine, fds);
    memcpy(own, fds, sizeof own);
    for (int i = 0; i < 3; i++)
        offer.region_bytes[i] = engine->bytes[i];
    if (engine->later) {
        fds[5] = engine->listener;
        offer.descriptors[offer.descriptor_count++] = 99;
    }
    mn_control_prepare(&offer.header, MN_CONTROL_ATTACH_OFFER, message.header.request, engine->attach_status);
    if (engine->spoil != NULL)
        engine->spoil(engine, &offer, fds);
    uint32_t fd_count = 0;
    while (fd_count < 6 && fds[fd_count] >= 0)
        fd_count++;
    send_answer(engine, &offer, fds, engine->attach_status < 0 ? 0 : fd_count);
    for (uint32_t i = 0; i < 4; i++)
        close(own[i]);
    if (engine->attach_status < 0)
        return NULL;
    if (engine->spoil == NULL)
        expect(engine->control, MN_CONTROL_ATTACH_MAPPED, &message);
    else if (!hear(engine->control, MN_CONTROL_ATTACH_MAPPED, &message))
        return NULL;
    mn_control_prepare(&offer.header, MN_CONTROL_ATTACHED, message.header.request, MACHNET_OK);
    send_answer(engine, &offer, NULL, 0);
    return NULL;
}

void fake_engine_start(struct fake_engine *engine)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    engine->context = engine->control = engine->signal_fd = engine->event = -1;
    if (engine->max_flows == 0)
        engine->max_flows = 1024;
    if (engine->send_bytes_max == 0)
        engine->send_bytes_max = ARENA_BYTES;
    snprintf(engine->directory, sizeof engine->directory, "/tmp/machnet-fake-XXXXXX");
    assert(mkdtemp(engine->directory) != NULL);
    snprintf(engine->path, sizeof engine->path, "%s/socket", engine->directory);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", engine->path);
    engine->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert(bind(engine->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
           listen(engine->listener, 4) == 0);
    assert(pthread_create(&engine->thread, NULL, answer, engine) == 0);
}

void fake_engine_attached(struct fake_engine *engine)
{
    pthread_join(engine->thread, NULL);
}

void fake_engine_stop(struct fake_engine *engine)
{
    const int fds[] = {engine->listener, engine->context, engine->control, engine->signal_fd, engine->event};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    for (int i = 0; i < 3; i++)
        mn_region_unmap(engine->bases[i], engine->bytes[i]);
    unlink(engine->path);
    rmdir(engine->directory);
}

machnet_channel *fake_engine_channel(struct fake_engine *engine, const machnet_options *options)
{
    machnet_options *where;
    machnet_context *context;
    machnet_channel *channel;
    machnet_error error = {0};

    fake_engine_start(engine);
    if (machnet_options_new(&where) < 0 ||
        machnet_options_set_str(where, MACHNET_OPTION_SOCKET_PATH, engine->path) < 0 ||
        machnet_context_open(MACHNET_ABI_VERSION, where, &context, &error) < 0 ||
        machnet_channel_open(context, options, &channel, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    fake_engine_attached(engine);
    machnet_context_unref(context);
    machnet_options_free(where);
    return channel;
}

machnet_channel *fake_engine_channel_with_flow(struct fake_engine *engine, uint64_t flow)
{
    machnet_event event;
    machnet_channel *channel = fake_engine_channel(engine, NULL);
    fake_engine_accept(engine, flow);
    if (machnet_channel_events(channel, &event, 1, 0) != 1) {
        fprintf(stderr, "the accepted flow is not told\n");
        abort();
    }
    return channel;
}

void fake_engine_wake(struct fake_engine *engine, uint32_t bits)
{
    atomic_thread_fence(memory_order_seq_cst);
    if ((atomic_load(&engine->header->client_sleeping) & bits) != 0) {
        atomic_fetch_and(&engine->header->client_sleeping, ~bits);
        mn_wakeup_send(engine->signal_fd);
    }
}

void fake_engine_deliver(struct fake_engine *engine, const void *entry)
{
    assert(mn_ring_space(&engine->deliveries, 1) > 0);
    memcpy(mn_ring_entry(&engine->deliveries, 0), entry, sizeof(struct mn_delivery));
    mn_ring_advance(&engine->deliveries, 1);
    mn_ring_publish(&engine->deliveries);
    fake_engine_wake(engine, MN_WAKE_DELIVERIES);
}

void fake_engine_message(struct fake_engine *engine, uint64_t flow, uint64_t lease, uint64_t offset, uint32_t length,
                         uint64_t tag)
{
    struct mn_delivery delivery = {
        .op = MN_OP_MESSAGE, .region = 2, .length = length, .flow = flow, .tag = tag, .offset = offset, .lease = lease};
    fake_engine_deliver(engine, &delivery);
}

void fake_engine_accept(struct fake_engine *engine, uint64_t flow)
{
    struct mn_delivery_flow delivery = {
        .op = MN_OP_ACCEPTED, .local_port = 7, .remote_port = 8, .flow = flow, .listener = 99};
    delivery.remote_ip[15] = 1;
    fake_engine_deliver(engine, &delivery);
}

void fake_engine_close_flow(struct fake_engine *engine, uint64_t flow, int32_t status)
{
    struct mn_delivery delivery = {.op = MN_OP_CLOSED, .flow = flow, .status = status};
    fake_engine_deliver(engine, &delivery);
}

void fake_engine_complete(struct fake_engine *engine, uint64_t cookie)
{
    const struct mn_completion completion = {.cookie = cookie, .status = MACHNET_OK};
    assert(mn_ring_space(&engine->completions, 1) > 0);
    memcpy(mn_ring_entry(&engine->completions, 0), &completion, sizeof completion);
    mn_ring_advance(&engine->completions, 1);
    mn_ring_publish(&engine->completions);
    fake_engine_wake(engine, MN_WAKE_COMPLETIONS);
}

int fake_engine_take(struct fake_engine *engine, struct mn_submission *submission)
{
    if (mn_ring_ready(&engine->submissions) <= 0)
        return 0;
    memcpy(submission, mn_ring_entry(&engine->submissions, 0), sizeof *submission);
    mn_ring_advance(&engine->submissions, 1);
    mn_ring_publish(&engine->submissions);
    fake_engine_wake(engine, MN_WAKE_ROOM);
    return 1;
}

uint32_t fake_engine_releases(struct fake_engine *engine)
{
    uint32_t count = 0;
    for (int64_t ready; (ready = mn_ring_ready(&engine->releases)) > 0; count += (uint32_t)ready) {
        mn_ring_advance(&engine->releases, (uint32_t)ready);
        mn_ring_publish(&engine->releases);
    }
    return count;
}
