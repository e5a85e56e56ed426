/* SPDX-License-Identifier: MIT */
/* Other engines: whether they live, and whether they are still who they were (PROTOCOL.md, section 8). */
#include "flow/flow.h"

#include <stdlib.h>
#include <string.h>

enum {
    UNANSWERED_MIN = 3, /* nobody is dead before: our own engine may have been asleep */
    LOOKED_AT_MAX = 16, /* peers of a host, when somebody claims to be there: the next claim goes on with the next ones */
    /* IP packets of 1500 bytes are what interfaces are set up for, and mostly right: RFC 8899, section 5.1.2, lets local knowledge choose. */
    TRUSTED_IPV4 = 1500 - 20 - 8,
    TRUSTED_IPV6 = 1500 - 40 - 8,
};

#define CLAIM_INTERVAL MILLISECONDS(100)
#define ASK_INTERVAL MILLISECONDS(20)

_Static_assert(sizeof(struct peer_key) == 36, "hashed as bytes: no padding");

static struct peer_key key_of(const struct transport_path *path)
{
    return (struct peer_key){.local = path->local, .remote = path->remote};
}

static uint32_t hash_key(const struct transport *transport, const struct peer_key *key)
{
    return (uint32_t)siphash_place(&transport->key, key, sizeof *key);
}

struct peer *peer_find(const struct transport *transport, const struct transport_path *path)
{
    struct peer_key key = key_of(path);
    const uint32_t hash = hash_key(transport, &key);
    uint32_t position = 0;
    struct peer *peer;
    do {
        peer = hash_index_next(&transport->peers, hash, &position);
    } while (peer && memcmp(&peer->key, &key, sizeof key) != 0);
    return peer;
}

/* ---- Hosts ---- */

static uint32_t hash_host(const struct transport *transport, const struct host_key *key)
{
    return (uint32_t)siphash_place(&transport->key, key, sizeof *key);
}

static struct host *host_find(const struct transport *transport, const struct peer_key *peer, struct host_key *key)
{
    memcpy(key->local, peer->local.ip, sizeof key->local);
    memcpy(key->remote, peer->remote.ip, sizeof key->remote);
    const uint32_t hash = hash_host(transport, key);
    uint32_t position = 0;
    struct host *host;
    do {
        host = hash_index_next(&transport->hosts, hash, &position);
    } while (host && memcmp(&host->key, key, sizeof *key) != 0);
    return host;
}

static bool host_join(struct transport *transport, struct peer *peer)
{
    struct host_key key;
    struct host *host = host_find(transport, &peer->key, &key);
    if (!host) {
        host = calloc(1, sizeof *host);
        if (!host) {
            return false;
        }
        host->key = key;
        if (!hash_index_add(&transport->hosts, hash_host(transport, &key), host)) {
            free(host);
            return false;
        }
    }
    peer->host = host;
    DL_APPEND2(host->peers, peer, host_prev, host_next);
    host->peer_count++;
    return true;
}

/* The next in turn of the host's peers. */
static struct peer *host_next_peer(struct host *host)
{
    struct peer *peer = host->peers;
    DL_DELETE2(host->peers, peer, host_prev, host_next);
    DL_APPEND2(host->peers, peer, host_prev, host_next);
    return peer;
}

static void host_leave(struct transport *transport, struct peer *peer)
{
    struct host *host = peer->host;
    DL_DELETE2(host->peers, peer, host_prev, host_next);
    host->peer_count--;
    if (!host->peers) {
        hash_index_remove(&transport->hosts, hash_host(transport, &host->key), host);
        free(host);
    }
}

/* ---- Paths ---- */

static struct known_path *known_path(struct transport *transport, const struct peer_key *key, uint64_t *hash)
{
    *hash = siphash_place(&transport->key, key, sizeof *key);
    return &transport->known_paths[*hash % KNOWN_PATHS];
}

static void remember_path(struct transport *transport, const struct peer *peer)
{
    uint64_t hash;
    struct known_path *known = known_path(transport, &peer->key, &hash);
    if (peer->mtu.ceiling != 0) {
        *known = (struct known_path){.hash = hash, .mtu = peer->mtu};
    }
}

static void recall_path(struct transport *transport, struct peer *peer)
{
    uint64_t hash;
    const struct known_path *known = known_path(transport, &peer->key, &hash);
    if (known->hash == hash) {
        peer->mtu = known->mtu;
    }
}

/* What the path within this host carries need not be found out. */
static uint32_t trusted_payload(const struct transport_path *path)
{
    if (memcmp(path->local.ip, path->remote.ip, sizeof path->local.ip) == 0) {
        return WIRE_PACKET_MAX;
    }
    return endpoint_is_ipv4(&path->remote) ? TRUSTED_IPV4 : TRUSTED_IPV6;
}

void peer_limit_payload(struct flow *flow, uint32_t peer_limit)
{
    struct mtu *mtu = &flow->peer->mtu;
    uint64_t limit = min_u64(flow->path.max_udp_payload, min_u64(peer_limit, WIRE_PACKET_MAX));
    flow->tx.max_payload = (uint16_t)max_u64(limit, WIRE_PAYLOAD_MIN_MTU);
    if (mtu->ceiling == 0) {
        mtu_init(mtu, flow->tx.max_payload, trusted_payload(&flow->path));
    } else {
        mtu_allow(mtu, flow->tx.max_payload);
    }
}

/* ---- Peers ---- */

static void peer_free(struct transport *transport, struct peer *peer)
{
    remember_path(transport, peer);
    hash_index_remove(&transport->peers, hash_key(transport, &peer->key), peer);
    host_leave(transport, peer);
    heap_remove(&transport->heap, &peer->timer);
    free(peer);
}

static struct peer *peer_new(struct transport *transport, const struct transport_path *path, uint64_t now)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer) {
        return NULL;
    }
    peer->key = key_of(path);
    peer->path = *path;
    peer->heard = now;
    if (!heap_add(&transport->heap, &peer->timer, TIMER_PEER)) {
        free(peer);
        return NULL;
    }
    if (!host_join(transport, peer)) {
        heap_remove(&transport->heap, &peer->timer);
        free(peer);
        return NULL;
    }
    recall_path(transport, peer);
    if (!hash_index_add(&transport->peers, hash_key(transport, &peer->key), peer)) {
        host_leave(transport, peer);
        heap_remove(&transport->heap, &peer->timer);
        free(peer);
        return NULL;
    }
    return peer;
}

bool peer_join(struct flow *flow, uint64_t now)
{
    struct transport *transport = flow->transport;
    struct peer *peer = peer_find(transport, &flow->path);
    if (!peer) {
        peer = peer_new(transport, &flow->path, now);
    }
    if (!peer) {
        return false;
    }
    peer->flow_count++;
    flow->peer = peer;
    DL_APPEND2(peer->flows, flow, peer_prev, peer_next);
    return true;
}

static void peer_release(struct transport *transport, struct peer *peer)
{
    if (--peer->flow_count == 0) {
        peer_free(transport, peer);
    }
}

void peer_leave(struct flow *flow)
{
    struct peer *peer = flow->peer;
    if (!peer) {
        return;
    }
    mtu_forget(&peer->mtu, flow);
    DL_DELETE2(peer->flows, flow, peer_prev, peer_next);
    flow->peer = NULL;
    peer_release(flow->transport, peer);
}

static uint64_t probe_interval(const struct transport *transport)
{
    return max_u64(min_u64(transport->config.probe_ns, transport->config.dead_peer_ns / 4), MILLISECONDS(1));
}

void peer_heard(struct peer *peer, uint64_t now)
{
    peer->heard = now;
    peer->unanswered = 0;
}

enum which { ALL, OF_ANOTHER_EPOCH /* than the one believed */, DISOWNED };

static bool meant(const struct peer *peer, const struct flow *flow, enum which which)
{
    switch (which) {
    case OF_ANOTHER_EPOCH:
        return flow->peer_epoch != peer->epoch;
    case DISOWNED:
        return flow->disowned;
    default:
        return true;
    }
}

/* Ends the peer's established flows, or some of them. */
static void end_flows(struct transport *transport, struct peer *peer, enum which which, enum transport_status status,
                      uint64_t now)
{
    struct flow *flow, *next;
    peer->flow_count++;
    DL_FOREACH_SAFE2(peer->flows, flow, next, peer_next)
    {
        if (flow_on_network(flow) && meant(peer, flow, which)) {
            flow_end(flow, status, now);
            flow_forget(flow);
        }
    }
    peer_release(transport, peer);
}

static bool knows(const struct peer *peer, uint64_t epoch)
{
    return peer->known && peer->epoch == epoch;
}

/* The engine of `epoch` is not at this address any more: its flows end, whichever workers they were between. Those of its successor, if there
 * are any, confirm themselves with their handshake. */
static void engine_gone(struct transport *transport, struct peer_key any, uint64_t epoch, uint64_t now)
{
    struct host_key key;
    struct host *host = host_find(transport, &any, &key);
    for (uint32_t left = host ? host->peer_count : 0; left > 0 && host; left--) {
        struct peer *peer = host_next_peer(host);
        if (knows(peer, epoch)) {
            peer->known = false;
            end_flows(transport, peer, ALL, TRANSPORT_PEER_RESTARTED, now);
            host = host_find(transport, &any, &key); /* it goes with its last peer */
        }
    }
}

static void send_probe(struct transport *transport, struct peer *peer, uint64_t now)
{
    struct reply *reply = reply_new(transport, &peer->path);
    if (!peer->probing) {
        peer->probing = true;
        peer->nonce = transport_random(transport);
    }
    peer->probed = now;
    if (reply) {
        struct wire_probe probe = {
            .nonce = peer->nonce, .epoch = peer->epoch, .own_epoch = transport->config.epoch};
        reply->length = (uint16_t)wire_probe_encode(reply->bytes, WIRE_PROBE, &probe);
    }
}

bool peer_ask(struct flow *flow, uint64_t now)
{
    struct peer *peer = flow->peer;
    if (!peer || !peer->known) {
        return false;
    }
    if (!peer->probing || now - peer->probed >= ASK_INTERVAL) {
        send_probe(flow->transport, peer, now);
    }
    return true;
}

/* Somebody at this address says that it is the engine of `epoch`: one peer of another epoch is asked. */
static void ask_others(struct transport *transport, struct host *host, uint64_t epoch, uint64_t now)
{
    for (uint64_t left = min_u64(host->peer_count, LOOKED_AT_MAX); left > 0; left--) {
        struct peer *peer = host_next_peer(host);
        if (peer->known && peer->epoch != epoch && (!peer->probing || now - peer->probed >= CLAIM_INTERVAL)) {
            send_probe(transport, peer, now);
            return;
        }
    }
}

static void claimed(struct transport *transport, const struct peer_key *peer, uint64_t epoch, uint64_t now)
{
    struct host_key key;
    struct host *host = host_find(transport, peer, &key);
    if (host) {
        ask_others(transport, host, epoch, now);
    }
}

void peer_claimed(struct transport *transport, const struct transport_path *path, uint64_t epoch, uint64_t now)
{
    const struct peer_key key = key_of(path);
    const struct peer *peer = peer_find(transport, path);
    if (!peer || !knows(peer, epoch)) {
        claim_tell(transport, &key, epoch, false, now);
    }
    claimed(transport, &key, epoch, now);
}

void transport_claimed(struct transport *transport, const struct transport_claim *claim, uint64_t now)
{
    const struct peer_key key = {.local = claim->local, .remote = claim->remote};
    claimed(transport, &key, claim->epoch, now);
}

void peer_believe(struct transport *transport, struct peer *peer, uint64_t epoch, uint64_t now)
{
    bool changed = peer->known && peer->epoch != epoch;
    uint64_t before = peer->epoch;
    peer_heard(peer, now);
    if (!knows(peer, epoch)) {
        claim_tell(transport, &peer->key, epoch, true, now);
    }
    peer->known = true;
    peer->epoch = epoch;
    peer->probing = false; /* an answer that is under way speaks of the time before this handshake */
    if (peer->timer.at == NEVER) {
        heap_set(&transport->heap, &peer->timer, now + probe_interval(transport));
    }
    if (changed) {
        transport->counters.peers_restarted++;
        end_flows(transport, peer, OF_ANOTHER_EPOCH, TRANSPORT_PEER_RESTARTED, now);
        engine_gone(transport, peer->key, before, now);
    } else {
        ask_others(transport, peer->host, epoch, now);
    }
}

void peer_probe(struct transport *transport, const struct transport_path *path, const struct wire_probe *probe)
{
    struct reply *reply = reply_new(transport, path);
    if (reply) {
        struct wire_probe answer = {
            .nonce = probe->nonce, .own_epoch = transport->config.epoch, .result = WIRE_PROBE_SAME_EPOCH};
        if (probe->epoch != transport->config.epoch) {
            answer.result = WIRE_PROBE_OTHER_EPOCH;
        } else if (!peer_find(transport, path)) {
            answer.result = WIRE_PROBE_NO_FLOWS;
        }
        reply->length = (uint16_t)wire_probe_encode(reply->bytes, WIRE_PROBE_REPLY, &answer);
    }
}

void peer_probe_reply(struct transport *transport, const struct transport_path *path, const struct wire_probe *probe,
                      uint64_t now)
{
    struct peer *peer = peer_find(transport, path);
    if (!peer || !peer->probing || peer->nonce != probe->nonce) {
        return;
    }
    peer->probing = false;
    peer_heard(peer, now);
    if (probe->result == WIRE_PROBE_OTHER_EPOCH) {
        transport->counters.peers_restarted++;
        claim_tell(transport, &peer->key, probe->own_epoch, true, now);
        engine_gone(transport, peer->key, peer->epoch, now);
    } else if (probe->result == WIRE_PROBE_NO_FLOWS) {
        end_flows(transport, peer, ALL, TRANSPORT_RESET, now);
    } else {
        end_flows(transport, peer, DISOWNED, TRANSPORT_RESET, now);
    }
}

void peer_timeout(struct transport *transport, struct peer *peer, uint64_t now)
{
    uint64_t interval = probe_interval(transport);
    uint64_t dead_at = peer->heard + transport->config.dead_peer_ns;
    if (!peer->known) {
        heap_set(&transport->heap, &peer->timer, NEVER);
        return;
    }
    if (now >= dead_at && peer->unanswered >= UNANSWERED_MIN) {
        peer->known = false;
        heap_set(&transport->heap, &peer->timer, NEVER);
        transport->counters.peers_dead++;
        end_flows(transport, peer, ALL, TRANSPORT_PEER_DEAD, now);
        return;
    }
    if (now < peer->heard + interval) {
        heap_set(&transport->heap, &peer->timer, peer->heard + interval);
        return;
    }
    peer->unanswered++;
    send_probe(transport, peer, now);
    uint64_t next = now + interval / 5;
    if (peer->unanswered >= UNANSWERED_MIN && dead_at > now) {
        next = min_u64(next, dead_at);
    }
    heap_set(&transport->heap, &peer->timer, next);
}
