/* SPDX-License-Identifier: MIT */
#include "cat.h"

#include "tools.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Waits for the first flow; later ones are refused, because the listener is closed then. */
static int32_t accept_one(struct cat *cat)
{
    machnet_error error = {0};
    uint64_t listener;
    int32_t status = machnet_listener_open(cat->channel, &cat->address, NULL, &listener, &error);
    if (status < 0) {
        tool_fail("cat", cat->address_text, status, &error);
        return status;
    }
    while (cat->flow == 0) {
        machnet_event event;
        status = machnet_channel_events(cat->channel, &event, 1);
        if (status == MACHNET_EAGAIN)
            status = machnet_channel_wait(cat->channel, MACHNET_WAIT_EVENT, -1);
        else if (status == 1 && event.type == MACHNET_EVENT_ACCEPTED)
            cat->flow = event.flow;
        if (status < 0 && status != MACHNET_EINTR) {
            cat_fail("wait for a sender", status);
            return status;
        }
    }
    return machnet_listener_close(cat->channel, listener);
}

static int32_t next_message(const struct cat *cat, machnet_view *view)
{
    int32_t status;
    while ((status = machnet_recv_borrow(cat->channel, cat->flow, view)) == MACHNET_EAGAIN) {
        status = machnet_channel_wait(cat->channel, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT, -1);
        machnet_event events[8];
        if (status > 0 && (status & MACHNET_WAIT_EVENT))
            machnet_channel_events(cat->channel, events, 8);
        if (status < 0 && status != MACHNET_EINTR)
            return status;
    }
    return status;
}

/* 0, or errno. */
static int write_all(const uint8_t *data, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, data, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        data += written;
        length -= (size_t)written;
    }
    return 0;
}

/* Writes messages out until the end comes; its summary is kept in `end`. */
static int receive_all(struct cat *cat, uint8_t end[CAT_SUMMARY_BYTES])
{
    for (;;) {
        machnet_view view;
        int32_t status = next_message(cat, &view);
        if (status < 0) {
            fprintf(stderr, "machnet cat: incomplete after %llu bytes: %s\n", (unsigned long long)cat->bytes,
                    machnet_status_text(status));
            return TOOL_FAILED;
        }
        if (view.tag == CAT_END && view.length == CAT_SUMMARY_BYTES) {
            memcpy(end, view.data, CAT_SUMMARY_BYTES);
            machnet_buffer_release(cat->channel, view.buffer);
            return TOOL_OK;
        }
        if (view.tag != CAT_DATA) {
            fprintf(stderr, "machnet cat: the sender is not `machnet cat` (a message with tag %llu)\n",
                    (unsigned long long)view.tag);
            return TOOL_FAILED;
        }
        XXH3_128bits_update(cat->hash, view.data, (size_t)view.length);
        int problem = write_all(view.data, (size_t)view.length);
        cat->bytes += view.length;
        machnet_buffer_release(cat->channel, view.buffer);
        if (problem != 0) {
            fprintf(stderr, "machnet cat: cannot write standard output: %s\n", strerror(problem));
            return TOOL_FAILED;
        }
        progress_update(&cat->progress, cat->bytes);
    }
}

/* Sends the confirmation and waits until the sender has it and is gone. */
static int confirm(struct cat *cat, const uint8_t summary[CAT_SUMMARY_BYTES])
{
    int32_t status = machnet_send_copy(cat->channel, cat->flow, summary, CAT_SUMMARY_BYTES, CAT_CONFIRM, 0);
    if (status < 0)
        return cat_fail("confirm", status);
    machnet_flow_info info = {0};
    while (machnet_flow_info_get(cat->channel, cat->flow, &info) == MACHNET_OK && info.state != MACHNET_FLOW_ENDED &&
           info.messages_acknowledged == 0) {
        machnet_event event;
        status = machnet_channel_events(cat->channel, &event, 1);
        if (status == MACHNET_EAGAIN)
            status = machnet_channel_wait(cat->channel, MACHNET_WAIT_EVENT, 50000000);
        if (status < 0 && status != MACHNET_ETIMEDOUT && status != MACHNET_EINTR)
            return cat_fail("confirm", status);
    }
    return TOOL_OK;
}

int cat_receive(struct cat *cat)
{
    uint8_t ours[CAT_SUMMARY_BYTES], theirs[CAT_SUMMARY_BYTES];
    if (accept_one(cat) < 0)
        return TOOL_FAILED;
    progress_start(&cat->progress, cat->show_progress, 0);
    int result = receive_all(cat, theirs);
    progress_end(&cat->progress, cat->bytes);
    if (result != TOOL_OK)
        return result;
    cat_summary(cat, ours);
    if (confirm(cat, ours) != TOOL_OK)
        return TOOL_FAILED;
    if (memcmp(ours, theirs, sizeof ours) != 0) {
        fprintf(stderr, "machnet cat: what was written is not what was sent (%llu bytes here)\n",
                (unsigned long long)cat->bytes);
        return TOOL_FAILED;
    }
    return TOOL_OK;
}
