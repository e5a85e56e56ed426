/* SPDX-License-Identifier: MIT */
/*
 * What packets cost that nobody asked for: dropped, or answered without keeping anything. One transport with flows, without a NIC: from the
 * bytes of a packet to its end, or to the bytes of the answer.
 *
 *   unwanted [--flows N] [--rounds N] [--check]
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/prng.h"
#include "flow/transport.h"
#include "wire/wire.h"

enum { PACKETS = 512, PASSES = 8, PORT = 7000, HALF_OPEN = 64, ROUNDS_MAX = 1000, PACKET_BYTES_MAX = 1500 };
enum { DROP_NS = 60, COOKIE_NS = 300 };

#define MS UINT64_C(1000000)

static struct packet {
    struct transport_path path;
    size_t length;
    uint8_t bytes[PACKET_BYTES_MAX];
} packets[PACKETS];

static struct transport *transport;
static struct transport_owner owner;
static struct prng prng;
static uint64_t now = 1000 * MS;
static struct wire_header accepted; /* that of the newest ACCEPT */
static uint64_t answers;

/* ---- The transport's surroundings ---- */

static bool op_reserve(struct transport_owner *o, uint32_t length, bool last, struct transport_extent *extent)
{
    (void)o, (void)length, (void)last, (void)extent;
    return false;
}

static void op_abandon(struct transport_owner *o, const struct transport_extent *extent)
{
    (void)o, (void)extent;
}

static enum transport_delivery op_deliver(struct transport_owner *o, void *user, const struct transport_extent *extent,
                                          uint64_t tag)
{
    (void)o, (void)user, (void)extent, (void)tag;
    return TRANSPORT_DELIVERED;
}

static bool op_established(struct transport_owner *o, void *user, struct flow *flow)
{
    (void)o, (void)user, (void)flow;
    return true;
}

static bool op_ended(struct transport_owner *o, void *user, enum transport_status status)
{
    (void)o, (void)user, (void)status;
    return true;
}

static bool op_accepted(struct transport_owner *o, uint64_t listener, struct flow *flow, void **user)
{
    (void)o, (void)listener;
    *user = flow;
    return true;
}

static void op_sent(struct transport_owner *o, void *user, uint64_t cookie, enum transport_status status)
{
    (void)o, (void)user, (void)cookie, (void)status;
}

static bool op_stalled(struct transport_owner *o, void *user)
{
    (void)o, (void)user;
    return true;
}

static const struct transport_ops ops = {
    .extent_reserve = op_reserve,
    .extent_abandon = op_abandon,
    .deliver = op_deliver,
    .established = op_established,
    .ended = op_ended,
    .accepted = op_accepted,
    .sent = op_sent,
    .stalled = op_stalled,
};

/* ---- Packets ---- */

static struct endpoint endpoint(uint32_t host, uint16_t port)
{
    struct endpoint to = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 0}, port};
    for (int i = 0; i < 3; i++) {
        to.ip[13 + i] = (uint8_t)(host >> (16 - 8 * i));
    }
    return to;
}

static struct packet *address(struct packet *packet, uint32_t host)
{
    packet->path = (struct transport_path){endpoint(1, 31700), endpoint(host, 31700), 1472};
    return packet;
}

static struct wire_handshake init_of(uint16_t port)
{
    return (struct wire_handshake){
        .present = 1u << WIRE_TLV_SOURCE_CID | 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_VERSION_RANGE |
                   1u << WIRE_TLV_EPOCH | 1u << WIRE_TLV_PORTS | 1u << WIRE_TLV_LIMITS | 1u << WIRE_TLV_MAX_MESSAGE,
        .version_min = 1,
        .version_max = 1,
        .source_cid = prng_next(&prng) | 1,
        .nonce = prng_next(&prng),
        .epoch = prng_next(&prng),
        .source_port = 50000,
        .destination_port = port,
        .credit_bytes = 1 << 20,
        .credit_messages = 256,
        .max_udp_payload = 1472,
        .max_message = 8 << 20,
    };
}

static void put_handshake(struct packet *packet, uint8_t type, uint64_t dcid, const struct wire_handshake *handshake)
{
    struct wire_header header = {.version = WIRE_VERSION, .type = type, .packet_number = 1, .dcid = dcid};
    packet->length = wire_handshake_encode(packet->bytes, sizeof packet->bytes, &header, handshake,
                                           type == WIRE_INIT ? WIRE_INIT_MIN : 0);
}

static void make_flow(struct packet *packet, uint64_t dcid, size_t length)
{
    struct wire_header header = {.version = WIRE_VERSION, .type = WIRE_FLOW, .packet_number = 7, .dcid = dcid};
    memset(packet->bytes, 0, length);
    wire_header_encode(packet->bytes, &header);
    packet->bytes[WIRE_HEADER_BYTES] = WIRE_FRAME_PING;
    packet->length = wire_packet_seal(packet->bytes, length - WIRE_TRAILER_BYTES);
}

static void make_unknown_flow(struct packet *packet)
{
    make_flow(packet, prng_next(&prng) | 1, 64);
}

/* The index of a flow that exists, its random bits guessed. */
static void make_guess(struct packet *packet)
{
    make_flow(packet, accepted.dcid ^ (1 + prng_below(&prng, 1 << 30)), 64);
}

static void make_long_flow(struct packet *packet)
{
    make_flow(packet, prng_next(&prng) | 1, 1472);
}

static void make_wrong_checksum(struct packet *packet)
{
    make_unknown_flow(packet);
    packet->bytes[40] ^= 1;
}

static void make_garbage(struct packet *packet)
{
    packet->length = 64;
    prng_fill(&prng, packet->bytes, 64);
}

static void make_reset(struct packet *packet)
{
    packet->length = wire_reset_encode(packet->bytes, prng_next(&prng) | 1, 7, WIRE_REASON_UNKNOWN_FLOW);
}

static void make_probe_reply(struct packet *packet)
{
    struct wire_probe probe = {.nonce = prng_next(&prng), .own_epoch = prng_next(&prng), .result = WIRE_PROBE_NO_FLOWS};
    packet->length = wire_probe_encode(packet->bytes, WIRE_PROBE_REPLY, &probe);
}

static void make_accept(struct packet *packet)
{
    struct wire_handshake handshake = init_of(PORT);
    put_handshake(packet, WIRE_ACCEPT, prng_next(&prng) | 1, &handshake);
}

static void make_init(struct packet *packet)
{
    struct wire_handshake handshake = init_of(PORT);
    put_handshake(packet, WIRE_INIT, 0, &handshake);
}

static void make_wrong_cookie(struct packet *packet)
{
    struct wire_handshake handshake = init_of(PORT);
    handshake.present |= 1u << WIRE_TLV_COOKIE;
    handshake.cookie_length = 8;
    put_handshake(packet, WIRE_INIT, 0, &handshake);
}

static void make_init_for_nobody(struct packet *packet)
{
    struct wire_handshake handshake = init_of(PORT + 1);
    put_handshake(packet, WIRE_INIT, 0, &handshake);
}

static void make_probe(struct packet *packet)
{
    struct wire_probe probe = {.nonce = prng_next(&prng), .epoch = 5, .own_epoch = prng_next(&prng)};
    packet->length = wire_probe_encode(packet->bytes, WIRE_PROBE, &probe);
}

/* ---- Measuring ---- */

struct row {
    const char *name;
    void (*make)(struct packet *packet);
    bool answered;
    uint32_t limit_ns; /* 0: none */
    double rounds[ROUNDS_MAX];
};

static struct row rows[] = {
    {.name = "drop: 64 random bytes", .make = make_garbage, .limit_ns = DROP_NS},
    {.name = "drop: wrong checksum, 64 bytes", .make = make_wrong_checksum, .limit_ns = DROP_NS},
    {.name = "drop: FLOW for no flow, 64 bytes", .make = make_unknown_flow, .limit_ns = DROP_NS},
    {.name = "drop: FLOW, a cid half guessed", .make = make_guess, .limit_ns = DROP_NS},
    {.name = "drop: RESET without proof", .make = make_reset, .limit_ns = DROP_NS},
    {.name = "drop: PROBE_REPLY unasked", .make = make_probe_reply, .limit_ns = DROP_NS},
    {.name = "drop: ACCEPT for no open", .make = make_accept, .limit_ns = DROP_NS},
    {.name = "drop: FLOW for no flow, 1472 bytes", .make = make_long_flow},
    {.name = "answer: INIT, RETRY with a cookie", .make = make_init, .answered = true, .limit_ns = COOKIE_NS},
    {.name = "answer: INIT with a wrong cookie", .make = make_wrong_cookie, .answered = true, .limit_ns = COOKIE_NS},
    {.name = "answer: INIT, REFUSE", .make = make_init_for_nobody, .answered = true},
    {.name = "answer: PROBE, PROBE_REPLY", .make = make_probe, .answered = true},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static uint64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t transmit_all(void)
{
    uint8_t buffer[WIRE_PACKET_MAX];
    struct transport_path path;
    uint64_t count = 0;
    while (transport_transmit(transport, buffer, sizeof buffer, &path, now) > 0) {
        count++;
    }
    return count;
}

/* Bursts as a worker takes them: 32 in, then what is to go out. */
static void one_round(struct row *row, int round)
{
    uint64_t sent = 0;
    for (uint32_t i = 0; i < PACKETS; i++) {
        row->make(address(&packets[i], 1000 + i));
    }
    uint64_t begin = cpu_ns();
    for (uint32_t i = 0; i < PASSES * PACKETS; i++) {
        const struct packet *packet = &packets[i % PACKETS];
        transport_receive(transport, &packet->path, packet->bytes, packet->length, now);
        if (i % 32 == 31) {
            sent += transmit_all();
        }
    }
    row->rounds[round] = (double)(cpu_ns() - begin) / (PASSES * PACKETS);
    if (sent != (row->answered ? PASSES * PACKETS : 0)) {
        fprintf(stderr, "unwanted: %s: %llu answers\n", row->name, (unsigned long long)sent);
        exit(1);
    }
    answers += sent;
}

/* A flow from a peer of its own, confirmed if `confirm`. */
static void accept_flow(uint32_t host, bool confirm)
{
    uint8_t buffer[WIRE_PACKET_MAX];
    struct wire_handshake handshake;
    struct transport_path path;
    size_t body;
    struct packet *packet = address(&packets[0], host);
    make_init(packet);
    transport_receive(transport, &packet->path, packet->bytes, packet->length, now);
    size_t length = transport_transmit(transport, buffer, sizeof buffer, &path, now);
    bool good = wire_packet_decode(buffer, length, &accepted, &body) == WIRE_OK && accepted.type == WIRE_ACCEPT &&
                wire_handshake_decode(WIRE_ACCEPT, buffer + WIRE_HEADER_BYTES, body, &handshake) == WIRE_OK;
    if (!good) {
        fputs("unwanted: a flow was not accepted\n", stderr);
        exit(1);
    }
    accepted.dcid = handshake.source_cid;
    if (confirm) {
        make_flow(packet, accepted.dcid, 64);
        transport_receive(transport, &packet->path, packet->bytes, packet->length, now);
        transmit_all();
    }
}

static void set_up(uint32_t flows)
{
    struct endpoint any = {.port = PORT};
    struct transport_config config = {.epoch = 5,
                                      .seed = 6,
                                      .max_flows = 1 << 18,
                                      .max_half_open = HALF_OPEN,
                                      .max_udp_payload = WIRE_PACKET_MAX,
                                      .dead_peer_ns = 10000 * MS,
                                      .probe_ns = 2500 * MS,
                                      .window_packets = 1024};
    transport = transport_new(&config, &ops);
    transport_owner_init(&owner, NULL, 64 << 20);
    if (!transport || !transport_listen(transport, &owner, &any, 1)) {
        fputs("unwanted: no memory\n", stderr);
        exit(1);
    }
    prng_init(&prng, 1);
    for (uint32_t i = 0; i < flows; i++) {
        accept_flow(100000 + i % 1000, true);
    }
    for (uint32_t i = 0; i < HALF_OPEN / 4; i++) {
        accept_flow(200000 + i, false);
    }
    now += MS; /* the ACKs of the flows are due */
    transport_timeout(transport, now);
    transmit_all();
    /* The allowance of RESETs is used up: then they cost the most that they ever do, a look at the allowance. */
    for (uint32_t i = 0; i < PACKETS; i++) {
        make_unknown_flow(address(&packets[0], 1));
        transport_receive(transport, &packets[0].path, packets[0].bytes, packets[0].length, now);
    }
    transmit_all();
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint64_t number(const char *text, uint64_t max)
{
    char *end = NULL;
    uint64_t value = text ? strtoull(text, &end, 10) : 0;
    if (!text || end == text || *end || value < 1 || value > max) {
        fputs("usage: unwanted [--flows N] [--rounds N] [--check]\n", stderr);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    uint64_t flows = 1000, rounds = 101;
    bool check = false, good = true;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0) {
            check = true;
        } else if (strcmp(argv[i], "--flows") == 0) {
            flows = number(argv[++i], 200000);
        } else if (strcmp(argv[i], "--rounds") == 0) {
            rounds = number(argv[++i], ROUNDS_MAX);
        } else {
            number(NULL, 0);
        }
    }
    set_up((uint32_t)flows);
    for (uint64_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < ROWS; i++) {
            one_round(&rows[i], (int)round);
        }
    }
    printf("%-38s %8s %8s %8s   ns of processor time a packet\n", "", "best", "median", "limit");
    for (size_t i = 0; i < ROWS; i++) {
        struct row *row = &rows[i];
        qsort(row->rounds, rounds, sizeof(double), by_value);
        printf("%-38s %8.1f %8.1f", row->name, row->rounds[0], row->rounds[rounds / 2]);
        printf(row->limit_ns ? " %8u\n" : "        -\n", row->limit_ns);
        good &= row->limit_ns == 0 || row->rounds[rounds / 2] <= row->limit_ns;
    }
    transport_free(transport);
    return check && !good;
}
