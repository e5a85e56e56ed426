/* SPDX-License-Identifier: MIT */
#include "spoof.h"

#include "wire/wire.h"
#include "world.h"

enum { PACKET_MAX = 1472, NOBODYS_SUBNET = 77, FLOOD_MAX = 100 };

/* 10.0.77.x: nobody's. */
static bool is_nobodys(const struct endpoint *endpoint)
{
    return endpoint->ip[14] == NOBODYS_SUBNET;
}

void spoof_init(struct spoof *spoof, uint64_t seed)
{
    *spoof = (struct spoof){0};
    prng_init(&spoof->prng, seed);
}

/* What any handshake packet may carry; every number a guess. */
static struct wire_handshake guess(struct prng *prng, const struct world *world)
{
    return (struct wire_handshake){
        .present = 1u << WIRE_TLV_SOURCE_CID | 1u << WIRE_TLV_NONCE | 1u << WIRE_TLV_VERSION_RANGE |
                   1u << WIRE_TLV_EPOCH | 1u << WIRE_TLV_PORTS | 1u << WIRE_TLV_LIMITS | 1u << WIRE_TLV_MAX_MESSAGE,
        .version_min = WIRE_VERSION,
        .version_max = WIRE_VERSION,
        .source_cid = prng_next(prng) | 1,
        .nonce = prng_next(prng),
        .epoch = prng_next(prng),
        .source_port = (uint16_t)prng_next(prng),
        .destination_port = world->apps[prng_below(prng, world->app_count)].port,
        .credit_bytes = 1 << 20,
        .credit_messages = 1024,
        .max_udp_payload = (uint32_t)prng_between(prng, WIRE_PAYLOAD_MIN_MTU, WIRE_PACKET_MAX),
        .max_message = WIRE_MESSAGE_DEFAULT,
        .cookie_length = (uint16_t)prng_between(prng, 1, WIRE_COOKIE_MAX),
        .reason = (uint16_t)prng_below(prng, 11),
    };
}

static uint32_t forge_handshake(struct prng *prng, const struct world *world, uint8_t type, uint8_t *packet)
{
    struct wire_handshake handshake = guess(prng, world);
    struct wire_header header = {.version = WIRE_VERSION, .type = type, .packet_number = prng_between(prng, 1, 5)};
    if (type == WIRE_INIT) {
        if (prng_chance(prng, 200000)) {
            handshake.present |= 1u << WIRE_TLV_COOKIE;
        }
    } else {
        header.dcid = prng_next(prng);
        handshake.present |= type == WIRE_REFUSE  ? 1u << WIRE_TLV_REASON
                             : type == WIRE_RETRY ? 1u << WIRE_TLV_COOKIE
                                                  : 0;
    }
    prng_fill(prng, handshake.cookie, sizeof handshake.cookie);
    return (uint32_t)wire_handshake_encode(packet, PACKET_MAX, &header, &handshake, WIRE_INIT_MIN);
}

static struct wire_frame guess_frame(struct prng *prng)
{
    static const uint8_t types[] = {WIRE_FRAME_PING, WIRE_FRAME_ACK,   WIRE_FRAME_CREDIT,  WIRE_FRAME_GRANT,
                                    WIRE_FRAME_FIN,  WIRE_FRAME_RESET, WIRE_FRAME_BLOCKED, WIRE_FRAME_DATA};
    static const uint8_t payload[8] = "forged!";
    struct wire_frame frame = {.type = types[prng_below(prng, sizeof types)]};
    const uint32_t number = (uint32_t)prng_below(prng, 1000);
    switch (frame.type) {
    case WIRE_FRAME_ACK:
        frame.ack.largest = number;
        frame.ack.messages = number;
        frame.ack.first = (uint16_t)number;
        break;
    case WIRE_FRAME_CREDIT:
        frame.credit.messages = number;
        frame.credit.bytes = prng_next(prng) >> 20;
        break;
    case WIRE_FRAME_GRANT:
        frame.grant.message = number;
        frame.grant.bytes = 1 << 20;
        break;
    case WIRE_FRAME_FIN:
        frame.fin.messages = number;
        frame.fin.reason = WIRE_REASON_CLOSED;
        break;
    case WIRE_FRAME_RESET:
        frame.reset.reason = WIRE_REASON_ABORTED;
        break;
    case WIRE_FRAME_BLOCKED:
        frame.blocked.message = number;
        frame.blocked.bytes = 1 << 20;
        break;
    case WIRE_FRAME_DATA:
        frame.data.payload = payload;
        frame.data.length = frame.data.total = sizeof payload;
        frame.data.message = number;
        break;
    default:
        break;
    }
    return frame;
}

static uint32_t forge_flow(struct prng *prng, uint8_t *packet)
{
    struct wire_header header = {
        .version = WIRE_VERSION, .type = WIRE_FLOW, .packet_number = prng_below(prng, 100000), .dcid = prng_next(prng)};
    size_t used = WIRE_HEADER_BYTES;
    wire_header_encode(packet, &header);
    for (uint64_t n = prng_between(prng, 1, 4); n > 0; n--) {
        struct wire_frame frame = guess_frame(prng);
        used += wire_frame_encode(packet + used, PACKET_MAX - WIRE_TRAILER_BYTES - used, &frame);
    }
    return (uint32_t)wire_packet_seal(packet, used);
}

static uint32_t forge_probe(struct prng *prng, uint8_t type, uint8_t *packet)
{
    struct wire_probe probe = {.nonce = prng_next(prng),
                               .epoch = prng_next(prng),
                               .own_epoch = prng_next(prng),
                               .result = (uint8_t)prng_between(prng, WIRE_PROBE_SAME_EPOCH, WIRE_PROBE_NO_FLOWS)};
    return (uint32_t)wire_probe_encode(packet, type, &probe);
}

static uint32_t forge(struct prng *prng, const struct world *world, uint8_t type, uint8_t *packet)
{
    switch (type) {
    case WIRE_FLOW:
        return forge_flow(prng, packet);
    case WIRE_RESET:
        return (uint32_t)wire_reset_encode(packet, prng_next(prng), prng_below(prng, 1000), WIRE_REASON_UNKNOWN_FLOW);
    case WIRE_PROBE:
    case WIRE_PROBE_REPLY:
        return forge_probe(prng, type, packet);
    default:
        return forge_handshake(prng, world, type, packet);
    }
}

static void send_one(struct spoof *spoof, struct world *world, uint8_t type, bool from_nobody)
{
    struct prng *prng = &spoof->prng;
    uint8_t packet[PACKET_MAX];
    struct endpoint from = world->nodes[prng_below(prng, world->node_count)].udp;
    const struct endpoint *to = &world->nodes[prng_below(prng, world->node_count)].udp;
    if (from_nobody) {
        from.ip[14] = NOBODYS_SUBNET;
        from.ip[15] = (uint8_t)prng_below(prng, 64);
        from.port = (uint16_t)prng_next(prng);
    }
    uint32_t length = forge(prng, world, type, packet);
    nic_mem_inject(world->network, &from, to, packet, length);
}

void spoof_act(struct spoof *spoof, struct world *world)
{
    struct prng *prng = &spoof->prng;
    bool flood = prng_chance(prng, 50000);
    for (uint64_t n = prng_between(prng, 1, flood ? FLOOD_MAX : 4); n > 0; n--) {
        uint8_t type = flood ? WIRE_INIT : (uint8_t)prng_between(prng, WIRE_INIT, WIRE_PROBE_REPLY);
        send_one(spoof, world, type, flood || prng_chance(prng, 300000));
    }
}

void spoof_observe(struct spoof *spoof, const struct world *world, const struct nic_packet *packet)
{
    (void)world;
    spoof->sent_bytes += is_nobodys(&packet->local) ? packet->length : 0;
    spoof->answered_bytes += is_nobodys(&packet->remote) ? packet->length : 0;
}

void spoof_finish(const struct spoof *spoof, struct world *world)
{
    if (spoof->answered_bytes > spoof->sent_bytes) {
        verdict_fail(&world->verdict, "%llu bytes were sent to addresses that an attacker had forged, for %llu of his",
                     (unsigned long long)spoof->answered_bytes, (unsigned long long)spoof->sent_bytes);
    }
}
