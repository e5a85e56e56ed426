/* SPDX-License-Identifier: MIT */
/* Reads requests, calls the operation, writes answers. */
#include "agent.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_FAULT = 1, IMPOSSIBLE = 2 };

static jmp_buf next_request;
static char fault_text[512];
static const char *impossible_text;

void fault(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault_text, sizeof fault_text, format, arguments);
    va_end(arguments);
    longjmp(next_request, AT_FAULT);
}

void impossible(const char *why)
{
    impossible_text = why;
    longjmp(next_request, IMPOSSIBLE);
}

json_t *ok(json_t *results)
{
    return json_pack("{s:o}", "ok", results ? results : json_object());
}

json_t *failed(int32_t status, const char *message)
{
    if (message == NULL || message[0] == '\0')
        message = machnet_status_text(status);
    return json_pack("{s:{s:s, s:s}}", "error", "status", machnet_status_name(status), "message", message);
}

json_t *not_applicable(const char *why)
{
    return json_pack("{s:s}", "na", why);
}

json_t *done(int32_t status)
{
    return status < 0 ? failed(status, NULL) : ok(NULL);
}

json_t *op_hello(json_t *request)
{
    (void)request;
    return ok(json_pack("{s:s, s:s}", "language", "c", "library", machnet_version_string()));
}

json_t *op_lose(json_t *request)
{
    (void)request;
    return not_applicable("C promises nothing of handles that are lost");
}

json_t *op_collect(json_t *request)
{
    (void)request;
    return not_applicable("C has no garbage collector");
}

json_t *op_gc_stress(json_t *request)
{
    (void)request;
    return not_applicable("C has no garbage collector");
}

static json_t *handle(json_t *request)
{
    static const struct {
        const char *name;
        json_t *(*run)(json_t *request);
    } operations[] = {
#define X(name) {#name, op_##name},
        OPERATIONS(X)
#undef X
    };
    const char *op = text_of(request, "op");
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (strcmp(op, operations[i].name) == 0)
            return operations[i].run(request);
    }
    fault("no operation %s", op);
}

static json_t *answer_to(json_t *request)
{
    switch (setjmp(next_request)) {
    case 0:
        return handle(request);
    case IMPOSSIBLE:
        return not_applicable(impossible_text);
    default:
        return json_pack("{s:{s:s, s:s}}", "error", "status", "AGENT", "message", fault_text);
    }
}

/* Bytes of the next line; 0 at the end of input. A signal ends no program. */
static size_t read_line(char **line, size_t *capacity)
{
    for (;;) {
        ssize_t length = getline(line, capacity, stdin);
        if (length >= 0 || errno != EINTR)
            return length < 0 ? 0 : (size_t)length;
        clearerr(stdin);
    }
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;

    pattern_init();
    for (size_t length; (length = read_line(&line, &capacity)) > 0;) {
        json_error_t error;
        json_t *request = json_loadb(line, length, 0, &error);
        if (request == NULL) {
            fprintf(stderr, "no JSON: %s\n", error.text);
            return 1;
        }
        json_t *answer = answer_to(request);
        json_object_set(answer, "id", json_object_get(request, "id"));
        json_dumpf(answer, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        json_decref(answer);
        json_decref(request);
    }
    free(line);
    json_decref(op_reset(NULL));
    return 0;
}
