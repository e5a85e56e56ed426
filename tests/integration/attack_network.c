/* SPDX-License-Identifier: MIT */
/*
 * Sends an engine what no engine sends. `integration_attack_network ROLE ADDRESS COUNT SEED [TARGET TARGET]`:
 *   stranger   COUNT datagrams to the engine's UDP port ADDRESS: garbage, mutated handshakes, frames of all kinds on unknown flows and on flows
 *              of its own, to a listener of its own (a channel of the engine at MACHNET_SOCKET)
 *   half-open  COUNT openings, to flow port 7100, that are never confirmed
 *   relay      passes packets on between the engines TARGET and TARGET, each of which takes ADDRESS for the other, and sends COUNT forged and
 *              repeated ones made from them beside, until end of file on stdin
 * Sockets are bound to addresses of 127/8 near ADDRESS.
 */
#include "attack_packets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>

enum { SOURCES = 8, HISTORY = 1024, LISTENED_PORT = 7300, BYSTANDER_PORT = 7100, BURST = 64, ATTACKS_PER_PACKET = 4 };

/* What comes from the engine's own address is answered within the engine, so flows of our own are opened from another. */
enum { OWN_SOURCE = SOURCES - 1 };

static int sources[SOURCES];
static uint64_t sent, passed;

static struct sockaddr_in socket_address(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    uint8_t ip[16];
    address.sin_port = htons(attack_address(text, ip));
    memcpy(&address.sin_addr, ip + 12, 4);
    if (ip[12] != 127)
        attack_fail("%s is not of this machine", text);
    return address;
}

static int bind_source(struct sockaddr_in address)
{
    const int bytes = 4 << 20;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        attack_fail("bind: %s", strerror(errno));
    return fd;
}

/* Sockets of the same and of other addresses, all with ports of their own. */
static void open_sources(struct sockaddr_in near)
{
    near.sin_port = 0;
    for (uint32_t i = 0; i < SOURCES; i++) {
        struct sockaddr_in address = near;
        address.sin_addr.s_addr = htonl(ntohl(near.sin_addr.s_addr) + (i < 2 ? 0 : i + 10));
        sources[i] = bind_source(address);
    }
}

static void drain_sources(void)
{
    uint8_t bytes[PACKET_MAX];
    for (int i = 0; i < SOURCES; i++) {
        while (recv(sources[i], bytes, sizeof bytes, MSG_DONTWAIT) >= 0)
            continue;
    }
}

static bool send_packet(int fd, const struct sockaddr_in *to, const struct packet *packet)
{
    bool gone = sendto(fd, packet->bytes, packet->length, 0, (const struct sockaddr *)to, sizeof *to) >= 0;
    sent += gone;
    return gone;
}

static int any_source(void)
{
    return sources[prng_below(&prng, SOURCES)];
}

/* ---- A stranger ---- */

static struct attack_channel channel;
static uint64_t own_cid, own_number, flows_opened;

static void send_init(const struct sockaddr_in *to, const struct wire_handshake *handshake)
{
    const struct wire_header header = {.version = WIRE_VERSION, .type = WIRE_INIT, .packet_number = 1};
    struct packet packet;
    packet.length = wire_handshake_encode(packet.bytes, sizeof packet.bytes, &header, handshake, WIRE_INIT_MIN);
    (void)send_packet(sources[OWN_SOURCE], to, &packet);
}

/* The type of the answer to the INIT with `handshake`, if it is there. */
static uint8_t take_answer(const struct wire_handshake *handshake, struct wire_handshake *answer)
{
    uint8_t bytes[PACKET_MAX];
    struct wire_header header;
    size_t body;
    ssize_t length = recv(sources[OWN_SOURCE], bytes, sizeof bytes, MSG_DONTWAIT);
    bool ours = length > 0 && wire_packet_decode(bytes, (size_t)length, &header, &body) == WIRE_OK && header.dcid == handshake->source_cid &&
                (header.type == WIRE_ACCEPT || header.type == WIRE_RETRY) &&
                wire_handshake_decode(header.type, bytes + WIRE_HEADER_BYTES, body, answer) == WIRE_OK;
    return ours ? header.type : 0;
}

/* Opens a flow to our own listener: the handshake is right, what follows is not. */
static void open_own_flow(const struct sockaddr_in *to)
{
    struct wire_handshake handshake = handshake_of(LISTENED_PORT), answer;
    uint64_t end = clock_now_ns() + 10000000;
    send_init(to, &handshake);
    own_cid = 0;
    own_number = 1;
    while (own_cid == 0 && clock_now_ns() < end) {
        uint8_t type = take_answer(&handshake, &answer);
        if (type == WIRE_ACCEPT) {
            own_cid = answer.source_cid;
            flows_opened++;
        } else if (type == WIRE_RETRY) {
            handshake.present |= 1u << WIRE_TLV_COOKIE;
            handshake.cookie_length = answer.cookie_length;
            memcpy(handshake.cookie, answer.cookie, answer.cookie_length);
            send_init(to, &handshake);
        }
    }
}

static void abuse_own_flow(const struct sockaddr_in *to)
{
    struct packet packet;
    if (own_cid == 0 || prng_chance(&prng, 50000))
        open_own_flow(to);
    if (own_cid == 0)
        return;
    uint64_t number = prng_chance(&prng, 950000) ? own_number++ : prng_next(&prng) >> prng_between(&prng, 16, 63);
    make_flow(&packet, own_cid, number);
    if (prng_chance(&prng, 100000))
        mutate(&packet, true);
    (void)send_packet(sources[OWN_SOURCE], to, &packet);
}

/* The listening application: takes what comes, gives it back, closes what has ended. */
static void listen_on(void)
{
    struct mn_delivery delivery;
    while (attack_take_delivery(&channel, &delivery)) {
        struct mn_submission closing = {.op = MN_OP_CLOSE, .flow = delivery.flow};
        if (delivery.op == MN_OP_MESSAGE)
            (void)attack_put(&channel.releases, &delivery.lease);
        if (delivery.op == MN_OP_CLOSED)
            (void)attack_put(&channel.submissions, &closing);
    }
    attack_publish(&channel);
    if (attack_is_closed(&channel))
        attack_fail("the listener's channel was closed");
}

static void send_strange(const struct sockaddr_in *to)
{
    struct packet packet;
    uint16_t port = prng_chance(&prng, 500000) ? LISTENED_PORT : (uint16_t)prng_between(&prng, 20000, 65535);
    switch (prng_below(&prng, 9)) {
    case 0:
        make_random(&packet);
        break;
    case 1:
        make_init(&packet, port);
        break;
    case 2:
        make_init(&packet, port);
        mutate(&packet, false);
        break;
    case 3:
        make_init(&packet, port);
        mutate(&packet, true);
        break;
    case 4:
        make_init(&packet, port);
        packet.bytes[0] = (uint8_t)(prng_below(&prng, 16) << 4 | WIRE_INIT);
        break;
    case 5:
        make_flow(&packet, prng_next(&prng) >> prng_below(&prng, 64), prng_next(&prng) >> 16);
        break;
    case 6:
        make_small(&packet);
        break;
    case 7:
        make_answer(&packet);
        break;
    default:
        abuse_own_flow(to);
        return;
    }
    (void)send_packet(any_source(), to, &packet);
}

static void attack_stranger(const struct sockaddr_in *to, uint64_t count)
{
    uint8_t any[16] = {0};
    attack_attach(&channel, 16 * MN_BLOCK);
    if (!attack_listen(&channel, any, LISTENED_PORT))
        attack_fail("cannot listen");
    open_sources(*to);
    while (sent < count) {
        for (int i = 0; i < BURST; i++)
            send_strange(to);
        drain_sources();
        listen_on();
        usleep(500);
    }
    attack_detach(&channel);
}

static void attack_half_open(const struct sockaddr_in *to, uint64_t count)
{
    struct packet packet;
    open_sources(*to);
    while (sent < count) {
        for (int i = 0; i < BURST; i++) {
            make_init(&packet, BYSTANDER_PORT);
            (void)send_packet(any_source(), to, &packet);
        }
        drain_sources();
        usleep(2000);
    }
}

/* ---- On the path ---- */

static struct packet history[HISTORY];
static uint64_t history_count;
static struct sockaddr_in targets[2];

/* What somebody who has seen the packet may send from elsewhere, where it must do nothing. */
static void send_forged(const struct packet *seen)
{
    struct packet packet = *seen;
    struct wire_header header;
    size_t body;
    int result = wire_packet_decode(packet.bytes, packet.length, &header, &body);
    const struct sockaddr_in *to = &targets[seen->to_second];
    switch (prng_below(&prng, 5)) {
    case 0: /* as it was */
        break;
    case 1:
        mutate(&packet, true);
        break;
    case 2: /* frames of all kinds, with the right cid and the next numbers */
        if (result == WIRE_OK && header.type == WIRE_FLOW)
            make_flow(&packet, header.dcid, header.packet_number + prng_below(&prng, 100));
        break;
    case 3: /* to whoever sent the packet, as if the flow were unknown */
        packet.length = wire_reset_encode(packet.bytes, header.dcid, header.packet_number, WIRE_REASON_UNKNOWN_FLOW);
        to = &targets[!seen->to_second];
        break;
    default:
        make_small(&packet);
        break;
    }
    (void)send_packet(any_source(), to, &packet);
}

/* From the right address: packets that were sent before, damaged ones, and openings that claim that the engine has restarted. */
static void send_repeated(int front)
{
    struct packet packet = history[prng_below(&prng, history_count < HISTORY ? history_count : HISTORY)];
    const struct sockaddr_in *to = &targets[packet.to_second];
    uint64_t choice = prng_below(&prng, 10);
    if (choice >= 5 && choice < 8)
        mutate(&packet, false);
    else if (choice == 8)
        make_init(&packet, BYSTANDER_PORT);
    else if (choice == 9)
        make_flow(&packet, prng_next(&prng), prng_below(&prng, 100000));
    (void)send_packet(front, to, &packet);
}

static bool from_first(const struct sockaddr_in *from)
{
    return from->sin_addr.s_addr == targets[0].sin_addr.s_addr && from->sin_port == targets[0].sin_port;
}

/* Passes one packet on. False: there is none. */
static bool pass_on(int front, bool attacking)
{
    struct packet *packet = &history[history_count % HISTORY];
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    ssize_t bytes = recvfrom(front, packet->bytes, sizeof packet->bytes, 0, (struct sockaddr *)&from, &length);
    if (bytes < 0)
        return false;
    packet->length = (size_t)bytes;
    packet->to_second = from_first(&from);
    (void)sendto(front, packet->bytes, packet->length, 0, (struct sockaddr *)&targets[packet->to_second], sizeof targets[0]);
    history_count++;
    passed++;
    for (int i = 0; attacking && i < ATTACKS_PER_PACKET; i++) {
        if (prng_chance(&prng, 700000))
            send_forged(packet);
        else
            send_repeated(front);
    }
    return true;
}

static void attack_relay(const char *front_address, uint64_t count)
{
    const struct sockaddr_in address = socket_address(front_address);
    int front = bind_source(address);
    bool attacking = true;
    struct pollfd polled[2] = {{.fd = front, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    open_sources(address);
    printf("{\"event\": \"relaying\"}\n");
    fflush(stdout);
    while (polled[1].revents == 0) {
        (void)poll(polled, 2, 100);
        while (pass_on(front, attacking))
            drain_sources();
        if (attacking && sent >= count) {
            attacking = false;
            printf("{\"event\": \"attacked\", \"packets\": %u}\n", (unsigned)sent);
            fflush(stdout);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 7)
        attack_fail("usage: %s stranger|half-open|relay ADDRESS COUNT SEED [TARGET TARGET]", argv[0]);
    attack_drop_privileges();
    const struct sockaddr_in address = socket_address(argv[2]);
    uint64_t count = strtoull(argv[3], NULL, 10);
    prng_init(&prng, strtoull(argv[4], NULL, 10));
    if (strcmp(argv[1], "stranger") == 0) {
        attack_stranger(&address, count);
    } else if (strcmp(argv[1], "half-open") == 0) {
        attack_half_open(&address, count);
    } else if (argc == 7) {
        targets[0] = socket_address(argv[5]);
        targets[1] = socket_address(argv[6]);
        attack_relay(argv[2], count);
    }
    printf("{\"event\": \"done\", \"packets\": %u, \"passed\": %u, \"flows\": %u}\n", (unsigned)sent, (unsigned)passed, (unsigned)flows_opened);
    return 0;
}
