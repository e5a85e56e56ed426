/* SPDX-License-Identifier: MIT */
/*
 * What the two ends of `machnet cat` say to each other on their flow. Integers are big-endian.
 *   sender -> receiver: any number of messages with tag CAT_DATA: the bytes, in order; then one with tag CAT_END: a summary.
 *   receiver -> sender: one message with tag CAT_CONFIRM: the summary of what it has written out.
 * A summary is 24 bytes: u64 length in bytes, then the XXH3 128-bit hash (xxHash specification, canonical form).
 */
#ifndef MACHNET_TOOLS_CAT_H
#define MACHNET_TOOLS_CAT_H

#include "progress.h"

#include <machnet/machnet.h>
#include <xxhash.h>

#include <stdbool.h>
#include <stdint.h>

enum { CAT_DATA = 1, CAT_END = 2, CAT_CONFIRM = 3 };
enum { CAT_CHUNK = 65536, CAT_SUMMARY_BYTES = 24 };

struct cat {
    machnet_context *context;
    machnet_channel *channel;
    uint64_t flow;
    machnet_address address;
    char address_text[MACHNET_ADDRESS_TEXT_MAX];
    char peer_text[MACHNET_ADDRESS_TEXT_MAX]; /* the other end of the flow */
    bool listen;
    bool show_progress;
    XXH3_state_t *hash;
    uint64_t bytes;
    machnet_message answer; /* sender: the last message of the receiver */
    struct progress progress;
};

/* The summary of cat->bytes and cat->hash. */
void cat_summary(const struct cat *cat, uint8_t summary[CAT_SUMMARY_BYTES]);

/* Prints what failed, after the last line of progress. Both return TOOL_FAILED. */
int cat_fail(struct cat *cat, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, when `status` has ended the transfer: with the peer, how far it came, and what to do. */
int cat_broken(struct cat *cat, int32_t status);

/* Both return an exit status and have printed why it is not 0. */
int cat_send(struct cat *cat);
int cat_receive(struct cat *cat);

#endif /* MACHNET_TOOLS_CAT_H */
