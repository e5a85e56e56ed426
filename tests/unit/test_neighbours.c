/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "path/neighbours.h"

enum { US = 0x0a000001, PEER = 0x0a000002 };
#define SECOND UINT64_C(1000000000)

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb};
static struct neighbours *table;
static uint64_t now;

static void setup(void)
{
    table = neighbours_new();
    now = 5 * SECOND;
}

static void teardown(void)
{
    neighbours_free(table);
}

TestSuite(neighbours, .init = setup, .fini = teardown);

static int resolve(uint32_t ip, struct neighbour_resolution *resolution)
{
    return neighbours_resolve(table, ip, US, now, resolution);
}

static int state(uint32_t ip)
{
    return neighbours_state(table, ip, now);
}

/* Learns that `ip` has `mac`. */
static void learn(uint32_t ip, const uint8_t mac[6])
{
    struct neighbour_resolution resolution;
    cr_assert_eq(resolve(ip, &resolution), NEIGHBOUR_ASKED);
    cr_assert(neighbours_answer(table, ip, mac, now));
    cr_assert_eq(resolve(ip, &resolution), NEIGHBOUR_KNOWN);
}

/* The question that is due next; moves the clock there. */
static bool next_question(struct neighbour_question *question)
{
    uint64_t at = neighbours_next_timeout(table);
    if (at == UINT64_MAX)
        return false;
    cr_assert_gt(at, now);
    cr_assert_not(neighbours_timeout(table, at - 1, question), "early");
    now = at;
    return neighbours_timeout(table, now, question);
}

Test(neighbours, resolve__asks_all_and_learns_the_answer)
{
    struct neighbour_resolution resolution;
    cr_assert_eq(state(PEER), -1);
    cr_assert_eq(resolve(PEER, &resolution), NEIGHBOUR_ASKED);
    cr_assert(resolution.ask);
    cr_assert_eq(resolution.question.target, PEER);
    cr_assert_eq(resolution.question.source, US);
    cr_assert_not(resolution.question.unicast);
    cr_assert_eq(state(PEER), NEIGHBOUR_INCOMPLETE);
    cr_assert_eq(resolve(PEER, &resolution), NEIGHBOUR_ASKED);
    cr_assert_not(resolution.ask, "once is enough");

    uint32_t generation = neighbours_generation(table);
    cr_assert(neighbours_answer(table, PEER, mac_a, now));
    cr_assert_neq(neighbours_generation(table), generation);
    cr_assert_eq(resolve(PEER, &resolution), NEIGHBOUR_KNOWN);
    cr_assert_arr_eq(resolution.mac, mac_a, 6);
    cr_assert_eq(resolution.valid_ns, now + NEIGHBOURS_FRESH_NS);
    cr_assert_eq(neighbours_next_timeout(table), UINT64_MAX, "nobody need wake for it");
}

Test(neighbours, timeout__asks_so_often_and_gives_up)
{
    struct neighbour_resolution resolution;
    struct neighbour_question question;
    uint64_t start = now;
    int questions = 1;
    resolve(PEER, &resolution);
    while (next_question(&question)) {
        questions++;
        cr_assert_eq(question.target, PEER);
        cr_assert_not(question.unicast);
    }
    cr_assert_eq(questions, NEIGHBOURS_QUESTIONS);
    cr_assert_eq(now - start, NEIGHBOURS_QUESTIONS * NEIGHBOURS_PAUSE_NS);
    cr_assert_eq(state(PEER), NEIGHBOUR_FAILED);
    cr_assert_eq(resolve(PEER, &resolution), NEIGHBOUR_UNREACHABLE);
    cr_assert_not(resolution.ask);
    cr_assert_not(neighbours_answer(table, PEER, mac_a, now), "too late");
    now += NEIGHBOURS_FAILED_NS;
    cr_assert_eq(resolve(PEER, &resolution), NEIGHBOUR_ASKED);
    cr_assert(resolution.ask);
}

Test(neighbours, answer__unasked_for_is_not_learnt)
{
    cr_assert_not(neighbours_answer(table, PEER, mac_a, now));
    cr_assert_eq(state(PEER), -1);
}

Test(neighbours, answer__does_not_change_a_fresh_entry)
{
    struct neighbour_resolution resolution;
    learn(PEER, mac_a);
    uint32_t generation = neighbours_generation(table);
    for (; state(PEER) == NEIGHBOUR_REACHABLE; now += SECOND / 10)
        cr_assert_not(neighbours_answer(table, PEER, mac_b, now));
    cr_assert_eq(state(PEER), NEIGHBOUR_STALE);
    cr_assert_not(neighbours_answer(table, PEER, mac_b, now), "nor one that nobody uses");
    cr_assert_eq(resolve(PEER, &resolution), NEIGHBOUR_KNOWN);
    cr_assert_arr_eq(resolution.mac, mac_a, 6);
    cr_assert_eq(neighbours_generation(table), generation);
}

Test(neighbours, resolve__a_stale_one_is_confirmed_by_its_owner)
{
    struct neighbour_resolution resolution;
    learn(PEER, mac_a);
    now += NEIGHBOURS_FRESH_NS;
    uint32_t generation = neighbours_generation(table);
    cr_assert_eq(resolve(PEER, &resolution), NEIGHBOUR_KNOWN, "used while it is asked");
    cr_assert(resolution.ask && resolution.question.unicast);
    cr_assert_arr_eq(resolution.question.mac, mac_a, 6);
    cr_assert_eq(state(PEER), NEIGHBOUR_PROBING);
    cr_assert_not(neighbours_answer(table, PEER, mac_b, now), "the question went to another");
    cr_assert(neighbours_answer(table, PEER, mac_a, now));
    cr_assert_eq(state(PEER), NEIGHBOUR_REACHABLE);
    cr_assert_eq(neighbours_generation(table), generation, "what others remember is still right");
}

Test(neighbours, answer__a_new_mac_after_the_owner_was_silent)
{
    struct neighbour_resolution resolution;
    struct neighbour_question question;
    uint64_t start = now;
    learn(PEER, mac_a);
    now += NEIGHBOURS_FRESH_NS;
    resolve(PEER, &resolution);
    for (int i = 1; i < NEIGHBOURS_PROBES; i++) {
        cr_assert(next_question(&question) && question.unicast);
        cr_assert_not(neighbours_answer(table, PEER, mac_b, now));
    }
    cr_assert(next_question(&question));
    cr_assert_not(question.unicast);
    cr_assert_eq(now - start, NEIGHBOURS_CHANGE_NS);
    uint32_t generation = neighbours_generation(table);
    cr_assert(neighbours_answer(table, PEER, mac_b, now));
    cr_assert_neq(neighbours_generation(table), generation);
    cr_assert_eq(resolve(PEER, &resolution), NEIGHBOUR_KNOWN);
    cr_assert_arr_eq(resolution.mac, mac_b, 6);
}

Test(neighbours, timeout__a_known_one_that_is_gone_fails)
{
    struct neighbour_resolution resolution;
    struct neighbour_question question;
    int questions = 1;
    learn(PEER, mac_a);
    now += NEIGHBOURS_FRESH_NS;
    resolve(PEER, &resolution);
    uint32_t generation = neighbours_generation(table);
    while (next_question(&question))
        questions++;
    cr_assert_eq(questions, NEIGHBOURS_QUESTIONS);
    cr_assert_eq(state(PEER), NEIGHBOUR_FAILED);
    cr_assert_neq(neighbours_generation(table), generation);
}

Test(neighbours, resolve__one_long_unused_is_not_used_unasked)
{
    struct neighbour_resolution resolution;
    learn(PEER, mac_a);
    now += NEIGHBOURS_KEEP_NS - 1;
    cr_assert_eq(resolve(PEER, &resolution), NEIGHBOUR_KNOWN);
    cr_assert(neighbours_answer(table, PEER, mac_a, now));
    now += NEIGHBOURS_KEEP_NS;
    cr_assert_eq(resolve(PEER, &resolution), NEIGHBOUR_ASKED);
    cr_assert(resolution.ask);
    cr_assert_not(resolution.question.unicast);
}

Test(neighbours, add_static__stays)
{
    struct neighbour_resolution resolution;
    cr_assert(neighbours_add_static(table, PEER, mac_a));
    cr_assert(neighbours_add_static(table, PEER, mac_a));
    cr_assert_not(neighbours_add_static(table, PEER, mac_b));
    now += 1000 * NEIGHBOURS_KEEP_NS;
    cr_assert_not(neighbours_answer(table, PEER, mac_b, now));
    cr_assert_eq(resolve(PEER, &resolution), NEIGHBOUR_KNOWN);
    cr_assert_arr_eq(resolution.mac, mac_a, 6);
    cr_assert_eq(resolution.valid_ns, UINT64_MAX);
    cr_assert_not(resolution.ask);
    for (uint32_t i = 1; i < NEIGHBOURS_STATIC_MAX; i++)
        cr_assert(neighbours_add_static(table, PEER + i, mac_a));
    cr_assert_not(neighbours_add_static(table, PEER + NEIGHBOURS_STATIC_MAX, mac_a));
}

Test(neighbours, resolve__a_scan_is_slowed_and_displaces_no_known_one)
{
    struct neighbour_resolution resolution;
    struct neighbour_question question;
    uint32_t begun = 0, questions = 0;
    learn(PEER, mac_a);
    uint64_t start = now;
    for (uint32_t ip = 0x0b000000; ip < 0x0b000000 + 100000; ip++, now += SECOND / 100000) {
        begun += resolve(ip, &resolution) == NEIGHBOUR_ASKED;
        while (neighbours_timeout(table, now, &question))
            questions++;
    }
    cr_assert_geq(begun, NEIGHBOURS_RATE);
    cr_assert_leq(begun, 2 * NEIGHBOURS_RATE + 1);
    cr_assert_leq(questions, begun * (NEIGHBOURS_QUESTIONS - 1));
    cr_assert_eq(state(PEER), NEIGHBOUR_REACHABLE);
    /* Those that are left are given up, too. */
    while (neighbours_next_timeout(table) != UINT64_MAX) {
        now = neighbours_next_timeout(table);
        while (neighbours_timeout(table, now, &question))
            ;
    }
    cr_assert_leq(now - start, 3 * SECOND);
}

/* An attacker who has us ask for as many as we do, and answers them all. */
Test(neighbours, answer__a_flood_displaces_none_in_use)
{
    struct neighbour_resolution resolution;
    uint32_t learnt = 0, ip = 0x0b000000;
    learn(PEER, mac_a);
    for (int step = 0; step < 60000; step++, now += SECOND / 1000) { /* a minute */
        for (int i = 0; i < 2; i++, ip++) {
            if (resolve(ip, &resolution) == NEIGHBOUR_ASKED)
                learnt += neighbours_answer(table, ip, mac_b, now);
        }
        if (state(PEER) != NEIGHBOUR_REACHABLE) { /* as the cache of a queue does */
            cr_assert_eq(resolve(PEER, &resolution), NEIGHBOUR_KNOWN, "after %d ms", step);
            cr_assert_arr_eq(resolution.mac, mac_a, 6);
            cr_assert(neighbours_answer(table, PEER, mac_a, now));
        }
    }
    cr_assert_gt(learnt, NEIGHBOURS_KNOWN_MAX);
}

/* Any sequence keeps the bounds, the questions and the states together: the table's own assertions check the transitions. */
Test(neighbours, random__is_bounded)
{
    struct neighbour_resolution resolution;
    struct neighbour_question question;
    uint64_t seed = 1;
    for (int step = 0; step < 200000; step++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t draw = (uint32_t)(seed >> 33), ip = 0x0a000000 + draw % 6000;
        now += draw % 4 == 0 ? SECOND / 50 : 0;
        if (draw % 3 == 0)
            neighbours_answer(table, ip, draw % 2 ? mac_a : mac_b, now);
        else
            resolve(ip, &resolution);
        if (draw % 5 == 0) {
            while (neighbours_timeout(table, now, &question))
                ;
            cr_assert_gt(neighbours_next_timeout(table), now);
        }
    }
}
