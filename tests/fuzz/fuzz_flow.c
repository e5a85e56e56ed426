/* SPDX-License-Identifier: MIT */
/*
 * Two transports under a program of commands: applications open, send, read, close and die; the network loses, repeats, delays and corrupts;
 * time passes; and, unless the first byte says that all are honest, packets with the right connection ids, numbers and checksums say what they
 * like. After each command what holds of the transports' insides is checked; messages must come once, in order and, among the honest, intact;
 * in the end every flow ends, every timer stops and all memory is given back. fuzz-runs: 5000 ctest-timeout: 300
 *
 *   byte 0: bits 0 hostile, 1 small memory, 2 jumbo packets, 3 half-open flows scarce
 *   then commands: a byte of `enum command`, and its operands, below; at the end of the input operands are 0
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "support/flow_check.h"
#include "support/flow_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COMMANDS_MAX = 200, SENT_BYTES_MAX = 1 << 20, SEEN = 16, FRAMES_BYTES_MAX = 256, WAITED_MS_MAX = 30000 };

enum command {
    OPEN,    /* side, port */
    SEND,    /* end, length class, count */
    CLOSE,   /* end */
    WAIT,    /* duration class */
    FATES,   /* direction, 4 bytes: what becomes of the next packets */
    READER,  /* side, what it does and refuses */
    RELEASE, /* side, count */
    PATH,    /* side, MTU class */
    DIE,     /* side, how */
    /* from here on only of the hostile */
    FORGE,  /* packet seen, number, count, frames */
    CHANGE, /* packet seen, number, count, {where, what}... */
    STRAY,  /* side, count, bytes: any packet, sealed or not */
    COMMANDS,
};

/* ---- The input ---- */

static const uint8_t *input, *input_end;

static uint8_t take(void)
{
    return input < input_end ? *input++ : 0;
}

/* ---- What was seen on the wire ---- */

static struct pair pair;
static struct {
    uint8_t bytes[WIRE_PACKET_MAX];
    size_t length;
    struct pair_side *to;
    struct endpoint from;
} seen[SEEN];
static uint32_t seen_count;
static uint32_t fates[2]; /* of the next packets of each direction, two bits each; 0: pass */
static uint64_t sent_bytes, waited_ns;

static enum pair_fate fate(struct pair *p, uint64_t index, const struct pair_side *from, const uint8_t *packet,
                           size_t length)
{
    static const enum pair_fate fate_of[4] = {PAIR_PASS, PAIR_DROP, PAIR_DELAY, PAIR_DUPLICATE};
    uint32_t *next = &fates[from == &p->b];
    uint32_t two = *next & 3;
    uint32_t slot = seen_count++ % SEEN;
    (void)index;

    assert(length >= WIRE_PACKET_MIN && length <= WIRE_PACKET_MAX);
    *next >>= 2;
    memcpy(seen[slot].bytes, packet, length);
    seen[slot].length = length;
    seen[slot].to = from == &p->a ? &p->b : &p->a;
    seen[slot].from = from->path.local;
    return fate_of[two];
}

/* ---- Commands of the honest ---- */

static struct pair_side *side_of(uint8_t byte)
{
    return byte & 1 ? &pair.b : &pair.a;
}

/* Bit 0 chooses the side, the others the flow; NULL: there is none, or it is closed. */
static struct pair_flow *end_of(uint8_t byte)
{
    struct pair_side *side = side_of(byte);
    struct pair_flow *flow = side->flow_count ? &side->flows[(byte >> 1) % side->flow_count] : NULL;
    return flow && !flow->closed ? flow : NULL;
}

static void do_open(void)
{
    struct pair_side *side = side_of(take());
    uint8_t port = take();
    if (side->flow_count < PAIR_FLOWS_MAX / 2) {
        pair_open(side, port % 8 == 7 ? 9 : PAIR_PORT);
    }
}

static void do_send(void)
{
    static const uint32_t lengths[16] = {0,    1,    64,   65,    100,   1184,  1192,  1193,
                                         1433, 4096, 8925, 16385, 65536, 65537, 70000, 300000};
    struct pair_flow *flow = end_of(take());
    uint8_t what = take();
    uint32_t length = lengths[what & 15], count = 1 + (what >> 4);
    for (uint32_t i = 0; flow && i < count && sent_bytes + length < SENT_BYTES_MAX; i++) {
        sent_bytes += length + 64;
        pair_send(flow, length);
    }
}

static void do_close(void)
{
    uint8_t which = take();
    struct pair_flow *flow = end_of(which);
    if (flow) {
        pair_close(flow, which & 0x80);
    }
}

static void do_wait(void)
{
    static const uint64_t durations[16] = {0,
                                           1,
                                           20000,
                                           50000,
                                           100000,
                                           110000,
                                           300000,
                                           1000000,
                                           2000000,
                                           5000000,
                                           12000000,
                                           150000000,
                                           250000000,
                                           1100000000,
                                           UINT64_C(3100000000),
                                           UINT64_C(11000000000)};
    uint64_t duration = durations[take() & 15];
    if (waited_ns + duration <= WAITED_MS_MAX * PAIR_MS) {
        waited_ns += duration;
        pair_run(&pair, duration);
    }
}

static void do_fates(void)
{
    uint32_t *next = &fates[take() & 1];
    *next = 0;
    for (int i = 0; i < 4; i++) {
        *next = *next << 8 | take();
    }
}

static void do_reader(void)
{
    struct pair_side *side = side_of(take());
    uint8_t how = take();
    side->keep = how & 1;
    side->no_room = how & 2;
    side->refuse = how & 4;
    side->share = how >> 4;
    side->owner.scarce = how & 8;
}

static void do_release(void)
{
    struct pair_side *side = side_of(take());
    for (uint32_t count = take(); count > 0 && side->lent_count > 0; count--) {
        pair_release_one(side);
    }
}

static void do_path(void)
{
    static const uint32_t limits[4] = {576, 1232, 1300, 4000};
    struct pair_side *side = side_of(take());
    transport_path_too_long(side->transport, &side->path, limits[take() & 3], pair.now);
}

/* None of the side's flows is heard of again. */
static void forget_flows(struct pair_side *side)
{
    for (uint32_t i = 0; i < side->flow_count; i++) {
        side->flows[i].closed = true;
        side->flows[i].ended = 1;
    }
}

static void do_die(void)
{
    struct pair_side *side = side_of(take());
    struct endpoint any = {.port = PAIR_PORT};
    switch (take() & 3) {
    case 0: /* the application; another one takes its place */
        transport_owner_close(side->transport, &side->owner, WIRE_REASON_APPLICATION_DIED, pair.now);
        forget_flows(side);
        transport_listen(side->transport, &side->owner, &any, 1);
        break;
    case 1: /* the engine, and starts again */
        pair_stop(side);
        forget_flows(side);
        side->config.epoch++;
        side->config.seed += 1000;
        pair_start(side);
        break;
    case 2:
        transport_unlisten(side->transport, &side->owner, 1);
        transport_listen(side->transport, &side->owner, &any, 1);
        break;
    default:
        transport_shutdown(side->transport, pair.now);
        break;
    }
}

/* ---- Commands of the hostile ---- */

/* A packet seen, from a byte, or NULL. */
static uint8_t *template(uint8_t byte, size_t *length, struct pair_side **to, struct endpoint *from)
{
    static uint8_t copy[WIRE_PACKET_MAX];
    uint32_t count = seen_count < SEEN ? seen_count : SEEN;
    if (count == 0) {
        return NULL;
    }
    uint32_t slot = (seen_count - 1 - byte % count) % SEEN;
    memcpy(copy, seen[slot].bytes, seen[slot].length);
    *length = seen[slot].length;
    *to = seen[slot].to;
    *from = seen[slot].from;
    return copy;
}

static void renumber(uint8_t *packet, uint8_t more)
{
    uint64_t number = 0;
    for (int i = 2; i < 8; i++) {
        number = number << 8 | packet[i];
    }
    number += more * (uint64_t)more;
    for (int i = 7; i >= 2; i--, number >>= 8) {
        packet[i] = (uint8_t)number;
    }
}

/* The frames as given, in a packet of a flow that exists. */
static void do_forge(void)
{
    size_t length;
    struct pair_side *to;
    struct endpoint from;
    uint8_t *packet = template(take(), &length, &to, &from);
    uint8_t more = take(), count = take();
    for (uint32_t i = 0; i < count; i++) {
        uint8_t byte = take();
        if (packet) {
            packet[WIRE_HEADER_BYTES + i] = byte;
        }
    }
    if (packet && (packet[0] & 15) == WIRE_FLOW) {
        renumber(packet, more);
        pair_inject(to, &from, packet, wire_packet_seal(packet, WIRE_HEADER_BYTES + count));
    }
}

static void do_change(void)
{
    size_t length = 0;
    struct pair_side *to;
    struct endpoint from;
    uint8_t *packet = template(take(), &length, &to, &from);
    uint8_t more = take(), count = take();
    for (uint32_t i = 0; i < (count & 15u); i++) {
        uint8_t where = take(), what = take();
        if (packet) {
            packet[where % (length - WIRE_TRAILER_BYTES)] ^= what;
        }
    }
    if (!packet) {
        return;
    }
    renumber(packet, more);
    from.port = (uint16_t)(from.port + (count >> 4) % 3);
    from.ip[15] = (uint8_t)(from.ip[15] + (count >> 6));
    wire_packet_seal(packet, length - WIRE_TRAILER_BYTES);
    pair_inject(to, &from, packet, length);
}

static void do_stray(void)
{
    uint8_t packet[FRAMES_BYTES_MAX + WIRE_TRAILER_BYTES];
    uint8_t which = take();
    struct pair_side *to = side_of(which), *from = side_of(which ^ 1);
    size_t count = take();
    for (size_t i = 0; i < count; i++) {
        packet[i] = take();
    }
    pair_inject(to, &from->path.local, packet,
                count < WIRE_HEADER_BYTES || which & 2 ? count : wire_packet_seal(packet, count));
}

static void (*const commands[COMMANDS])(void) = {
    [OPEN] = do_open,   [SEND] = do_send,     [CLOSE] = do_close,     [WAIT] = do_wait,
    [FATES] = do_fates, [READER] = do_reader, [RELEASE] = do_release, [PATH] = do_path,
    [DIE] = do_die,     [FORGE] = do_forge,   [CHANGE] = do_change,   [STRAY] = do_stray,
};

/* ---- A run ---- */

static uint64_t orphan_bytes(const struct pair_side *side)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < side->lent_count; i++) {
        bytes += side->lent_flow[i]->closed ? flow_charge(side->lent[i].length) : 0;
    }
    return bytes;
}

static void check(struct pair_side *side)
{
    flow_check(side->transport);
    flow_check_owner(&side->owner, orphan_bytes(side));
}

static void start(uint8_t options)
{
    pair_init(&pair);
    pair.fate = fate;
    pair.unchecked = options & 1;
    seen_count = 0;
    sent_bytes = waited_ns = 0;
    fates[0] = fates[1] = 0;
    for (int i = 0; i < 2; i++) {
        struct pair_side *side = side_of((uint8_t)i);
        side->path.max_udp_payload = options & 4 ? WIRE_PACKET_MAX : 1472;
        if (options & 2) {
            side->memory_left = 256 << 10;
            side->reserve_left = 8 << 20;
        }
        if (options & 8) {
            pair_stop(side);
            side->config.max_half_open = 2;
            pair_start(side);
        }
    }
}

static void close_all(struct pair_side *side, bool abort)
{
    for (uint32_t i = 0; i < side->flow_count; i++) {
        if (!side->flows[i].closed) {
            pair_close(&side->flows[i], abort);
        }
    }
}

static void expect_nothing_left(struct pair_side *side)
{
    check(side);
    assert(transport_flows(side->transport, 0, NULL, NULL) == 0);
    assert(side->owner.promised_bytes == 0 && side->owner.granted_bytes == 0);
    assert(transport_next_timeout(side->transport) == UINT64_MAX);
    assert(!transport_wants_transmit(side->transport));
}

/* The network heals, readers read, everybody closes: then nothing is left. Who was lied to need not ever hear the end, so the hostile
 * abort. */
static void finish(void)
{
    fates[0] = fates[1] = 0;
    for (int i = 0; i < 2; i++) {
        struct pair_side *side = side_of((uint8_t)i);
        side->keep = side->no_room = side->refuse = side->owner.scarce = false;
        side->share = 0;
        side->memory_left += 64 << 20;
    }
    pair_run(&pair, 500 * PAIR_MS);
    for (int i = 0; i < 2; i++) {
        /* Twice: flows may have been accepted meanwhile. */
        close_all(&pair.a, pair.unchecked);
        close_all(&pair.b, pair.unchecked);
        pair_run(&pair, 25000 * PAIR_MS);
    }
    expect_nothing_left(&pair.a);
    expect_nothing_left(&pair.b);
    pair_fini(&pair);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    input_end = data + size;
    uint8_t options = take();
    uint32_t kinds = options & 1 ? COMMANDS : FORGE;
    start(options);
    for (int i = 0; i < COMMANDS_MAX && input < input_end; i++) {
        commands[take() % kinds]();
        check(&pair.a);
        check(&pair.b);
    }
    finish();
    return 0;
}
