/* SPDX-License-Identifier: MIT */
#include "client/context.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "client/connection.h"
#include "client/error.h"

enum { STATUS_BYTES_MAX = 1 << 28 };

static const char tried[] = "Cannot ask for the status";

static void context_in_child(struct mn_handle *handle)
{
    struct machnet_context *context = (struct machnet_context *)handle; /* its first member */
    mn_close_fds(&context->socket, 1);
}

static bool abi_fits(uint32_t abi)
{
    /* Before 1.0 every minor may differ. */
    return abi >> 16 == MACHNET_ABI_VERSION >> 16 &&
           (abi >> 16 == 0 ? abi == MACHNET_ABI_VERSION : abi <= MACHNET_ABI_VERSION);
}

int32_t machnet_context_open(uint32_t abi, const machnet_options *options, machnet_context **context,
                             machnet_error *error)
{
    if (context == NULL)
        return mn_fail_argument(error, __func__, "context is NULL");
    if (!abi_fits(abi))
        return mn_fail(error, MACHNET_EVERSION, 0,
                       "This program was built for version %u.%u of the machnet ABI, but the "
                       "libmachnet it runs with has %u.%u. Rebuild it, or install the libmachnet it was built with.",
                       abi >> 16, abi & 0xffff, (unsigned)MACHNET_ABI_VERSION >> 16,
                       (unsigned)MACHNET_ABI_VERSION & 0xffff);
    int32_t status = mn_options_check(options, MN_FOR_CONTEXT, "Cannot attach", error);
    if (status < 0)
        return status;
    struct machnet_context *made = calloc(1, sizeof *made);
    if (made == NULL)
        return mn_fail(error, MACHNET_ENOMEM, ENOMEM, "Cannot attach: memory is short. Free some, then try again.");
    made->socket = -1;
    memcpy(made->path, mn_options_or_default(options)->socket_path, sizeof made->path);
    status = mn_connection_open(made->path, &made->socket, error);
    int os_error = 0;
    if (status == MACHNET_OK) {
        pthread_mutex_init(&made->lock, NULL);
        os_error = mn_handle_enter(&made->handle, context_in_child);
        if (os_error != 0)
            status = mn_fail(error, mn_status_of_errno(os_error), os_error,
                             "Cannot attach: a page of memory could not be "
                             "had (%s). Free some, then try again.",
                             mn_errno_text(os_error));
    }
    if (status < 0) {
        mn_close_fds(&made->socket, 1);
        free(made);
        return status;
    }
    *context = made;
    return MACHNET_OK;
}

void machnet_context_unref(machnet_context *context)
{
    if (context == NULL)
        return;
    mn_handle_leave(&context->handle);
    mn_close_fds(&context->socket, 1);
    free(context);
}

static int32_t fail_status(machnet_error *error)
{
    return mn_fail(error, MACHNET_EPROTOCOL, 0,
                   "%s: the engine's answer is malformed. Install machnetd and libmachnet of one release.", tried);
}

/* Takes the text behind a STATUS_REPLY, all of it, though no more than `capacity` is kept. */
static int32_t read_text(machnet_context *context, uint64_t bytes, char *buffer, uint64_t capacity,
                         machnet_error *error)
{
    const int64_t deadline_ns = mn_now_ns() + MN_CONTROL_TIMEOUT_NS;
    union mn_control_message message;
    uint32_t fd_count;
    int os_error;

    for (uint64_t done = 0; done < bytes;) {
        int32_t status =
            mn_connection_receive(context->socket, deadline_ns, &message, NULL, 0, &fd_count, &os_error);
        if (status < 0 && status != MACHNET_EPROTOCOL)
            return mn_fail(error, status, os_error, "%s: the engine's answer broke off. Try again.", tried);
        uint64_t piece = status < 0 ? 0 : message.header.length - sizeof message.header;
        if (status < 0 || message.header.type != MN_CONTROL_STATUS_TEXT || message.header.request != context->request ||
            piece == 0 || piece > bytes - done)
            return fail_status(error);
        uint64_t room = done < capacity ? capacity - done : 0;
        if (room > 0)
            memcpy(buffer + done, message.bytes + sizeof message.header, piece < room ? piece : room);
        done += piece;
    }
    return MACHNET_OK;
}

static int32_t ask_status(machnet_context *context, char *buffer, uint64_t capacity, uint64_t *length,
                          machnet_error *error)
{
    struct mn_control_plain question = {.value = 0};
    union mn_control_message answer;
    uint32_t fd_count;

    mn_control_prepare(&question.header, MN_CONTROL_STATUS, ++context->request, MACHNET_OK);
    int32_t status = mn_connection_ask(context->socket, &question.header, MN_CONTROL_STATUS_REPLY, tried, &answer, NULL,
                                       0, &fd_count, error);
    if (status == MACHNET_OK && answer.header.status < 0)
        return mn_fail(error, answer.header.status, 0, "%s: %s", tried, answer.plain.message);
    const uint64_t bytes = answer.plain.value;
    if (status == MACHNET_OK && bytes > STATUS_BYTES_MAX)
        return fail_status(error);
    if (status == MACHNET_OK)
        status = read_text(context, bytes, buffer, capacity, error);
    if (status < 0)
        return status;
    *length = bytes;
    if (capacity <= bytes)
        return mn_fail(error, MACHNET_EMSGSIZE, 0,
                       "The status takes %llu bytes with its end, the buffer has %llu. Call again "
                       "with a larger one.",
                       (unsigned long long)bytes + 1, (unsigned long long)capacity);
    buffer[bytes] = '\0';
    return MACHNET_OK;
}

int32_t machnet_context_status(machnet_context *context, char *buffer, uint64_t capacity, uint64_t *length,
                               machnet_error *error)
{
    if (context == NULL || length == NULL || (buffer == NULL && capacity > 0))
        return mn_fail_argument(error, __func__, "a pointer is NULL");
    if (mn_handle_forked(&context->handle))
        return mn_fail(error, MACHNET_EFORKED, 0,
                       "Cannot ask for the status: the context belongs to the parent of this "
                       "process. Open one here.");
    pthread_mutex_lock(&context->lock);
    int32_t status = MACHNET_OK;
    if (context->socket < 0)
        status = mn_connection_open(context->path, &context->socket, error);
    if (status == MACHNET_OK)
        status = ask_status(context, buffer, capacity, length, error);
    /* A late answer must not be taken for the next one's: connect anew, which also finds an engine that was restarted. */
    if (status < 0 && status != MACHNET_EMSGSIZE)
        mn_close_fds(&context->socket, 1);
    pthread_mutex_unlock(&context->lock);
    return status;
}
