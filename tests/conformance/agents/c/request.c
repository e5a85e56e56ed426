/* SPDX-License-Identifier: MIT */
/* What requests say. */
#include "agent.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DEFAULT_MS = 5000 };

const char *text_or_null(const json_t *request, const char *field)
{
    return json_string_value(json_object_get(request, field));
}

const char *text_of(const json_t *request, const char *field)
{
    const char *text = text_or_null(request, field);
    if (text == NULL)
        fault("no text %s", field);
    return text;
}

uint64_t number_of(const json_t *request, const char *field)
{
    json_t *value = json_object_get(request, field);
    if (!json_is_integer(value))
        fault("no number %s", field);
    return (uint64_t)json_integer_value(value);
}

uint64_t number_or(const json_t *request, const char *field, uint64_t absent)
{
    return json_object_get(request, field) == NULL ? absent : number_of(request, field);
}

bool flag_of(const json_t *request, const char *field)
{
    return json_is_true(json_object_get(request, field));
}

uint64_t tag_of(const json_t *request)
{
    const char *text = text_or_null(request, "tag");
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

json_t *tag_json(uint64_t tag)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, tag);
    return json_string(text);
}

int32_t address_of(const json_t *request, const char *field, machnet_address *address)
{
    return machnet_address_parse(text_of(request, field), address);
}

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t deadline_of(const json_t *request, int64_t absent_ms)
{
    int64_t ms = (int64_t)number_or(request, "timeout_ms", (uint64_t)(absent_ms ? absent_ms : DEFAULT_MS));
    return ms < 0 ? INT64_MAX : ms == 0 ? 0 : now_ns() + ms * 1000000;
}

int64_t left_ns(int64_t deadline)
{
    if (deadline == INT64_MAX)
        return -1;
    int64_t left = deadline - now_ns();
    return deadline == 0 || left < 0 ? 0 : left;
}
