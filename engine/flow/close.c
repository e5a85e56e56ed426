/* SPDX-License-Identifier: MIT */
/* How flows end (PROTOCOL.md, section 7). */
#include "flow/flow.h"

#define ANSWER_NS \
    MILLISECONDS( \
        1000) /* so long a peer that has our FIN may take to send its own, or to take our messages after its own */
/* So long a flow that has ended acknowledges what is repeated. A peer whose last acknowledgement is lost, and who asks again after we forgot the flow, is
 * told that it was reset, although all has arrived: it repeats each 200 ms at the latest, but its host may be busy with others for as long. */
#define LINGER_NS MILLISECONDS(1000)
#define PROBE_REPLY_MIN MILLISECONDS(200)

/* So long an answer to a PROBE is waited for. */
static uint64_t probe_patience(const struct flow *flow)
{
    return min_u64(max_u64(3 * retransmission_timeout(flow), PROBE_REPLY_MIN), ANSWER_NS);
}

/* So long FIN and RESET frames are repeated: a peer that has not heard of them by then is dead, or holds us for dead. */
static uint64_t patience(const struct flow *flow)
{
    return flow->transport->config.dead_peer_ns;
}

/* Nobody but the network knew of it, or it never came so far. */
static void end_unopened(struct flow *flow, enum transport_status status, uint64_t now)
{
    if (flow->state == FLOW_ACCEPTING) {
        flow->closed = true;
        flow->ended_told = true;
        incoming_drop_all(flow);
    }
    flow->status = (uint8_t)status;
    flow->ended_owed = true;
    flow_forget(flow);
    flow_deliver(flow, now);
}

void flow_end(struct flow *flow, enum transport_status status, uint64_t now)
{
    if (flow->state >= FLOW_ENDED) {
        return;
    }
    if (flow->state == FLOW_OPENING || flow->state == FLOW_ACCEPTING) {
        end_unopened(flow, status, now);
        return;
    }
    flow->state = FLOW_ENDED;
    flow->status = (uint8_t)status;
    send_fail(flow, status);
    if (flow->owner) {
        incoming_trim(flow);
    }
    flow->fin_wanted = status == TRANSPORT_CLOSED;
    flow->deadline = now + (flow->fin_wanted ? patience(flow) : LINGER_NS);
    flow->ended_owed = true;
    flow_deliver(flow, now);
    flow_activate(flow);
    flow_timer(flow);
}

void flow_abort(struct flow *flow, enum transport_status status, uint16_t reason, uint64_t now)
{
    bool on_network = flow->state == FLOW_OPEN || flow->state == FLOW_CLOSING;
    flow_end(flow, status, now);
    if (on_network) {
        flow->reset_reason = reason;
        flow->reset_wanted = true;
        flow->deadline = now + patience(flow);
        flow_activate(flow);
        flow_timer(flow);
    }
}

void flow_drop_unannounced(struct flow *flow, uint16_t reason, uint64_t now)
{
    flow->closed = true;
    flow->ended_told = true;
    flow->announce_owed = false;
    incoming_drop_all(flow);
    flow_abort(flow, TRANSPORT_REFUSED, reason, now);
    flow_settle(flow);
}

static void progress_closing(struct flow *flow, uint64_t now)
{
    bool done = flow->fin_acknowledged && deque_count(&flow->tx.messages) == 0;
    if (done && flow->fin_received) {
        flow_end(flow, TRANSPORT_OK, now);
    } else if (done || flow->fin_received) {
        flow->deadline = min_u64(flow->deadline, now + ANSWER_NS);
    }
}

void close_progress(struct flow *flow, uint64_t now)
{
    if (flow->state == FLOW_CLOSING) {
        progress_closing(flow, now);
    }
    bool answered = flow->fin_acknowledged || flow->reset_acknowledged;
    if (flow->state == FLOW_ENDED && answered && !flow->lingering) {
        flow->lingering = true;
        flow->deadline = min_u64(flow->deadline, now + LINGER_NS);
    }
}

static bool closing_in_vain(const struct flow *flow)
{
    return flow->state == FLOW_CLOSING && !flow->fin_received && deque_count(&flow->tx.messages) > 0;
}

void close_stalled(struct flow *flow, uint64_t now)
{
    if (closing_in_vain(flow)) {
        flow->deadline = min_u64(flow->deadline, now + flow->transport->config.dead_peer_ns);
    }
}

void close_goes_on(struct flow *flow)
{
    if (closing_in_vain(flow) && !flow->disowned) {
        flow->deadline = NEVER;
    }
}

void close_timeout(struct flow *flow, uint64_t now)
{
    if (flow->deadline > now) {
        return;
    }
    if (flow->disowned && flow->state < FLOW_ENDED) {
        flow_end(flow, TRANSPORT_RESET, now);
        flow_forget(flow);
    } else if (closing_in_vain(flow)) {
        flow_abort(flow, TRANSPORT_PEER_DEAD, WIRE_REASON_ABORTED, now);
    } else if (flow->state == FLOW_CLOSING) {
        flow_end(flow, deque_count(&flow->tx.messages) == 0 ? TRANSPORT_OK : TRANSPORT_CLOSED, now);
    } else {
        flow_forget(flow);
    }
}

/* The peer does not know the flow. After our FIN and everything before it that means that it has closed too. Else it has reset the flow, or is another
 * engine by now: it is asked which, by every RESET that comes, and for want of an answer it has reset it. */
void close_reset_packet(struct flow *flow, uint64_t now)
{
    bool closed = flow->state == FLOW_CLOSING && flow->fin_sent && deque_count(&flow->tx.messages) == 0;
    if (!closed && flow->state < FLOW_ENDED && peer_ask(flow, now)) {
        if (!flow->disowned) {
            flow->disowned = true;
            flow->deadline = min_u64(flow->deadline, now + probe_patience(flow));
            flow_timer(flow);
        }
        return;
    }
    flow_end(flow, closed ? TRANSPORT_OK : TRANSPORT_RESET, now);
    flow_forget(flow);
}

static void close_in_order(struct flow *flow, uint64_t now)
{
    if (flow->state == FLOW_OPEN) {
        flow->state = FLOW_CLOSING;
        flow->fin_wanted = true;
        incoming_discard(flow);
        credit_reader_gone(flow);
        flow_activate(flow);
    } else if (flow->state >= FLOW_ENDED) {
        incoming_drop_all(flow);
    }
    flow_deliver(flow, now);
}

void transport_close(struct transport *transport, struct flow *flow, bool abort, uint64_t now)
{
    flow->closed = true;
    flow->over_share = false;
    if (abort) {
        incoming_drop_all(flow);
        flow_abort(flow, TRANSPORT_ABORTED, WIRE_REASON_ABORTED, now);
        flow_deliver(flow, now);
    } else {
        close_in_order(flow, now);
    }
    flow_settle(flow);
    transport_reap(transport);
}
