/* SPDX-License-Identifier: MIT */
/* ctest-timeout: 300 */
/*
 * Two engines of several real workers each, without their threads, over the `mem` back end whose hash puts packets into any queue. A channel on
 * each worker opens a flow to every channel there is, of its own engine and of the other one.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "machnet/machnet.h"
#include "support/engine_bench.h"

enum { ENGINES = 2, WORKERS_MAX = 4, SEATS_MAX = ENGINES * WORKERS_MAX, PORT_FIRST = 7000, UDP_PORT = 31700 };
enum { LONG_MESSAGE = 20000, SHORT_MESSAGE = 64, QUIET_ROUNDS = 8, ROUNDS_MAX = 200000 };
#define SECOND UINT64_C(1000000000)

/* One worker with one channel. */
struct seat {
    struct bench bench;
    struct bench_client client;
    uint32_t engine, worker, established, ended, messages, replies;
};

static struct {
    struct nic_mem_network *network;
    struct path_table paths[ENGINES];
    struct nic *nics[ENGINES];
    struct directory *directories[ENGINES];
    struct handover *handovers[ENGINES];
    uint32_t workers[ENGINES];
    uint64_t epochs[ENGINES];
    struct seat seats[SEATS_MAX];
    uint32_t count; /* of seats */
    uint64_t now;
} world;

static struct endpoint address_of(uint32_t engine, uint16_t port)
{
    return (struct endpoint){.ip = {[10] = 0xff, 0xff, 10, 0, 0, (uint8_t)(1 + engine)}, .port = port};
}

/* ---- Beginning and end ---- */

static void start_worker(struct seat *seat)
{
    const uint32_t e = seat->engine;
    const struct worker_config config = {
        .nic = world.nics[e]->queues[seat->worker],
        .paths = &world.paths[e],
        .handover = world.handovers[e],
        .directory = world.directories[e],
        .spin_ns = 50000,
        .transport = {.epoch = world.epochs[e],
                      .seed = 100 * e + seat->worker,
                      .worker = (uint8_t)seat->worker,
                      .max_flows = 1000,
                      .max_half_open = 1000,
                      .max_udp_payload = NIC_MEM_PAYLOAD_MAX,
                      .dead_peer_ns = 10 * SECOND,
                      .probe_ns = 5 * SECOND / 2,
                      .window_packets = 1024},
    };
    seat->bench = (struct bench){.network = world.network, .now = world.now, .worker = worker_new(&config), .flows = {.limit = UINT32_MAX}};
    cr_assert_not_null(seat->bench.worker);
}

static uint16_t port_of(const struct seat *seat)
{
    return (uint16_t)(PORT_FIRST + (seat - world.seats));
}

static void attach_and_listen(struct seat *seat)
{
    bench_attach(&seat->bench, &seat->client, 16 << 20, 1000);
    struct worker_message command = {.type = WORKER_LISTEN,
                                     .channel = seat->client.channel,
                                     .endpoint = address_of(seat->engine, port_of(seat)),
                                     .listener = 1};
    cr_assert_eq(bench_command(&seat->bench, &command), MACHNET_OK);
    directory_add(world.directories[seat->engine], &command.endpoint, seat->worker);
}

static void open_world(uint32_t workers_a, uint32_t workers_b, uint64_t hash)
{
    memset(&world, 0, sizeof world);
    world.now = SECOND;
    world.network = nic_mem_network_new(1, 65536);
    nic_mem_set_hash(world.network, hash);
    for (uint32_t e = 0; e < ENGINES; e++) {
        world.workers[e] = e == 0 ? workers_a : workers_b;
        world.epochs[e] = 1 + e;
        world.paths[e] =
            (struct path_table){.addresses = {address_of(e, 0)}, .address_count = 1, .udp_port = UDP_PORT};
        world.nics[e] = nic_mem_open(world.network, world.paths[e].addresses, 1, UDP_PORT, world.workers[e],
                                     NIC_MEM_PAYLOAD_MAX);
        world.directories[e] = directory_new(&world.paths[e]);
        world.handovers[e] = handover_new(world.workers[e], 0);
        for (uint32_t w = 0; w < world.workers[e]; w++) {
            struct seat *seat = &world.seats[world.count++];
            seat->engine = e;
            seat->worker = w;
            start_worker(seat);
            attach_and_listen(seat);
        }
    }
}

/* Its end is not heard of by the other one, as if it had been killed. */
static void restart_engine(uint32_t e)
{
    struct nic_mem_impairments silent = {.partitioned = true};
    nic_mem_impair_all(world.network, &silent);
    for (uint32_t i = 0; i < world.count; i++) {
        if (world.seats[i].engine == e) {
            bench_detach(&world.seats[i].client);
            worker_free(world.seats[i].bench.worker);
        }
    }
    nic_mem_impair_all(world.network, &(struct nic_mem_impairments){0});
    world.epochs[e] += ENGINES;
    for (uint32_t i = 0; i < world.count; i++) {
        struct seat *seat = &world.seats[i];
        if (seat->engine == e) {
            *seat = (struct seat){.engine = e, .worker = seat->worker};
            start_worker(seat);
            attach_and_listen(seat);
        }
    }
}

static void close_world(void)
{
    for (uint32_t i = 0; i < world.count; i++) {
        bench_detach(&world.seats[i].client);
        worker_free(world.seats[i].bench.worker);
    }
    for (uint32_t e = 0; e < ENGINES; e++) {
        world.nics[e]->ops->close(world.nics[e]);
        handover_free(world.handovers[e]);
        directory_free(world.directories[e]);
    }
    nic_mem_network_free(world.network);
}

/* ---- Time ---- */

static uint32_t turn_all(void)
{
    uint32_t work = 0;
    nic_mem_advance(world.network, world.now);
    for (uint32_t i = 0; i < world.count; i++) {
        world.seats[i].bench.now = world.now;
        work += bench_turn(&world.seats[i].bench);
    }
    world.now += 2000;
    return work;
}

static void run_until_quiet(void)
{
    uint32_t rounds = 0;
    for (uint32_t quiet = 0; quiet < QUIET_ROUNDS; rounds++) {
        quiet = turn_all() > 0 ? 0 : quiet + 1;
        cr_assert_lt(rounds, ROUNDS_MAX);
    }
}

/* When a worker next has something to do, but not later than `end`. */
static uint64_t next_moment(uint64_t end)
{
    uint64_t next = end;
    for (uint32_t i = 0; i < world.count; i++) {
        uint64_t at = transport_next_timeout(world.seats[i].bench.worker->transport);
        next = at < next ? at : next;
    }
    return next > world.now ? next : world.now;
}

static void run_for(uint64_t ns)
{
    const uint64_t end = world.now + ns;
    while (world.now < end) {
        run_until_quiet();
        world.now = next_moment(world.now < end ? end : world.now);
    }
}

/* ---- Applications ---- */

static uint64_t token_of(uint32_t to)
{
    return UINT64_C(1) << 32 | to;
}

static void open_flow(struct seat *from, uint32_t to)
{
    const struct seat *peer = &world.seats[to];
    const struct endpoint remote = address_of(peer->engine, port_of(peer));
    struct mn_submission_open open = {
        .op = MN_OP_OPEN, .remote_port = remote.port, .flow = token_of(to), .timeout_ns = SECOND};
    memcpy(open.remote_ip, remote.ip, sizeof open.remote_ip);
    bench_submit(&from->client, &open);
}

/* A message on the flow that `from` opened to `to`, and the reply to it, say so in their tags and in each of their bytes. */
enum { REPLY = SEATS_MAX * SEATS_MAX };
static uint64_t tag_of(uint32_t from, uint32_t to, bool reply)
{
    return from + SEATS_MAX * to + (reply ? REPLY : 0);
}

static void send(struct seat *seat, uint64_t flow, uint64_t tag, uint32_t length)
{
    /* A place for each flow. */
    const uint64_t place = tag < REPLY ? tag / SEATS_MAX : SEATS_MAX + tag % SEATS_MAX, offset = place * LONG_MESSAGE;
    memset(seat->client.regions[1] + offset, (int)tag, length);
    bench_send(&seat->client, flow, offset, length, tag, 0);
}

static void take_message(struct seat *seat, const struct mn_delivery *message)
{
    const uint32_t self = (uint32_t)(seat - world.seats);
    const uint64_t tag = message->tag;
    const uint8_t *bytes = bench_bytes(&seat->client, message);
    for (uint32_t i = 0; i < message->length; i++)
        cr_assert_eq(bytes[i], (uint8_t)tag);
    bench_release(&seat->client, message->lease);
    if (tag >= REPLY) {
        cr_assert_eq(tag, tag_of(self, (uint32_t)(message->flow & 0xff), true));
        cr_assert_eq(message->length, SHORT_MESSAGE);
        seat->replies++;
        return;
    }
    cr_assert_eq(tag / SEATS_MAX, self);
    cr_assert_eq(message->length, LONG_MESSAGE);
    seat->messages++;
    send(seat, message->flow, tag + REPLY, SHORT_MESSAGE);
}

/* Takes all that is there, and answers messages. Returns how much it was. */
static uint32_t take_all(struct seat *seat)
{
    struct mn_delivery delivery;
    struct mn_completion completion;
    uint32_t count = 0;
    for (; bench_take_delivery(&seat->client, &delivery); count++) {
        switch (delivery.op) {
        case MN_OP_ESTABLISHED:
            seat->established++;
            break;
        case MN_OP_ACCEPTED:
            break;
        case MN_OP_MESSAGE:
            take_message(seat, &delivery);
            break;
        default:
            cr_assert_eq(delivery.op, MN_OP_CLOSED);
            seat->ended++;
        }
    }
    while (bench_take_completion(&seat->client, &completion))
        cr_assert_eq(completion.status, MACHNET_OK);
    return count;
}

static void let_all_talk(void)
{
    uint32_t taken;
    do {
        run_until_quiet();
        taken = 0;
        for (uint32_t i = 0; i < world.count; i++)
            taken += take_all(&world.seats[i]);
    } while (taken > 0);
}

/* ---- What must hold ---- */

struct totals {
    uint64_t handed_over, handed_in, dropped, unknown_flow, dead, lost;
};

static struct totals sum(void)
{
    struct totals totals = {0};
    for (uint32_t i = 0; i < world.count; i++) {
        const struct worker *worker = world.seats[i].bench.worker;
        const struct transport_counters *transport = transport_counters(worker->transport);
        totals.handed_over += worker->counters.handed_over;
        totals.handed_in += worker->counters.handed_in;
        totals.dropped += worker->counters.handover_dropped;
        totals.unknown_flow += transport->unknown_flow;
        totals.dead += transport->peers_dead + transport->peers_restarted;
        totals.lost += transport->packets_lost;
    }
    return totals;
}

static void expect_all(uint32_t established, uint32_t messages, uint32_t replies, uint32_t ended)
{
    for (uint32_t i = 0; i < world.count; i++) {
        const struct seat *seat = &world.seats[i];
        cr_assert_eq(seat->established, established, "seat %u: %u", i, seat->established);
        cr_assert_eq(seat->messages, messages, "seat %u: %u", i, seat->messages);
        cr_assert_eq(seat->replies, replies, "seat %u: %u", i, seat->replies);
        cr_assert_eq(seat->ended, ended, "seat %u: %u", i, seat->ended);
    }
}

static void every_flow_works(uint32_t workers_a, uint32_t workers_b, uint64_t hash)
{
    open_world(workers_a, workers_b, hash);
    const uint32_t n = world.count;
    for (uint32_t from = 0; from < n; from++) {
        for (uint32_t to = 0; to < n; to++)
            open_flow(&world.seats[from], to);
    }
    let_all_talk();
    expect_all(n, 0, 0, 0);
    for (uint32_t from = 0; from < n; from++) {
        for (uint32_t to = 0; to < n; to++)
            send(&world.seats[from], token_of(to), tag_of(from, to, false), LONG_MESSAGE);
        let_all_talk();
    }
    expect_all(n, n, n, 0);
    run_for(30 * SECOND); /* silent flows live by PROBEs, which must find the workers that have them */
    let_all_talk();
    expect_all(n, n, n, 0);
    for (uint32_t from = 0; from < n; from++) {
        for (uint32_t to = 0; to < n; to++)
            bench_close_flow(&world.seats[from].client, token_of(to), false);
    }
    let_all_talk();
    expect_all(n, n, n, 2 * n);
    struct totals totals = sum();
    cr_assert_eq(totals.handed_over, totals.handed_in);
    cr_assert_eq(totals.dropped + totals.unknown_flow + totals.dead + totals.lost, 0);
    if (workers_a > 1 || workers_b > 1)
        cr_assert_gt(totals.handed_over, 0);
    else
        cr_assert_eq(totals.handed_over, 0);
    close_world();
}

Test(workers, flows__work_whatever_the_hash_does)
{
    static const uint32_t counts[] = {1, 2, 4};
    for (uint64_t hash = 1; hash <= 3; hash++) {
        for (uint32_t a = 0; a < 3; a++) {
            for (uint32_t b = 0; b < 3; b++)
                every_flow_works(counts[a], counts[b], hash);
        }
    }
}

Test(workers, flows__need_no_hand_over_when_ports_lead_to_queues)
{
    every_flow_works(1, 1, 0);
    open_world(2, 4, 0);
    /* From and to workers that are not the first: only the INIT goes to that. */
    open_flow(&world.seats[1], 2 + 3);
    let_all_talk();
    send(&world.seats[1], token_of(5), tag_of(1, 5, false), LONG_MESSAGE);
    let_all_talk();
    cr_assert_eq(world.seats[1].replies, 1);
    cr_assert_eq(sum().handed_over, 1);
    close_world();
}

Test(workers, opens__are_refused_where_nobody_listens)
{
    open_world(4, 4, 9);
    for (uint32_t i = 0; i < world.count; i++) {
        const struct endpoint local = address_of(world.seats[i].engine, port_of(&world.seats[i]));
        struct worker_message command = {
            .type = WORKER_UNLISTEN, .channel = world.seats[i].client.channel, .listener = 1};
        cr_assert_eq(bench_command(&world.seats[i].bench, &command), MACHNET_OK);
        if (i % 2 == 0) /* the others are as if the controller had not got round to it */
            directory_remove(world.directories[world.seats[i].engine], &local);
    }
    for (uint32_t from = 0; from < world.count; from++) {
        for (uint32_t to = 0; to < world.count; to++)
            open_flow(&world.seats[from], to);
    }
    let_all_talk();
    expect_all(0, 0, 0, world.count);
    close_world();
}

/* Every worker of the first engine has an idle flow; then the second restarts, and one of its workers opens a flow, or is opened one to. */
static void a_restart_is_noticed_by_all(uint32_t workers, uint64_t hash, bool peer_opens)
{
    open_world(workers, workers, hash);
    for (uint32_t w = 0; w < workers; w++)
        open_flow(&world.seats[w], workers + w);
    let_all_talk();
    restart_engine(1);
    let_all_talk();
    for (uint32_t w = 0; w < workers; w++)
        cr_assert_eq(world.seats[w].ended, 0);
    const uint64_t start = world.now;
    struct seat *opener = &world.seats[peer_opens ? 2 * workers - 1 : workers - 1];
    const uint32_t before = opener->established;
    open_flow(opener, peer_opens ? 0 : workers);
    let_all_talk();
    cr_assert_lt(world.now - start, SECOND / 2, "no PROBE was due in that time");
    for (uint32_t w = 0; w < workers; w++)
        cr_assert_eq(world.seats[w].ended, 1, "worker %u", w);
    cr_assert_eq(opener->established, before + 1);
    run_for(10 * SECOND);
    let_all_talk();
    for (uint32_t i = 0; i < world.count; i++)
        cr_assert_eq(world.seats[i].ended, world.seats[i].engine == 0 ? 1 : 0, "the new flow stays");
    close_world();
}

Test(workers, restart_of_a_peer__is_noticed_by_all_in_round_trips)
{
    for (uint64_t hash = 0; hash < 3; hash++) {
        for (uint32_t workers = 2; workers <= WORKERS_MAX; workers++) {
            a_restart_is_noticed_by_all(workers, hash, false);
            a_restart_is_noticed_by_all(workers, hash, true);
        }
    }
}
