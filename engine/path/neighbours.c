/* SPDX-License-Identifier: MIT */
#include "path/neighbours.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/rate.h"

enum {
    ENTRIES = NEIGHBOURS_UNKNOWN_MAX + NEIGHBOURS_KNOWN_MAX + NEIGHBOURS_STATIC_MAX,
    BUCKETS_LOG2 = 12,
    BUCKETS = 1 << BUCKETS_LOG2,
};

#define UNKNOWN_INTERVAL_NS (UINT64_C(1000000000) / NEIGHBOURS_RATE)
#define NEVER UINT64_MAX

/* An entry that is used is in its bucket's chain, in the list of its kind, and, while a question is open, in `asking`. */
enum kind { KIND_UNKNOWN, KIND_KNOWN, KIND_STATIC, KIND_COUNT };

struct neighbour {
    uint32_t ip, source;
    uint8_t mac[6];
    uint8_t state;
    uint8_t questions;             /* sent since the last answer */
    uint64_t deadline;             /* asking: next question; REACHABLE: fresh until; FAILED: quiet until */
    uint64_t confirmed;            /* KNOWN: when its MAC was */
    struct neighbour *chain;       /* in its bucket, or free */
    struct neighbour *prev, *next; /* in the list of its kind */
    struct neighbour *asking_prev, *asking_next;
};

struct neighbours {
    struct neighbour entries[ENTRIES];
    struct neighbour *free;
    struct neighbour *buckets[BUCKETS];
    struct neighbour *lists[KIND_COUNT]; /* each in the order in which they came to their present state */
    uint32_t counts[KIND_COUNT];
    struct neighbour *asking; /* in the order of their deadlines: all pauses are the same */
    struct rate unknown_rate;
    uint32_t generation;
};

static const uint32_t kind_limits[KIND_COUNT] = {NEIGHBOURS_UNKNOWN_MAX, NEIGHBOURS_KNOWN_MAX, NEIGHBOURS_STATIC_MAX};

static_assert(NEIGHBOURS_RATE * (NEIGHBOURS_CHANGE_NS / 1000000) / 1000 + NEIGHBOURS_RATE + NEIGHBOURS_UNKNOWN_MAX <
                  NEIGHBOURS_KNOWN_MAX,
              "what is learnt while an entry is fresh does not displace it");

static enum kind kind_of(enum neighbour_state state)
{
    switch (state) {
    case NEIGHBOUR_INCOMPLETE:
    case NEIGHBOUR_FAILED:
        return KIND_UNKNOWN;
    case NEIGHBOUR_REACHABLE:
    case NEIGHBOUR_STALE:
    case NEIGHBOUR_PROBING:
        return KIND_KNOWN;
    case NEIGHBOUR_STATIC:
        break;
    }
    return KIND_STATIC;
}

static bool is_asking(enum neighbour_state state)
{
    return state == NEIGHBOUR_INCOMPLETE || state == NEIGHBOUR_PROBING;
}

/* To which states each may go. */
static const uint8_t next_states[] = {
    [NEIGHBOUR_INCOMPLETE] = 1 << NEIGHBOUR_REACHABLE | 1 << NEIGHBOUR_FAILED,
    [NEIGHBOUR_REACHABLE] = 1 << NEIGHBOUR_STALE,
    [NEIGHBOUR_STALE] = 1 << NEIGHBOUR_PROBING | 1 << NEIGHBOUR_INCOMPLETE,
    [NEIGHBOUR_PROBING] = 1 << NEIGHBOUR_REACHABLE | 1 << NEIGHBOUR_FAILED,
    [NEIGHBOUR_FAILED] = 1 << NEIGHBOUR_INCOMPLETE,
    [NEIGHBOUR_STATIC] = 0,
};

/* ---- The table ---- */

static struct neighbour **bucket_of(struct neighbours *table, uint32_t ip)
{
    return &table->buckets[(ip * UINT32_C(0x9e3779b1)) >> (32 - BUCKETS_LOG2)];
}

static struct neighbour *find(const struct neighbours *table, uint32_t ip)
{
    struct neighbour *entry = *bucket_of((struct neighbours *)(uintptr_t)table, ip);
    while (entry != NULL && entry->ip != ip)
        entry = entry->chain;
    return entry;
}

static void leave_list(struct neighbours *table, struct neighbour *entry)
{
    enum kind kind = kind_of(entry->state);
    DL_DELETE(table->lists[kind], entry);
    table->counts[kind]--;
    if (is_asking(entry->state))
        DL_DELETE2(table->asking, entry, asking_prev, asking_next);
}

static void forget(struct neighbours *table, struct neighbour *entry)
{
    struct neighbour **at = bucket_of(table, entry->ip);
    while (*at != entry)
        at = &(*at)->chain;
    *at = entry->chain;
    leave_list(table, entry);
    entry->chain = table->free;
    table->free = entry;
}

/* The entry is in no list. Makes room by forgetting the first of its kind; whoever uses that one's MAC may do so until it
 * expires. */
static void join_list(struct neighbours *table, struct neighbour *entry, enum neighbour_state state)
{
    enum kind kind = kind_of(state);
    if (table->counts[kind] == kind_limits[kind])
        forget(table, table->lists[kind]);
    entry->state = (uint8_t)state;
    DL_APPEND(table->lists[kind], entry);
    table->counts[kind]++;
    if (is_asking(state))
        DL_APPEND2(table->asking, entry, asking_prev, asking_next);
}

static void set_state(struct neighbours *table, struct neighbour *entry, enum neighbour_state state, uint64_t deadline)
{
    assert((next_states[entry->state] >> state & 1) != 0);
    (void)next_states;
    leave_list(table, entry);
    entry->questions = 0;
    entry->deadline = deadline;
    join_list(table, entry, state);
}

static struct neighbour *insert(struct neighbours *table, uint32_t ip, enum neighbour_state state, uint64_t deadline)
{
    enum kind kind = kind_of(state);
    if (table->counts[kind] == kind_limits[kind])
        forget(table, table->lists[kind]);
    struct neighbour *entry = table->free, **bucket = bucket_of(table, ip);
    assert(entry != NULL);
    table->free = entry->chain;
    *entry = (struct neighbour){.ip = ip, .deadline = deadline, .chain = *bucket};
    *bucket = entry;
    join_list(table, entry, state);
    return entry;
}

struct neighbours *neighbours_new(void)
{
    struct neighbours *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        table->entries[i].chain = table->free;
        table->free = &table->entries[i];
    }
    return table;
}

void neighbours_free(struct neighbours *table)
{
    free(table);
}

bool neighbours_add_static(struct neighbours *table, uint32_t ip, const uint8_t mac[6])
{
    const struct neighbour *known = find(table, ip);
    if (known != NULL)
        return known->state == NEIGHBOUR_STATIC && memcmp(known->mac, mac, 6) == 0;
    if (table->counts[KIND_STATIC] == NEIGHBOURS_STATIC_MAX)
        return false;
    memcpy(insert(table, ip, NEIGHBOUR_STATIC, NEVER)->mac, mac, 6);
    return true;
}

/* ---- Questions and answers ---- */

static void ask(struct neighbour *entry, struct neighbour_question *question)
{
    *question = (struct neighbour_question){
        .target = entry->ip,
        .source = entry->source,
        .unicast = entry->state == NEIGHBOUR_PROBING && entry->questions < NEIGHBOURS_PROBES,
    };
    memcpy(question->mac, entry->mac, 6);
    entry->questions++;
}

/* Time alone makes a REACHABLE one STALE; nobody needs to be awake for it. */
static void age(struct neighbours *table, struct neighbour *entry, uint64_t now)
{
    if (entry->state == NEIGHBOUR_REACHABLE && now >= entry->deadline)
        set_state(table, entry, NEIGHBOUR_STALE, NEVER);
}

static int begin_unknown(struct neighbours *table, struct neighbour *entry, uint32_t ip, uint32_t source, uint64_t now,
                         struct neighbour_resolution *resolution)
{
    if (!rate_take(&table->unknown_rate, now, UNKNOWN_INTERVAL_NS, NEIGHBOURS_RATE))
        return NEIGHBOUR_UNREACHABLE;
    if (entry == NULL)
        entry = insert(table, ip, NEIGHBOUR_INCOMPLETE, now + NEIGHBOURS_PAUSE_NS);
    else
        set_state(table, entry, NEIGHBOUR_INCOMPLETE, now + NEIGHBOURS_PAUSE_NS);
    entry->source = source;
    resolution->ask = true;
    ask(entry, &resolution->question);
    return NEIGHBOUR_ASKED;
}

int neighbours_resolve(struct neighbours *table, uint32_t ip, uint32_t source, uint64_t now,
                       struct neighbour_resolution *resolution)
{
    struct neighbour *entry = find(table, ip);
    resolution->ask = false;
    if (entry == NULL)
        return begin_unknown(table, NULL, ip, source, now, resolution);
    age(table, entry, now);
    switch ((enum neighbour_state)entry->state) {
    case NEIGHBOUR_INCOMPLETE:
        return NEIGHBOUR_ASKED;
    case NEIGHBOUR_FAILED:
        return now < entry->deadline ? NEIGHBOUR_UNREACHABLE : begin_unknown(table, entry, ip, source, now, resolution);
    case NEIGHBOUR_STALE:
        if (now - entry->confirmed >= NEIGHBOURS_KEEP_NS)
            return begin_unknown(table, entry, ip, source, now, resolution);
        set_state(table, entry, NEIGHBOUR_PROBING, now + NEIGHBOURS_PAUSE_NS);
        entry->source = source;
        resolution->ask = true;
        ask(entry, &resolution->question);
        break;
    case NEIGHBOUR_REACHABLE:
    case NEIGHBOUR_PROBING:
    case NEIGHBOUR_STATIC:
        break;
    }
    memcpy(resolution->mac, entry->mac, 6);
    resolution->valid_ns = entry->deadline;
    return NEIGHBOUR_KNOWN;
}

bool neighbours_answer(struct neighbours *table, uint32_t ip, const uint8_t mac[6], uint64_t now)
{
    struct neighbour *entry = find(table, ip);
    if (entry == NULL || !is_asking(entry->state))
        return false;
    bool same = memcmp(entry->mac, mac, 6) == 0;
    if (entry->state == NEIGHBOUR_PROBING && !same && entry->questions <= NEIGHBOURS_PROBES)
        return false;
    if (entry->state == NEIGHBOUR_INCOMPLETE || !same)
        table->generation++;
    memcpy(entry->mac, mac, 6);
    entry->confirmed = now;
    set_state(table, entry, NEIGHBOUR_REACHABLE, now + NEIGHBOURS_FRESH_NS);
    return true;
}

bool neighbours_timeout(struct neighbours *table, uint64_t now, struct neighbour_question *question)
{
    struct neighbour *entry;
    while ((entry = table->asking) != NULL && entry->deadline <= now) {
        if (entry->questions < NEIGHBOURS_QUESTIONS) {
            DL_DELETE2(table->asking, entry, asking_prev, asking_next);
            entry->deadline = now + NEIGHBOURS_PAUSE_NS;
            DL_APPEND2(table->asking, entry, asking_prev, asking_next);
            ask(entry, question);
            return true;
        }
        table->generation++;
        set_state(table, entry, NEIGHBOUR_FAILED, now + NEIGHBOURS_FAILED_NS);
    }
    return false;
}

uint64_t neighbours_next_timeout(const struct neighbours *table)
{
    return table->asking != NULL ? table->asking->deadline : NEVER;
}

uint32_t neighbours_generation(const struct neighbours *table)
{
    return table->generation;
}

int neighbours_state(const struct neighbours *table, uint32_t ip, uint64_t now)
{
    const struct neighbour *entry = find(table, ip);
    if (entry == NULL)
        return -1;
    return entry->state == NEIGHBOUR_REACHABLE && now >= entry->deadline ? NEIGHBOUR_STALE : entry->state;
}
