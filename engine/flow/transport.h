/* SPDX-License-Identifier: MIT */
/*
 * The transport of one worker, sans-IO: packets, spans and `now` come in; packets and events come out. It makes no system call,
 * reads no clock, draws no random number of its own (a seed is passed in) and knows neither NICs nor shared memory.
 *
 * One thread at a time per transport. `now` is in nanoseconds of any monotonic clock and never goes back.
 * Callbacks (struct transport_ops) run inside the calls below and must not call back into the transport.
 */
#ifndef MACHNET_ENGINE_FLOW_TRANSPORT_H
#define MACHNET_ENGINE_FLOW_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "flow/congestion.h"

struct transport;
struct transport_path;
struct flow;

/* Why a flow, a message or a request ended. The engine maps these to the statuses of the ABI. */
enum transport_status {
    TRANSPORT_OK = 0,
    TRANSPORT_CLOSED = 1, /* the peer's application closed after its last message */
    TRANSPORT_RESET = 2,  /* aborted by the peer, or its application died */
    TRANSPORT_REFUSED = 3, /* nobody listens there */
    TRANSPORT_UNREACHABLE = 4, /* no answer within the open timeout */
    TRANSPORT_PEER_DEAD = 5,
    TRANSPORT_PEER_RESTARTED = 6,
    TRANSPORT_PROTOCOL = 7, /* the peer broke the protocol */
    TRANSPORT_VERSION = 8,  /* no version in common */
    TRANSPORT_ABORTED = 9,  /* by our own application */
    TRANSPORT_NO_MEMORY = 10,
    TRANSPORT_TOO_LONG = 11, /* a message longer than the peer's channel can take */
    TRANSPORT_LIMIT = 12,    /* the peer has no room for one more flow */
};

/* An extent of the receive arena, owned by the caller who reserved it. */
struct transport_extent {
    uint8_t *data;
    uint32_t length; /* bytes asked for */
    uint64_t handle; /* the memory's own name for it */
};

/* A message to send. `data` must stay readable until `sent` is called with `cookie`; its bytes may change under us. */
struct transport_span {
    const uint8_t *data;
    uint32_t length;
    uint64_t tag;
    uint64_t cookie;
};

/* A group of flows with one memory and one reader: a channel. Embedded by the caller; the fields are the transport's. */
struct transport_owner {
    void *user;                 /* set by the caller, passed to callbacks */
    uint64_t receive_budget;    /* bytes, set by the caller: credits are cut from it */
    uint32_t message_max;       /* bytes, set by the caller: a longer message, which could never have room, ends its flow */
    bool scarce;                /* set by the caller: no credit is given now but 64 KiB of each flow */
    struct flow *flows;         /* all flows of this owner */
    struct flow *undelivered;   /* flows with something that found no room, FIFO */
    struct flow *waiting_grant; /* flows whose large message waits for an extent, FIFO */
    struct flow *refused;       /* flows whose message found no memory, FIFO */
    struct flow *opening;       /* flows that want to send an INIT, FIFO */
    struct transport_owner *opening_prev, *opening_next;
    uint32_t max_flows;  /* set by the caller: flows that others open beyond it are refused */
    uint32_t flow_count; /* of `flows` */
    uint32_t half_open;  /* of these: accepted, not yet confirmed */
    uint32_t lingering;  /* of these: ended, told and closed, kept for the peer alone */
    uint64_t promised_bytes; /* of credit given and not used, and of small messages held; see credit.c */
    uint64_t granted_bytes;  /* of large extents reserved and not released */
};

enum transport_delivery { TRANSPORT_NO_ROOM = 0, TRANSPORT_DELIVERED = 1, TRANSPORT_OVER_SHARE = 2 };

/* What the transport asks of its surroundings. `flow_user` is what transport_open got or `accepted` returned. */
struct transport_ops {
    /* Reserves receive memory for one message of `length` bytes (0 allowed). `last_reserve`: this is the head message of its
     * flow and may use the part kept back for heads. Returns false if there is none now; the memory's owner calls
     * transport_memory_available when that changes. */
    bool (*extent_reserve)(struct transport_owner *owner, uint32_t length, bool last_reserve,
                           struct transport_extent *extent);
    /* Gives back an extent that was never delivered. */
    void (*extent_abandon)(struct transport_owner *owner, const struct transport_extent *extent);
    /* Hands over the next message of a flow, in order. NO_ROOM: transport_owner_resume tries again; OVER_SHARE: the reader holds so much
     * of this flow that others go first, and transport_released of one of its messages tries again. When DELIVERED, the extent belongs to
     * the reader, who gives it back with transport_released. */
    enum transport_delivery (*deliver)(struct transport_owner *owner, void *flow_user, const struct transport_extent *extent,
                    uint64_t tag);
    /* Lifecycle, each at most once for a flow, retried like deliver when they return false. `ended` is the last call for a
     * flow and comes after its last deliver and its last sent. */
    bool (*established)(struct transport_owner *owner, void *flow_user, struct flow *flow);
    bool (*ended)(struct transport_owner *owner, void *flow_user, enum transport_status status);
    /* A flow was accepted by a listener: returns true and sets *flow_user (NULL: it is refused), or false when there is no room now (tried
     * again). */
    bool (*accepted)(struct transport_owner *owner, uint64_t listener, struct flow *flow, void **flow_user);
    /* The span with this cookie is not read any more: acknowledged (TRANSPORT_OK) or failed. Cannot be refused. */
    void (*sent)(struct transport_owner *owner, void *flow_user, uint64_t cookie, enum transport_status status);
    /* A large message, or the next of a flow, has waited for an extent for a while. True: the reader was told that it holds what there is, or
     * need not be. False: that is not so now; asked again if the message goes on waiting. Advisory. */
    bool (*stalled)(struct transport_owner *owner, void *flow_user);
    /* Bytes of UDP payload that our interface can send on the path of a flow that is being accepted. Asked then only, because asking may
     * take a system call, and strangers send packets. NULL: what transport_receive was told. */
    uint32_t (*path_limit)(struct transport_owner *owner, const struct transport_path *path);
};

struct transport_config {
    uint64_t epoch;           /* random, of this engine's boot */
    uint64_t seed;            /* for connection ids, nonces, cookies */
    uint8_t worker;           /* index of this worker: upper 6 bits of our connection ids */
    uint32_t max_flows;       /* <= 2^18 */
    uint32_t max_half_open;   /* accepted, not yet confirmed; above it, or above a quarter of it for one owner, RETRY is sent */
    uint32_t max_udp_payload; /* longest packet we accept: WIRE_PAYLOAD_MIN_MTU .. WIRE_PACKET_MAX */
    uint64_t dead_peer_ns;    /* default 10 s */
    uint64_t probe_ns;        /* a silent peer with flows is probed so often; default 2.5 s */
    enum congestion_kind algorithm; /* of congestion control */
    uint32_t host_noise_ns;   /* packets may wait so long in kernels and for processors, at both ends: such a delay is not taken for a queue */
    uint32_t window_packets;  /* most packets in flight of a flow; default 1024, >= 256 */
};

/* Where a packet comes from or goes to. */
struct transport_path {
    struct endpoint local;    /* our UDP endpoint */
    struct endpoint remote;   /* the peer's UDP endpoint */
    uint32_t max_udp_payload; /* bytes that our interface can send there */
};

/* Returns NULL if memory is short. `ops` and `config` are copied. */
struct transport *transport_new(const struct transport_config *config, const struct transport_ops *ops);
/* Frees everything; owners get no more callbacks except `sent`-less release of memory: extent_abandon for what was never delivered. */
void transport_free(struct transport *transport);

/* `message_max` is that of the ABI and `max_flows` without bound, until the caller sets less. */
void transport_owner_init(struct transport_owner *owner, void *user, uint64_t receive_budget);
/* Aborts all flows of the owner (peers get `reason`, an enum wire_reason) and its listeners, abandons all its extents. No callback with
 * this owner is made after it returns. */
void transport_owner_close(struct transport *transport, struct transport_owner *owner, uint16_t reason, uint64_t now);
/* There is room again for deliver and lifecycle calls. */
void transport_owner_resume(struct transport *transport, struct transport_owner *owner, uint64_t now);
/* There is receive memory again: waiting messages are granted, in turn, and senders told to try again. */
void transport_memory_available(struct transport *transport, struct transport_owner *owner, uint64_t now);

/* Accepts flows for flow address `local` (ip may be any). -EADDRINUSE-like conflicts are the caller's to check; returns false if memory is short. */
bool transport_listen(struct transport *transport, struct transport_owner *owner, const struct endpoint *local,
                      uint64_t id);
/* Accepts no more; flows that `accepted` was not called for are reset, and it will not be. */
void transport_unlisten(struct transport *transport, struct transport_owner *owner, uint64_t id);

/* Opens a flow from flow port `local_port` (0: chosen) to `remote_port` over `path`; `established` or `ended` follows within timeout_ns.
 * Returns NULL if max_flows is reached or memory is short (status in *status). The flow lives until `ended` was called *and*
 * transport_close was called. */
struct flow *transport_open(struct transport *transport, struct transport_owner *owner, void *flow_user,
                            const struct transport_path *path, uint16_t local_port, uint16_t remote_port,
                            uint64_t timeout_ns, uint64_t now, enum transport_status *status);
/* Queues a message; it goes out when window, credit and grants allow. After the flow has ended, if memory is short (then the flow ends with
 * TRANSPORT_NO_MEMORY), and if the peer cannot take so long a message (TRANSPORT_TOO_LONG): false, `sent` is not called. */
bool transport_send(struct transport *transport, struct flow *flow, const struct transport_span *span, uint64_t now);
/* The application is done with the flow: graceful (what was sent still arrives, then FIN) or abort. Messages that come
 * from now on are not kept. `ended` follows, perhaps inside this call, unless it was called before. The caller must not
 * use `flow` after it. */
void transport_close(struct transport *transport, struct flow *flow, bool abort, uint64_t now);
/* The reader gave back a delivered message of `length` bytes of this flow (which is not closed). */
void transport_released(struct transport *transport, struct flow *flow, uint32_t length, uint64_t now);
/* The same for many messages of one flow: added up, then told. */
struct transport_release {
    uint64_t charge;      /* bytes of credit */
    uint64_t large_bytes; /* of those over 64 KiB */
    uint32_t messages;
};
void transport_release_add(struct transport_release *release, uint32_t length);
void transport_released_many(struct transport *transport, struct flow *flow, const struct transport_release *release,
                             uint64_t now);
/* The same for a message whose flow is closed or gone: only the owner's accounts. */
void transport_released_orphan(struct transport *transport, struct transport_owner *owner, uint32_t length);

/* A packet (UDP payload) came in; it is only read during the call. */
void transport_receive(struct transport *transport, const struct transport_path *path, const uint8_t *packet,
                       size_t length, uint64_t now);
/* Builds the next packet to send into buffer[0 .. capacity), capacity >= WIRE_PAYLOAD_MIN_MTU; returns its length, or 0 if nothing may be sent now.
 * Packets of one flow come in bursts, so that they can be sent together. */
size_t transport_transmit(struct transport *transport, uint8_t *buffer, size_t capacity, struct transport_path *path,
                          uint64_t now);
/* The path refused a packet as too long: flows over it send at most `max_udp_payload`, until a probe finds that more passes. */
void transport_path_too_long(struct transport *transport, const struct transport_path *path, uint32_t max_udp_payload,
                             uint64_t now);
/* That the engine at an address is the one of `epoch`, as a packet said that came to one of the workers. */
struct transport_claim {
    struct endpoint local, remote;
    uint64_t epoch;
};
/* What the other workers of our engine should hear; false: nothing more. What nobody takes is bounded, and kept. */
bool transport_take_claim(struct transport *transport, struct transport_claim *claim);
/* What another worker heard. It is not believed: a peer that is known by another epoch is asked, unless it is being asked just now. */
void transport_claimed(struct transport *transport, const struct transport_claim *claim, uint64_t now);
/* When transport_timeout must be called next; UINT64_MAX: never. */
uint64_t transport_next_timeout(const struct transport *transport);
/* The same for one who will sleep until then: deadlines that are not meant any more are taken away, and ACKs that would be due before sleeping
 * has paid are to be sent at once (then it is `now`). */
uint64_t transport_sleep_until(struct transport *transport, uint64_t now);
void transport_timeout(struct transport *transport, uint64_t now);
/* True if transport_transmit may have something. */
bool transport_wants_transmit(const struct transport *transport);
/* Resets all flows of all owners (engine shutdown), who get `ended` with TRANSPORT_RESET: packets that tell the peers are
 * then given by transport_transmit. */
void transport_shutdown(struct transport *transport, uint64_t now);

/* ---- For status ---- */

struct transport_flow_info {
    struct endpoint local, remote; /* flow addresses: ip and flow port */
    struct endpoint udp_local, udp_remote;
    const char *state; /* "opening", "open", "closing", ... ; static */
    struct transport_owner *owner;
    uint64_t srtt_ns, rttvar_ns; /* 0 until measured */
    uint32_t window_packets, in_flight_packets;
    uint32_t max_udp_payload; /* of the packets that it sends now; 0: not known yet */
    uint64_t packets_sent, packets_received, packets_lost, packets_retransmitted;
    uint64_t messages_sent, messages_received, bytes_sent, bytes_received; /* payload */
    uint64_t queued_bytes; /* given to transport_send and not acknowledged */
};
void transport_flow_info(const struct flow *flow, struct transport_flow_info *info);
/* Calls visit for up to `max` flows; returns how many flows there are. */
uint32_t transport_flows(const struct transport *transport, uint32_t max,
                         void (*visit)(void *arg, const struct flow *flow), void *arg);

/* Counters of a transport: one X-list for the struct, the names and `machnet status`. */
#define TRANSPORT_COUNTERS(X)                                                                                      \
    X(packets_sent)                                                                                                \
    X(packets_received)                                                                                            \
    X(bytes_sent)                                                                                                  \
    X(bytes_received)                                                                                              \
    X(messages_sent)                                                                                               \
    X(messages_received) X(packets_lost) X(packets_retransmitted) X(tail_probes) X(probe_timeouts) X(spurious_losses) X(duplicate_packets)           \
        X(no_memory_drops) X(bad_checksum) X(bad_version) X(malformed) X(unknown_flow) X(resets_sent)              \
            X(resets_ignored) X(handshakes) X(handshake_refused) X(retries_sent) X(flows_opened) X(flows_accepted) \
                X(flows_ended) X(peers_dead) X(peers_restarted) X(mtu_probes) X(black_holes)
struct transport_counters {
#define X(name) uint64_t name;
    TRANSPORT_COUNTERS(X)
#undef X
};
const struct transport_counters *transport_counters(const struct transport *transport);

/* Bytes of credit that a message of `total` bytes takes (PROTOCOL.md, credits). Pure. */
uint32_t flow_charge(uint32_t total);

#endif /* MACHNET_ENGINE_FLOW_TRANSPORT_H */
