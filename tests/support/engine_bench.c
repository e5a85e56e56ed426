/* SPDX-License-Identifier: MIT */
#include "support/engine_bench.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "channel/region.h"
#include "channel/wakeup.h"
#include "machnet/machnet.h"

enum { ARENA_BYTES = 1 << 20, TURN_NS = 1000, TURNS_MAX = 2000000, QUIET_TURNS = 4 };

static const struct endpoint address = {.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}};

static struct worker_config prepare(struct bench *bench, uint16_t port, uint64_t spin_ns)
{
    *bench = (struct bench){.now = 1000000000,
                            .flows = {.limit = UINT32_MAX},
                            .paths = {.addresses = {address}, .address_count = 1, .udp_port = port}};
    return (struct worker_config){
        .paths = &bench->paths,
        .spin_ns = spin_ns,
        .transport = {.epoch = 1,
                      .seed = 2,
                      .max_flows = 65536,
                      .max_half_open = 1024,
                      .max_udp_payload = 8972,
                      .dead_peer_ns = 10000000000,
                      .probe_ns = 2500000000,
                      .window_packets = 1024},
    };
}

void bench_open(struct bench *bench)
{
    struct worker_config config = prepare(bench, 31700, 50000);
    bench->network = nic_mem_network_new(1, 4096);
    bench->nic = nic_mem_open(bench->network, &address, 1, 31700, 1, NIC_MEM_PAYLOAD_MAX);
    config.nic = bench->nic->queues[0];
    bench->worker = worker_new(&config);
    assert(bench->worker != NULL);
}

void bench_open_threaded(struct bench *bench, uint16_t port, uint64_t spin_ns)
{
    struct worker_config config = prepare(bench, port, spin_ns);
    char error[NIC_ERROR_BYTES];
    bench->threaded = true;
    bench->nic = nic_udp_open(&address, 1, port, 1, error);
    assert(bench->nic != NULL);
    config.nic = bench->nic->queues[0];
    bench->worker = worker_start(&config);
    assert(bench->worker != NULL);
}

void bench_close(struct bench *bench)
{
    while (bench->client_count > 0)
        bench_detach(bench->clients[0]);
    if (bench->threaded) {
        worker_stop(bench->worker);
    } else {
        assert(bench->worker->channels.count == 0 && bench->worker->active.count == 0 &&
               bench->worker->scheduled.count == 0);
        worker_free(bench->worker);
    }
    bench->nic->ops->close(bench->nic);
    nic_mem_network_free(bench->network);
}

/* ---- What the controller does ---- */

static struct bench_client *client_of(struct bench *bench, const struct channel *channel)
{
    for (uint32_t i = 0; i < bench->client_count; i++) {
        if (bench->clients[i]->channel == channel)
            return bench->clients[i];
    }
    return NULL;
}

static void take_notice(void *arg, const struct worker_message *notice)
{
    struct bench_client *client = client_of(arg, notice->channel);
    assert(client != NULL && notice->user == client);
    if (notice->type == WORKER_BROKEN)
        client->broken = notice->status;
    else
        client->wanted = notice->bytes;
}

static void add_region(struct bench_client *client, uint16_t region, uint16_t kind, uint64_t bytes)
{
    void *theirs, *ours;
    int result = mn_region_create("bench", bytes, &client->fds[region], &theirs);
    assert(result == 0);
    result = mn_region_map(client->fds[region], bytes, kind != MN_REGION_RECEIVE, &ours);
    assert(result == 0);
    result = mn_region_check(client->fds[region], theirs, bytes);
    assert(result == 0);
    client->memory.regions[region].base = theirs;
    client->memory.regions[region].bytes = bytes;
    client->memory.regions[region].kind = kind;
    client->regions[region] = ours;
}

static void give_region(struct bench_client *client)
{
    struct worker_message command = {.channel = client->channel, .type = WORKER_REGION_REFUSED};
    if (!client->refuse_regions) {
        uint16_t region = (uint16_t)client->next_region++;
        add_region(client, region, MN_REGION_RECEIVE, client->wanted);
        command = (struct worker_message){.channel = client->channel,
                                          .type = WORKER_ADD_REGION,
                                          .region = region,
                                          .kind = MN_REGION_RECEIVE,
                                          .base = client->memory.regions[region].base,
                                          .bytes = client->wanted};
    }
    client->wanted = 0;
    int32_t status = bench_command(client->bench, &command);
    assert(status == MACHNET_OK);
}

static void command_done(struct worker_message *command)
{
    command->user = NULL;
}

int32_t bench_command(struct bench *bench, struct worker_message *command)
{
    command->done = command_done;
    command->user = command->user != NULL ? command->user : bench;
    worker_post(bench->worker, command);
    while (command->user != NULL) {
        struct pollfd ready = {.fd = worker_fd(bench->worker), .events = POLLIN};
        if (!bench->threaded)
            worker_turn(bench->worker, bench->now += TURN_NS);
        int count = poll(&ready, 1, bench->threaded ? 5000 : 0);
        assert(count == 1);
        worker_collect(bench->worker, take_notice, bench);
    }
    return command->status;
}

static void bind_rings(struct bench_client *client)
{
    const struct mn_ring_place *rings = client->memory.rings;
    client->header = (struct mn_header *)(void *)client->regions[0];
    mn_ring_bind_producer(&client->submissions, client->header, &rings[MN_RING_SUBMISSIONS]);
    mn_ring_bind_consumer(&client->completions, client->header, &rings[MN_RING_COMPLETIONS]);
    mn_ring_bind_consumer(&client->deliveries, client->header, &rings[MN_RING_DELIVERIES]);
    mn_ring_bind_producer(&client->releases, client->header, &rings[MN_RING_RELEASES]);
}

void bench_attach(struct bench *bench, struct bench_client *client, uint64_t receive_bytes_max, uint32_t max_flows)
{
    *client = (struct bench_client){.bench = bench, .next_region = 3};
    struct channel_memory *memory = &client->memory;
    uint64_t bytes;
    mn_layout_plan(memory->rings, &bytes);
    add_region(client, 0, MN_REGION_RINGS, bytes);
    mn_layout_write(memory->regions[0].base, MN_LAYOUT_VERSION, memory->rings, bytes, 0);
    add_region(client, 1, MN_REGION_SEND, ARENA_BYTES);
    add_region(client, 2, MN_REGION_RECEIVE, ARENA_BYTES);
    int result = mn_wakeup_open(&memory->signal_fd, &client->signal_fd);
    assert(result == 0);
    memory->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    memory->receive_bytes_max = receive_bytes_max;
    memory->max_flows = max_flows;
    memory->flows = &bench->flows;
    strcpy(memory->name, "bench");
    bind_rings(client);

    struct worker_message command = {.type = WORKER_ATTACH, .memory = memory, .user = client};
    int32_t status = bench_command(bench, &command);
    assert(status == MACHNET_OK);
    client->channel = command.channel;
    bench->clients[bench->client_count++] = client;
}

void bench_detach(struct bench_client *client)
{
    struct bench *bench = client->bench;
    struct worker_message command = {.type = WORKER_DETACH, .channel = client->channel, .reason = 7};
    bench_command(bench, &command);
    for (uint32_t i = 0; i < bench->client_count; i++) {
        if (bench->clients[i] == client)
            bench->clients[i] = bench->clients[--bench->client_count];
    }
    client->channel = NULL;
    close(client->signal_fd);
    close(client->memory.signal_fd);
    close(client->memory.event);
    for (uint32_t i = 0; i < MN_REGIONS_MAX; i++) {
        if (client->regions[i] == NULL)
            continue;
        mn_region_unmap(client->regions[i], client->memory.regions[i].bytes);
        mn_region_unmap(client->memory.regions[i].base, client->memory.regions[i].bytes);
        close(client->fds[i]);
    }
}

void bench_listen(struct bench_client *client)
{
    struct worker_message command = {
        .type = WORKER_LISTEN, .channel = client->channel, .endpoint = address, .listener = BENCH_LISTENER};
    command.endpoint.port = BENCH_PORT;
    int32_t status = bench_command(client->bench, &command);
    assert(status == MACHNET_OK);
}

/* ---- Time ---- */

static void collect(struct bench *bench)
{
    worker_collect(bench->worker, take_notice, bench);
    for (uint32_t i = 0; i < bench->client_count; i++) {
        if (bench->clients[i]->wanted != 0 && !bench->clients[i]->slow_regions)
            give_region(bench->clients[i]);
    }
}

uint32_t bench_turn(struct bench *bench)
{
    uint32_t work = worker_turn(bench->worker, bench->now += TURN_NS);
    collect(bench);
    return work;
}

static void turn_until_quiet(struct bench *bench)
{
    uint32_t turns = 0, quiet = 0;
    for (; quiet < QUIET_TURNS; turns++) {
        quiet = bench_turn(bench) > 0 ? 0 : quiet + 1;
        assert(turns < TURNS_MAX);
    }
}

/* When the next thing is due, but not later than `end`. */
static uint64_t next_moment(const struct bench *bench, uint64_t end)
{
    uint64_t next = transport_next_timeout(bench->worker->transport);
    if (bench->worker->channel_deadline < next)
        next = bench->worker->channel_deadline;
    if (bench->worker->active.count > 0 || next < bench->now)
        next = bench->now + TURN_NS;
    return next < end ? next : end;
}

void bench_run(struct bench *bench, uint64_t ns)
{
    uint64_t end = bench->now + ns;
    turn_until_quiet(bench);
    while (bench->now < end) {
        bench->now = next_moment(bench, end);
        turn_until_quiet(bench);
    }
}

/* ---- The application ---- */

/* Either end of a ring: what was put there, or the room of what was taken. */
static void publish(struct bench_client *client, struct mn_ring *ring, uint32_t bit)
{
    mn_ring_publish(ring);
    atomic_thread_fence(memory_order_seq_cst);
    if ((atomic_load(&client->header->engine_sleeping) & bit) == 0)
        return;
    if (client->bench->threaded)
        eventfd_write(client->memory.event, 1);
    else
        worker_activate(client->bench->worker, client->channel);
}

void bench_submit(struct bench_client *client, const void *submission)
{
    assert(mn_ring_space(&client->submissions, 1) >= 1);
    memcpy(mn_ring_entry(&client->submissions, 0), submission, sizeof(struct mn_submission));
    mn_ring_advance(&client->submissions, 1);
    publish(client, &client->submissions, MN_WAKE_SUBMISSIONS);
}

void bench_open_flow(struct bench_client *client, uint64_t token, uint16_t port)
{
    struct mn_submission_open open = {.op = MN_OP_OPEN, .remote_port = port, .flow = token, .timeout_ns = 1000000000};
    memcpy(open.remote_ip, address.ip, sizeof open.remote_ip);
    bench_submit(client, &open);
}

void bench_send(struct bench_client *client, uint64_t token, uint64_t offset, uint32_t length, uint64_t tag,
                uint64_t cookie)
{
    struct mn_submission send = {
        .op = MN_OP_SEND, .region = 1, .length = length, .flow = token, .tag = tag, .offset = offset, .cookie = cookie};
    bench_submit(client, &send);
}

void bench_close_flow(struct bench_client *client, uint64_t token, bool abort)
{
    struct mn_submission close = {.op = MN_OP_CLOSE, .flags = abort ? MN_CLOSE_ABORT : 0, .flow = token};
    bench_submit(client, &close);
}

void bench_release(struct bench_client *client, uint64_t lease)
{
    assert(mn_ring_space(&client->releases, 1) >= 1);
    memcpy(mn_ring_entry(&client->releases, 0), &lease, sizeof lease);
    mn_ring_advance(&client->releases, 1);
    publish(client, &client->releases, MN_WAKE_RELEASES);
}

static bool take(struct mn_ring *ring, void *entry, size_t bytes)
{
    if (mn_ring_ready(ring) <= 0)
        return false;
    memcpy(entry, mn_ring_entry(ring, 0), bytes);
    mn_ring_advance(ring, 1);
    return true;
}

bool bench_take_delivery(struct bench_client *client, struct mn_delivery *delivery)
{
    if (!take(&client->deliveries, delivery, sizeof *delivery))
        return false;
    publish(client, &client->deliveries, MN_WAKE_ROOM);
    return true;
}

bool bench_take_completion(struct bench_client *client, struct mn_completion *completion)
{
    if (!take(&client->completions, completion, sizeof *completion))
        return false;
    mn_ring_publish(&client->completions);
    return true;
}

struct mn_delivery bench_expect(struct bench_client *client, enum mn_delivery_op op)
{
    struct mn_delivery delivery;
    bool there = bench_take_delivery(client, &delivery);
    assert(there);
    assert(delivery.op == op);
    return delivery;
}

void bench_expect_closed(struct bench_client *client, uint64_t token, int32_t status)
{
    struct mn_delivery closed = bench_expect(client, MN_OP_CLOSED);
    assert(closed.flow == token);
    assert(closed.status == status);
}

void bench_expect_completion(struct bench_client *client, uint64_t cookie, int32_t status)
{
    struct mn_completion completion;
    bool there = bench_take_completion(client, &completion);
    assert(there);
    assert(completion.cookie == cookie);
    assert(completion.status == status);
}

void bench_expect_silence(struct bench_client *client)
{
    assert(mn_ring_ready(&client->deliveries) == 0);
    assert(mn_ring_ready(&client->completions) == 0);
}

const uint8_t *bench_bytes(const struct bench_client *client, const struct mn_delivery *message)
{
    assert(message->region < MN_REGIONS_MAX && client->regions[message->region] != NULL);
    return client->regions[message->region] + message->offset;
}

uint32_t bench_woken(struct bench_client *client)
{
    char bytes[256];
    ssize_t count = read(client->signal_fd, bytes, sizeof bytes);
    return count > 0 ? (uint32_t)count : 0;
}

uint64_t bench_connect(struct bench_client *from, uint64_t token, struct bench_client *to)
{
    bench_open_flow(from, token, BENCH_PORT);
    bench_run(from->bench, 0);
    struct mn_delivery established = bench_expect(from, MN_OP_ESTABLISHED);
    assert(established.flow == token);
    return bench_expect(to, MN_OP_ACCEPTED).flow;
}
