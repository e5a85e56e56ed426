/* SPDX-License-Identifier: MIT */
/*
 * The checker. It books what applications did and what the transports told them, and judges:
 *
 *   - each message arrives at most once, in order, without gaps from the first, bytes and tag intact;
 *   - a side that gets CLOSED has got every message that its peer sent before its graceful close;
 *   - a flow is established at most once and ended exactly once (not after its owner was closed), and nothing follows;
 *   - each accepted span is settled exactly once, before the flow ends;
 *   - what was acknowledged reached the peer's application, unless that side ended otherwise;
 *   - each status has a cause: nobody is reset, refused or declared dead for nothing.
 */
#ifndef MACHNET_TESTS_SIM_LEDGER_H
#define MACHNET_TESTS_SIM_LEDGER_H

#include "flow/transport.h"
#include "verdict.h"

struct app;

struct message {
    uint32_t length;
    uint64_t tag;
    uint8_t *data; /* until settled */
    bool settled;
    enum transport_status status;
};

/* One side of a flow, as its application sees it. It stays until the ledger is freed, so that late callbacks are recognised. */
struct end {
    uint32_t id;
    struct app *app;               /* not owned */
    struct flow *flow;             /* NULL once given up */
    struct end *peer;              /* NULL until accepted */
    struct endpoint local, remote; /* flow addresses */
    bool opener;
    bool established, ended;      /* what the transport said */
    bool cut;                     /* its engine has shut down since */
    bool told;                    /* its peer's engine has shut down and had time to say so */
    bool closed, aborted, dead;   /* what the application did: closed in any way, by abort, died */
    enum transport_status status; /* of `ended` */
    struct message *messages;     /* sent by this side */
    uint32_t sent, capacity, settled;
    uint64_t read_bytes;
    uint32_t delivered, read; /* messages of the peer: delivered to the application's ring, read from it */
};

struct ledger {
    struct verdict *verdict; /* not owned */
    uint64_t seed;           /* of the messages' contents */
    uint64_t digest;         /* of all that happened */
    struct end **ends;
    uint32_t count, capacity;
    uint64_t messages, bytes; /* read and found intact */
    /* Causes that lie outside of the two applications of a flow. */
    bool links_fail, nobody_listens, owners_die, engines_restart, peers_may_die;
    bool few_flows;                /* one may be refused for their number */
    bool long_bursts;              /* a flow that one side accepted may be given up before a packet of it comes */
    bool time_lost;                /* engines stall, or their clocks leap */
    uint64_t restarted, shut_down; /* engines, by bits */
};

void ledger_init(struct ledger *ledger, struct verdict *verdict, uint64_t seed);
void ledger_fini(struct ledger *ledger);
/* Mixes `value` into the digest. */
void ledger_note(struct ledger *ledger, uint64_t value);

/* Books a new side; an accepted one finds its opener by the addresses. Not owned by the caller. */
struct end *ledger_open(struct ledger *ledger, struct app *app, bool opener, const struct endpoint *local,
                        const struct endpoint *remote);
/* Books a message; its contents follow from seed, side and number. ledger_unsend: the transport did not accept the last one. */
struct message *ledger_send(struct ledger *ledger, struct end *end, uint32_t length, uint64_t tag);
void ledger_unsend(struct end *end);
uint64_t ledger_cookie(const struct end *end); /* of the last message sent */

/* What the transport says; each judges. */
void ledger_established(struct ledger *ledger, struct end *end);
void ledger_ended(struct ledger *ledger, struct end *end, enum transport_status status);
void ledger_settled(struct ledger *ledger, struct app *app, struct end *end, uint64_t cookie,
                    enum transport_status status);
void ledger_delivered(struct ledger *ledger, struct end *end);
/* The application has read the next message of `end`. */
void ledger_read(struct ledger *ledger, struct end *end, const struct transport_extent *extent, uint64_t tag);
/* The owner of this side was closed, or its engine is gone: no callback may follow, spans are free. */
void ledger_died(struct end *end);

/* The engine of node `index` shuts down, or has restarted: both engines of a flow are told by their addresses, 10.0.0.(index + 1). */
void ledger_shut_down(struct ledger *ledger, uint32_t index);
void ledger_restarted(struct ledger *ledger, uint32_t index);

/* Every side is ended or dead: the judgements that need both sides. */
void ledger_finish(struct ledger *ledger);

const char *ledger_status_name(enum transport_status status);

#endif /* MACHNET_TESTS_SIM_LEDGER_H */
