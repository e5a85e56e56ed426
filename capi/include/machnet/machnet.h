/* SPDX-License-Identifier: MIT */
/*
 * Machnet: kernel-bypass messaging for programs in any language.
 *
 * This header is the whole ABI of libmachnet.so.1. The rules it keeps, and what may change in it, are in ABI.md.
 *
 * Words. The *engine* (machnetd) is the one process of a machine that owns the network interface. A *channel* is a
 * shared memory between this process and the engine. A *flow* is a reliable, ordered, bidirectional sequence of
 * *messages* between two channels, named by two addresses. A *listener* accepts flows at one address. A *token* is a
 * uint64_t that names a flow, a listener or a buffer of one channel; it is never 0, and a stale one is answered with a
 * status code (MACHNET_EBADTOKEN). A flow's and a buffer's may be the same number: what it names is told by the call.
 *
 * Results. A function that returns int32_t returns a value >= 0 (MACHNET_OK, a count or a mask) on success and a
 * negative `enum machnet_status` otherwise. Each names all that it can return, but for MACHNET_EINVAL (an argument is
 * out of its documented range, or NULL where a pointer is needed) and, in a child process after fork(), MACHNET_EFORKED,
 * and with three words for these sets:
 *   "unattached"  there is no engine for us. MACHNET_ENOENGINE, _EENGINEGONE (it closed the connection), _EACCES, _EQUOTA (a
 *                 limit of the engine for this user: connections, channels, bytes), _EVERSION (library and engine, or
 *                 library and caller), _EPROTOCOL (the engine's answer makes no sense to this library), _ENOMEM (of this
 *                 process where machnet_error.os_error is not 0, else of the engine), _ESYSTEM
 *   "gone"        the channel is gone. MACHNET_ESHUTDOWN: machnet_channel_shutdown was called. _EENGINEGONE: the engine
 *                 ended, or had to give the channel up. _EPROTOCOL: one side broke the rules of the shared memory
 *   "ended"       why the flow ended or could not be opened, as in its MACHNET_EVENT_CLOSED. MACHNET_ECLOSED, _ERESET,
 *                 _EREFUSED, _EUNREACHABLE, _EPEERDEAD, _EPEERRESTARTED, _EPEERPROTOCOL, _EPEERMSGSIZE, _EVERSION (the
 *                 two engines), _EADDRNOTAVAIL, _EQUOTA (no room for one more flow: of this user at this machine's
 *                 engine, or at the peer), _ENOMEM (of this machine's engine)
 * A status that this header does not know, of a newer library or engine, is a failure like the others. Calls that take a
 * `machnet_error` (which may be NULL) fill it when they fail. On failure nothing else is written, unless a function says so.
 *
 * Arguments. What the caller passes in is copied before the call returns, unless a function says otherwise; `flags`, and
 * reserved fields of structs that a call reads, are 0 (MACHNET_EINVAL). Calls fill reserved fields with 0. Texts are UTF-8
 * and NUL-terminated. Arrays of structs are aligned as C aligns them (8 bytes); arenas and buffers need no alignment.
 *
 * Threads. The *send side* of a channel (send, reserve, commit, flow_open, flow_close) belongs to one thread at a time,
 * the *receive side* (recv, events, wait) to one thread at a time; these may be two different threads at once. Who hands a
 * side to another thread synchronises with it (a lock, a queue). Functions marked "any thread" may be called by all
 * threads at once. "Control" functions may be called by any thread and may block for a round trip to the engine process
 * (typically below 1 ms, at most 5 s for each step). An object may be passed to a call only while the caller holds a
 * reference to it.
 *
 * Nothing here prints, aborts, exits, installs a signal handler or keeps thread-local state.
 */
#ifndef MACHNET_H
#define MACHNET_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ------------------------------------------------------------------------------------------------- */

/* The ABI this header describes: major << 16 | minor. Pass MACHNET_ABI_VERSION to machnet_context_open. */
enum {
    MACHNET_ABI_VERSION = 0x00010000,
};

/* Returns the ABI version of the loaded library: major << 16 | minor. Any thread. Never fails. */
uint32_t machnet_abi_version(void);

/* Returns the library's version, such as "0.1.0". Static storage, not owned. Any thread. Never fails. */
const char *machnet_version_string(void);

/* Returns 1 if the library has the feature `name` ("packed", "zero-copy", "ipv6", ...), else 0; NULL gives 0. Any thread. */
int32_t machnet_has_feature(const char *name);

/* ---- Status -------------------------------------------------------------------------------------------------- */

enum machnet_status {
    MACHNET_OK = 0,
    MACHNET_EAGAIN = -1,       /* nothing there, or no space now: wait, then call again */
    MACHNET_EINVAL = -2,       /* an argument is out of range */
    MACHNET_ENOMEM = -3,       /* memory, descriptors or address space are exhausted: here if machnet_error.os_error != 0, else the engine's */
    MACHNET_ENOTSUP = -4,      /* this library does not know the option, or the call has no use for it */
    MACHNET_EVERSION = -5,     /* library and caller, library and engine, or two engines have no version in common */
    MACHNET_EFORKED = -6,      /* this process is a child of the one that opened the handle */
    MACHNET_EINTR = -7,        /* a signal was handled during a wait */
    MACHNET_ETIMEDOUT = -8,    /* the time given is over */
    MACHNET_ENOENGINE = -9,    /* no engine answers on the socket */
    MACHNET_EENGINEGONE = -10, /* the engine ended while we were attached, or gave the channel up */
    MACHNET_EACCES = -11,      /* the engine's socket may not be used by this user */
    MACHNET_EQUOTA = -12,      /* a limit of the engine for this user is reached; of a flow also: the peer has no room for it */
    MACHNET_ESHUTDOWN = -13,   /* the channel was shut down by this application */
    MACHNET_EPROTOCOL = -14,   /* the other side broke the rules of the shared memory: the channel is gone */
    MACHNET_EBADTOKEN = -15,   /* the token names nothing (any more) on this channel */
    MACHNET_EMSGSIZE = -16,    /* the message is longer than the buffer, or than any message may be */
    MACHNET_EADDRINUSE = -17,  /* another listener has this address */
    MACHNET_EADDRNOTAVAIL = -18, /* the engine does not own this address */
    MACHNET_EREFUSED = -19,    /* the peer answered that nothing listens there (MACHNET_EQUOTA: something does, but has no room) */
    MACHNET_EUNREACHABLE = -20, /* no answer from the peer's engine within the time for opening a flow */
    MACHNET_ECLOSED = -21,     /* the peer application closed the flow (after its last message), or this side did */
    MACHNET_ERESET = -22,      /* the flow was aborted: by the peer, or because its application died, or its engine was stopped */
    MACHNET_EPEERDEAD = -23,   /* the peer's engine was not heard for the dead-peer time */
    MACHNET_EPEERRESTARTED = -24, /* the peer's engine was killed and started anew, and knows nothing of the flow. MACHNET_ERESET, if only
                                     this much is known: that the peer has forgotten the flow */
    MACHNET_ESYSTEM = -25,     /* a system call failed; machnet_error.os_error has its errno */
    MACHNET_EPEERPROTOCOL = -26, /* the peer's engine broke the rules of the wire: the flow is ended, the channel lives */
    MACHNET_ELOWMEMORY = -27,  /* this process has no memory to note a new flow; nothing is lost: free some, call again */
    MACHNET_EPEERMSGSIZE = -28, /* a message that was sent is longer than the peer can ever take: the flow is ended */
};

/* The name of a status ("MACHNET_EAGAIN") and one sentence for people. Static storage, not owned; for an unknown
 * number "MACHNET_EUNKNOWN" and "Unknown status". Any thread. Never fail. */
const char *machnet_status_name(int32_t status);
const char *machnet_status_text(int32_t status);

/* Filled by calls that fail. 256 bytes. `message` is a sentence that says what was tried, what went wrong and
 * what to do next; it is cut to fit. */
typedef struct machnet_error {
    int32_t status;       /* the status that was returned */
    int32_t os_error;     /* errno of the failed system call, or 0 */
    uint32_t option;      /* enum machnet_option that the call has no use for, or 0 */
    uint32_t reserved32;  /* 0 */
    uint64_t reserved64;  /* 0 */
    char message[232];
} machnet_error;

/* ---- Options ------------------------------------------------------------------------------------------------- */

typedef struct machnet_options machnet_options;

enum machnet_option {
    MACHNET_OPTION_SOCKET_PATH = 1,     /* str <= 107 bytes; context. The engine's socket. Default: $MACHNET_SOCKET, else
                                           /run/machnet/machnet.sock, else $XDG_RUNTIME_DIR/machnet.sock */
    MACHNET_OPTION_NAME = 2,            /* str <= 31 bytes; channel. Shown by `machnet status`. Default: the program's name */
    MACHNET_OPTION_SEND_BYTES = 3,      /* u64, 64 KiB .. 64 GiB; channel. Most bytes of the send arena. Default 64 MiB; grows on
                                           demand, as far as the engine has memory for this user */
    MACHNET_OPTION_RECEIVE_BYTES = 4,   /* u64, 64 KiB .. 64 GiB; channel. Most bytes of the receive arena. Default 64 MiB; grows on
                                           demand. Less than 16 MiB is taken as that, so that the longest message has room */
    MACHNET_OPTION_SPIN_NS = 5,         /* u64 ns <= 1 h; channel. An adaptive wait polls at most this long before it sleeps. Default 250 us */
    MACHNET_OPTION_OPEN_TIMEOUT_NS = 6, /* u64 ns, 1 ms .. 1 h; flow. The peer must answer within it. Default 3 s */
    MACHNET_OPTION_POLL = 7,            /* u64, enum machnet_poll; channel. How calls wait. Default MACHNET_POLL_ADAPTIVE */
};

/* What machnet_channel_wait and a machnet_flow_open that waits do until there is something. Who polls lets other threads
 * have the processor if they want it: the engine may run on the same one. */
enum machnet_poll {
    MACHNET_POLL_ADAPTIVE = 0, /* poll for SPIN_NS if that pays, then sleep */
    MACHNET_POLL_SPIN = 1,     /* poll until the call returns. No signal handler ends such a wait: call machnet_channel_wake in it */
    MACHNET_POLL_SLEEP = 2,    /* sleep at once */
};

/* Makes an empty option set, to be freed with machnet_options_free (NULL is fine). Setting copies the value; a later set of the
 * same key replaces it. A call copies what it needs of a set, and answers MACHNET_ENOTSUP if a key is set that it has no use
 * for, with the key in machnet_error. One thread at a time; calls that only read the set may share it.
 * new: MACHNET_ENOMEM. set: MACHNET_ENOTSUP: unknown key. MACHNET_EINVAL: wrong type or range. */
int32_t machnet_options_new(machnet_options **options);
void machnet_options_free(machnet_options *options);
int32_t machnet_options_set_u64(machnet_options *options, uint32_t key, uint64_t value);
int32_t machnet_options_set_str(machnet_options *options, uint32_t key, const char *value);

/* ---- Context ------------------------------------------------------------------------------------------------- */

typedef struct machnet_context machnet_context;

/* Finds the engine, agrees on versions and gives a context, from which channels are opened. `abi` is
 * MACHNET_ABI_VERSION of the caller's header. `options` may be NULL. Reads the environment (getenv). Control.
 * MACHNET_ENOTSUP (option), unattached. */
int32_t machnet_context_open(uint32_t abi, const machnet_options *options, machnet_context **context,
                             machnet_error *error);

/* Gives the reference back; channels of the context stay valid. NULL is fine. Any thread, when no call on it is under way. */
void machnet_context_unref(machnet_context *context);

/* Writes what the engine says of itself into `buffer` as one JSON object (UTF-8, NUL-terminated), the same that
 * `machnet status --json` prints; *length is set to its length in bytes without the NUL. Control.
 * MACHNET_EMSGSIZE: `capacity` (bytes) is too small, *length says what is needed (it may have grown at the next call).
 * Unattached. After a failure `buffer` may hold a part of it, without an end. */
int32_t machnet_context_status(machnet_context *context, char *buffer, uint64_t capacity, uint64_t *length,
                               machnet_error *error);

/* ---- Channel ------------------------------------------------------------------------------------------------- */

typedef struct machnet_channel machnet_channel;

/* Attaches to the engine: maps the shared memory, with one reference for the caller. `options` may be NULL. Control.
 * MACHNET_ENOTSUP (option), unattached. */
int32_t machnet_channel_open(machnet_context *context, const machnet_options *options, machnet_channel **channel,
                             machnet_error *error);

/* Takes one more reference. Any thread. MACHNET_OK. */
int32_t machnet_channel_ref(machnet_channel *channel);

/* Detaches: the engine aborts all flows of the channel and closes its listeners, all waits return, all calls with "gone" among
 * their statuses answer MACHNET_ESHUTDOWN, borrowed buffers stay readable until they are released. Idempotent. Any thread. */
int32_t machnet_channel_shutdown(machnet_channel *channel);

/* Gives one reference back; the last one shuts the channel down, and no other call may be under way then. Memory is unmapped
 * after the last reference *and* the last borrowed or reserved buffer; until then the pointer may still be passed to
 * machnet_buffer_release, once for each such buffer. NULL is fine. Any thread. */
void machnet_channel_unref(machnet_channel *channel);

/* Returns a descriptor for poll, epoll (level or edge), kqueue-like loops and language run-times: it is readable while
 * messages or events may be waiting, after machnet_channel_wake, and when the channel is gone. Owned by the channel: only poll it.
 * Contract: call recv and events until they return MACHNET_EAGAIN, then poll. Asking for it once makes the engine signal it
 * from then on. Any thread. Gone statuses are returned only when there was no descriptor yet. */
int32_t machnet_channel_fd(machnet_channel *channel);

enum machnet_wait {
    MACHNET_WAIT_RECEIVE = 1, /* a message can be received; or a flow has ended since a wait last returned this bit: the next receive
                                 call on that flow gives its messages, then the status of its end. One that we have closed does not count */
    MACHNET_WAIT_EVENT = 2,   /* machnet_channel_events has something */
    MACHNET_WAIT_SEND = 4,    /* MACHNET_EVENT_SEND_SPACE is there for a flow. That the flow has ended is told by the others */
};

/* Waits until something of `mask` holds (an OR of enum machnet_wait, not 0) and returns the part of the mask that does.
 * timeout_ns < 0 waits for ever, 0 only looks. A wake makes it return 0, if nothing of the mask holds. Receive side.
 * MACHNET_ETIMEDOUT, MACHNET_EINTR, MACHNET_ELOWMEMORY, gone. MACHNET_ESYSTEM: the channel's descriptor was closed by somebody. */
int32_t machnet_channel_wait(machnet_channel *channel, uint32_t mask, int64_t timeout_ns);

/* Makes the present or else the next machnet_channel_wait return 0, and the descriptor readable until then or until
 * machnet_channel_events returned MACHNET_EAGAIN. It ends one wait; wakes that came before that count as one with it. A wait that
 * returned something else has not used it up. A machnet_flow_open that waits goes on, and leaves the wake to the next wait. Any
 * thread; async-signal-safe. */
int32_t machnet_channel_wake(machnet_channel *channel);

enum machnet_event_type {
    MACHNET_EVENT_ESTABLISHED = 1,     /* a flow that we opened is open */
    MACHNET_EVENT_ACCEPTED = 2,        /* `listener` accepted `flow`; close it when done */
    MACHNET_EVENT_CLOSED = 3,          /* `flow` ended or could not be opened: `status` says why. It comes once for each flow, after
                                          all its messages can be received; they stay receivable until machnet_flow_close */
    MACHNET_EVENT_SEND_SPACE = 4,      /* a call on `flow` was refused for want of space, and there is some now: another is worth while. One comes
                                          after each refusal (several in a row count as one), unless the flow ends. Refusals are MACHNET_EAGAIN
                                          of send_copy, send_packed, send_reserve and send_commit, and a send_packed that stopped for want of
                                          space at a record of `flow`. MACHNET_EAGAIN of flow_open and flow_close brings no event */
    MACHNET_EVENT_RECEIVE_STALLED = 5, /* `flow` waits for receive space, and there is no more memory for it: `value`, never 0, is the bytes
                                          this application holds borrowed or unread */
    MACHNET_EVENT_LISTENER_CLOSED = 6, /* reserved: `listener` was closed by the engine; today's engine never does that */
};

/* One thing that happened. 64 bytes. */
typedef struct machnet_event {
    uint32_t type;        /* enum machnet_event_type; skip what you do not know */
    int32_t status;       /* for CLOSED: one of "ended", or MACHNET_OK after our own close; else MACHNET_OK */
    uint64_t flow;        /* token, or 0 */
    uint64_t listener;    /* token, or 0 */
    uint64_t value;       /* by type, or 0 */
    uint64_t reserved[4]; /* 0 */
} machnet_event;

/* Takes up to `max` events (1 .. INT32_MAX) and returns how many (>= 1). At most a few events are kept for each flow; none is lost.
 * Receive side. MACHNET_EAGAIN: none now. MACHNET_ELOWMEMORY. Gone (MACHNET_EENGINEGONE after the last event). */
int32_t machnet_channel_events(machnet_channel *channel, machnet_event *events, uint32_t max, uint32_t flags);

/* Writes up to `max` counters (0: none), in the order of their names, and returns how many there are; the names are given by
 * machnet_stat_name(0 ...), which returns NULL past the last (static, not owned). Counters only grow, unless the name ends
 * in "_now". Any thread. */
int32_t machnet_channel_stats(machnet_channel *channel, uint64_t *values, uint32_t max);
const char *machnet_stat_name(uint32_t index);

/* ---- Address ------------------------------------------------------------------------------------------------- */

/* An IP address and a flow port. 32 bytes. An IPv4 address is kept as ::ffff:a.b.c.d. */
typedef struct machnet_address {
    uint8_t ip[16];       /* network order; all zero: any address of the engine, of both families. ::ffff:0.0.0.0 is the same */
    uint16_t port;        /* host order; 0: let the engine choose (local addresses) */
    uint16_t reserved16;  /* 0 */
    uint32_t reserved32;  /* 0 */
    uint64_t reserved64;  /* 0 */
} machnet_address;

enum {
    MACHNET_ADDRESS_TEXT_MAX = 64, /* bytes that machnet_address_format needs at most, with the NUL */
};

/* Reads "10.0.0.2:7000", "[fd00::2]:7000" or ":7000" (any address; so are "0.0.0.0:7000" and "[::]:7000", which give all zero, too).
 * No names, no zones. MACHNET_EINVAL: it is none of these. Any thread. */
int32_t machnet_address_parse(const char *text, machnet_address *address);

/* Writes the address as text (any address as ":7000"), NUL-terminated. MACHNET_EMSGSIZE: `capacity` (bytes) is too small. Any thread. */
int32_t machnet_address_format(const machnet_address *address, char *text, uint64_t capacity);

/* ---- Listener ------------------------------------------------------------------------------------------------ */

/* Accepts flows at `local`: a port of one address of the engine, or of all (any address). The token is valid when the call
 * returns; flows are announced by MACHNET_EVENT_ACCEPTED. With port 0 the engine chooses a free one of 49152 and above
 * (machnet_listener_address tells it). `options` may be NULL. Control.
 * MACHNET_EADDRINUSE (also if no port is free), MACHNET_EADDRNOTAVAIL, MACHNET_EQUOTA (listeners of this user), MACHNET_ENOTSUP
 * (option), gone. MACHNET_ENOMEM (as in "unattached"), MACHNET_ESYSTEM: there is no listener. MACHNET_ETIMEDOUT: no answer; there
 * will be no listener. */
int32_t machnet_listener_open(machnet_channel *channel, const machnet_address *local, const machnet_options *options,
                              uint64_t *listener, machnet_error *error);

/* Where the listener accepts, with the port that was chosen; the IP address is that of listener_open (all zero: any).
 * Any thread. MACHNET_EBADTOKEN. */
int32_t machnet_listener_address(machnet_channel *channel, uint64_t listener, machnet_address *local);

/* Stops accepting; flows that were accepted live on, but for those whose ACCEPTED is still to be told by the engine. Control.
 * MACHNET_EBADTOKEN, gone. MACHNET_ENOMEM, MACHNET_ESYSTEM: nothing was done. MACHNET_ETIMEDOUT: no answer; call again. */
int32_t machnet_listener_close(machnet_channel *channel, uint64_t listener, uint32_t flags, machnet_error *error);

/* ---- Flow ---------------------------------------------------------------------------------------------------- */

enum {
    /* In place of a flow's token in receive calls: whichever has a message, in turn. From its first call of
     * machnet_channel_events on, an application gets a flow's ACCEPTED event before any message of that flow. */
    MACHNET_ANY_FLOW = 0,
};

/* Opens a flow to `remote`, which has an IP address and a port. `local` may be NULL (any address, any port). With timeout_ns == 0
 * it returns at once, the result comes as MACHNET_EVENT_ESTABLISHED or _CLOSED; messages may be sent at once and go out when the flow is
 * open. With timeout_ns != 0 it waits so long (< 0: until the option OPEN_TIMEOUT_NS ends it), uses the receive side too, and no such
 * event comes. Send side. Whatever it fails with, there is no flow. MACHNET_EAGAIN: the ring to the engine is full, and no event tells of
 * room: an engine that runs empties it in a moment, so call again a little later. MACHNET_EQUOTA: too many flows of this channel.
 * MACHNET_ENOMEM: of this process. MACHNET_ENOTSUP (option), gone. When waiting also: ended, MACHNET_ETIMEDOUT, MACHNET_EINTR,
 * MACHNET_ELOWMEMORY, MACHNET_ESYSTEM. */
int32_t machnet_flow_open(machnet_channel *channel, const machnet_address *local, const machnet_address *remote,
                          const machnet_options *options, int64_t timeout_ns, uint64_t *flow, machnet_error *error);

enum machnet_close_flags {
    MACHNET_CLOSE_ABORT = 1, /* drop what was not acknowledged; the peer gets MACHNET_ERESET */
};

/* Closes the flow: the token is stale at once, unread messages are dropped, messages sent before are still delivered
 * (unless aborted). The end is told by MACHNET_EVENT_CLOSED with MACHNET_OK, or with what prevented it, unless a CLOSED
 * event came before. Send side. MACHNET_EBADTOKEN, gone. MACHNET_EAGAIN: nothing was done, as in machnet_flow_open. */
int32_t machnet_flow_close(machnet_channel *channel, uint64_t flow, uint32_t flags);

/* Both ends of a flow that is or was open; either pointer may be NULL. Any thread.
 * MACHNET_EBADTOKEN. MACHNET_EAGAIN: not open yet. Ended: it never was open. */
int32_t machnet_flow_addresses(machnet_channel *channel, uint64_t flow, machnet_address *local, machnet_address *remote);

/* What the library knows of a flow. 128 bytes. */
typedef struct machnet_flow_info {
    uint32_t state;             /* enum machnet_flow_state */
    int32_t status;             /* why it ended, or MACHNET_OK */
    uint64_t listener;          /* token of the listener that accepted it, or 0 */
    uint64_t messages_sent;     /* given to send or commit */
    uint64_t messages_acknowledged; /* held by the peer's engine */
    uint64_t messages_received; /* taken by receive calls */
    uint64_t messages_queued;   /* waiting here to be received */
    uint64_t bytes_unacknowledged;
    uint64_t reserved[9];       /* 0 */
} machnet_flow_info;

enum machnet_flow_state {
    MACHNET_FLOW_OPENING = 1,
    MACHNET_FLOW_OPEN = 2,
    MACHNET_FLOW_ENDED = 3, /* queued messages can still be received */
};

/* Fills `info`. The values of the other side's thread may be a moment old. Any thread. MACHNET_EBADTOKEN. */
int32_t machnet_flow_info_get(machnet_channel *channel, uint64_t flow, machnet_flow_info *info);

/* ---- Send and receive: one message, copied ------------------------------------------------------------------- */

enum {
    MACHNET_MESSAGE_MAX = 8388608, /* bytes of the longest message: 8 MiB */
};

/* What is known of a message beside its bytes. 48 bytes. */
typedef struct machnet_message {
    uint64_t flow;        /* token */
    uint64_t tag;         /* what the sender gave; 0 costs nothing on the wire */
    uint64_t length;      /* bytes */
    uint32_t flags;       /* 0 */
    uint32_t reserved32;  /* 0 */
    uint64_t reserved[2]; /* 0 */
} machnet_message;

/* Sends `length` bytes (0 is a message too) with `tag`. The bytes are copied; `data` is free again on return.
 * Send side. MACHNET_EAGAIN: no space now, or more is being asked of the engine; MACHNET_EVENT_SEND_SPACE comes when a repeated call is
 * worth while, also after the engine has refused (quota, memory). MACHNET_EMSGSIZE: longer than MACHNET_MESSAGE_MAX, or than the send
 * arena can ever hold: MACHNET_OPTION_SEND_BYTES, or what it has once the engine has refused more, which this channel then does not ask
 * for again. MACHNET_EBADTOKEN, ended, gone. */
int32_t machnet_send_copy(machnet_channel *channel, uint64_t flow, const void *data, uint64_t length, uint64_t tag,
                          uint32_t flags);

/* Takes the next message of `flow` (or MACHNET_ANY_FLOW) into `buffer`. Receive side.
 * MACHNET_EAGAIN: none now. MACHNET_EMSGSIZE: it is longer than `capacity` (bytes); `message` describes it, and it stays (it
 * blocks only its flow). MACHNET_EBADTOKEN. Ended: nothing is left of this flow. MACHNET_ELOWMEMORY. Gone (MACHNET_EENGINEGONE after
 * the last message). */
int32_t machnet_recv_copy(machnet_channel *channel, uint64_t flow, void *buffer, uint64_t capacity,
                          machnet_message *message, uint32_t flags);

/* ---- Send and receive: many messages in one call ------------------------------------------------------------- */

/* One message of a packed call; its bytes are at arena + offset. 48 bytes. */
typedef struct machnet_record {
    uint64_t flow;       /* token */
    uint64_t tag;
    uint64_t offset;     /* bytes from the start of the arena */
    uint64_t length;     /* bytes */
    uint32_t flags;      /* 0 */
    uint32_t reserved32; /* 0 */
    uint64_t reserved64; /* 0 */
} machnet_record;

/* Sends the messages of records[0 .. count), which may be of different flows, copying from the caller's `arena` of
 * `arena_bytes`; `count` is 1 .. INT32_MAX. Returns how many went out (>= 1): the first n, in order. It stops at the first record that
 * cannot go, for whatever reason, and does not look at those behind it, also if they are of other flows: call again with
 * the rest. When records[0] cannot go, its status (as of machnet_send_copy) is returned; MACHNET_EINVAL: it points out of
 * the arena, or what must be 0 is not. Send side. */
int32_t machnet_send_packed(machnet_channel *channel, const machnet_record *records, uint32_t count, const void *arena,
                            uint64_t arena_bytes, uint32_t flags);

/* Takes up to `max` messages (1 .. INT32_MAX) of `flow` (or MACHNET_ANY_FLOW) into the caller's arena, each at an offset that is a
 * multiple of 8 bytes, and returns how many (>= 1). The records may be given to machnet_send_packed as they are. When already the first
 * message does not fit: MACHNET_EMSGSIZE, and records[0] has flow, tag and length of it. Other statuses as of machnet_recv_copy.
 * Receive side. */
int32_t machnet_recv_packed(machnet_channel *channel, uint64_t flow, machnet_record *records, uint32_t max, void *arena,
                            uint64_t arena_bytes, uint32_t flags);

/* ---- Send and receive: without a copy ------------------------------------------------------------------------ */

/* A message in shared memory. 64 bytes. */
typedef struct machnet_view {
    void *data;           /* `length` contiguous bytes; those of a received message are mapped read-only; aligned to 64 bytes */
    uint64_t length;      /* bytes */
    uint64_t flow;        /* token */
    uint64_t tag;
    uint64_t buffer;      /* token for machnet_send_commit, machnet_buffer_release */
    uint32_t flags;       /* 0 */
    uint32_t reserved32;  /* 0 */
    uint64_t reserved[2]; /* 0 */
} machnet_view;

/* Takes the next message where it lies. It stays readable until machnet_buffer_release, also after the flow or channel is closed;
 * until then it counts against the space in which this channel can receive. Receive side. Statuses as of machnet_recv_copy, without
 * MACHNET_EMSGSIZE. */
int32_t machnet_recv_borrow(machnet_channel *channel, uint64_t flow, machnet_view *view, uint32_t flags);

/* Reserves `length` bytes of the send arena for one message on `flow`, to be written by the caller and then committed or
 * abandoned (machnet_buffer_release). Send side. Statuses as of machnet_send_copy. */
int32_t machnet_send_reserve(machnet_channel *channel, uint64_t flow, uint64_t length, machnet_view *view,
                             uint32_t flags);

/* Sends the first `length` bytes (<= those reserved) of a reserved buffer on the flow it was reserved for. The buffer's token is stale
 * afterwards and its bytes must not be touched; after any failure it stays reserved, to be committed again or released. Send side.
 * MACHNET_EAGAIN: the ring to the engine is full; MACHNET_EVENT_SEND_SPACE comes. MACHNET_EBADTOKEN: not a reserved buffer. Ended (MACHNET_ECLOSED also after our own close), gone. */
int32_t machnet_send_commit(machnet_channel *channel, uint64_t buffer, uint64_t length, uint64_t tag, uint32_t flags);

/* Gives a borrowed message back, or abandons a reserved buffer. Any thread. MACHNET_EBADTOKEN: it is neither (any more). Works on a
 * channel that is gone. */
int32_t machnet_buffer_release(machnet_channel *channel, uint64_t buffer);

#ifdef __cplusplus
}
#endif

#endif /* MACHNET_H */
