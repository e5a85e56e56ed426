/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "channel/patience.h"

#define US UINT64_C(1000)
#define SPIN_NS (250 * US)
#define PAYS_NS (100 * US)
#define FAR_NS (1000 * US)

static struct mn_patience patience;
static uint64_t time_ns;

static void learn(uint64_t waited_ns)
{
    time_ns += waited_ns;
    mn_patience_learn(&patience, SPIN_NS, time_ns - waited_ns, time_ns);
}

static void begin(void)
{
    mn_patience_init(&patience);
}

TestSuite(patience, .init = begin, .timeout = 10);

static bool polls_after(uint64_t waited_ns)
{
    learn(waited_ns);
    return mn_patience_polls(&patience);
}

/* Waits that are slept through before the next trial. */
static uint32_t pause_of(uint64_t waited_ns)
{
    uint32_t slept = 0;
    while (slept < 1000 && !mn_patience_polls(&patience)) {
        learn(waited_ns);
        slept++;
    }
    return slept;
}

Test(patience, learn__polls_while_it_pays)
{
    cr_assert(mn_patience_polls(&patience), "at first, nothing is known");
    for (int i = 0; i < 100; i++)
        cr_assert(polls_after(PAYS_NS));
    cr_assert(polls_after(FAR_NS), "once is by chance");
    cr_assert(polls_after(PAYS_NS));
    cr_assert(polls_after(FAR_NS));
    cr_assert_not(polls_after(FAR_NS));
}

Test(patience, learn__tries_again_ever_more_rarely)
{
    for (int i = 0; i < 2; i++)
        learn(FAR_NS);
    for (uint32_t pause = 1; pause <= 16; pause *= 2) {
        const uint32_t slept = pause_of(FAR_NS + pause / 2);
        cr_assert(slept >= pause && slept < 2 * pause, "%u waits, not %u", slept, pause);
        cr_assert_not(polls_after(FAR_NS), "it did not pay");
    }
    uint32_t seen = 0;
    for (uint32_t i = 0; i <= 16; i++) {
        seen |= UINT32_C(1) << pause_of(FAR_NS);
        cr_assert_not(polls_after(FAR_NS + i));
    }
    cr_assert_eq(seen, UINT32_C(0xffff0000), "by chance, any from 16 to 31");
    uint32_t polled = 0;
    for (int i = 0; i < 10000; i++)
        polled += polls_after(FAR_NS + (uint64_t)i);
    cr_assert(polled >= 10000 / 33 && polled <= 10000 / 17, "%u of 10000", polled);
}

Test(patience, learn__a_trial_goes_on_while_waits_come_often)
{
    for (int i = 0; i < 2; i++)
        learn(FAR_NS);
    pause_of(FAR_NS);
    for (int i = 0; i < 7; i++)
        cr_assert(polls_after(SPIN_NS));
    cr_assert_not(polls_after(SPIN_NS), "but not for ever");
    pause_of(FAR_NS);
    time_ns += FAR_NS;
    cr_assert_not(polls_after(SPIN_NS), "they come rarely");
    pause_of(FAR_NS);
    cr_assert(polls_after(SPIN_NS));
}

Test(patience, learn__what_pays_makes_pauses_shorter)
{
    for (int i = 0; i < 2; i++)
        learn(FAR_NS);
    for (int i = 0; i < 5; i++) {
        pause_of(FAR_NS);
        cr_assert_not(polls_after(FAR_NS));
    }
    cr_assert(polls_after(PAYS_NS), "a sleeper that was fast will be fast again");
    cr_assert_not(polls_after(SPIN_NS), "it was not");
    cr_assert_geq(pause_of(FAR_NS), 8);
    for (int i = 0; i < 6; i++)
        cr_assert(polls_after(PAYS_NS));
    cr_assert(polls_after(FAR_NS), "all is forgotten");
}

Test(patience, learn__without_time_to_poll_nothing_happens)
{
    for (uint64_t i = 0; i < 100; i++)
        mn_patience_learn(&patience, 0, i, i + i % 3);
}

/* ---- Two that wait for each other ---- */

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % below;
}

struct side {
    struct mn_patience patience;
    uint64_t since; /* it waits */
};

/* What it waits for arrives. Returns when it takes notice. */
static uint64_t arrive(struct side *side, uint64_t at, uint64_t wake_ns)
{
    bool caught = mn_patience_polls(&side->patience) && at <= side->since + SPIN_NS;
    uint64_t notice = caught ? at : at + wake_ns;
    mn_patience_learn(&side->patience, SPIN_NS, side->since, notice);
    return notice;
}

/* Sends, at `now`, `work_ns` after it has taken notice. */
static uint64_t work(struct side *side, uint64_t now, uint64_t work_ns)
{
    side->since = now + work_ns + draw(2 * US);
    return side->since;
}

static void fall_asleep(struct side *side)
{
    const uint64_t waits = 1000 + draw(100);
    *side = (struct side){.since = 0};
    mn_patience_init(&side->patience);
    for (uint64_t n = 0; n < waits || mn_patience_polls(&side->patience); n++)
        mn_patience_learn(&side->patience, SPIN_NS, 0, FAR_NS + draw(1000));
}

/* Request and response, one in flight, both asleep at first. How many round trips it takes till the next hundred are polled on both sides. */
static uint32_t trips_till_polled(uint64_t wake_ns, uint64_t work_ns)
{
    struct side sides[2];
    uint32_t good = 0, trips = 0;
    uint64_t now = 0;
    for (int i = 0; i < 2; i++)
        fall_asleep(&sides[i]);
    for (; trips < 10000 && good < 100; trips++) {
        const uint64_t began = now;
        for (int i = 0; i < 2; i++)
            now = work(&sides[i], arrive(&sides[i], now, wake_ns), work_ns);
        good = now - began < 2 * work_ns + 4 * US ? good + 1 : 0;
    }
    return trips - good;
}

Test(patience, learn__two_that_wait_for_each_other_get_out_of_sleep_together)
{
    for (uint64_t wake_us = 5; wake_us <= 100; wake_us += 5) {
        uint32_t most = 0;
        for (uint64_t seed = 1; seed <= 500; seed++) {
            random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
            const uint32_t trips = trips_till_polled(wake_us * US, 25 * US);
            most = trips > most ? trips : most;
        }
        cr_assert_lt(most, 1000, "wake-ups of %u us: %u round trips", (unsigned)wake_us, most);
    }
}
