/* SPDX-License-Identifier: MIT */
#include "tools.h"

#include <stdio.h>
#include <stdlib.h>

int tool_fail(const char *command, const char *what, int32_t status, const machnet_error *error)
{
    const char *why = error != NULL && error->message[0] != '\0' ? error->message : machnet_status_text(status);
    fprintf(stderr, "machnet %s: %s: %s\n", command, what, why);
    return TOOL_FAILED;
}

const char *tool_bytes(double bytes, char *text, uint64_t capacity)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    unsigned unit = 0;
    while (bytes >= 1000 && unit < 5) {
        bytes /= 1000;
        unit++;
    }
    snprintf(text, capacity, unit == 0 ? "%.0f %s" : "%.2f %s", bytes, units[unit]);
    return text;
}

int32_t tool_engine_status(machnet_context *context, char **text, machnet_error *error)
{
    uint64_t capacity = 65536, length = 0;
    int32_t status;
    *text = NULL;
    do {
        char *larger = realloc(*text, capacity);
        if (larger == NULL) {
            status = MACHNET_ENOMEM;
            break;
        }
        *text = larger;
        status = machnet_context_status(context, *text, capacity, &length, error);
        capacity = length + 4096; /* it may grow until we ask again */
    } while (status == MACHNET_EMSGSIZE);
    if (status != MACHNET_OK) {
        free(*text);
        *text = NULL;
    }
    return status;
}
