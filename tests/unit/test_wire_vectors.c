/* SPDX-License-Identifier: MIT */
/*
 * Every vector of wire_vectors.txt is decoded, its meaning printed and compared, and what was decoded is encoded again; those that
 * must fail fail with the result they name. PROTOCOL.md must show the same vectors.
 */
#include <criterion/criterion.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/wire.h"

#define VECTORS_FILE "wire_vectors.txt"
#define PROTOCOL_FILE "../../engine/wire/PROTOCOL.md"

struct vector {
    char name[64];
    char fails[32];
    char meaning[2048]; /* the `is` lines */
    char text[4096];    /* all lines as they stand in the file */
    uint8_t packet[WIRE_PACKET_MAX];
    size_t length;
    bool lossy;
};

/* ---- Reading the file ---- */

static FILE *open_beside_me(const char *name)
{
    static char path[4096];
    const char *slash = strrchr(__FILE__, '/');

    snprintf(path, sizeof(path), "%.*s%s", slash == NULL ? 0 : (int)(slash - __FILE__ + 1), __FILE__, name);
    FILE *file = fopen(path, "r");

    cr_assert_not_null(file, "%s cannot be opened", path);
    return file;
}

static void append(char *to, size_t capacity, const char *format, ...)
{
    size_t used = strlen(to);
    va_list arguments;

    va_start(arguments, format);
    int more = vsnprintf(to + used, capacity - used, format, arguments);
    va_end(arguments);
    cr_assert(more >= 0 && (size_t)more < capacity - used, "a vector is too long");
}

static void read_hex(struct vector *vector, const char *hex)
{
    for (const char *at = hex; *at != '\0';) {
        unsigned byte;
        unsigned count = 1;
        int used;

        cr_assert_eq(sscanf(at, "%2x%n", &byte, &used), 1, "%s: bad hex: %s", vector->name, at);
        at += used;
        if (*at == '*') {
            cr_assert_eq(sscanf(at, "*%u%n", &count, &used), 1, "%s: %s", vector->name, at);
            at += used;
        }
        cr_assert_leq(count, sizeof(vector->packet) - vector->length);
        memset(vector->packet + vector->length, (int)byte, count);
        vector->length += count;
        at += strspn(at, " ");
    }
}

/* The rest of `line` behind `key`, or NULL if it is another key. */
static const char *value_of(const char *line, const char *key)
{
    size_t length = strlen(key);

    return strncmp(line, key, length) == 0 ? line + length : NULL;
}

static void read_line(struct vector *vector, const char *line)
{
    const char *value;

    if ((value = value_of(line, "vector ")) != NULL) {
        append(vector->name, sizeof(vector->name), "%s", value);
    } else if ((value = value_of(line, "  hex ")) != NULL) {
        read_hex(vector, value);
    } else if ((value = value_of(line, "  is ")) != NULL) {
        append(vector->meaning, sizeof(vector->meaning), "%s\n", value);
    } else if ((value = value_of(line, "  fails ")) != NULL) {
        append(vector->fails, sizeof(vector->fails), "%s", value);
    } else if (strcmp(line, "  lossy") == 0) {
        vector->lossy = true;
    } else {
        cr_assert_not_null(value_of(line, "  means "), "unknown line: %s", line);
    }
    append(vector->text, sizeof(vector->text), "%s\n", line);
}

/* Reads the next vector; false at the end. */
static bool next_vector(FILE *file, struct vector *vector)
{
    char line[1024];

    memset(vector, 0, sizeof(*vector));
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0' && line[0] != '#') {
            read_line(vector, line);
        } else if (vector->name[0] != '\0') {
            return true;
        }
    }
    return vector->name[0] != '\0';
}

/* ---- Decoding into words and encoding again ---- */

struct output {
    char meaning[2048];
    uint8_t packet[WIRE_PACKET_MAX];
    size_t length;
};

static void say(struct output *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct output *out, const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    append(out->meaning, sizeof(out->meaning), "%s", line);
}

static void say_hex(struct output *out, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        say(out, "%02x", bytes[i]);
    }
    say(out, "\n");
}

static void say_header(struct output *out, const struct wire_header *header)
{
    static const char *const names[] = {
        [WIRE_INIT] = "INIT",   [WIRE_ACCEPT] = "ACCEPT",     [WIRE_REFUSE] = "REFUSE",
        [WIRE_RETRY] = "RETRY", [WIRE_VERSIONS] = "VERSIONS", [WIRE_FLOW] = "FLOW",
        [WIRE_RESET] = "RESET", [WIRE_PROBE] = "PROBE",       [WIRE_PROBE_REPLY] = "PROBE_REPLY",
    };

    say(out, "%s number=%" PRIu64 " dcid=0x%016" PRIx64 " flags=0x%02x\n", names[header->type], header->packet_number,
        header->dcid, header->flags);
}

static bool has(const struct wire_handshake *handshake, enum wire_tlv tlv)
{
    return (handshake->present >> tlv & 1) != 0;
}

static void say_handshake(struct output *out, const struct wire_handshake *is)
{
    if (has(is, WIRE_TLV_SOURCE_CID)) {
        say(out, "SOURCE_CID 0x%016" PRIx64 "\n", is->source_cid);
    }
    if (has(is, WIRE_TLV_NONCE)) {
        say(out, "NONCE 0x%016" PRIx64 "\n", is->nonce);
    }
    if (has(is, WIRE_TLV_VERSION_RANGE)) {
        say(out, "VERSION_RANGE %u %u\n", is->version_min, is->version_max);
    }
    if (has(is, WIRE_TLV_EPOCH)) {
        say(out, "EPOCH 0x%016" PRIx64 "\n", is->epoch);
    }
    if (has(is, WIRE_TLV_PORTS)) {
        say(out, "PORTS %u %u\n", is->source_port, is->destination_port);
    }
    if (has(is, WIRE_TLV_LIMITS)) {
        say(out, "LIMITS bytes=%" PRIu64 " messages=%u udp_payload=%u\n", is->credit_bytes, is->credit_messages,
            is->max_udp_payload);
    }
    if (has(is, WIRE_TLV_MAX_MESSAGE)) {
        say(out, "MAX_MESSAGE %u\n", is->max_message);
    }
    if (has(is, WIRE_TLV_REASON)) {
        say(out, "REASON %u\n", is->reason);
    }
    if (has(is, WIRE_TLV_WORKER_PORTS)) {
        say(out, "WORKER_PORTS");
        for (int i = 0; i < is->worker_port_count; i++) {
            say(out, " %u", is->worker_ports[i]);
        }
        say(out, "\n");
    }
    if (has(is, WIRE_TLV_COOKIE)) {
        say(out, "COOKIE ");
        say_hex(out, is->cookie, is->cookie_length);
    }
}

static void say_ack(struct output *out, const struct wire_frame *frame)
{
    say(out, "ACK largest=%u first=%u holding_ns=", frame->ack.largest, frame->ack.first);
    if (frame->ack.holding_ns == WIRE_HOLDING_UNKNOWN) {
        say(out, "unknown");
    } else {
        say(out, "%u", frame->ack.holding_ns);
    }
    say(out, " messages=%u", frame->ack.messages);
    for (int i = 0; i < frame->ack.count; i++) {
        say(out, " gap=%u,length=%u", frame->ack.ranges[i].gap, frame->ack.ranges[i].length);
    }
    say(out, "\n");
}

static void say_frame(struct output *out, const struct wire_frame *frame)
{
    switch (frame->type) {
    case WIRE_FRAME_PING:
        say(out, "PING\n");
        break;
    case WIRE_FRAME_ACK:
        say_ack(out, frame);
        break;
    case WIRE_FRAME_CREDIT:
        say(out, "CREDIT messages=%u bytes=%" PRIu64 "\n", frame->credit.messages, frame->credit.bytes);
        break;
    case WIRE_FRAME_GRANT:
        say(out, "GRANT message=%u bytes=%u\n", frame->grant.message, frame->grant.bytes);
        break;
    case WIRE_FRAME_FIN:
        say(out, "FIN reason=%u messages=%u\n", frame->fin.reason, frame->fin.messages);
        break;
    case WIRE_FRAME_RESET:
        say(out, "RESET reason=%u\n", frame->reset.reason);
        break;
    case WIRE_FRAME_BLOCKED:
        say(out, "BLOCKED message=%u bytes=%" PRIu64 "\n", frame->blocked.message, frame->blocked.bytes);
        break;
    default:
        say(out, "DATA message=%u total=%u offset=%u tag=0x%016" PRIx64 " payload=", frame->data.message,
            frame->data.total, frame->data.offset, frame->data.tag);
        say_hex(out, frame->data.payload, frame->data.length);
        break;
    }
}

static int take_frames(struct output *out, const uint8_t *body, size_t length)
{
    uint8_t *to = out->packet + WIRE_HEADER_BYTES;
    struct wire_frame frame;
    size_t at = 0;
    int result;

    memcpy(to, body, length); /* for what is passed over */
    while ((result = wire_frame_decode(body, length, &at, &frame)) == WIRE_OK) {
        size_t payload = frame.type >= WIRE_FRAME_DATA ? frame.data.length : 0;
        size_t bytes = wire_frame_bytes(&frame);
        uint8_t *start = to + at - payload - bytes;

        memset(start, 0xa5, bytes);
        cr_assert_eq(wire_frame_encode(start, bytes - 1, &frame), 0);
        cr_assert_eq(wire_frame_encode(start, bytes, &frame), bytes);
        say_frame(out, &frame);
    }
    out->length = wire_packet_seal(out->packet, WIRE_HEADER_BYTES + length);
    return result == WIRE_END ? WIRE_OK : result;
}

static int take_handshake(struct output *out, const struct wire_header *header, const uint8_t *body, size_t length)
{
    struct wire_handshake handshake;
    int result = wire_handshake_decode(header->type, body, length, &handshake);

    if (result == WIRE_OK) {
        say_handshake(out, &handshake);
        out->length = wire_handshake_encode(out->packet, sizeof(out->packet), header, &handshake,
                                            header->type == WIRE_INIT ? WIRE_INIT_MIN : 0);
    }
    return result;
}

static int take_probe(struct output *out, uint8_t type, const uint8_t *body, size_t length)
{
    struct wire_probe probe;
    int result = wire_probe_decode(type, body, length, &probe);

    if (result == WIRE_OK && type == WIRE_PROBE) {
        say(out, "nonce=0x%016" PRIx64 " epoch=0x%016" PRIx64 " own=0x%016" PRIx64 "\n", probe.nonce, probe.epoch,
            probe.own_epoch);
    } else if (result == WIRE_OK) {
        say(out, "nonce=0x%016" PRIx64 " result=%u own=0x%016" PRIx64 "\n", probe.nonce, probe.result, probe.own_epoch);
    }
    out->length = wire_probe_encode(out->packet, type, &probe);
    return result;
}

static int take_reset(struct output *out, const struct wire_header *header, const uint8_t *body, size_t length)
{
    uint16_t reason;
    int result = wire_reset_decode(body, length, &reason);

    if (result == WIRE_OK) {
        say(out, "reason=%u\n", reason);
        out->length = wire_reset_encode(out->packet, header->dcid, header->packet_number, reason);
    }
    return result;
}

/* Decodes a packet to the first thing that is wrong with it. */
static int take_packet(struct output *out, const uint8_t *packet, size_t length)
{
    const uint8_t *body = packet + WIRE_HEADER_BYTES;
    struct wire_header header;
    uint64_t source_cid, nonce;
    size_t body_length;

    memset(out, 0, sizeof(*out));
    int result = wire_packet_decode(packet, length, &header, &body_length);

    if (result == WIRE_EVERSION && wire_init_prefix_decode(packet, length, &source_cid, &nonce) == WIRE_OK) {
        say(out, "PREFIX source_cid=0x%016" PRIx64 " nonce=0x%016" PRIx64 "\n", source_cid, nonce);
    }
    if (result != WIRE_OK) {
        return result;
    }
    say_header(out, &header);
    wire_header_encode(out->packet, &header);
    switch (header.type) {
    case WIRE_FLOW:
        return take_frames(out, body, body_length);
    case WIRE_RESET:
        return take_reset(out, &header, body, body_length);
    case WIRE_PROBE:
    case WIRE_PROBE_REPLY:
        return take_probe(out, header.type, body, body_length);
    default:
        return take_handshake(out, &header, body, body_length);
    }
}

static const char *result_name(int result)
{
    switch (result) {
    case WIRE_OK:
        return "";
    case WIRE_ESHORT:
        return "WIRE_ESHORT";
    case WIRE_ECHECKSUM:
        return "WIRE_ECHECKSUM";
    case WIRE_EVERSION:
        return "WIRE_EVERSION";
    case WIRE_ETYPE:
        return "WIRE_ETYPE";
    case WIRE_EFLAGS:
        return "WIRE_EFLAGS";
    case WIRE_EMALFORMED:
        return "WIRE_EMALFORMED";
    case WIRE_ECRITICAL:
        return "WIRE_ECRITICAL";
    default:
        return "no enum wire_result of a whole packet";
    }
}

static void check_vector(const struct vector *vector)
{
    static struct output out;
    /* Of just this size, so that the address sanitizer sees a byte read past it. */
    uint8_t *packet = malloc(vector->length);

    cr_assert_not_null(packet);
    memcpy(packet, vector->packet, vector->length);
    int result = take_packet(&out, packet, vector->length);

    cr_expect_str_eq(result_name(result), vector->fails, "%s: %s", vector->name, result_name(result));
    if (result == WIRE_OK || vector->meaning[0] != '\0') {
        cr_expect_str_eq(out.meaning, vector->meaning, "%s: decoded:\n%s", vector->name, out.meaning);
    }
    if (result == WIRE_OK) {
        bool same = out.length == vector->length && memcmp(out.packet, packet, vector->length) == 0;

        cr_expect_neq(same, vector->lossy, "%s: encoded again: %s", vector->name,
                      same ? "the same bytes" : "other bytes");
    }
    free(packet);
}

Test(wire_vectors, decode__gives_the_meaning_and_encode_the_bytes)
{
    static struct vector vector;
    FILE *file = open_beside_me(VECTORS_FILE);
    int count = 0;

    while (next_vector(file, &vector)) {
        check_vector(&vector);
        count++;
    }
    fclose(file);
    cr_assert_geq(count, 70, "only %d vectors in " VECTORS_FILE, count);
}

Test(wire_vectors, protocol_md__shows_each)
{
    static struct vector vector;
    static char protocol[1 << 18];
    FILE *file = open_beside_me(PROTOCOL_FILE);
    size_t length = fread(protocol, 1, sizeof(protocol) - 1, file);

    fclose(file);
    cr_assert_lt(length, sizeof(protocol) - 1);
    file = open_beside_me(VECTORS_FILE);
    while (next_vector(file, &vector)) {
        cr_expect_not_null(strstr(protocol, vector.text), "PROTOCOL.md does not show %s as it is", vector.name);
    }
    fclose(file);
}
