/* SPDX-License-Identifier: MIT */
/*
 * Which MAC address the neighbours on the link have: the states of ARP (RFC 826, states after RFC 4861 section 7.3.2). Pure: the caller
 * sends the questions, hands in the answers, and passes `now` (ns; callers
 * may be a little apart). IPv4 addresses are uint32_t in host order.
 *
 * What an attacker on the link cannot do (short of answering faster than who was asked for the first time; give
 * static entries against that):
 * - Learning: only an answer to a question of ours, that is open now, is learnt. Requests and announcements of others change nothing.
 * - Redirecting: a MAC that is in use is confirmed by asking its owner alone; while that question is open only the same MAC is taken as an
 *   answer. Only if the owner stays silent NEIGHBOURS_PROBES times are all asked, and the first answer taken. So a neighbour that really
 *   changes its MAC is found again within NEIGHBOURS_CHANGE_NS of traffic to it (and a round trip).
 * - Exhausting: unknown addresses take room from each other only, and at most NEIGHBOURS_RATE of them are asked for in a second; in
 *   NEIGHBOURS_CHANGE_NS that is fewer than there is room for, so an entry in use (confirmed each NEIGHBOURS_FRESH_NS) is never displaced.
 */
#ifndef MACHNET_ENGINE_PATH_NEIGHBOURS_H
#define MACHNET_ENGINE_PATH_NEIGHBOURS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    NEIGHBOURS_UNKNOWN_MAX = 256, /* INCOMPLETE and FAILED: the oldest is forgotten for a new one */
    NEIGHBOURS_KNOWN_MAX = 4096,  /* REACHABLE, STALE and PROBING: the one not confirmed for longest is forgotten for a new one */
    NEIGHBOURS_STATIC_MAX = 256,
    NEIGHBOURS_QUESTIONS = 5,     /* asked so often before it is given up */
    NEIGHBOURS_PROBES = 3,        /* while a MAC is still known: so often its owner alone, before everybody is asked */
    NEIGHBOURS_RATE = 500,        /* unknown addresses that are asked for in a second; as many at once */
};

#define NEIGHBOURS_PAUSE_NS UINT64_C(200000000)   /* between questions */
#define NEIGHBOURS_FRESH_NS UINT64_C(4000000000)  /* used without asking */
#define NEIGHBOURS_KEEP_NS UINT64_C(60000000000)  /* a MAC not confirmed for so long is not used while asking */
#define NEIGHBOURS_FAILED_NS UINT64_C(1000000000) /* not asked again before */
#define NEIGHBOURS_CHANGE_NS (NEIGHBOURS_FRESH_NS + NEIGHBOURS_PROBES * NEIGHBOURS_PAUSE_NS)

/*
 *              resolve            answer                        FRESH_NS over
 *   (none) ───────────> INCOMPLETE ──────────────> REACHABLE ─────────────────> STALE
 *      ^                  │     ^                   ^      <── same MAC ──┐        │
 *      │ displaced        │     │ FAILED_NS over    │                     │        │ resolve within KEEP_NS: asks the
 *      │                  │     │ and resolve       └─ other MAC, after ──┤        │ owner, the MAC is used meanwhile
 *   (any but STATIC)      v     │                      PROBES questions   │        v
 *                        FAILED <─────────────────────────────────────── PROBING <─┘
 *                            no answer to the last of the questions
 *
 *   STALE, resolve after KEEP_NS ──> INCOMPLETE.     STATIC stays.
 */
enum neighbour_state {
    NEIGHBOUR_INCOMPLETE,
    NEIGHBOUR_REACHABLE,
    NEIGHBOUR_STALE,
    NEIGHBOUR_PROBING,
    NEIGHBOUR_FAILED,
    NEIGHBOUR_STATIC,
};

struct neighbours;

/* An ARP request to send: who has `target`, tell `source`. */
struct neighbour_question {
    uint32_t target, source;
    bool unicast; /* to `mac` alone; false: to everybody */
    uint8_t mac[6];
};

enum neighbour_result {
    NEIGHBOUR_KNOWN = 0,
    NEIGHBOUR_ASKED = 1,       /* the answer is not there yet */
    NEIGHBOUR_UNREACHABLE = 2, /* it does not answer, or too many unknown addresses are asked for */
};

struct neighbour_resolution {
    uint8_t mac[6];      /* if KNOWN ... */
    uint64_t valid_ns;   /* ... may be used until then, or until neighbours_generation() moves */
    bool ask;            /* with any result: send this question */
    struct neighbour_question question;
};

/* NULL if memory is short. */
struct neighbours *neighbours_new(void);
void neighbours_free(struct neighbours *table);

/* False: there are too many, or `ip` has another MAC already. */
bool neighbours_add_static(struct neighbours *table, uint32_t ip, const uint8_t mac[6]);

/* Finds the MAC of `ip`, or begins to ask for it in the name of our address `source`. Returns enum neighbour_result. */
int neighbours_resolve(struct neighbours *table, uint32_t ip, uint32_t source, uint64_t now, struct neighbour_resolution *resolution);

/* A reply came in that says `ip` has `mac` (unicast). False: it was not asked for now, and changed nothing. */
bool neighbours_answer(struct neighbours *table, uint32_t ip, const uint8_t mac[6], uint64_t now);

/* Takes the next question that is due at `now`; call until it returns false. */
bool neighbours_timeout(struct neighbours *table, uint64_t now, struct neighbour_question *question);
/* When to call neighbours_timeout next; UINT64_MAX: no question is open. */
uint64_t neighbours_next_timeout(const struct neighbours *table);

/* Moves when an answer comes that somebody may wait for, and when a MAC that somebody may use is not right any more. */
uint32_t neighbours_generation(const struct neighbours *table);

/* The state of `ip` at `now`; -1: none. */
int neighbours_state(const struct neighbours *table, uint32_t ip, uint64_t now);

#endif /* MACHNET_ENGINE_PATH_NEIGHBOURS_H */
