/* SPDX-License-Identifier: MIT */
/* What calls do not take, so that it may mean something later: flags, reserved fields, options of other calls. */
#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

#include "support/fake_engine.h"

#define FLOW ((uint64_t)1 << 32 | MN_TOKEN_ACCEPTED)

static struct fake_engine engine;
static machnet_channel *channel;
static machnet_error error;

static void attach(void)
{
    channel = fake_engine_channel_with_flow(&engine, FLOW);
}

static void detach(void)
{
    machnet_channel_unref(channel);
    fake_engine_stop(&engine);
}

TestSuite(arguments, .init = attach, .fini = detach, .timeout = 30);

Test(arguments, flags)
{
    machnet_record record = {.flow = FLOW, .length = 1};
    machnet_message message;
    machnet_event event;
    machnet_view view;
    char byte = 0;

    for (int bit = 0; bit < 32; bit++) {
        uint32_t flags = UINT32_C(1) << bit;
        cr_assert_eq(machnet_send_copy(channel, FLOW, &byte, 1, 0, flags), MACHNET_EINVAL);
        cr_assert_eq(machnet_send_packed(channel, &record, 1, &byte, 1, flags), MACHNET_EINVAL);
        cr_assert_eq(machnet_send_reserve(channel, FLOW, 1, &view, flags), MACHNET_EINVAL);
        cr_assert_eq(machnet_recv_copy(channel, FLOW, &byte, 1, &message, flags), MACHNET_EINVAL);
        cr_assert_eq(machnet_recv_packed(channel, FLOW, &record, 1, &byte, 1, flags), MACHNET_EINVAL);
        cr_assert_eq(machnet_recv_borrow(channel, FLOW, &view, flags), MACHNET_EINVAL);
        cr_assert_eq(machnet_channel_events(channel, &event, 1, flags), MACHNET_EINVAL);
        cr_assert_eq(machnet_listener_close(channel, 1, flags, &error), MACHNET_EINVAL);
        if (flags != MACHNET_CLOSE_ABORT)
            cr_assert_eq(machnet_flow_close(channel, FLOW, flags), MACHNET_EINVAL);
    }
    cr_assert_eq(machnet_send_reserve(channel, FLOW, 1, &view, 0), MACHNET_OK);
    cr_assert_eq(machnet_send_commit(channel, view.buffer, 1, 0, 1), MACHNET_EINVAL);
    cr_assert_eq(machnet_send_commit(channel, view.buffer, 1, 0, 0), MACHNET_OK, "the buffer stayed reserved");
}

Test(arguments, reserved_fields_of_records)
{
    machnet_record records[2] = {{.flow = FLOW, .length = 1}, {.flow = FLOW, .length = 1}};

    for (size_t byte = offsetof(machnet_record, flags); byte < sizeof records[1]; byte++) {
        ((uint8_t *)&records[1])[byte] = 1;
        cr_assert_eq(machnet_send_packed(channel, records, 2, "x", 1, 0), 1, "byte %zu", byte);
        cr_assert_eq(machnet_send_packed(channel, &records[1], 1, "x", 1, 0), MACHNET_EINVAL, "byte %zu", byte);
        ((uint8_t *)&records[1])[byte] = 0;
    }
    cr_assert_eq(machnet_send_packed(channel, records, 2, "x", 1, 0), 2);
}

Test(arguments, reserved_fields_of_addresses)
{
    machnet_address good, bad;
    char text[MACHNET_ADDRESS_TEXT_MAX];
    uint64_t token;

    machnet_address_parse("10.0.0.2:7000", &good);
    for (size_t byte = offsetof(machnet_address, reserved16); byte < sizeof bad; byte++) {
        bad = good;
        ((uint8_t *)&bad)[byte] = 1;
        cr_assert_eq(machnet_address_format(&bad, text, sizeof text), MACHNET_EINVAL, "byte %zu", byte);
        cr_assert_eq(machnet_flow_open(channel, NULL, &bad, NULL, 0, &token, &error), MACHNET_EINVAL);
        cr_assert(strstr(error.message, "reserved") != NULL);
        cr_assert_eq(machnet_flow_open(channel, &bad, &good, NULL, 0, &token, &error), MACHNET_EINVAL);
        cr_assert_eq(machnet_listener_open(channel, &bad, NULL, &token, &error), MACHNET_EINVAL);
        cr_assert(strstr(error.message, "reserved") != NULL);
    }
    cr_assert_eq(machnet_flow_open(channel, NULL, &good, NULL, 0, &token, &error), MACHNET_OK);
}

static bool all_zero(const void *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (((const uint8_t *)bytes)[i] != 0)
            return false;
    }
    return true;
}

Test(arguments, what_is_reserved_is_filled_with_0)
{
    machnet_record record;
    machnet_message message;
    machnet_view view;
    char data[8];

    for (uint64_t lease = 1; lease <= 3; lease++)
        fake_engine_message(&engine, FLOW, lease, 0, 8, lease);
    memset(&record, 0xff, sizeof record);
    memset(&message, 0xff, sizeof message);
    memset(&view, 0xff, sizeof view);
    cr_assert_eq(machnet_recv_packed(channel, FLOW, &record, 1, data, sizeof data, 0), 1);
    cr_assert(all_zero(&record, offsetof(machnet_record, flags), sizeof record));
    cr_assert_eq(machnet_send_packed(channel, &record, 1, data, sizeof data, 0), 1, "what was received can be sent");
    cr_assert_eq(machnet_recv_copy(channel, FLOW, data, sizeof data, &message, 0), MACHNET_OK);
    cr_assert(all_zero(&message, offsetof(machnet_message, flags), sizeof message));
    cr_assert_eq(machnet_recv_borrow(channel, FLOW, &view, 0), MACHNET_OK);
    cr_assert(all_zero(&view, offsetof(machnet_view, flags), sizeof view));
    machnet_buffer_release(channel, view.buffer);
    memset(&view, 0xff, sizeof view);
    cr_assert_eq(machnet_send_reserve(channel, FLOW, 8, &view, 0), MACHNET_OK);
    cr_assert(all_zero(&view, offsetof(machnet_view, flags), sizeof view));
}

Test(arguments, any_address_cannot_be_opened)
{
    static const char *const texts[] = {":7000", "0.0.0.0:7000", "[::]:7000"};
    machnet_address remote;
    uint64_t flow;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cr_assert_eq(machnet_address_parse(texts[i], &remote), MACHNET_OK);
        cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 0, &flow, &error), MACHNET_EINVAL);
    }
    memset(remote.ip, 0, sizeof remote.ip);
    remote.ip[10] = remote.ip[11] = 0xff; /* 0.0.0.0, made by hand */
    cr_assert_eq(machnet_flow_open(channel, NULL, &remote, NULL, 0, &flow, &error), MACHNET_EINVAL);
}

static machnet_options *options_with(uint32_t key)
{
    machnet_options *options;
    cr_assert_eq(machnet_options_new(&options), MACHNET_OK);
    if (key == MACHNET_OPTION_SOCKET_PATH || key == MACHNET_OPTION_NAME)
        cr_assert_eq(machnet_options_set_str(options, key, "a name"), MACHNET_OK);
    else
        cr_assert_eq(machnet_options_set_u64(options, key, 1 << 20), MACHNET_OK);
    return options;
}

/* The status of the call, which must be for this reason if it is ENOTSUP. */
static int32_t checked(int32_t status, uint32_t key, const char *name)
{
    if (status == MACHNET_ENOTSUP)
        cr_assert(error.status == status && error.option == key && strstr(error.message, name) != NULL, "%s",
                  error.message);
    else
        cr_assert_eq(error.option, 0);
    memset(&error, 0, sizeof error);
    return status;
}

Test(arguments, options_of_other_calls)
{
    static const struct {
        uint32_t key;
        const char *name, *call;
    } keys[] = {
        {MACHNET_OPTION_SOCKET_PATH, "MACHNET_OPTION_SOCKET_PATH", "context"},
        {MACHNET_OPTION_SEND_BYTES, "MACHNET_OPTION_SEND_BYTES", "channel"},
        {MACHNET_OPTION_RECEIVE_BYTES, "MACHNET_OPTION_RECEIVE_BYTES", "channel"},
        {MACHNET_OPTION_SPIN_NS, "MACHNET_OPTION_SPIN_NS", "channel"},
        {MACHNET_OPTION_NAME, "MACHNET_OPTION_NAME", "channel"},
        {MACHNET_OPTION_OPEN_TIMEOUT_NS, "MACHNET_OPTION_OPEN_TIMEOUT_NS", "flow"},
    };
    machnet_address address;
    machnet_context *context;
    machnet_channel *other;
    uint64_t token;

    machnet_address_parse("10.0.0.2:7000", &address);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        machnet_options *options = options_with(keys[i].key);
        const char *name = keys[i].name, *call = keys[i].call;
        uint32_t key = keys[i].key;
        int32_t status = checked(machnet_flow_open(channel, NULL, &address, options, 0, &token, &error), key, name);
        cr_assert_eq(status, strcmp(call, "flow") == 0 ? MACHNET_OK : MACHNET_ENOTSUP, "%s", name);
        status = checked(machnet_listener_open(channel, &address, options, &token, &error), key, name);
        cr_assert_eq(status, MACHNET_ENOTSUP, "%s", name);
        if (strcmp(call, "context") != 0) {
            status = checked(machnet_context_open(MACHNET_ABI_VERSION, options, &context, &error), key, name);
            cr_assert_eq(status, MACHNET_ENOTSUP, "%s", name);
        }
        machnet_options_free(options);
    }

    struct fake_engine second = {.max_flows = 0};
    fake_engine_start(&second);
    machnet_options *where, *wrong = options_with(MACHNET_OPTION_OPEN_TIMEOUT_NS);
    cr_assert_eq(machnet_options_new(&where), MACHNET_OK);
    cr_assert_eq(machnet_options_set_str(where, MACHNET_OPTION_SOCKET_PATH, second.path), MACHNET_OK);
    cr_assert_eq(machnet_context_open(MACHNET_ABI_VERSION, where, &context, &error), MACHNET_OK);
    cr_assert_eq(checked(machnet_channel_open(context, where, &other, &error), MACHNET_OPTION_SOCKET_PATH,
                         "MACHNET_OPTION_SOCKET_PATH"),
                 MACHNET_ENOTSUP);
    cr_assert_eq(checked(machnet_channel_open(context, wrong, &other, &error), MACHNET_OPTION_OPEN_TIMEOUT_NS,
                         "MACHNET_OPTION_OPEN_TIMEOUT_NS"),
                 MACHNET_ENOTSUP);
    cr_assert_eq(machnet_channel_open(context, NULL, &other, &error), MACHNET_OK);
    fake_engine_attached(&second);
    machnet_channel_unref(other);
    machnet_context_unref(context);
    machnet_options_free(where);
    machnet_options_free(wrong);
    fake_engine_stop(&second);
}
