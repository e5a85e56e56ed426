/* SPDX-License-Identifier: MIT */
/*
 * Calls every function of libmachnet as a foreign function interface would: by its name, with the types of a recorded table
 * (`ffi_calls LIBRARY SIGNATURES`), through libffi. Types of the header are used, no prototype is. Messages go from a flow to a listener of
 * the same engine, that of MACHNET_SOCKET.
 */
#include <dlfcn.h>
#include <ffi.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <machnet/machnet.h>

enum { FUNCTIONS_MAX = 128, ARGUMENTS_MAX = 12, WAIT_NS = 1000000000, TRIES = 20 };

struct function {
    char name[64];
    void *address;
    uint32_t argument_count;
    ffi_type *result, *arguments[ARGUMENTS_MAX];
    bool called;
};

static struct function functions[FUNCTIONS_MAX];
static uint32_t function_count;

static void fail(const char *what, const char *name, int64_t value)
{
    fprintf(stderr, "%s: %s (%" PRId64 ")\n", name, what, value);
    exit(1);
}

static ffi_type *type_of(const char *word)
{
    static const struct {
        const char *word;
        ffi_type *type;
    } types[] = {{"void", &ffi_type_void},     {"pointer", &ffi_type_pointer}, {"sint32", &ffi_type_sint32},
                 {"uint32", &ffi_type_uint32}, {"sint64", &ffi_type_sint64},   {"uint64", &ffi_type_uint64}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].word, word) == 0)
            return types[i].type;
    }
    fail("no such type", word, 0);
    return NULL;
}

static void read_signatures(const char *path, void *library)
{
    char line[512];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail("cannot be read", path, 0);
    while (fgets(line, sizeof line, file) != NULL) {
        struct function *function = &functions[function_count++];
        snprintf(function->name, sizeof function->name, "%s", strtok(line, " \n"));
        function->result = type_of(strtok(NULL, " \n"));
        for (char *word; (word = strtok(NULL, " \n")) != NULL; function->argument_count++)
            function->arguments[function->argument_count] = type_of(word);
        function->address = dlsym(library, function->name);
        if (function->address == NULL)
            fail("is recorded and not exported", function->name, 0);
    }
    fclose(file);
}

static struct function *find(const char *name)
{
    for (uint32_t i = 0; i < function_count; i++) {
        if (strcmp(functions[i].name, name) == 0)
            return &functions[i];
    }
    fail("is not recorded", name, 0);
    return NULL;
}

/* Results smaller than a register come widened (ffi_arg); a pointer comes as its bits. */
static int64_t call(const char *name, ...)
{
    struct function *function = find(name);
    ffi_cif interface;
    union {
        uint32_t narrow;
        uint64_t wide;
        void *pointer;
    } values[ARGUMENTS_MAX];
    void *places[ARGUMENTS_MAX];
    union {
        ffi_arg narrow;
        uint64_t wide;
    } result = {0};
    va_list list;

    va_start(list, name);
    for (uint32_t i = 0; i < function->argument_count; i++) {
        const ffi_type *type = function->arguments[i];
        places[i] = &values[i];
        if (type == &ffi_type_pointer)
            values[i].pointer = va_arg(list, void *);
        else if (type->size == 4)
            values[i].narrow = va_arg(list, uint32_t);
        else
            values[i].wide = va_arg(list, uint64_t);
    }
    va_end(list);
    if (ffi_prep_cif(&interface, FFI_DEFAULT_ABI, function->argument_count, function->result, function->arguments) !=
        FFI_OK)
        fail("libffi does not take its types", name, 0);
    ffi_call(&interface, FFI_FN(function->address), &result, places);
    function->called = true;
    if (function->result == &ffi_type_sint32)
        return (int32_t)result.narrow;
    return (int64_t)result.wide;
}

#define EXPECT(wanted, ...) expect(call(__VA_ARGS__), wanted, #__VA_ARGS__)

static void expect(int64_t got, int64_t wanted, const char *what)
{
    if (got != wanted)
        fail("returned something else", what, got);
}

static machnet_error error;

static machnet_channel *open_channel(machnet_context **context)
{
    machnet_options *options;
    machnet_channel *channel;
    char text[4096];
    uint64_t length, values[256];

    EXPECT(MACHNET_OK, "machnet_context_open", (uint32_t)MACHNET_ABI_VERSION, NULL, context, &error);
    EXPECT(MACHNET_EMSGSIZE, "machnet_context_status", *context, text, UINT64_C(2), &length, &error);
    EXPECT(MACHNET_OK, "machnet_options_new", &options);
    EXPECT(MACHNET_OK, "machnet_options_set_str", options, (uint32_t)MACHNET_OPTION_NAME, "ffi");
    EXPECT(MACHNET_OK, "machnet_options_set_u64", options, (uint32_t)MACHNET_OPTION_SPIN_NS, UINT64_C(1000));
    EXPECT(MACHNET_OK, "machnet_channel_open", *context, options, &channel, &error);
    call("machnet_options_free", options);
    EXPECT(MACHNET_OK, "machnet_channel_ref", channel);
    call("machnet_channel_unref", channel);
    const int64_t counters = call("machnet_channel_stats", channel, values, (uint32_t)256);
    if (counters <= 0 || call("machnet_stat_name", (uint32_t)counters - 1) == 0 ||
        call("machnet_stat_name", (uint32_t)counters) != 0)
        fail("not as many as it has names", "machnet_channel_stats", counters);
    return channel;
}

static void await(machnet_channel *channel, uint32_t mask)
{
    EXPECT(mask, "machnet_channel_wait", channel, mask, (int64_t)WAIT_NS);
}

/* Opens a flow to ourselves; both ends come as events. */
static void open_flow(machnet_channel *channel, uint64_t *opened, uint64_t *accepted, uint64_t *listener)
{
    machnet_address address, remote;
    machnet_event event;
    machnet_flow_info info;
    char text[MACHNET_ADDRESS_TEXT_MAX];

    EXPECT(MACHNET_OK, "machnet_address_parse", ":0", &address);
    EXPECT(MACHNET_OK, "machnet_listener_open", channel, &address, NULL, listener, &error);
    EXPECT(MACHNET_OK, "machnet_listener_address", channel, *listener, &address);
    EXPECT(MACHNET_OK, "machnet_address_parse", getenv("FFI_CALLS_IP"), &remote);
    remote.port = address.port;
    EXPECT(MACHNET_OK, "machnet_flow_open", channel, NULL, &remote, NULL, (int64_t)0, opened, &error);
    *accepted = 0;
    for (int seen = 0; seen < 2;) {
        await(channel, MACHNET_WAIT_EVENT);
        while (call("machnet_channel_events", channel, &event, (uint32_t)1, (uint32_t)0) == 1) {
            seen += event.type == MACHNET_EVENT_ESTABLISHED && event.flow == *opened;
            seen += event.type == MACHNET_EVENT_ACCEPTED && event.listener == *listener;
            if (event.type == MACHNET_EVENT_ACCEPTED)
                *accepted = event.flow;
        }
    }
    EXPECT(MACHNET_OK, "machnet_flow_addresses", channel, *opened, &address, &remote);
    EXPECT(MACHNET_OK, "machnet_address_format", &remote, text, (uint64_t)sizeof text);
    EXPECT(MACHNET_OK, "machnet_flow_info_get", channel, *accepted, &info);
    expect(info.state, MACHNET_FLOW_OPEN, "state");
    expect((int64_t)info.listener, (int64_t)*listener, "listener");
}

/* A message by each way of sending, each taken by another way of receiving. Values above 32 bits show that nothing is cut. */
static void exchange(machnet_channel *channel, uint64_t from, uint64_t to)
{
    const uint64_t tag = UINT64_C(0xfedcba9876543210);
    char bytes[64] = "foreign";
    machnet_message message;
    machnet_view view;
    machnet_record record = {.flow = from, .tag = tag, .offset = 8, .length = 7};

    EXPECT(MACHNET_OK, "machnet_send_copy", channel, from, "copied", UINT64_C(6), tag, (uint32_t)0);
    await(channel, MACHNET_WAIT_RECEIVE);
    EXPECT(MACHNET_OK, "machnet_recv_copy", channel, to, bytes, (uint64_t)sizeof bytes, &message, (uint32_t)0);
    expect(message.tag == tag && message.length == 6 && memcmp(bytes, "copied", 6) == 0, true, "copied");

    EXPECT(MACHNET_OK, "machnet_send_reserve", channel, from, UINT64_C(64), &view, (uint32_t)0);
    memcpy(view.data, "written", 7);
    EXPECT(MACHNET_OK, "machnet_send_commit", channel, view.buffer, UINT64_C(7), tag, (uint32_t)0);
    await(channel, MACHNET_WAIT_RECEIVE);
    EXPECT(MACHNET_OK, "machnet_recv_borrow", channel, (uint64_t)MACHNET_ANY_FLOW, &view, (uint32_t)0);
    expect(view.flow == to && view.length == 7 && memcmp(view.data, "written", 7) == 0, true, "written");
    EXPECT(MACHNET_OK, "machnet_buffer_release", channel, view.buffer);

    memcpy(bytes + 8, "packed!", 7);
    EXPECT(1, "machnet_send_packed", channel, &record, (uint32_t)1, bytes, (uint64_t)sizeof bytes, (uint32_t)0);
    await(channel, MACHNET_WAIT_RECEIVE);
    EXPECT(1, "machnet_recv_packed", channel, to, &record, (uint32_t)1, bytes, (uint64_t)sizeof bytes, (uint32_t)0);
    expect(record.tag == tag && record.length == 7 && memcmp(bytes + record.offset, "packed!", 7) == 0, true, "packed");
    EXPECT(MACHNET_EBADTOKEN, "machnet_flow_close", channel, from + (UINT64_C(1) << 40), (uint32_t)0);
}

static void versions_and_texts(void)
{
    if (!call("machnet_version_string") || call("machnet_abi_version") >> 16 != MACHNET_ABI_VERSION >> 16)
        fail("is of another ABI", "machnet_abi_version", call("machnet_abi_version"));
    EXPECT(1, "machnet_has_feature", "packed");
    const char *name = (const char *)(uintptr_t)call("machnet_status_name", (int32_t)MACHNET_EAGAIN);
    expect(strcmp(name, "MACHNET_EAGAIN"), 0, "machnet_status_name");
    expect(*(const char *)(uintptr_t)call("machnet_status_text", (int32_t)MACHNET_EAGAIN) != '\0', true,
           "machnet_status_text");
}

int main(int argc, char **argv)
{
    machnet_context *context;
    uint64_t opened, accepted, listener;
    void *library = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (library == NULL)
        return fprintf(stderr, "usage: ffi_calls LIBRARY SIGNATURES: %s\n", argc == 3 ? dlerror() : ""), 2;
    read_signatures(argv[2], library);
    versions_and_texts();
    machnet_channel *channel = open_channel(&context);
    if (call("machnet_channel_fd", channel) < 0)
        fail("no descriptor", "machnet_channel_fd", 0);
    open_flow(channel, &opened, &accepted, &listener);
    exchange(channel, opened, accepted);
    EXPECT(MACHNET_OK, "machnet_channel_wake", channel);
    EXPECT(MACHNET_OK, "machnet_flow_close", channel, opened, (uint32_t)MACHNET_CLOSE_ABORT);
    EXPECT(MACHNET_OK, "machnet_listener_close", channel, listener, (uint32_t)0, &error);
    EXPECT(MACHNET_OK, "machnet_channel_shutdown", channel);
    call("machnet_channel_unref", channel);
    call("machnet_context_unref", context);
    for (uint32_t i = 0; i < function_count; i++) {
        if (!functions[i].called)
            fail("was not called", functions[i].name, 0);
    }
    printf("%u functions called\n", function_count);
    return 0;
}
