/* SPDX-License-Identifier: MIT */
/*
 * Messages between a client and the controller over a SOCK_SEQPACKET unix socket: one struct each, one datagram each, with
 * descriptors beside it (SCM_RIGHTS). Native byte order. A message of another size than its struct, or not expected in the present state, closes the
 * connection. A connection begins with HELLO. Then it is used for STATUS requests, or for one channel: ATTACH once, then LISTEN, UNLISTEN,
 * REGION_REQUEST at will. End of file on it is the end of the channel, for both sides.
 *
 *   client                             engine
 *   HELLO                        ->
 *                                <-    HELLO_REPLY
 *   ATTACH                       ->
 *                                <-    ATTACH_OFFER  + descriptors: region 0, send region 1, receive region 2, pipe (read end), eventfd
 *   ATTACH_MAPPED                ->                  (the client has mapped; the engine seals, populates, gives the channel to a worker)
 *                                <-    ATTACHED
 *   REGION_REQUEST (send)        ->                  (receive regions are offered unasked)
 *                                <-    REGION_OFFER  + descriptor, or REGION_REFUSED
 *   REGION_MAPPED                ->
 *                                <-    REGION_READY
 */
#ifndef MACHNET_CHANNEL_CONTROL_H
#define MACHNET_CHANNEL_CONTROL_H

#include <assert.h>
#include <stdint.h>

#include "channel/layout.h"

#define MN_CONTROL_MAGIC UINT32_C(0x54434e4d) /* "MNCT" */

enum { MN_CONTROL_VERSION = 1, MN_CONTROL_BYTES_MAX = 512, MN_CONTROL_FDS_MAX = 5 };

enum mn_control_type {
    MN_CONTROL_HELLO = 1,
    MN_CONTROL_HELLO_REPLY = 2,
    MN_CONTROL_ATTACH = 3,
    MN_CONTROL_ATTACH_OFFER = 4,
    MN_CONTROL_ATTACH_MAPPED = 5,
    MN_CONTROL_ATTACHED = 6,
    MN_CONTROL_REGION_REQUEST = 7,
    MN_CONTROL_REGION_OFFER = 8,
    MN_CONTROL_REGION_MAPPED = 9,
    MN_CONTROL_REGION_READY = 10,
    MN_CONTROL_REGION_REFUSED = 11,
    MN_CONTROL_LISTEN = 12,
    MN_CONTROL_LISTEN_REPLY = 13,
    MN_CONTROL_UNLISTEN = 14,
    MN_CONTROL_UNLISTEN_REPLY = 15,
    MN_CONTROL_STATUS = 16,
    MN_CONTROL_STATUS_REPLY = 17,         /* + descriptor: a sealed memfd with the JSON text */
    MN_CONTROL_CLOSING = 18,              /* engine, unasked: why it closes this connection */
    MN_CONTROL_REPLACE_DESCRIPTORS = 64,  /* reserved: new pipe and eventfd for a live channel */
    MN_CONTROL_HANDOVER = 65,             /* reserved: the engine hands over to a successor */
};

struct mn_control_header {
    uint32_t magic;
    uint16_t type;        /* enum mn_control_type */
    uint16_t length;      /* of the whole message */
    uint32_t request;     /* client's number, repeated in the answer; 0: unasked */
    int32_t status;       /* answers: enum machnet_status */
};

struct mn_control_hello {
    struct mn_control_header header;
    uint16_t version_min, version_max;    /* control protocol */
    uint16_t layout_min, layout_max;
    uint64_t features;                    /* wanted; the reply has those agreed */
    char version[MN_NAME_BYTES];          /* of library or engine, for people */
    char message[192];                    /* reply: why it was refused */
};

struct mn_control_attach {
    struct mn_control_header header;
    uint64_t send_bytes_max;              /* bounds of the arenas' growth */
    uint64_t receive_bytes_max;
    char name[MN_NAME_BYTES];             /* of the application */
};

struct mn_control_attach_offer {          /* and ATTACHED (fields 0; message: why not) */
    struct mn_control_header header;
    uint64_t region_bytes[3];
    uint64_t send_bytes_max, receive_bytes_max;  /* as granted */
    uint32_t max_flows;
    uint32_t zero;
    char message[192];
};

struct mn_control_region {                /* REQUEST, OFFER, MAPPED, READY, REFUSED */
    struct mn_control_header header;
    uint16_t region;
    uint16_t kind;                        /* enum mn_region_kind */
    uint32_t zero;
    uint64_t bytes;
};

struct mn_control_listen {                /* LISTEN, UNLISTEN and their replies */
    struct mn_control_header header;
    uint8_t ip[16];
    uint16_t port;
    uint16_t zero16;
    uint32_t zero32;
    uint64_t listener;                    /* token, chosen by the engine */
    char message[192];
};

struct mn_control_plain {                 /* ATTACH_MAPPED, STATUS, CLOSING */
    struct mn_control_header header;
    uint64_t value;                       /* STATUS_REPLY: bytes of JSON */
    char message[192];
};

static_assert(sizeof(struct mn_control_header) == 16, "ABI");
static_assert(sizeof(struct mn_control_hello) == 256, "ABI");
static_assert(sizeof(struct mn_control_attach) == 64, "ABI");
static_assert(sizeof(struct mn_control_attach_offer) == 256, "ABI");
static_assert(sizeof(struct mn_control_region) == 32, "ABI");
static_assert(sizeof(struct mn_control_listen) == 240, "ABI");
static_assert(sizeof(struct mn_control_plain) == 216, "ABI");

/* The size a message of `type` must have; 0 for an unknown type. */
uint16_t mn_control_bytes(uint16_t type);

/* Fills magic, type, length. */
void mn_control_prepare(struct mn_control_header *header, uint16_t type, uint32_t request, int32_t status);

/* Sends one message with `fd_count` descriptors; never raises SIGPIPE. 0, or -errno (-EAGAIN when a non-blocking socket is full). */
int mn_control_send(int socket, const struct mn_control_header *message, const int *fds, uint32_t fd_count);

/* Receives one message into buffer[0 .. MN_CONTROL_BYTES_MAX), checks magic, type and size, and takes at most `fd_max` descriptors (close-on-exec;
 * more than that are closed and it is an error). *fd_count is set. Returns the length, 0 at end of file, or -errno (-EPROTO: malformed; all
 * descriptors are closed then). `flags`: MSG_DONTWAIT or 0. */
int mn_control_receive(int socket, void *buffer, int *fds, uint32_t fd_max, uint32_t *fd_count, int flags);

#endif /* MACHNET_CHANNEL_CONTROL_H */
