/* SPDX-License-Identifier: MIT */
#include "channel/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel/layout.h"
#include "channel/poison.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

static bool size_is_sound(uint64_t bytes)
{
    return bytes > 0 && bytes <= MN_REGION_BYTES_MAX && bytes % (uint64_t)sysconf(_SC_PAGESIZE) == 0;
}

/* Where vm.memfd_noexec is 2 only the newer flag is let through; where the kernel is older than it, only the older one. */
static int open_memfd(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

enum {
    SEALS_SIZE = F_SEAL_SHRINK | F_SEAL_GROW,
    SEALS_PAGES = F_SEAL_FUTURE_WRITE | F_SEAL_SEAL,
};

/* Gives each page a place in the page table, whatever the other side writes there meanwhile. 0, or -errno. */
static int populate(void *base, uint64_t bytes)
{
    int result;
    do
        result = madvise(base, bytes, MADV_POPULATE_WRITE);
    while (result < 0 && errno == EINTR);
    if (result == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    for (uint64_t offset = 0; offset < bytes; offset += page)
        atomic_fetch_or_explicit((_Atomic uint32_t *)(void *)((uint8_t *)base + offset), 0, memory_order_relaxed);
    return 0;
}

static void unmap(void *base, uint64_t bytes)
{
    mn_unpoison(base, bytes);
    munmap((uint8_t *)base - MN_GUARD_BYTES, bytes + 2 * MN_GUARD_BYTES);
}

/* MAP_FAILED: errno says why. */
static void *map(uint64_t bytes, int protection, int flags, int fd)
{
    if (MN_GUARD_BYTES == 0)
        return mmap(NULL, bytes, protection, flags, fd, 0);
    void *guarded =
        mmap(NULL, bytes + 2 * MN_GUARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (guarded == MAP_FAILED)
        return MAP_FAILED;
    uint8_t *base = (uint8_t *)guarded + MN_GUARD_BYTES;
    if (mmap(base, bytes, protection, flags | MAP_FIXED, fd, 0) == MAP_FAILED) {
        const int error = errno;
        unmap(base, bytes);
        errno = error;
        return MAP_FAILED;
    }
    return base;
}

/* Gives `fd` its size for good, and maps it. 0, or -errno. */
static int shape_memfd(int fd, uint64_t bytes, void **base)
{
    if (ftruncate(fd, (off_t)bytes) < 0 || fcntl(fd, F_ADD_SEALS, SEALS_SIZE) < 0)
        return -errno;
    void *memory = map(bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    if (memory == MAP_FAILED)
        return -errno;
    /* Applications' data has no place in the engine's core file; a kernel that cannot leave it out is no reason to fail. */
    (void)madvise(memory, bytes, MADV_DONTDUMP);
    *base = memory;
    return 0;
}

int mn_region_create(const char *name, uint64_t bytes, int *fd, void **base)
{
    if (!size_is_sound(bytes))
        return -EINVAL;
    int memfd = open_memfd(name);
    if (memfd < 0)
        return -errno;
    int error = shape_memfd(memfd, bytes, base);
    if (error != 0) {
        close(memfd);
        return error;
    }
    *fd = memfd;
    return 0;
}

static int reserve(int fd, uint64_t bytes)
{
    int result;
    do
        result = fallocate(fd, 0, 0, (off_t)bytes);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

int mn_region_map(int fd, uint64_t bytes, bool writable, void **base)
{
    struct stat status;
    if (!size_is_sound(bytes))
        return -EINVAL;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || fstat(fd, &status) < 0)
        return -errno;
    if ((seals & F_SEAL_SHRINK) == 0 || (uint64_t)status.st_size != bytes)
        return -EINVAL;
    int error = reserve(fd, bytes);
    if (error != 0)
        return error;
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *memory = map(bytes, protection, MAP_SHARED | MAP_POPULATE, fd);
    if (memory == MAP_FAILED)
        return -errno;
    if (fcntl(fd, F_ADD_SEALS, SEALS_PAGES) < 0) {
        error = -errno;
        unmap(memory, bytes);
        return error;
    }
    *base = memory;
    return 0;
}

int mn_region_check(int fd, void *base, uint64_t bytes)
{
    const int seals = fcntl(fd, F_GET_SEALS);
    struct stat status;
    if (seals < 0 || fstat(fd, &status) < 0)
        return -errno;
    if ((seals & (SEALS_SIZE | SEALS_PAGES)) != (SEALS_SIZE | SEALS_PAGES))
        return -EPERM;
    /* Under these seals no page can go away any more: what is whole now stays whole. */
    if ((uint64_t)status.st_size != bytes || (uint64_t)status.st_blocks * 512 < bytes)
        return -EFAULT;
    int error = populate(base, bytes);
    if (error != 0)
        return error;
    /* Nobody, in whose cgroup they count least of all, shall have them swapped out under a worker; without the right to it that is
     * left to the machine having no need to. */
    (void)mlock(base, bytes);
    return 0;
}

void mn_region_unmap(void *base, uint64_t bytes)
{
    if (base != NULL)
        unmap(base, bytes);
}
