/* SPDX-License-Identifier: MIT */
/* The insides of a transport and its flows: what is kept, and what always holds. For the files of this folder alone. */
#ifndef MACHNET_ENGINE_FLOW_STATE_H
#define MACHNET_ENGINE_FLOW_STATE_H

#include <utlist.h>

#include "base/deque.h"
#include "base/hash_index.h"
#include "base/heap.h"
#include "base/pool.h"
#include "base/prng.h"
#include "base/siphash.h"
#include "flow/congestion.h"
#include "flow/mtu.h"
#include "flow/pacing.h"
#include "flow/peer.h"
#include "flow/transport.h"
#include "wire/wire.h"

#define NEVER HEAP_NEVER
#define MICROSECONDS(n) ((uint64_t)(n)*1000)
#define MILLISECONDS(n) ((uint64_t)(n)*1000000)

enum {
    LARGE_MESSAGE = 65536,  /* longer messages need a grant */
    LARGE_CHARGE = 16384,   /* what a large message is charged: it holds all that may come before the grant */
    MESSAGE_MAX = 8 << 20,  /* the longest of the ABI */
    NUMBERS_TRACKED = 2048, /* packet numbers that a receiver remembers */
    NUMBER_JUMP_MAX = 1 << 24,
    BYTE_RANGES_MAX = 62, /* of a message, beyond its contiguous beginning */
    RECORDS_MAX = 32768,  /* packet numbers between the oldest in flight and the next */
    PIECES_MAX = 65536,   /* of messages in flight */
    ACK_EVERY = 8,        /* ack-eliciting packets */
    ACKS_ALONE = 8,       /* ACKs that were held in vain, before lone packets are acknowledged at once */
    LONE_AFTER = 16,      /* times as long as an ACK is held after the packet before it, a packet is alone */
};

/*
 *  client: OPENING ── ACCEPT ──────────► OPEN ── transport_close ──► CLOSING
 *  server: ACCEPTING ── FLOW packet ──►   │                            │
 *             │                           └──────────┬─────────────────┘
 *             │ refused, timed out                   │ any end: its status is known; FIN or RESET frames may be owed
 *             └──────────────► GONE ◄── lingered ── ENDED
 *
 * GONE: the network knows nothing of the flow any more; it is freed when its owner is through with it too.
 */
enum flow_state {
    FLOW_OPENING,
    FLOW_ACCEPTING,
    FLOW_OPEN,
    FLOW_CLOSING,
    FLOW_ENDED,
    FLOW_GONE,
};

/* A message to send. Each byte of it is at any time in exactly one place: not yet sent (from `next` on), in a piece of a live
 * record, in a piece to be sent again, or acknowledged. */
struct outgoing {
    const uint8_t *data; /* not owned */
    uint64_t tag, cookie;
    uint32_t length;
    uint32_t next;
    uint32_t acknowledged; /* bytes */
    uint32_t granted;      /* bytes that may be sent, of a large message; 0: its first packet */
    uint32_t held_next;    /* low 32 bits of the next message that waits for its grant or is being sent after it */
    bool done;
};

/* What a packet holds of messages: a byte range of one, or, with a count above 1, a run of so many whole ones from `message` on. */
struct piece {
    uint32_t message; /* low 32 bits */
    uint32_t count;
    uint32_t offset, length; /* of one */
};

enum record_flag {
    RECORD_LIVE = 1, /* in flight */
    RECORD_FIN = 2,
    RECORD_CREDIT = 4,
    RECORD_GRANT = 8,
    RECORD_RESET = 16,
    RECORD_BLOCKED = 32,
    RECORD_LOST = 64,     /* declared lost: its content was queued again. It may yet be acknowledged */
    RECORD_COPY = 128,    /* holds what an older packet holds, and has no pieces of its own */
    RECORD_ARRIVED = 256, /* its pieces have arrived, in it or in a copy */
};

/* A sent packet, found by its number. */
struct record {
    uint64_t time;
    uint32_t first_piece; /* low 32 bits */
    uint16_t piece_count;
    uint16_t flags;  /* enum record_flag */
    uint16_t length; /* as struct mtu counts */
    uint32_t link;  /* low 32 bits: of a LOST one, where its pieces begin in `again`; of a COPY, the number of the older packet */
};

/* The smallest of what was measured lately: of the present window of time, and of the one before. 0: nothing. */
struct windowed_min {
    uint64_t since;
    uint32_t now, before; /* ns */
};

/* A message being assembled. */
struct incoming {
    struct transport_extent extent;
    uint8_t *first;             /* LARGE_CHARGE bytes, of a large message that has no extent yet */
    struct byte_ranges *ranges; /* what came beyond `prefix`; NULL: nothing */
    uint64_t tag;
    uint64_t grant_packet;  /* number of the packet with the newest GRANT */
    uint32_t total, prefix; /* length; bytes from the beginning on without a gap */
    uint32_t large_next;    /* low 32 bits of the next message that waits for an extent */
    bool known;             /* something of it has come */
    bool placed;            /* `extent` is ours to give back */
    bool discarded;         /* nobody wants it: acknowledged, not kept */
    bool complete;
    bool granted, grant_owed; /* large: may be sent; a GRANT must go out */
};

struct byte_range {
    uint32_t start, end;
};
struct byte_ranges {
    uint32_t count;
    struct byte_range range[BYTE_RANGES_MAX]; /* ascending, not touching */
};

struct sender {
    struct deque messages; /* struct outgoing, by message number */
    struct deque records;  /* struct record, by packet number: base is the oldest in flight, the end the next number */
    struct deque pieces;   /* struct piece, of the records, in their order */
    struct deque again;    /* struct piece, lost */
    uint64_t next;         /* the first message that is not wholly sent and not held */
    uint64_t begun;        /* messages of which something was sent; next <= begun <= next + 1 */
    uint64_t charged;      /* of the messages begun */
    uint64_t credit_bytes, credit_messages;
    uint64_t blocked_told;                      /* the credit that the last BLOCKED asked for */
    uint32_t held_first, held_last, held_count; /* large messages begun and not wholly sent, in order */
    uint32_t in_flight;                         /* live records */
    uint64_t live_from;                         /* no packet below it is in flight */
    uint64_t largest_acknowledged;              /* + 1; 0: none */
    uint64_t newest_time;                       /* when that one was sent: RACK.xmit_ts */
    uint64_t last_sent;                         /* the last packet that elicits an ACK */
    uint64_t probe_from;                        /* that, or the last progress */
    uint64_t loss_at;                           /* a packet in flight is then lost; NEVER */
    uint64_t episode_end;                       /* losses below this number belong to a recovery that was counted */
    uint64_t widened_end;                       /* losses below this number have widened the reordering window */
    uint64_t heard_at, silence;                 /* when the last packet came; how long after the one before */
    uint64_t peer_late_at, mistrusted_at; /* when the peer was last seen to have stood still; the last stall counted */
    struct windowed_min min_rtt;
    uint32_t newest_rtt;       /* of the largest acknowledged, ns, less the holding time: RACK.rtt */
    uint32_t srtt, rttvar;     /* ns; 0: not known */
    uint8_t reordering;        /* the reordering window, in quarters of the least round trip; 0: less, see recovery.c */
    uint8_t reordering_kept;   /* recoveries until it falls back to one quarter */
    uint8_t mistrusted;        /* stalls in a row over which no sample was taken */
    bool reordered : 1;        /* packets have overtaken one another on this path */
    bool measured : 1;         /* srtt is from acknowledgements; otherwise at best from the handshake */
    bool tail_probed : 1;      /* the end went out again, as a probe or as lost, since the last progress */
    bool excused : 1;          /* a timeout was put off because our loop was late */
    bool copy : 1;             /* what the last packet held goes out once more */
    bool probe : 1;            /* one packet may go beyond the window, and must elicit an ACK; */
    bool single : 1;           /* it holds what the receiver needs first, and no other piece */
    uint64_t queued_bytes;
    uint16_t max_payload; /* UDP payload that our interface and the peer allow; what the path carries: peer->mtu */
    uint8_t backoff;      /* retransmission timeouts since a packet or message was acknowledged, or the peer has room again */
    uint8_t silent;       /* retransmission timeouts since the last sign of life; neither counts beyond COUNT_MAX */
    uint32_t max_message; /* bytes of the longest message that the peer takes */
    uint64_t silent_from; /* the first of them */
    uint64_t pace_at; /* before that no packet with messages goes out */
    struct congestion congestion;
};

/* Of the last NUMBERS_TRACKED packet numbers those that were received. */
struct seen {
    uint64_t floor;                      /* lower numbers count as received, and are not spoken of */
    uint64_t bits[NUMBERS_TRACKED / 64]; /* bit n mod NUMBERS_TRACKED: n was */
};

struct receiver {
    struct deque messages; /* struct incoming; base is the next to be delivered */
    uint64_t complete;     /* all messages below it are complete; base <= complete <= end */
    uint64_t next_number;  /* largest packet number received + 1; 0: none */
    struct seen *seen;     /* from the pool while a number is missing */
    uint64_t run; /* all from here to next_number - 1 were received, as far back as is remembered; run - 1 was not */
    uint64_t largest_time;
    uint64_t ack_at;         /* an ACK is due; NEVER */
    uint32_t unacknowledged; /* ack-eliciting packets */
    uint8_t repeats;     /* so often the last ACK is said again if nothing comes */
    uint8_t alone;       /* ACKs of lone packets that were held since one had messages to go with; at most ACKS_ALONE */
    bool ack_now : 1;
    bool lone : 1;       /* the newest packet is the only one to be acknowledged: long after the one before, no message incomplete */
    bool repeat_ack : 1; /* numbers are missing of which no ACK has told */
    bool gap_told : 1;   /* the last ACK was the first to tell of some */
    bool blocked : 1;    /* the peer waits for credit: blocked_bytes, blocked_message */
    uint64_t limit_bytes, limit_messages; /* credit given */
    uint64_t told_bytes, told_messages;   /* credit that a CREDIT frame or the handshake told */
    uint64_t charged;                     /* of messages that have come */
    uint64_t released_bytes, released_messages;
    uint64_t delivered_bytes;                /* charges of the messages that the reader got */
    uint64_t blocked_bytes, blocked_message; /* the peer waits for that much */
    uint64_t refused;                  /* if in_refused: the first message that found no memory, */
    uint32_t refused_length;           /* and its length */
    uint32_t large_first, large_count; /* messages that wait for an extent, in order */
    uint32_t grants_owed;
    uint64_t large_bytes, large_lent; /* in large extents reserved and not released; of these with the reader */
    uint64_t fin_messages;
};

struct flow {
    struct transport *transport;   /* not owned */
    struct transport_owner *owner; /* not owned; NULL: closed */
    void *user;
    struct peer *peer;
    union {
        struct opening *opening; /* of a client's flow, while OPENING; NULL */
        uint64_t listener;       /* its id, of an accepted flow */
    };
    struct heap_timer timer;
    struct transport_path path;
    uint64_t remote_cid; /* the peer's */
    uint64_t cid; /* ours */
    uint64_t peer_epoch, nonce;
    uint16_t local_port, remote_port;
    uint16_t init_number;  /* of the INIT to be answered */
    uint16_t reset_reason; /* enum wire_reason */
    uint16_t fin_reason;
    uint8_t status; /* enum transport_status, from ENDED on */
    uint8_t state;  /* enum flow_state */
    uint16_t slot;
    int32_t deficit; /* bytes that may be sent in this turn; see transport.c */
    bool paced : 1; /* waits in transport->pacing, in slot `slot` */
    bool accepted_side : 1;
    bool closed : 1;        /* by the application */
    bool announce_owed : 1; /* established or accepted is to be called */
    bool announced : 1;
    bool ended_owed : 1, ended_told : 1;
    bool handshake_wanted : 1, fin_wanted : 1, reset_wanted : 1, credit_wanted : 1, blocked_wanted : 1;
    bool fin_sent : 1, fin_acknowledged : 1, fin_received : 1, reset_acknowledged : 1;
    bool lingering : 1, settled : 1, through : 1; /* through: counted in owner->lingering */
    bool disowned : 1; /* the peer does not know it: whether it is still the same engine is being asked, until the deadline */
    bool hashed : 1;   /* in transport->by_remote, by remote_cid and path.remote */
    bool in_transmit : 1, in_first : 1, in_opening : 1; /* in_opening: of the two lists of senders, that of its owner */
    bool in_undelivered : 1, in_waiting : 1, in_reap : 1;
    bool over_share : 1; /* waits for its reader to give something back */
    bool starved : 1;    /* the next message cannot begin for want of memory */
    bool in_refused : 1; /* in owner->refused: message rx.refused, and perhaps later ones, found no memory */
    uint64_t deadline; /* of the state: open, half-open, close, linger; NEVER */
    uint64_t stall_at; /* NEVER */
    uint64_t packets_sent, packets_received, packets_lost, packets_retransmitted;
    uint64_t messages_sent, messages_received, bytes_sent, bytes_received;
    struct flow *owner_prev, *owner_next, *peer_prev, *peer_next;
    union {
        struct flow *transmit_prev;
        struct flow *reap_next; /* when GONE: no such flow is among those that transmit */
    };
    struct flow *transmit_next, *undelivered_prev, *undelivered_next;
    struct flow *waiting_prev, *waiting_next, *refused_prev, *refused_next;
    struct sender tx;
    struct receiver rx;
};
static_assert(sizeof(struct flow) <= 936, "100,000 idle flows are to be kept");

/* A client's open in progress. */
struct opening {
    uint64_t sent, repeat_at, pause; /* when the last INIT went out */
    uint32_t attempts, retries;
    uint16_t cookie_length;
    uint8_t cookie[WIRE_COOKIE_MAX];
};

struct listener {
    struct endpoint local;
    uint64_t id;
    struct transport_owner *owner;
    struct listener *prev, *next;
};

enum { REPLY_BYTES_MAX = 128, REPLIES_MAX = 256 };

/* A packet that belongs to no flow. */
struct reply {
    struct transport_path path;
    uint16_t length;
    uint8_t bytes[REPLY_BYTES_MAX];
};

enum timer_kind { TIMER_FLOW, TIMER_PEER };

struct transport {
    struct transport_config config;
    struct transport_ops ops;
    struct transport_counters counters;
    struct prng prng;
    struct siphash_key key;
    uint64_t cid_count;
    struct pool pool;
    struct heap heap;
    uint64_t late_at; /* when our loop was last seen to be late */
    struct flow **flows; /* by the index in their cids */
    uint32_t flow_slots, flow_capacity; /* of them were used; there are */
    uint32_t flow_count, half_open;
    uint32_t *free_slots; /* a stack of those used that are free, */
    uint32_t free_count;  /* flow_count + free_count == flow_slots */
    struct hash_index by_remote; /* struct flow by its remote key, */
    struct hash_index peers;     /* struct peer and */
    struct hash_index hosts;     /* struct host by theirs: strangers make us look into all of them */
    struct known_path known_paths[KNOWN_PATHS]; /* by hash: of two with the same place the newer */
    struct listener *listeners;
    struct flow *transmit, *transmit_first; /* flows that want to, in turn; those that have used little go first */
    struct pacing pacing;
    struct transport_owner *opening; /* owners with flows that want to send an INIT, in turn */
    uint64_t inits_refilled, inits_held_until;
    uint32_t init_tokens, since_init;
    struct flow *reap;
    struct deque replies; /* struct reply */
    bool replied;         /* the last packet was one */
    uint64_t reset_tokens, reset_refilled;
    struct claims claims;
    uint16_t next_port;
};

/* Elements of the deques. */
#define OUTGOING(flow, n) ((struct outgoing *)deque_at(&(flow)->tx.messages, n, sizeof(struct outgoing)))
#define RECORD(flow, n) ((struct record *)deque_at(&(flow)->tx.records, n, sizeof(struct record)))
/* The i-th piece of a record. */
#define PIECE_OF(flow, record, i)                                                                                       \
    ((struct piece *)deque_at(&(flow)->tx.pieces, number_from((flow)->tx.pieces.base, (record)->first_piece) + (i), \
                              sizeof(struct piece)))
#define INCOMING(flow, n) ((struct incoming *)deque_at(&(flow)->rx.messages, n, sizeof(struct incoming)))

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The number >= base whose low 32 bits are `low`. */
static inline uint64_t number_from(uint64_t base, uint32_t low)
{
    return base + (uint32_t)(low - (uint32_t)base);
}

enum { COUNT_MAX = UINT8_MAX };

/* Of what happens ever again only the first few times make a difference. */
static inline uint8_t count_on(uint8_t count)
{
    return count < COUNT_MAX ? (uint8_t)(count + 1) : count;
}

static inline bool flow_on_network(const struct flow *flow)
{
    return flow->state == FLOW_OPEN || flow->state == FLOW_CLOSING || flow->state == FLOW_ENDED;
}

#endif /* MACHNET_ENGINE_FLOW_STATE_H */
