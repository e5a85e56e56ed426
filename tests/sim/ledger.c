/* SPDX-License-Identifier: MIT */
#include "ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/prng.h"

static void end_fail(struct ledger *ledger, const struct end *end, const char *what)
{
    verdict_fail(ledger->verdict, "side %u (%s, peer %u): %s [sent %u, settled %u, delivered %u, read %u%s%s%s%s%s%s]",
                 end->id, end->opener ? "opened" : "accepted", end->peer ? end->peer->id : 0, what, end->sent,
                 end->settled, end->delivered, end->read, end->established ? ", established" : "",
                 end->closed ? ", closed" : "", end->aborted ? ", aborted" : "", end->dead ? ", dead" : "",
                 end->ended ? ", ended " : "", end->ended ? ledger_status_name(end->status) : "");
}

void ledger_init(struct ledger *ledger, struct verdict *verdict, uint64_t seed)
{
    *ledger = (struct ledger){.verdict = verdict, .seed = seed, .digest = seed};
}

void ledger_fini(struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->count; i++) {
        ledger_died(ledger->ends[i]);
        free(ledger->ends[i]->messages);
        free(ledger->ends[i]);
    }
    free(ledger->ends);
}

void ledger_note(struct ledger *ledger, uint64_t value)
{
    ledger->digest ^= value;
    ledger->digest = prng_splitmix(&ledger->digest);
}

/* ---- What applications do ---- */

static struct end *find_opener(const struct ledger *ledger, const struct end *accepted)
{
    for (uint32_t i = ledger->count; i > 0; i--) {
        struct end *end = ledger->ends[i - 1];
        if (end->opener && !end->peer && endpoint_equal(&end->local, &accepted->remote) &&
            endpoint_equal(&end->remote, &accepted->local)) {
            return end;
        }
    }
    return NULL;
}

struct end *ledger_open(struct ledger *ledger, struct app *app, bool opener, const struct endpoint *local,
                        const struct endpoint *remote)
{
    if (ledger->count == ledger->capacity) {
        ledger->capacity = ledger->capacity ? 2 * ledger->capacity : 64;
        ledger->ends = realloc(ledger->ends, ledger->capacity * sizeof(struct end *));
    }
    struct end *end = calloc(1, sizeof *end);
    end->id = ledger->count + 1;
    end->app = app;
    end->opener = opener;
    end->local = *local;
    end->remote = *remote;
    if (!opener) {
        end->established = true;
        end->peer = find_opener(ledger, end);
        if (end->peer) {
            end->peer->peer = end;
        } else {
            end_fail(ledger, end, "accepted a flow that nobody opened, or a second time");
        }
    }
    ledger->ends[ledger->count++] = end;
    ledger_note(ledger, end->id);
    return end;
}

static void content_init(const struct ledger *ledger, const struct end *end, uint32_t number, struct prng *prng)
{
    prng_init(prng, ledger->seed ^ ((uint64_t)end->id << 32 | number));
}

struct message *ledger_send(struct ledger *ledger, struct end *end, uint32_t length, uint64_t tag)
{
    if (end->sent == end->capacity) {
        end->capacity = end->capacity ? 2 * end->capacity : 16;
        end->messages = realloc(end->messages, end->capacity * sizeof *end->messages);
    }
    struct message *message = &end->messages[end->sent];
    *message = (struct message){.length = length, .tag = tag, .data = malloc(length ? length : 1)};
    struct prng prng;
    content_init(ledger, end, end->sent, &prng);
    prng_fill(&prng, message->data, length);
    end->sent++;
    return message;
}

void ledger_unsend(struct end *end)
{
    free(end->messages[--end->sent].data);
}

uint64_t ledger_cookie(const struct end *end)
{
    return (uint64_t)end->id << 32 | (end->sent - 1);
}

void ledger_died(struct end *end)
{
    end->dead = true;
    end->flow = NULL;
    for (uint32_t i = 0; i < end->sent; i++) {
        free(end->messages[i].data);
        end->messages[i].data = NULL;
    }
}

/* ---- What transports say ---- */

static bool may_speak(struct ledger *ledger, const struct end *end, const char *what)
{
    char text[128];
    if (end->dead || end->ended) {
        snprintf(text, sizeof text, "%s after %s", what, end->dead ? "its owner was closed" : "it had ended");
        end_fail(ledger, end, text);
        return false;
    }
    ledger_note(ledger, (uint64_t)what[0] << 32 | end->id);
    return true;
}

void ledger_established(struct ledger *ledger, struct end *end)
{
    if (!may_speak(ledger, end, "established")) {
        return;
    }
    if (end->established) {
        end_fail(ledger, end, "established twice");
    }
    end->established = true;
}

void ledger_ended(struct ledger *ledger, struct end *end, enum transport_status status)
{
    if (!may_speak(ledger, end, "ended")) {
        return;
    }
    end->ended = true;
    end->status = status;
    if (end->settled != end->sent) {
        end_fail(ledger, end, "ended before all its spans were settled");
    }
}

void ledger_settled(struct ledger *ledger, struct app *app, struct end *end, uint64_t cookie,
                    enum transport_status status)
{
    if (!may_speak(ledger, end, "settled")) {
        return;
    }
    uint32_t number = (uint32_t)cookie;
    if (end->app != app || cookie >> 32 != end->id || number >= end->sent) {
        end_fail(ledger, end, "a span was settled that this side never sent");
        return;
    }
    struct message *message = &end->messages[number];
    if (message->settled) {
        end_fail(ledger, end, "a span was settled twice");
        return;
    }
    message->settled = true;
    message->status = status;
    free(message->data);
    message->data = NULL;
    end->settled++;
}

void ledger_delivered(struct ledger *ledger, struct end *end)
{
    if (!may_speak(ledger, end, "delivered")) {
        return;
    }
    end->delivered++;
    if (!end->established) {
        end_fail(ledger, end, "a message was delivered before the flow was established");
    } else if (!end->peer || end->delivered > end->peer->sent) {
        end_fail(ledger, end, "more messages were delivered than the peer has sent");
    }
}

/* Which message of the sender has exactly these contents? For the sentence only. */
static int64_t recognise(const struct ledger *ledger, const struct end *sender, const struct transport_extent *extent)
{
    for (uint32_t i = 0; i < sender->sent; i++) {
        uint8_t start[32];
        struct prng prng;
        uint32_t length = extent->length < sizeof start ? extent->length : (uint32_t)sizeof start;
        content_init(ledger, sender, i, &prng);
        prng_fill(&prng, start, length);
        if (sender->messages[i].length == extent->length && memcmp(start, extent->data, length) == 0) {
            return i;
        }
    }
    return -1;
}

static uint32_t first_difference(const struct ledger *ledger, const struct end *sender, uint32_t number,
                                 const struct transport_extent *extent)
{
    struct prng prng;
    uint8_t expected[512];
    content_init(ledger, sender, number, &prng);
    for (uint32_t at = 0; at < extent->length; at += (uint32_t)sizeof expected) {
        uint32_t rest = extent->length - at;
        uint32_t length = rest < sizeof expected ? rest : (uint32_t)sizeof expected;
        prng_fill(&prng, expected, length);
        if (memcmp(expected, extent->data + at, length) != 0) {
            while (expected[at % sizeof expected] == extent->data[at]) {
                at++;
            }
            return at;
        }
    }
    return UINT32_MAX;
}

void ledger_read(struct ledger *ledger, struct end *end, const struct transport_extent *extent, uint64_t tag)
{
    char text[256];
    uint32_t number = end->read++;
    end->read_bytes += extent->length;
    if (!end->peer || number >= end->peer->sent) {
        return; /* judged by ledger_delivered */
    }
    const struct message *message = &end->peer->messages[number];
    uint32_t difference = UINT32_MAX;
    if (message->length == extent->length) {
        difference = first_difference(ledger, end->peer, number, extent);
    }
    if (message->length != extent->length) {
        snprintf(text, sizeof text, "message %u has %u bytes instead of %u, those of message %lld", number,
                 extent->length, message->length, (long long)recognise(ledger, end->peer, extent));
        end_fail(ledger, end, text);
    } else if (difference != UINT32_MAX) {
        snprintf(text, sizeof text, "message %u of %u bytes differs from byte %u on", number, message->length,
                 difference);
        end_fail(ledger, end, text);
    } else if (message->tag != tag) {
        snprintf(text, sizeof text, "message %u of %u bytes has the tag %llx instead of %llx", number, message->length,
                 (unsigned long long)tag, (unsigned long long)message->tag);
        end_fail(ledger, end, text);
    }
    ledger->messages++;
    ledger->bytes += extent->length;
    ledger_note(ledger, tag ^ extent->length);
}

/* ---- The end of the run ---- */

static bool graceful(const struct end *end)
{
    return end->closed && !end->aborted;
}

/* A peer's application may never have learnt of a flow. */
static bool may_be_unaccepted(const struct ledger *ledger)
{
    return ledger->owners_die || ledger->engines_restart || ledger->nobody_listens || ledger->few_flows;
}

/* The peer has given up the flow, and not because this side had. */
static bool peer_gave_up(const struct ledger *ledger, const struct end *peer)
{
    if (!peer) {
        return may_be_unaccepted(ledger) || ledger->long_bursts;
    }
    bool told_by_us =
        peer->status == TRANSPORT_RESET || peer->status == TRANSPORT_CLOSED || peer->status == TRANSPORT_OK;
    return peer->aborted || peer->dead || (peer->ended && !told_by_us) ||
           (graceful(peer) && ledger->links_fail); /* its FIN never came */
}

static uint64_t engine_bit(const struct endpoint *endpoint)
{
    return UINT64_C(1) << ((endpoint->ip[15] - 1u) % 64);
}

/* Whether an engine of the flow is in `engines`. */
static bool among(uint64_t engines, const struct end *end)
{
    return (engines & (engine_bit(&end->local) | engine_bit(&end->remote))) != 0;
}

void ledger_restarted(struct ledger *ledger, uint32_t index)
{
    ledger->restarted |= UINT64_C(1) << (index % 64);
    ledger->engines_restart = ledger->nobody_listens = true;
}

void ledger_shut_down(struct ledger *ledger, uint32_t index)
{
    const uint64_t bit = UINT64_C(1) << (index % 64);
    ledger->shut_down |= bit;
    for (uint32_t i = 0; i < ledger->count; i++) {
        struct end *end = ledger->ends[i];
        end->cut |= engine_bit(&end->local) == bit;
        end->told |= engine_bit(&end->remote) == bit && engine_bit(&end->local) != bit && end->established &&
                     end->peer && end->peer->flow && !end->peer->ended && !ledger->links_fail;
    }
}

static bool has_cause(const struct ledger *ledger, const struct end *end)
{
    const struct end *peer = end->peer;
    bool restarted = among(ledger->restarted, end);
    bool shut_down = among(ledger->shut_down, end);
    switch (end->status) {
    case TRANSPORT_OK:
        return graceful(end);
    case TRANSPORT_CLOSED:
        return graceful(end) || (peer && graceful(peer));
    case TRANSPORT_RESET:
        return end->closed || shut_down || peer_gave_up(ledger, peer);
    case TRANSPORT_REFUSED:
        return end->opener && !end->established && ledger->nobody_listens;
    case TRANSPORT_UNREACHABLE:
        return end->opener && !end->established && (ledger->links_fail || ledger->time_lost || restarted || shut_down);
    case TRANSPORT_PEER_DEAD:
        return !end->told && (ledger->peers_may_die || restarted);
    case TRANSPORT_PEER_RESTARTED:
        return !end->told && restarted;
    case TRANSPORT_ABORTED:
        return end->aborted || (shut_down && !end->established);
    case TRANSPORT_PROTOCOL:
    case TRANSPORT_VERSION:
    case TRANSPORT_TOO_LONG:
    case TRANSPORT_NO_MEMORY:
        return false;
    case TRANSPORT_LIMIT:
        return end->opener && !end->established && ledger->few_flows;
    }
    return false;
}

/* One more than the number of the last message that was acknowledged. */
static uint32_t acknowledged(const struct end *end)
{
    uint32_t count = end->sent;
    while (count > 0 && !(end->messages[count - 1].settled && end->messages[count - 1].status == TRANSPORT_OK)) {
        count--;
    }
    return count;
}

static void finish_end(struct ledger *ledger, const struct end *end)
{
    const struct end *peer = end->peer;
    if (!end->dead && !end->ended) {
        end_fail(ledger, end, "never ended");
    } else if (end->ended && !has_cause(ledger, end)) {
        end_fail(ledger, end, "ended without a cause");
    }
    bool peer_reads_on =
        peer ? !peer->dead && !peer->closed && peer->status == TRANSPORT_CLOSED : !may_be_unaccepted(ledger);
    if (peer_reads_on && acknowledged(end) > (peer ? peer->delivered : 0)) {
        end_fail(ledger, end, "acknowledged messages never reached the peer's application");
    }
    if (peer && peer_reads_on && peer->ended && graceful(end) && peer->delivered != end->sent) {
        end_fail(ledger, peer, "got CLOSED without all messages that were sent before");
    }
}

void ledger_finish(struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->count; i++) {
        finish_end(ledger, ledger->ends[i]);
    }
}

const char *ledger_status_name(enum transport_status status)
{
    static const char *const names[] = {
        "OK",       "CLOSED",  "RESET",   "REFUSED",   "UNREACHABLE", "PEER_DEAD", "PEER_RESTARTED",
        "PROTOCOL", "VERSION", "ABORTED", "NO_MEMORY", "TOO_LONG",    "LIMIT",
    };
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "?";
}
