/* SPDX-License-Identifier: MIT */
#include "memif.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    VERSION = 2 << 8,
    COOKIE = 0x3e31f20,
    REGIONS_MAX = 8,
    QUEUES_MAX = 64,
    LOG2_RING_MAX = 14,
    NAME_BYTES = 32,
    MESSAGE_BYTES = 128,
    RING_BYTES = 128, /* in front of the descriptors */
};

/* ---- What goes over the socket ---- */

enum message_type { ACK = 1, HELLO, INIT, ADD_REGION, ADD_RING, CONNECT, CONNECTED, DISCONNECT };

struct __attribute__((packed)) hello {
    char name[NAME_BYTES];
    uint16_t version_min, version_max, region_max, to_client_max,
        to_server_max; /* the last three: the greatest index */
    uint8_t log2_ring_max;
};

struct __attribute__((packed)) init {
    uint16_t version;
    uint32_t id;
    uint8_t mode; /* 0: Ethernet */
};

struct __attribute__((packed)) add_region {
    uint16_t index;
    uint64_t size;
};

struct __attribute__((packed)) add_ring {
    uint16_t flags; /* bit 0: towards the server */
    uint16_t index, region;
    uint32_t offset;
    uint8_t log2_size;
};

struct __attribute__((packed)) message {
    uint16_t type;
    union {
        struct hello hello;
        struct init init;
        struct add_region add_region;
        struct add_ring add_ring;
        char name[NAME_BYTES];
        uint8_t bytes[MESSAGE_BYTES - 2];
    };
};

_Static_assert(sizeof(struct message) == MESSAGE_BYTES, "as DPDK has it");

/* ---- What lies in the memory ---- */

struct descriptor {
    uint16_t flags;
    uint16_t region;
    uint32_t length, offset, metadata;
};
enum { DESCRIPTOR_NEXT = 1 };

/* Towards the server: the client fills [tail, head), we empty it and move tail. Towards the client: [tail, head) are empty buffers, which we
 * fill, and move tail. Whoever moves an index stores it (release), the other loads it (acquire). */
struct ring {
    uint32_t cookie;
    uint16_t flags; /* bit 0: who empties it polls and wants no interrupt */
    _Atomic uint16_t head;
    alignas(64) _Atomic uint16_t tail;
    alignas(64) struct descriptor descriptors[];
};
enum { RING_NO_INTERRUPT = 1 };

_Static_assert(sizeof(struct ring) == RING_BYTES, "as DPDK has it");

struct queue {
    struct ring *ring; /* NULL: not added, or not yet mapped */
    struct add_ring place;
    int interrupt;     /* -1: none */
    uint16_t position; /* our copy of tail */
    uint16_t mask;
};

struct region {
    uint8_t *bytes;
    uint64_t size;
};

struct memif {
    int listener, client; /* -1: none */
    bool connected;
    uint32_t region_count, receive_count, transmit_count;
    struct region regions[REGIONS_MAX];
    struct queue receive[QUEUES_MAX], transmit[QUEUES_MAX];
    struct sockaddr_un address;
};

/* The bytes [offset, offset + length) of a region, or NULL. */
static uint8_t *region_bytes(const struct memif *memif, uint32_t region, uint64_t offset, uint64_t length)
{
    if (region >= memif->region_count || offset > memif->regions[region].size ||
        length > memif->regions[region].size - offset)
        return NULL;
    return memif->regions[region].bytes + offset;
}

/* ---- Beginning and end ---- */

struct memif *memif_open(const char *path)
{
    struct memif *memif = calloc(1, sizeof *memif);
    if (memif == NULL)
        return NULL;
    memif->client = -1;
    memif->address.sun_family = AF_UNIX;
    memif->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int length = snprintf(memif->address.sun_path, sizeof memif->address.sun_path, "%s", path);
    if (length >= (int)sizeof memif->address.sun_path)
        errno = ENAMETOOLONG;
    else if (memif->listener >= 0 &&
             bind(memif->listener, (const struct sockaddr *)&memif->address, sizeof memif->address) == 0 &&
             listen(memif->listener, 8) == 0)
        return memif;
    const int problem = errno;
    if (memif->listener >= 0)
        (void)close(memif->listener);
    free(memif);
    errno = problem;
    return NULL;
}

static void close_queues(struct queue *queues, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (queues[i].interrupt >= 0)
            (void)close(queues[i].interrupt);
        queues[i] = (struct queue){.interrupt = -1};
    }
}

static void disconnect(struct memif *memif)
{
    close_queues(memif->receive, memif->receive_count);
    close_queues(memif->transmit, memif->transmit_count);
    for (uint32_t i = 0; i < memif->region_count; i++)
        (void)munmap(memif->regions[i].bytes, memif->regions[i].size);
    (void)close(memif->client);
    memif->client = -1;
    memif->connected = false;
    memif->region_count = memif->receive_count = memif->transmit_count = 0;
}

void memif_close(struct memif *memif)
{
    if (memif == NULL)
        return;
    if (memif->client >= 0)
        disconnect(memif);
    (void)close(memif->listener);
    (void)unlink(memif->address.sun_path);
    free(memif);
}

void memif_fds(const struct memif *memif, int fds[MEMIF_FDS])
{
    fds[0] = memif->client < 0 ? memif->listener : -1;
    fds[1] = memif->client;
}

/* ---- Conversation ---- */

static bool say(const struct memif *memif, const struct message *message)
{
    return send(memif->client, message, sizeof *message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof *message;
}

static bool say_hello(const struct memif *memif)
{
    const struct message message = {.type = HELLO,
                                    .hello = {.name = "switch",
                                              .version_min = VERSION,
                                              .version_max = VERSION,
                                              .region_max = REGIONS_MAX - 1,
                                              .to_client_max = QUEUES_MAX - 1,
                                              .to_server_max = QUEUES_MAX - 1,
                                              .log2_ring_max = LOG2_RING_MAX}};
    return say(memif, &message);
}

/* Takes the descriptor over. */
static bool add_region(struct memif *memif, const struct add_region *wanted, int *fd)
{
    struct stat file;
    if (*fd < 0 || wanted->index != memif->region_count || wanted->index >= REGIONS_MAX || fstat(*fd, &file) < 0 ||
        wanted->size > (uint64_t)file.st_size)
        return false;
    void *bytes = mmap(NULL, wanted->size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (bytes == MAP_FAILED)
        return false;
    memif->regions[memif->region_count++] = (struct region){.bytes = bytes, .size = wanted->size};
    return true;
}

static bool add_ring(struct memif *memif, const struct add_ring *wanted, int *fd)
{
    const bool to_server = (wanted->flags & 1) != 0;
    uint32_t *count = to_server ? &memif->receive_count : &memif->transmit_count;
    if (wanted->index != *count || *count == QUEUES_MAX || wanted->log2_size > LOG2_RING_MAX)
        return false;
    struct queue *queue = &(to_server ? memif->receive : memif->transmit)[(*count)++];
    *queue =
        (struct queue){.place = *wanted, .interrupt = *fd, .mask = (uint16_t)((UINT32_C(1) << wanted->log2_size) - 1)};
    *fd = -1;
    return true;
}

static bool map_rings(struct memif *memif, struct queue *queues, uint32_t count, uint16_t flags)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct add_ring *place = &queues[i].place;
        uint8_t *bytes = region_bytes(memif, place->region, place->offset,
                                      RING_BYTES + (sizeof(struct descriptor) << place->log2_size));
        struct ring *ring = (struct ring *)(void *)bytes;
        if (ring == NULL || place->offset % alignof(struct descriptor) != 0 || ring->cookie != COOKIE)
            return false;
        ring->flags |= flags;
        queues[i].ring = ring;
    }
    return true;
}

static bool take_message(struct memif *memif, const struct message *message, int *fd)
{
    struct message answer = {.type = ACK};
    switch (message->type) {
    case INIT:
        return message->init.version == VERSION && message->init.mode == 0 && say(memif, &answer);
    case ADD_REGION:
        return add_region(memif, &message->add_region, fd) && say(memif, &answer);
    case ADD_RING:
        return add_ring(memif, &message->add_ring, fd) && say(memif, &answer);
    case CONNECT:
        memif->connected = map_rings(memif, memif->receive, memif->receive_count, RING_NO_INTERRUPT) &&
                           map_rings(memif, memif->transmit, memif->transmit_count, 0);
        answer = (struct message){.type = CONNECTED, .name = "switch"};
        return memif->connected && say(memif, &answer);
    case ACK:
        return true;
    default: /* DISCONNECT, or nonsense */
        return false;
    }
}

/* Returns false at the end of the conversation. */
static bool listen_to_client(struct memif *memif)
{
    struct message message;
    alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    struct iovec bytes = {.iov_base = &message, .iov_len = sizeof message};
    struct msghdr header = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    const ssize_t length = recvmsg(memif->client, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0)
        return errno == EAGAIN || errno == EINTR;
    int fd = -1;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part != NULL; part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
            memcpy(&fd, CMSG_DATA(part), sizeof fd);
    }
    const bool goes_on = length == (ssize_t)sizeof message && take_message(memif, &message, &fd);
    if (fd >= 0)
        (void)close(fd);
    return goes_on;
}

void memif_control(struct memif *memif)
{
    if (memif->client >= 0) {
        if (!listen_to_client(memif))
            disconnect(memif);
        return;
    }
    memif->client = accept4(memif->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (memif->client >= 0 && !say_hello(memif))
        disconnect(memif);
}

/* ---- Frames ---- */

uint32_t memif_receive_queues(const struct memif *memif)
{
    return memif->connected ? memif->receive_count : 0;
}

uint32_t memif_transmit_queues(const struct memif *memif)
{
    return memif->connected ? memif->transmit_count : 0;
}

uint32_t memif_receive(struct memif *memif, uint32_t queue, uint8_t *frame, uint32_t capacity)
{
    struct queue *own = &memif->receive[queue];
    const uint16_t head = atomic_load_explicit(&own->ring->head, memory_order_acquire);
    uint32_t length = 0;
    for (bool more = true; more && own->position != head; own->position++) {
        const struct descriptor part = own->ring->descriptors[own->position & own->mask];
        const uint8_t *bytes = region_bytes(memif, part.region, part.offset, part.length);
        if (bytes == NULL || part.length > capacity - length) {
            disconnect(memif);
            return 0;
        }
        memcpy(frame + length, bytes, part.length);
        length += part.length;
        more = (part.flags & DESCRIPTOR_NEXT) != 0;
    }
    atomic_store_explicit(&own->ring->tail, own->position, memory_order_release);
    return length;
}

bool memif_transmit(struct memif *memif, uint32_t queue, const uint8_t *frame, uint32_t length)
{
    struct queue *own = &memif->transmit[queue];
    const uint16_t head = atomic_load_explicit(&own->ring->head, memory_order_acquire);
    uint16_t position = own->position;
    for (uint32_t sent = 0; sent < length; position++) {
        if (position == head)
            return false; /* buffers that were filled are filled anew: they keep their lengths */
        struct descriptor *part = &own->ring->descriptors[position & own->mask];
        const uint32_t room = part->length, rest = length - sent, bytes = rest < room ? rest : room;
        uint8_t *place = region_bytes(memif, part->region, part->offset, room);
        if (place == NULL || room == 0) {
            disconnect(memif);
            return false;
        }
        memcpy(place, frame + sent, bytes);
        sent += bytes;
        part->length = bytes;
        part->flags = sent < length ? DESCRIPTOR_NEXT : 0;
    }
    own->position = position;
    atomic_store_explicit(&own->ring->tail, position, memory_order_release);
    if ((own->ring->flags & RING_NO_INTERRUPT) == 0 && own->interrupt >= 0)
        (void)!write(own->interrupt, &(uint64_t){1}, sizeof(uint64_t));
    return true;
}
