/* SPDX-License-Identifier: MIT */
/*
 * The need-wakeup protocol of capi/channel/layout.h and the pollable descriptor of the library: no wake-up is lost.
 *
 * A sending thread of the application submits N messages; the engine answers each with a delivery, but lends only LENT at a time and
 * keeps the others in a private queue until a release comes; a receiving thread takes deliveries, sorts them into the private queues of
 * two flows, and gives each message back by a release. All may sleep. A lost wake-up is a state in which nobody can go on and the
 * receiver has not got everything: an invalid end state, which spin reports. run.sh searches all states.
 *
 * Memory: a store stays in its thread's buffer until the process `memory` brings it out, at any time, in any order among variables; so do
 * read-modify-writes that are relaxed. Only a fence waits. (That is weaker than x86 and, for what matters here, as weak as Arm.)
 *
 * Ways of waiting: -DMODE=WAIT (in a call), LEVEL (poll on the descriptor; the application may poll again though it has not read
 * everything), EDGE (edge-triggered epoll; it reads both flows until EAGAIN). Each BROKEN_x leaves out one part of the protocol.
 */
#define WAIT 1
#define LEVEL 2
#define EDGE 3
#ifndef MODE
#define MODE WAIT
#endif

#define N 3
#define LENT 2
#define PIPE 2 /* bytes that it holds */

#define SUBMISSIONS 1
#define RELEASES 2

/* Indices and bits: x is what all see, x_own what its one writer has written. */
byte submitted, submitted_own;
byte delivered, delivered_own;
byte released, released_own;
byte engine_sleeping, engine_sleeping_own;
bool client_sleeping, client_arming; /* arming: the receiver's fetch_or is still in its buffer */

/* Descriptors. event: the eventfd is on the ready list of the engine's edge-triggered epoll. edge: so is the client's descriptor on the
 * application's. */
bool event;
byte pipe;
bool notice, edge;

active proctype memory()
{
end:
    do
    :: submitted != submitted_own -> submitted = submitted_own
    :: delivered != delivered_own -> delivered = delivered_own
    :: released != released_own -> released = released_own
    :: engine_sleeping != engine_sleeping_own -> engine_sleeping = engine_sleeping_own
    :: d_step { client_arming -> client_arming = false; client_sleeping = true }
    od
}

/* The client's half of a wake-up: after publishing. */
inline wake_engine(bit_wanted)
{
    if
    :: engine_sleeping & bit_wanted -> event = true
    :: else
    fi
}

active proctype sender()
{
    do
    :: submitted_own < N ->
        submitted_own++;
#ifndef BROKEN_FENCE_SUBMIT
        submitted == submitted_own;
#endif
        wake_engine(SUBMISSIONS)
    :: else -> break
    od
}

active proctype engine()
{
    byte taken, undelivered, lent, given_back;
    bool work, seen;
    do
    ::  if
        :: submitted > taken -> /* one, or all that there are */
            if
            :: d_step { taken++; undelivered++; work = true }
            :: d_step { undelivered = undelivered + submitted - taken; taken = submitted; work = true }
            fi
        :: else
        fi;
        if
        :: released > given_back -> d_step { lent = lent - (released - given_back); given_back = released; work = true }
        :: else
        fi;
        if
        :: undelivered > 0 && lent < LENT ->
            d_step {
                do
                :: undelivered > 0 && lent < LENT -> undelivered--; lent++; delivered_own++
                :: else -> break
                od;
                work = true
            }
#ifndef BROKEN_FENCE_DELIVER
            delivered == delivered_own;
#endif
#ifdef BROKEN_CLEAR_LATE
            if
            :: client_sleeping ->
                d_step { pipe = (pipe < PIPE -> pipe + 1 : pipe); edge = true }
                client_sleeping = false
            :: else
            fi
#else
            if
            :: client_sleeping ->
                d_step { seen = client_sleeping; client_sleeping = false }
                if
                :: seen && pipe < PIPE -> d_step { pipe++; edge = true }
                :: else /* full: it is readable */
                fi;
                seen = false
            :: else
            fi
#endif
        :: else
        fi;
        if
        :: work -> work = false
        :: else ->
#ifdef BROKEN_RELEASES
            engine_sleeping_own = SUBMISSIONS;
#else
            engine_sleeping_own = (undelivered > 0 -> SUBMISSIONS + RELEASES : SUBMISSIONS);
#endif
#ifndef BROKEN_FENCE_ENGINE
            engine_sleeping == engine_sleeping_own;
#endif
#ifndef BROKEN_RECHECK_ENGINE
            if
            :: submitted > taken -> goto awake
            :: else
            fi;
            if
            :: undelivered > 0 && released > given_back -> goto awake
            :: else
            fi;
#endif
end:        event -> event = false;
awake:      engine_sleeping_own = 0
        fi
    od
}

/* ---- The receiving thread: the library ---- */

byte queue[2];       /* private queues: messages of flow 0 and 1 */
byte taken_back;     /* deliveries that were taken from the ring */
byte received;
bool news;           /* something went into the private queues since `notice` was last raised */
bool again;          /* result: EAGAIN */

#define QUEUED (queue[0] + queue[1] > 0)

inline drain_pipe()
{
    pipe = 0
}

inline raise_notice()
{
#ifndef BROKEN_NOTICE
    d_step { notice = true; edge = true }
#else
    skip
#endif
}

inline arm()
{
    client_arming = true;
#ifndef BROKEN_FENCE_CLIENT
    !client_arming
#else
    skip
#endif
}

/* The delivery goes to the queue of its flow: they take turns. */
inline take_one()
{
    d_step { queue[taken_back % 2]++; taken_back++; news = true }
}

inline take_some()
{
    take_one();
    if
    :: skip
    :: delivered > taken_back -> take_one()
    fi
}

inline give_back(flow)
{
    d_step { queue[flow]--; received++; again = false; released_own++ }
#ifndef BROKEN_FENCE_RELEASE
    released == released_own;
#endif
    wake_engine(RELEASES)
}

/* machnet_recv of one flow: a message, or EAGAIN. Only EAGAIN makes the descriptor quiet. */
inline receive(flow)
{
    again = true;
    do
    :: queue[flow] > 0 ->
#ifdef BROKEN_QUIET
        drain_pipe();
#endif
        give_back(flow);
        break
    :: queue[flow] == 0 && delivered > taken_back -> take_some()
    :: queue[flow] == 0 && delivered == taken_back ->
#if MODE == WAIT
        break
#else
#ifndef BROKEN_DRAIN
        drain_pipe();
#endif
        if
        :: !QUEUED -> notice = false
        :: else
        fi;
        arm();
        if
#ifndef BROKEN_RECHECK_CLIENT
        :: delivered > taken_back -> raise_notice()
#endif
        :: delivered == taken_back ->
#ifdef BROKEN_DRAIN
            drain_pipe();
#endif
            if
            :: QUEUED && news -> raise_notice()
            :: else
            fi;
            news = false;
            break
#ifdef BROKEN_RECHECK_CLIENT
        :: delivered > taken_back -> break
#endif
        fi
#endif
    od
}

/* ---- The receiving thread: the application ---- */

active proctype receiver()
{
    byte flow;
#if MODE != WAIT
    arm(); /* as machnet_channel_fd does; what came before makes it readable */
    if
    :: delivered > taken_back -> notice = true; edge = true
    :: else
    fi;
#endif
    do
    :: received == N -> break
    :: received < N ->
#if MODE == WAIT
        if
        :: QUEUED
        :: !QUEUED ->
#ifndef BROKEN_DRAIN
            drain_pipe();
#endif
            arm();
#ifdef BROKEN_DRAIN
            drain_pipe();
#endif
#ifndef BROKEN_RECHECK_CLIENT
            if
            :: delivered > taken_back
            :: delivered == taken_back -> pipe > 0
            fi;
#else
            pipe > 0;
#endif
            d_step { client_arming = false; client_sleeping = false }
        fi;
#elif MODE == LEVEL
        pipe > 0 || notice;
#else
        atomic { edge && (pipe > 0 || notice) -> edge = false }
#endif
#if MODE == EDGE
        if :: flow = 0 :: flow = 1 fi;
        do
        :: receive(flow); if :: again -> break :: else fi
        od;
        flow = 1 - flow;
        do
        :: receive(flow); if :: again -> break :: else fi
        od;
#else
        /* Any calls, as few as it likes; one at least. */
        do
        :: if :: flow = 0 :: flow = 1 fi;
            receive(flow);
            if
            :: break
            :: received < N
            fi
        od;
#endif
        flow = 0;
        again = false
    od
}
