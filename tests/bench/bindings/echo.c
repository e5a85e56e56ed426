/* SPDX-License-Identifier: MIT */
#include "echo.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fake_engine.h"

enum { SLOT_BYTES = 128, SLOTS = MN_RELEASES };

static struct fake_engine engine;
static bool attached;
static uint64_t leases; /* so many were lent; each names the slot of its number, and they come back in order */

__attribute__((visibility("default"))) int32_t machnet_echo_start(char *socket_path, uint64_t capacity)
{
    engine = (struct fake_engine){0};
    attached = false;
    leases = 0;
    fake_engine_start(&engine);
    if (strlen(engine.path) >= capacity)
        return -1;
    memcpy(socket_path, engine.path, strlen(engine.path) + 1);
    return 0;
}

static void *post(const void *entry, uint32_t posted)
{
    if (mn_ring_space(&engine.deliveries, posted + 1) <= posted)
        abort(); /* more under way than the ring holds: not what this is for */
    return memcpy(mn_ring_entry(&engine.deliveries, posted), entry, sizeof(struct mn_delivery));
}

static void echo_message(const struct mn_submission *sent, uint32_t posted, uint32_t completed)
{
    const uint64_t offset = leases % SLOTS * SLOT_BYTES;
    const struct mn_delivery delivery = {.op = MN_OP_MESSAGE,
                                         .region = 2,
                                         .length = sent->length,
                                         .flow = sent->flow,
                                         .tag = sent->tag,
                                         .offset = offset,
                                         .lease = ++leases};
    const struct mn_completion completion = {.cookie = sent->cookie, .status = MACHNET_OK};
    if (sent->region != 1 || sent->length > SLOT_BYTES || sent->offset > engine.bytes[1] - SLOT_BYTES)
        abort();
    memcpy((uint8_t *)engine.bases[2] + offset, (uint8_t *)engine.bases[1] + sent->offset, sent->length);
    post(&delivery, posted);
    memcpy(mn_ring_entry(&engine.completions, completed), &completion, sizeof completion);
}

static void establish(const struct mn_submission_open *open, uint32_t posted)
{
    struct mn_delivery_flow delivery = {
        .op = MN_OP_ESTABLISHED, .local_port = 49152, .remote_port = open->remote_port, .flow = open->flow};
    memcpy(delivery.local_ip, open->remote_ip, sizeof delivery.local_ip);
    memcpy(delivery.remote_ip, open->remote_ip, sizeof delivery.remote_ip);
    post(&delivery, posted);
}

static uint64_t take(uint32_t ready)
{
    uint32_t posted = 0, completed = 0;
    for (uint32_t i = 0; i < ready; i++) {
        union {
            struct mn_submission any;
            struct mn_submission_open open;
        } entry;
        memcpy(&entry, mn_ring_entry(&engine.submissions, i), sizeof entry);
        if (entry.any.op == MN_OP_SEND) {
            echo_message(&entry.any, posted++, completed);
            completed++;
        } else if (entry.any.op == MN_OP_OPEN) {
            establish(&entry.open, posted++);
        } else {
            const struct mn_delivery closed = {.op = MN_OP_CLOSED, .flow = entry.any.flow, .status = MACHNET_OK};
            post(&closed, posted++);
        }
    }
    mn_ring_advance(&engine.submissions, ready);
    mn_ring_publish(&engine.submissions);
    mn_ring_advance(&engine.deliveries, posted);
    mn_ring_publish(&engine.deliveries);
    mn_ring_advance(&engine.completions, completed);
    mn_ring_publish(&engine.completions);
    return completed;
}

__attribute__((visibility("default"))) uint64_t machnet_echo_turn(void)
{
    if (!attached) {
        fake_engine_attached(&engine);
        attached = true;
    }
    (void)fake_engine_releases(&engine);
    const int64_t ready = mn_ring_ready(&engine.submissions);
    if (ready <= 0)
        return 0;
    const uint64_t messages = take((uint32_t)ready);
    fake_engine_wake(&engine, MN_WAKE_DELIVERIES | MN_WAKE_COMPLETIONS | MN_WAKE_ROOM);
    return messages;
}

__attribute__((visibility("default"))) void machnet_echo_stop(void)
{
    if (!attached)
        fake_engine_attached(&engine);
    fake_engine_stop(&engine);
}
