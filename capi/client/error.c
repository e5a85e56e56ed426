/* SPDX-License-Identifier: MIT */
#include "client/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int32_t mn_fail(machnet_error *error, int32_t status, int os_error, const char *format, ...)
{
    if (!error)
        return status;
    memset(error, 0, sizeof *error);
    error->status = status;
    error->os_error = os_error;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

int32_t mn_fail_argument(machnet_error *error, const char *function, const char *what)
{
    return mn_fail(error, MACHNET_EINVAL, 0, "%s was called with a wrong argument: %s. See machnet.h.", function, what);
}

int32_t mn_status_of_errno(int os_error)
{
    switch (os_error) {
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
        return MACHNET_ENOMEM;
    default:
        return MACHNET_ESYSTEM;
    }
}

const char *mn_errno_text(int os_error)
{
    const char *text = strerrordesc_np(os_error);
    return text ? text : "unknown error";
}
