/* SPDX-License-Identifier: MIT */
/* What an application may do wrong without harm: tokens that name nothing, the same thing twice from two threads. ctest-labels: tsan */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "support/fake_engine.h"

#define ACCEPTED(index) ((uint64_t)1 << 32 | MN_TOKEN_ACCEPTED | (index))
#define FLOW ACCEPTED(0)

static const machnet_address remote = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .port = 7};

static struct fake_engine engine;
static machnet_channel *channel;

static void attach(void)
{
    channel = fake_engine_channel_with_flow(&engine, FLOW);
}

static void detach(void)
{
    machnet_channel_unref(channel);
    fake_engine_stop(&engine);
}

TestSuite(client_misuse, .init = attach, .fini = detach, .timeout = 120);

/* ---- Tokens ---- */

/* Every call that takes one answers MACHNET_EBADTOKEN, and writes nothing. */
static void check_token(uint64_t token, bool names_flow, bool names_buffer)
{
    machnet_record record = {.flow = token};
    machnet_message message;
    machnet_view view = {.buffer = 77};
    machnet_flow_info info = {.state = 77};
    char byte = 77;
    if (!names_flow) {
        cr_assert_eq(machnet_send_copy(channel, token, &byte, 1, 0, 0), MACHNET_EBADTOKEN, "%#llx",
                     (unsigned long long)token);
        cr_assert_eq(machnet_send_packed(channel, &record, 1, &byte, 1, 0), MACHNET_EBADTOKEN);
        cr_assert_eq(machnet_send_reserve(channel, token, 1, &view, 0), MACHNET_EBADTOKEN);
        cr_assert_eq(machnet_flow_close(channel, token, 0), MACHNET_EBADTOKEN);
        cr_assert_eq(machnet_flow_addresses(channel, token, NULL, NULL), MACHNET_EBADTOKEN);
        cr_assert_eq(machnet_flow_info_get(channel, token, &info), MACHNET_EBADTOKEN);
        if (token != MACHNET_ANY_FLOW) {
            cr_assert_eq(machnet_recv_copy(channel, token, &byte, 1, &message, 0), MACHNET_EBADTOKEN);
            cr_assert_eq(machnet_recv_packed(channel, token, &record, 1, &byte, 1, 0), MACHNET_EBADTOKEN);
            cr_assert_eq(machnet_recv_borrow(channel, token, &view, 0), MACHNET_EBADTOKEN);
        }
        cr_assert(view.buffer == 77 && info.state == 77 && byte == 77);
    }
    if (!names_buffer) {
        cr_assert_eq(machnet_send_commit(channel, token, 0, 0, 0), MACHNET_EBADTOKEN);
        cr_assert_eq(machnet_buffer_release(channel, token), MACHNET_EBADTOKEN);
    }
}

Test(client_misuse, tokens_of_another_kind)
{
    machnet_view borrowed, reserved;
    uint64_t opened;
    fake_engine_message(&engine, FLOW, 1, 0, 8, 0);
    cr_assert_eq(machnet_recv_borrow(channel, FLOW, &borrowed, 0), MACHNET_OK);
    cr_assert_eq(machnet_send_reserve(channel, FLOW, 8, &reserved, 0), MACHNET_OK);
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 0, &opened, NULL), MACHNET_OK);
    cr_assert_eq(machnet_send_commit(channel, borrowed.buffer, 0, 0, 0), MACHNET_EBADTOKEN, "it was received");
    /* Of other generations: those of flows and buffers may be the same number. */
    check_token(reserved.buffer + (UINT64_C(1) << 32), false, false);
    check_token(borrowed.buffer + (UINT64_C(7) << 32), false, false);
    check_token(FLOW + (UINT64_C(9) << 32), false, false);
    check_token(opened + (UINT64_C(9) << 32), false, false);
    check_token(0, false, false);
    check_token(UINT64_MAX, false, false);
    cr_assert_eq(machnet_buffer_release(channel, borrowed.buffer), MACHNET_OK);
    cr_assert_eq(machnet_buffer_release(channel, reserved.buffer), MACHNET_OK);
    check_token(borrowed.buffer, borrowed.buffer == opened, false);
    cr_assert_eq(machnet_buffer_release(channel, reserved.buffer), MACHNET_EBADTOKEN);
}

Test(client_misuse, tokens_at_random)
{
    struct prng prng;
    prng_init(&prng, 1);
    for (int i = 0; i < 100000; i++) {
        uint64_t token = prng_next(&prng);
        if (i % 2 == 0) /* such as come up */
            token = (token & 7) << 32 | (token >> 8 & MN_TOKEN_ACCEPTED) | (token >> 16 & 4095);
        check_token(token, token == FLOW, false);
    }
    cr_assert_eq(machnet_send_copy(channel, FLOW, "x", 1, 0, 0), MACHNET_OK, "no harm was done");
}

/* ---- Two threads, one buffer ---- */

static _Atomic uint64_t offered; /* the buffer that both want */
static _Atomic int turns, won;

enum { TURNS = 20000 };

static void *release_all(void *nothing)
{
    (void)nothing;
    for (int turn = 1; turn <= TURNS; turn++) {
        while (atomic_load(&turns) < turn)
            continue;
        int32_t status = machnet_buffer_release(channel, atomic_load(&offered));
        cr_assert(status == MACHNET_OK || status == MACHNET_EBADTOKEN, "%s", machnet_status_name(status));
        atomic_fetch_add(&won, status == MACHNET_OK);
        atomic_fetch_add(&turns, 1 << 20); /* done */
        while (atomic_load(&turns) >= 1 << 20)
            continue;
    }
    return NULL;
}

/* Offers a buffer to the other thread, and calls at about the same time. Returns what we got; the other is through then. */
static int32_t race(uint64_t buffer, int turn, bool commit)
{
    atomic_store(&offered, buffer);
    atomic_store(&turns, turn);
    for (int i = 0; i < turn % 64; i++)
        atomic_signal_fence(memory_order_seq_cst); /* passes time */
    int32_t status = commit ? machnet_send_commit(channel, buffer, 8, 0, 0) : machnet_buffer_release(channel, buffer);
    while (atomic_load(&turns) < 1 << 20)
        continue;
    return status;
}

static void let_go(int turn)
{
    atomic_store(&turns, turn);
}

Test(client_misuse, two_release_one_message)
{
    pthread_t thread;
    machnet_view view;
    int ours = 0;
    cr_assert_eq(pthread_create(&thread, NULL, release_all, NULL), 0);
    for (int turn = 1; turn <= TURNS; turn++) {
        fake_engine_message(&engine, FLOW, (uint64_t)turn, 0, 8, 0);
        cr_assert_eq(machnet_recv_borrow(channel, FLOW, &view, 0), MACHNET_OK);
        int32_t status = race(view.buffer, turn, false);
        cr_assert(status == MACHNET_OK || status == MACHNET_EBADTOKEN, "%s", machnet_status_name(status));
        ours += status == MACHNET_OK;
        cr_assert_eq(fake_engine_releases(&engine), 1, "turn %d", turn);
        let_go(turn);
    }
    pthread_join(thread, NULL);
    cr_assert_eq(ours + atomic_load(&won), TURNS, "one of them each time");
}

Test(client_misuse, one_commits_what_another_abandons)
{
    pthread_t thread;
    machnet_view view;
    struct mn_submission sent;
    int ours = 0;
    cr_assert_eq(pthread_create(&thread, NULL, release_all, NULL), 0);
    for (int turn = 1; turn <= TURNS; turn++) {
        cr_assert_eq(machnet_send_reserve(channel, FLOW, 8, &view, 0), MACHNET_OK, "turn %d", turn);
        int32_t status = race(view.buffer, turn, true);
        cr_assert(status == MACHNET_OK || status == MACHNET_EBADTOKEN, "%s", machnet_status_name(status));
        cr_assert_eq(fake_engine_take(&engine, &sent), status == MACHNET_OK, "turn %d", turn);
        if (status == MACHNET_OK)
            fake_engine_complete(&engine, sent.cookie);
        ours += status == MACHNET_OK;
        let_go(turn);
    }
    pthread_join(thread, NULL);
    cr_assert_eq(ours + atomic_load(&won), TURNS, "one of them each time");
}

/* ---- Calls for any thread, while flows come and go ---- */

static _Atomic bool over;
static _Atomic uint64_t latest;

static void *look_at_flows(void *nothing)
{
    uint64_t values[64];
    (void)nothing;
    while (!atomic_load(&over)) {
        machnet_flow_info info;
        machnet_address local, peer;
        uint64_t flow = atomic_load(&latest);
        int32_t status = machnet_flow_info_get(channel, flow, &info);
        cr_assert(status == MACHNET_EBADTOKEN || (status == MACHNET_OK && info.state <= MACHNET_FLOW_ENDED), "%d",
                  status);
        status = machnet_flow_addresses(channel, flow, &local, &peer);
        cr_assert(status == MACHNET_EBADTOKEN || status == MACHNET_EAGAIN || status == MACHNET_ERESET ||
                      status == MACHNET_OK,
                  "%s", machnet_status_name(status));
        cr_assert_gt(machnet_channel_stats(channel, values, 64), 0);
        cr_assert_eq(machnet_channel_ref(channel), MACHNET_OK);
        machnet_channel_unref(channel);
        machnet_channel_wake(channel);
    }
    return NULL;
}

Test(client_misuse, looking_at_flows_that_come_and_go)
{
    pthread_t threads[2];
    struct mn_submission sent;
    machnet_event event;
    uint64_t flow;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, look_at_flows, NULL), 0);
    for (int turn = 0; turn < 5000; turn++) {
        cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 0, &flow, NULL), MACHNET_OK);
        atomic_store(&latest, flow);
        cr_assert(fake_engine_take(&engine, &sent) && sent.op == MN_OP_OPEN);
        const struct mn_delivery_flow delivery = {
            .op = MN_OP_ESTABLISHED, .local_port = 7, .remote_port = 8, .flow = flow};
        if (turn % 2 == 0)
            fake_engine_deliver(&engine, &delivery);
        fake_engine_close_flow(&engine, flow, MACHNET_ERESET);
        while (machnet_channel_events(channel, &event, 1, 0) > 0)
            continue;
        cr_assert_eq(machnet_flow_close(channel, flow, 0), MACHNET_OK);
        cr_assert(fake_engine_take(&engine, &sent) && sent.op == MN_OP_CLOSE);
    }
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

/* Whoever still waits, sends or looks when another shuts the channel down is answered. */
static void *shut_down(void *nothing)
{
    (void)nothing;
    machnet_channel_shutdown(channel);
    machnet_channel_shutdown(channel);
    return NULL;
}

static void *use_send_side(void *nothing)
{
    int32_t status;
    (void)nothing;
    while ((status = machnet_send_copy(channel, FLOW, "x", 1, 0, 0)) == MACHNET_OK || status == MACHNET_EAGAIN)
        continue;
    cr_assert_eq(status, MACHNET_ESHUTDOWN, "%s", machnet_status_name(status));
    return NULL;
}

Test(client_misuse, shut_down_under_both_sides)
{
    for (int turn = 0; turn < 50; turn++) {
        pthread_t threads[2];
        if (turn > 0) {
            detach();
            memset(&engine, 0, sizeof engine);
            attach();
        }
        cr_assert_eq(pthread_create(&threads[0], NULL, use_send_side, NULL), 0);
        cr_assert_eq(pthread_create(&threads[1], NULL, shut_down, NULL), 0);
        int32_t status;
        while ((status = machnet_channel_wait(channel, 7, -1)) >= 0)
            continue;
        cr_assert_eq(status, MACHNET_ESHUTDOWN);
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
    }
}
