/* SPDX-License-Identifier: MIT */
#include "client/options.h"

#include <stdlib.h>
#include <string.h>

#define MIB UINT64_C(1048576)
#define SECOND_NS UINT64_C(1000000000)

static const struct machnet_options defaults = {
    .send_bytes = 64 * MIB,
    .receive_bytes = 64 * MIB,
    .open_timeout_ns = 3 * SECOND_NS,
};

enum { KIND_U64, KIND_STR };

/* One line for each key: where its value lies, and its range (bytes with the NUL for strings). */
static const struct option {
    uint32_t key, kind;
    size_t offset;
    uint64_t least, most;
} table[] = {
    {MACHNET_OPTION_SOCKET_PATH, KIND_STR, offsetof(struct machnet_options, socket_path), 2, MN_SOCKET_PATH_BYTES},
    {MACHNET_OPTION_NAME, KIND_STR, offsetof(struct machnet_options, name), 2, MN_NAME_BYTES},
    {MACHNET_OPTION_SEND_BYTES, KIND_U64, offsetof(struct machnet_options, send_bytes), MN_BLOCK,
     UINT64_C(65536) * MIB},
    {MACHNET_OPTION_RECEIVE_BYTES, KIND_U64, offsetof(struct machnet_options, receive_bytes), MN_BLOCK,
     UINT64_C(65536) * MIB},
    {MACHNET_OPTION_SPIN_NS, KIND_U64, offsetof(struct machnet_options, spin_ns), 0, 3600 * SECOND_NS},
    {MACHNET_OPTION_OPEN_TIMEOUT_NS, KIND_U64, offsetof(struct machnet_options, open_timeout_ns), 1000000,
     3600 * SECOND_NS},
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
    return MACHNET_OK;
}
