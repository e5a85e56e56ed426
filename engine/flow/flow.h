/* SPDX-License-Identifier: MIT */
/* What the files of this folder offer to one another. Nobody else includes it: see transport.h. */
#ifndef MACHNET_ENGINE_FLOW_FLOW_H
#define MACHNET_ENGINE_FLOW_FLOW_H

#include "flow/state.h"

/* ---- table.c: flows and their timers ---- */

/* Of a flow before the next flow's turn. */
enum { TURN_BYTES = 24576 };

/* A flow with a cid and a timer; NULL if there are too many or memory is short (*status). */
struct flow *flow_new(struct transport *transport, struct transport_owner *owner, const struct transport_path *path,
                      enum transport_status *status, uint64_t now);
struct flow *flow_find(const struct transport *transport, uint64_t cid);
/* The peer's cid has become known; returns false if memory is short. */
bool flow_hash(struct flow *flow, uint64_t remote_cid);
struct flow *flow_find_remote(const struct transport *transport, const struct endpoint *remote, uint64_t remote_cid);
/* The flow may have something to transmit. */
void flow_activate(struct flow *flow);
/* The flow has nothing to transmit for now. */
void flow_quiet(struct flow *flow);
/* The flow, which is in transmission, has had its turn: others are next. */
void flow_turn_over(struct flow *flow);
/* The flow, which is in transmission, has nothing to transmit before `at`, or until flow_activate finds something that is not paced. */
void flow_pause(struct flow *flow, uint64_t at, uint64_t now);
/* A deadline of the flow may have come nearer. */
void flow_timer(struct flow *flow);
/* The flow is GONE, or its owner is through with it: freed at the end of this call from outside, if both. */
void flow_settle(struct flow *flow);
/* Frees the flows that flow_settle found: the last thing that each call from outside does. */
void transport_reap(struct transport *transport);
/* A number that outsiders cannot predict. */
uint64_t transport_random(struct transport *transport);

/* ---- reply.c: packets that belong to no flow ---- */

/* A place for a packet of up to REPLY_BYTES_MAX bytes that goes back where `path` came from, or NULL: then it is left out. */
struct reply *reply_new(struct transport *transport, const struct transport_path *path);
void reply_reset(struct transport *transport, const struct transport_path *path, const struct wire_header *header,
                 uint64_t now);
void reply_version(struct transport *transport, const struct transport_path *path, const uint8_t *packet, size_t length,
                   const struct wire_header *header);
void reply_refuse(struct transport *transport, const struct transport_path *path, const struct wire_header *init,
                  uint64_t client_cid, uint64_t nonce, uint16_t reason);
void reply_retry(struct transport *transport, const struct transport_path *path, const struct wire_header *init,
                 const struct wire_handshake *handshake, uint64_t now);
/* Whether the INIT carries a cookie of ours. */
bool cookie_valid(const struct transport *transport, const struct transport_path *path,
                  const struct wire_handshake *handshake, uint64_t now);
size_t reply_transmit(struct transport *transport, uint8_t *buffer, struct transport_path *path);

/* ---- handshake.c ---- */

size_t handshake_transmit(struct flow *flow, uint8_t *buffer, size_t capacity, uint64_t now);
void handshake_init(struct transport *transport, const struct transport_path *path, const struct wire_header *header,
                    const struct wire_handshake *handshake, uint64_t now);
void handshake_answer(struct transport *transport, const struct transport_path *path, const struct wire_header *header,
                      const struct wire_handshake *handshake, uint64_t now);
/* The flow that has asked for what comes from there; NULL: nobody has. */
struct flow *flow_opening(const struct transport *transport, const struct transport_path *path, uint64_t cid);
void handshake_timeout(struct flow *flow, uint64_t now);
/* The first valid FLOW packet of a half-open flow has come. */
void handshake_confirmed(struct flow *flow, uint64_t now);

/* ---- opening.c: whose INIT is next ---- */

/* The flow, which is OPENING, waits for its owner's turn, or does not wait any more. */
void opening_append(struct flow *flow);
void opening_remove(struct flow *flow);
bool opening_ready(const struct transport *transport);
/* The next INIT, or 0: there is none, or none may be sent before inits_held_until. */
size_t opening_transmit(struct transport *transport, uint8_t *buffer, size_t capacity, struct transport_path *path,
                        uint64_t now);

/* ---- listener.c ---- */

const struct listener *listener_find(const struct transport *transport, const struct endpoint *local);
void listeners_drop(struct transport *transport, const struct transport_owner *owner);

/* ---- peer.c ---- */

struct peer *peer_find(const struct transport *transport, const struct transport_path *path);
/* Joins a flow to the peer of its path; returns false if memory is short. */
bool peer_join(struct flow *flow, uint64_t now);
void peer_leave(struct flow *flow);
void peer_heard(struct peer *peer, uint64_t now);
/* The epoch of a peer is proven; flows of other epochs end. */
void peer_believe(struct transport *transport, struct peer *peer, uint64_t epoch, uint64_t now);
/* An INIT claims an epoch: those of another one there are asked, and the other workers told. */
void peer_claimed(struct transport *transport, const struct transport_path *path, uint64_t epoch, uint64_t now);
void peer_probe(struct transport *transport, const struct transport_path *path, const struct wire_probe *probe);
void peer_probe_reply(struct transport *transport, const struct transport_path *path, const struct wire_probe *probe,
                      uint64_t now);
void peer_timeout(struct transport *transport, struct peer *peer, uint64_t now);
/* Asks the flow's peer whether it is still who it was; false: that is not known of it, and there is nothing to ask. */
bool peer_ask(struct flow *flow, uint64_t now);
/* The peer takes packets of up to `peer_limit` bytes: the flow's longest payload follows. */
void peer_limit_payload(struct flow *flow, uint32_t peer_limit);

/* ---- claims.c ---- */

/* Somebody at the address of this peer is the engine of `epoch`, or says so: the other workers of our engine are to hear of it, if they have
 * not lately. */
void claim_tell(struct transport *transport, const struct peer_key *peer, uint64_t epoch, bool proven, uint64_t now);

/* ---- packet.c: FLOW packets out ---- */

/* Whether there is something to send, as far as can be told without trying: window and credit may still be in the way. */
bool send_wanted(const struct flow *flow);
/* The longest payload that goes to the flow's peer now. */
uint32_t send_max_payload(const struct flow *flow);
/* Whether there is something besides messages: it is not paced. */
bool send_urgent(const struct flow *flow);
/* When messages may go on, if their pace alone holds them back; NEVER: it does not. */
uint64_t send_paused_until(const struct flow *flow, uint64_t now);
/* Builds the flow's next packet; returns its length, or 0 if there is nothing to send. */
size_t send_transmit(struct flow *flow, uint8_t *buffer, size_t capacity, uint64_t now);

/* ---- send.c: messages to send ---- */

/* Ends the flow if a message is queued that the peer cannot take. */
void send_check_lengths(struct flow *flow, uint64_t now);
/* All messages have been sent once. */
bool send_drained(const struct flow *flow);
/* Gives up all messages: tells `sent` if there is an owner. */
void send_fail(struct flow *flow, enum transport_status status);
/* A message is held by the peer: tells `sent`. */
void send_complete(struct flow *flow, struct outgoing *message);
/* Drops what is complete at the front. */
void send_trim(struct flow *flow);
/* Frames from the peer; false: it broke the protocol. */
bool send_credit(struct flow *flow, uint64_t bytes, uint32_t messages, uint64_t now);
bool send_grant(struct flow *flow, uint32_t message, uint32_t bytes);

/* ---- records.c: packets in flight or declared lost ---- */

/* Makes room for the record of one more packet; false: memory is short. */
bool records_reserve(struct flow *flow);
/* The packet in flight is lost: its content is queued again. Returns false, and does nothing, if memory is short. */
bool record_lose(struct flow *flow, uint64_t number);
/* The packet has been acknowledged; true: for the first time, as far as is known. */
bool record_acknowledge(struct flow *flow, uint64_t number);
/* The control frames of a packet are to be sent again, as far as they still matter. */
void record_control_again(struct flow *flow, uint64_t number);
/* The last packet in flight of which a copy could be sent; false: there is none. */
bool record_last(const struct flow *flow, uint64_t *number);
/* The i-th message of a piece, 0 <= i < count, as a piece of its own: of one that nobody needs any more perhaps without length. */
struct piece piece_part(const struct flow *flow, const struct piece *piece, uint32_t i);
/* Whether a lost piece, which is no run, still must be sent. */
bool piece_wanted(const struct flow *flow, const struct piece *piece);
/* How soon the receiver needs what the packet holds: by message, then by offset. NEVER: it does not. */
uint64_t record_urgency(const struct flow *flow, const struct record *record);
/* What the receiver needs first of all that is to be sent again is next. Takes time proportional to that. */
void again_needed_first(struct flow *flow);
/* Drops the records at the front that nobody asks for any more. */
void records_trim(struct flow *flow);
void records_free(struct flow *flow);

/* So late a timer can be that our own loop must have stood still. */
#define LATE_TIMEOUT MILLISECONDS(1)

/* ---- recovery_rtt.c: round trips ---- */

/* Before timers run, or a packet is looked at: what our loop does late it measures wrong. */
void recovery_notice_late_loop(struct transport *transport, uint64_t now);
/* An ACK for packet `largest` has come, before it is applied. Returns its round trip for congestion control, ns; 0: none to be trusted. */
uint64_t recovery_measure(struct flow *flow, uint64_t largest, uint32_t holding_ns, uint64_t now);
/* The round trip as the handshake shows it: until something better is known. */
void recovery_first_guess(struct flow *flow, uint64_t rtt, uint64_t now);
/* The smallest round trip of late, ns; 0: not known. */
uint64_t recovery_min_rtt(const struct flow *flow);

/* ---- recovery.c: loss detection, timeouts ---- */

/* A packet, in flight or `lost`, has been acknowledged. */
void recovery_acknowledged(struct flow *flow, uint64_t number, bool lost);
/* An ACK that brought something new has been applied: declares lost what it shows to be. */
void recovery_progress(struct flow *flow, uint64_t now);
/* An ACK that was held back, or said again, of the largest number that any told: a while passed in which nothing came. */
void recovery_nothing_came(struct flow *flow, uint32_t holding_ns, uint64_t now);
/* The peer has room again: what it may have refused is sent now, not at the next timeout. */
void recovery_go_on(struct flow *flow, uint64_t now);
/* The retransmission timeout without backoff, ns. */
uint64_t retransmission_timeout(const struct flow *flow);
/* When the peer is to be asked; NEVER if nothing is in flight. */
uint64_t probe_at(const struct flow *flow);
void recovery_timeout(struct flow *flow, uint64_t now);

/* ---- ack.c: packet numbers received, ACK frames out and in ---- */

/* False: it has come before, or so long ago that it counts as come. */
bool number_is_new(const struct flow *flow, uint64_t number);
/* Makes room for what number_record of a new number has to keep; false: memory is short. */
bool number_reserve(struct flow *flow, uint64_t number);
void number_record(struct flow *flow, uint64_t number, bool eliciting, uint64_t now);
/* Gives back the memory in which gaps are remembered: what is missing counts as come, but is not acknowledged. */
void numbers_forget(struct flow *flow);
/* When that is due; NEVER. */
uint64_t numbers_forget_at(const struct flow *flow);
void ack_frame(const struct flow *flow, struct wire_frame *frame, uint64_t now);
void ack_sent(struct flow *flow, uint64_t now);
/* The ACK goes now: it was held for long enough, or we are about to sleep. */
void ack_held(struct flow *flow);
/* Messages go out: an ACK that is held has company, and one that came shortly before could have waited. */
void ack_answered(struct flow *flow, uint64_t now);
/* How long an ACK is held back that nothing makes urgent; of the peer's we assume the same. ns */
uint64_t ack_delay(const struct flow *flow);
/* Returns false if the peer broke the protocol. */
bool ack_receive(struct flow *flow, const struct wire_frame *frame, uint64_t now);

/* ---- receive.c: FLOW packets in ---- */

void flow_receive(struct flow *flow, const struct wire_header *header, const uint8_t *body, size_t length,
                  uint64_t now);

/* ---- incoming.c: messages being assembled ---- */

enum placement {
    PLACED,
    NOT_PLACED, /* no room now: the packet must come again */
    VIOLATION,
    TOO_LONG, /* there can never be room for it */
};
enum placement incoming_place(struct flow *flow, const struct wire_frame *frame, uint64_t now);
/* Gives back what an entry holds. */
void incoming_free(struct flow *flow, struct incoming *message);
/* Drops what cannot be delivered any more: messages that are not complete, and all behind the first of them. */
void incoming_trim(struct flow *flow);
/* The reader is gone: messages are acknowledged but not kept from now on. */
void incoming_discard(struct flow *flow);
/* Gives back all that is not delivered. */
void incoming_drop_all(struct flow *flow);

/* ---- ranges.c ---- */

/* Adds [start, end) to what has come of the message; false: too many gaps, or memory is short; then nothing is changed. */
bool ranges_add(struct pool *pool, struct incoming *message, uint32_t start, uint32_t end);
void ranges_free(struct pool *pool, struct incoming *message);

/* ---- deliver.c ---- */

/* Calls what is owed to the owner, in order, as far as there is room. */
void flow_deliver(struct flow *flow, uint64_t now);

/* ---- credit.c ---- */

/* What a flow begins with: told to the peer, not yet promised. */
void credit_tell_first(struct flow *flow);
void credit_init(struct flow *flow);
/* So many messages, of together `charge` bytes of credit, need no memory any more. */
void credit_release(struct flow *flow, uint32_t messages, uint64_t charge);
/* The application has closed: what its reader holds is not given back to the flow any more. */
void credit_reader_gone(struct flow *flow);
/* The peer says that it is blocked. */
void credit_blocked(struct flow *flow, uint64_t bytes, uint64_t message, uint64_t now);
/* No credit will be given any more, nothing will be delivered: takes back the promise of what was not used. */
void credit_settle(struct flow *flow);

/* ---- grant.c ---- */

/* A large message has come: it waits for its extent. */
void grant_wait(struct flow *flow, uint64_t number, uint64_t now);
/* Serves waiting flows of the owner in turn. */
void grant_run(struct transport *transport, struct transport_owner *owner, uint64_t now);
/* Nothing of the flow waits any more. */
void grant_leave(struct flow *flow);
void grant_stalled(struct flow *flow, uint64_t now);
/* The next message of the flow could begin, or could not for want of memory. */
void grant_head(struct flow *flow, bool placed, uint64_t now);
/* A large extent was given back. */
void grant_released(struct flow *flow, uint64_t large_bytes);

/* ---- refused.c ---- */

/* Message `number` has come, and found no memory. */
void refused_add(struct flow *flow, uint64_t number, uint32_t length);
/* Nobody waits for memory any more, or the flow has ended. */
void refused_remove(struct flow *flow);
/* Messages were delivered: the next may be the one that was refused. */
void refused_delivered(struct flow *flow);
/* There is memory again. */
void refused_run(struct transport_owner *owner);

/* ---- close.c ---- */

/* The flow has ended: messages not sent fail, what is complete is still delivered, then `ended`. Does nothing the second time. */
void flow_end(struct flow *flow, enum transport_status status, uint64_t now);
/* The same, and tells the peer with RESET frames. */
void flow_abort(struct flow *flow, enum transport_status status, uint16_t reason, uint64_t now);
/* A flow that its application has not heard of, and will not. */
void flow_drop_unannounced(struct flow *flow, uint16_t reason, uint64_t now);
/* The network forgets the flow. */
void flow_forget(struct flow *flow);
/* Something that a close waits for may have happened. */
void close_progress(struct flow *flow, uint64_t now);
void close_timeout(struct flow *flow, uint64_t now);
/* A timeout; something was acknowledged: a flow that its application has closed is not kept for ever by a peer that lives but acknowledges
 * nothing of what is left. (One whose messages wait for credit has nothing in flight, and no timeouts.) */
void close_stalled(struct flow *flow, uint64_t now);
void close_goes_on(struct flow *flow);
/* A RESET packet with its proof has come. */
void close_reset_packet(struct flow *flow, uint64_t now);

#endif /* MACHNET_ENGINE_FLOW_FLOW_H */
