/* SPDX-License-Identifier: MIT */
/*
 * Tries to take pages out of the shared memory, or to get what its seals refuse. `integration_attack_holes ROLE ADDRESS COUNT`:
 *   sealed    after attaching, COUNT times: everything must be refused, and traffic goes on
 *   mapping   holes between the two steps of attaching, COUNT times: the engine refuses
 *   racing    filling, sealing and making holes at the same time, COUNT times: the engine attaches or refuses, and traffic works if it attached
 *   writing   COUNT times: a write to the memory that does not end, while it is sealed (by another) or said to be: nobody waits for it
 *   half      COUNT times the first step only: the engine gives up on all of them
 */
#include "attack_channel.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "support/held_page.h"

enum { ARENA_BYTES = 16 * MN_BLOCK, HALVES_MAX = 64, WRITES_MAX = 8, LENGTH = 30000 };

static uint8_t ip[16];
static uint16_t port;
static struct attack_channel writing;
static struct held_page nowheres[WRITES_MAX];

static void must_fail(int result, const char *what)
{
    if (result >= 0)
        attack_fail("%s was not refused", what);
}

static bool can_map_writable(int fd, uint64_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base != MAP_FAILED)
        munmap(base, bytes);
    return base != MAP_FAILED;
}

static void must_not_map(int fd, uint64_t bytes, const char *what)
{
    if (can_map_writable(fd, bytes))
        attack_fail("%s was not refused", what);
}

static void attack_region(int fd, uint8_t *base, uint64_t bytes)
{
    char path[64];
    must_fail(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes), "a hole");
    must_fail(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096), "a small hole");
    must_fail(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, (off_t)bytes), "zeroing");
    must_fail(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), "collapsing");
    must_fail(madvise(base, bytes, MADV_REMOVE), "MADV_REMOVE");
    must_fail(ftruncate(fd, 0), "shrinking");
    must_fail(ftruncate(fd, (off_t)bytes * 2), "growing");
    must_fail((int)write(fd, "x", 1), "write");
    must_fail((int)pwrite(fd, "x", 1, 4096), "pwrite");
    must_fail(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), "another seal");
    must_not_map(fd, bytes, "a new writable mapping");
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDWR | O_CLOEXEC);
    if (again >= 0) { /* the file is ours to open; what may be done to it is not */
        must_not_map(again, bytes, "a writable mapping after opening again");
        must_fail(fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes), "a hole after opening again");
        must_fail(open(path, O_RDWR | O_TRUNC | O_CLOEXEC), "O_TRUNC");
        close(again);
    }
}

/* What no seal forbids and what harms the caller alone. */
static void attack_own_mapping(struct attack_channel *channel, int region)
{
    (void)madvise(channel->regions[region], channel->bytes[region], MADV_DONTNEED);
    (void)madvise(channel->regions[region], channel->bytes[region], MADV_PAGEOUT);
    (void)munlock(channel->regions[region], channel->bytes[region]);
}

static void punch(const struct attack_channel *channel)
{
    for (int i = 0; i < ATTACK_REGIONS; i++) {
        (void)fallocate(channel->fds[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)channel->bytes[i]);
        (void)madvise(channel->regions[i], channel->bytes[i], MADV_REMOVE);
    }
}

static void traffic(struct attack_channel *channel, uint64_t number)
{
    attack_open_flow(channel, ip, (uint16_t)(port + number % 1000));
    for (int i = 0; i < 50; i++)
        attack_round_trip(channel, LENGTH);
}

static void attack_sealed(uint64_t count)
{
    struct attack_channel channel;
    attack_attach(&channel, ARENA_BYTES);
    traffic(&channel, 0);
    for (uint64_t i = 0; i < count; i++) {
        for (int region = 0; region < ATTACK_REGIONS; region++) {
            attack_region(channel.fds[region], channel.regions[region], channel.bytes[region]);
            attack_own_mapping(&channel, region);
        }
        attack_round_trip(&channel, LENGTH);
    }
    attack_detach(&channel);
}

static void attack_mapping(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct attack_channel channel;
        int32_t status = attack_offer(&channel, ARENA_BYTES);
        if (status == MACHNET_OK) {
            punch(&channel);
            status = i % 2 == 0 ? attack_say_mapped(&channel) : attack_mapped(&channel);
        }
        if (status != MACHNET_EPROTOCOL)
            attack_fail("attached with holes: %s", machnet_status_name(status));
        attack_detach(&channel);
    }
}

static void attack_racing(uint64_t count)
{
    uint64_t attached = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct attack_channel channel;
        if (attack_offer(&channel, ARENA_BYTES) != MACHNET_OK)
            attack_fail("no offer");
        pid_t puncher = fork();
        if (puncher == 0) {
            for (;;)
                punch(&channel);
        }
        for (int region = 0; region < ATTACK_REGIONS; region++)
            (void)fallocate(channel.fds[region], 0, 0, (off_t)channel.bytes[region]);
        int32_t status = attack_mapped(&channel);
        if (status == MACHNET_OK) {
            traffic(&channel, i);
            attached++;
        } else if (status != MACHNET_EPROTOCOL) {
            attack_fail("refused with %s", machnet_status_name(status));
        }
        kill(puncher, SIGKILL);
        (void)waitpid(puncher, NULL, 0);
        attack_detach(&channel);
    }
    printf("{\"event\": \"raced\", \"attached\": %u}\n", (unsigned)attached);
}

static void *write_first_page(void *nowhere)
{
    ssize_t written = pwrite(writing.fds[1], nowhere, HELD_PAGE_BYTES, 0);
    (void)written;
    return NULL;
}

static void attack_writing(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct held_page nowhere = nowheres[i];
        pthread_t writer;
        if (attack_offer(&writing, ARENA_BYTES) != MACHNET_OK)
            attack_fail("no offer");
        if (pthread_create(&writer, NULL, write_first_page, nowhere.bytes) != 0 || !held_page_wanted(&nowhere))
            attack_fail("the write does not begin");
        int32_t status = attack_say_mapped(&writing);
        if (status != MACHNET_EPROTOCOL)
            attack_fail("attached without seals: %s", machnet_status_name(status));
        if (!held_page_release(&nowhere) || pthread_join(writer, NULL) != 0)
            attack_fail("the write does not end");
        attack_detach(&writing);
    }
}

static void attack_half(uint64_t count)
{
    static struct attack_channel channels[HALVES_MAX];
    for (uint64_t i = 0; i < count && i < HALVES_MAX; i++) {
        if (attack_offer(&channels[i], ARENA_BYTES) != MACHNET_OK)
            attack_fail("no offer");
        punch(&channels[i]);
    }
    printf("{\"event\": \"half\"}\n");
    fflush(stdout);
    for (uint64_t i = 0; i < count && i < HALVES_MAX; i++) {
        int32_t status = attack_expect_closing(&channels[i]);
        if (status != MACHNET_ETIMEDOUT)
            attack_fail("closed with %s", machnet_status_name(status));
    }
    printf("{\"event\": \"given up\"}\n");
    fflush(stdout);
    /* The mappings and descriptors are still here: the engine must have let go of its own all the same. */
    (void)getchar();
}

int main(int argc, char **argv)
{
    if (argc != 4)
        attack_fail("usage: %s sealed|mapping|racing|writing|half ADDRESS COUNT", argv[0]);
    uint64_t count = strtoull(argv[3], NULL, 10);
    bool writes = strcmp(argv[1], "writing") == 0;
    for (uint64_t i = 0; writes && i < count && i < WRITES_MAX; i++) {
        if (!held_page_open(&nowheres[i])) {
            printf("{\"event\": \"done\", \"skipped\": 1}\n");
            return 0;
        }
    }
    attack_drop_privileges();
    port = attack_address(argv[2], ip);
    if (strcmp(argv[1], "sealed") == 0)
        attack_sealed(count);
    else if (strcmp(argv[1], "mapping") == 0)
        attack_mapping(count);
    else if (strcmp(argv[1], "racing") == 0)
        attack_racing(count);
    else if (writes)
        attack_writing(count < WRITES_MAX ? count : WRITES_MAX);
    else
        attack_half(count);
    printf("{\"event\": \"done\"}\n");
    return 0;
}
