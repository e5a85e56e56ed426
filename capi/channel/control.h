/* SPDX-License-Identifier: MIT */
/*
 * Messages between a client and the controller over a SOCK_SEQPACKET unix socket: one struct each, one datagram each, with
 * descriptors beside it (SCM_RIGHTS). Native byte order. A connection begins with HELLO. Then it is used for STATUS requests, or for one
 * channel: ATTACH once, then LISTEN, UNLISTEN, REGION_REQUEST at will. End of file on it is the end of the channel, for both sides.
 *
 *   client                             engine
 *   HELLO                        ->
 *                                <-    HELLO_REPLY
 *   ATTACH                       ->
 *                                <-    ATTACH_OFFER  + descriptors
 *   ATTACH_MAPPED                ->                  (the client has mapped, filled and sealed; the engine checks, writes the header, gives the
 *                                <-    ATTACHED       channel to a worker)
 *   REGION_REQUEST (send)        ->                  (receive regions are offered unasked)
 *                                <-    REGION_OFFER  + descriptor, or REGION_REFUSED
 *   REGION_MAPPED                ->
 *                                <-    REGION_READY
 *
 * Only the engine sends descriptors: closing one that came from a client could take as long as the client likes. Where the kernel can refuse
 * them to clients it does (SO_PASSRIGHTS); else they close the connection.
 *
 * How this can grow. Between a client and an engine of different releases:
 *   - HELLO and HELLO_REPLY are the same in every version. The client says which versions it has of this protocol and of the layout (min to max);
 *     the reply says, as min and max alike, which ones the engine chose: the highest that both have. `features` of the reply are those of the
 *     client's that the engine has, too. In all other messages the chosen version says what a message means.
 *   - A message may be longer than its struct here, up to MN_CONTROL_BYTES_MAX; what follows is ignored. A shorter one is malformed.
 *   - A message of a type from MN_CONTROL_IGNORABLE on is ignored by whoever does not know it, with its descriptors. It is never an answer that
 *     somebody waits for. One of another unknown type, or one that is not expected in the present state, closes the connection.
 *   - An offer says of each descriptor what it is; a client closes those of a kind that it does not know.
 *   - Fields called zero are 0 and not looked at, until a version or feature gives them a meaning.
 */
#ifndef MACHNET_CHANNEL_CONTROL_H
#define MACHNET_CHANNEL_CONTROL_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel/layout.h"

#define MN_CONTROL_MAGIC UINT32_C(0x54434e4d) /* "MNCT" */

enum {
    MN_CONTROL_VERSION = 2,
    MN_CONTROL_VERSION_MIN = 2,    /* the oldest that is still spoken */
    MN_CONTROL_BYTES_MAX = 1024,
    MN_CONTROL_FDS_MAX = 16,
    MN_CONTROL_IGNORABLE = 0x8000, /* bit of types */
};

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
    MN_CONTROL_STATUS_REPLY = 17,         /* then the text (JSON) in as many STATUS_TEXT as it takes; till the last the client is silent */
    MN_CONTROL_CLOSING = 18,              /* engine, unasked: why it closes this connection */
    MN_CONTROL_STATUS_TEXT = 19,

    /*
     * Reserved for an engine that hands its live channels over to a successor. The successor cannot take over a region: once it is sealed nobody
     * can map it writable again. So it replaces each one. REPLACE_REGION offers a new memfd in the place of region n; the client maps,
     * fills and seals it (REGION_MAPPED), allocates from then on in the new one only, and says REGION_DRAINED when nothing of the old
     * one is in flight or borrowed any more. Region 0 is replaced while both sides stand still: the client stops producing and consuming, the
     * engine copies indices and entries, REGION_READY starts them again.
     */
    MN_CONTROL_REPLACE_DESCRIPTORS = 64,  /* new wake-up socket and eventfd for a live channel */
    MN_CONTROL_HANDOVER = 65,
    MN_CONTROL_REPLACE_REGION = 66,
    MN_CONTROL_REGION_DRAINED = 67,
};

/* What a descriptor of an offer is. Unknown: the client closes it. */
enum mn_descriptor_kind {
    MN_DESCRIPTOR_NONE = 0,
    MN_DESCRIPTOR_REGION = 1,      /* the regions of the offer, in their order */
    MN_DESCRIPTOR_WAKEUP = 2,      /* client's end of the pair that wakes it (channel/wakeup.h) */
    MN_DESCRIPTOR_EVENT = 3,       /* eventfd that wakes the engine */
    MN_DESCRIPTOR_SEND_WAKEUP = 4, /* reserved: a second pair, for a thread that waits on the send side alone */
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
    uint16_t version_min, version_max;    /* control protocol; reply: both the chosen one */
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
    uint64_t region_bytes[3];             /* region 0, send region 1, receive region 2 */
    uint64_t send_bytes_max, receive_bytes_max;  /* as granted */
    uint32_t max_flows;
    uint32_t descriptor_count;            /* <= MN_CONTROL_FDS_MAX */
    uint8_t descriptors[MN_CONTROL_FDS_MAX];  /* enum mn_descriptor_kind of each */
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

struct mn_control_plain {                 /* ATTACH_MAPPED, STATUS, STATUS_REPLY, CLOSING */
    struct mn_control_header header;
    uint64_t value;                       /* STATUS_REPLY: bytes of the text */
    char message[192];
};

/* STATUS_TEXT is this header and behind it the next bytes of the text, at least one. */
enum { MN_CONTROL_TEXT_MAX = MN_CONTROL_BYTES_MAX - sizeof(struct mn_control_header) };

static_assert(sizeof(struct mn_control_header) == 16, "ABI");
static_assert(sizeof(struct mn_control_hello) == 256, "ABI");
static_assert(sizeof(struct mn_control_attach) == 64, "ABI");
static_assert(sizeof(struct mn_control_attach_offer) == 272, "ABI");
static_assert(sizeof(struct mn_control_region) == 32, "ABI");
static_assert(sizeof(struct mn_control_listen) == 240, "ABI");
static_assert(sizeof(struct mn_control_plain) == 216, "ABI");

/* The size that a message of `type` has at least; 0 for an unknown type. */
uint16_t mn_control_bytes(uint16_t type);

/* The highest version in [min, max] and [own_min, own_max]; 0: there is none. */
uint16_t mn_control_common(uint16_t min, uint16_t max, uint16_t own_min, uint16_t own_max);

/* Fills magic, type, length. */
void mn_control_prepare(struct mn_control_header *header, uint16_t type, uint32_t request, int32_t status);

/* Sends one message with `fd_count` descriptors; never raises SIGPIPE. 0, or -errno (-EAGAIN when a non-blocking socket is full). */
int mn_control_send(int socket, const struct mn_control_header *message, const int *fds, uint32_t fd_count);

/* Receives one message into buffer[0 .. MN_CONTROL_BYTES_MAX), checks magic, type and size, and takes at most `fd_max` descriptors (close-on-exec;
 * more than that are closed and it is an error). *fd_count is set. Returns the length, 0 at end of file, or -errno (-EPROTO: malformed, -EMFILE:
 * this process may not have the descriptors; what came is closed and lost then). `flags`: MSG_DONTWAIT or 0.
 * With fd_max 0 it never closes a descriptor: a message that has some is -EPROTO and stays in the queue. */
int mn_control_receive(int socket, void *buffer, int *fds, uint32_t fd_max, uint32_t *fd_count, int flags);

/* Takes what is in the queue and drops it; nothing comes any more. True: the queue is empty, closing the socket waits for nobody. False: a
 * message with descriptors is in it. For a socket with SO_PASSCRED: without, an empty message looks like the end. */
bool mn_control_drain(int socket);

#endif /* MACHNET_CHANNEL_CONTROL_H */
