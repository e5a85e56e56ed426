/* SPDX-License-Identifier: MIT */
/* A process without memory: what the engine tells waits, and nothing is lost. */
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "support/fake_engine.h"

enum { FLOWS = 512 };

static struct fake_engine engine;
static machnet_channel *channel;

static uint64_t flow_of(uint32_t index)
{
    return (uint64_t)1 << 32 | MN_TOKEN_ACCEPTED | index;
}

/* Takes what malloc would still give, in pieces that are linked through their first words. Nothing is printed meanwhile. */
static void **exhaust(struct rlimit *before)
{
    void **first = NULL;
    getrlimit(RLIMIT_AS, before);
    struct rlimit none = {.rlim_cur = 1, .rlim_max = before->rlim_max};
    setrlimit(RLIMIT_AS, &none);
    for (size_t bytes = 1 << 20; bytes >= 64; bytes /= 2) {
        for (void **piece; (piece = malloc(bytes)) != NULL; first = piece)
            *piece = first;
    }
    return first;
}

static void give_back(void **first, const struct rlimit *before)
{
    setrlimit(RLIMIT_AS, before);
    while (first != NULL) {
        void **next = *first;
        free(first);
        first = next;
    }
}

Test(memory, a_new_flow_waits_for_it, .timeout = 60)
{
    const char *sanitizers = getenv("MACHNET_SANITIZE");
    if (sanitizers != NULL && sanitizers[0] != '\0')
        cr_skip_test("a sanitizer needs memory itself");
    struct rlimit before;
    machnet_event event;
    machnet_message message;
    int32_t told, received, waited, copied, refused;
    char byte;

    channel = fake_engine_channel(&engine, NULL);
    fake_engine_accept(&engine, flow_of(0));
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    void **pieces = exhaust(&before);
    const struct mn_delivery stalled = {.op = MN_OP_STALLED, .flow = flow_of(0)};
    uint32_t accepted = 1;
    bool news = true;
    /* Objects that are there already are used up first. What came before the flow is told in any case. */
    do {
        fake_engine_deliver(&engine, &stalled);
        fake_engine_accept(&engine, flow_of(accepted++));
        news &= machnet_channel_wait(channel, MACHNET_WAIT_EVENT, 0) == MACHNET_WAIT_EVENT;
        news &= machnet_channel_events(channel, &event, 1, 0) == 1 && event.type == MACHNET_EVENT_RECEIVE_STALLED;
        told = machnet_channel_events(channel, &event, 1, 0);
    } while (told == 1 && accepted < FLOWS);
    fake_engine_message(&engine, flow_of(accepted - 1), 1, 0, 1, 42);
    received = machnet_recv_copy(channel, MACHNET_ANY_FLOW, &byte, 1, &message, 0);
    waited = machnet_channel_wait(channel, MACHNET_WAIT_RECEIVE, 1000000000);
    copied = machnet_send_copy(channel, flow_of(0), "x", 1, 0, 0);
    refused = machnet_channel_events(channel, &event, 1, 0);
    give_back(pieces, &before);

    cr_assert(news);
    cr_assert_eq(told, MACHNET_ELOWMEMORY, "%s after %u flows", machnet_status_name(told), accepted);
    cr_assert_eq(received, MACHNET_ELOWMEMORY, "%s", machnet_status_name(received));
    cr_assert_eq(waited, MACHNET_ELOWMEMORY, "%s", machnet_status_name(waited));
    cr_assert_eq(refused, MACHNET_ELOWMEMORY, "%s", machnet_status_name(refused));
    cr_assert_eq(copied, MACHNET_OK, "the channel lives");
    cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), 1);
    cr_assert(event.type == MACHNET_EVENT_ACCEPTED && event.flow == flow_of(accepted - 1));
    cr_assert_eq(machnet_recv_copy(channel, MACHNET_ANY_FLOW, &byte, 1, &message, 0), MACHNET_OK);
    cr_assert_eq(message.tag, 42);
    machnet_channel_unref(channel);
    fake_engine_stop(&engine);
}
