/* SPDX-License-Identifier: MIT */
/* The conformance agent in C: ../../README.md is its specification. One thread handles requests; threads.c starts more. */
#ifndef CONFORMANCE_AGENT_H
#define CONFORMANCE_AGENT_H

#include <jansson.h>
#include <machnet/machnet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

/* ---- Answers (main.c): bodies of one answer line, owned by the caller ---- */

json_t *ok(json_t *results); /* takes `results`; NULL: {} */
json_t *failed(int32_t status, const char *message);
json_t *not_applicable(const char *why);
json_t *done(int32_t status); /* ok, or failed */

/* Ends the request: the driver or this agent is wrong. Only on the thread that handles requests. */
_Noreturn void fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the request with `na`: in C nothing may be called with what it names. Only on the thread that handles requests. */
_Noreturn void impossible(const char *why);

/* ---- Requests (request.c) ---- */

const char *text_of(const json_t *request, const char *field);
const char *text_or_null(const json_t *request, const char *field);
uint64_t number_of(const json_t *request, const char *field);
uint64_t number_or(const json_t *request, const char *field, uint64_t absent);
bool flag_of(const json_t *request, const char *field);
uint64_t tag_of(const json_t *request);
json_t *tag_json(uint64_t tag);
/* MACHNET_EINVAL: not an address. */
int32_t address_of(const json_t *request, const char *field, machnet_address *address);

int64_t now_ns(void);
/* When `timeout_ms` is over: INT64_MAX for -1, 0 for 0. */
int64_t deadline_of(const json_t *request, int64_t absent_ms);
/* As machnet_channel_wait takes it. */
int64_t left_ns(int64_t deadline);

/* ---- Objects (objects.c) ---- */

enum kind { KIND_CONTEXT, KIND_CHANNEL, KIND_LISTENER, KIND_FLOW, KIND_MESSAGE, KIND_BUFFER, KIND_COUNT };

struct told { /* an event that came */
    machnet_event event;
    struct told *prev, *next;
};

struct object {
    char *name;
    enum kind kind;
    bool closed, keep;
    struct object *parent; /* the channel of a flow, ... ; not owned, lives longer */
    machnet_context *context;
    machnet_channel *channel; /* for a closed channel only for machnet_buffer_release */
    uint64_t token;           /* of a listener or flow */
    machnet_view view;        /* of a message or buffer */
    struct told *told;        /* of a channel: events that nobody has asked for */
    pthread_mutex_t lock;     /* of a channel: `told`, `pumping` */
    pthread_cond_t more;      /* something was added to `told` */
    bool pumping;             /* another thread takes the events */
    UT_hash_handle hh;
};

struct object *object_new(const json_t *request, enum kind kind, struct object *parent);
struct object *object_of(const json_t *request, enum kind kind);
/* As object_of; `na` if its context or channel was closed: then nothing of C may be called with it. */
struct object *usable_of(const json_t *request, enum kind kind);
struct object *object_named(const char *name);
void object_forget(struct object *object);
/* The name of a flow, or JSON's null. */
json_t *flow_name(const struct object *channel, uint64_t token);
json_t *op_reset(json_t *request);

/* ---- Events (events.c) ---- */

/* Moves all events that are there into channel->told. 0, or a status that is no EAGAIN. Receive side. */
int32_t events_pump(struct object *channel);
/* Takes the first event of this type (and token, if not 0) out of told; waits for it. Status as of machnet_channel_wait. */
int32_t events_await(struct object *channel, uint32_t type, uint64_t token, int64_t deadline, machnet_event *event);
/* Drops what belongs to no known flow. */
void events_purge(struct object *channel);
void events_free(struct object *channel);

/* ---- Payloads (pattern.c) ---- */

/* `length` bytes of the payload of `seed`: static storage. Any thread, up to MACHNET_MESSAGE_MAX + 4096 bytes. */
const uint8_t *payload(uint64_t seed, uint64_t length);
void pattern_init(void);
uint32_t crc32_of(uint32_t crc, const void *data, uint64_t length);

/* Many messages, named by few numbers. */
struct stream {
    uint64_t seed, tag, count, size;
    uint64_t lengths[64];
    /* what was received: */
    uint64_t received, bytes;
    uint32_t crc;
};

struct stream stream_of(const json_t *request);
uint64_t stream_length(const struct stream *stream, uint64_t k);
uint64_t stream_tag(const struct stream *stream, uint64_t k);
const uint8_t *stream_payload(const struct stream *stream, uint64_t k);
void stream_add(struct stream *stream, uint64_t tag, const void *data, uint64_t length);
json_t *stream_result(const struct stream *stream);

/* ---- Moving messages (transfer.c): each waits until `deadline` ---- */

int32_t send_one(struct object *flow, const void *data, uint64_t length, uint64_t tag, int64_t deadline);
int32_t reserve_one(struct object *flow, uint64_t length, machnet_view *view, int64_t deadline);
int32_t commit_one(struct object *flow, uint64_t buffer, uint64_t length, uint64_t tag, int64_t deadline);
int32_t send_records(struct object *channel, machnet_record *records, uint32_t count, const void *arena, uint64_t bytes,
                     int64_t deadline);
int32_t borrow_one(struct object *channel, uint64_t flow, machnet_view *view, int64_t deadline);
/* Grows *buffer (of *capacity bytes) as needed. */
int32_t receive_one(struct object *channel, uint64_t flow, uint8_t **buffer, uint64_t *capacity,
                    machnet_message *message, int64_t deadline);
int32_t receive_records(struct object *channel, uint64_t flow, machnet_record *records, uint32_t max, uint8_t **arena,
                        uint64_t *bytes, int64_t deadline);
/* After `status` of a call of the send or receive side: MACHNET_OK, call again; else what the caller answers. */
int32_t wait_for_space(struct object *flow, int32_t status, int64_t deadline);
int32_t wait_for_message(struct object *channel, int32_t status, int64_t deadline);

int32_t send_stream(struct object *flow, const struct stream *stream, const json_t *request, int64_t deadline);

/* ---- Operations ---- */

/* clang-format off */
#define OPERATIONS(X)                                                                                       \
    X(hello) X(reset) X(lose) X(collect)                                                                    \
    X(open_context) X(status) X(close_context)                                                              \
    X(open_channel) X(shutdown) X(close_channel) X(stats) X(wake) X(wait)                                   \
    X(listen) X(accept) X(close_listener)                                                                   \
    X(open_flow) X(start_flow) X(wait_open) X(wait_closed) X(wait_send_space) X(wait_stalled) X(events)     \
    X(addresses) X(info) X(close_flow)                                                                      \
    X(send) X(send_batch) X(send_stream) X(fill) X(receive) X(receive_batch) X(receive_stream)              \
    X(borrow) X(check) X(release) X(reserve) X(commit) X(abandon) X(echo)                                   \
    X(exchange) X(cancel_waits) X(gc_stress) X(fork) X(handle_signal) X(raw)
/* clang-format on */

#define X(name) json_t *op_##name(json_t *request);
OPERATIONS(X)
#undef X

#endif /* CONFORMANCE_AGENT_H */
