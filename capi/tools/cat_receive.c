/* SPDX-License-Identifier: MIT */
#include "cat.h"

#include "tools.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The port was for the engine to choose: says which. */
static void tell_address(const struct cat *cat, uint64_t listener)
{
    machnet_address local;
    char text[MACHNET_ADDRESS_TEXT_MAX];
    if (cat->address.port == 0 && machnet_listener_address(cat->channel, listener, &local) == MACHNET_OK &&
        machnet_address_format(&local, text, sizeof text) == MACHNET_OK)
        fprintf(stderr, "machnet cat: listening at %s\n", text);
}

/* Waits for the first flow; later ones are refused, because the listener is closed then. Returns an exit status. */
static int accept_one(struct cat *cat)
{
    machnet_error error = {0};
    machnet_address peer = {0};
    uint64_t listener;
    int32_t status = machnet_listener_open(cat->channel, &cat->address, NULL, &listener, &error);
    if (status < 0)
        return tool_fail("cat", cat->address_text, status, &error);
    tell_address(cat, listener);
    while (cat->flow == 0) {
        machnet_event event;
        status = machnet_channel_events(cat->channel, &event, 1, 0);
        if (status == MACHNET_EAGAIN)
            status = machnet_channel_wait(cat->channel, MACHNET_WAIT_EVENT, -1);
        else if (status == 1 && event.type == MACHNET_EVENT_ACCEPTED)
            cat->flow = event.flow;
        if (status < 0 && status != MACHNET_EINTR)
            return cat_fail(cat,
                            "nobody has sent to %s: %s. See the log of machnetd on this machine, then start again.",
                            cat->address_text, machnet_status_text(status));
    }
    machnet_flow_addresses(cat->channel, cat->flow, NULL, &peer);
    machnet_address_format(&peer, cat->peer_text, sizeof cat->peer_text);
    /* If the engine has ended meanwhile, the flow will say so. */
    (void)machnet_listener_close(cat->channel, listener, 0, NULL);
    return TOOL_OK;
}

static int32_t next_message(const struct cat *cat, machnet_view *view)
{
    int32_t status;
    while ((status = machnet_recv_borrow(cat->channel, cat->flow, view, 0)) == MACHNET_EAGAIN) {
        status = machnet_channel_wait(cat->channel, MACHNET_WAIT_RECEIVE | MACHNET_WAIT_EVENT, -1);
        machnet_event events[8];
        if (status > 0 && (status & MACHNET_WAIT_EVENT))
            machnet_channel_events(cat->channel, events, 8, 0);
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
        if (status < 0)
            return cat_broken(cat, status);
        if (view.tag == CAT_END && view.length == CAT_SUMMARY_BYTES) {
            memcpy(end, view.data, CAT_SUMMARY_BYTES);
            machnet_buffer_release(cat->channel, view.buffer);
            return TOOL_OK;
        }
        if (view.tag != CAT_DATA)
            return cat_fail(cat,
                            "from %s: the sender is not `machnet cat` (it sent a message of %" PRIu64
                            " bytes with tag %" PRIu64 "). Start that there.",
                            cat->peer_text, view.length, view.tag);
        XXH3_128bits_update(cat->hash, view.data, (size_t)view.length);
        int problem = write_all(view.data, (size_t)view.length);
        cat->bytes += view.length;
        machnet_buffer_release(cat->channel, view.buffer);
        if (problem != 0)
            return cat_fail(cat,
                            "from %s: cannot write standard output after %" PRIu64
                            " bytes: %s. Mend that, then start both again.",
                            cat->peer_text, cat->bytes - view.length, strerror(problem));
        progress_update(&cat->progress, cat->bytes);
    }
}

/* Sends the confirmation and waits until the sender has it and is gone. */
static int confirm(struct cat *cat, const uint8_t summary[CAT_SUMMARY_BYTES])
{
    int32_t status = machnet_send_copy(cat->channel, cat->flow, summary, CAT_SUMMARY_BYTES, CAT_CONFIRM, 0);
    if (status < 0)
        return cat_broken(cat, status);
    machnet_flow_info info = {0};
    while (machnet_flow_info_get(cat->channel, cat->flow, &info) == MACHNET_OK && info.state != MACHNET_FLOW_ENDED &&
           info.messages_acknowledged == 0) {
        machnet_event event;
        status = machnet_channel_events(cat->channel, &event, 1, 0);
        if (status == MACHNET_EAGAIN)
            status = machnet_channel_wait(cat->channel, MACHNET_WAIT_EVENT, 50000000);
        if (status < 0 && status != MACHNET_ETIMEDOUT && status != MACHNET_EINTR)
            return cat_broken(cat, status);
    }
    return TOOL_OK;
}

int cat_receive(struct cat *cat)
{
    uint8_t ours[CAT_SUMMARY_BYTES], theirs[CAT_SUMMARY_BYTES];
    if (accept_one(cat) != TOOL_OK)
        return TOOL_FAILED;
    progress_start(&cat->progress, cat->show_progress, 0);
    int result = receive_all(cat, theirs);
    progress_end(&cat->progress, cat->bytes);
    if (result != TOOL_OK)
        return result;
    cat_summary(cat, ours);
    if (confirm(cat, ours) != TOOL_OK)
        return TOOL_FAILED;
    if (memcmp(ours, theirs, sizeof ours) != 0)
        return cat_fail(cat,
                        "from %s: what was written is not what was sent (%" PRIu64 " bytes here). Start both again.",
                        cat->peer_text, cat->bytes);
    return TOOL_OK;
}
