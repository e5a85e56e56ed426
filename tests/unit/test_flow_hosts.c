/* SPDX-License-Identifier: MIT */
/* A host with which there are very many flows, between very many endpoints: what one packet makes us do is bounded. */
#include <criterion/criterion.h>
#include <time.h>

#include "flow/flow.h"

enum { PEERS = 20000 };
#define NOW MILLISECONDS(1000)

static bool told_ended(struct transport_owner *owner, void *flow_user, enum transport_status status)
{
    (void)owner, (void)flow_user, (void)status;
    return true;
}

struct crowd {
    struct transport *transport;
    struct transport_owner owner;
    struct transport_path path;
};

static void crowd_init(struct crowd *crowd)
{
    const struct transport_config config = {.epoch = 1,
                                            .seed = 1,
                                            .max_flows = 1 << 17,
                                            .dead_peer_ns = MILLISECONDS(10000),
                                            .probe_ns = MILLISECONDS(2500),
                                            .max_udp_payload = 1472,
                                            .window_packets = 64};
    crowd->transport = transport_new(&config, &(struct transport_ops){.ended = told_ended});
    transport_owner_init(&crowd->owner, NULL, 1 << 20);
    crowd->path = (struct transport_path){.max_udp_payload = 1472};
    crowd->path.local.ip[15] = 1;
    crowd->path.remote.ip[15] = 2;
}

static void crowd_fini(struct crowd *crowd)
{
    transport_owner_close(crowd->transport, &crowd->owner, WIRE_REASON_ABORTED, NOW);
    transport_free(crowd->transport);
}

/* An established flow with the engine of `epoch`, at its endpoint `port`. */
static void crowd_join(struct crowd *crowd, uint16_t port, uint64_t epoch)
{
    enum transport_status status;
    crowd->path.remote.port = port;
    struct flow *flow = flow_new(crowd->transport, &crowd->owner, &crowd->path, &status, NOW);
    cr_assert_not_null(flow);
    flow->state = FLOW_OPEN;
    flow->peer_epoch = epoch;
    flow->closed = true;
    flow->peer->known = true;
    flow->peer->epoch = epoch;
}

static uint64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint32_t flows_with(const struct crowd *crowd, uint64_t epoch)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < crowd->transport->flow_slots; i++) {
        const struct flow *flow = crowd->transport->flows[i];
        count += flow && flow->state == FLOW_OPEN && flow->peer_epoch == epoch;
    }
    return count;
}

Test(peer_claimed, costs_the_same_however_many_peers_the_host_has)
{
    struct crowd crowd;
    crowd_init(&crowd);
    for (uint16_t port = 1; port <= PEERS; port++) {
        crowd_join(&crowd, port, 7);
    }
    const uint64_t before = cpu_ns();
    for (int i = 0; i < 5000; i++) {
        peer_claimed(crowd.transport, &crowd.path, 7, NOW);
    }
    cr_assert_lt(cpu_ns() - before, 100000000, "5,000 claims that say nothing new took %llu ms of processor",
                 (unsigned long long)(cpu_ns() - before) / 1000000);
    crowd_fini(&crowd);
}

Test(peer_claimed, finds_the_one_peer_of_another_epoch_in_turn)
{
    struct crowd crowd;
    crowd_init(&crowd);
    for (uint16_t port = 1; port <= 100; port++) {
        crowd_join(&crowd, port, port == 60 ? 5 : 7);
    }
    for (int i = 0; i < 7; i++) {
        peer_claimed(crowd.transport, &crowd.path, 7, NOW);
    }
    cr_assert_eq(deque_count(&crowd.transport->replies), 1, "one PROBE, to the peer with the other epoch");
    const struct reply *probe = deque_at(&crowd.transport->replies, crowd.transport->replies.base, sizeof *probe);
    cr_assert_eq(probe->path.remote.port, 60);
    crowd_fini(&crowd);
}

Test(peer_probe_reply, an_engine_that_is_gone_costs_a_walk_over_its_host_and_no_more)
{
    struct crowd crowd;
    crowd_init(&crowd);
    for (uint16_t port = 1; port <= PEERS; port++) { /* all those that stay before all those that go */
        crowd_join(&crowd, port, port <= PEERS / 2 ? 7 : 5);
    }
    struct peer *peer = peer_find(crowd.transport, &crowd.path);
    peer->probing = true;
    peer->nonce = 77;
    const struct wire_probe gone = {.nonce = 77, .own_epoch = 7, .result = WIRE_PROBE_OTHER_EPOCH};
    const uint64_t before = cpu_ns();
    peer_probe_reply(crowd.transport, &crowd.path, &gone, NOW);
    cr_assert_lt(cpu_ns() - before, 150000000, "it took %llu ms of processor",
                 (unsigned long long)(cpu_ns() - before) / 1000000);
    cr_assert_eq(flows_with(&crowd, 5), 0);
    cr_assert_eq(flows_with(&crowd, 7), PEERS / 2);
    crowd_fini(&crowd);
}
