/* SPDX-License-Identifier: MIT */
/*
 * Breaks the rules of the shared memory, over channel after channel, beside traffic of its own:
 *   integration_attack_memory descriptors ADDRESS COUNT SEED   until the engine has taken COUNT mutated descriptors
 *   integration_attack_memory garbage ADDRESS PASSES SEED      garbage into each word of region 0, PASSES times
 * ADDRESS is one of the engine; ports from there on are listened at. The last line says what was done.
 */
#include "attack_channel.h"

#include <inttypes.h>

enum { ARENA_BYTES = 4 * MN_BLOCK, PORTS = 20000, DESCRIPTORS_PER_CHANNEL = 8192, BATCH_MAX = 128, LEASES_MAX = 256, PRIVATE_PORTS = 10000 };

static uint8_t ip[16];
static uint16_t first_port;
static struct prng prng;
static uint64_t descriptors, channels, closed_channels, reopened;

static struct attacker {
    struct attack_channel channel;
    uint32_t wild_ppm;                   /* how often a descriptor is mutated without regard */
    uint64_t leases[LEASES_MAX];
    uint32_t lease_count;
    uint32_t put;
} attacker;

static void attach(void)
{
    attack_attach(&attacker.channel, ARENA_BYTES);
    attacker.lease_count = attacker.put = 0;
    attack_open_flow(&attacker.channel, ip, (uint16_t)(first_port + channels % PORTS));
    channels++;
}

/* The engine has said that it closes the channel. What else it may say, offers of regions, is left unanswered. */
static bool told(void)
{
    union attack_message message;
    while (attack_wait_readable(attacker.channel.control, 0)) {
        ssize_t length = recv(attacker.channel.control, &message, sizeof message, MSG_PEEK);
        if (length <= 0 || message.header.type == MN_CONTROL_CLOSING)
            return true;
        (void)attack_receive(attacker.channel.control, &message, NULL);
    }
    return false;
}

static void detach(bool must_be_closed)
{
    if (must_be_closed || told()) {
        int32_t status = attack_expect_closing(&attacker.channel);
        if (status != MACHNET_EPROTOCOL)
            attack_fail("closed with %s", machnet_status_name(status));
        if (!attack_is_closed(&attacker.channel))
            attack_fail("header.closed is 0 in a closed channel");
        closed_channels++;
    }
    attack_detach(&attacker.channel);
}

/* ---- Descriptors ---- */

union entry {
    struct mn_submission common;
    struct mn_submission_open open;
    uint8_t bytes[sizeof(struct mn_submission)];
};

static uint64_t interesting(void)
{
    static const uint64_t values[] = {0, 1, 63, 64, 65, 4095, 4096, MN_BLOCK, ARENA_BYTES - 1, ARENA_BYTES, ARENA_BYTES + 1, MN_MESSAGE_MAX,
                                      MN_MESSAGE_MAX + 1, INT32_MAX, UINT32_MAX, UINT64_C(1) << 32, INT64_MAX, UINT64_MAX,
                                      UINT64_MAX - 63, ATTACK_TOKEN, ATTACK_TOKEN | MN_TOKEN_ACCEPTED};
    uint64_t choice = prng_below(&prng, sizeof values / sizeof values[0] + 2);
    return choice < sizeof values / sizeof values[0] ? values[choice] : prng_next(&prng) >> prng_below(&prng, 64);
}

/* Packets of this test leave the machine under no circumstances; and low ports are those of bystanders, who check what they get. */
static void keep_in_bounds(union entry *entry)
{
    static const uint8_t ipv4[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(entry->open.remote_ip, ipv4, sizeof ipv4) == 0)
        entry->open.remote_ip[12] = 127;
    if (entry->open.op == MN_OP_OPEN && entry->open.remote_port < PRIVATE_PORTS)
        entry->open.remote_port = PRIVATE_PORTS;
}

/* A field of any kind of submission gets any value. */
static void mutate(union entry *entry)
{
    static const struct {
        uint8_t offset, bytes;
    } fields[] = {{0, 1}, {1, 1}, {2, 2}, {4, 4}, {4, 2}, {6, 2}, {8, 8}, {8, 4}, {12, 4}, {16, 8}, {24, 8}, {32, 8}, {40, 8}, {48, 8}, {56, 8}};
    uint64_t which = prng_below(&prng, sizeof fields / sizeof fields[0]);
    uint64_t value = interesting();
    if (prng_chance(&prng, 200000))
        entry->bytes[prng_below(&prng, sizeof entry->bytes)] ^= (uint8_t)(1u << prng_below(&prng, 8));
    else
        memcpy(entry->bytes + fields[which].offset, &value, fields[which].bytes);
    if (prng_chance(&prng, 100000))
        prng_fill(&prng, entry->bytes + 1, sizeof entry->bytes - 1);
    keep_in_bounds(entry);
}

/* A descriptor that no library would write, and that the engine may take. */
static void make_odd(union entry *entry)
{
    const struct attack_channel *channel = &attacker.channel;
    uint64_t offset = prng_below(&prng, channel->bytes[1]);
    uint64_t room = channel->bytes[1] - offset;
    uint64_t flow = prng_chance(&prng, 500000) ? channel->flow : channel->accepted;
    uint64_t longest = prng_chance(&prng, 20000) ? room : room < 512 ? room : 512;
    entry->common = attack_send_of(flow, offset, (uint32_t)prng_between(&prng, 0, longest), prng_next(&prng));
    entry->common.tag = interesting();
    if (prng_chance(&prng, 20000)) {
        entry->open = attack_open_of(ip, (uint16_t)prng_next(&prng));
        entry->open.flow = prng_between(&prng, 1, UINT32_MAX) << 32 | prng_below(&prng, 1000);
        entry->open.local_port = (uint16_t)interesting();
        entry->open.timeout_ns = prng_chance(&prng, 500000) ? interesting() : 1000000;
        if (prng_chance(&prng, 300000))
            prng_fill(&prng, entry->open.remote_ip + 12, 4);
        if (prng_chance(&prng, 100000))
            prng_fill(&prng, entry->open.local_ip, 16);
        keep_in_bounds(entry);
    }
}

static void put_submission(void)
{
    union entry entry;
    make_odd(&entry);
    if (prng_chance(&prng, attacker.wild_ppm))
        mutate(&entry);
    attacker.put += attack_put(&attacker.channel.submissions, &entry);
}

static void put_release(void)
{
    uint64_t lease = attacker.leases[--attacker.lease_count];
    if (prng_chance(&prng, attacker.wild_ppm))
        lease = prng_chance(&prng, 500000) ? interesting() : lease ^ UINT64_C(1) << prng_below(&prng, 64);
    attacker.put += attack_put(&attacker.channel.releases, &lease);
}

/* An index that the engine reads gets another value. */
static void jump(void)
{
    struct attack_channel *channel = &attacker.channel;
    struct mn_ring *rings[] = {&channel->submissions, &channel->releases, &channel->deliveries, &channel->completions};
    uint32_t jump_by = prng_chance(&prng, 500000) ? (uint32_t)interesting() : (uint32_t)prng_between(&prng, 1, 4);
    if (prng_chance(&prng, 500000))
        jump_by = 0 - jump_by;
    atomic_store_explicit(rings[prng_below(&prng, 4)]->mine, channel->submissions.next + jump_by, memory_order_release);
    attack_wake_engine(channel);
}

/* Changes what the engine may just be reading. An OPEN could get an address of another machine that way: those are left alone. */
static void mutate_published(uint32_t count)
{
    const struct mn_ring *ring = &attacker.channel.submissions;
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t at = ring->next - 1 - (uint32_t)prng_below(&prng, count);
        union entry *entry = (union entry *)(void *)(ring->entries + (size_t)(at & ring->mask) * ring->entry_bytes);
        uint64_t value = interesting();
        if (entry->common.op != MN_OP_SEND)
            continue;
        if (prng_chance(&prng, 500000))
            atomic_store_explicit((_Atomic uint32_t *)&entry->common.length, (uint32_t)value, memory_order_relaxed);
        else
            atomic_store_explicit((_Atomic uint64_t *)&entry->common.offset, value, memory_order_relaxed);
    }
}

static void take_all(void)
{
    struct mn_delivery delivery;
    attack_drain_completions(&attacker.channel);
    while (attack_take_delivery(&attacker.channel, &delivery)) {
        if (delivery.op == MN_OP_MESSAGE && attacker.lease_count < LEASES_MAX)
            attacker.leases[attacker.lease_count++] = delivery.lease;
    }
}

/* What the engine has taken, by its own indices. */
static uint32_t taken(void)
{
    return atomic_load(attacker.channel.submissions.theirs) + atomic_load(attacker.channel.releases.theirs);
}

static void wait_until_taken(void)
{
    uint64_t end = clock_now_ns() + ATTACK_PATIENCE_NS;
    for (int i = 0; !attack_is_closed(&attacker.channel) && taken() < attacker.put; i++) {
        take_all();
        attack_wake_engine(&attacker.channel);
        if (i > 20)
            usleep(50);
        if (clock_now_ns() > end)
            attack_fail("the engine takes nothing: %u of %u", (unsigned)taken(), (unsigned)attacker.put);
    }
}

static void one_batch(void)
{
    uint32_t count = (uint32_t)prng_between(&prng, 1, BATCH_MAX);
    take_all();
    for (uint32_t i = 0; i < count; i++)
        put_submission();
    while (attacker.lease_count > 0 && !prng_chance(&prng, 20000))
        put_release();
    attack_publish(&attacker.channel);
    if (prng_chance(&prng, attacker.wild_ppm))
        mutate_published(count);
    wait_until_taken();
}

static void attack_descriptors(uint64_t wanted)
{
    static const uint32_t wildness[] = {300000, 10000, 10000, 3000, 0};
    while (descriptors < wanted) {
        attach();
        attacker.wild_ppm = wildness[prng_below(&prng, 5)];
        while (!attack_is_closed(&attacker.channel) && attacker.put < DESCRIPTORS_PER_CHANNEL)
            one_batch();
        bool closed = attack_is_closed(&attacker.channel);
        descriptors += taken();
        if (!closed && prng_chance(&prng, 500000))
            jump();
        detach(closed);
    }
}

/* ---- Garbage ---- */

/* Sometimes the garbage in the next entry is what is submitted. */
static bool keep_traffic_going(void)
{
    union entry entry;
    take_all();
    make_odd(&entry);
    if (prng_chance(&prng, 10000))
        mn_ring_advance(&attacker.channel.submissions, 1);
    else
        (void)attack_put(&attacker.channel.submissions, &entry);
    if (attacker.lease_count > 0)
        (void)attack_put(&attacker.channel.releases, &attacker.leases[--attacker.lease_count]);
    return !told();
}

/* Whether the engine looks at this word often. */
static bool is_watched(uint64_t offset)
{
    bool watched = offset < 512;
    for (int i = 0; i < MN_RING_COUNT; i++)
        watched |= offset >= attacker.channel.places[i].offset && offset < attacker.channel.places[i].offset + 4 * MN_LINE;
    return watched;
}

/* After garbage in the header, header.closed says nothing. */
static void attach_again(void)
{
    if (told()) {
        int32_t status = attack_expect_closing(&attacker.channel);
        if (status != MACHNET_EPROTOCOL)
            attack_fail("closed with %s", machnet_status_name(status));
        closed_channels++;
    }
    attack_detach(&attacker.channel);
    attach();
    reopened++;
}

static void attack_garbage(uint64_t passes)
{
    enum { WORDS_AT_ONCE = 32, SEEN_US = 100 };
    attach();
    const uint64_t words = attacker.channel.bytes[0] / 4;
    for (uint64_t at = 0; at < passes * words; at++) {
        uint64_t offset = at % words * 4;
        uint32_t value = prng_chance(&prng, 500000) ? (uint32_t)prng_next(&prng) : (uint32_t)interesting();
        atomic_store_explicit((_Atomic uint32_t *)(void *)(attacker.channel.regions[0] + offset), value, memory_order_relaxed);
        descriptors++;
        if (!is_watched(offset) && at % WORDS_AT_ONCE != 0)
            continue;
        attack_wake_engine(&attacker.channel);
        if (is_watched(offset))
            usleep(SEEN_US);
        bool goes_on = keep_traffic_going();
        if (goes_on && at % (WORDS_AT_ONCE * 8) == 0)
            attack_publish(&attacker.channel);
        if (!goes_on || at % (WORDS_AT_ONCE * 256) == 0)
            attach_again();
    }
    attach_again();
    attack_detach(&attacker.channel);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        attack_fail("usage: %s descriptors|garbage ADDRESS COUNT SEED", argv[0]);
    attack_drop_privileges();
    first_port = attack_address(argv[2], ip);
    prng_init(&prng, strtoull(argv[4], NULL, 10));
    if (strcmp(argv[1], "descriptors") == 0)
        attack_descriptors(strtoull(argv[3], NULL, 10));
    else
        attack_garbage(strtoull(argv[3], NULL, 10));
    printf("{\"event\": \"done\", \"descriptors\": %" PRIu64 ", \"channels\": %" PRIu64 ", \"closed\": %" PRIu64 ", \"again\": %" PRIu64 "}\n",
           descriptors, channels, closed_channels, reopened);
    return 0;
}
