/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/layout.h"
#include "channel/poison.h"
#include "channel/region.h"
#include "support/held_page.h"

enum { BYTES = 4 * MN_BLOCK, FD_SCAN = 256, NOBODY = 65534, POPULATE_WRITE = 23 };

static int fd = -1;
static void *engine, *client;

static void create(void)
{
    cr_assert_eq(mn_region_create("machnet-test", BYTES, &fd, &engine), 0);
}

static void create_map_check(void)
{
    create();
    cr_assert_eq(mn_region_map(fd, BYTES, true, &client), 0);
    cr_assert_eq(mn_region_check(fd, engine, BYTES), 0);
}

/* What the engine must not have to pay for. */
static uint64_t bytes_in_memory(void)
{
    struct stat status;
    cr_assert_eq(fstat(fd, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

static bool all_present(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char present[BYTES / 4096];
    cr_assert_eq(mincore(engine, BYTES, present), 0);
    for (size_t i = 0; i < BYTES / page; i++) {
        if ((present[i] & 1) == 0)
            return false;
    }
    return true;
}

static int open_fds(void)
{
    int count = 0;
    for (int i = 0; i < FD_SCAN; i++)
        count += fcntl(i, F_GETFD) >= 0;
    return count;
}

static int mappings_named(const char *name)
{
    char line[512];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    cr_assert_not_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL)
        count += strstr(line, name) != NULL;
    fclose(maps);
    return count;
}

/* From now on system call `number` fails with `error` where its argument `index` has `value`. */
static void inject(long number, uint32_t index, uint32_t value, int error)
{
    uint32_t argument = (uint32_t)offsetof(struct seccomp_data, args) + index * 8;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

Test(region, create__takes_no_memory_and_is_of_fixed_size)
{
    create();
    cr_assert_eq(bytes_in_memory(), 0);
    cr_assert_eq(fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW), F_SEAL_SHRINK | F_SEAL_GROW);
    cr_assert((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    cr_assert_eq(ftruncate(fd, BYTES / 2), -1);
    cr_assert_eq(ftruncate(fd, BYTES * 2), -1);
    cr_assert_eq(ftruncate(fd, 0), -1);
}

Test(region, create__refuses_sizes_that_are_none)
{
    cr_assert_eq(mn_region_create("machnet-test", 0, &fd, &engine), -EINVAL);
    cr_assert_eq(mn_region_create("machnet-test", 100, &fd, &engine), -EINVAL);
    cr_assert_eq(mn_region_create("machnet-test", UINT64_C(2) * MN_REGION_BYTES_MAX, &fd, &engine), -EINVAL);
}

static void create_fails_with(int error)
{
    int before = open_fds();
    cr_assert_eq(mn_region_create("machnet-test", BYTES, &fd, &engine), -error);
    cr_assert_eq(open_fds(), before);
    cr_assert_eq(mappings_named("machnet-test"), 0);
}

Test(region, create__without_descriptors_leaves_nothing)
{
    struct rlimit limit, none;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    int result = mn_region_create("machnet-test", BYTES, &fd, &engine);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(result, -EMFILE);
}

Test(region, create__beyond_the_file_size_limit_leaves_nothing)
{
    struct rlimit limit = {.rlim_cur = BYTES / 2, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    create_fails_with(EFBIG);
}

Test(region, create__without_address_space_leaves_nothing)
{
    inject(SYS_mmap, 1, BYTES, ENOMEM);
    create_fails_with(ENOMEM);
}

Test(region, populate__does_without_the_advice_of_newer_kernels)
{
    inject(SYS_madvise, 2, POPULATE_WRITE, EINVAL);
    create_map_check();
    cr_assert(all_present());
}

Test(region, create__does_without_the_flag_of_newer_kernels)
{
    inject(SYS_memfd_create, 1, MFD_CLOEXEC | MFD_ALLOW_SEALING | 8, EINVAL);
    create_map_check();
}

Test(region, map__without_memory_leaves_nothing)
{
    create();
    inject(SYS_fallocate, 1, 0, ENOMEM);
    cr_assert_eq(mn_region_map(fd, BYTES, true, &client), -ENOMEM);
    cr_assert_eq(mappings_named("machnet-test"), 1);
}

Test(region, map__fills_with_zeros_also_to_read_only)
{
    static const uint8_t zeros[BYTES];
    create();
    cr_assert_eq(mn_region_map(fd, BYTES, false, &client), 0);
    cr_assert_eq(bytes_in_memory(), BYTES);
    cr_assert_eq(mn_region_check(fd, engine, BYTES), 0);
    cr_assert_eq(memcmp(engine, zeros, BYTES), 0);
}

Test(region, map__shares_what_is_written)
{
    create_map_check();
    memset(client, 0x5a, BYTES);
    cr_assert_eq(memcmp(engine, client, BYTES), 0);
    ((uint8_t *)engine)[BYTES - 1] = 1;
    cr_assert_eq(((uint8_t *)client)[BYTES - 1], 1);
    mn_region_unmap(client, BYTES);
    mn_region_unmap(engine, BYTES);
    mn_region_unmap(NULL, BYTES);
    cr_assert_eq(mappings_named("machnet-test"), 0);
}

Test(region, map__for_reading_cannot_write, .signal = SIGSEGV)
{
    create();
    cr_assert_eq(mn_region_map(fd, BYTES, false, &client), 0);
    cr_assert_eq(*(uint8_t *)client, 0);
    signal(SIGSEGV, SIG_DFL); /* instead of a sanitizer's report */
    *(_Atomic uint8_t *)client = 1;
}

Test(region, map__refuses_memory_that_could_shrink_or_is_of_another_size)
{
    create();
    cr_assert_eq(mn_region_map(fd, BYTES * 2, true, &client), -EINVAL);
    cr_assert_eq(mn_region_map(fd, BYTES / 2, true, &client), -EINVAL);
    cr_assert_eq(mn_region_map(fd, 0, true, &client), -EINVAL);
    cr_assert_eq(mn_region_map(fd, 100, true, &client), -EINVAL);
    int loose = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    cr_assert_eq(ftruncate(loose, BYTES), 0);
    cr_assert_eq(mn_region_map(loose, BYTES, true, &client), -EINVAL);
    cr_assert_eq(fcntl(loose, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    cr_assert_eq(mn_region_map(loose, BYTES, true, &client), 0);
}

Test(region, map__refuses_what_is_no_memfd)
{
    int pipes[2];
    cr_assert_eq(pipe(pipes), 0);
    cr_assert_lt(mn_region_map(pipes[0], BYTES, false, &client), 0);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat status;
    cr_assert_eq(fstat(file, &status), 0);
    cr_assert_lt(mn_region_map(file, (uint64_t)status.st_size & ~UINT64_C(65535), false, &client), 0);
    cr_assert_eq(mn_region_map(-1, BYTES, false, &client), -EBADF);
}

Test(region, map__only_once)
{
    create_map_check();
    cr_assert_eq(mn_region_map(fd, BYTES, true, &client), -EPERM);
    cr_assert_eq(mn_region_map(fd, BYTES, false, &client), -EPERM);
    cr_assert_eq(mappings_named("machnet-test"), 2);
}

/* The client's steps by hand. */
static void map_and_fill(void)
{
    client = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq(client, MAP_FAILED);
    memset(client, 0x5a, BYTES);
}

static void seal(int seals)
{
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
}

/* Not one page comes into being on the engine's account. */
static void check_refuses(int error)
{
    uint64_t before = bytes_in_memory();
    cr_assert_eq(mn_region_check(fd, engine, BYTES), error);
    cr_assert_eq(bytes_in_memory(), before);
}

Test(region, check__takes_what_was_filled_and_sealed)
{
    create();
    map_and_fill();
    seal(F_SEAL_FUTURE_WRITE);
    seal(F_SEAL_SEAL);
    cr_assert_eq(mn_region_check(fd, engine, BYTES), 0);
    cr_assert(all_present());
    cr_assert_eq(((uint8_t *)engine)[BYTES - 1], 0x5a);
}

Test(region, check__refuses_what_is_not_sealed)
{
    create();
    map_and_fill();
    check_refuses(-EPERM);
    seal(F_SEAL_FUTURE_WRITE);
    check_refuses(-EPERM);
}

Test(region, check__refuses_what_is_sealed_against_other_things)
{
    create();
    map_and_fill();
    seal(F_SEAL_SEAL);
    check_refuses(-EPERM);
}

Test(region, check__refuses_what_nobody_filled)
{
    create();
    seal(F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
    check_refuses(-EFAULT);
}

Test(region, check__refuses_holes)
{
    create();
    map_and_fill();
    cr_assert_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MN_BLOCK, MN_BLOCK), 0);
    cr_assert_eq(madvise((uint8_t *)client + 2 * MN_BLOCK, MN_BLOCK, MADV_REMOVE), 0);
    cr_assert_not(all_present(), "the attack works before the seal");
    seal(F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
    check_refuses(-EFAULT);
}

Test(region, check__passes_on_that_memory_is_short)
{
    create();
    map_and_fill();
    seal(F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
    inject(SYS_madvise, 2, POPULATE_WRITE, ENOMEM);
    cr_assert_eq(mn_region_check(fd, engine, BYTES), -ENOMEM);
}

Test(region, check__does_without_the_right_to_lock_memory)
{
    inject(SYS_mlock, 1, BYTES, EPERM);
    create_map_check();
    cr_assert(all_present());
}

static void *write_to_memfd(void *bytes)
{
    ssize_t written = pwrite(fd, bytes, 4096, 0);
    (void)written;
    return NULL;
}

/* A write whose source is not there holds the lock of the memfd: seals, holes and other writes wait for it. */
Test(region, check__waits_for_no_write_of_the_client, .timeout = 10)
{
    struct held_page nowhere;
    if (!held_page_open(&nowhere))
        cr_skip("no userfaultfd for faults in the kernel: run as root");
    create();
    map_and_fill();
    pthread_t writer;
    cr_assert_eq(pthread_create(&writer, NULL, write_to_memfd, nowhere.bytes), 0);
    cr_assert(held_page_wanted(&nowhere), "the write is under way");
    check_refuses(-EPERM);
    mn_region_unmap(engine, BYTES);
    cr_assert(held_page_release(&nowhere));
    pthread_join(writer, NULL);
}

/* What a client may try with its descriptor and its mapping once the region is sealed. Returns the number of the try that worked, or 0. */
static int attack(void)
{
    enum { PUNCH = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (fallocate(fd, PUNCH, 0, MN_BLOCK) == 0)
        return 1;
    if (madvise(client, BYTES, MADV_REMOVE) == 0)
        return 2;
    if (mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED)
        return 3;
    void *readable = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (readable == MAP_FAILED || mprotect(readable, BYTES, PROT_READ | PROT_WRITE) == 0)
        return 4;
    if (pwrite(fd, "x", 1, 0) >= 0)
        return 5;
    if (ftruncate(fd, 0) == 0 || ftruncate(fd, BYTES * 2) == 0)
        return 6;
    if (fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, MN_BLOCK) == 0 || fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, BYTES) == 0)
        return 7;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0)
        return 8;
    int again = open(path, O_RDWR | O_CLOEXEC);
    if (again >= 0 && (fallocate(again, PUNCH, 0, MN_BLOCK) == 0 || ftruncate(again, 0) == 0))
        return 9;
    if (open(path, O_RDWR | O_TRUNC | O_CLOEXEC) >= 0)
        return 10;
    if (madvise(client, BYTES, MADV_DONTNEED) != 0 || !all_present())
        return 11;
    *(_Atomic uint8_t *)client = 0x77; /* the mapping from before the seal goes on working */
    return *(_Atomic uint8_t *)engine == 0x77 ? 0 : 12;
}

Test(region, sealed__refuses_holes_writes_and_resizing)
{
    create_map_check();
    cr_assert_eq(attack(), 0);
}

Test(region, sealed__refuses_them_to_ordinary_users_too)
{
    if (geteuid() == 0)
        cr_assert_eq(setresgid(NOBODY, NOBODY, NOBODY) | setresuid(NOBODY, NOBODY, NOBODY), 0);
    create_map_check();
    cr_assert_eq(attack(), 0);
}

Test(region, sealed__holds_against_another_process_of_another_user)
{
    create_map_check();
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setresgid(NOBODY, NOBODY, NOBODY) | setresuid(NOBODY, NOBODY, NOBODY)) != 0)
            _exit(100);
        _exit(attack());
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0, "attack %d worked", WEXITSTATUS(status));
    cr_assert(all_present());
}

static bool is_readable(const uint8_t *byte)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    bool readable = write(ends[1], byte, 1) == 1;
    cr_assert(readable || errno == EFAULT);
    close(ends[0]);
    close(ends[1]);
    return readable;
}

Test(region, guards__lie_around_each_region_under_the_sanitizer)
{
    if (MN_GUARD_BYTES == 0)
        cr_skip("not built with AddressSanitizer");
    create_map_check();
    const uint8_t *const sides[] = {engine, client};
    for (int i = 0; i < 2; i++) {
        cr_assert(is_readable(sides[i]) && is_readable(sides[i] + BYTES - 1));
        cr_assert_not(is_readable(sides[i] - 1));
        cr_assert_not(is_readable(sides[i] - MN_GUARD_BYTES));
        cr_assert_not(is_readable(sides[i] + BYTES));
        cr_assert_not(is_readable(sides[i] + BYTES + MN_GUARD_BYTES - 1));
    }
}
