/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <stdio.h>

#include "wire/wire.h"
#include "world.h"

static const char *type_name(uint8_t type)
{
    static const char *const names[] = {"?",        "INIT", "ACCEPT", "REFUSE", "RETRY",
                                        "VERSIONS", "FLOW", "RESET",  "PROBE",  "PROBE_REPLY"};
    return type < sizeof names / sizeof *names ? names[type] : "?";
}

static size_t trace_ack(const struct wire_frame *frame, char *text, size_t capacity)
{
    size_t used =
        (size_t)snprintf(text, capacity, " ACK(%u-%u", frame->ack.largest - frame->ack.first, frame->ack.largest);
    uint32_t at = frame->ack.largest - frame->ack.first;
    for (uint16_t i = 0; i < frame->ack.count && used < capacity; i++) {
        at -= frame->ack.ranges[i].gap;
        used += (size_t)snprintf(text + used, capacity - used, " %u-%u", at - frame->ack.ranges[i].length, at - 1);
        at -= frame->ack.ranges[i].length;
    }
    if (used < capacity) {
        used += (size_t)snprintf(text + used, capacity - used, " messages %u)", frame->ack.messages);
    }
    return used;
}

static size_t trace_frame(const struct wire_frame *frame, char *text, size_t capacity)
{
    switch (frame->type) {
    case WIRE_FRAME_PING:
        return (size_t)snprintf(text, capacity, " PING");
    case WIRE_FRAME_ACK:
        return trace_ack(frame, text, capacity);
    case WIRE_FRAME_CREDIT:
        return (size_t)snprintf(text, capacity, " CREDIT(messages %u, bytes %llu)", frame->credit.messages,
                                (unsigned long long)frame->credit.bytes);
    case WIRE_FRAME_GRANT:
        return (size_t)snprintf(text, capacity, " GRANT(message %u, bytes %u)", frame->grant.message,
                                frame->grant.bytes);
    case WIRE_FRAME_FIN:
        return (size_t)snprintf(text, capacity, " FIN(messages %u, reason %u)", frame->fin.messages, frame->fin.reason);
    case WIRE_FRAME_RESET:
        return (size_t)snprintf(text, capacity, " RESET(reason %u)", frame->reset.reason);
    case WIRE_FRAME_BLOCKED:
        return (size_t)snprintf(text, capacity, " BLOCKED(message %u)", frame->blocked.message);
    default:
        return (size_t)snprintf(text, capacity, " DATA(message %u, %u at %u of %u)", frame->data.message,
                                frame->data.length, frame->data.offset, frame->data.total);
    }
}

static void trace_frames(const uint8_t *body, size_t length, char *text, size_t capacity)
{
    size_t position = 0, used = 0;
    struct wire_frame frame;
    text[0] = '\0';
    while (used + 1 < capacity && wire_frame_decode(body, length, &position, &frame) == WIRE_OK) {
        used += trace_frame(&frame, text + used, capacity - used);
    }
}

void trace_packet(const struct world *world, const struct nic_packet *packet)
{
    struct wire_header header;
    size_t body_length;
    char text[1024] = "";
    if (wire_packet_decode(packet->data, packet->length, &header, &body_length) != WIRE_OK) {
        world_trace(world, "packet .%u -> .%u: %u bytes, not valid", packet->local.ip[15], packet->remote.ip[15],
                    packet->length);
        return;
    }
    if (header.type == WIRE_FLOW) {
        trace_frames(packet->data + WIRE_HEADER_BYTES, body_length, text, sizeof text);
    }
    world_trace(world, "packet .%u -> .%u: %s %llu to %llx, %u bytes:%s", packet->local.ip[15], packet->remote.ip[15],
                type_name(header.type), (unsigned long long)header.packet_number, (unsigned long long)header.dcid,
                packet->length, text);
}

size_t trace_end(const struct end *end, char *text, size_t capacity)
{
    size_t used = (size_t)snprintf(
        text, capacity, "\n  side %u of %s, %s, peer %u%s: sent %u, settled %u, delivered %u, read %u%s%s%s", end->id,
        end->app->name, end->opener ? "opened" : "accepted", end->peer ? end->peer->id : 0,
        end->peer && end->peer->dead ? " (dead)" : "", end->sent, end->settled, end->delivered, end->read,
        end->established ? ", established" : "", end->ended ? ", ended" : "",
        end->aborted  ? ", aborted"
        : end->closed ? ", closed"
                      : "");
    if (end->flow && used < capacity) {
        struct transport_flow_info info;
        transport_flow_info(end->flow, &info);
        used += (size_t)snprintf(
            text + used, capacity - used,
            "\n    transport: %s, window %u, in flight %u, packets sent %llu, received %llu, lost %llu, "
            "messages sent %llu, received %llu, bytes queued %llu, srtt %llu us",
            info.state, info.window_packets, info.in_flight_packets, (unsigned long long)info.packets_sent,
            (unsigned long long)info.packets_received, (unsigned long long)info.packets_lost,
            (unsigned long long)info.messages_sent, (unsigned long long)info.messages_received,
            (unsigned long long)info.queued_bytes, (unsigned long long)info.srtt_ns / 1000);
    }
    return used < capacity ? used : capacity - 1;
}
