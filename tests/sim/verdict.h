/* SPDX-License-Identifier: MIT */
/* What a run was found guilty of: the first violation; later ones are mostly its consequences. */
#ifndef MACHNET_TESTS_SIM_VERDICT_H
#define MACHNET_TESTS_SIM_VERDICT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct verdict {
    const uint64_t *now_ns; /* the virtual clock */
    bool failed;
    char text[8192];
};

/* Keeps the sentence unless there is one already. */
__attribute__((format(printf, 2, 3))) static inline void verdict_fail(struct verdict *verdict, const char *format, ...)
{
    if (verdict->failed) {
        return;
    }
    verdict->failed = true;
    int used = snprintf(verdict->text, sizeof verdict->text, "at %.6f s: ", (double)*verdict->now_ns / 1e9);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(verdict->text + used, sizeof verdict->text - (size_t)used, format, arguments);
    va_end(arguments);
}

#endif /* MACHNET_TESTS_SIM_VERDICT_H */
