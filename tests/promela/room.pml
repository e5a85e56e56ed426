/* SPDX-License-Identifier: MIT */
/*
 * Full rings (MN_WAKE_ROOM of capi/channel/layout.h): who waits for room is woken. Like wake.pml, for the other end of two rings.
 *
 * The send side submits N requests into a ring of SLOTS; the engine answers each with a delivery, in a ring of SLOTS, at once or not before it
 * has all of them; nothing is ever completed or released. The receive side takes deliveries, and tells a send side that waits for room (capi/client/space.c): `waiter` is the
 * stack of waiting flows, `full_at` the engine's index where submissions were found full, plus 1. Both the engine and the receive side sleep.
 * A lost wake-up is an invalid end state.
 *
 * Memory as in wake.pml: a store, or a relaxed read-modify-write, comes out of its thread's buffer at any time, in any order; only a fence
 * waits. Ways of waiting: -DMODE=WAIT (in a call: armed only there), LEVEL (on the descriptor: always armed). Each BROKEN_x leaves out one
 * part of the protocol.
 */
#define WAIT 1
#define LEVEL 2
#ifndef MODE
#define MODE WAIT
#endif

#ifndef N
#define N 2
#endif
#define SLOTS 1

/* Bits of engine_sleeping and client_sleeping. */
#define SUBMISSIONS 1
#define DELIVERIES 1
#define ROOM 4

/* Indices and bits: x is what all see, x_own what its one writer has written. */
byte submitted, submitted_own, accepted, accepted_own; /* submissions: producer's and consumer's index */
byte delivered, delivered_own, taken, taken_own;       /* deliveries */
byte engine_sleeping, engine_sleeping_own;
bool armed, armed_own;
byte client_sleeping, receiver_wishes, sender_wishes; /* wishes: a fetch_or that is still in its thread's buffer */

/* The send side pushes the waiter and then, by a release, writes full_at: they come out in this order. The receive side takes both by
 * read-modify-writes. */
bool waiter, waiter_own;
byte full_at, full_at_own;

bool event, pipe; /* the engine's descriptor, the client's */
bool told;        /* SEND_SPACE is raised */

active proctype memory()
{
end:
    do
    :: submitted != submitted_own -> submitted = submitted_own
    :: accepted != accepted_own -> accepted = accepted_own
    :: delivered != delivered_own -> delivered = delivered_own
    :: taken != taken_own -> taken = taken_own
    :: engine_sleeping != engine_sleeping_own -> engine_sleeping = engine_sleeping_own
    :: armed != armed_own -> armed = armed_own
    :: d_step { receiver_wishes != 0 -> client_sleeping = client_sleeping | receiver_wishes; receiver_wishes = 0 }
    :: d_step { sender_wishes != 0 -> client_sleeping = client_sleeping | sender_wishes; sender_wishes = 0 }
    :: d_step { waiter_own -> waiter = true; waiter_own = false }
    :: d_step { full_at_own != 0 && !waiter_own -> full_at = full_at_own; full_at_own = 0 }
    od
}

inline wake_engine(bit_wanted)
{
    if
    :: engine_sleeping & bit_wanted -> event = true
    :: else
    fi
}

inline wake_client(bit_wanted)
{
    if
    :: client_sleeping & bit_wanted -> d_step { client_sleeping = 0; pipe = true }
    :: else
    fi
}

active proctype sender()
{
    do
    :: submitted_own == N -> break
    :: submitted_own < N && submitted_own - accepted < SLOTS ->
        submitted_own++;
        submitted == submitted_own;
        wake_engine(SUBMISSIONS)
    :: submitted_own < N && submitted_own - accepted == SLOTS ->
        /* mn_space_wait */
        d_step { told = false; waiter_own = true }
        if
        :: submitted_own - accepted == SLOTS -> full_at_own = submitted_own - SLOTS + 1
        :: else
        fi;
#ifndef BROKEN_FENCE_WAITER
        !waiter_own && full_at_own == 0;
#endif
        if
        :: armed && waiter && full_at != 0 ->
            sender_wishes = ROOM;
#ifndef BROKEN_FENCE_WISH
            sender_wishes == 0
#endif
        :: else
        fi;
#ifndef BROKEN_RECHECK_SENDER
        if
        :: submitted_own - accepted < SLOTS
        :: submitted_own - accepted == SLOTS -> told
        fi
#else
        told
#endif
    od
}

#define ANSWERS (undelivered > 0 && (at_once || accepted_own == N))
#define CAN_DELIVER (ANSWERS && delivered_own - taken < SLOTS)

active proctype engine()
{
    byte undelivered;
    bool work, at_once;
    if
    :: at_once = true
    :: skip
    fi;
    do
    ::  if
        :: submitted > accepted_own ->
            d_step { accepted_own++; undelivered++; work = true }
#ifndef BROKEN_FENCE_ACCEPT
            accepted == accepted_own;
#endif
#ifndef BROKEN_SIGNAL_SUBMISSIONS
            wake_client(ROOM)
#endif
        :: else
        fi;
        if
        :: CAN_DELIVER ->
            d_step { undelivered--; delivered_own++; work = true }
            delivered == delivered_own;
            wake_client(DELIVERIES)
        :: else
        fi;
        if
        :: work -> work = false
        :: else ->
            engine_sleeping_own = (ANSWERS -> SUBMISSIONS + ROOM : SUBMISSIONS);
#ifndef BROKEN_FENCE_ENGINE
            engine_sleeping == engine_sleeping_own;
#endif
            if
            :: submitted > accepted_own -> goto awake
            :: else
            fi;
#ifndef BROKEN_RECHECK_ENGINE
            if
            :: CAN_DELIVER -> goto awake
            :: else
            fi;
#endif
end:        event -> event = false;
awake:      engine_sleeping_own = 0
        fi
    od
}

/* mn_space_tell. True, in `news`, if there was room. */
inline tell()
{
    if
    :: waiter && full_at != 0 && full_at != accepted + 1 ->
        seen = full_at;
        d_step { full_at = (full_at == seen -> 0 : full_at) }
        d_step { waiter = false; told = true; news = true; seen = 0 }
    :: else
    fi
}

inline arm()
{
    armed_own = true;
    armed == armed_own;
    receiver_wishes = (waiter && full_at != 0 -> DELIVERIES + ROOM : DELIVERIES);
#ifndef BROKEN_FENCE_CLIENT
    receiver_wishes == 0
#endif
}

active proctype receiver()
{
    bool news;
    byte seen;
    do
    :: taken_own < delivered ->
        taken_own++;
#ifndef BROKEN_FENCE_TAKE
        taken == taken_own;
#endif
#ifndef BROKEN_SIGNAL_DELIVERIES
        wake_engine(ROOM)
#endif
    :: taken_own == N -> break
    :: taken_own == delivered && taken_own < N ->
        pipe = false;
        arm();
#ifndef BROKEN_RECHECK_CLIENT
        tell();
#endif
        if
        :: news || taken_own < delivered
        :: else -> pipe
        fi;
#if MODE == WAIT
        d_step { receiver_wishes = 0; client_sleeping = 0; armed_own = false }
#endif
        tell();
        news = false
    od
}
