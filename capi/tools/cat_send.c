/* SPDX-License-Identifier: MIT */
#include "cat.h"

#include "tools.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes that standard input will give, if that is known; else 0. */
static uint64_t input_size(void)
{
    struct stat info;
    if (fstat(STDIN_FILENO, &info) != 0 || !S_ISREG(info.st_mode))
        return 0;
    off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);
    return at >= 0 && at < info.st_size ? (uint64_t)(info.st_size - at) : 0;
}

/* What ends a transfer beside a status. */
enum { STRANGER = 1 };

/* Before it has everything the receiver says nothing. MACHNET_OK, why the flow has ended, or STRANGER: cat->answer is what came. */
static int32_t look_at_receiver(struct cat *cat)
{
    uint8_t byte;
    int32_t status = machnet_recv_copy(cat->channel, cat->flow, &byte, sizeof byte, &cat->answer, 0);
    if (status == MACHNET_EAGAIN)
        return MACHNET_OK;
    return status == MACHNET_OK || status == MACHNET_EMSGSIZE ? STRANGER : status;
}

static int fail_stranger(struct cat *cat)
{
    return cat_fail(cat,
                    "to %s: the receiver is not `machnet cat --listen` (it sent a message of %" PRIu64
                    " bytes with tag %" PRIu64 "). Start that there.",
                    cat->peer_text, cat->answer.length, cat->answer.tag);
}

static int fail_sending(struct cat *cat, int32_t status)
{
    if (status == STRANGER)
        return fail_stranger(cat);
    if (status == MACHNET_ECLOSED) /* `machnet cat` does so only after its confirmation */
        return cat_fail(cat,
                        "to %s: the receiver closed the flow after %" PRIu64
                        " bytes without confirming them. Is it `machnet cat "
                        "--listen`?",
                        cat->peer_text, cat->bytes);
    return cat_broken(cat, status);
}

/* Waits until the flow can send again. MACHNET_OK, or what ends the transfer. */
static int32_t wait_for_space(struct cat *cat)
{
    machnet_event events[8];
    int32_t status = machnet_channel_events(cat->channel, events, 8, 0);
    if (status == MACHNET_EAGAIN)
        status = machnet_channel_wait(cat->channel, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_SEND | MACHNET_WAIT_EVENT, -1);
    if (status < 0 && status != MACHNET_EINTR)
        return status;
    return look_at_receiver(cat);
}

static int32_t reserve(struct cat *cat, machnet_view *view)
{
    int32_t status;
    while ((status = machnet_send_reserve(cat->channel, cat->flow, CAT_CHUNK, view, 0)) == MACHNET_EAGAIN) {
        status = wait_for_space(cat);
        if (status != MACHNET_OK)
            return status;
    }
    return status;
}

static int32_t commit(struct cat *cat, const machnet_view *view, uint64_t length, uint64_t tag)
{
    int32_t status;
    while ((status = machnet_send_commit(cat->channel, view->buffer, length, tag, 0)) == MACHNET_EAGAIN) {
        status = wait_for_space(cat);
        if (status != MACHNET_OK)
            return status;
    }
    return status;
}

/* Waits until standard input has something. MACHNET_OK, or what ends the transfer. */
static int32_t wait_for_input(struct cat *cat)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = machnet_channel_fd(cat->channel), .events = POLLIN}};
    while (fds[0].revents == 0) {
        machnet_event events[8];
        int32_t status = look_at_receiver(cat);
        if (status != MACHNET_OK)
            return status;
        status = machnet_channel_events(cat->channel, events, 8, 0);
        if (status < 0 && status != MACHNET_EAGAIN)
            return status;
        if (status == MACHNET_EAGAIN)
            poll(fds, 2, -1); /* an interrupted one is tried again */
    }
    return MACHNET_OK;
}

/* Reads what the input has, at most `capacity` bytes; 0 at its end, < 0: errno, negated. */
static ssize_t read_input(uint8_t *data, size_t capacity)
{
    ssize_t got;
    do
        got = read(STDIN_FILENO, data, capacity);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static int send_input(struct cat *cat)
{
    for (;;) {
        machnet_view view;
        int32_t status = wait_for_input(cat);
        if (status == MACHNET_OK)
            status = reserve(cat, &view);
        if (status != MACHNET_OK)
            return fail_sending(cat, status);
        ssize_t length = read_input(view.data, CAT_CHUNK);
        if (length < 0)
            return cat_fail(
                cat, "to %s: cannot read standard input after %" PRIu64 " bytes: %s. Mend that, then start both again.",
                cat->peer_text, cat->bytes, strerror((int)-length));
        if (length > 0) {
            XXH3_128bits_update(cat->hash, view.data, (size_t)length);
            cat->bytes += (uint64_t)length;
            status = commit(cat, &view, (uint64_t)length, CAT_DATA);
        } else {
            cat_summary(cat, view.data);
            status = commit(cat, &view, CAT_SUMMARY_BYTES, CAT_END);
        }
        if (status != MACHNET_OK)
            return fail_sending(cat, status);
        progress_update(&cat->progress, cat->bytes);
        if (length == 0)
            return TOOL_OK;
    }
}

/* The receiver's program says what it has written out. */
static int wait_for_confirmation(struct cat *cat)
{
    uint8_t theirs[CAT_SUMMARY_BYTES], ours[CAT_SUMMARY_BYTES];
    machnet_message *answer = &cat->answer;
    int32_t status;
    while ((status = machnet_recv_copy(cat->channel, cat->flow, theirs, sizeof theirs, answer, 0)) == MACHNET_EAGAIN) {
        status = machnet_channel_wait(cat->channel, MACHNET_WAIT_RECEIVE, -1);
        if (status < 0 && status != MACHNET_EINTR)
            break;
    }
    if (status == MACHNET_EMSGSIZE ||
        (status == MACHNET_OK && (answer->tag != CAT_CONFIRM || answer->length != sizeof theirs)))
        return fail_stranger(cat);
    if (status < 0)
        return fail_sending(cat, status);
    cat_summary(cat, ours);
    if (memcmp(ours, theirs, sizeof ours) != 0)
        return cat_fail(cat, "to %s: the receiver got something else than was sent; send it again", cat->peer_text);
    return TOOL_OK;
}

int cat_send(struct cat *cat)
{
    machnet_error error;
    memcpy(cat->peer_text, cat->address_text, sizeof cat->peer_text);
    int32_t status = machnet_flow_open(cat->channel, NULL, &cat->address, NULL, -1, &cat->flow, &error);
    if (status < 0)
        return tool_fail("cat", cat->address_text, status, &error);
    progress_start(&cat->progress, cat->show_progress, input_size());
    int result = send_input(cat);
    if (result == TOOL_OK)
        result = wait_for_confirmation(cat);
    progress_end(&cat->progress, cat->bytes);
    return result;
}
