/* SPDX-License-Identifier: MIT */
/* What a broken engine may answer who attaches, and say later: a status of machnet.h, nothing left over, and never a crash. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/fake_engine.h"

#define FLOW ((uint64_t)1 << 32 | MN_TOKEN_ACCEPTED)

static machnet_context *context;
static machnet_error error;

TestSuite(offer_hostile, .timeout = 60);

static int32_t open_context(const struct fake_engine *engine)
{
    machnet_options *options;
    cr_assert_eq(machnet_options_new(&options), MACHNET_OK);
    cr_assert_eq(machnet_options_set_str(options, MACHNET_OPTION_SOCKET_PATH, engine->path), MACHNET_OK);
    int32_t status = machnet_context_open(MACHNET_ABI_VERSION, options, &context, &error);
    machnet_options_free(options);
    return status;
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* ---- Statuses that an engine may refuse with ---- */

static const struct {
    int32_t said, returned;
} refusals[] = {
    {MACHNET_EACCES, MACHNET_EACCES},
    {MACHNET_EQUOTA, MACHNET_EQUOTA},
    {MACHNET_ENOMEM, MACHNET_ENOMEM},
    {MACHNET_EVERSION, MACHNET_EVERSION},
    {MACHNET_ESYSTEM, MACHNET_ESYSTEM},
    {MACHNET_EENGINEGONE, MACHNET_EENGINEGONE},
    {MACHNET_EPROTOCOL, MACHNET_EPROTOCOL},
    {-200, -200}, /* of a later engine */
    /* What would be taken for the news of another call. */
    {MACHNET_EAGAIN, MACHNET_EPROTOCOL},
    {MACHNET_EINVAL, MACHNET_EPROTOCOL},
    {MACHNET_EFORKED, MACHNET_EPROTOCOL},
    {MACHNET_EINTR, MACHNET_EPROTOCOL},
    {MACHNET_EBADTOKEN, MACHNET_EPROTOCOL},
    {MACHNET_EPEERMSGSIZE, MACHNET_EPROTOCOL},
    {-256, MACHNET_EPROTOCOL},
    {INT32_MIN, MACHNET_EPROTOCOL},
};

Test(offer_hostile, statuses_of_hello)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct fake_engine engine = {.hello_status = refusals[i].said};
        fake_engine_start(&engine);
        cr_assert_eq(open_context(&engine), refusals[i].returned, "%d", refusals[i].said);
        cr_assert(error.status == refusals[i].returned && error.os_error == 0 && error.message[0] != '\0');
        fake_engine_attached(&engine);
        fake_engine_stop(&engine);
    }
}

static int32_t attach_to(struct fake_engine *engine)
{
    machnet_channel *channel = NULL;
    fake_engine_start(engine);
    cr_assert_eq(open_context(engine), MACHNET_OK);
    int32_t status = machnet_channel_open(context, NULL, &channel, &error);
    cr_assert_null(channel);
    machnet_context_unref(context);
    fake_engine_attached(engine);
    fake_engine_stop(engine);
    return status;
}

Test(offer_hostile, statuses_of_attach)
{
    int before = open_descriptors();
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct fake_engine engine = {.attach_status = refusals[i].said};
        cr_assert_eq(attach_to(&engine), refusals[i].returned, "%d", refusals[i].said);
    }
    cr_assert_eq(open_descriptors(), before);
}

/* ---- Offers ---- */

static int plain_file(uint64_t bytes)
{
    char path[] = "/tmp/machnet-hostile-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    cr_assert_eq(ftruncate(fd, (off_t)bytes), 0);
    return fd;
}

static int unsealed_memory(uint64_t bytes)
{
    int fd = memfd_create("hostile", MFD_CLOEXEC); /* allows no seals: it could shrink under us */
    cr_assert_eq(ftruncate(fd, (off_t)bytes), 0);
    return fd;
}

enum place { OFFER, HEADER, DESCRIPTOR };
enum { NONE, PLAIN_FILE, UNSEALED_MEMORY, EVENTFD };

#define OF(type, member) offsetof(struct type, member), sizeof(((struct type *)0)->member)

/* What is written where: a number, or the same byte all over a field that is longer than one; of a descriptor, what is in its place. */
static const struct {
    enum place place;
    size_t offset, bytes;
    uint64_t value;
} offers[] = {
    {OFFER, OF(mn_control_attach_offer, region_bytes[0]), UINT64_C(1) << 30},
    {OFFER, OF(mn_control_attach_offer, region_bytes[0]), 4096},
    {OFFER, OF(mn_control_attach_offer, region_bytes[0]), 0},
    {OFFER, OF(mn_control_attach_offer, region_bytes[1]), UINT64_MAX},
    {OFFER, OF(mn_control_attach_offer, region_bytes[1]), 1},
    {OFFER, OF(mn_control_attach_offer, region_bytes[2]), UINT64_C(1) << 62},
    {OFFER, OF(mn_control_attach_offer, max_flows), 0},
    {OFFER, OF(mn_control_attach_offer, descriptor_count), 4},
    {OFFER, OF(mn_control_attach_offer, descriptor_count), UINT32_MAX},
    {OFFER, OF(mn_control_attach_offer, descriptors[0]), MN_DESCRIPTOR_EVENT},
    {OFFER, OF(mn_control_attach_offer, descriptors[4]), MN_DESCRIPTOR_WAKEUP},
    {OFFER, OF(mn_control_attach_offer, descriptors), 99},
    {DESCRIPTOR, 0, 0, PLAIN_FILE},
    {DESCRIPTOR, 1, 0, UNSEALED_MEMORY},
    {DESCRIPTOR, 2, 0, EVENTFD},
    {DESCRIPTOR, 4, 0, NONE},
    {DESCRIPTOR, 0, 0, NONE},
    {HEADER, OF(mn_header, magic), 0},
    {HEADER, OF(mn_header, version), UINT16_MAX},
    {HEADER, OF(mn_header, header_bytes), 8},
    {HEADER, OF(mn_header, features), UINT64_MAX},
    {HEADER, OF(mn_header, region_bytes), UINT64_MAX},
    {HEADER, OF(mn_header, rings), 0},
    {HEADER, OF(mn_header, rings), 0xff},
    {HEADER, OF(mn_header, rings[1]), 0x40},
};

static size_t turn;

static void spoil(struct fake_engine *engine, struct mn_control_attach_offer *offer, int fds[6])
{
    const size_t offset = offers[turn].offset, bytes = offers[turn].bytes;
    const uint64_t value = offers[turn].value;
    if (offers[turn].place == DESCRIPTOR) {
        fds[offset] = value == PLAIN_FILE        ? plain_file(engine->bytes[offset])
                      : value == UNSEALED_MEMORY ? unsealed_memory(engine->bytes[offset])
                      : value == EVENTFD         ? eventfd(0, EFD_CLOEXEC)
                                                 : -1;
        return;
    }
    uint8_t *base = offers[turn].place == OFFER ? (uint8_t *)offer : (uint8_t *)engine->header;
    if (bytes <= sizeof value)
        memcpy(base + offset, &value, bytes); /* little-endian, as all of this is */
    else
        memset(base + offset, (int)value, bytes);
}

Test(offer_hostile, offers_that_no_engine_makes)
{
    int before = open_descriptors();
    for (turn = 0; turn < sizeof offers / sizeof *offers; turn++) {
        struct fake_engine engine = {.spoil = spoil};
        int32_t status = attach_to(&engine);
        cr_assert(status == MACHNET_EPROTOCOL || status == MACHNET_ENOMEM, "turn %zu: %s", turn,
                  machnet_status_name(status));
        cr_assert(error.status == status && error.message[0] != '\0');
        before += offers[turn].place == DESCRIPTOR && offers[turn].value != NONE; /* the one that the test has made */
        cr_assert_eq(open_descriptors(), before, "turn %zu", turn);
    }
}

/* ---- Later ---- */

static struct fake_engine engine;
static machnet_channel *channel;

static void attach(void)
{
    memset(&engine, 0, sizeof engine);
    channel = fake_engine_channel_with_flow(&engine, FLOW);
}

static void detach(void)
{
    machnet_channel_unref(channel);
    fake_engine_stop(&engine);
}

Test(offer_hostile, a_channel_is_given_up_for_whatever_reason)
{
    static const int32_t said[] = {MACHNET_OK,       1, INT32_MAX, INT32_MIN, MACHNET_EAGAIN, MACHNET_EFORKED,
                                   MACHNET_EPROTOCOL};
    for (size_t i = 0; i < 2 * sizeof said / sizeof *said; i++) {
        int32_t status = said[i / 2];
        attach();
        if (i % 2 == 0) {
            struct mn_control_plain closing = {.value = 0};
            mn_control_prepare(&closing.header, MN_CONTROL_CLOSING, 0, status);
            cr_assert_eq(mn_control_send(engine.control, &closing.header, NULL, 0), 0);
        } else if (status != MACHNET_OK) {
            atomic_store(&engine.header->closed, (uint32_t)status);
        } else {
            shutdown(engine.control, SHUT_RDWR);
        }
        int32_t told;
        while ((told = machnet_channel_wait(channel, 7, 50 * 1000000)) == MACHNET_ETIMEDOUT && i % 2 == 0)
            continue;
        cr_assert(told == MACHNET_EENGINEGONE || told == MACHNET_EPROTOCOL, "%s", machnet_status_name(told));
        cr_assert_eq(machnet_send_copy(channel, FLOW, "x", 1, 0, 0), told, "and so it stays");
        detach();
    }
}

Test(offer_hostile, completions_that_end_nothing)
{
    for (int which = 0; which < 6; which++) {
        struct mn_submission sent;
        machnet_view view;
        attach();
        cr_assert_eq(machnet_send_copy(channel, FLOW, "x", 1, 0, 0), MACHNET_OK);
        cr_assert(fake_engine_take(&engine, &sent));
        cr_assert_eq(machnet_send_reserve(channel, FLOW, 8, &view, 0), MACHNET_OK);
        const uint64_t reserved = view.buffer & ~(uint64_t)UINT32_C(0x80000000);
        const uint64_t cookies[] = {0,        UINT64_MAX, sent.cookie + 1, sent.cookie + (UINT64_C(1) << 32),
                                    reserved, sent.cookie};
        if (which == 5)
            fake_engine_complete(&engine, sent.cookie); /* twice */
        fake_engine_complete(&engine, cookies[which]);
        machnet_flow_info info;
        cr_assert_eq(machnet_flow_info_get(channel, FLOW, &info), MACHNET_OK,
                     "it looks at completions, and is for any thread");
        cr_assert_eq(machnet_send_copy(channel, FLOW, "x", 1, 0, 0), MACHNET_EPROTOCOL, "case %d", which);
        cr_assert_eq(machnet_buffer_release(channel, view.buffer), MACHNET_OK);
        detach();
    }
}

/* The engine's end of the pair that wakes us is all that we read: what comes on it, and that it ends, means nothing by itself. */
Test(offer_hostile, wake_ups_without_end)
{
    char flood[4096] = {0};
    attach();
    int fd = machnet_channel_fd(channel);
    cr_assert_geq(fd, 0);
    for (int i = 0; i < 1000; i++)
        (void)!send(engine.signal_fd, flood, sizeof flood, MSG_DONTWAIT | MSG_NOSIGNAL);
    for (int i = 0; i < 100; i++) {
        machnet_message message;
        machnet_event event;
        cr_assert_eq(machnet_recv_copy(channel, FLOW, flood, sizeof flood, &message, 0), MACHNET_EAGAIN);
        cr_assert_eq(machnet_channel_events(channel, &event, 1, 0), MACHNET_EAGAIN);
        cr_assert_eq(machnet_channel_wait(channel, 7, 1000000), MACHNET_ETIMEDOUT);
    }
    for (uint32_t i = 0; i < 1000; i++) { /* nor news of the control socket that is not there */
        atomic_fetch_add(&engine.header->control_sequence, i);
        cr_assert_eq(machnet_channel_wait(channel, 7, 0), MACHNET_ETIMEDOUT);
    }
    fake_engine_message(&engine, FLOW, 1, 0, 8, 0);
    cr_assert_eq(machnet_channel_wait(channel, 7, -1), MACHNET_WAIT_RECEIVE);
    detach();
}
