/* SPDX-License-Identifier: MIT */
/*
 * What lies in the shared memory of a channel: the header, four rings, and the descriptors in them. Fixed-width fields, offsets,
 * native byte order (both sides are on one machine). Everything here is written by the one side named and never trusted by the
 * other: copy, validate, use the copy.
 *
 * Region 0 holds the header and the rings. Other regions are arenas: of kind SEND (the client allocates and writes, the engine reads) or
 * RECEIVE (the engine allocates and writes, the client reads). A descriptor names its bytes by (region, offset, length).
 */
#ifndef MACHNET_CHANNEL_LAYOUT_H
#define MACHNET_CHANNEL_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define MN_LAYOUT_MAGIC UINT32_C(0x48434e4d) /* "MNCH" in memory */

enum {
    MN_LAYOUT_VERSION = 2,
    MN_LAYOUT_VERSION_MIN = 2,       /* the oldest that is still spoken */
    MN_LINE = 64,
    MN_HEADER_BYTES = 4096,
    MN_REGIONS_MAX = 64,
    MN_BLOCK = 65536,                /* arenas are made of blocks of this size */
    MN_REGION_BYTES_MAX = 1 << 30,
    MN_MESSAGE_MAX = 8388608,
    MN_SUBMISSIONS = 1024,           /* default capacities, in entries */
    MN_DELIVERIES = 1024,
    MN_COMPLETIONS = 4096,           /* = most send extents in flight */
    MN_RELEASES = 8192,              /* = most receive extents lent */
    MN_NAME_BYTES = 32,
};

enum mn_region_kind { MN_REGION_RINGS = 0, MN_REGION_SEND = 1, MN_REGION_RECEIVE = 2 };

enum mn_ring_id { MN_RING_SUBMISSIONS = 0, MN_RING_COMPLETIONS = 1, MN_RING_DELIVERIES = 2, MN_RING_RELEASES = 3, MN_RING_COUNT = 4 };

/* Where a ring lies in region 0: two index lines of 2 * MN_LINE bytes each (producer's, consumer's), then the entries. */
struct mn_ring_place {
    uint32_t offset;      /* bytes from the start of region 0, a multiple of MN_LINE */
    uint32_t capacity;    /* entries, a power of two */
    uint32_t entry_bytes;
    uint32_t zero;
};

/* Bits of client_sleeping and engine_sleeping. */
enum {
    MN_WAKE_DELIVERIES = 1,   /* client: wake me when there are deliveries (or control messages) */
    MN_WAKE_COMPLETIONS = 2,  /* client: ... completions */
    MN_WAKE_SUBMISSIONS = 1,  /* engine: wake me when there are submissions */
    MN_WAKE_RELEASES = 2,     /* engine: ... releases */
    MN_WAKE_ROOM = 4,         /* client: ... room in submissions, which I found full; engine: ... in deliveries */
};

/*
 * Waking, both ways: the producer publishes, runs a seq_cst fence, and reads the other's *_sleeping; if it has the ring's bit, it signals the
 * descriptor (engine -> client: it first clears the bits it saw, by an atomic exchange, then sends one byte (wakeup.h); client -> engine:
 * adds 1 to the eventfd). The sleeper sets its bits, runs a seq_cst fence, looks at the rings once more, and only then sleeps; it clears
 * its bits when it is awake.
 * So it is with a full ring, too: its consumer, once it has published what it took, is to the waiting producer what a producer is to a waiting
 * consumer, and MN_WAKE_ROOM is the bit. It is set only by who found the ring full and has something to put there: nobody else causes a signal.
 * (Completions and releases are as large as can be in flight, so they are never full.)
 * A bit is a wish that the other side may have made up or may ignore: it causes at most a needless signal, and a needless look at the rings.
 */
struct mn_header {
    /* Written by the engine before the client sees it, then constant. The client copies it once. */
    uint32_t magic;
    uint16_t version;                    /* of the layout */
    uint16_t header_bytes;
    uint64_t features;                   /* agreed feature bits; none yet */
    uint64_t region_bytes;               /* of region 0 */
    struct mn_ring_place rings[MN_RING_COUNT];
    uint8_t pad0[128 - 24 - MN_RING_COUNT * sizeof(struct mn_ring_place)];
    /* Written by the engine (and by nobody else). */
    _Atomic uint32_t engine_sleeping;    /* MN_WAKE_SUBMISSIONS | MN_WAKE_RELEASES | MN_WAKE_ROOM */
    uint8_t pad1[124];
    _Atomic uint32_t closed;             /* 0, or the status (negated, > 0) with which the engine closed this channel */
    _Atomic uint32_t control_sequence;   /* counts control messages that the engine sent unasked */
    uint8_t pad2[120];
    /* Written by the client; the engine clears bits it has seen. */
    _Atomic uint32_t client_sleeping;    /* MN_WAKE_DELIVERIES | MN_WAKE_COMPLETIONS | MN_WAKE_ROOM */
    uint8_t pad3[124];
    uint8_t pad4[MN_HEADER_BYTES - 512];
};

static_assert(sizeof(struct mn_ring_place) == 16, "ABI");
static_assert(offsetof(struct mn_header, rings) == 24, "ABI");
static_assert(offsetof(struct mn_header, engine_sleeping) == 128, "ABI");
static_assert(offsetof(struct mn_header, closed) == 256, "ABI");
static_assert(offsetof(struct mn_header, control_sequence) == 260, "ABI");
static_assert(offsetof(struct mn_header, client_sleeping) == 384, "ABI");
static_assert(sizeof(struct mn_header) == MN_HEADER_BYTES, "ABI");

/*
 * Flow tokens: bits 63..32 generation (never 0), bit 31 who chose the index (0: the client, by an OPEN; 1: the engine, for an accepted
 * flow), bits 30..0 index. A flow has exactly one CLOSE submission and one CLOSED delivery; when both have been, its index is free again on both sides.
 */
#define MN_TOKEN_ACCEPTED UINT32_C(0x80000000)

/* ---- Submissions: client -> engine ---- */

enum mn_submission_op { MN_OP_SEND = 1, MN_OP_OPEN = 2, MN_OP_CLOSE = 3 };
enum { MN_CLOSE_ABORT = 1 };

struct mn_submission {                   /* SEND, CLOSE */
    uint8_t op;
    uint8_t flags;                       /* CLOSE: MN_CLOSE_ABORT */
    uint16_t region;                     /* SEND: of kind SEND */
    uint32_t length;
    uint64_t flow;
    uint64_t tag;
    uint64_t offset;
    uint64_t cookie;                     /* SEND: comes back in the completion */
    uint64_t zero[3];
};

struct mn_submission_open {              /* OPEN */
    uint8_t op;
    uint8_t flags;
    uint16_t local_port;                 /* 0: the engine chooses */
    uint16_t remote_port;
    uint16_t zero16;
    uint64_t flow;                       /* chosen by the client */
    uint8_t local_ip[16];                /* all zero: the engine chooses */
    uint8_t remote_ip[16];
    uint64_t timeout_ns;
    uint64_t zero;
};

/* ---- Completions: engine -> client's send side ---- */

struct mn_completion {
    uint64_t cookie;
    int32_t status;                      /* enum machnet_status: MACHNET_OK, acknowledged */
    uint32_t zero;
};

/* ---- Deliveries: engine -> client's receive side ---- */

enum mn_delivery_op { MN_OP_MESSAGE = 1, MN_OP_ESTABLISHED = 2, MN_OP_ACCEPTED = 3, MN_OP_CLOSED = 4, MN_OP_STALLED = 5 };

struct mn_delivery {                     /* MESSAGE, CLOSED, STALLED */
    uint8_t op;
    uint8_t flags;
    uint16_t region;                     /* MESSAGE: of kind RECEIVE */
    uint32_t length;
    uint64_t flow;
    uint64_t tag;
    uint64_t offset;
    uint64_t lease;                      /* MESSAGE: goes back in a release */
    int32_t status;                      /* CLOSED: enum machnet_status */
    uint32_t zero32;
    uint64_t value;                      /* STALLED: bytes lent, > 0 */
    uint64_t zero;
};

struct mn_delivery_flow {                /* ESTABLISHED, ACCEPTED */
    uint8_t op;
    uint8_t flags;
    uint16_t local_port;
    uint16_t remote_port;
    uint16_t zero16;
    uint64_t flow;
    uint8_t local_ip[16];
    uint8_t remote_ip[16];
    uint64_t listener;                   /* ACCEPTED: token */
    uint64_t zero;
};

/* ---- Releases: client -> engine: the lease of a MESSAGE ---- */

typedef uint64_t mn_release;

static_assert(sizeof(struct mn_submission) == 64, "ABI");
static_assert(offsetof(struct mn_submission, flow) == 8 && offsetof(struct mn_submission, offset) == 24, "ABI");
static_assert(sizeof(struct mn_submission_open) == 64, "ABI");
static_assert(offsetof(struct mn_submission_open, local_ip) == 16 && offsetof(struct mn_submission_open, timeout_ns) == 48, "ABI");
static_assert(sizeof(struct mn_completion) == 16, "ABI");
static_assert(sizeof(struct mn_delivery) == 64, "ABI");
static_assert(offsetof(struct mn_delivery, lease) == 32 && offsetof(struct mn_delivery, status) == 40, "ABI");
static_assert(sizeof(struct mn_delivery_flow) == 64, "ABI");
static_assert(offsetof(struct mn_delivery_flow, listener) == 48, "ABI");

/* Engine: the bytes of region 0 (a multiple of the page size) and the places of the rings, for the default capacities. */
void mn_layout_plan(struct mn_ring_place rings[MN_RING_COUNT], uint64_t *region_bytes);
/* Engine: writes the header, of the version that was agreed on, into fresh, zeroed memory. */
void mn_layout_write(struct mn_header *header, uint16_t version, const struct mn_ring_place rings[MN_RING_COUNT],
                     uint64_t region_bytes, uint64_t features);
/* Client: copies the constant part of `shared` into `copy` and checks it against the bytes mapped. 0, or -1 if it is not sound,
 * or of a version that we do not have. */
int mn_layout_check(const struct mn_header *shared, uint64_t mapped_bytes, struct mn_header *copy);

#endif /* MACHNET_CHANNEL_LAYOUT_H */
