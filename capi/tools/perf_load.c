/* SPDX-License-Identifier: MIT */
#include "perf_load.h"

#include "perf_pacing.h"
#include "perf_pattern.h"
#include "perf_protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)
#define ANSWER_NS (10 * SECOND_NS)       /* so long without any answer after the end, and the rest counts as lost */
#define LOOK_NS UINT64_C(1000000)        /* a busy load looks so often whether a flow has ended */
#define LATE_LOOK_NS UINT64_C(100000000) /* an open loop whose windows are full sees so soon that its time is over */
#define SEED UINT64_C(20231123)          /* of Poisson arrivals: runs can be repeated */

enum { STREAM_TURN = 32 }; /* messages of one flow before it is another's turn */

struct perf_load_batch {
    machnet_record records[PERF_BATCH];
    uint64_t due_ns[PERF_BATCH];
    uint8_t *out, *in;
    uint64_t bytes; /* of `out` and `in` */
    struct perf_pacing pacing;
    struct perf_sleep sleep;
    uint64_t looked_ns, shown_ns;
};

static void make_ready(struct perf_load *load, struct perf_flow *flow)
{
    if (flow->queued || flow->blocked)
        return;
    uint32_t flows = load->perf->options.flows, last = load->ready_first + load->ready_count++;
    flow->queued = true;
    load->ready[last < flows ? last : last - flows] = (uint32_t)(flow - load->flows);
}

static struct perf_flow *next_ready(struct perf_load *load)
{
    struct perf_flow *flow = &load->flows[load->ready[load->ready_first]];
    if (++load->ready_first == load->perf->options.flows)
        load->ready_first = 0;
    load->ready_count--;
    flow->queued = false;
    return flow;
}

static void block(struct perf_load *load, struct perf_flow *flow)
{
    if (flow->blocked)
        return;
    flow->blocked = true;
    load->blocked[load->blocked_count++] = (uint32_t)(flow - load->flows);
}

/* Which flow got space is not worth a search: those that did not are blocked again. */
static void unblock_all(struct perf_load *load)
{
    while (load->blocked_count > 0) {
        struct perf_flow *flow = &load->flows[load->blocked[--load->blocked_count]];
        flow->blocked = false;
        make_ready(load, flow);
    }
}

static bool has_room(const struct perf_load *load, const struct perf_flow *flow)
{
    return load->perf->options.stream || flow->sent - flow->answered < load->perf->options.window;
}

bool perf_load_init(struct perf_load *load, struct perf *perf)
{
    const struct perf_options *options = &perf->options;
    uint32_t ring = 1;
    while (!options->stream && ring < options->window)
        ring *= 2;
    *load = (struct perf_load){.perf = perf, .send_mask = ring - 1};
    load->flows = calloc(options->flows, sizeof *load->flows);
    load->ready = calloc(options->flows, sizeof *load->ready);
    load->blocked = calloc(options->flows, sizeof *load->blocked);
    load->batch = calloc(1, sizeof *load->batch);
    if (load->flows == NULL || load->ready == NULL || load->blocked == NULL || load->batch == NULL)
        return false;
    load->batch->bytes = options->size > PERF_ARENA_BYTES ? options->size : PERF_ARENA_BYTES;
    load->batch->out = malloc(load->batch->bytes);
    load->batch->in = malloc(load->batch->bytes);
    for (uint32_t i = 0; i < options->flows; i++) {
        load->flows[i].send_ns = calloc(ring, sizeof(uint64_t));
        if (load->flows[i].send_ns == NULL)
            return false;
        make_ready(load, &load->flows[i]);
    }
    return load->batch->out != NULL && load->batch->in != NULL;
}

void perf_load_fini(struct perf_load *load)
{
    for (uint32_t i = 0; load->flows != NULL && i < load->perf->options.flows; i++)
        free(load->flows[i].send_ns);
    free(load->flows);
    free(load->ready);
    free(load->blocked);
    if (load->batch != NULL) {
        free(load->batch->out);
        free(load->batch->in);
    }
    free(load->batch);
}

/* ---- Sending ---- */

/* Appends the flow's next message. */
static void add_message(struct perf_load *load, struct perf_flow *flow, uint32_t index, uint64_t offset,
                        uint64_t due_ns)
{
    const struct perf_options *options = &load->perf->options;
    struct perf_load_batch *batch = load->batch;
    enum perf_kind kind = options->stream ? PERF_STREAM : PERF_REQUEST;
    if (options->stream && !flow->probing) {
        kind = PERF_PROBE;
        flow->probing = true;
        flow->probe = flow->sent;
    }
    uint64_t tag = perf_tag(kind, (uint32_t)(flow - load->flows), flow->sent++);
    if (options->verify)
        perf_pattern_fill(batch->out + offset, options->size, perf_tag_seed(tag));
    batch->records[index] =
        (machnet_record){.flow = flow->token, .tag = tag, .offset = offset, .length = options->size};
    batch->due_ns[index] = due_ns;
}

/* Collects what may be sent, in an open loop what is due at `until`; returns how many. */
static uint32_t fill_batch(struct perf_load *load, uint64_t until)
{
    const struct perf_options *options = &load->perf->options;
    struct perf_load_batch *batch = load->batch;
    uint32_t most = options->size > 0 ? (uint32_t)(batch->bytes / options->size) : PERF_BATCH, count = 0;
    bool open = options->rate > 0;
    if (most > PERF_BATCH)
        most = PERF_BATCH;
    while (count < most && load->ready_count > 0) {
        if (open && perf_pacing_due(&batch->pacing) > until)
            break;
        struct perf_flow *flow = next_ready(load);
        if (flow->blocked)
            continue;
        uint32_t turn = open ? 1 : options->stream ? STREAM_TURN : PERF_BATCH;
        for (; turn > 0 && count < most && has_room(load, flow); turn--, count++) {
            add_message(load, flow, count, count * options->size, open ? perf_pacing_due(&batch->pacing) : 0);
            if (open)
                perf_pacing_advance(&batch->pacing);
        }
        if (has_room(load, flow))
            make_ready(load, flow);
    }
    return count;
}

/* What did not go is taken back, newest first, so that the same numbers go next; the flow that had no space waits. */
static void take_back(struct perf_load *load, uint32_t sent, uint32_t count, const struct perf_pacing *pacing)
{
    block(load, &load->flows[perf_tag_flow(load->batch->records[sent].tag)]);
    for (uint32_t i = count; i-- > sent;) {
        struct perf_flow *flow = &load->flows[perf_tag_flow(load->batch->records[i].tag)];
        if (perf_tag_kind(load->batch->records[i].tag) == PERF_PROBE)
            flow->probing = false;
        flow->sent--;
        make_ready(load, flow);
    }
    load->batch->pacing = *pacing;
    for (uint32_t i = 0; load->perf->options.rate > 0 && i < sent; i++)
        perf_pacing_advance(&load->batch->pacing);
}

static void note_sent(struct perf_load *load, uint32_t sent, uint64_t now)
{
    const struct perf_load_batch *batch = load->batch;
    for (uint32_t i = 0; i < sent; i++) {
        uint64_t tag = batch->records[i].tag;
        struct perf_flow *flow = &load->flows[perf_tag_flow(tag)];
        if (batch->due_ns[i] != 0)
            perf_histogram_record(&load->late, now - batch->due_ns[i]);
        if (perf_tag_kind(tag) == PERF_STREAM)
            continue;
        load->outstanding++;
        flow->send_ns[perf_tag_number(tag) & load->send_mask] = batch->due_ns[i] != 0 ? batch->due_ns[i] : now;
    }
}

/* How much was done, or a status. */
static int32_t send_some(struct perf_load *load, uint64_t until)
{
    struct perf_load_batch *batch = load->batch;
    const struct perf_pacing pacing = batch->pacing;
    uint32_t count = fill_batch(load, until);
    if (count == 0)
        return 0;
    uint64_t now = perf_now_ns();
    int32_t sent = machnet_send_packed(load->perf->channel, batch->records, count, batch->out, batch->bytes, 0);
    if (sent != (int32_t)count)
        take_back(load, sent > 0 ? (uint32_t)sent : 0, count, &pacing);
    if (sent > 0)
        note_sent(load, (uint32_t)sent, now);
    return sent == MACHNET_EAGAIN ? 1 : sent; /* a flow less to try */
}

/* ---- Receiving ---- */

static void take_answer(struct perf_load *load, const machnet_record *record, uint64_t now)
{
    const struct perf_options *options = &load->perf->options;
    uint32_t index = perf_tag_flow(record->tag);
    uint64_t seed = perf_tag_seed(record->tag), number = perf_tag_number(record->tag);
    struct perf_flow *flow = index < options->flows ? &load->flows[index] : NULL;
    bool expected = flow != NULL && flow->token == record->flow && number < flow->sent &&
                    (options->stream ? flow->probing && number == flow->probe : number == flow->answered);
    if (!expected) { /* what is lost by this is found missing at the end */
        load->errors++;
        return;
    }
    if (record->length != (options->stream ? 0 : options->size) ||
        (options->verify && !options->stream &&
         !perf_pattern_check(load->batch->in + record->offset, record->length, seed)))
        load->errors++;
    perf_histogram_record(&load->round_trip, now - flow->send_ns[number & load->send_mask]);
    load->outstanding--;
    load->messages += number + 1 - flow->answered;
    load->end_ns = now;
    flow->answered = number + 1;
    flow->probing = false;
    make_ready(load, flow);
}

/* The number of answers, 0 if there are none now, or a status. */
static int32_t receive_some(struct perf_load *load)
{
    struct perf_load_batch *batch = load->batch;
    int32_t count = machnet_recv_packed(load->perf->channel, MACHNET_ANY_FLOW, batch->records, PERF_BATCH, batch->in,
                                        batch->bytes, 0);
    if (count <= 0)
        return count == MACHNET_EAGAIN ? 0 : count;
    uint64_t now = perf_now_ns();
    for (int32_t i = 0; i < count; i++)
        take_answer(load, &batch->records[i], now);
    return count;
}

/* The number of events, or the status of a flow that ended, or of the channel. */
static int32_t look_at_events(struct perf_load *load)
{
    machnet_event events[16];
    int32_t count, total = 0;
    while ((count = machnet_channel_events(load->perf->channel, events, 16, 0)) > 0) {
        for (int32_t i = 0; i < count; i++) {
            if (events[i].type == MACHNET_EVENT_CLOSED)
                return events[i].status == MACHNET_OK ? MACHNET_ECLOSED : events[i].status;
            if (events[i].type == MACHNET_EVENT_SEND_SPACE)
                unblock_all(load);
        }
        total += count;
    }
    return count == MACHNET_EAGAIN ? total : count;
}

/* ---- A run ---- */

static void show_progress(struct perf_load *load, uint64_t now)
{
    load->batch->shown_ns = now;
    fprintf(stderr, "\r%.0f s, %llu answers, p50 %.1f us, p99 %.1f us\033[K", (double)(now - load->start_ns) / 1e9,
            (unsigned long long)load->messages, (double)perf_histogram_percentile(&load->round_trip, 50) / 1e3,
            (double)perf_histogram_percentile(&load->round_trip, 99) / 1e3);
    fflush(stderr);
}

/* Waits until an answer comes, there is space, or the time has come. */
static int32_t wait_for_more(struct perf_load *load, uint64_t now, uint64_t until)
{
    if (until <= now)
        return look_at_events(load);
    uint64_t most = until - now < SECOND_NS ? until - now : SECOND_NS;
    const bool punctual = load->perf->options.rate > 0 && load->perf->options.poll == MACHNET_POLL_ADAPTIVE;
    if (punctual)
        most = perf_sleep_wait_ns(&load->batch->sleep, most);
    const uint64_t began = perf_now_ns();
    int32_t held = perf_wait(load->perf, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT | MACHNET_WAIT_SEND, (int64_t)most);
    if (punctual && held == 0)
        perf_sleep_learn(&load->batch->sleep, most, perf_now_ns() - began);
    return held > 0 && (held & ~MACHNET_WAIT_RECEIVE) != 0 ? look_at_events(load) : held;
}

/* Whether it is time to stop sending. What was due before `end` is sent though it is late, but not for ever. */
static bool is_over(const struct perf_load *load, uint64_t now, uint64_t end)
{
    if (perf_interrupted())
        return true;
    if (load->perf->options.rate <= 0)
        return now >= end;
    return perf_pacing_due(&load->batch->pacing) >= end || now >= end + (end - load->start_ns);
}

/* When there is something to send again, as far as that is known. */
static uint64_t next_send(const struct perf_load *load, uint64_t now, uint64_t end)
{
    if (load->perf->options.rate > 0)
        return load->ready_count > 0 ? perf_pacing_due(&load->batch->pacing) : now + LATE_LOOK_NS;
    return end;
}

/* Both return MACHNET_OK at the end of the time, or a status. */
static int32_t send_until(struct perf_load *load, uint64_t end)
{
    struct perf_load_batch *batch = load->batch;
    for (;;) {
        uint64_t now = perf_now_ns();
        if (is_over(load, now, end))
            return MACHNET_OK;
        int32_t received = receive_some(load), status = received;
        if (status >= 0)
            status = send_some(load, now < end ? now : end - 1);
        /* With full windows nothing but an answer can make us go on: it is waited for at once. */
        if (status >= 0 && (received + status == 0 || load->ready_count == 0))
            status = wait_for_more(load, now, next_send(load, now, end));
        if (status >= 0 && now - batch->looked_ns >= LOOK_NS) {
            batch->looked_ns = now;
            status = look_at_events(load);
        }
        if (status < 0)
            return status;
        if (batch->shown_ns > 0 && now - batch->shown_ns >= SECOND_NS)
            show_progress(load, now);
    }
}

static void count_unsent(struct perf_load *load, uint64_t end)
{
    for (; perf_pacing_due(&load->batch->pacing) < end; perf_pacing_advance(&load->batch->pacing))
        load->unsent++;
}

static int32_t finish_outstanding(struct perf_load *load)
{
    uint64_t last = perf_now_ns(), now = last;
    while (load->outstanding > 0 && now - last < (perf_interrupted() ? SECOND_NS : ANSWER_NS)) {
        int32_t status = receive_some(load);
        now = perf_now_ns();
        if (status > 0)
            last = now;
        else if (status == 0)
            status = wait_for_more(load, now, now + SECOND_NS);
        if (status < 0)
            return status;
    }
    return MACHNET_OK;
}

int32_t perf_load_run(struct perf_load *load, double seconds)
{
    const struct perf_options *options = &load->perf->options;
    load->messages = load->errors = load->unsent = 0;
    unblock_all(load); /* between runs events were not looked at */
    memset(&load->round_trip, 0, sizeof load->round_trip);
    memset(&load->late, 0, sizeof load->late);
    load->start_ns = load->end_ns = load->batch->looked_ns = perf_now_ns();
    load->batch->shown_ns = isatty(STDERR_FILENO) ? load->start_ns : 0;
    if (options->rate > 0)
        perf_pacing_start(&load->batch->pacing, load->start_ns, options->rate, options->poisson, SEED);
    uint64_t end_ns = load->start_ns + (uint64_t)(seconds * 1e9);
    int32_t status = send_until(load, end_ns);
    if (options->rate > 0 && status == MACHNET_OK && !perf_interrupted())
        count_unsent(load, end_ns);
    if (status == MACHNET_OK)
        status = finish_outstanding(load);
    if (load->batch->shown_ns > load->start_ns)
        fputs("\r\033[K", stderr);
    load->errors += load->outstanding;
    return status;
}
