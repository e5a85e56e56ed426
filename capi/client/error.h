/* SPDX-License-Identifier: MIT */
/* Fills a caller's machnet_error. Any thread. */
#ifndef MN_CLIENT_ERROR_H
#define MN_CLIENT_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include <machnet/machnet.h>

/* Whether a later engine may mean something by a status that this library does not know. */
static inline bool mn_status_is_newer(int32_t status)
{
    return status < MACHNET_EPEERMSGSIZE && status >= -255;
}

/* Writes status, os_error and the sentence (cut to fit) unless `error` is NULL, and returns `status`. */
int32_t mn_fail(machnet_error *error, int32_t status, int os_error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Says what went wrong before the argument checks: NULL pointers and the like. Returns MACHNET_EINVAL. */
int32_t mn_fail_argument(machnet_error *error, const char *function, const char *what);

/* The status for an errno of a system call that needs memory or descriptors: MACHNET_ENOMEM or MACHNET_ESYSTEM. */
int32_t mn_status_of_errno(int os_error);

/* One half sentence for an errno ("Connection refused"). Static storage, not owned; thread-safe, unlike strerror. */
const char *mn_errno_text(int os_error);

#endif /* MN_CLIENT_ERROR_H */
