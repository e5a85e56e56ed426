/* SPDX-License-Identifier: MIT */
#include "client/options.h"

#include <stdlib.h>
#include <string.h>

#include "client/error.h"

#define MIB UINT64_C(1048576)
#define SECOND_NS UINT64_C(1000000000)

static const struct machnet_options defaults = {
    .send_bytes = 64 * MIB,
    .receive_bytes = 64 * MIB,
    .poll = MACHNET_POLL_ADAPTIVE,
    .spin_ns = 250000,
    .open_timeout_ns = 3 * SECOND_NS,
};

enum { KIND_U64, KIND_STR };

/* One line for each key: who uses it, where its value lies, and its range (bytes with the NUL for strings). */
#define KEY(name) MACHNET_OPTION_##name, "MACHNET_OPTION_" #name
#define PLACE(member) offsetof(struct machnet_options, member)
static const struct option {
    uint32_t key;
    const char *name;
    enum mn_option_scope scope;
    uint32_t kind;
    size_t offset;
    uint64_t least, most;
} table[] = {
    {KEY(SOCKET_PATH), MN_FOR_CONTEXT, KIND_STR, PLACE(socket_path), 2, MN_SOCKET_PATH_BYTES},
    {KEY(NAME), MN_FOR_CHANNEL, KIND_STR, PLACE(name), 2, MN_NAME_BYTES},
    {KEY(SEND_BYTES), MN_FOR_CHANNEL, KIND_U64, PLACE(send_bytes), MN_BLOCK, 65536 * MIB},
    {KEY(RECEIVE_BYTES), MN_FOR_CHANNEL, KIND_U64, PLACE(receive_bytes), MN_BLOCK, 65536 * MIB},
    {KEY(SPIN_NS), MN_FOR_CHANNEL, KIND_U64, PLACE(spin_ns), 0, 3600 * SECOND_NS},
    {KEY(OPEN_TIMEOUT_NS), MN_FOR_FLOW, KIND_U64, PLACE(open_timeout_ns), 1000000, 3600 * SECOND_NS},
    {KEY(POLL), MN_FOR_CHANNEL, KIND_U64, PLACE(poll), MACHNET_POLL_ADAPTIVE, MACHNET_POLL_SLEEP},
};
_Static_assert(MACHNET_OPTION_POLL < 64, "a bit of machnet_options.set for each key");

static const char *const calls[] = {
    [MN_FOR_CONTEXT] = "machnet_context_open",
    [MN_FOR_CHANNEL] = "machnet_channel_open",
    [MN_FOR_LISTENER] = "machnet_listener_open",
    [MN_FOR_FLOW] = "machnet_flow_open",
};

static int32_t find_option(uint32_t key, uint32_t kind, const struct option **found)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].key == key) {
            *found = &table[i];
            return table[i].kind == kind ? MACHNET_OK : MACHNET_EINVAL;
        }
    }
    return MACHNET_ENOTSUP;
}

const struct machnet_options *mn_options_or_default(const machnet_options *options)
{
    return options ? options : &defaults;
}

int32_t mn_options_check(const machnet_options *options, enum mn_option_scope scope, const char *tried,
                         machnet_error *error)
{
    for (size_t i = 0; options && i < sizeof table / sizeof *table; i++) {
        const struct option *option = &table[i];
        if ((options->set >> option->key & 1) == 0 || option->scope == scope)
            continue;
        mn_fail(error, MACHNET_ENOTSUP, 0, "%s: %s is of no use to %s, only to %s. Leave it out of these options.", tried,
                option->name, calls[scope], calls[option->scope]);
        if (error)
            error->option = option->key;
        return MACHNET_ENOTSUP;
    }
    return MACHNET_OK;
}

int32_t machnet_options_new(machnet_options **options)
{
    if (!options)
        return MACHNET_EINVAL;
    *options = malloc(sizeof **options);
    if (!*options)
        return MACHNET_ENOMEM;
    **options = defaults;
    return MACHNET_OK;
}

void machnet_options_free(machnet_options *options)
{
    free(options);
}

int32_t machnet_options_set_u64(machnet_options *options, uint32_t key, uint64_t value)
{
    const struct option *option;

    if (!options)
        return MACHNET_EINVAL;
    int32_t status = find_option(key, KIND_U64, &option);
    if (status < 0)
        return status;
    if (value < option->least || value > option->most)
        return MACHNET_EINVAL;
    memcpy((char *)options + option->offset, &value, sizeof value);
    options->set |= UINT64_C(1) << key;
    return MACHNET_OK;
}

int32_t machnet_options_set_str(machnet_options *options, uint32_t key, const char *value)
{
    const struct option *option;

    if (!options || !value)
        return MACHNET_EINVAL;
    int32_t status = find_option(key, KIND_STR, &option);
    if (status < 0)
        return status;
    size_t bytes = strnlen(value, option->most) + 1;
    if (bytes < option->least || bytes > option->most)
        return MACHNET_EINVAL;
    memcpy((char *)options + option->offset, value, bytes);
    options->set |= UINT64_C(1) << key;
    return MACHNET_OK;
}
