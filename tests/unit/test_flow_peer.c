/* SPDX-License-Identifier: MIT */
/* Engines that die, pause, restart. */
#include <criterion/criterion.h>

#include "support/flow_expect.h"
#include "support/flow_pair.h"

Test(transport_timeout, a_dead_peer_ends_its_flows)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *idle = pair_connect(&pair);
    struct pair_flow *busy = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    pair.fate = drop_all;
    pair_send(busy, 100000);
    pair_run(&pair, 9900 * PAIR_MS);
    cr_assert_eq(idle->ended + busy->ended, 0);
    pair_run(&pair, 200 * PAIR_MS);
    expect_end(idle, TRANSPORT_PEER_DEAD);
    expect_end(busy, TRANSPORT_PEER_DEAD);
    cr_assert_eq(busy->sent_failed, 1);
    cr_assert_eq(transport_counters(pair.a.transport)->peers_dead, 1);
    pair_fini(&pair);
}

Test(transport_timeout, a_pause_of_our_own_kills_nobody)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair_run(&pair, 50 * PAIR_MS);
    pair.now += 60000 * PAIR_MS;
    pair_run(&pair, 1000 * PAIR_MS);
    cr_assert_eq(flow->ended, 0);
    cr_assert_eq(pair.b.flows[0].ended, 0);
    pair_fini(&pair);
}

static void restart_b(struct pair *pair)
{
    pair_stop(&pair->b);
    pair->b.config.epoch++;
    pair->b.config.seed += 1000;
    pair_start(&pair->b);
}

Test(transport_receive, a_restarted_peer_is_noticed_by_probing)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    restart_b(&pair);
    pair_run(&pair, 2700 * PAIR_MS);
    expect_end(flow, TRANSPORT_PEER_RESTARTED);
    pair_fini(&pair);
}

Test(transport_receive, a_restarted_peer_is_noticed_by_sending)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    restart_b(&pair);
    pair_send(flow, 10);
    pair_run(&pair, 2 * pair.delay);
    expect_end(flow, TRANSPORT_RESET);
    cr_assert_eq(flow->sent_failed, 1);
    pair_fini(&pair);
}

Test(transport_receive, a_restarted_peer_is_noticed_when_it_opens)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    restart_b(&pair);
    pair_open(&pair.b, PAIR_PORT);
    pair_run(&pair, 3 * pair.delay);
    expect_end(flow, TRANSPORT_PEER_RESTARTED);
    cr_assert_eq(transport_counters(pair.a.transport)->peers_restarted, 1);
    pair_run(&pair, 10 * PAIR_MS);
    cr_assert_eq(pair.a.accepted_count, 1);
    cr_assert_eq(pair.a.flows[1].ended, 0);
    pair_fini(&pair);
}

Test(transport_receive, also_if_another_of_its_workers_opens)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    pair.a.path.local.port++;
    struct pair_flow *of_other_port = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    cr_assert_eq(of_other_port->established, 1);
    pair.a.path.local.port--;
    restart_b(&pair);
    pair.b.path.local.port++;
    pair_open(&pair.b, PAIR_PORT);
    pair_run(&pair, 3 * pair.delay);
    expect_end(flow, TRANSPORT_PEER_RESTARTED);
    expect_end(of_other_port, TRANSPORT_PEER_RESTARTED);
    pair_run(&pair, 10 * PAIR_MS);
    cr_assert_eq(pair.a.flows[2].ended, 0);
    pair_fini(&pair);
}

Test(transport_receive, a_restarted_peer_is_noticed_when_we_open)
{
    struct pair pair;
    pair_init(&pair);
    struct pair_flow *flow = pair_connect(&pair);
    restart_b(&pair);
    struct pair_flow *fresh = pair_open(&pair.a, PAIR_PORT);
    pair_run(&pair, 10 * PAIR_MS);
    expect_end(flow, TRANSPORT_PEER_RESTARTED);
    cr_assert_eq(fresh->established, 1);
    cr_assert_eq(fresh->ended, 0);
    pair_fini(&pair);
}
