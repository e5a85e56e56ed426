/* SPDX-License-Identifier: MIT */
#include "cat.h"

#include "tools.h"

#include <errno.h>
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

/* Waits until the flow can send again. */
static int32_t wait_for_space(const struct cat *cat)
{
    machnet_event events[8];
    int32_t status = machnet_channel_events(cat->channel, events, 8);
    if (status != MACHNET_EAGAIN)
        return status;
    return machnet_channel_wait(cat->channel, MACHNET_WAIT_SEND | MACHNET_WAIT_EVENT, -1);
}

static int32_t reserve(const struct cat *cat, machnet_view *view)
{
    int32_t status;
    while ((status = machnet_send_reserve(cat->channel, cat->flow, CAT_CHUNK, view)) == MACHNET_EAGAIN) {
        status = wait_for_space(cat);
        if (status < 0 && status != MACHNET_EINTR)
            return status;
    }
    return status;
}

static int32_t commit(const struct cat *cat, const machnet_view *view, uint64_t length, uint64_t tag)
{
    int32_t status;
    while ((status = machnet_send_commit(cat->channel, view->buffer, length, tag, 0)) == MACHNET_EAGAIN) {
        status = wait_for_space(cat);
        if (status < 0 && status != MACHNET_EINTR)
            return status;
    }
    return status;
}

/* Waits until standard input has something, and sees meanwhile when the flow ends. */
static int32_t wait_for_input(const struct cat *cat)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = machnet_channel_fd(cat->channel), .events = POLLIN}};
    while (fds[0].revents == 0) {
        machnet_event event;
        int32_t status = machnet_channel_events(cat->channel, &event, 1);
        if (status == 1 && event.type == MACHNET_EVENT_CLOSED)
            return event.status;
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
        if (status < 0)
            return cat_fail("send", status);
        ssize_t length = read_input(view.data, CAT_CHUNK);
        if (length < 0) {
            fprintf(stderr, "machnet cat: cannot read standard input: %s\n", strerror((int)-length));
            return TOOL_FAILED;
        }
        if (length > 0) {
            XXH3_128bits_update(cat->hash, view.data, (size_t)length);
            cat->bytes += (uint64_t)length;
            status = commit(cat, &view, (uint64_t)length, CAT_DATA);
        } else {
            cat_summary(cat, view.data);
            status = commit(cat, &view, CAT_SUMMARY_BYTES, CAT_END);
        }
        if (status < 0)
            return cat_fail("send", status);
        progress_update(&cat->progress, cat->bytes);
        if (length == 0)
            return TOOL_OK;
    }
}

/* The receiver's program says what it has written out. */
static int wait_for_confirmation(struct cat *cat)
{
    uint8_t theirs[CAT_SUMMARY_BYTES], ours[CAT_SUMMARY_BYTES];
    machnet_message message;
    int32_t status;
    while ((status = machnet_recv_copy(cat->channel, cat->flow, theirs, sizeof theirs, &message)) == MACHNET_EAGAIN) {
        status = machnet_channel_wait(cat->channel, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT, -1);
        machnet_event events[8];
        if (status > 0 && (status & MACHNET_WAIT_EVENT))
            machnet_channel_events(cat->channel, events, 8);
        if (status < 0 && status != MACHNET_EINTR)
            break;
    }
    if (status < 0)
        return cat_fail("the receiver did not confirm", status);
    cat_summary(cat, ours);
    if (message.tag != CAT_CONFIRM || message.length != sizeof theirs || memcmp(ours, theirs, sizeof ours) != 0) {
        fprintf(stderr, "machnet cat: the receiver got something else than was sent; send it again\n");
        return TOOL_FAILED;
    }
    return TOOL_OK;
}

int cat_send(struct cat *cat)
{
    machnet_error error;
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
