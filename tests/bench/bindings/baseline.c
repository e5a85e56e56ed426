/* SPDX-License-Identifier: MIT */
/*
 * What a message of 64 bytes costs in C, over the echo of echo.h: what the bindings' benchmarks are compared with. With `--remote ADDRESS`, round
 * trips to server.c through the engine of MACHNET_SOCKET: one message in flight, and batches of 32.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <machnet/machnet.h>

#include "echo.h"

enum { LENGTH = 64, BATCH = 32, SINGLES = 256, CHUNK = 64, CHUNKS_MAX = 4096 };

#define WARM_UP_NS UINT64_C(50000000)
#define MEASURE_NS UINT64_C(300000000)

struct bench {
    machnet_channel *channel;
    uint64_t flow;
    machnet_record records[BATCH], received[BATCH];
    uint8_t arena[BATCH * LENGTH], incoming[BATCH * LENGTH];
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void expect(int64_t got, int64_t wanted, const char *what)
{
    if (got != wanted) {
        fprintf(stderr, "%s: %" PRId64 " (%s), not %" PRId64 "\n", what, got, machnet_status_name((int32_t)got),
                wanted);
        exit(1);
    }
}

static void open_flow(struct bench *bench)
{
    char path[108];
    machnet_options *options;
    machnet_context *context;
    machnet_address address;
    machnet_event event;
    machnet_error error = {0};

    if (machnet_echo_start(path, sizeof path) < 0 || machnet_options_new(&options) < 0 ||
        machnet_options_set_str(options, MACHNET_OPTION_SOCKET_PATH, path) < 0 ||
        machnet_context_open(MACHNET_ABI_VERSION, options, &context, &error) < 0 ||
        machnet_channel_open(context, NULL, &bench->channel, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    machnet_options_free(options);
    machnet_context_unref(context);
    machnet_address_parse("127.0.0.1:7000", &address);
    expect(machnet_flow_open(bench->channel, NULL, &address, NULL, 0, &bench->flow, &error), MACHNET_OK, "open");
    machnet_echo_turn();
    expect(machnet_channel_events(bench->channel, &event, 1, 0), 1, "events");
    expect(event.type, MACHNET_EVENT_ESTABLISHED, "event");
}

/* Both return the ns that sending and receiving took, and set how many messages that were. */
static uint64_t run_batch(struct bench *bench, uint64_t *messages)
{
    const uint64_t start = now_ns();
    expect(machnet_send_packed(bench->channel, bench->records, BATCH, bench->arena, sizeof bench->arena, 0), BATCH,
           "send");
    const uint64_t sent = now_ns();
    expect((int64_t)machnet_echo_turn(), BATCH, "echo");
    const uint64_t echoed = now_ns();
    expect(machnet_recv_packed(bench->channel, bench->flow, bench->received, BATCH, bench->incoming,
                               sizeof bench->incoming, 0),
           BATCH, "receive");
    *messages = BATCH;
    return now_ns() - echoed + (sent - start);
}

static uint64_t run_singles(struct bench *bench, uint64_t *messages)
{
    machnet_message message;
    const uint64_t start = now_ns();
    for (uint32_t i = 0; i < SINGLES; i++)
        expect(machnet_send_copy(bench->channel, bench->flow, bench->arena, LENGTH, i, 0), MACHNET_OK, "send");
    const uint64_t sent = now_ns();
    expect((int64_t)machnet_echo_turn(), SINGLES, "echo");
    const uint64_t echoed = now_ns();
    for (uint32_t i = 0; i < SINGLES; i++) {
        expect(machnet_recv_copy(bench->channel, bench->flow, bench->incoming, LENGTH, &message, 0), MACHNET_OK,
               "receive");
        expect((int64_t)message.tag, i, "tag");
    }
    *messages = SINGLES;
    return now_ns() - echoed + (sent - start);
}

/* ---- Through engines ---- */

static void open_remote(struct bench *bench, const char *text)
{
    machnet_context *context;
    machnet_address address;
    machnet_error error = {0};

    if (machnet_address_parse(text, &address) < 0 ||
        machnet_context_open(MACHNET_ABI_VERSION, NULL, &context, &error) < 0 ||
        machnet_channel_open(context, NULL, &bench->channel, &error) < 0 ||
        machnet_flow_open(bench->channel, NULL, &address, NULL, -1, &bench->flow, &error) < 0) {
        fprintf(stderr, "%s: %s\n", text, error.message);
        exit(1);
    }
    machnet_context_unref(context);
}

static uint64_t run_remote(struct bench *bench, uint32_t count)
{
    const uint64_t start = now_ns();
    expect(machnet_send_packed(bench->channel, bench->records, count, bench->arena, sizeof bench->arena, 0), count,
           "send");
    for (uint32_t got = 0; got < count;) {
        const int32_t more = machnet_recv_packed(bench->channel, bench->flow, bench->received, BATCH, bench->incoming,
                                                 sizeof bench->incoming, 0);
        if (more == MACHNET_EAGAIN)
            expect(machnet_channel_wait(bench->channel, MACHNET_WAIT_RECEIVE, -1), MACHNET_WAIT_RECEIVE, "wait");
        else if (more < 0)
            expect(more, 1, "receive");
        else
            got += (uint32_t)more;
    }
    return now_ns() - start;
}

static uint64_t run_round_trip(struct bench *bench, uint64_t *messages)
{
    *messages = 1;
    return run_remote(bench, 1);
}

static uint64_t run_remote_batch(struct bench *bench, uint64_t *messages)
{
    *messages = BATCH;
    return run_remote(bench, BATCH);
}

/* ---- Medians ---- */

static int compare(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* The median over chunks of CHUNK runs, in ns for each message. */
static double measure(struct bench *bench, uint64_t (*run)(struct bench *, uint64_t *))
{
    static double chunks[CHUNKS_MAX];
    uint32_t count = 0;
    const uint64_t start = now_ns(), from = start + WARM_UP_NS;
    for (uint64_t now = start; count == 0 || (now < from + MEASURE_NS && count < CHUNKS_MAX); now = now_ns()) {
        uint64_t taken = 0, messages = 0, more;
        for (uint32_t i = 0; i < CHUNK; i++, messages += more)
            taken += run(bench, &more);
        if (now >= from)
            chunks[count++] = (double)taken / (double)messages;
    }
    qsort(chunks, count, sizeof *chunks, compare);
    return chunks[count / 2];
}

int main(int argc, char **argv)
{
    static struct bench bench;
    const char *remote = argc == 3 && strcmp(argv[1], "--remote") == 0 ? argv[2] : NULL;

    if (remote == NULL && argc != 1)
        return fputs("usage: bench_baseline [--remote ADDRESS]\n", stderr), 2;
    if (remote != NULL)
        open_remote(&bench, remote);
    else
        open_flow(&bench);
    memset(bench.arena, 'm', sizeof bench.arena);
    for (uint32_t i = 0; i < BATCH; i++)
        bench.records[i] = (machnet_record){.flow = bench.flow, .tag = i, .offset = i * LENGTH, .length = LENGTH};
    const double batch = measure(&bench, remote != NULL ? run_remote_batch : run_batch);
    const double single = measure(&bench, remote != NULL ? run_round_trip : run_singles);
    printf("{\"language\": \"c\", \"batch_ns\": %.1f, \"single_ns\": %.1f}\n", batch, single);
    machnet_channel_unref(bench.channel);
    if (remote == NULL)
        machnet_echo_stop();
    return 0;
}
