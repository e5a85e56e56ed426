/* SPDX-License-Identifier: MIT */
/* Made from machnet.h by generate.sh: do not edit. */
enum {
    MACHNET_ABI_VERSION = 0x00010000,
};

uint32_t machnet_abi_version(void);

const char *machnet_version_string(void);

int32_t machnet_has_feature(const char *name);

enum machnet_status {
    MACHNET_OK = 0,
    MACHNET_EAGAIN = -1,
    MACHNET_EINVAL = -2,
    MACHNET_ENOMEM = -3,
    MACHNET_ENOTSUP = -4,
    MACHNET_EVERSION = -5,
    MACHNET_EFORKED = -6,
    MACHNET_EINTR = -7,
    MACHNET_ETIMEDOUT = -8,
    MACHNET_ENOENGINE = -9,
    MACHNET_EENGINEGONE = -10,
    MACHNET_EACCES = -11,
    MACHNET_EQUOTA = -12,
    MACHNET_ESHUTDOWN = -13,
    MACHNET_EPROTOCOL = -14,
    MACHNET_EBADTOKEN = -15,
    MACHNET_EMSGSIZE = -16,
    MACHNET_EADDRINUSE = -17,
    MACHNET_EADDRNOTAVAIL = -18,
    MACHNET_EREFUSED = -19,
    MACHNET_EUNREACHABLE = -20,
    MACHNET_ECLOSED = -21,
    MACHNET_ERESET = -22,
    MACHNET_EPEERDEAD = -23,
    MACHNET_EPEERRESTARTED = -24,
    MACHNET_ESYSTEM = -25,
    MACHNET_EPEERPROTOCOL = -26,
    MACHNET_ELOWMEMORY = -27,
    MACHNET_EPEERMSGSIZE = -28,
};

const char *machnet_status_name(int32_t status);
const char *machnet_status_text(int32_t status);

typedef struct machnet_error {
    int32_t status;
    int32_t os_error;
    uint32_t option;
    uint32_t reserved32;
    uint64_t reserved64;
    char message[232];
} machnet_error;

typedef struct machnet_options machnet_options;

enum machnet_option {
    MACHNET_OPTION_SOCKET_PATH = 1,
    MACHNET_OPTION_NAME = 2,
    MACHNET_OPTION_SEND_BYTES = 3,
    MACHNET_OPTION_RECEIVE_BYTES = 4,
    MACHNET_OPTION_SPIN_NS = 5,
    MACHNET_OPTION_OPEN_TIMEOUT_NS = 6,
    MACHNET_OPTION_POLL = 7,
};

enum machnet_poll {
    MACHNET_POLL_ADAPTIVE = 0,
    MACHNET_POLL_SPIN = 1,
    MACHNET_POLL_SLEEP = 2,
};

int32_t machnet_options_new(machnet_options **options);
void machnet_options_free(machnet_options *options);
int32_t machnet_options_set_u64(machnet_options *options, uint32_t key, uint64_t value);
int32_t machnet_options_set_str(machnet_options *options, uint32_t key, const char *value);

typedef struct machnet_context machnet_context;

int32_t machnet_context_open(uint32_t abi, const machnet_options *options, machnet_context **context,
                             machnet_error *error);

void machnet_context_unref(machnet_context *context);

int32_t machnet_context_status(machnet_context *context, char *buffer, uint64_t capacity, uint64_t *length,
                               machnet_error *error);

typedef struct machnet_channel machnet_channel;

int32_t machnet_channel_open(machnet_context *context, const machnet_options *options, machnet_channel **channel,
                             machnet_error *error);

int32_t machnet_channel_ref(machnet_channel *channel);

int32_t machnet_channel_shutdown(machnet_channel *channel);

void machnet_channel_unref(machnet_channel *channel);

int32_t machnet_channel_fd(machnet_channel *channel);

enum machnet_wait {
    MACHNET_WAIT_RECEIVE = 1,
    MACHNET_WAIT_EVENT = 2,
    MACHNET_WAIT_SEND = 4,
};

int32_t machnet_channel_wait(machnet_channel *channel, uint32_t mask, int64_t timeout_ns);

int32_t machnet_channel_wake(machnet_channel *channel);

enum machnet_event_type {
    MACHNET_EVENT_ESTABLISHED = 1,
    MACHNET_EVENT_ACCEPTED = 2,
    MACHNET_EVENT_CLOSED = 3,
    MACHNET_EVENT_SEND_SPACE = 4,
    MACHNET_EVENT_RECEIVE_STALLED = 5,
    MACHNET_EVENT_LISTENER_CLOSED = 6,
};

typedef struct machnet_event {
    uint32_t type;
    int32_t status;
    uint64_t flow;
    uint64_t listener;
    uint64_t value;
    uint64_t reserved[4];
} machnet_event;

int32_t machnet_channel_events(machnet_channel *channel, machnet_event *events, uint32_t max, uint32_t flags);

int32_t machnet_channel_stats(machnet_channel *channel, uint64_t *values, uint32_t max);
const char *machnet_stat_name(uint32_t index);

typedef struct machnet_address {
    uint8_t ip[16];
    uint16_t port;
    uint16_t reserved16;
    uint32_t reserved32;
    uint64_t reserved64;
} machnet_address;

enum {
    MACHNET_ADDRESS_TEXT_MAX = 64,
};

int32_t machnet_address_parse(const char *text, machnet_address *address);

int32_t machnet_address_format(const machnet_address *address, char *text, uint64_t capacity);

int32_t machnet_listener_open(machnet_channel *channel, const machnet_address *local, const machnet_options *options,
                              uint64_t *listener, machnet_error *error);

int32_t machnet_listener_address(machnet_channel *channel, uint64_t listener, machnet_address *local);

int32_t machnet_listener_close(machnet_channel *channel, uint64_t listener, uint32_t flags, machnet_error *error);

enum {

    MACHNET_ANY_FLOW = 0,
};

int32_t machnet_flow_open(machnet_channel *channel, const machnet_address *local, const machnet_address *remote,
                          const machnet_options *options, int64_t timeout_ns, uint64_t *flow, machnet_error *error);

enum machnet_close_flags {
    MACHNET_CLOSE_ABORT = 1,
};

int32_t machnet_flow_close(machnet_channel *channel, uint64_t flow, uint32_t flags);

int32_t machnet_flow_addresses(machnet_channel *channel, uint64_t flow, machnet_address *local, machnet_address *remote);

typedef struct machnet_flow_info {
    uint32_t state;
    int32_t status;
    uint64_t listener;
    uint64_t messages_sent;
    uint64_t messages_acknowledged;
    uint64_t messages_received;
    uint64_t messages_queued;
    uint64_t bytes_unacknowledged;
    uint64_t reserved[9];
} machnet_flow_info;

enum machnet_flow_state {
    MACHNET_FLOW_OPENING = 1,
    MACHNET_FLOW_OPEN = 2,
    MACHNET_FLOW_ENDED = 3,
};

int32_t machnet_flow_info_get(machnet_channel *channel, uint64_t flow, machnet_flow_info *info);

enum {
    MACHNET_MESSAGE_MAX = 8388608,
};

typedef struct machnet_message {
    uint64_t flow;
    uint64_t tag;
    uint64_t length;
    uint32_t flags;
    uint32_t reserved32;
    uint64_t reserved[2];
} machnet_message;

int32_t machnet_send_copy(machnet_channel *channel, uint64_t flow, const void *data, uint64_t length, uint64_t tag,
                          uint32_t flags);

int32_t machnet_recv_copy(machnet_channel *channel, uint64_t flow, void *buffer, uint64_t capacity,
                          machnet_message *message, uint32_t flags);

typedef struct machnet_record {
    uint64_t flow;
    uint64_t tag;
    uint64_t offset;
    uint64_t length;
    uint32_t flags;
    uint32_t reserved32;
    uint64_t reserved64;
} machnet_record;

int32_t machnet_send_packed(machnet_channel *channel, const machnet_record *records, uint32_t count, const void *arena,
                            uint64_t arena_bytes, uint32_t flags);

int32_t machnet_recv_packed(machnet_channel *channel, uint64_t flow, machnet_record *records, uint32_t max, void *arena,
                            uint64_t arena_bytes, uint32_t flags);

typedef struct machnet_view {
    void *data;
    uint64_t length;
    uint64_t flow;
    uint64_t tag;
    uint64_t buffer;
    uint32_t flags;
    uint32_t reserved32;
    uint64_t reserved[2];
} machnet_view;

int32_t machnet_recv_borrow(machnet_channel *channel, uint64_t flow, machnet_view *view, uint32_t flags);

int32_t machnet_send_reserve(machnet_channel *channel, uint64_t flow, uint64_t length, machnet_view *view,
                             uint32_t flags);

int32_t machnet_send_commit(machnet_channel *channel, uint64_t buffer, uint64_t length, uint64_t tag, uint32_t flags);

int32_t machnet_buffer_release(machnet_channel *channel, uint64_t buffer);
